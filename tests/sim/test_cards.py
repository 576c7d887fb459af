"""A client of several network cards: which of them packets leave by, and what they have while nobody leases them any."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.model.host import HostState, Inspect
from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.model.services import Answer, Fetch, Handshake, Lookup, Response
from netprobe.probing.port import Outcome, Over, Request
from netprobe.sim.records import Fault, Link, Nat, Router, Scenario, Uplink
from netprobe.sim.scenario import ScenarioError, load
from netprobe.sim.virtual import VirtualVantage
from tests.sim.small import SERVER, fault, line

STICK = "192.168.8.1"
PUBLIC = "109.250.3.9"


def two(*faults: Fault) -> Scenario:
    """The line, and an LTE stick that meets it at r3."""
    before = line()
    return line(
        *faults,
        uplinks=(Uplink("wwan0", "192.168.8.100/24", "stick"),),
        routers=(
            *before.routers,
            Router("stick", STICK, icmp_ttl=64, nat=Nat("10.17.3.9")),
            Router("cgnat", "10.17.0.1", nat=Nat(PUBLIC)),
        ),
        links=(
            *before.links,
            Link(("wwan0", "stick"), 1.0),
            Link(("stick", "cgnat"), 20.0),
            Link(("cgnat", "r3"), 1.0),
        ),
    )


def outcomes(scenario: Scenario, requests: Sequence[Request], until: float = 20.0) -> list[Outcome]:
    """What comes of the requests, in their order; a probe that nobody answers draws nothing."""
    vantage = VirtualVantage(scenario)
    tokens = [vantage.send(request) for request in requests]
    found = {}
    while (event := vantage.receive(until)) is not None:
        found[event.token] = event.outcome
    return [found[token] for token in tokens if token in found]


def hops(vantage_scenario: Scenario, link: str) -> list[str]:
    """Who answers to growing TTLs over `link`; empty: the routes decide."""
    probes = [Probe(Flow(Protocol.ICMP, SERVER), ttl) for ttl in range(1, 6)]
    replies = outcomes(vantage_scenario, [Over(link, probe) if link else probe for probe in probes])
    return [reply.source for reply in replies if isinstance(reply, Reply)]


def test_packets_leave_by_the_card_with_the_smallest_metric() -> None:
    """By the other one where they are bound to it: the LTE way, and its own delays."""
    assert hops(two(), "") == ["192.168.1.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", SERVER]
    assert hops(two(), "wwan0") == [STICK, "10.17.0.1", "10.0.0.3", "10.0.0.4", SERVER]
    second = two()
    assert hops(replace(second, client=replace(second.client, metric=900)), "")[0] == STICK


def test_conversations_are_bound_too() -> None:
    """A page, and a name, over the link that was asked for: one dies with the cable's provider, the other does not."""
    page = Fetch(Handshake(SERVER, 443, "www.tiktok.com"))
    name = Lookup("www.tiktok.com", "194.25.2.129")
    dead = fault("down", "r1")
    requests: list[Request] = [page, Over("wwan0", page), name, Over("wwan0", name)]
    by_cable, by_stick, asked, asked_by_stick = outcomes(two(dead), requests)
    assert isinstance(by_cable, Response)
    assert isinstance(by_stick, Response)
    assert isinstance(asked, Answer)
    assert isinstance(asked_by_stick, Answer)
    assert (by_cable.status, by_stick.status) == (0, 200)
    assert (asked.usable, asked_by_stick.usable) == (False, True)


def looked(scenario: Scenario) -> HostState:
    (state,) = outcomes(scenario, [Inspect()])
    assert isinstance(state, HostState)
    return state


def test_the_machine_knows_all_its_default_routes() -> None:
    """The first of them is the one that counts."""
    state = looked(two())
    assert [(u.link, u.gateway, u.metric) for u in state.uplinks] == [("eth0", "192.168.1.1", 0), ("wwan0", STICK, 700)]
    assert (state.default_link, state.gateway) == ("eth0", "192.168.1.1")
    assert [link.addresses for link in state.links] == [("192.168.1.23/24",), ("192.168.8.100/24",)]


@pytest.mark.parametrize("made_up", [(), ("169.254.7.9",)])
def test_without_a_lease_nothing_leaves(made_up: tuple[str, ...]) -> None:
    """The kernel says ENETUNREACH at once, to everybody; a made-up address changes nothing."""
    scenario = line(fault("no_lease", "client", addresses=made_up))
    state = looked(scenario)
    assert (state.default_link, state.gateway, state.uplinks) == ("", "", ())
    assert [(link.carrier, link.addresses) for link in state.links] == [(True, tuple(f"{a}/16" for a in made_up))]
    probe, page = Probe(Flow(Protocol.ICMP, SERVER)), Fetch(Handshake(SERVER, 443, "www.tiktok.com"))
    failed, local = outcomes(scenario, [probe, page])
    assert isinstance(failed, Reply)
    assert isinstance(local, Response)
    assert (failed.kind, failed.error) == (ReplyKind.SEND_FAILED, "ENETUNREACH")
    assert (local.handshaken.error, local.handshaken.detail) == ("local", "ENETUNREACH")


