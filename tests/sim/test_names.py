"""Names with several sides: chains, regions, IPv6, what does not exist, what does not fit - for dig and in virtual time."""

import json
from pathlib import Path

import pytest

from netprobe.model.services import Answer, Lookup
from netprobe.sim.records import Entry, Fault, Resolver, Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import real_scenario
from tests.sim.small import RESOLVER, ROUTERS, fault, line

CHAIN = ("v19.cdn-a.net", "v19.map.cdn-b.net", "edge.cdn-b.net")
HERE, FAR, NEAR = "23.50.131.10", "23.50.131.11", "93.184.216.34"
TELLING = "8.8.8.8"
MANY = tuple(f"198.51.100.{n}" for n in range(1, 61))

NAMES = {
    "v19.tiktok.com": Entry((HERE,), aliases=CHAIN, ttl_s=0, aaaa=("2001:db8::19",)),
    "near.tiktok.com": Entry((FAR,), regions={"194.25.0.0/16": (HERE,), "87.186.224.0/24": (NEAR,)}),
    "many.tiktok.com": Entry(MANY),
}
RESOLVERS = (*line().resolvers, Resolver("telling", TELLING, "r4", ecs="87.186.224.0/24"))
WORLD = line(names=NAMES, resolvers=RESOLVERS)


def asked(
    name: str, resolver: str = RESOLVER, kind: str = "A", scenario: Scenario = WORLD, timeout_s: float = 3
) -> Answer:
    vantage = VirtualVantage(scenario)
    vantage.send(Lookup(name, resolver, kind, timeout_s))
    event = vantage.receive(100.0)
    assert event is not None
    assert isinstance(event.outcome, Answer)
    assert vantage.receive(200.0) is None
    assert vantage.usage().packets_sent > 0
    return event.outcome


def faulty(*faults: Fault) -> Scenario:
    return line(*faults, names=NAMES, resolvers=RESOLVERS)


def test_a_chain_is_told_in_order() -> None:
    """Every alias on the way, the addresses at its end, and a TTL of 0 as it is."""
    answer = asked("v19.tiktok.com")
    assert (answer.aliases, answer.addresses, answer.ttl_s) == (CHAIN, (HERE,), 0)


def test_addresses_of_the_other_family_are_told_apart() -> None:
    """A question for AAAA gets those, and none where a name has none."""
    assert asked("v19.tiktok.com", kind="AAAA").addresses == ("2001:db8::19",)
    none = asked("near.tiktok.com", kind="AAAA")
    assert (none.rcode, none.addresses) == ("NOERROR", ())


def test_who_asks_decides_where_the_answer_leads() -> None:
    """An authority sees the resolver, unless that one tells of the client's subnet."""
    assert asked("near.tiktok.com").addresses == (HERE,)
    assert asked("near.tiktok.com", TELLING).addresses == (NEAR,)
    elsewhere = line(names=NAMES, resolvers=(Resolver("far", TELLING, "r4"),))
    assert asked("near.tiktok.com", TELLING, scenario=elsewhere).addresses == (FAR,)


@pytest.mark.parametrize("resolver", [RESOLVER, ROUTERS[0]], ids=["resolver", "forwarder"])
@pytest.mark.parametrize("name", ["many.tiktok.com", "near.tiktok.com"])
def test_what_does_not_fit_comes_by_tcp(resolver: str, name: str) -> None:
    """An answer that is too long, and one that a resolver only says is; also through a forwarder."""
    answer = asked(name, resolver, scenario=faulty(fault("dns", "provider", truncate=True)))
    assert answer.addresses == (MANY if name.startswith("many") else (HERE,))
    assert answer.error == ""


@pytest.mark.parametrize(
    ("match", "kind", "error"),
    [({"protocol": "tcp", "port": 53}, "drop", "timeout"), ({"protocol": "tcp", "port": 53}, "reset", "refused")],
)
def test_where_tcp_does_not_pass_it_never_comes(match: dict[str, object], kind: str, error: str) -> None:
    """A network that lets no DNS over TCP pass breaks long answers only."""
    scenario = faulty(fault(kind, "r1", match=match))
    assert asked("many.tiktok.com", scenario=scenario).error == error
    assert asked("near.tiktok.com", scenario=scenario).usable


def test_names_that_do_not_exist_are_rewritten() -> None:
    """Names that exist, and such as only have names below them, are left alone."""
    scenario = faulty(fault("dns", "provider", addresses=("203.0.113.9",), missing=True))
    assert asked("nobody.invalid", scenario=scenario).addresses == ("203.0.113.9",)
    assert asked("near.tiktok.com", scenario=scenario).addresses == (HERE,)
    assert asked("tiktok.com", scenario=scenario).addresses == ()


