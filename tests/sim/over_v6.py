"""What is measured to compare the fidelities over IPv6: each kind of check at the addresses that are given.

Run inside a simulated network with real packets it prints what it saw as JSON: `over_v6.py RESOLVER NAME ADDRESS ...`.
"""

import sys
from collections.abc import Iterator
from typing import Any

from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Protocol
from netprobe.model.record import Record, to_json
from netprobe.model.report import AnyFact
from netprobe.model.services import Fetch, Handshake, Lookup
from netprobe.probing.ask import Ask
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.port import Vantage
from netprobe.probing.run import Session, one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession


class Seen(Record, frozen=True):
    """Facts in the order in which they were asked for."""

    facts: tuple[AnyFact, ...]


def sessions(resolver: str, name: str, addresses: list[str]) -> Iterator[Session[Any]]:
    """A lookup of both kinds of addresses, and of each address whether, how and with what it answers."""
    for kind in ("A", "AAAA"):
        yield Ask(Lookup(name, resolver, record_type=kind, timeout_s=2.0))
    for address in addresses:
        yield TrainSession(Protocol.ICMP, address, count=2)
        yield TrainSession(Protocol.TCP, address, port=443, count=2)
        for protocol, port in ((Protocol.ICMP, 0), (Protocol.TCP, 443), (Protocol.UDP, 33434)):
            yield Traceroute(Flow(protocol, address, port), max_ttl=16, timeout_s=0.7)
        yield PathMtuSession(Flow(Protocol.ICMP, address), timeout_s=0.7)
        yield Ask(Handshake(address, 443, name, timeout_s=3.0))
        yield Ask(Fetch(Handshake(address, 443, name, timeout_s=3.0)))


def measure(vantage: Vantage, resolver: str, name: str, addresses: list[str]) -> Seen:
    """All of it, one after the other."""
    return Seen(tuple(run(one(session), vantage) for session in sessions(resolver, name, addresses)))


if __name__ == "__main__":
    with LiveVantage() as live:
        sys.stdout.buffer.write(to_json(measure(live, sys.argv[1], sys.argv[2], sys.argv[3:])))
