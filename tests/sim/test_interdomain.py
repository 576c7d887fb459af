"""Routes between networks in virtual time: withdrawn, announced by others, passed on by somebody who should not."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.sim import packet as ip
from netprobe.sim.interdomain import Interdomain
from netprobe.sim.records import Fault, Route
from netprobe.sim.routing import Routing
from netprobe.sim.scenario import ScenarioError, load
from tests.sim.internets import OTHER, OTHER_V6, OWNER, OWNER_V6, PREFIX, PREFIX_V6, Answer, answers, drawn, internet
from tests.sim.real_scenario import NETWORK

WAY = ["192.168.1.1", "10.1.0.1", "10.1.0.2", "10.2.0.1", "10.5.0.1", "203.0.113.1", OWNER]


def sources(found: list[Answer | None]) -> list[str]:
    """Who has answered; empty for silence."""
    return [answer.source if answer else "" for answer in found]


def test_without_a_fault_of_routes_nothing_is_announced() -> None:
    """Packets go as they always did, and nobody has to hear of it."""
    assert sources(answers(internet(), OWNER)) == WAY
    domains = Interdomain(internet(), Routing(internet(), 0))
    assert not domains.used
    assert domains.cell(OWNER) == ""


def test_before_and_after_its_fault_a_prefix_is_announced() -> None:
    """Outside its time a fault changes nothing."""
    scenario = internet(Fault("withdraw", ("o1",), begin_s=10.0, end_s=20.0, prefix=(PREFIX,)))
    assert sources(answers(scenario, OWNER, now=5.0)) == WAY
    assert answers(scenario, OWNER, now=15.0)[-1] == Answer("10.1.0.1", ip.UNREACHABLE, ip.NET_UNREACHABLE)
    assert sources(answers(scenario, OWNER, now=25.0)) == WAY


def test_what_nobody_announces_ends_at_the_first_router_that_has_no_default() -> None:
    """The home follows its default to the provider, whose first router says net unreachable; the rest works."""
    scenario = internet(Fault("withdraw", ("o1",), prefix=(PREFIX,)))
    assert answers(scenario, OWNER) == [
        Answer("192.168.1.1", ip.TIME_EXCEEDED, 0),
        Answer("10.1.0.1", ip.TIME_EXCEEDED, 0),
        Answer("10.1.0.1", ip.UNREACHABLE, ip.NET_UNREACHABLE),
    ]
    assert sources(answers(scenario, OTHER))[-1] == OTHER


def test_what_nobody_announces_follows_a_default_to_its_end() -> None:
    """Where the file has a [[route]] for everything, that is where it dies, as what is nobody's does."""
    scenario = internet(Fault("withdraw", ("o1",), prefix=(PREFIX,)), default="b1")
    *way, last = answers(scenario, OWNER)
    assert sources(way) == ["192.168.1.1", "10.1.0.1", "10.1.0.2", "10.3.0.1"]
    assert last == Answer("10.3.0.1", ip.UNREACHABLE, ip.HOST_UNREACHABLE)


def test_answers_need_a_route_too() -> None:
    """A provider that has withdrawn itself: packets get out, and nothing that others say comes back."""
    scenario = internet(Fault("withdraw", ("i2",), prefix=("192.168.0.0/16",)))
    scenario = replace(scenario, routes=(Route("192.168.1.0/24", "i1"),))
    assert sources(answers(scenario, OWNER, most=6)) == [*WAY[:3], "", "", ""]


def test_fewer_networks_are_preferred_and_then_less_cost() -> None:
    """Of equal prefixes each network takes the nearer one: a hijacker gets those who are near it."""
    scenario = internet(Fault("hijack", ("b1",), prefix=(PREFIX,)))
    assert sources(answers(scenario, OWNER))[:5] == ["192.168.1.1", "10.1.0.1", "10.1.0.2", "10.3.0.1", ""]
    tables = Interdomain(scenario, Routing(scenario, 0)).tables(scenario.faults)
    assert (tables[PREFIX]["i2"].towards, tables[PREFIX]["a1"].towards) == ("b1", "o1")
    # As many networks to either: a1 takes the cheaper link, and its customers go where it does.
    scenario = internet(Fault("hijack", ("c1",), prefix=(PREFIX,)))
    assert sources(answers(scenario, OWNER))[3:6] == ["10.2.0.1", "10.4.0.1", ""]


def test_a_longer_prefix_is_taken_by_all() -> None:
    """But the owner, who knows better."""
    scenario = internet(Fault("hijack", ("c1",), prefix=("203.0.113.0/25",)))
    found = sources(answers(scenario, OWNER))
    assert found[:6] == ["192.168.1.1", "10.1.0.1", "10.1.0.2", "10.2.0.1", "10.4.0.1", ""]
    domains = Interdomain(scenario, Routing(scenario, 0))
    tables = domains.tables(scenario.faults)
    assert "o1" not in tables["203.0.113.0/25"]
    assert domains.walk("o1", "owner", "203.0.113.0/25", tables, frozenset()).nodes == ("o1", "o2", "owner")


