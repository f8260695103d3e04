"""The test bed itself: hosts that reach each other as such, lose each other as told, and of which nothing is left."""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
from hosts import Bed
from mesh import DEADLINE_S, read_proc, wait_until

PATIENCE_S = 2  # with what cannot come
WORD = b"carried in the clear"
# Echoes what comes, on every address, and says on which port.
ECHO = """
import socket, threading
server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
print("port", server.getsockname()[1], flush=True)
def serve(peer):
    while data := peer.recv(4096):
        peer.sendall(data)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
# Sends words to an echo and reads them back; then says its own address.
ASK = """
import socket, sys
address, port, word, seconds = sys.argv[1:]
with socket.create_connection((address, int(port)), timeout=float(seconds)) as peer:
    peer.sendall(word.encode())
    data = b""
    while len(data) < len(word):
        data += peer.recv(4096)
    assert data.decode() == word
    print(peer.getsockname()[0])
"""


class Echo:
    def __init__(self, host):
        self.host = host
        self.daemon = host.spawn([sys.executable, "-c", ECHO])
        said = wait_until("the echo listens", lambda: re.fullmatch(r"port (\d+)\n", self.daemon.text()))
        self.port = said[1]

    def answers(self, asker, address=None, seconds=DEADLINE_S):
        """The asker's own address where it got its words back, "" where it did not."""
        done = asker.run([sys.executable, "-c", ASK, address or self.host.address, self.port, WORD.decode(), seconds],
                         check=False, timeout=2 * DEADLINE_S)
        return done.stdout.strip()

    def is_lost_to(self, asker, address=None):
        return not self.answers(asker, address, PATIENCE_S)


def resolve(host, name):
    """What avahi-daemon on `host` says that `name` is, over IPv4; "" where it knows nothing."""
    done = host.ask_avahi("ResolveHostName", "int32:-1", "int32:0", f"string:{name}", "int32:0", "uint32:0",
                          check=False)
    return done.stdout


def hosts_reach_each_other_and_have_their_own_names():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        echo = Echo(beta)
        assert echo.answers(alpha) == alpha.address
        assert echo.answers(alpha, beta.address6) == alpha.address6
        assert alpha.run(["uname", "-n"]).stdout.strip() == "alpha"
        assert alpha.run(["cat", "/etc/hostname"]).stdout.strip() == "alpha"
        assert echo.is_lost_to(alpha, "box")
        alpha.hosts_entry("box", beta.address)
        assert echo.answers(alpha, "box")
        assert echo.is_lost_to(beta, "box")


def files_below_run_are_a_hosts_own():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        for path in ("/run/mark", "/var/lib/mark", "$HOME/mark", "$XDG_RUNTIME_DIR/mark"):
            alpha.run(["sh", "-c", f"touch {path}"])
            assert beta.run(["sh", "-c", f"test -e {path}"], check=False).returncode == 1
        assert not pathlib.Path("/run/mark").exists() and not pathlib.Path("/var/lib/mark").exists()


def a_program_has_the_pid_that_was_started():
    with Bed() as bed:
        alpha = bed.host("alpha", services=False)
        daemon = alpha.spawn(["sleep", "1000"])
        wait_until("sleep runs", lambda: b"sleep" in pathlib.Path(f"/proc/{daemon.pid}/comm").read_bytes())
        assert alpha.processes() == [daemon.pid]


def avahi_runs_on_each_host_and_hears_the_others():
    with Bed() as bed:
        alpha, beta = bed.host("alpha"), bed.host("beta")
        for host in (alpha, beta):
            host.run(["avahi-daemon", "--check"])
            assert f'"{host.name}.local"' in host.ask_avahi("GetHostNameFqdn").stdout
        assert beta.address in resolve(alpha, "beta.local")
        beta.stop_avahi()
        assert beta.run(["avahi-daemon", "--check"], check=False).returncode
        wait_until("alpha forgets beta", lambda: beta.address not in resolve(alpha, "beta.local"))
        beta.start_avahi()
        assert beta.address in resolve(alpha, "beta.local")


def a_paused_avahi_answers_nobody():
    with Bed() as bed:
        beta = bed.host("beta")
        beta.pause_avahi()
        alpha = bed.host("alpha")  # has not heard what beta said before
        assert beta.address not in resolve(alpha, "beta.local")
        beta.resume_avahi()
        wait_until("beta answers again", lambda: beta.address in resolve(alpha, "beta.local"))


