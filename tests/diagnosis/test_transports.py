"""Names over several transports and at their own servers: who answers falsely, and who is blamed by it."""

import pytest

from netprobe.diagnosis import signals
from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.pattern import View
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Handshake, Handshaken, Lookup, Transport
from netprobe.probing import names_again, zones
from tests.diagnosis.picture import HOME, NAMES, PLATFORM, TARGETS, Picture, origin

NAME, PUBLIC = next(iter(TARGETS)), "8.8.8.8"
RIGHT, FALSE, NOWHERE = NAMES[NAME], "198.18.7.7", "127.0.0.1"


def again(
    transport: Transport, *addresses: str, rcode: str = "NOERROR", at: str = PUBLIC, rtt_s: float = 0.02
) -> Observation:
    """What the name was answered with; empty `rcode`: nothing came."""
    asked = Lookup(NAME, at, transport=transport)
    error = "" if rcode else "timeout"
    shaken = Handshaken(Handshake(at), "done", connect_s=0.02) if transport is not Transport.UDP else None
    said = Answer(asked, rcode, addresses, rtt_s=rtt_s if rcode else None, error=error, connection=shaken)
    return Observation(2.0, names_again.AGAIN, NAME, said)


def direct(transport: Transport, *addresses: str, rcode: str = "NOERROR") -> Observation:
    """What the zone's own server says."""
    said = Answer(Lookup(NAME, "71.0.0.53", transport=transport, recursive=False), rcode, addresses)
    return Observation(3.0, zones.LOOKUP, NAME, said)


def state(signal: str, picture: Picture, *seen: Observation) -> str:
    """What the signal says of what the picture shows and `seen` beside."""
    view = View(Facts([*picture.observations(), *seen], PLATFORM, origin))
    judge = next(s.judge for s in signals.SIGNALS if s.id == signal)
    finding = judge(view)
    return finding.state if finding else ""


GOOD = Picture()
DENIED = Picture(answers={(HOME, "platform"): Answer(Lookup("", ""), "NXDOMAIN", rtt_s=0.02)})
SECURE = (again(Transport.TLS, RIGHT), again(Transport.HTTPS, RIGHT))
PLAIN = again(Transport.UDP, RIGHT)


@pytest.mark.parametrize(
    ("expected", "picture", "seen"),
    [
        ("", GOOD, ()),
        ("same", GOOD, (PLAIN, *SECURE)),
        ("forged", GOOD, (again(Transport.UDP, NOWHERE), *SECURE)),
        ("forged", GOOD, (again(Transport.UDP, rcode="NXDOMAIN"), *SECURE)),
        ("forged", GOOD, (again(Transport.UDP, FALSE), *SECURE)),  # nobody serves it there, and somebody does here
        ("forged", GOOD, (again(Transport.UDP, NOWHERE), SECURE[0])),  # one of the two is enough
        ("same", GOOD, (again(Transport.UDP, rcode=""), *SECURE)),  # a filter of port 53 forges nothing
        ("own_lies", DENIED, (PLAIN, *SECURE)),
        ("own_lies", DENIED, (PLAIN, *SECURE, again(Transport.TCP, rcode="NXDOMAIN", at=HOME))),
        ("forged_own", DENIED, (PLAIN, *SECURE, again(Transport.TCP, RIGHT, at=HOME))),
        ("nobody", GOOD, (again(Transport.TLS, rcode="SERVFAIL"), again(Transport.HTTPS, rcode="SERVFAIL"))),
        ("blocked", GOOD, (PLAIN, again(Transport.TLS, rcode=""), again(Transport.HTTPS, rcode=""))),
        ("", GOOD, (again(Transport.UDP, rcode=""), again(Transport.TLS, rcode=""))),
    ],
)
def test_what_the_transports_say(expected: str, picture: Picture, seen: tuple[Observation, ...]) -> None:
    """Connections that prove who answers are the measure of all others."""
    assert state("dns.transports", picture, *seen) == expected


def test_addresses_that_differ_prove_nothing() -> None:
    """A name has many addresses: where both serve it, neither is false."""
    elsewhere = again(Transport.UDP, FALSE)
    served = GOOD.observations()
    there = [o for o in served if o.purpose == "edge.fetch" and o.subject == NAME]
    assert there, "the picture serves it"
    assert state("dns.transports", GOOD, again(Transport.UDP, RIGHT), again(Transport.TLS, FALSE)) == "same"
    assert state("dns.transports", Picture(silent=(RIGHT,)), elsewhere, *SECURE) == "same"


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("", ()),
        ("answers", (direct(Transport.TCP, RIGHT), direct(Transport.UDP, rcode="NXDOMAIN"))),
        ("fails", (direct(Transport.TCP, rcode="SERVFAIL"), direct(Transport.UDP, RIGHT))),
        ("fails", (direct(Transport.TCP, rcode="NXDOMAIN"),)),
        ("silent", (direct(Transport.TCP, rcode=""), direct(Transport.UDP, rcode=""))),
        ("unclear", (direct(Transport.TCP, rcode=""), direct(Transport.UDP, rcode="NXDOMAIN"))),
    ],
)
def test_what_the_zones_servers_say(expected: str, seen: tuple[Observation, ...]) -> None:
    """By TCP, because a datagram may be anybody's."""
    told = Answer(Lookup("tiktok.com", PUBLIC, "NS"), "NOERROR", servers=("ns1.example",))
    assert state("dns.zone", GOOD, Observation(2.0, zones.SERVERS, "tiktok.com", told), *seen) == expected


def test_whose_servers_nobody_tells_is_not_judged() -> None:
    """Silence of an address that nobody vouches for says nothing."""
    assert state("dns.zone", GOOD, direct(Transport.TCP, rcode="")) == ""
