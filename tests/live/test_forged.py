"""What an attacker who is not on the path can do: a million guesses, a flood on the wire, a true reply played again."""

import itertools
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from netprobe.live import codec
from netprobe.live.dissect import parse_quote, parse_quote_v6
from netprobe.live.prober import Prober
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Protocol, Reply
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from tests.live.live_desk import CLIENT, PORTS, SERVER, SERVER_V6, Desk
from tests.live.live_forger import Forgery, attack, forgeries
from tests.live.live_network import HOPS, HOPS_V6, Namespace, Network

GUESSES = 100_000  # of each version of IP; `make bench` makes a million
FLOOD_TTLS = {60, 250}  # with which forged replies arrive, and true ones do not


@pytest.mark.slow
@pytest.mark.parametrize("over_v6", [False, True])
def test_guesses_are_not_accepted(*, over_v6: bool) -> None:
    """Of 100,000 guesses, dealt over all kinds of replies to 30 probes of each protocol, one gets through at most."""
    with Desk() as desk:
        assert sum(attack(desk, GUESSES, over_v6=over_v6).values()) <= 1


@pytest.mark.parametrize("over_v6", [False, True])
@pytest.mark.parametrize("protocol", Protocol)
def test_the_attacker_would_be_believed_if_it_knew(protocol: Protocol, *, over_v6: bool) -> None:
    """The same forgeries with the true numbers are accepted, each of them: nothing else keeps a guess out."""
    target = SERVER_V6 if over_v6 else SERVER
    with Desk() as desk:
        probe = desk.send(protocol, target, 1)
        at = codec.header_bytes(target)
        local = int.from_bytes(probe[at + 4 : at + 6] if protocol is Protocol.ICMP else probe[at : at + 2])
        mark = desk.sent(1).mark
        acknowledges = ((mark.isn + 1) & 0xFFFFFFFF).to_bytes(4)
        kinds = 0
        for forgery in forgeries(protocol, local, over_v6=over_v6):
            packet = bytearray(forgery.packet)
            if forgery.kind.startswith(protocol):  # an error that quotes it
                for hole, length in forgery.holes:
                    packet[hole : hole + length] = probe[hole - at - 8 : hole - at - 8 + length]
            elif forgery.kind == "echo reply":
                packet[at + 6 : at + 16] = probe[at + 6 : at + 16]
            elif forgery.kind.startswith("segment"):
                packet[at + 8 : at + 12] = acknowledges
            elif forgery.kind == "datagram":
                packet = bytearray(desk.sent(1).head)
            elif forgery.kind == "version negotiation":
                packet[6:14] = mark.nonce
            if protocol is Protocol.QUIC and forgery.kind == "datagram":
                continue  # what is not a version negotiation is nothing that was asked for
            if forgery.port:
                assert desk.datagram(bytes(packet), target, PORTS[protocol.value], local), forgery.kind
            else:
                assert desk.arrive(bytes(packet)), forgery.kind
            desk.prober._outstanding._replies.clear()
            kinds += 1
        assert kinds >= 7


def secret_bits(protocol: Protocol, *, over_v6: bool, guessed_at: bool) -> int:
    """How many bits of a probe's secret numbers a quote must have right at least, `guessed_at` or not before.

    Measured: the smallest choice of its 16-bit words that is believed though all others are wrong, and how many values
    of each of those words are: of every thirteenth, and of those that routers make of a number.
    """
    target = SERVER_V6 if over_v6 else SERVER
    at = codec.header_bytes(target)
    with Desk(bytes(32)) as desk:
        probe = desk.send(protocol, target, 1)
        outstanding = desk.prober._outstanding
        local = (probe[6 if over_v6 else 9], desk.sent(1).keys[0][2])

        def believed(packet: bytearray) -> bool:
            outstanding._misses[local] = 8 if guessed_at else 0
            quote = parse_quote_v6(bytes(packet)) if over_v6 else parse_quote(bytes(packet))
            return quote is not None and outstanding.of_quote(quote) is not None

        def bits(packet: bytearray, word: int) -> float:
            true = int.from_bytes(probe[word : word + 2])
            swapped = true >> 8 | (true & 0xFF) << 8
            values = {*range(0, 1 << 16, 13), true, swapped, true + 1, swapped + 1}
            right = 0
            for value in values:
                packet[word : word + 2] = value.to_bytes(2)
                right += believed(packet)
            packet[word : word + 2] = probe[word : word + 2]
            return 16 - math.log2(right)

        holes = [(hole - at - 8, length) for hole, length in next(forgeries(protocol, 0, over_v6=over_v6)).holes]
        words = [word for hole, length in holes for word in range(hole + length % 2, hole + length, 2)]
        for size in range(1, len(words) + 1):
            choices = [(right, wrong_but(probe, words, right)) for right in itertools.combinations(words, size)]
            enough = [(right, packet) for right, packet in choices if believed(packet)]
            if enough:
                return min(round(sum(bits(packet, word) for word in right)) for right, packet in enough)
    return 0


