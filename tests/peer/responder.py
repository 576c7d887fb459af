"""The network of a simulation behind a TUN device: it answers each probe as the file says and notes what it was.

It reads and writes its packets by itself: nothing of netprobe's own codec is in it.
"""

import contextlib
import ctypes
import gc
import heapq
import ipaddress
import os
import select
import struct
import time
from socket import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP

import msgspec

from netprobe.model.probes import Protocol
from netprobe.model.record import Record
from tests.peer.simulation import Simulation

INITIAL_TTL = 64
_PR_SET_TIMERSLACK = 29
_LARGEST = 65535
_EARLY_S = 0.0001  # waking up may take as long: from there on the clock is watched
_SYN, _ACK = 0x02, 0x10


class Seen(Record, frozen=True):
    """A probe as it left, read at `at_s` (monotonic seconds). `local` and `remote` are its ports, or `local` its identifier; `held_ms`: -1, no answer.

    `number` is the sequence of ICMP and TCP; `ident` the IP identification, or the flow label; `sound`: lengths and
    checksums are right.
    """

    ttl: int
    tos: int
    size: int
    ident: int
    local: int
    remote: int
    number: int
    check: int
    payload: bytes
    sound: bool
    at_s: float = 0.0
    held_ms: float = -1.0


class Responder:
    """Answers on the TUN device `device` until the other end of the pipe `stop` is closed."""

    def __init__(self, simulation: Simulation, device: int) -> None:
        self._simulation = simulation
        self._device = device
        self._version = 6 if simulation.over_v6 else 4
        self._due: list[tuple[float, int, bytes, float]] = []  # a heap: when, index into `seen`, packet, since when
        self.seen: list[Seen] = []

    def run(self, stop: int) -> None:
        """Work until `stop` is readable."""
        while True:
            self._write_due()
            wait = max(0.0, self._due[0][0] - time.monotonic() - _EARLY_S) if self._due else None
            readable, _, _ = select.select((self._device, stop), (), (), wait)
            if self._device in readable:
                self._take(os.read(self._device, _LARGEST), time.monotonic())
            elif stop in readable:
                return

    def _write_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, index, packet, since = heapq.heappop(self._due)
            os.write(self._device, packet)
            held_ms = (time.monotonic() - since) * 1000
            self.seen[index] = msgspec.structs.replace(self.seen[index], held_ms=held_ms)

    def _take(self, packet: bytes, now: float) -> None:
        probe = parse(packet, self._simulation.protocol) if packet[0] >> 4 == self._version else None
        if probe is None:  # the kernel's own: neighbour discovery, the RST to a SYN-ACK
            return
        index = len(self.seen)
        self.seen.append(msgspec.structs.replace(probe, at_s=now))
        hop = self._simulation.hop(probe.ttl)
        if hop.address:
            reply = build_reply(packet, probe, hop.address, self._simulation)
            heapq.heappush(self._due, (now + hop.rtt_ms / 1000, index, reply, now))