def test_the_authority_of_one_zone_fails() -> None:
    """Late and only there."""
    scenario = faulty(fault("dns", "provider", "telling", names=("*.tiktok.com",), rcode="SERVFAIL", delay_ms=900.0))
    answer = asked("near.tiktok.com", scenario=scenario)
    assert answer.rcode == "SERVFAIL"
    assert answer.rtt_s is not None
    assert answer.rtt_s > 0.9
    assert asked("www.example.com", scenario=scenario).rcode == "NXDOMAIN"  # nobody has told this world of it


def test_a_zones_own_server_speaks_for_its_names_alone() -> None:
    """Everybody tells who it is and where; it says that its word is its own, and refuses what is not its."""
    own = Resolver("own", "71.18.80.53", "r4", zones=("tiktok.com",), host="ns1.tiktok.example")
    scenario = line(names=NAMES, resolvers=(*RESOLVERS, own))
    assert asked("tiktok.com", kind="NS", scenario=scenario).servers == ("ns1.tiktok.example",)
    assert asked("ns1.tiktok.example", scenario=scenario).addresses == ("71.18.80.53",)
    answer = asked("many.tiktok.com", own.address, scenario=scenario)
    assert (answer.addresses, answer.authoritative) == (MANY, True)
    assert asked("www.example.com", own.address, scenario=scenario).rcode == "REFUSED"
    assert asked("nobody.tiktok.com", own.address, scenario=scenario).rcode == "NXDOMAIN"


REAL = f"""
"v19.tiktok.com" = {{ aliases = {json.dumps(CHAIN)}, addresses = ["{HERE}"], ttl_s = 0, aaaa = ["2001:db8::19"] }}
"near.tiktok.com" = {{ addresses = ["{FAR}"], regions = {{ "194.25.0.0/16" = ["{HERE}"], "87.186.224.0/24" = ["{NEAR}"] }} }}
"many.tiktok.com" = {json.dumps(MANY)}

[[resolver]]
name = "telling"
address = "{TELLING}"
at = "core"
ecs = "87.186.224.0/24"

[[resolver]]
name = "own"
address = "71.18.80.53"
at = "core"
zones = ["tiktok.com"]
host = "ns1.tiktok.example"

[[fault]]
kind = "dns"
at = "provider"
names = ["near.*"]
truncate = true

[[fault]]
kind = "dns"
at = "provider"
missing = true
addresses = ["203.0.113.9"]
"""


@pytest.mark.packets
def test_dig_sees_what_the_file_says(tmp_path: Path, fidelity: Fidelity) -> None:
    """The chain and its TTL, IPv6 addresses, regions with and without ECS, TC and then TCP, what does not exist."""
    with World(real_scenario.scenario(tmp_path, REAL), fidelity=fidelity) as world:

        def dig(*words: str) -> str:
            done = world.run(["dig", "+time=3", "+tries=1", *words])
            assert done.returncode == 0, done.stdout
            return str(done.stdout)

        said = [row.split() for row in dig("+noall", "+answer", f"@{RESOLVER}", "v19.tiktok.com").splitlines()]
        assert [(row[1], row[3], row[4]) for row in said] == [
            *(("0", "CNAME", f"{target}.") for target in CHAIN),
            ("0", "A", HERE),
        ]
        assert dig("+short", f"@{RESOLVER}", "v19.tiktok.com", "AAAA").splitlines()[-1] == "2001:db8::19"
        for server in (RESOLVER, "192.168.1.1"):
            cut = dig("+ignore", "+noedns", f"@{server}", "near.tiktok.com")
            assert "flags: qr tc rd ra" in cut
            whole = dig("+noedns", f"@{server}", "near.tiktok.com")
            assert ";; Truncated, retrying in TCP mode." in whole
            assert HERE in whole
        assert dig("+short", f"@{TELLING}", "near.tiktok.com").strip() == NEAR
        told = dig("+subnet=194.25.7.0/24", f"@{TELLING}", "near.tiktok.com")
        assert HERE in told
        assert "CLIENT-SUBNET: 194.25.7.0/24/16" in told
        assert len(dig("+short", "+noedns", f"@{TELLING}", "many.tiktok.com").split("\n")) > len(MANY)
        assert dig("+short", f"@{RESOLVER}", "nobody.invalid").strip() == "203.0.113.9"
        assert "status: NXDOMAIN" in dig(f"@{TELLING}", "nobody.invalid")
        assert dig("+short", f"@{TELLING}", "tiktok.com", "NS").strip() == "ns1.tiktok.example."
        assert dig("+short", f"@{TELLING}", "ns1.tiktok.example").strip() == "71.18.80.53"
        own = dig("+norecurse", "@71.18.80.53", "v19.tiktok.com")
        assert "flags: qr aa" in own
        assert HERE in own
        assert "status: REFUSED" in dig("@71.18.80.53", "www.example.com")
