"""A memory cgroup of a test's own, of version 1 or 2, whichever this host has its memory controller in.

Making one takes root, or a systemd session whose part of the tree belongs to the user. Where it cannot be made, the
test is skipped and says why. Nothing is set but on the group that was made, and that is removed when the test ends.
"""

import contextlib
import os
import pathlib
import subprocess
import unittest
import uuid

import mesh

MOUNT = pathlib.Path("/sys/fs/cgroup")
# Of each version: where it is mounted, and its files.
V1 = {"mount": MOUNT / "memory", "limit": "memory.limit_in_bytes", "no_swap": "memory.swappiness",
      "used": "memory.usage_in_bytes", "peak": "memory.max_usage_in_bytes", "kills": "memory.oom_control"}
V2 = {"mount": MOUNT, "limit": "memory.max", "no_swap": "memory.swap.max",
      "used": "memory.current", "peak": "memory.peak", "kills": "memory.events"}
ENTER = 'echo $$ >"$0" && exec "$@"'  # a shell that goes in and becomes the program


def own_group():
    """The files of the version that has the memory controller, and the path of this process's group."""
    lines = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    first = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
    second = [path for number, controllers, path in lines if number == "0" and not controllers]
    if not first + second:
        raise unittest.SkipTest("this kernel has no memory cgroups")
    return (V1, first[0]) if first else (V2, second[0])


def places(files, path):
    """Where one may be made: in our own group, or above it, as a group of version 2 that holds processes gives its
    controllers to none below it."""
    mount, own = files["mount"], files["mount"] / path.strip("/")
    if ".." in own.parts:  # above what this container sees
        return [mount]
    return [place for place in (own, *own.parents) if place == mount or mount in place.parents]


def enter(folder):
    return ["/bin/sh", "-c", ENTER, str(folder / "cgroup.procs")]


class Cgroup:
    """Use as a context manager, around the Mesh whose node runs in it."""

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        self.files, path = own_group()
        self.folder = self.make_somewhere(places(self.files, path))

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
                return folder
            except (OSError, subprocess.CalledProcessError) as error:
                folder.rmdir()
                why.append(str(error))
        raise unittest.SkipTest(f"no memory cgroup can be made here: {'; '.join(why)}")

    def furnish(self, folder):
        """Sets the limit, and lets a process in for a moment to see that one may enter."""
        (folder / self.files["limit"]).write_text(str(self.limit_bytes))
        if (folder / self.files["no_swap"]).exists():  # a kernel without swap has no such file
            (folder / self.files["no_swap"]).write_text("0")
        subprocess.run([*enter(folder), "true"], check=True, stderr=subprocess.DEVNULL)

    def words(self):
        """Before a command: it runs in the group, with the id of the process that was started."""
        return enter(self.folder)

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

    def pids(self):
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def remove(self):
        """Once the last process is gone, which a zombie is not."""
        def removed():
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
            return not self.folder.exists()
        mesh.wait_until(lambda: f"{self.folder} is empty, now {self.pids()}", removed)
