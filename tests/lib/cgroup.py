"""A cgroup of one's own that bounds a node's memory or slows its processor, of version 1 or 2, whichever this host has the
controller in.

Making one takes root, or a systemd session whose part of the tree belongs to the user. Where it cannot be made, a test is
skipped and says why. Nothing is set but on the group that was made, and that is removed when the test ends.
"""

import contextlib
import os
import pathlib
import subprocess
import unittest
import uuid

import mesh

MOUNT = pathlib.Path("/sys/fs/cgroup")
ENTER = 'echo $$ >"$0" && exec "$@"'  # a shell that goes in and becomes the program


def own_group(controller):
    """The version that has the controller, 1 or 2, and the path of this process's group there."""
    lines = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    first = [path for _, controllers, path in lines if controller in controllers.split(",")]
    second = [path for number, controllers, path in lines if number == "0" and not controllers]
    if not first + second:
        raise unittest.SkipTest(f"this kernel has no {controller} cgroups")
    return (1, first[0]) if first else (2, second[0])


def places(mount, path):
    """Where one may be made: in our own group, or above it, as a group of version 2 that holds processes gives its
    controllers to none below it."""
    own = mount / path.strip("/")
    if ".." in own.parts:  # above what this container sees
        return [mount]
    return [place for place in (own, *own.parents) if place == mount or mount in place.parents]


def enter(folder):
    return ["/bin/sh", "-c", ENTER, str(folder / "cgroup.procs")]


class Group:
    """Use as a context manager, around the Mesh whose node runs in it. Who derives from it says the controller, and sets
    the group's files."""

    controller = None

    def __init__(self):
        self.version, path = own_group(self.controller)
        mount = MOUNT / self.controller if self.version == 1 else MOUNT
        self.folder = self.make_somewhere(places(mount, path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def make_somewhere(self, parents):
        why = []
        for parent in parents:
            folder = parent / f"modemesh-test-{uuid.uuid4().hex[:12]}"
            try:
                folder.mkdir()
            except OSError as error:
                why.append(str(error))
                continue
            try:
                self.furnish(folder)
                subprocess.run([*enter(folder), "true"], check=True, stderr=subprocess.DEVNULL)  # one may enter
                return folder
            except (OSError, subprocess.CalledProcessError) as error:
                folder.rmdir()
                why.append(str(error))
        raise unittest.SkipTest(f"no {self.controller} cgroup can be made here: {'; '.join(why)}")

    def furnish(self, folder):
        raise NotImplementedError

    def words(self):
        """Before a command: it runs in the group, with the id of the process that was started."""
        return enter(self.folder)

    def pids(self):
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def remove(self):
        """Once the last process is gone, which a zombie is not."""
        def removed():
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
            return not self.folder.exists()
        mesh.wait_until(lambda: f"{self.folder} is empty, now {self.pids()}", removed)


class Cgroup(Group):
    """Bounds the memory."""

    controller = "memory"
    FILES = {1: {"limit": "memory.limit_in_bytes", "no_swap": "memory.swappiness", "used": "memory.usage_in_bytes",
                 "peak": "memory.max_usage_in_bytes", "kills": "memory.oom_control"},
             2: {"limit": "memory.max", "no_swap": "memory.swap.max", "used": "memory.current", "peak": "memory.peak",
                 "kills": "memory.events"}}

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        super().__init__()

    @property
    def files(self):
        return self.FILES[self.version]

    def furnish(self, folder):
        (folder / self.files["limit"]).write_text(str(self.limit_bytes))
        if (folder / self.files["no_swap"]).exists():  # a kernel without swap has no such file
            (folder / self.files["no_swap"]).write_text("0")

    def read(self, what):
        return (self.folder / self.files[what]).read_text()

    def used_bytes(self):
        return int(self.read("used"))

    def shrink(self):
        """To what it holds just now: the next page is one too many. Version 1 refuses where it holds more already."""
        def shrunk():
            with contextlib.suppress(OSError):
                return (self.folder / self.files["limit"]).write_text(str(self.used_bytes()))
            return False
        mesh.wait_until("the group is as small as what it holds", shrunk)

    def widen(self):
        """To the limit that it was made with."""
        (self.folder / self.files["limit"]).write_text(str(self.limit_bytes))

    def peak_bytes(self):
        """The most that it has held, with cached files; None where the kernel does not say (version 2 before 5.19)."""
        with contextlib.suppress(FileNotFoundError):
            return int(self.read("peak"))
        return None

    def oom_kills(self):
        return next(int(line.split()[1]) for line in self.read("kills").splitlines() if line.startswith("oom_kill "))


class SlowCgroup(Group):
    """Gives no more than a share of one processor. It is measured out in short periods: what is computed in less than one
    is not slowed."""

    controller = "cpu"
    PERIOD_US = 10_000

    def __init__(self, share):
        self.share = share
        super().__init__()

    def furnish(self, folder):
        quota_us = round(self.share * self.PERIOD_US)
        if self.version == 2:
            (folder / "cpu.max").write_text(f"{quota_us} {self.PERIOD_US}")
            return
        (folder / "cpu.cfs_period_us").write_text(str(self.PERIOD_US))
        (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
