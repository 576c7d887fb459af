"""Run inside a simulated network with real packets: each request over each link, what came of it as JSON lines.

python over_links.py raw|unprivileged ADDRESS NAME RESOLVER
"""

import json
import sys
from collections.abc import Iterator

from netprobe.live import ladder
from netprobe.live.reactor import Reactor
from netprobe.live.unprivileged import UnprivilegedProber
from netprobe.live.vantage import LiveVantage
from netprobe.model.host import HostState, Inspect
from netprobe.model.probes import Flow, Probe, Protocol, Reply
from netprobe.model.services import Answer, Fetch, Handshake, Lookup, Response
from netprobe.probing.port import Asked, Over, Request

LINKS = ("", "eth0", "wwan0", "wwan9")
WAIT_S = 3.0


def said(outcome: object) -> object:
    """The part of an outcome that tells by which way it came."""
    match outcome:
        case Reply():
            return outcome.error or [outcome.kind.value, outcome.source]
        case Response():
            return outcome.status or outcome.handshaken.detail
        case Answer():
            return list(outcome.addresses) or outcome.error
        case HostState():
            return [[u.link, u.gateway, u.metric] for u in outcome.uplinks]
    return str(outcome)


def requests(address: str, name: str, resolver: str) -> Iterator[tuple[str, Asked]]:
    """What is asked over each link: who is first on the way, by two kinds of probes, a page, a name."""
    for protocol, port in ((Protocol.ICMP, 0), (Protocol.TCP, 443), (Protocol.UDP, 33434)):
        yield protocol.value, Probe(Flow(protocol, address, port), ttl=1)
    yield "page", Fetch(Handshake(address, 443, name))
    yield "name", Lookup(name, resolver)


def by_vantage(asked: list[tuple[str, Asked]]) -> None:
    """Over raw sockets, pages and names over those of the kernel."""
    with LiveVantage() as vantage:
        tokens: dict[int, list[str]] = {}
        for link in LINKS:
            for what, request in asked:
                whole: Request = Over(link, request) if link else request
                tokens[vantage.send(whole)] = [link, what]
        tokens[vantage.send(Inspect())] = ["", "host"]
        until = vantage.now() + WAIT_S
        while event := vantage.receive(until):
            print(json.dumps([*tokens[event.token], said(event.outcome)]))


def by_sockets(asked: list[tuple[str, Asked]]) -> None:
    """Probes over sockets that everybody may open."""
    reactor = Reactor()
    tokens: dict[int, list[str]] = {}

    def emit(token: int, _: float, reply: Reply) -> None:
        print(json.dumps([*tokens[token], said(reply)]))

    prober = UnprivilegedProber(reactor, emit, ladder.unprivileged_footing())
    for link in LINKS:
        for what, request in asked:
            if isinstance(request, Probe):
                tokens[len(tokens)] = [link, what]
                prober.send(request, len(tokens) - 1, reactor.now(), link)
    until = reactor.now() + WAIT_S
    while reactor.now() < until:
        reactor.turn(until)
    prober.close()
    reactor.close()


if __name__ == "__main__":
    {"raw": by_vantage, "unprivileged": by_sockets}[sys.argv[1]](list(requests(*sys.argv[2:5])))
