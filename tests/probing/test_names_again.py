"""Which names are in doubt, and what is asked of them: by facts alone, and no more than a guest may."""

from netprobe.model.report import Observation
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Lookup, Response, Transport
from netprobe.model.targets import Control, Edge, Platform, Region, Target
from netprobe.probing import names_again, regions, zones
from netprobe.probing.names_again import Doubt, ask_again, in_doubt

NAMES = ("www.tiktok.com", "api.tiktokv.com", "old.tiktok.com")
OURS, PUBLIC = "192.168.1.1", "8.8.8.8"
CONTROLS = (
    Control("dns.google", "google", PUBLIC, resolver=True, ecs=True),
    Control("one.one.one.one", "cloudflare", "1.1.1.1", resolver=True),
    Control("dns.quad9.net", "quad9", "9.9.9.9", resolver=True),
    Control("www.wikipedia.org", "wikimedia"),
)
PLATFORM = Platform("TikTok", tuple(Target(n, "web") for n in NAMES), CONTROLS, zones=("tiktok.com", "tiktokv.com"))
RIGHT, OTHER = "23.50.131.10", "23.50.131.11"


def answer(name: str, resolver: str, *addresses: str, rcode: str = "NOERROR", responses: int = 1) -> Observation:
    said = Answer(Lookup(name, resolver), rcode if rcode != "-" else "", addresses, responses=responses)
    return Observation(0.1, "lookup.platform", name, said)


def page(name: str, address: str, *, status: int = 200, error: str = "") -> Observation:
    asked = Handshake(address, 443, name)
    phase = "done" if status else "connect" if error == "timeout" else "tls"
    shaken = Handshaken(asked, phase, "" if status else error, connect_s=None if phase == "connect" else 0.01)
    return Observation(1.0, "edge.fetch", name, Response(Fetch(asked), shaken, status))


def edge(name: str, address: str, by: str = OURS) -> Edge:
    return Edge(address, name, "web", "", by)


def test_what_is_found_and_served_is_in_no_doubt() -> None:
    """Resolvers may lead to different places, and both be right."""
    found = [answer(NAMES[0], OURS, RIGHT), answer(NAMES[0], PUBLIC, OTHER), page(NAMES[0], RIGHT)]
    assert in_doubt(found, [edge(NAMES[0], RIGHT)], (OURS,)) == {}


def test_a_name_that_others_know_is_in_doubt_first() -> None:
    """Denied here and known there, then known to nobody, then not served; of nobody's names those that are stale not."""
    found = [
        answer(NAMES[0], OURS, RIGHT),
        answer(NAMES[1], OURS, rcode="SERVFAIL"),
        answer(NAMES[1], PUBLIC, rcode="-"),
        answer(NAMES[2], OURS, rcode="NXDOMAIN"),
        answer(NAMES[2], PUBLIC, rcode="NXDOMAIN"),
        page(NAMES[0], RIGHT, status=0, error="certificate"),
    ]
    edges = [edge(NAMES[0], RIGHT)]
    assert in_doubt(found, edges, (OURS,)) == {NAMES[1]: Doubt.MISSING, NAMES[0]: Doubt.UNSERVED}
    known = [*found, answer(NAMES[2], "9.9.9.9", OTHER)]
    assert next(iter(in_doubt(known, edges, (OURS,)))) == NAMES[2]


def test_several_answers_to_one_question_are_a_doubt() -> None:
    """Whoever was first."""
    found = [answer(NAMES[0], OURS, RIGHT, responses=2), page(NAMES[0], RIGHT)]
    assert in_doubt(found, [edge(NAMES[0], RIGHT)], (OURS,)) == {NAMES[0]: Doubt.CONTRADICTED}


