"""Several hosts on one machine: each is a set of namespaces (network, mounts, host name) with its own D-Bus,
avahi-daemon and addresses, plugged into one switch.

    with Bed() as bed:
        alpha, beta = bed.host("alpha"), bed.host("beta")
        far = bed.routed_host("far", delay_ms=40)

A host shares the machine's file system, but /run, /var/lib, HOME, /etc/hosts, /etc/hostname and /etc/resolv.conf are
its own. Namespaces have no names: a process of ours holds each one, and everything is gone with the processes. They
end with the bed, and at the latest with the test (a pipe that closes, a parent-death signal). Needs root; where
something is missing, skip_if_missing() says what.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from mesh import DEADLINE_S, LOG_TAIL_LINES, Daemon, read_proc, run_one, wait_until, words_of

PROGRAMS = ("ip", "nsenter", "unshare", "setpriv", "tcpdump", "dbus-daemon", "dbus-send", "avahi-daemon")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
SWITCH, PORT, FAR_PORT = "br0", "eth0", "wan0"  # the bridge; the interface of a host; and behind the router
ROUTER, FAR_ROUTER = ("10.77.0.254", "fd77::fe"), ("10.77.1.254", "fd77:0:0:1::fe")
HOSTS_MAX = 200
BUFFER_KIB = "65536"  # of a capture, so that a busy machine loses no packet
DELAY_LINE = pathlib.Path(__file__).with_name("delay_line.py")
# What the bed needs of the kernel, tried in namespaces of its own.
TRIAL = """set -e
ip link add br0 type bridge
ip link add port type veth peer name eth0
mount -t tmpfs tmpfs /run
echo trial >/proc/sys/kernel/hostname
"""

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""

# Without ratelimit-… avahi-daemon has no limit.
AVAHI_CONFIG = """[server]
host-name={name}
use-ipv4=yes
use-ipv6=yes
allow-interfaces={interface}
enable-dbus=yes
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
"""

HOST_SETUP = """set -e
echo {name} >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -m 755 /run/dbus /run/home
mkdir -m 700 /run/user
for file in hosts hostname resolv.conf; do mount --bind {folder}/$file /etc/$file; done
ip link set lo up
"""

# Duplicate addresses cannot be, and looking for them keeps an address unusable for seconds. Whoever sees the empty line
# knows that all is there; the end of its input ends the holder.
HOLDER = """set -e
for which in all default; do echo 0 >/proc/sys/net/ipv6/conf/$which/accept_dad; done
echo
exec cat
"""

UNSHARE = ("unshare", "--net", "--mount", "--uts", "--propagation", "private")


# --- namespaces


def environment():
    """The caller's, less what belongs to its own D-Bus, mesh and session."""
    foreign = ("MODEMESH_", "DBUS_", "XDG_", "STATE_DIRECTORY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PATH": PATH}


