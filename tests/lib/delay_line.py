"""A long cable: carries IP packets between two TUN interfaces in two network namespaces, each packet DELAY_MS later.

    delay_line.py DELAY_MS NAMESPACE INTERFACE NAMESPACE INTERFACE     (NAMESPACE: /proc/PID/ns/net)

Makes both interfaces, says "ready", and takes them away when it ends. The kernel's own netem does the same but is not
part of every kernel. A TUN interface carries no frames, so that no multicast of one side is heard on the other.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_MAX = 65536
HELD_MAX = 10_000  # packets on the way; those past it are lost, as on a real line


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace, "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def open_tun(namespace, interface):
    enter(namespace)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def deliver(tun, packet):
    try:
        os.write(tun, packet)
    except OSError:
        pass  # the interface is down, or full: the packet is lost


def carry(ends, delay_s):
    """`held` is in the order of delivery, as all packets take the same time."""
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    held = collections.deque()
    while True:
        wait_s = max(0, held[0][0] - time.monotonic()) if held else None
        for tun in select.select(ends, [], [], wait_s)[0]:
            packet = os.read(tun, PACKET_MAX)
            if len(held) < HELD_MAX:
                held.append((time.monotonic() + delay_s, other[tun], packet))
        while held and held[0][0] <= time.monotonic():
            deliver(*held.popleft()[1:])


def main():
    delay_ms, near, near_name, far, far_name = sys.argv[1:]
    ends = [open_tun(far, far_name), open_tun(near, near_name)]
    print("ready", flush=True)
    carry(ends, float(delay_ms) / 1000)


if __name__ == "__main__":
    main()