def be_punctual() -> None:
    """Wake up on time, and ahead of other work where that is allowed."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    gc.disable()


# -- in ---------------------------------------------------------------------------------------------------------------


def parse(packet: bytes, protocol: Protocol) -> Seen | None:
    """The probe of `protocol` that `packet` is; None when it is something else."""
    if packet[0] >> 4 == 6:
        first, length, number, ttl = struct.unpack_from("!IHBB", packet)
        tos, ident, at, sound = first >> 20 & 0xFF, first & 0xFFFFF, 40, length + 40 == len(packet)
        kind, request = IPPROTO_ICMPV6, 128
    else:
        tos, length, ident, _, ttl, number = struct.unpack_from("!xBHHHBB", packet)
        at, sound = 20, packet[0] == 0x45 and length == len(packet) and not _sum(packet[:20])
        kind, request = IPPROTO_ICMP, 8
    body = packet[at:]
    sound = sound and not _sum(_pseudo(packet, number) + body)
    shared = {"ttl": ttl, "tos": tos, "size": len(packet), "ident": ident, "sound": sound}
    if protocol is Protocol.ICMP and number == kind and body[0] == request:
        check, local, sequence = struct.unpack_from("!HHH", body, 2)
        return Seen(local=local, remote=0, number=sequence, check=check, payload=body[8:], **shared)
    if protocol is Protocol.UDP and number == IPPROTO_UDP:
        local, remote, length, check = struct.unpack_from("!HHHH", body)
        shared["sound"] = sound and length == len(body) and check != 0
        return Seen(local=local, remote=remote, number=0, check=check, payload=body[8:], **shared)
    if protocol is Protocol.TCP and number == IPPROTO_TCP and body[13] & 0x3F == _SYN:
        local, remote, sequence = struct.unpack_from("!HHI", body)
        (check,) = struct.unpack_from("!H", body, 16)
        return Seen(local=local, remote=remote, number=sequence, check=check, payload=b"", **shared)
    return None


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over what has its own in it and is whole."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def _pseudo(packet: bytes, number: int) -> bytes:
    """What a transport's checksum covers of the IP header: of ICMP over IPv4 nothing."""
    if packet[0] >> 4 == 6:
        return packet[8:40] + struct.pack("!II", len(packet) - 40, number)
    return b"" if number == IPPROTO_ICMP else packet[12:20] + struct.pack("!BBH", 0, number, len(packet) - 20)


# -- out --------------------------------------------------------------------------------------------------------------


def build_reply(packet: bytes, probe: Seen, source: str, simulation: Simulation) -> bytes:
    """What the host at `source` answers to `packet`: the target by its protocol, others that the time is exceeded."""
    over_v6 = simulation.over_v6
    icmp = IPPROTO_ICMPV6 if over_v6 else IPPROTO_ICMP
    ttl = max(1, INITIAL_TTL - min(probe.ttl, simulation.hops[-1].ttl) + 1)  # as many routers on the way back
    addresses = ipaddress.ip_address(source).packed, packet[8:24] if over_v6 else packet[12:16]
    if source != simulation.target:
        return _ip(addresses, ttl, icmp, _error(3 if over_v6 else 11, 0, packet, over_v6=over_v6))
    match simulation.protocol:
        case Protocol.ICMP:
            rest = struct.pack("!HH", probe.local, probe.number) + probe.payload
            return _ip(addresses, ttl, icmp, bytes([129 if over_v6 else 0, 0, 0, 0]) + rest)
        case Protocol.UDP:
            kind, code = (1, 4) if over_v6 else (3, 3)
            return _ip(addresses, ttl, icmp, _error(kind, code, packet, over_v6=over_v6))
    acknowledged = (probe.number + 1) & 0xFFFFFFFF
    flags = 5 << 12 | _SYN | _ACK
    segment = struct.pack("!HHIIHHHH", probe.remote, probe.local, 0, acknowledged, flags, 0xFFFF, 0, 0)
    return _ip(addresses, ttl, IPPROTO_TCP, segment)


def _error(kind: int, code: int, packet: bytes, *, over_v6: bool) -> bytes:
    """An ICMP error: IPv4's quotes the header and 8 bytes (RFC 792), IPv6's all that fits (RFC 4443, 2.4)."""
    return struct.pack("!BBHI", kind, code, 0, 0) + (packet[:1232] if over_v6 else packet[:28])


def _ip(addresses: tuple[bytes, bytes], ttl: int, number: int, body: bytes) -> bytes:
    """`body` behind an IP header, its own checksum filled in: TCP's at 16, ICMP's at 2."""
    source, destination = addresses
    if len(source) == 16:
        head = struct.pack("!IHBB", 6 << 28, len(body), number, ttl) + source + destination
    else:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, ttl, number, 0) + source + destination
        head = head[:10] + _sum(head).to_bytes(2) + head[12:]
    at = 16 if number == IPPROTO_TCP else 2
    total = _sum(_pseudo(head + body, number) + body)
    return head + body[:at] + total.to_bytes(2) + body[at + 2 :]
