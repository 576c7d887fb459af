"""A prober at a desk: what it sends is kept, what is put before it arrives as if a raw socket had read it."""

import socket
from collections.abc import Callable
from typing import Any, Self

from netprobe.live import bpf, codec
from netprobe.live.identity import Identity
from netprobe.live.outstanding import Sent
from netprobe.live.prober import Prober
from netprobe.live.reactor import Reactor
from netprobe.live.stamps import Arrival
from netprobe.live.wire import HEADER_FIRST, Listener
from netprobe.model.probes import Flow, Probe, Protocol, Reply

CLIENT, SERVER, ROUTER = "192.0.2.2", "203.0.113.2", "198.51.100.2"
CLIENT_V6, SERVER_V6, ROUTER_V6 = "2001:db8:1::2", "2001:db8:3::2", "2001:db8:2::2"
PORTS = {"icmp": 0, "syn": 443, "ack": 443, "udp": 33434, "quic": 443}
BLOCKS = bpf.Blocks(first_port=20000, ports=512, ident_base=0x4200)


class Tray:
    """A wire that ends here."""

    def __init__(self) -> None:
        self.blocks = BLOCKS
        self.packets: list[bytes] = []

    def attach(self, reactor: Reactor, listener: Listener) -> None:
        """Nothing ever comes by itself."""

    def send(self, _token: int, packet: bytes, _destination: str, _interface: int = 0) -> None:
        self.packets.append(packet)

    def flush(self) -> None:
        """Nothing is collected."""

    def settle(self, token: int) -> None:
        """Nobody stamps."""

    def open_tap(self) -> None:
        """There is no device to look at."""

    def overflowed(self) -> int:
        """There is no socket either."""
        return 0

    def close(self) -> None:
        """Nothing to close."""


class Datagram:
    """A UDP socket with one datagram in it."""

    def __init__(self, data: bytes, address: tuple[str, int], port: int) -> None:
        self._unread: list[Any] = [(data, [], 0, address)]
        self._port = port

    def recvmsg(self, *_sizes: int) -> Any:
        if not self._unread:
            raise BlockingIOError
        return self._unread.pop()

    def getsockname(self) -> tuple[str, int]:
        return "", self._port


class Desk:
    """See above. `secret` makes the identities; the own addresses are `CLIENT` and `CLIENT_V6`."""

    def __init__(self, secret: bytes | None = None) -> None:
        self.reactor = Reactor()
        self.replies: list[tuple[int, Reply]] = []
        self._tray = Tray()
        emit = lambda token, _, reply: self.replies.append((token, reply))  # noqa: E731  # one line says it
        self.prober = Prober(self._tray, self.reactor, emit, Identity(secret))
        # The same ports each time, and none of this machine's: nothing needs to be held where nothing arrives.
        for ports, first in ((self.prober._tcp_ports, 20_128), (self.prober._udp_ports, 20_256)):
            for of_family in ports.values():
                of_family.port = lambda label, now, first=first: first + label  # type: ignore[misc, method-assign]  # noqa: ARG005
        self.prober._source = lambda destination, now, link: CLIENT_V6 if ":" in destination else CLIENT  # type: ignore[method-assign]  # noqa: ARG005

    def close(self) -> None:
        self.prober.close()
        self.reactor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def send(self, protocol: Protocol, destination: str, token: int, *, ttl: int = 3, label: int = 0) -> bytes:
        """The packet of a probe."""
        flow = Flow(protocol, destination, PORTS[protocol.value], label)
        self.prober.send(Probe(flow, ttl), token, self.reactor.now())
        return self._tray.packets.pop()

    def sent(self, token: int) -> Sent:
        """What the prober remembers of a probe."""
        sent = self.prober._outstanding.get(token)
        assert sent is not None
        return sent

    def arrive(self, packet: bytes) -> list[tuple[int, Reply]]:
        """What becomes of an IPv4 packet, or of an IPv6 packet without extension headers."""
        if packet[0] >> 4 == 4:
            return self.raw(HEADER_FIRST, packet)
        source = socket.inet_ntop(socket.AF_INET6, packet[8:24])
        return self.raw(packet[6], packet[codec.IPV6.size :], source, packet[7])

    def raw(self, kind: int, data: bytes, source: str = "", ttl: int = -1) -> list[tuple[int, Reply]]:
        """What becomes of what a raw socket gives: a whole IPv4 packet, or what follows an IPv6 header."""
        arrival = Arrival(data, self.reactor.now(), source, 0, ttl, 0.0)
        return self._replies(lambda: self.prober.arrived(kind, arrival))

    def datagram(self, data: bytes, source: str, source_port: int, port: int) -> list[tuple[int, Reply]]:
        """What becomes of a UDP datagram to one of our ports."""
        sock: Any = Datagram(data, (source, source_port), port)
        return self._replies(lambda: self.prober._read_udp(sock))

    def _replies(self, read: Callable[[], None]) -> list[tuple[int, Reply]]:
        before = len(self.replies)
        read()
        return self.replies[before:]
