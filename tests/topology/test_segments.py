"""Whose part of a path a hop lies in, and who the provider is."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.model.targets import Platform
from netprobe.topology.asn import Origin
from netprobe.topology.segments import Place, Segment, Surroundings, same_organisation

Trace = Callable[..., Path]

ISP = Origin(3320, "Deutsche Telekom AG")
SIBLING = Origin(5391, "Deutsche Telekom Carrier")
TRANSIT = Origin(1299, "Arelion Sweden AB")
TRANSIT_2 = Origin(174, "Cogent Communications")
EXCHANGE = Origin(6695, "DE-CIX Frankfurt", exchange=True)
AKAMAI = Origin(20940, "Akamai International B.V.")
AKAMAI_2 = Origin(16625, "Akamai Technologies, Inc.")
OWN = Origin(396986, "Bytedance Inc.")

NETWORKS = {
    "62.": ISP,
    "63.": SIBLING,
    "64.": TRANSIT,
    "65.": TRANSIT_2,
    "80.81.": EXCHANGE,
    "23.": AKAMAI,
    "24.": AKAMAI_2,
    "71.": OWN,
}  # 66. is announced by nobody

GATEWAY = "192.168.1.1"
EDGE = "23.50.131.10"
PLATFORM = Platform("TikTok", (), (), own_asns=(396986,), cdn_asns={"akamai": (20940, 16625)})


def origin(address: str) -> Origin | None:
    """Whose an address is in this test's Internet."""
    return next((who for prefix, who in NETWORKS.items() if address.startswith(prefix)), None)


def around(
    *paths: Path, gateway: str = GATEWAY, own: tuple[str, ...] = (), resolvers: tuple[str, ...] = ()
) -> Surroundings:
    """What these paths show together."""
    return Surroundings(paths, origin, gateway=gateway, own=own, resolvers=resolvers, platform=PLATFORM)


def segments(*paths: Path, gateway: str = GATEWAY) -> str:
    """The segments of the first path's hops, a letter each."""
    return "".join(place.segment[0] for place in around(*paths, gateway=gateway).places(paths[0]))


def test_a_plain_path(trace: Trace) -> None:
    """Home, ISP, transit, destination, each by its address."""
    path = trace([GATEWAY, "62.1.1.1", "62.1.1.2", "64.1.1.1", "23.1.1.1"], EDGE)
    assert segments(path) == "hiitdd"
    assert around(path).provider == ISP


def test_every_place_keeps_its_position(trace: Trace) -> None:
    """Silent hops have a place too, with their TTL and no address."""
    places = around(path := trace([GATEWAY, "", "62.1.1.1", "", "64.1.1.1"], EDGE)).places(path)
    assert [p.ttl for p in places] == [1, 2, 3, 4, 5, 6]
    assert [p.address for p in places] == [GATEWAY, "", "62.1.1.1", "", "64.1.1.1", EDGE]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([GATEWAY, "62.1.1.1", "10.9.8.7", "62.1.1.2", "64.1.1.1"], "hiiitd"),  # private addresses inside the ISP
        ([GATEWAY, "62.1.1.1", "64.1.1.1", "10.9.8.7", "64.1.1.2"], "hitttd"),  # and inside a transit network
        ([GATEWAY, "62.1.1.1", "10.9.8.7", "64.1.1.1"], "hiitd"),  # entered by a link inside the ISP
        ([GATEWAY, "10.0.0.1", "172.16.3.4", "62.1.1.1", "64.1.1.1"], "hiiitd"),  # the ISP's access network
        ([GATEWAY, "100.64.0.1", "62.1.1.1", "64.1.1.1"], "hiitd"),  # carrier-grade NAT
        ([GATEWAY, "192.168.178.1", "62.1.1.1", "64.1.1.1"], "hhitd"),  # a router behind a router
        ([GATEWAY, "62.1.1.1", "", "62.1.1.2", "64.1.1.1"], "hiiitd"),  # silence inside the ISP
        ([GATEWAY, "62.1.1.1", "", "64.1.1.1"], "hiutd"),  # silence between two networks is nobody's
        ([GATEWAY, "62.1.1.1", "64.9.9.9", "62.1.1.2", "65.1.1.1"], "hiiitd"),  # a third party's address
        ([GATEWAY, "62.1.1.1", "80.81.192.5", "65.1.1.1"], "hietd"),  # an exchange
        ([GATEWAY, "62.1.1.1", "80.81.192.5", "23.1.1.1"], "hiedd"),
        ([GATEWAY, "62.1.1.1", "80.81.192.5", "10.1.1.1", "23.1.1.1"], "hieudd"),  # private behind the exchange: whose?
        ([GATEWAY, "62.1.1.1", "66.1.1.1", "64.1.1.1"], "hiutd"),  # announced by nobody, between two networks
        ([GATEWAY, "62.1.1.1", "66.1.1.1", "62.1.1.2", "64.1.1.1"], "hiiitd"),  # announced by nobody, inside one
        ([GATEWAY, "62.1.1.1", "63.1.1.1", "64.1.1.1"], "hiitd"),  # another network of the same organisation
        ([GATEWAY, "62.1.1.1", "24.1.1.1"], "hidd"),  # another network of the destination's operator
    ],
)
def test_a_hop_is_placed_by_its_neighbours(trace: Trace, addresses: list[str], expected: str) -> None:
    """What the address does not say, the hops around it do; where they differ, nobody is blamed."""
    assert segments(trace(addresses, EDGE)) == expected


