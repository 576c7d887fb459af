"""What a worker that was taken over may write to its broker: nothing leaves but probes of ours to whom was named."""

import socket
from collections.abc import Iterator

from netprobe.live import codec, dissect
from netprobe.live.broker import messages
from netprobe.live.broker.limits import LARGEST_PROBE, MAY_LEAVE, NAMES, Bucket, Destinations, Gate
from tests.fuzz.packets import probes
from tests.live.live_desk import BLOCKS, CLIENT, CLIENT_V6, SERVER, SERVER_V6


def packed(address: str) -> bytes:
    """The address as it stands in a packet."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


_OWN, _LISTED = ({packed(address) for address in pair} for pair in ((CLIENT, CLIENT_V6), (SERVER, SERVER_V6)))


def requests(data: bytes) -> None:
    """Of the packets in a message, what may leave is a probe of ours, whole, to somebody on the list."""
    listed = [(address, 8 * len(address)) for address in _LISTED]
    gate = Gate(
        (BLOCKS.first_port, BLOCKS.ports),
        BLOCKS.ident_base,
        Destinations(listed, 0, 0.0),
        Bucket(1.0, 3.0),
        _OWN.__contains__,
    )
    left = 0
    for number, packet, _ in messages.requests(data):
        assert 0 <= number <= 0xFFFFFFFF
        said = gate.check(packet, 0.0)
        if said != MAY_LEAVE:
            assert said in NAMES
            continue
        left += 1
        assert len(packet) <= LARGEST_PROBE
        over_v6 = packet[0] >> 4 == 6
        quote = dissect.parse_quote_v6(packet) if over_v6 else dissect.parse_quote(packet)
        assert quote is not None
        assert (packed(quote.source) in _OWN, packed(quote.destination) in _LISTED) == (True, True)
        echo = quote.protocol == (codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP)
        assert echo or quote.protocol in {codec.PROTOCOL_TCP, codec.PROTOCOL_UDP}
        if echo:
            assert quote.first >> 8 == (codec.ICMPV6_ECHO if over_v6 else codec.ICMP_ECHO)
            assert quote.third >> 8 == BLOCKS.ident_base >> 8
        else:
            assert quote.first in range(BLOCKS.first_port, BLOCKS.first_port + BLOCKS.ports)
    assert left <= 3


def request_seeds() -> Iterator[bytes]:
    """Each probe alone, and all of them in one message."""
    records = [messages.REQUEST.pack(number, len(packet), 0) + packet for number, packet in enumerate(probes())]
    yield from (record for record in records if len(record) < 600)
    yield b"".join(record for record in records if len(record) < 200)
