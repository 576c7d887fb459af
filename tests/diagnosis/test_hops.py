"""Loss is placed by the hops of the way that loses: the last that answers nearly all stands before it."""

from collections.abc import Mapping

import pytest
from msgspec import structs

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.topology.asn import Origin
from tests.diagnosis.picture import EVERYTHING, HOME, ISP, PLATFORM, VIA_B, Picture, losses, origin, rates
from tests.diagnosis.test_causes import CAUSES

LOSSY, NAME = "151.0.1.10", "video.tiktokcdn.com"  # alone in its network
OWN_WAY = ("62.0.1.1", "62.0.1.2", "62.0.1.3")  # routers of a transit network that nobody else goes through
DOOR = "151.0.0.1"  # the first router of the network that loses
SCRUBBER = "72.0.0.1"
CLEAN, HALF, FEW = 0, 15, 48  # of 60 probes to a hop: none lost, as many as to the destination, a limiter

healthy = CAUSES["none.app_device"]


def counted(lost: Mapping[str, int], routers: tuple[str, ...]) -> Observation:
    """The hops of the way through `routers` to the lossy place, sixty probes to those in `lost`."""
    hops = []
    for ttl, router in enumerate(routers, 1):
        told = Reply(ReplyKind.TIME_EXCEEDED, router, 0.01, icmp_type=11, icmp_code=0)
        sent = 60 if router in lost else 1
        exchanges = tuple(Exchange(ttl, n, 0.2 * n, None if n < lost.get(router, 0) else told) for n in range(sent))
        hops.append(Hop(ttl, exchanges if router else (Exchange(ttl, 1, 1.0),)))
    end = Hop(len(routers) + 1, (Exchange(len(routers) + 1, 1, 1.0, Reply(ReplyKind.SYN_ACK, LOSSY, 0.02)),))
    path = Path(Flow(Protocol.TCP, LOSSY, 443), (*hops, end), reached=True, rtt_s=0.02)
    return Observation(30.0, "edge.loss.path", NAME, path)


def syns_lost(lost: int = 15, sent: int = 60) -> Observation:
    """SYNs to the lossy place, some never answered: no server limits those."""
    reply = Reply(ReplyKind.SYN_ACK, LOSSY, 0.02)
    exchanges = tuple(Exchange(64, n, 20.0 + 0.2 * n, None if n < lost else reply) for n in range(sent))
    return Observation(20.0, "edge.loss", NAME, Train(Protocol.TCP, LOSSY, 443, exchanges))


def picture(lost: Mapping[str, int], *via: str, routers: tuple[str, ...] = ()) -> Picture:
    """One place loses a quarter, all others nothing; its way leads through `via` behind the provider."""
    way = routers or (HOME, *ISP, *via)
    elsewhere = [o for o in losses(lost=0) if not isinstance(o.fact, Train) or o.fact.destination != LOSSY]
    return healthy.but(ways={LOSSY: way}, closer=(*elsewhere, syns_lost(), counted(lost, way)))