def wrong_but(probe: bytes, words: Sequence[int], right: Sequence[int]) -> bytearray:
    """The head of `probe` with all of the `words` wrong that are not `right`."""
    packet = bytearray(probe[:80])
    for word in set(words) - set(right):
        packet[word] ^= 0x5A
        packet[word + 1] ^= 0x3C
    return packet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "over_v6", "trusting", "guessed_at"),
    [
        (Protocol.ICMP, False, 32, 32),
        (Protocol.TCP, False, 16, 32),
        (Protocol.UDP, False, 16, 30),
        (Protocol.QUIC, False, 16, 30),
        (Protocol.ICMP, True, 32, 96),
        (Protocol.TCP, True, 32, 32),
        (Protocol.UDP, True, 80, 80),
        (Protocol.QUIC, True, 80, 80),
    ],
)
def test_a_quote_must_be_right_in_this_many_bits(
    protocol: Protocol, trusting: int, guessed_at: int, *, over_v6: bool
) -> None:
    """The identity of each protocol, as docs/decisions/0013 says it: before anybody guesses, and from then on."""
    measured = [secret_bits(protocol, over_v6=over_v6, guessed_at=guessing) for guessing in (False, True)]
    if (protocol, over_v6) == (Protocol.QUIC, True):
        measured = [bits - 64 for bits in measured]  # its two connection ids are one number, there and back
    assert measured == [trusting, guessed_at]


@pytest.mark.parametrize("destination", [SERVER, SERVER_V6])
@pytest.mark.parametrize("protocol", Protocol)
def test_a_true_reply_played_again_stays_the_reply_to_its_probe(protocol: Protocol, destination: str) -> None:
    """A replay, at once or late, never counts for another probe of the flow, and not for ever for its own."""
    with Desk() as desk:
        packets = {token: desk.send(protocol, destination, token, ttl=token) for token in range(1, 6)}
        chance = random.Random(7)
        for _ in range(100):
            token = chance.randint(1, 5)
            over_v6 = ":" in destination
            quote = packets[token][: 72 if over_v6 else 28]
            body = (b"\3\0" if over_v6 else b"\x0b\0") + bytes(6) + quote
            if over_v6:
                found = desk.raw(codec.PROTOCOL_ICMPV6, body, "2001:db8:2::2", 63)
            else:
                found = desk.arrive(codec._ip(codec.Header("198.51.100.2", CLIENT, 63, 1), codec.PROTOCOL_ICMP, body))
            assert {owner for owner, _ in found} <= {token}
        assert len(desk.replies) == 5 * 8


#: Floods with forgeries until its standard input is closed, then prints how many it sent. Its argument is a file of
#: {"v4": [[packet in hex, [[hole, length], ...]], ...], "v6": ...}, the own address of each, and a rate.
_FLOOD = """
import json, os, select, socket, sys, time
plan = json.load(open(sys.argv[1]))
rate = float(sys.argv[2])
v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
arsenal = [(v4, bytearray.fromhex(p), h, (plan["own"][0], 0)) for p, h in plan["v4"]]
arsenal += [(v6, bytearray.fromhex(p), h, (plan["own"][1], 0)) for p, h in plan["v6"]]
began, sent = time.monotonic(), 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0] and time.monotonic() < began + 90:
    for sock, packet, holes, to in arsenal:
        for at, length in holes:
            packet[at:at + length] = os.urandom(length)
        try:
            sock.sendto(packet, to)
        except OSError:
            pass
        sent += 1
    time.sleep(max(0.0, sent / rate - (time.monotonic() - began)))
print(sent)
"""


class Flood:
    """Forged packets on their way; `sent` says how many there were, when it is over."""

    def __init__(self) -> None:
        self.sent = 0