def test_what_follows_the_last_known_hop(trace: Trace) -> None:
    """Silence at the end is nobody's; a private address there belongs to the network before it."""
    assert segments(trace([GATEWAY, "62.1.1.1", "10.1.1.1", "", ""], reached=False)) == "hiiuu"
    assert segments(trace([GATEWAY, "62.1.1.1", "66.1.1.1", ""], reached=False)) == "hiuu"


def test_a_path_that_breaks_is_placed_up_to_its_end(trace: Trace) -> None:
    """The last answer has its place, and the silence behind it has none."""
    path = trace([GATEWAY, "62.1.1.1", "62.1.1.2", "", ""], reached=False)
    assert around(path).places(path)[2:] == (
        Place(3, "62.1.1.2", Segment.ISP, ISP),
        Place(4, "", Segment.UNKNOWN),
        Place(5, "", Segment.UNKNOWN),
    )


def test_another_path_teaches_whose_an_unannounced_address_is(trace: Trace) -> None:
    """An address that stands inside the ISP on one path is the ISP's on the others."""
    failing = trace([GATEWAY, "62.1.1.1", "66.1.1.1", "", ""], reached=False)
    passing = trace([GATEWAY, "62.1.1.1", "66.1.1.1", "62.1.1.2"], "71.18.1.1")
    assert segments(failing, passing) == "hiiuu"


def test_a_cache_inside_the_isp(trace: Trace) -> None:
    """An edge in the ISP's own network: only the edge itself is the destination."""
    assert (
        segments(trace([GATEWAY, "62.1.1.1", "62.1.1.2"], "62.2.2.2"), trace([GATEWAY, "62.1.1.1", "64.1.1.1"]))
        == "hiid"
    )


def test_a_home_router_that_answers_with_its_public_address(trace: Trace) -> None:
    """The first hop is the gateway, whatever it calls itself."""
    path = trace(["62.7.7.7", "62.1.1.1", "64.1.1.1"], EDGE)
    assert segments(path) == "hitd"
    assert around(path).provider == ISP


def test_without_a_gateway_the_first_hop_is_the_providers(trace: Trace) -> None:
    """On a point-to-point link nothing of the path is at home."""
    assert segments(trace(["62.1.1.1", "64.1.1.1"], EDGE), gateway="") == "itd"


def test_the_own_machine_is_no_hop(trace: Trace) -> None:
    """What the kernel says to itself counts as silence."""
    path = trace([GATEWAY, "62.1.1.1", "192.168.1.23"], reached=False)
    places = around(path, own=("192.168.1.23",)).places(path)
    assert [place.address for place in places] == [GATEWAY, "62.1.1.1", ""]


def test_addresses_that_nobody_knows(trace: Trace) -> None:
    """In a laboratory without announced addresses only the gateway has a place, and nothing is lost of the order."""
    path = trace([GATEWAY, "10.0.0.1", "198.51.100.1", "203.0.113.1"], "203.0.113.80")
    assert segments(path) == "huuud"
    assert around(path).provider is None
    assert segments(trace([GATEWAY, "100.64.0.1", "203.0.113.1"], "203.0.113.80")) == "hiud"


def test_the_provider_is_what_the_paths_agree_on(trace: Trace) -> None:
    """A path whose first hops stayed silent does not outvote those that show them."""
    shown = trace([GATEWAY, "62.1.1.1", "64.1.1.1"], EDGE)
    silent = [trace([GATEWAY, "", "65.1.1.1"], "71.18.1.1"), trace([GATEWAY, "", "65.1.1.2"], "71.18.2.1")]
    assert around(shown, *silent).provider == ISP