PLACES = {
    "behind the first router of its network": ("platform", picture({DOOR: CLEAN}, *OWN_WAY, DOOR)),
    "inside the transit network": (
        "transit",
        picture({OWN_WAY[0]: CLEAN, OWN_WAY[1]: HALF, OWN_WAY[2]: HALF, DOOR: HALF}, *OWN_WAY, DOOR),
    ),
    "inside it, beside a router that limits its answers": (
        "transit",
        picture({OWN_WAY[0]: CLEAN, OWN_WAY[1]: FEW, OWN_WAY[2]: HALF, DOOR: HALF}, *OWN_WAY, DOOR),
    ),
    "behind a hop that never answers, both sides of it in one network": (
        "transit",
        picture({OWN_WAY[0]: CLEAN, OWN_WAY[2]: HALF, DOOR: HALF}, OWN_WAY[0], "", OWN_WAY[2], DOOR),
    ),
    "where clean ways part from it": ("transit", picture({OWN_WAY[1]: HALF, DOOR: HALF}, OWN_WAY[0], OWN_WAY[1], DOOR)),
    "on the border": (
        "undetermined",
        picture({OWN_WAY[1]: CLEAN, OWN_WAY[2]: CLEAN, DOOR: HALF}, *OWN_WAY, DOOR),
    ),
    "on the border, perhaps: its routers limit their answers": (
        "undetermined",
        picture({OWN_WAY[1]: CLEAN, OWN_WAY[2]: FEW, DOOR: FEW}, *OWN_WAY, DOOR),
    ),
    "where all hops limit their answers": (
        "undetermined",
        picture(dict.fromkeys((*OWN_WAY, DOOR), FEW), *OWN_WAY, DOOR),
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_loss_is_where_it_begins(place: str) -> None:
    """One network loses a quarter. The hops tell whose part of the way it is, or nobody is named."""
    component, seen = PLACES[place]
    if place == "where clean ways part from it":
        seen = seen.but(ways={**seen.ways, "8.8.8.8": (HOME, *ISP, OWN_WAY[0], VIA_B[1])})
    verdict = seen.verdict()
    assert verdict.component == component, verdict.sentence


def test_who_filters_attacks_stands_before_whoever_hired_it() -> None:
    """Loss behind a scrubbing service's router is the platform's, though the network is another's."""

    def whose(address: str) -> Origin | None:
        return Origin(32787, "Prolexic") if address == SCRUBBER else origin(address)

    hired = structs.replace(PLATFORM, cdn_asns={**PLATFORM.cdn_asns, "prolexic": (32787,)}, scrubbing=("prolexic",))
    seen = picture({OWN_WAY[0]: CLEAN, SCRUBBER: CLEAN, DOOR: HALF}, OWN_WAY[0], SCRUBBER, DOOR)
    assert seen.verdict(whose).component == "undetermined"
    assert seen.but(platform=hired).verdict(whose).component == "platform"


def test_hops_and_ways_that_contradict_each_other_name_nobody() -> None:
    """Two networks lose, and share one transit's routers; the hops of one way say that it begins at its end."""
    both = ("71.0.1.10", "9.9.9.9", "185.0.1.10")
    path = Path(
        Flow(Protocol.TCP, both[0], 443),
        tuple(
            Hop(n, tuple(Exchange(n, m, 0.2 * m, Reply(ReplyKind.TIME_EXCEEDED, r, 0.01)) for m in range(60)))
            for n, r in enumerate((HOME, *ISP, "62.0.0.1", "62.0.0.2", "71.0.0.1"), 1)
        ),
        reached=True,
        rtt_s=0.02,
    )
    seen = (*losses(*both), rates(both[0], (20.0, 60, 47), (1.25, 12, 10)))
    assert healthy.but(closer=seen).verdict().component == "transit"
    told = Observation(30.0, "edge.loss.path", "api.tiktokv.com", path)
    assert healthy.but(closer=(*seen, told)).verdict().component == "undetermined"


def test_a_syn_ack_that_comes_a_second_late_was_lost() -> None:
    """The server has sent it again (RFC 6298, 2.1): its first one never came."""
    rtts = (0.02, 0.021, 1.03, 0.02, 3.05)
    exchanges = tuple(Exchange(64, n, n, Reply(ReplyKind.SYN_ACK, LOSSY, rtt)) for n, rtt in enumerate(rtts))
    train = Train(Protocol.TCP, LOSSY, 443, exchanges)
    assert (train.answered, train.lost) == (5, 2)
    assert structs.replace(train, protocol=Protocol.ICMP).lost == 0
    slow = tuple(Exchange(64, n, n, Reply(ReplyKind.SYN_ACK, LOSSY, 1.5)) for n in range(3))
    assert structs.replace(train, exchanges=slow).lost == 0  # a long way, all of it


def test_every_place_of_the_picture_was_counted() -> None:
    """The picture is as it is meant: one place loses, and nothing else does."""
    _, seen = PLACES["on the border"]
    trains = [o.fact for o in seen.observations() if o.purpose.endswith(".loss") and isinstance(o.fact, Train)]
    assert {t.destination for t in trains} == {HOME, *EVERYTHING}
    assert [t.destination for t in trains if t.lost] == [LOSSY]


@pytest.mark.parametrize("lucky", [1, 2])
def test_who_loses_least_among_many_that_lose_is_not_clean(lucky: int) -> None:
    """At 12 % one place in eighty loses one of fifty or none: it says nothing of where the others' loss is."""
    counted_all = losses(*EVERYTHING, lost=6, router=6)
    seen = [
        structs.replace(o, fact=structs.replace(o.fact, exchanges=_with_lost(o.fact.exchanges, lucky - 1)))
        if isinstance(o.fact, Train) and o.fact.destination in EVERYTHING[:lucky]
        else o
        for o in counted_all
    ]
    component = healthy.but(closer=(*seen, rates(HOME, (20.0, 150, 132)))).verdict().component
    assert component == "home"


def _with_lost(exchanges: tuple[Exchange, ...], lost: int) -> tuple[Exchange, ...]:
    answered = exchanges[-1].reply
    return tuple(structs.replace(x, reply=None if n < lost else answered) for n, x in enumerate(exchanges))


def test_who_loses_a_little_does_not_share_a_great_loss() -> None:
    """Three of 220 are more than any way loses, and still another thing than a quarter: not all ways lose alike."""
    lossy = [a for a in EVERYTHING if a != EVERYTHING[0]]
    seen = [
        structs.replace(o, fact=structs.replace(o.fact, exchanges=_with_lost(o.fact.exchanges * 4, 3)))
        if isinstance(o.fact, Train) and o.fact.destination == EVERYTHING[0]
        else o
        for o in losses(*lossy, lost=13)
    ]
    verdict = healthy.but(closer=(*seen, rates(HOME, (20.0, 150, 150)))).verdict()
    assert verdict.component == "undetermined", verdict.cause