@contextmanager
def flood(where: Namespace, arsenal: list[Forgery], folder: Path, rate: float) -> Iterator[Flood]:
    """Forged replies to the client from `where`, `rate` a second."""
    plan: dict[str, list[object]] = {"v4": [], "v6": [], "own": [CLIENT, "2001:db8:1::2"]}
    for forgery in arsenal:
        packet, holes = forgery.packet, forgery.holes
        if forgery.port:  # a datagram over IPv4, where the checksum may be 0 (RFC 768): none
            port = PORTS["quic" if forgery.kind.startswith("version") else "udp"]
            datagram = codec.UDP.pack(port, forgery.port, codec.UDP.size + len(packet), 0) + packet
            packet = codec._ip(codec.Header(SERVER, CLIENT, 60, 9), codec.PROTOCOL_UDP, datagram)
            holes = tuple((at + 28, length) for at, length in holes)
        plan["v6" if packet[0] >> 4 == 6 else "v4"].append((packet.hex(), holes))
    (folder / "plan").write_text(json.dumps(plan))
    words = where.command(sys.executable, "-c", _FLOOD, str(folder / "plan"), str(rate))
    flooding = Flood()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attacker:
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        try:
            assert attacker.stdout.readline() == b"ready\n"
            yield flooding
            attacker.stdin.close()
            flooding.sent = int(attacker.stdout.readline())
        finally:
            attacker.kill()


def truth(ttl: int, *, over_v6: bool) -> str:
    """Who is there."""
    return (*HOPS_V6, SERVER_V6)[ttl - 1] if over_v6 else (*HOPS, SERVER)[ttl - 1]


def resident() -> int:
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.packets
@pytest.mark.slow
@pytest.mark.usefixtures("inside")
def test_a_flood_of_forged_replies_changes_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows all but our secret and floods us learns nothing, changes no hop, starves nobody, fills nothing."""
    flows = [Flow(p, d, PORTS[p.value]) for p in Protocol for d in (SERVER, SERVER_V6)]
    with LiveVantage() as vantage:
        told: list[Reply] = []
        prober = vantage._prober
        assert isinstance(prober, Prober)
        emit = prober._emit

        def listen(token: int, at_s: float, reply: Reply) -> None:
            told.append(reply)
            emit(token, at_s, reply)

        monkeypatch.setattr(prober, "_emit", listen)
        for flow in flows:
            run(one(Traceroute(flow)), vantage)
        in_calm = len(told)
        arsenal = [
            forgery
            for flow in flows
            for forgery in forgeries(
                flow.protocol,
                next(int(s.keys[0][2]) for s in prober._outstanding._sent.values() if _is_of(s.keys, flow)),
                over_v6=":" in flow.destination,
            )
            if not (forgery.port and ":" in flow.destination)
        ]
        before = resident()
        # Whoever guesses misses first: until then a short key may be met by luck (0019 says how rarely). So he begins
        # when nothing is under way that he could meet.
        outstanding = prober._outstanding
        for token in list(outstanding._sent):
            outstanding.forget(token)
        with flood(network.first, arsenal, tmp_path, 5_000) as flooding:
            until = vantage.now() + 5.0
            while (
                sum(map(outstanding._guessed_at, list(outstanding._misses))) < len(Protocol) and vantage.now() < until
            ):
                vantage.receive(vantage.now() + 0.1)
            assert sum(map(outstanding._guessed_at, list(outstanding._misses))) >= len(Protocol)
            stormy = [run(one(Traceroute(flow, timeout_s=2.0, tries=4)), vantage) for flow in flows * 3]
            until = vantage.now() + 2.0
            while vantage.receive(until):
                pass
        grown = resident() - before
    assert flooding.sent > 2_000
    assert not [reply for reply in told if reply.ttl in FLOOD_TTLS]
    hops = [hop for way in stormy for hop in way.hops]
    answered = [hop for hop in hops if hop.addresses]
    assert all(hop.addresses == (truth(hop.ttl, over_v6=":" in hop.addresses[0]),) for hop in answered)
    assert all(way.reached and len(way.hops) == 3 for way in stormy)
    assert len(answered) >= 0.95 * len(hops), "a machine that is busy with other things may miss one"
    assert len(told) - in_calm <= 12 * in_calm
    assert grown < 16 << 20


def _is_of(keys: tuple[tuple[str | int, ...], ...], flow: Flow) -> bool:
    kind = {Protocol.ICMP: "icmp", Protocol.TCP: "tcp", Protocol.ACK: "ack"}.get(flow.protocol, "udp")
    return keys[0][0] == kind and keys[0][1] == flow.destination