class Namespace:
    """Network, mounts and host name; they last as long as their holder and what runs in them."""

    def __init__(self):
        self.holder = subprocess.Popen([*UNSHARE, "sh", "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=environment())
        assert self.holder.stdout.readline(), "unshare made no namespace"
        self.pid = self.holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.id = os.readlink(self.path)

    def enter(self, argv):
        """The words that run `argv` in here; the process id stays that of whoever runs them. --root: also where the
        tests themselves run in a changed root."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", "--root", "--wd", "--",
                "setpriv", "--pdeathsig", "KILL", "--", *(str(word) for word in argv)]

    def run(self, argv, check=True, input="", env=None, timeout=DEADLINE_S):
        """Runs to the end; returns the finished process with its output as text."""
        done = subprocess.run(self.enter(argv), input=input, capture_output=True, text=True, timeout=timeout,
                              env=env or environment())
        assert done.returncode == 0 or not check, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def shell(self, script):
        self.run(["sh", "-e"], input=script)

    def processes(self):
        """Ids of all that runs in here but the holder."""
        pids = (int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit())
        return [pid for pid in pids if pid != self.pid and self.holds(pid)]

    def holds(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/net") == self.id
        except OSError:  # it is gone
            return False

    def close(self):
        """Ends whatever runs in here: asks, and then insists."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_until("the processes of a host end", lambda: not self.processes(), 5)
        self.signal(signal.SIGKILL)
        wait_until(lambda: f"nothing runs, left: {[words_of(pid) for pid in self.processes()]}",
                   lambda: not self.processes())
        self.holder.communicate()

    def signal(self, number):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


# --- hosts


class Host:
    """`address` and `address6` are what others reach it by. Programs find it as a host of its own."""

    def __init__(self, bed, name, address, address6, interface=PORT, gateway=ROUTER):
        self.bed, self.name, self.interface, self.gateway = bed, name, interface, gateway
        self.address, self.address6 = address, address6
        self.port = None  # the switch's end of its cable
        self.folder = bed.folder / name
        self.namespace = bed.add_namespace()
        self.avahi = self.bus = None
        self.write_files()
        self.namespace.shell(HOST_SETUP.format(name=name, folder=self.folder))

    def write_files(self):
        files = {"hosts": f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n", "hostname": f"{self.name}\n",
                 "resolv.conf": "nameserver 127.0.0.1\n", "bus.conf": BUS_CONFIG,
                 "avahi.conf": AVAHI_CONFIG.format(name=self.name, interface=self.interface)}
        self.folder.mkdir()
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def ip(self, words):
        self.namespace.run(["ip", *words.split()])

    # Programs

    def env(self):
        return {**environment(), "HOME": "/run/home", "XDG_RUNTIME_DIR": "/run/user", "HOSTNAME": self.name}

    def run(self, argv, check=True, input="", env=None, timeout=DEADLINE_S):
        """Runs to the end, in the folder /; returns the finished process with its output as text. `env` is added."""
        return self.namespace.run(argv, check, input, {**self.env(), **(env or {})}, timeout)

    def spawn(self, argv, log=None, env=None):
        """Starts a Daemon, whose pid is the program's own and whose log is a new file; it ends at the latest with the
        bed. To be called in the test's main thread: a program dies with the thread that started it."""
        program = pathlib.Path(str(argv[0])).name
        return Daemon(f"{self.name}.{program}", self.namespace.enter(argv), log or self.bed.new_log(self.name, program),
                      {**self.env(), **(env or {})})

    def processes(self):
        return self.namespace.processes()

    # Services

    def start_services(self):
        self.bus = self.spawn(["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork", "--nopidfile",
                               "--nosyslog", "--print-address=1"])
        wait_until(f"the D-Bus of {self.name} listens", lambda: self.works(self.bus) and "unix:" in self.bus.text())
        self.start_avahi()

    def start_avahi(self):
        self.avahi = self.spawn(["avahi-daemon", "-f", self.folder / "avahi.conf", "--no-chroot", "--no-drop-root",
                                 "--no-rlimits"])
        wait_until(f"the avahi-daemon of {self.name} has started",
                   lambda: self.works(self.avahi) and "Server startup complete" in self.avahi.text())

    @staticmethod
    def works(daemon):
        assert daemon.alive(), f"{daemon.name} ended: {daemon.text()}"
        return True

    def stop_avahi(self):
        self.avahi.stop()

    def pause_avahi(self):
        self.avahi.signal(signal.SIGSTOP)
        wait_until("avahi-daemon stands still", lambda: b"State:\tT" in read_proc(self.avahi.pid, "status"))

    def resume_avahi(self):
        self.avahi.signal(signal.SIGCONT)

    def ask_avahi(self, method, *arguments, check=True):
        """Calls org.freedesktop.Avahi.Server; `arguments` as dbus-send takes them. Returns the finished dbus-send."""
        return self.run(["dbus-send", "--system", "--print-reply", f"--reply-timeout={DEADLINE_S * 1000}",
                         "--dest=org.freedesktop.Avahi", "/", f"org.freedesktop.Avahi.Server.{method}", *arguments],
                        check=check)

    # The network

    def configure(self):
        """Brings the interface up with both addresses."""
        self.ip(f"link set {self.interface} up")
        self.add_address(self.address)
        self.add_address6(self.address6)

    def add_address(self, address):
        self.address = address
        self.ip(f"addr add {address}/24 brd + dev {self.interface}")
        self.ip(f"route replace default via {self.gateway[0]}")

    def add_address6(self, address):
        self.address6 = address
        self.ip(f"-6 addr add {address}/64 dev {self.interface} nodad")
        self.ip(f"-6 route replace default via {self.gateway[1]}")

    def set_address(self, address, address6=None):
        """Takes another IPv4 address of its network, and another IPv6 one where it is given; the old ones are gone."""
        self.ip(f"-4 addr flush dev {self.interface} scope global")
        self.add_address(address)
        if address6:
            self.ip(f"-6 addr del {self.address6}/64 dev {self.interface}")
            self.add_address6(address6)

    def cut(self):
        """Pulls the cable: the host sees that it has no carrier. (Bed.cut() is silent.)"""
        self.bed.switch_ip(f"link set {self.port} down")

    def heal(self):
        self.bed.switch_ip(f"link set {self.port} up")

    def hosts_entry(self, name, address):
        with open(self.folder / "hosts", "a") as file:
            file.write(f"{address} {name}\n")


class Capture:
    """tcpdump on the switch."""

    def __init__(self, bed, file):
        self.file = pathlib.Path(file)
        argv = ["tcpdump", "-i", SWITCH, "-n", "-U", "--immediate-mode", "-B", BUFFER_KIB, "-Z", "root", "-w", self.file]
        self.daemon = Daemon("tcpdump", bed.switch.enter(argv), bed.new_log("switch", "tcpdump"), environment())
        wait_until(lambda: f"tcpdump listens: {self.daemon.text()}", lambda: "listening on" in self.daemon.text())

    def stop(self):
        """Returns the file."""
        self.daemon.stop()
        return self.file


# --- the bed


class Bed:
    """Use as a context manager."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bed-"))
        self.namespaces, self.hosts = [], []
        self.switch = self.router = None
        self.logs = 0

    def __enter__(self):
        try:
            self.switch = self.add_namespace()
            # No IPv6 here: the switch itself says nothing.
            self.switch.shell("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6\n"
                              f"ip link add {SWITCH} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
                              f"ip link set {SWITCH} up\n")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            with contextlib.ExitStack() as closing:
                for namespace in self.namespaces:
                    closing.callback(namespace.close)
        except BaseException as late:
            kind = type(late)
            raise
        finally:
            if kind is not None:
                self.show_logs()
            shutil.rmtree(self.folder)

    @staticmethod
    @functools.cache
    def missing():
        """What keeps this machine from making a bed, in words; "" where nothing does."""
        if os.geteuid() != 0:
            return "hosts are network namespaces, which need root"
        for program in PROGRAMS:
            if not shutil.which(program, path=PATH):
                return f"{program} is not installed"
        if not os.path.exists("/dev/net/tun"):
            return "there is no /dev/net/tun"
        done = subprocess.run([*UNSHARE, "sh"], input=TRIAL, capture_output=True, text=True, env=environment())
        return f"namespaces do not work here: {' '.join(done.stderr.split())}" if done.returncode else ""

    def show_logs(self):
        for path in sorted(self.folder.glob("*.log")):
            print(f"# --- {path.name}")
            for line in path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]:
                print(f"# {line}")

    def new_log(self, host, program):
        self.logs += 1
        return self.folder / f"{self.logs:02}.{host}.{program}.log"

    def add_namespace(self):
        self.namespaces.append(Namespace())
        return self.namespaces[-1]

    def switch_ip(self, words):
        self.switch.run(["ip", *words.split()])

    def plug_in(self, namespace):
        """Makes a cable from the switch to the namespace's PORT; returns the name of the switch's end."""
        port = f"port{len(self.namespaces)}"
        self.switch_ip(f"link add {port} type veth peer name {PORT} netns {namespace.pid}")
        self.switch_ip(f"link set {port} master {SWITCH} up")
        return port

    def host(self, name, services=True):
        """Adds a host with 10.77.0.N and fd77::N. With `services`, its D-Bus and avahi-daemon have started."""
        number = len(self.hosts) + 1
        assert number <= HOSTS_MAX, "no address is left"
        host = Host(self, name, f"10.77.0.{number}", f"fd77::{number}")
        host.port = self.plug_in(host.namespace)
        return self.add_host(host, services)

    def routed_host(self, name, delay_ms, services=True):
        """Adds a host on another network, 10.77.1.1 behind a router that forwards no multicast; each packet takes
        `delay_ms`, a round trip twice that. One of a bed."""
        assert self.router is None, "a bed has one router and one host behind it"
        host = Host(self, name, "10.77.1.1", "fd77:0:0:1::1", FAR_PORT, FAR_ROUTER)
        self.router = self.add_namespace()
        self.plug_in(self.router)
        self.start_delay_line(host, delay_ms)
        self.router.shell(self.router_setup())
        return self.add_host(host, services)

    def add_host(self, host, services):
        self.hosts.append(host)
        host.configure()
        if services:
            host.start_services()
        return host

    def start_delay_line(self, host, delay_ms):
        argv = [sys.executable, DELAY_LINE, delay_ms, self.router.path, FAR_PORT, host.namespace.path, FAR_PORT]
        daemon = Daemon("delay_line", self.router.enter(argv), self.new_log("router", "delay_line"), environment())
        wait_until(lambda: f"the delay line carries: {daemon.text()}", lambda: "ready" in daemon.text())

    @staticmethod
    def router_setup():
        return "\n".join([
            "echo 1 >/proc/sys/net/ipv4/ip_forward", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
            f"ip link set {PORT} up", f"ip addr add {ROUTER[0]}/24 dev {PORT}",
            f"ip -6 addr add {ROUTER[1]}/64 dev {PORT} nodad", f"ip link set {FAR_PORT} up",
            f"ip addr add {FAR_ROUTER[0]}/24 dev {FAR_PORT}",
            f"ip -6 addr add {FAR_ROUTER[1]}/64 dev {FAR_PORT} nodad", ""])

    def cut(self):
        """The switch drops every frame, and no host's interface tells: the silent way to lose a peer."""
        self.switch_ip(f"link set {SWITCH} down")

    def heal(self):
        self.switch_ip(f"link set {SWITCH} up")

    def capture(self, file):
        """Returns a Capture that writes all that crosses the switch to `file` from now on; name it absolutely."""
        return Capture(self, file)


# --- TAP


def skip_if_missing():
    """Ends a TAP program here, as skipped, where no bed can be made."""
    if reason := Bed.missing():
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)


def run(*tests):
    """Runs each function as one TAP case and exits; for tests that need no mesh."""
    skip_if_missing()
    print(f"1..{len(tests)}")
    failures = sum(not run_one(number, test) for number, test in enumerate(tests, 1))
    sys.exit(1 if failures else 0)