def test_a_path_into_the_destinations_network_has_no_vote(trace: Trace) -> None:
    """An edge right behind a silent ISP does not make the CDN the user's provider."""
    direct = trace([GATEWAY, "", "23.1.1.1"], EDGE)
    assert around(direct).provider is None
    assert around(direct, direct, trace([GATEWAY, "62.1.1.1", "64.1.1.1"], "71.18.1.1")).provider == ISP


def test_an_isp_that_hides_is_not_replaced_by_its_transit(trace: Trace) -> None:
    """Behind silence the first network may be anybody's; without a provider nothing is called ISP or transit."""
    paths = [trace([GATEWAY, "", "", "64.1.1.1"], EDGE), trace([GATEWAY, "", "", "64.1.1.1"], "71.18.1.1")]
    assert around(*paths).provider is None
    assert segments(*paths) == "huuud"
    assert around(*paths, resolvers=("64.5.5.5",)).provider == TRANSIT


def test_paths_that_disagree_name_nobody(trace: Trace) -> None:
    """Two networks with as many votes each: no provider."""
    paths = trace([GATEWAY, "62.1.1.1"], EDGE), trace([GATEWAY, "64.1.1.1"], EDGE)
    assert around(*paths).provider is None


def test_somebody_nearer_than_the_table_knows(trace: Trace) -> None:
    """A public address that nobody announces stands first: the provider may be there, unless its resolver is not."""
    path = trace([GATEWAY, "66.1.1.1", "62.1.1.1", "64.1.1.1"], EDGE)
    assert around(path).provider is None
    assert around(path, resolvers=(GATEWAY, "62.5.5.5")).provider == ISP


def test_an_only_upstream_is_not_the_isp(trace: Trace) -> None:
    """Transit that all paths share is still transit."""
    paths = [trace([GATEWAY, "62.1.1.1", "64.1.1.1"], edge) for edge in (EDGE, "71.18.1.1", "65.3.3.3")]
    assert around(*paths).isp == {3320}


def test_the_providers_other_networks_are_the_isp(trace: Trace) -> None:
    """Networks of the same organisation, directly behind the provider's."""
    surroundings = around(trace([GATEWAY, "62.1.1.1", "63.1.1.1", "64.1.1.1"], EDGE))
    assert surroundings.isp == {3320, 5391}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Comcast Cable Communications, LLC", "Comcast IP Services, L.L.C.", True),
        ("Verizon Business", "Verizon Communications", True),
        ("China Telecom", "China Unicom", False),
        ("Deutsche Telekom AG", "Deutsche Glasfaser Wholesale GmbH", False),
        ("Deutsche Telekom AG", "Deutsche Telekom International", True),
        ("Cogent Communications", "Level 3 Communications", False),
        ("", "", False),
        ("PT", "PT", False),
    ],
)
def test_organisations_are_told_apart_by_name(one: str, other: str, *, same: bool) -> None:
    """A first word that many share does not make two networks one organisation."""
    assert same_organisation(Origin(1, one), Origin(2, other)) is same


_ADDRESSES = st.sampled_from(
    [
        "",
        GATEWAY,
        "10.1.1.1",
        "100.64.0.1",
        "62.1.1.1",
        "62.1.1.2",
        "64.1.1.1",
        "65.1.1.1",
        "66.1.1.1",
        "80.81.192.9",
        "?",
        EDGE,
    ]
)
_KINDS = st.sampled_from([ReplyKind.TIME_EXCEEDED, ReplyKind.UNREACHABLE, ReplyKind.SYN_ACK])


@given(
    st.lists(st.lists(st.tuples(_ADDRESSES, _KINDS), max_size=8), max_size=4),
    st.sampled_from(["", GATEWAY, "62.1.1.1"]),
)
def test_any_paths_get_a_place_for_every_hop(rows: list[list[tuple[str, ReplyKind]]], gateway: str) -> None:
    """Whatever the network says, each hop has one place, in order, and nothing is the ISP's without a provider."""
    paths = [
        Path(
            Flow(Protocol.TCP, EDGE, 443),
            tuple(
                Hop(ttl, (Exchange(ttl, ttl, 0.0, Reply(kind, address, 0.01) if address else None),))
                for ttl, (address, kind) in enumerate(row, 1)
            ),
            reached=False,
        )
        for row in rows
    ]
    surroundings = around(*paths, gateway=gateway)
    for path in paths:
        places = surroundings.places(path)
        assert [p.ttl for p in places] == [hop.ttl for hop in path.hops]
        if surroundings.provider is None:
            shared = {p.address for p in places if p.segment is Segment.ISP}
            assert shared <= {"100.64.0.1"}
            assert all(p.segment is not Segment.TRANSIT for p in places)