def a_routed_host_is_far_away_and_hears_no_announcements():
    with Bed() as bed:
        alpha, far = bed.host("alpha"), bed.routed_host("far", delay_ms=50)
        echo = Echo(alpha)
        for address, own in ((alpha.address, far.address), (alpha.address6, far.address6)):
            started = time.monotonic()
            assert echo.answers(far, address) == own
            assert time.monotonic() - started >= 0.2  # there and back, for the connection and for the words
        assert alpha.address in resolve(alpha, "alpha.local")
        assert alpha.address not in resolve(far, "alpha.local")


def a_pulled_cable_is_noticed_and_heals():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        echo = Echo(beta)
        beta.cut()
        assert "NO-CARRIER" in beta.run(["ip", "link", "show", "eth0"]).stdout
        assert echo.is_lost_to(alpha)
        beta.heal()
        wait_until("beta is back", lambda: not echo.is_lost_to(alpha))


def a_switch_that_stops_is_silent_and_heals():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        echo = Echo(beta)
        bed.cut()
        assert "NO-CARRIER" not in beta.run(["ip", "link", "show", "eth0"]).stdout
        assert echo.is_lost_to(alpha)
        bed.heal()
        wait_until("the switch forwards", lambda: not echo.is_lost_to(alpha))


def a_host_moves_to_another_address():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        echo, old = Echo(beta), beta.address
        beta.set_address("10.77.0.150", "fd77::150")
        assert echo.answers(alpha, "10.77.0.150") and echo.answers(alpha, "fd77::150")
        assert echo.is_lost_to(alpha, old)
        assert beta.address == "10.77.0.150"


def a_capture_holds_what_crossed_the_switch():
    with Bed() as bed:
        alpha, beta = bed.host("alpha", services=False), bed.host("beta", services=False)
        echo = Echo(beta)
        capture = bed.capture(bed.folder / "wire.pcap")

        def seen():
            return capture.file.read_bytes().count(WORD)

        assert echo.answers(alpha)
        assert echo.answers(beta, "127.0.0.1")
        wait_until("the words were seen, there and back", lambda: seen() == 2)
        bed.cut()
        bed.heal()
        wait_until("the switch forwards", lambda: not echo.is_lost_to(alpha))
        wait_until("the capture goes on", lambda: seen() >= 4)
        assert capture.stop().read_bytes().count(WORD) == seen()


def identity(pid):
    """When the process began, None where it has ended: the kernel gives its id, and that of its namespace, to others."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return fields[19] if fields and fields[0] != b"Z" else None


def nothing_is_left_of_a_bed_that_failed():
    named_before = pathlib.Path("/run/netns").exists() and list(pathlib.Path("/run/netns").iterdir())
    try:
        with Bed() as bed:
            alpha = bed.host("alpha")
            bed.routed_host("far", delay_ms=1, services=False)
            alpha.pause_avahi()
            alpha.spawn(["sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"])
            pids = [pid for namespace in bed.namespaces for pid in (namespace.pid, *namespace.processes())]
            began = {pid: identity(pid) for pid in pids}
            raise RuntimeError("as a test fails")
    except RuntimeError:
        pass
    assert not bed.folder.exists()
    assert len(began) > len(bed.namespaces) and None not in began.values()
    assert not [pid for pid in began if identity(pid) == began[pid]]
    assert str(bed.folder) not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert named_before == (pathlib.Path("/run/netns").exists() and list(pathlib.Path("/run/netns").iterdir()))


if __name__ == "__main__":
    hosts.run(hosts_reach_each_other_and_have_their_own_names, files_below_run_are_a_hosts_own,
              a_program_has_the_pid_that_was_started, avahi_runs_on_each_host_and_hears_the_others,
              a_paused_avahi_answers_nobody, a_routed_host_is_far_away_and_hears_no_announcements,
              a_pulled_cable_is_noticed_and_heals, a_switch_that_stops_is_silent_and_heals,
              a_host_moves_to_another_address, a_capture_holds_what_crossed_the_switch,
              nothing_is_left_of_a_bed_that_failed)
