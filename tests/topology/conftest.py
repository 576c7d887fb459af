"""Paths written as rows of addresses."""

from collections.abc import Callable, Sequence

import pytest

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind

Trace = Callable[..., Path]


def _hop(ttl: int, address: str, kind: ReplyKind) -> Hop:
    reply = Reply(kind, address, 0.01 * ttl, icmp_type=11, icmp_code=0) if address else None
    return Hop(ttl, (Exchange(ttl, ttl, 0.0, reply),))


@pytest.fixture
def trace() -> Trace:
    """Make a path from who answered, empty for a silent hop; the destination follows where it was `reached`."""

    def make(addresses: Sequence[str], destination: str = "23.50.131.10", *, reached: bool = True) -> Path:
        hops = [_hop(ttl, address, ReplyKind.TIME_EXCEEDED) for ttl, address in enumerate(addresses, 1)]
        if reached:
            hops.append(_hop(len(hops) + 1, destination, ReplyKind.SYN_ACK))
        return Path(Flow(Protocol.TCP, destination, 443), tuple(hops), reached, 0.02 if reached else None)

    return make
