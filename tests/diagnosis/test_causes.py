"""Every cause as a survey would see it, and what is like it: right where it can be told, and never somebody else."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec import structs

from netprobe.diagnosis import diagnose
from netprobe.diagnosis.calibration import calibration
from netprobe.diagnosis.causes import tables
from netprobe.model.probes import Reply, ReplyKind, Train
from netprobe.model.replies import ACK, RST, SYN, TcpHeader
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Lookup, Response
from tests.diagnosis.over_quic import ASKED as QUIC_ASKED
from tests.diagnosis.over_quic import AT_HOME, AT_ISP, EVERYBODY, OFFERS, quic
from tests.diagnosis.picture import (
    BEHIND_A,
    DAY_S,
    EDGES,
    EVERYTHING,
    HOME,
    ISP,
    ISP_RESOLVER,
    LAST,
    OVER_V6,
    PLATFORM,
    SIX_HOME,
    VIA_A,
    VIA_B,
    Picture,
    certificate,
    cut,
    done,
    ended,
    flows,
    loops,
    losses,
    losses_over_v6,
    nowhere,
    origin,
    over_v6,
    rates,
    sizes,
)
from tests.diagnosis.plain_http import answer as plain
from tests.diagnosis.plain_http import of_controls, trial
from tests.diagnosis.two_names import page, pairs
from tests.diagnosis.waiting import delays

ASKED = Lookup("", "")
TIMEOUT = Answer(ASKED, error="timeout")
REFUSED = Answer(ASKED, error="refused")
LATE_SERVFAIL = Answer(ASKED, "SERVFAIL", rtt_s=2.4)
SERVFAIL = Answer(ASKED, "SERVFAIL", rtt_s=0.02)
QUICK_ZERO = Answer(ASKED, "NOERROR", ("0.0.0.0",), rtt_s=0.001)  # noqa: S104 - an answer, not a socket
SLOW_LOOPBACK = Answer(ASKED, "NOERROR", ("127.0.0.1",), rtt_s=0.02)
NXDOMAIN = Answer(ASKED, "NXDOMAIN", rtt_s=0.02)
PUBLIC = ("1.1.1.1", "8.8.8.8", "9.9.9.9")

TO_B, OF_ONE = ("1.1.1.1", "8.8.8.8", "151.0.1.10"), ("23.0.1.10", "23.0.1.11", "23.0.1.99")
FUNCTION, AT = "image.tiktokcdn.com", "23.0.1.11"  # beside www.tiktok.com in one network
CHALLENGE = {"cf-mitigated": "challenge"}

healthy = Picture()
offering = Picture(offers=OFFERS)
nothing = healthy.but(
    silent=EVERYTHING, ways=cut(EVERYTHING, 1), answers={(HOME, k): TIMEOUT for k in ("platform", "control")}
)
no_answers = {(resolver, kind): TIMEOUT for resolver in (HOME, *PUBLIC) for kind in ("platform", "control")}
by_name = healthy.but(named=ended("reset"))
login, blocked = plain(302, to="http://login.hotel.example/"), plain(403, title="Blocked", address="23.0.1.10")
PLAIN = tuple(control for control in healthy.platform.controls if control.plain)


def everywhere(answer: Answer, kind: str) -> dict[tuple[str, str], Answer]:
    """All resolvers say the same."""
    return {(resolver, kind): answer for resolver in (HOME, *PUBLIC)}


def here(resolver: str, platform: Answer | None, control: Answer | None) -> dict[tuple[str, str], Answer]:
    """What one resolver says."""
    rows = {(resolver, "platform"): platform, (resolver, "control"): control}
    return {key: answer for key, answer in rows.items() if answer}


def function(role: str, **changes: object) -> Picture:
    """One name is there for `role`; its neighbour in the same delivery network, and all others, are not."""
    targets = tuple(structs.replace(t, role=role) if t.name == FUNCTION else t for t in PLATFORM.targets)
    return healthy.but(platform=structs.replace(PLATFORM, targets=targets), **changes)


CAUSES: dict[str, Picture] = {
    "none.app_device": healthy,
    "home.link.down": healthy.but(link=False),
    "home.link.no_lease": healthy.but(lease=False),
    "home.device.busy": healthy.but(late_s=2.1, overdue_s=9.0, load=6.0),
    "home.gateway.dead": nothing.but(gateway_answers=False, neighbour="failed", ways=cut(EVERYTHING, 0)),
    "home.firewall.block": healthy.but(dropped=EVERYTHING, answers=no_answers),
    "home.dns.resolver_down": healthy.but(answers=here(HOME, REFUSED, REFUSED)),
    "home.dns.blocklist": healthy.but(answers=here(HOME, QUICK_ZERO, None)),
    "home.hosts.override": healthy.but(hosts_overrides=("www.tiktok.com",)),
    "home.clock.wrong": healthy.but(
        clock_off_s=900 * DAY_S, shaken=dict.fromkeys(EVERYTHING, certificate(-DAY_S, 90 * DAY_S))
    ),
    "home.tls.interception": healthy.but(shaken=dict.fromkeys(EVERYTHING, certificate(-DAY_S, DAY_S))),
    "home.link.loss": healthy.but(closer=losses(*EVERYTHING, router=10)),
    "home.mtu.blackhole": healthy.but(stalled=EVERYTHING, closer=(sizes(EDGES[0], 1492, told=HOME),)),
    "home.quic.blocked": offering.but(closer=quic(*EVERYBODY, ends=AT_HOME)),
    "isp.quic.blocked": offering.but(closer=quic(*EVERYBODY, ends=AT_ISP)),
    "isp.access.outage": nothing,
    "isp.access.loss": healthy.but(closer=(*losses(*EVERYTHING), rates(HOME, (20.0, 150, 150)))),
    "home.line.saturated": healthy.but(closer=delays(0.3), latency_s=0.3),
    "isp.access.congested": healthy.but(
        closer=(*losses(*EVERYTHING), rates(HOME, (20.0, 150, 150)), *delays(0.15, lost=4)), latency_s=0.15
    ),
    "transit.peering.congested": healthy.but(closer=delays(0.08, 0.06, *BEHIND_A, lost=8)),
    "isp.core.blackhole": healthy.but(silent=EVERYTHING, ways=cut(EVERYTHING, 3)),
    "isp.core.branch": healthy.but(closer=flows(EDGES[0], ISP[1])),
    "isp.routing.loop": healthy.but(silent=EVERYTHING, ways=loops(EVERYTHING, ISP[1], ISP[2])),
    "isp.dns.failure": healthy.but(resolvers=(ISP_RESOLVER,), answers=here(ISP_RESOLVER, SERVFAIL, SERVFAIL)),
    "isp.mtu.blackhole": healthy.but(stalled=EVERYTHING, closer=(sizes(EDGES[0], 1400, hole=ISP[1:]),)),
    "transit.outage": healthy.but(silent=BEHIND_A, ways=cut(BEHIND_A, 5)),
    "transit.branch": healthy.but(closer=flows(EDGES[1], VIA_A[0])),
    "transit.loss": healthy.but(closer=losses(*BEHIND_A)),
    "transit.mtu.blackhole": healthy.but(stalled=BEHIND_A, closer=(sizes(BEHIND_A[0], 1400, hole=VIA_A),)),
    "transit.routing.loop": healthy.but(silent=BEHIND_A, ways=loops(BEHIND_A, *VIA_A)),
    "policy.tls.sni_reset": by_name,
    "policy.tls.sni_drop": healthy.but(named=ended("timeout")),
    "policy.tls.interception": healthy.but(shaken=dict.fromkeys(EDGES, certificate(-DAY_S, DAY_S))),
    "policy.dns.tampering": healthy.but(resolvers=(ISP_RESOLVER,), answers=here(ISP_RESOLVER, SLOW_LOOPBACK, None)),
    "policy.ip.block": healthy.but(silent=EDGES, ways=cut(EDGES, 2)),
    "policy.throttle.cutoff": healthy.but(dying=dict(zip(EDGES, (13_000, 13_600, 12_900, 13_500), strict=False))),
    "policy.throttle.speed": healthy.but(closer=pairs(*[(page(130), page(20_000))] * 3)),
    "home.portal.captive": healthy.but(
        shaken=dict.fromkeys(EVERYTHING, ended("reset")), closer=of_controls(*((c, login) for c in PLAIN))
    ),
    "policy.http.block_page": by_name.but(
        closer=trial("www.tiktok.com", blocked, plain(404, address="23.0.1.10"), blocked)
    ),
    "policy.quic.drop": offering.but(closer=quic(*QUIC_ASKED, name_only=True)),
    "policy.geo.withdrawn": healthy.but(status=dict.fromkeys(EDGES, 451)),
    "platform.cdn.vendor_outage": healthy.but(silent=("151.0.1.10",), ways=cut(("151.0.1.10",), 7)),
    "platform.cdn.edge_down": healthy.but(silent=("23.0.1.10",), ways=cut(("23.0.1.10",), 7)),
    "home.ipv6.broken": healthy.but(six=True, closer=over_v6(*OVER_V6, after=1)),
    "isp.ipv6.broken": healthy.but(six=True, closer=over_v6(*OVER_V6, after=3)),
    "transit.ipv6.broken": healthy.but(six=True, closer=over_v6(*OVER_V6, after=5)),
    "platform.edge.loss": healthy.but(
        closer=(*losses("151.0.1.10"), rates("151.0.1.10", (20.0, 60, 47), (1.25, 12, 10)))
    ),
    "platform.origin.error": healthy.but(status=dict.fromkeys(EDGES, 502)),
    "platform.origin.slow": healthy.but(first_byte_s=dict.fromkeys(EDGES, 4.0)),
    "platform.login.down": function("login", status={AT: 503}),
    "platform.upload.down": function("upload", status={AT: 500}),
    "platform.live.down": function("live", status={AT: 502}),
    "platform.security.locked": function("login", status={AT: 403}, headers=CHALLENGE),
    "policy.content.limited": function("live", status={AT: 451}),
    "platform.maintenance": healthy.but(status=dict.fromkeys(EDGES, 503), headers={"retry-after": "3600"}),
    "platform.dns.authoritative": healthy.but(answers=everywhere(SERVFAIL, "platform")),
    "platform.certificate": healthy.but(shaken=dict.fromkeys(EDGES, certificate(-90 * DAY_S, -DAY_S))),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_cause_is_named(cause: str) -> None:
    """Where the evidence is complete the cause is named to the leaf; calibration is claimed of families that were seen."""
    verdict = CAUSES[cause].verdict()
    assert verdict.cause == cause, verdict.sentence
    assert verdict.component == cause.split(".", maxsplit=1)[0]
    assert not verdict.abstained
    assert verdict.calibrated == calibration().covers(cause)


def test_every_cause_has_a_picture() -> None:
    """A cause without a situation in which it is found would be decoration."""
    assert set(CAUSES) == set(tables().prior)


@dataclass(frozen=True)
class Nasty:
    """A situation that misleads: `component` is at fault; where it cannot be told, `undetermined` is the right answer."""

    truth: str
    picture: Picture
    blind: bool = False  # no AS data at all


SECOND_ROUTER = "192.168.2.1"
lost_control = healthy.but(silent=("9.9.9.9",), ways=cut(("9.9.9.9",), 6))
small = Fetch(Handshake(EDGES[0], 443, "www.tiktok.com", mss=536))
in_small_segments = Observation(10.0, "edge.fetch.small", "www.tiktok.com", Response(small, done(small.handshake), 200))
six_resolver = "2a00:100:9::53"
NASTY: dict[str, Nasty] = {
    "one control that is silent over IPv6": Nasty(
        "none", healthy.but(six=True, closer=over_v6("dns.quad9.net", after=6))
    ),
    "controls that are silent over IPv6, while the platform answers": Nasty(
        "none", healthy.but(six=True, closer=over_v6("dns.quad9.net", "dns.google", after=6))
    ),
    "no IPv6 at all is no trouble": Nasty("none", healthy),
    "one server that is dead over IPv6 alone": Nasty(
        "platform", healthy.but(six=True, closer=over_v6("video.tiktokcdn.com", after=7))
    ),
    "a line that is down has no IPv6 either": Nasty("isp", nothing.but(six=True, closer=over_v6(*OVER_V6, after=1))),
    "a dead home router has no IPv6 either": Nasty(
        "home",
        nothing.but(
            six=True,
            gateway_answers=False,
            neighbour="failed",
            ways=cut(EVERYTHING, 0),
            answers=no_answers,
            closer=over_v6(*OVER_V6, after=0),
        ),
    ),
    "an edge that is down over both": Nasty(
        "platform",
        healthy.but(
            silent=("151.0.1.10",),
            ways=cut(("151.0.1.10",), 7),
            six=True,
            closer=over_v6("video.tiktokcdn.com", after=7),
        ),
    ),
    "broken IPv6 behind routers whose owners nobody knows, but the own address": Nasty(
        "home", healthy.but(six=True, closer=over_v6(*OVER_V6, after=1)), blind=True
    ),
    "IPv6 that ends at a second home router, in another part of what the home got": Nasty(
        "home", healthy.but(six=True, closer=over_v6(*OVER_V6, after=2, home=(SIX_HOME, "2a00:100:1:4::1")))
    ),
    "IPv6 of a machine without a home router that ends at the provider's first": Nasty(
        "isp",
        healthy.but(
            six=True, gateway="87.0.0.1", gateway_answers=True, closer=over_v6(*OVER_V6, after=1, home=("2a00:100::9",))
        ),
    ),
    "loss over IPv6 alone, everywhere": Nasty(
        "undetermined", healthy.but(six=True, closer=(*over_v6(), *losses_over_v6(*OVER_V6)))
    ),
    "loss over IPv6 and over IPv4": Nasty(
        "home",
        healthy.but(six=True, closer=(*over_v6(), *losses_over_v6(*OVER_V6), *losses(*EVERYTHING, lost=12, router=12))),
    ),
    "hardly any loss over IPv6": Nasty("none", healthy.but(six=True, closer=(*over_v6(), *losses_over_v6(lost=0)))),
    "a name server that is asked over broken IPv6": Nasty(
        "home",
        healthy.but(
            six=True,
            resolvers=(six_resolver,),
            answers={(six_resolver, kind): TIMEOUT for kind in ("platform", "control")},
            closer=over_v6(*OVER_V6, after=1),
        ),
    ),
    "a gateway that only ignores pings is not dead": Nasty(
        "none",
        healthy.but(
            gateway_answers=False,
            answers=everywhere(Answer(ASKED, "NOERROR", ("23.0.1.10",), rtt_s=0.02), "platform")
            | everywhere(Answer(ASKED, "NOERROR", ("185.0.1.10",), rtt_s=0.02), "control"),
        ),
    ),
    "one control alone is that control's fault": Nasty("none", lost_control),
    "the own firewall drops what comes from the platform": Nasty("home", healthy.but(dropped=EDGES)),
    "the own firewall lets nothing out": Nasty("home", healthy.but(forbidden=EVERYTHING, answers=no_answers)),
    "the own firewall lets nothing out to the platform": Nasty("home", healthy.but(forbidden=EDGES)),
    "the own firewall is in the way of one control": Nasty("none", healthy.but(dropped=("9.9.9.9",))),
    "the own firewall drops what tracing needs": Nasty("none", healthy.but(errors_dropped=True)),
    "the own firewall drops what tracing needs, and a block by name": Nasty("policy", by_name.but(errors_dropped=True)),
    "the own firewall is in the way of one control, and a dead edge": Nasty(
        "platform", healthy.but(dropped=("9.9.9.9",), silent=("151.0.1.10",), ways=cut(("151.0.1.10",), 7))
    ),
    "one control is dead while an edge is": Nasty(
        "platform",
        lost_control.but(silent=("9.9.9.9", "151.0.1.10"), ways=cut(("9.9.9.9",), 6) | cut(("151.0.1.10",), 7)),
    ),
    "few controls": Nasty(
        "policy", by_name.but(unmeasured=("one.one.one.one", "dns.google", "www.apple.com", "www.wikipedia.org"))
    ),
    "a dead line behind a second router at home, which says that it finds no name": Nasty(
        "isp",
        nothing.but(
            resolvers=(SECOND_ROUTER,),
            ways=dict.fromkeys(EVERYTHING, (HOME, SECOND_ROUTER)),
            answers=no_answers | {(SECOND_ROUTER, kind): SERVFAIL for kind in ("platform", "control")},
        ),
    ),
    "no AS data: health": Nasty("none", healthy, blind=True),
    "no AS data: a dead line": Nasty("isp", nothing, blind=True),
    "no AS data: a name that is cut off": Nasty("policy", by_name, blind=True),
    "no AS data: maintenance": Nasty("platform", CAUSES["platform.maintenance"], blind=True),
    "a resolver's failure that is passed on": Nasty(
        "isp", healthy.but(answers=here(HOME, LATE_SERVFAIL, LATE_SERVFAIL))
    ),
    "a denial that is passed on": Nasty("policy", healthy.but(answers=here(HOME, SLOW_LOOPBACK, None))),
    "a name that nobody knows any more": Nasty("none", healthy.but(stale=("image.tiktokcdn.com",))),
    "a little loss everywhere": Nasty("none", healthy.but(closer=losses(*EVERYTHING, lost=2, router=1))),
    "a delivery network that answers few pings a second": Nasty(
        "none", healthy.but(closer=(*losses("151.0.1.10", lost=40), rates("151.0.1.10", (20.0, 60, 3), (1.25, 12, 10))))
    ),
    "a home router that answers few pings a second": Nasty("none", healthy.but(closer=losses(router=40))),
    "a delivery network that loses, and a home router that answers few pings": Nasty(
        "platform",
        healthy.but(
            closer=(*losses("151.0.1.10", router=40), rates("151.0.1.10", (20.0, 60, 47), (1.25, 12, 10))),
        ),
    ),
    "a home router that loses a part of what all lose": Nasty(
        "home", healthy.but(closer=(*losses(*EVERYTHING, lost=14, router=5), rates(HOME, (20.0, 150, 131))))
    ),
    "a line that loses, and a home network that loses a hundredth": Nasty(
        "isp", healthy.but(closer=(*losses(*EVERYTHING, lost=14, router=1), rates(HOME, (20.0, 150, 149))))
    ),
    "a control that loses": Nasty("none", healthy.but(closer=losses("9.9.9.9"))),
    "a narrow line that says so": Nasty("none", healthy.but(closer=(sizes(EDGES[0], 1492, told=HOME),))),
    "one place that dislikes large pings": Nasty(
        "none", healthy.but(closer=(sizes(EDGES[0], 1400, hole=("4.0.0.2", "23.0.0.1")), sizes(EDGES[1], 1500)))
    ),
    "a line that loses, of a machine without a home router": Nasty(
        "isp",
        healthy.but(gateway="87.0.0.1", closer=losses(*EVERYTHING, lost=14, router=14, home="87.0.0.1")),
    ),
    "large answers die on a way back that all share": Nasty("isp", healthy.but(stalled=EVERYTHING)),
    "large probes and large answers die at the home router": Nasty(
        "home", healthy.but(stalled=EVERYTHING, closer=(sizes(EDGES[0], 1400, hole=(HOME, ISP[0])),))
    ),
    "a censor that overlooks names in small segments": Nasty("policy", by_name.but(closer=(in_small_segments,))),
    "a drop where nobody is seen to leave the provider but for one peer": Nasty(
        "undetermined",
        healthy.but(
            silent=(*BEHIND_A, *TO_B),
            ways=cut((*BEHIND_A, *TO_B), 4) | dict.fromkeys(OF_ONE, (HOME, *ISP, LAST["23"])),
        ),
    ),
    "a drop at the border of the provider": Nasty("transit", healthy.but(silent=BEHIND_A, ways=cut(BEHIND_A, 4))),
}


@pytest.mark.parametrize("case", NASTY)
def test_misleading_situation(case: str) -> None:
    """What misleads is seen through."""
    nasty = NASTY[case]
    assert nasty.picture.verdict(nowhere if nasty.blind else origin).component == nasty.truth


AMBIGUOUS: dict[str, tuple[Picture, bool]] = {
    "one network's silence over IPv6 that begins before it": (
        healthy.but(six=True, closer=over_v6("www.tiktok.com", after=6)),
        False,
    ),
    "IPv6 that ends at routers whose owners are unknown": (
        healthy.but(six=True, closer=over_v6(*OVER_V6, after=3)),
        True,
    ),
    "everything dies at a router whose owner is unknown": (CAUSES["isp.core.blackhole"], True),
    "a transit's outage without AS data": (CAUSES["transit.outage"], True),
    "a block by address without AS data": (CAUSES["policy.ip.block"], True),
    "the only resolver denies the platform": (
        healthy.but(
            answers=here(HOME, NXDOMAIN, None) | {(r, k): TIMEOUT for r in PUBLIC for k in ("platform", "control")}
        ),
        False,
    ),
    "a home resolver fails, neither at once nor late": (
        healthy.but(
            answers=here(HOME, Answer(ASKED, "SERVFAIL", rtt_s=0.0032), Answer(ASKED, "SERVFAIL", rtt_s=0.0032))
        ),
        False,
    ),
    "a server that cuts off one name itself": (healthy.but(shaken={"151.0.1.10": ended("reset")}, named=None), False),
    "a home's name server passes on a failure, and a public one is silent": (
        healthy.but(answers=here(HOME, LATE_SERVFAIL, LATE_SERVFAIL), silent=("9.9.9.9",), ways=cut(("9.9.9.9",), 5)),
        False,
    ),
    "all edges silent inside their networks": (healthy.but(silent=EDGES, ways=cut(EDGES, 7)), False),
    "ways that part where the provider ends": (healthy.but(closer=flows(EDGES[0], ISP[2])), False),
    "ways that part at routers whose owners are unknown": (CAUSES["isp.core.branch"], True),
    "one network's silence that was not tested at other rates": (healthy.but(closer=losses("151.0.1.10")), False),
    "loss everywhere, and a home router that may lose or not": (
        healthy.but(closer=losses(*EVERYTHING, router=5)),
        False,
    ),
    "loss everywhere, and more of it than the home router's, whose own may be noticed or not": (
        healthy.but(closer=(*losses(*EVERYTHING, lost=14, router=3), rates(HOME, (20.0, 150, 141)))),
        False,
    ),
    "loss everywhere, and a home router that was asked too little to be clean": (
        healthy.but(closer=losses(*EVERYTHING)),
        False,
    ),
    "loss everywhere, where all ways lead through one transit": (
        healthy.but(
            ways=dict.fromkeys(EVERYTHING, (HOME, *ISP, *VIA_B)),
            closer=(*losses(*EVERYTHING), rates(HOME, (20.0, 150, 150))),
        ),
        False,
    ),
    "loss everywhere, and a home router that answers few pings a second": (
        healthy.but(closer=(*losses(*EVERYTHING, lost=14, router=5), rates(HOME, (20.0, 150, 38)))),
        False,
    ),
    "large answers of some networks die on the way back": (healthy.but(stalled=BEHIND_A), False),
    "large packets die between routers whose owners are unknown": (CAUSES["isp.mtu.blackhole"], True),
    "one network's certificate is a stranger's": (
        healthy.but(shaken={"151.0.1.10": certificate(-DAY_S, DAY_S)}),
        False,
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_cannot_be_told_blames_nobody_wrongly(case: str) -> None:
    """Two explanations that fit alike give no name, but the runner-up and the probe that would settle it."""
    picture, blind = AMBIGUOUS[case]
    verdict = picture.verdict(nowhere if blind else origin)
    if case != "a server that cuts off one name itself":
        assert verdict.component == "undetermined", verdict.cause
        assert verdict.next_probe
    assert verdict.component not in {"home", "isp", "policy", "transit"}


@pytest.mark.parametrize(
    "picture",
    [
        healthy.but(crawling=EDGES),
        healthy.but(dying=dict.fromkeys(EDGES[:1], 13_000)),
        healthy.but(dying=dict(zip(EDGES, (3_000, 40_000, 13_000, 200), strict=False))),
        healthy.but(dying=dict.fromkeys(EDGES, 60_000)),
    ],
)
def test_answers_that_do_not_end_accuse_nobody_alone(picture: Picture) -> None:
    """What crawls may be slow anywhere; what dies at one network, after any amount, or late, is no cap."""
    verdict = picture.verdict()
    assert verdict.component in {"undetermined", "platform"}
    assert verdict.cause != "policy.throttle.cutoff"
    if picture.crawling:
        assert verdict.component == "undetermined"


def test_answers_from_the_way_are_forged() -> None:
    """Answers on the platform that come sooner than any packet from their resolver were made on the way."""
    forged = Answer(ASKED, "NOERROR", ("4.0.0.9",), rtt_s=0.01)
    verdict = healthy.but(
        answers={(resolver, "platform"): forged for resolver in PUBLIC} | here(HOME, forged, None)
    ).verdict()
    assert verdict.cause == "policy.dns.tampering"


def heard(*, ttl: int) -> tuple[Reply, ...]:
    """A SYN-ACK from 12 hops away, and a reset that arrives with `ttl`."""
    opened = TcpHeader(SYN | ACK, 65160, 1000, 1, dont_fragment=True)
    reset = TcpHeader(RST, 0, 1001, 0, dont_fragment=True)
    return (
        Reply(ReplyKind.SYN_ACK, "23.0.1.10", 0.02, 52, tcp=opened),
        Reply(ReplyKind.RST, "23.0.1.10", 0.05, ttl, tcp=reset),
    )


def reset_heard(ttl: int) -> Callable[[Handshake], Handshaken]:
    return lambda h: Handshaken(h, "tls", "reset", connect_s=0.02, heard=heard(ttl=ttl))


@pytest.mark.parametrize(("ttl", "state"), [(52, "as_server"), (53, "odd"), (124, "forged")])
def test_who_ended_handshakes_is_evidence_where_names_were_compared(ttl: int, state: str) -> None:
    """It is told how the ends look; the verdict is that of the names in any case."""
    verdict = healthy.but(named=reset_heard(ttl)).verdict()
    assert verdict.cause == "policy.tls.sni_reset"
    assert [item.state for item in verdict.evidence if item.id == "tls.endings"] == [state]


@pytest.mark.parametrize("address", ["151.0.1.10", "23.0.1.10"])
def test_forged_ends_alone_accuse_nobody(address: str) -> None:
    """Resets that look forged, where any name is cut off at one server: its load balancer, as far as one can know."""
    plain, forged = (
        healthy.but(shaken={address: end}, named=None).verdict() for end in (ended("reset"), reset_heard(124))
    )
    assert (forged.component, forged.cause) == (plain.component, plain.cause)
    assert forged.component != "policy"


def contradicted(observation: Observation) -> Observation:
    """A train whose every RST is followed by the real SYN-ACK."""
    fact = observation.fact
    if not isinstance(fact, Train):
        return observation
    after = Reply(ReplyKind.SYN_ACK, fact.destination, 0.03, 52, tcp=TcpHeader(SYN | ACK, 65160, 1, 1))
    exchanges = tuple(
        structs.replace(
            x, reply=structs.replace(x.reply, tcp=TcpHeader(RST | ACK, 0, 0, 1)), later=(structs.replace(after),)
        )
        if x.reply and x.reply.kind is ReplyKind.RST
        else x
        for x in fact.exchanges
    )
    return structs.replace(observation, fact=structs.replace(fact, exchanges=exchanges))


@pytest.mark.parametrize("refusing", [EDGES, EDGES[:1]])
def test_refusals_that_are_contradicted_support_a_block_and_make_none(refusing: tuple[str, ...]) -> None:
    """Where several networks refuse at once the platform is not so sure any more; one that does is not asked."""
    picture = healthy.but(refusing=refusing)
    plain = picture.verdict()
    forged = diagnose(tuple(map(contradicted, picture.observations())), picture.platform, origin)
    said = [item.state for item in forged.evidence if item.id == "edge.refusals"]
    assert said == (["forged"] if len(refusing) > 1 else [""])
    assert forged.component in ({plain.component, "undetermined"} if len(refusing) > 1 else {plain.component})