def test_a_leak_leads_over_who_leaks_and_arrives() -> None:
    """Everybody but those that it really goes over takes the detour."""
    leak = Fault("leak", ("b1",), prefix=(PREFIX,))
    assert sources(answers(internet(leak), OWNER)) == [
        "192.168.1.1",
        "10.1.0.1",
        "10.1.0.2",
        "10.2.0.1",
        *WAY[4:],
    ]
    leak = Fault("leak", ("c1",), prefix=(PREFIX,))
    assert sources(answers(internet(leak), OWNER)) == [
        "192.168.1.1",
        "10.1.0.1",
        "10.1.0.2",
        "10.3.0.1",
        "10.4.0.1",
        *WAY[3:],
    ]


@pytest.mark.parametrize("seed", range(40))
def test_ways_of_drawn_internets_end(seed: int) -> None:
    """Wherever a packet begins, it comes to the owner or to who says so, and never twice to one router."""
    scenario = drawn(seed)
    domains = Interdomain(scenario, Routing(scenario, 0))
    tables = domains.tables(scenario.faults)
    assert set(domains.prefixes) == {PREFIX, "198.51.100.0/24", "198.51.100.0/25", "198.51.100.128/25"}
    thief, leaker = (fault.at[0] for fault in scenario.faults)
    for router in domains.numbers:
        walk = domains.walk(router, "owner", PREFIX, tables, frozenset())
        assert walk.nodes[-1] == ("owner" if walk.end is None else thief)
        leaked = domains.walk(router, "owner", domains.cell("198.51.100.10"), tables, frozenset())
        assert leaked.end is None
        choice = tables["198.51.100.0/25"].get(router)
        if choice is not None and domains.uses(router, choice.of):
            assert domains.numbers[leaker] in {domains.numbers.get(node) for node in leaked.nodes}


def test_each_version_of_ip_has_routes_of_its_own() -> None:
    """A prefix of IPv6 that is gone leaves IPv4 alone; "no route" is what is said of it."""
    scenario = internet(Fault("withdraw", ("o1",), prefix=(PREFIX_V6,)))
    assert sources(answers(scenario, OWNER)) == WAY
    assert answers(scenario, OWNER_V6)[-1] == Answer("2001:db8:1:1::1", ip.UNREACHABLE, ip.NET_UNREACHABLE)
    assert sources(answers(scenario, OTHER_V6))[-1] == OTHER_V6


def test_routes_of_ipv6_cross_what_carries_it() -> None:
    """A link without it is no session's: the way goes round, over more networks."""
    scenario = internet(Fault("withdraw", ("o1",), begin_s=100.0, prefix=(PREFIX_V6,)))
    links = tuple(replace(link, ipv6=set(link.ends) != {"i2", "a1"}) for link in scenario.links)
    found = sources(answers(replace(scenario, links=links), OWNER_V6))
    assert found[2:6] == ["2001:db8:1:2::1", "2001:db8:b1::1", "2001:db8:c1::1", "2001:db8:a1::1"]


WRONG = [
    ('kind = "withdraw"\nat = "core"', "'prefix' is missing: which one is it about?"),
    ('kind = "withdraw"\nat = "home"\nprefix = "10.0.0.0/8"', "'at': 'home' is in the client's home"),
    ('kind = "hijack"\nat = "access"\nprefix = "10.0.0.0/8"', "10.0.0.0/8 lies in nothing that another network announces"),
    ('kind = "withdraw"\nat = "core"\nprefix = "10.0.0.0/8"', "nothing in 10.0.0.0/8 is announced there, but 23.50.131.0/24"),
    ('kind = "leak"\nat = "access"\nprefix = "23.50.131.10/32"', "a leak says both halves of a prefix"),
    ('kind = "leak"\nat = "access"\nprefix = "23.50.131.10/8"', "'23.50.131.10/8' is not a prefix of IPv4 or IPv6"),
    ('kind = "hijack"\nat = "access"\nprefix = "2001:db8::/32"', "2001:db8::/32 lies in nothing that another network"),
    ('kind = "hijack"\nat = "access"\nprefix = "23.50.131.0/24"\nfraction = 0.5', "key 'fraction' means nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "said"), WRONG, ids=[said[:30] for _, said in WRONG])
def test_what_makes_no_sense_is_refused(tmp_path: Path, fault: str, said: str) -> None:
    """With the file, the key and a hint."""
    text = NETWORK.replace('address = "87.186.224.94"', 'address = "87.186.224.94"\nasn = 64500')
    text = text.replace('address = "217.5.116.114"', 'address = "217.5.116.114"\nasn = 64501')
    (tmp_path / "line.toml").write_text(f"{text}\n[[fault]]\n{fault}\n")
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path / "line.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "line.toml"))