def test_each_transport_is_tried_and_who_answers_has_to_prove_it() -> None:
    """Two names, two public resolvers, the first own one over TCP: 18 questions at most."""
    sessions = list(ask_again(NAMES, (OURS, "192.168.1.2"), CONTROLS))
    asked = [s.next_request(0.0) for s in sessions]
    lookups = [lookup for lookup in asked if isinstance(lookup, Lookup)]
    assert len(lookups) == len(sessions) == 18
    assert {lookup.resolver for lookup in lookups} == {OURS, PUBLIC, "1.1.1.1"}
    assert [lookup.transport for lookup in lookups if lookup.resolver == OURS] == [Transport.TCP] * 2
    proved = {lookup.server_name for lookup in lookups if lookup.transport in names_again.CONFIRMED}
    assert proved == {"dns.google", "one.one.one.one"}


def test_a_page_is_tried_where_only_connections_led() -> None:
    """An address that is known already needs no second look, and datagrams are nobody's word."""
    asked = Lookup(NAMES[0], PUBLIC, transport=Transport.TLS)
    told = Observation(0.0, names_again.AGAIN, NAMES[0], Answer(asked, "NOERROR", (RIGHT,)))
    plain = Observation(0.0, names_again.AGAIN, NAMES[0], Answer(Lookup(NAMES[0], PUBLIC), "NOERROR", (OTHER,)))
    assert len(list(names_again.try_secure([told, plain], []))) == 1
    assert not list(names_again.try_secure([told, plain], [edge(NAMES[0], RIGHT)]))


def test_zones_are_asked_in_three_steps() -> None:
    """Who the servers are, where, and what they say themselves, over what nobody can forge too."""
    plan = zones.ask_zones(NAMES[:2], PLATFORM, CONTROLS)
    asked = [s.next_request(0.0) for s in next(plan)]  # type: ignore[union-attr]
    assert [(x.name, x.record_type) for x in asked if isinstance(x, Lookup)] == [
        *[("tiktok.com", "NS")] * 4,
        *[("tiktokv.com", "NS")] * 4,
    ]

    def said(purpose: str, lookup: object, **more: object) -> Observation:
        assert isinstance(lookup, Lookup)
        return Observation(0.0, purpose, lookup.name, Answer(lookup, "NOERROR", **more))  # type: ignore[arg-type]

    told = [said(zones.SERVERS, x, servers=("ns.example",) if "v" in str(x) else ()) for x in asked]
    asked = [s.next_request(0.0) for s in plan.send(told)]  # type: ignore[union-attr]
    assert {(x.name, x.record_type) for x in asked if isinstance(x, Lookup)} == {("ns.example", "A")}
    found = [said(zones.ADDRESS, x, addresses=("192.0.2.53",)) for x in asked]
    direct = [s.next_request(0.0) for s in plan.send(found)]  # type: ignore[union-attr]
    rows = [(x.resolver, x.transport, x.recursive) for x in direct if isinstance(x, Lookup)]
    assert set(rows) == {("192.0.2.53", Transport.UDP, False), ("192.0.2.53", Transport.TCP, False)}


def test_other_regions_are_asked_about_where_nothing_connects() -> None:
    """Not where a name does, and not where nothing works at all; the subnets are the catalogue's."""
    places = (Region("there", "73.30.38.0/24"),)
    dead = [page(NAMES[0], RIGHT, status=0, error="timeout")]
    edges = [edge(NAMES[0], RIGHT), edge(NAMES[1], OTHER)]
    alive = page(NAMES[1], OTHER)
    assert regions.unserved([*dead, alive], edges) == [NAMES[0]]
    assert regions.unserved(dead, edges) == []
    plan = regions.look_elsewhere([*dead, alive], edges, CONTROLS, places)
    (asked,) = [s.next_request(0.0) for s in next(plan)]  # type: ignore[union-attr]
    assert isinstance(asked, Lookup)
    assert (asked.name, asked.resolver, asked.subnet) == (NAMES[0], PUBLIC, "73.30.38.0/24")
    told = [Observation(0.0, regions.LOOKUP, NAMES[0], Answer(asked, "NOERROR", ("198.18.0.1",)))]
    (fetch,) = [s.next_request(0.0) for s in plan.send(told)]  # type: ignore[union-attr]
    assert isinstance(fetch, Fetch)
    assert (fetch.handshake.address, fetch.handshake.server_name) == ("198.18.0.1", NAMES[0])
