"""What is asked over IPv6: which addresses, of whom, and the ways to what is silent."""

import pytest

from netprobe.model.probes import Exchange, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Lookup
from netprobe.model.targets import Control, Platform, Target
from netprobe.probing import over_v6

TARGETS = (
    Target("www.tiktok.com", "web", "akamai", essential=True),
    Target("m.tiktok.com", "web", "akamai"),
    Target("v19.tiktokcdn.com", "video", "fastly"),
    Target("api-h2.tiktokv.com", "api", "own"),
)
CONTROLS = (
    Control("one.one.one.one", "cloudflare", "1.1.1.1", address_v6="2606:4700:4700::1111"),
    Control("dns.example", "example", "192.0.2.1"),
    Control("www.wikipedia.org", "wikimedia"),
    Control("www.google.com", "google"),
    Control("www.apple.com", "apple"),
)
PLATFORM = Platform("TikTok", TARGETS, CONTROLS, zones=("tiktok.com",))
OURS = "192.168.1.1"


def aaaa(name: str, *addresses: str, purpose: str = "lookup.platform.aaaa") -> Observation:
    """The own resolver's answer."""
    return Observation(0.1, purpose, name, Answer(Lookup(name, OURS, "AAAA"), "NOERROR", addresses, responses=1))


def train(what: str, name: str, address: str, *, answered: bool) -> Observation:
    """Three SYNs."""
    reply = Reply(ReplyKind.SYN_ACK, address, 0.02) if answered else None
    return Observation(1.0, f"{what}.train", name, Train(Protocol.TCP, address, 443, (Exchange(64, 0, 1.0, reply),)))


def subjects(sessions: object) -> list[tuple[str, str]]:
    """Purposes and subjects of what would be asked."""
    return [(s._purpose, s._subject) for s in sessions]  # type: ignore[attr-defined]


def test_every_name_is_asked_once_at_the_first_resolver() -> None:
    """All names of the platform and few others; without a resolver nothing."""
    asked = subjects(over_v6.lookups(PLATFORM, TARGETS, (OURS, "8.8.8.8")))
    assert asked == [
        *(("lookup.platform.aaaa", target.name) for target in TARGETS),
        ("lookup.control.aaaa", "www.wikipedia.org"),
        ("lookup.control.aaaa", "www.google.com"),
    ]
    assert subjects(over_v6.lookups(PLATFORM, TARGETS, ())) == []
    assert subjects(over_v6.anycast_controls(CONTROLS)) == [("v6.control.train", "one.one.one.one")]


def test_one_address_a_name_and_each_address_once() -> None:
    """What an app would try first; different vendors before more of one."""
    found = [
        aaaa("www.tiktok.com", "2a02:26f0::10", "2a02:26f0::11"),
        aaaa("m.tiktok.com", "2a02:26f0::10"),
        aaaa("v19.tiktokcdn.com", "2a04:4e42::73"),
        aaaa("api-h2.tiktokv.com"),
    ]
    edges = over_v6.find_edges(TARGETS, found)
    assert sorted((e.name, e.address, e.resolver) for e in edges) == [
        ("v19.tiktokcdn.com", "2a04:4e42::73", OURS),
        ("www.tiktok.com", "2a02:26f0::10", OURS),
    ]


@pytest.mark.parametrize(
    "address",
    ["fe80::1", "fe80::1%eth0", "fd00::1", "::1", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "2001:db8::1", "2001::1",
     "2002:7f00:1::1", "ff02::1", "64:ff9b::127.0.0.1", "100::1", "fec0::1", "1.2.3.4", "rubbish", ""],
)  # fmt: skip
def test_no_server_can_be_there(address: str) -> None:
    """What a hostile answer leads to, home, to this machine, or nowhere, is not asked anything; the next address is."""
    found = [aaaa("www.tiktok.com", address), aaaa("m.tiktok.com", address, "2a02:26f0::10")]
    assert [e.address for e in over_v6.find_edges(TARGETS, found)] == ["2a02:26f0::10"]
    found = [aaaa("www.google.com", address, purpose="lookup.control.aaaa")]
    assert over_v6.find_controls(CONTROLS, found) == []


def test_ways_are_traced_only_where_something_is_silent() -> None:
    """Edges and controls by turns, one a network, and one that answers to compare with."""
    good = [train("v6.edge", "www.tiktok.com", "2a02:26f0::10", answered=True)]
    assert subjects(over_v6.paths(good)) == []
    bad = [
        train("v6.control", "one.one.one.one", "2606:4700:4700::1111", answered=False),
        train("v6.control", "www.google.com", "2a00:1450::1", answered=False),
        train("v6.edge", "v19.tiktokcdn.com", "2a04:4e42::73", answered=False),
        train("v6.edge", "v19.byteicdn.com", "2a04:4e42::74", answered=False),
    ]
    assert subjects(over_v6.paths([*good, *bad])) == [
        ("v6.edge.path", "v19.tiktokcdn.com"),
        ("v6.control.path", "one.one.one.one"),
        ("v6.control.path", "www.google.com"),
        ("v6.edge.path", "www.tiktok.com"),
    ]


def counted(*found: Observation) -> list[tuple[str, str]]:
    """What would be asked to count losses over IPv6, until the first answer is needed."""
    edges = over_v6.find_edges(TARGETS, [aaaa("www.tiktok.com", "2a02:26f0::10")])
    return subjects(next(over_v6.count(found, edges, ()), []))


def some_of(what: str, name: str, address: str, *, lost: int, of: int) -> Observation:
    """A train of which some got lost."""
    reply = Reply(ReplyKind.SYN_ACK, address, 0.02)
    exchanges = tuple(Exchange(64, n, 1.0, None if n < lost else reply) for n in range(of))
    return Observation(1.0, what, name, Train(Protocol.TCP, address, 443, exchanges))


def test_losses_are_counted_where_some_were_seen_over_ipv6_alone() -> None:
    """Nothing is counted where nothing is lost, nor where IPv4 loses as well."""
    clean = some_of("v6.edge.train", "www.tiktok.com", "2a02:26f0::10", lost=0, of=3)
    lossy = some_of("v6.edge.train", "www.tiktok.com", "2a02:26f0::10", lost=2, of=3)
    over_v4 = some_of("edge.loss", "www.tiktok.com", "23.50.131.10", lost=12, of=50)
    assert counted(clean) == []
    assert counted(lossy, over_v4) == []
    assert counted(lossy) == [("edge.path", "www.tiktok.com"), ("edge.loss", "www.tiktok.com")]