def test_the_other_card_takes_over_without_a_lease_and_not_without_a_carrier() -> None:
    """With the address the route goes; a pulled cable alone leaves it where it is, as in Linux."""
    assert hops(two(fault("no_lease", "client")), "")[0] == STICK
    assert looked(two(fault("no_lease", "client"))).default_link == "wwan0"
    state = looked(two(fault("down", "client")))
    assert (state.default_link, [link.carrier for link in state.links]) == ("eth0", [False, True])


def test_a_lease_that_ends_takes_what_is_under_way_with_it() -> None:
    """What comes for an address that the machine does not have any more is nobody's."""
    scenario = line(fault("no_lease", "client", begin_s=0.005))
    assert outcomes(scenario, [Probe(Flow(Protocol.ICMP, SERVER))]) == []


def test_a_busy_machine_wakes_late_and_says_so() -> None:
    """What comes while others have the processor is read at the next turn; the kernel's stamps stay right."""
    vantage = VirtualVantage(line(fault("busy", "client", delay_ms=700.0)))
    vantage.receive(0.25)  # the first turn is over
    assert vantage.now() == pytest.approx(0.9)
    vantage.receive(1.095)
    vantage.send(Probe(Flow(Protocol.ICMP, SERVER)))
    event = vantage.receive(5.0)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    rtt_s = event.outcome.rtt_s
    assert 0.015 < rtt_s < 0.025  # as the seed has moved the links
    assert event.at_s == pytest.approx(1.095 + rtt_s)
    assert vantage.now() == pytest.approx(1.8)
    vantage.send(Inspect())
    state = vantage.receive(5.0)
    assert state is not None
    assert isinstance(state.outcome, HostState)
    assert state.outcome.late_s == pytest.approx(1.8 - event.at_s)
    assert state.outcome.overdue_s == pytest.approx(0.65 + 1.8 - event.at_s)


HEAD = """
sentence = "Two."
network = "typical"
expect = { component = "none", cause = "none.app_device" }
"""
UPLINK = """
[[uplink]]
name = "wwan0"
address = "192.168.8.100/24"
gateway = "stick"
[[router]]
name = "stick"
address = "192.168.8.1"
[[link]]
ends = ["wwan0", "stick"]
delay_ms = 1.0
[[link]]
ends = ["stick", "transit-b-1"]
delay_ms = 1.0
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (UPLINK.replace('"wwan0"\naddress', '"eth0"\naddress').replace('["wwan0"', '["eth0"'), "no name that a second"),
        (UPLINK.replace("192.168.8.100/24", "wide"), "'address' in [[uplink]] 'wwan0': 'wide' is not an IPv4 address"),
        (UPLINK.replace('gateway = "stick"', 'gateway = "stik"'), "(did you mean 'stick'?)"),
        (
            UPLINK.replace('"wwan0", "stick"', '"client", "stick"'),
            "it has one [[link]], which joins it and its gateway",
        ),
        (UPLINK.replace("[[router]]", "metric = 0\n[[router]]", 1), "0 is the metric of [client], and the smallest"),
        (UPLINK.replace("[[router]]", "mtu = 0\n[[router]]", 1), "unknown key 'mtu' in [[uplink]] 'wwan0'"),
        ('[[fault]]\nkind = "busy"\nat = "client"', "how long does a process wait for its turn?"),
        ('[[fault]]\nkind = "no_lease"\nat = "client"\naddresses = ["10.0.0.1"]', "of 169.254.0.0/16 (RFC 3927)"),
        (
            '[[fault]]\nkind = "no_lease"\nat = "home-router"',
            "'at' in [[fault]] 'no_lease': there is no client or uplink",
        ),
        (
            UPLINK + '[[fault]]\nkind = "certificate"\nat = "isp-core-1"\nexpired = true',
            "with [[uplink]] a server would show it to all of them",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With the place and what to do."""
    file = tmp_path / "bad.toml"
    file.write_text(HEAD + text)
    with pytest.raises(ScenarioError, match=r"bad\.toml: ") as refusal:
        load(file)
    assert said in str(refusal.value)


def test_a_loop_on_one_way_takes_nothing_on_its_way_back() -> None:
    """Who is beyond it is seen from the card next to it: what its routers say gets to the client."""
    assert hops(two(fault("loop", "r1", "r2")), "")[:4] == ["192.168.1.1", "10.0.0.2", "192.168.1.1", "10.0.0.2"]
    assert hops(two(fault("loop", "r1", "r2")), "wwan0")[-1] == SERVER
