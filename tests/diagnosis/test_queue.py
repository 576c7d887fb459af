"""What is said of round trips that change: a queue in front of the line, one at a crossing, and what only looks alike."""

from dataclasses import replace

import pytest
from msgspec import structs

from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.queue import queue
from netprobe.model.host import HostState
from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from tests.diagnosis.picture import BEHIND_A, EDGES, HOME, Picture, origin
from tests.diagnosis.waiting import delays


def said(closer: tuple[Observation, ...], latency_s: float = 0.01) -> str:
    """The signal's state."""
    picture = replace(Picture(), closer=closer, latency_s=latency_s)
    finding = queue(View(Facts(picture.observations(), picture.platform, origin)))
    return finding.state if finding else ""


@pytest.mark.parametrize(
    ("closer", "latency_s", "state"),
    [
        ((), 0.01, "none"),
        (delays(0.3), 0.3, "line"),
        (delays(0.15, lost=4), 0.15, "line_lossy"),
        (delays(0.6, 0.001), 0.6, "far"),  # a satellite: far away, and always as far
        (delays(0.3, 0.0, noise_s=0.03), 0.3, "far"),  # a radio, whose delays differ from packet to packet
        (delays(0.3, 0.03, noise_s=0.03), 0.3, "line"),  # a queue behind it, which all stand in
        (delays(0.3), 0.02, "none"),  # a router beyond the home is near: nothing waits in front of it
        (delays(0.08, 0.06, *BEHIND_A, lost=8), 0.01, "some"),
        (delays(0.02, 0.0, *BEHIND_A, lost=8), 0.01, "alike"),  # lost, and not late
    ],
)
def test_each_queue_where_it_is(closer: tuple[Observation, ...], latency_s: float, state: str) -> None:
    """Who waits, and for how long, says where."""
    assert said(closer, latency_s) == state


def said_at_home(closer: tuple[Observation, ...], *, wireless: bool, but: type[Path] | tuple[()] = ()) -> str:
    """The same behind a home router that ignores pings, over a radio or a cable; without what was seen of kind `but`."""
    pings = ("gateway", "gateway.delay")
    picture = replace(Picture(), closer=closer, latency_s=0.3)
    observations = [
        structs.replace(o, fact=_over(o.fact, wireless=wireless)) if isinstance(o.fact, HostState) else o
        for o in picture.observations()
        if o.purpose not in pings and not isinstance(o.fact, but)
    ]
    finding = queue(View(Facts(observations, picture.platform, origin)))
    return finding.state if finding else ""


def _over(host: HostState, *, wireless: bool) -> HostState:
    return structs.replace(host, links=tuple(structs.replace(link, wireless=wireless) for link in host.links))


@pytest.mark.parametrize(("wireless", "state"), [(False, "line"), (True, "waits")])
def test_a_home_router_that_is_silent(wireless: bool, state: str) -> None:  # noqa: FBT001  # a parameter of the test
    """A cable has no queue worth the name; in front of a radio one may stand as well as behind it."""
    assert said_at_home(delays(0.3), wireless=wireless, but=Path) == state


def test_what_a_silent_home_router_says_of_expired_packets_counts() -> None:
    """It ignores pings, and answers at TTL 1 within a millisecond."""
    flow = Flow(Protocol.TCP, EDGES[0], 443)
    hops = (Hop(1, (Exchange(1, 1, 20.0, Reply(ReplyKind.TIME_EXCEEDED, HOME, 0.001)),)),)
    way = Observation(20.0, "edge.delay.path", "www.tiktok.com", Path(flow, hops, reached=True))
    assert said_at_home((*delays(0.3), way), wireless=True) == "line"


def test_what_some_places_lose_is_not_lost_on_the_line_that_all_share() -> None:
    """Everything is far away (a satellite), times differ by chance, and a carrier loses: the line is not full."""
    seen = delays(0.6, 0.0, noise_s=0.02)
    lossy = [o for o in seen if isinstance(o.fact, Train) and o.fact.destination in BEHIND_A]
    assert said(tuple(_losing(o, 3) if o in lossy else o for o in seen), 0.6) == "far"
    assert said(tuple(_losing(o, 8) if isinstance(o.fact, Train) and o.fact.port else o for o in seen), 0.6) == (
        "line_lossy"
    )


def _losing(o: Observation, every: int) -> Observation:
    """One of so many answers is missing."""
    assert isinstance(o.fact, Train)
    kept = tuple(structs.replace(x, reply=None) if n % every == 0 else x for n, x in enumerate(o.fact.exchanges))
    return structs.replace(o, fact=structs.replace(o.fact, exchanges=kept))
