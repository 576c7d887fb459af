"""A small network for tests: client - r1 - r2 - r3 - r4 - server, no jitter, no loss, every delay known.

Built of records, so that a test says only what is different about its own.
"""

from typing import Any

import msgspec

from netprobe.sim.packet import ECHO, TCP, UDP, Packet
from netprobe.sim.records import (
    Client,
    Entry,
    Expect,
    Fault,
    Link,
    Match,
    Resolver,
    Route,
    Router,
    Scenario,
    Server,
)

CLIENT = "192.168.1.23"
SERVER = "23.50.131.10"
RESOLVER = "194.25.2.129"
ROUTERS = ("192.168.1.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
CLIENT_V6 = "2001:db8:1::23"
SERVER_V6 = "2001:db8:ed::10"
RESOLVER_V6 = "2001:db8:53::53"
ROUTERS_V6 = ("2001:db8:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:4::1")

_LINE = Scenario(
    name="line",
    sentence="A line of four routers.",
    expect=Expect("none", "none.app_device"),
    client=Client(f"{CLIENT}/24", "r1", (ROUTERS[0],)),
    routers=tuple(
        Router(f"r{n}", address, icmp_delay_ms=0.2, icmp_jitter_ms=0.0) for n, address in enumerate(ROUTERS, 1)
    ),
    links=(
        Link(("client", "r1"), 1.0),
        Link(("r1", "r2"), 2.0),
        Link(("r2", "r3"), 3.0),
        Link(("r3", "r4"), 4.0),
    ),
    servers=(
        Server("edge", (SERVER, "23.50.131.11"), "r4", serves=("*.tiktok.com",), headers={"server": "Edge"}),
        Server("other", ("93.184.216.34",), "r4", serves=("www.example.com",), initial_ttl=128),
    ),
    resolvers=(
        Resolver("forwarder", ROUTERS[0], "r1", upstream="provider"),
        Resolver("provider", RESOLVER, "r2"),
    ),
    routes=(Route("203.0.113.0/24", "r3"), Route("198.51.100.0/24", "r3", silent=True)),
    names={
        "www.tiktok.com": Entry((SERVER,), "www.tiktok.com.edge.net"),
        "www.example.com": Entry(("93.184.216.34",)),
    },
)


def line(*faults: Fault, **changes: Any) -> Scenario:
    """The network with `faults`, and with the fields of `changes` instead of its own."""
    return msgspec.structs.replace(_LINE, faults=faults, **changes)


def dual(*faults: Fault, **changes: Any) -> Scenario:
    """The same network with IPv6 beside IPv4, on all nodes but the server `other`."""
    replace = msgspec.structs.replace
    edge, other = _LINE.servers
    forwarder, provider = _LINE.resolvers
    whole = replace(
        _LINE,
        faults=faults,
        client=replace(_LINE.client, address6=f"{CLIENT_V6}/64"),
        routers=tuple(replace(r, address6=a) for r, a in zip(_LINE.routers, ROUTERS_V6, strict=True)),
        servers=(replace(edge, addresses=(*edge.addresses, SERVER_V6)), other),
        resolvers=(replace(forwarder, address6=ROUTERS_V6[0]), replace(provider, address6=RESOLVER_V6)),
        routes=(*_LINE.routes, Route("2001:db8:aaaa::/48", "r3"), Route("2001:db8:bbbb::/48", "r3", silent=True)),
        names=_LINE.names | {"www.tiktok.com": Entry((SERVER,), "www.tiktok.com.edge.net", aaaa=(SERVER_V6,))},
    )
    return replace(whole, **changes)


def fault(kind: str, *at: str, match: dict[str, Any] | None = None, **keys: Any) -> Fault:
    """A fault as a file would say it."""
    return Fault(kind, at, match=msgspec.convert(match or {}, Match), **keys)


def source_of(destination: str) -> str:
    """The client's address for what goes there."""
    return CLIENT_V6 if ":" in destination else CLIENT


def echo(destination: str = SERVER, ttl: int = 64, number: int = 1, size: int = 0) -> Packet:
    """An echo request of the client."""
    return Packet(
        source_of(destination), destination, ttl=ttl, icmp_type=ECHO, icmp_code=0, icmp_seq=number, payload=bytes(size)
    )


def segment(destination: str = SERVER, ttl: int = 64, port: int = 443, **fields: Any) -> Packet:
    """A TCP segment of the client."""
    return Packet(source_of(destination), destination, ttl, TCP, source_port=4000, destination_port=port, **fields)


def datagram(destination: str = RESOLVER, ttl: int = 64, port: int = 53, payload: bytes = b"") -> Packet:
    """A datagram of the client."""
    return Packet(
        source_of(destination), destination, ttl, UDP, source_port=5000, destination_port=port, payload=payload
    )
