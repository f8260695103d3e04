"""What a capture holds: its frames, and the bytes of each TCP connection and direction, in their order.

Reads what tcpdump writes of an Ethernet: classic pcap, no VLANs, no IPv6 extension headers, no fragments.
"""

import socket
import struct

FILE_HEADER, RECORD_HEADER, ETHERNET_HEADER, IPV6_HEADER = 24, 16, 14, 40
IPV4, IPV6, TCP, UDP = 0x0800, 0x86DD, 6, 17
ETHERNET = 1  # link type
SYN = 0x02
SEQUENCE = 1 << 32
MDNS_PORT = 5353


class Packet:
    """`protocol`, `source` and `target` (address, port) and `payload` (behind the IP header) are None where the frame
    is not TCP or UDP."""

    def __init__(self, frame):
        self.frame = frame
        self.protocol = self.source = self.target = self.payload = None
        kind = int.from_bytes(frame[12:14], "big")
        if kind in (IPV4, IPV6):
            self.read_ip(kind, frame[ETHERNET_HEADER:])

    def read_ip(self, kind, ip):
        if kind == IPV4:
            header, end, protocol = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big"), ip[9]
            family, source, target = socket.AF_INET, ip[12:16], ip[16:20]
        else:
            header, end, protocol = IPV6_HEADER, IPV6_HEADER + int.from_bytes(ip[4:6], "big"), ip[6]
            family, source, target = socket.AF_INET6, ip[8:24], ip[24:40]
        if protocol not in (TCP, UDP):
            return
        self.protocol, self.payload = protocol, ip[header:end]
        ports = struct.unpack("!HH", self.payload[:4])
        self.source = socket.inet_ntop(family, source), ports[0]
        self.target = socket.inet_ntop(family, target), ports[1]

    def is_mdns(self):
        return self.protocol == UDP and MDNS_PORT in (self.source[1], self.target[1])


def packets(file):
    data = file.read_bytes()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}[data[:4]]
    assert struct.unpack(f"{order}I", data[20:24])[0] == ETHERNET, "no capture of an Ethernet"
    at = FILE_HEADER
    while at < len(data):
        _, _, kept, real = struct.unpack(f"{order}IIII", data[at:at + RECORD_HEADER])
        assert kept == real, "a frame was cut off"
        at += RECORD_HEADER + kept
        yield Packet(data[at - kept:at])


class Stream:
    """One direction of one connection."""

    def __init__(self, packet, first):
        self.source, self.target, self.first = packet.source, packet.target, first
        self.pieces = {}

    def port(self):
        """The server's, which is the lower one."""
        return min(self.source[1], self.target[1])

    def data(self):
        whole = b""
        for offset, piece in sorted(self.pieces.items()):
            assert offset <= len(whole), f"{self.source} to {self.target}: {offset - len(whole)} bytes are missing"
            whole = whole[:offset] + piece + whole[offset + len(piece):]
        return whole


def streams(file):
    """All of them, each from its SYN on; what began before the capture is left out."""
    latest, found = {}, []
    for packet in packets(file):
        if packet.protocol != TCP:
            continue
        sequence, begin, flags = read_tcp(packet.payload)
        ends = packet.source, packet.target
        if flags & SYN and (ends not in latest or latest[ends].first != sequence + 1):
            latest[ends] = Stream(packet, sequence + 1)
            found.append(latest[ends])
        elif ends in latest and packet.payload[begin:]:
            offset = (sequence - latest[ends].first) % SEQUENCE
            piece = latest[ends].pieces.get(offset, b"")
            latest[ends].pieces[offset] = max(piece, packet.payload[begin:], key=len)
    return found


def read_tcp(segment):
    """Sequence number, where the data begins, flags."""
    return int.from_bytes(segment[4:8], "big"), segment[12] >> 4 << 2, segment[13]
