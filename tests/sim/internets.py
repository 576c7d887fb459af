"""Small internets for tests of routes between networks: a fixed one, drawn ones, and what a traceroute sees in each.

    client - home - i1 - i2 -+- a1 -+- o1 - o2 - owner
                             |      +- c1 -+
                             +- b1 --------+- other

The owner's network (o1, o2) is behind a1 alone; c1 is a customer of both a1 and b1.
"""

import random
from typing import NamedTuple

from netprobe.sim import packet as ip
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Client, Expect, Fault, Link, Route, Router, Scenario, Server

OWNER, OTHER, CLIENT = "203.0.113.10", "198.18.5.10", "192.168.1.23"
PREFIX = "203.0.113.0/24"
OWNER_V6, OTHER_V6, CLIENT_V6 = "2001:db8:51::10", "2001:db8:b1::10", "2001:db8:c::23"
PREFIX_V6 = "2001:db8:51::/48"
_PLACES = (
    ("home", "192.168.1.1", 0),
    ("i1", "10.1.0.1", 64500),
    ("i2", "10.1.0.2", 64500),
    ("a1", "10.2.0.1", 64501),
    ("b1", "10.3.0.1", 64502),
    ("c1", "10.4.0.1", 64503),
    ("o1", "10.5.0.1", 64510),
    ("o2", "203.0.113.1", 64510),  # in what it announces
)
_LINKS = (
    ("client", "home", 0.5),
    ("home", "i1", 2.0),
    ("i1", "i2", 1.0),
    ("i2", "a1", 1.0),
    ("i2", "b1", 2.0),
    ("a1", "o1", 3.0),
    ("o1", "o2", 0.5),
    ("a1", "c1", 2.0),
    ("b1", "c1", 1.5),
)


#: In the same order; the owner's second router is in what it announces.
_PLACES_V6 = (
    "2001:db8:c::1",
    "2001:db8:1:1::1",
    "2001:db8:1:2::1",
    "2001:db8:a1::1",
    "2001:db8:b1::1",
    "2001:db8:c1::1",
    "2001:db8:5::1",
    "2001:db8:51::1",
)


class Answer(NamedTuple):
    """Who answers, with which ICMP type and code; an echo reply is (0, 0)."""

    source: str
    kind: int
    code: int


def internet(*faults: Fault, default: str = "") -> Scenario:
    """The fixed one with `faults`; `default` is the router that addresses of nobody are sent to."""
    return Scenario(
        name="internet",
        sentence="Five networks and a home.",
        expect=Expect("none", "none.app_device"),
        client=Client(f"{CLIENT}/24", "home", (), address6=f"{CLIENT_V6}/64"),
        routers=tuple(
            Router(name, address, asn, icmp_jitter_ms=0.0, address6=address6)
            for (name, address, asn), address6 in zip(_PLACES, _PLACES_V6, strict=True)
        ),
        links=tuple(Link((one, other), delay) for one, other, delay in _LINKS),
        servers=(
            Server("owner", (OWNER, OWNER_V6), "o2", asn=64510, serves=("www.tiktok.com",)),
            Server("other", (OTHER, OTHER_V6), "b1", asn=64502, serves=("www.example.com",)),
        ),
        routes=(Route("0.0.0.0/0", default), Route("::/0", default)) if default else (),
        faults=faults,
    )


def drawn(seed: int) -> Scenario:
    """One of nine networks of one or two routers each, at random; two of them announce what a third owns."""
    draw = random.Random(seed)  # a model
    routers = [Router("home", "192.168.1.1"), Router("r0", "10.0.0.1", 64600)]
    links = [Link(("client", "home"), 1.0), Link(("home", "r0"), 1.0)]
    for number in range(1, 14):
        near = draw.choice(routers[1:])
        asn = near.asn if draw.random() < 0.3 else 64600 + number
        routers.append(Router(f"r{number}", f"10.0.{number}.1", asn))
        links.append(Link((near.name, f"r{number}"), draw.choice((1.0, 2.0, 5.0))))
    for _ in range(8):
        one, other = draw.sample([router.name for router in routers[1:]], 2)
        if not any({one, other} == set(link.ends) for link in links):
            links.append(Link((one, other), draw.choice((1.0, 2.0, 5.0))))
    owner, *others = draw.sample(routers[2:], 8)
    thief, leaker = [router.name for router in others if router.asn != owner.asn][:2]
    return Scenario(
        name=f"internet-{seed}",
        sentence="Networks at random.",
        expect=Expect("none", "none.app_device"),
        client=Client(f"{CLIENT}/24", "home", ()),
        routers=tuple(routers),
        links=tuple(links),
        servers=(Server("owner", (OWNER, "198.51.100.10"), owner.name, asn=owner.asn),),
        faults=(Fault("hijack", (thief,), prefix=(PREFIX,)), Fault("leak", (leaker,), prefix=("198.51.100.0/24",))),
    )


def answers(scenario: Scenario, address: str, now: float = 0.5, most: int = 16) -> list[Answer | None]:
    """What a traceroute sees in virtual time, hop by hop; None for silence. It ends with what is no time exceeded."""
    network = Network(scenario, 1)
    found: list[Answer | None] = []
    for ttl in range(1, most + 1):
        own = CLIENT_V6 if ":" in address else CLIENT
        echo = Packet(own, address, ttl, icmp_type=ip.ECHO, icmp_code=0, icmp_ident=7, icmp_seq=ttl)
        network.inject(echo, "client", now)
        answer = None
        while answer is None and network.next_at() is not None:
            for delivery in network.advance(network.next_at() or 0.0):
                packet = delivery.packet
                if delivery.node == "client":
                    answer = Answer(packet.source, packet.icmp_type, packet.icmp_code)
                else:
                    back = Packet(address, own, icmp_type=ip.ECHO_REPLY, icmp_code=0, icmp_ident=7, icmp_seq=ttl)
                    network.inject(back, "servers", delivery.at_s)
        found.append(answer)
        if answer is not None and answer.kind != ip.TIME_EXCEEDED:
            break
    return found


#: What traceroute(8) says of an unreachable, and its code.
_FLAGS = {"!H": ip.HOST_UNREACHABLE, "!N": ip.NET_UNREACHABLE}


def traceroute(text: str, address: str) -> list[Answer | None]:
    """The same from what `traceroute -n -I -q 1` prints."""
    found: list[Answer | None] = []
    for words in (line.split() for line in text.splitlines()[1:]):
        if words[1] == "*":
            found.append(None)
        elif words[-1] in _FLAGS:
            found.append(Answer(words[1], ip.UNREACHABLE, _FLAGS[words[-1]]))
        else:
            found.append(Answer(words[1], 0 if words[1] == address else ip.TIME_EXCEEDED, 0))
    return found
