"""A fault in nftables' words; that the kernel takes them and means the same is shown by the fidelities' test."""

import msgspec
import pytest

from netprobe.sim.firewall import DISCOVERY, match_words
from netprobe.sim.kernel.layout import Layout
from netprobe.sim.kernel.rules import active, router_rules, server_rules, takes_a_detour
from netprobe.sim.records import Fault, Match, RateLimit
from netprobe.sim.scenario import load

HEALTHY = load("healthy")
LAYOUT = Layout(HEALTHY)


def rules(*faults: Fault, router: str = "isp-core-1") -> str:
    """The ruleset of one router."""
    return router_rules(HEALTHY, LAYOUT, router, faults)


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (Match(), [""]),
        (Match(protocol="icmp"), ["meta l4proto { icmp, icmpv6 } "]),
        (Match(larger_than=1400), ["meta length > 1400 "]),
        (Match(destination=("10.0.0.0/8", "::/0")), ["ip daddr { 10.0.0.0/8 } ", "ip6 daddr { ::/0 } "]),
        (
            Match(source=("::/0",), destination=("10.0.0.0/8", "2000::/3")),
            ["ip6 saddr { ::/0 } ip6 daddr { 2000::/3 } "],
        ),
        (Match(protocol="tcp", port=443), ["meta l4proto tcp th sport 443 ", "meta l4proto tcp th dport 443 "]),
        (Match(destination=("10.0.0.0/8", "192.0.2.1")), ["ip daddr { 10.0.0.0/8, 192.0.2.1 } "]),
        (Match(server_name=("*.tiktok.com",)), ["meta l4proto { tcp, udp } "]),
        (Match(protocol="quic"), ["meta l4proto udp th sport 443 ", "meta l4proto udp th dport 443 "]),
    ],
)
def test_matches_in_nftables_words(match: Match, words: list[str]) -> None:
    """A port is either end's; a name is looked for in all of TCP and UDP."""
    assert match_words(match) == words


def test_a_fault_acts_at_its_place_only() -> None:
    """Another router's rules stay as they were."""
    fault = Fault("drop", ("isp-core-1",), match=Match(protocol="udp"))
    assert "ip ttl > 1 meta l4proto udp  drop" in rules(fault)
    assert "ip6 hoplimit > 1 meta l4proto udp  drop" in rules(fault)
    assert rules(fault, router="isp-core-2") == rules(router="isp-core-2")


def test_part_of_the_packets() -> None:
    """A fraction is a chance for each packet."""
    assert "numgen random mod 100000 < 25000 drop" in rules(Fault("drop", ("isp-core-1",), fraction=0.25))


@pytest.mark.parametrize(
    ("rate", "said"),
    [(1.0, "over 1/second"), (0.5, "over 30/minute"), (100.0, "over 100/second"), (0.001, "over 4/hour")],
)
def test_rates_are_whole_numbers(rate: float, said: str) -> None:
    """What nftables cannot say a second it says a minute."""
    text = rules(Fault("rate_limit", ("isp-core-1",), rate=rate, burst=6))
    assert f"limit errors {{ rate {said} burst 6 packets }}" in text
    assert text.count('limit name "errors" drop') == 2  # one bucket for both versions of IP


def test_what_needs_a_reader_takes_a_detour() -> None:
    """Names, forgeries and delays; a drop by address does not."""
    named = Match(server_name=("*",))
    assert all(takes_a_detour(Fault(kind, ("r",))) for kind in ("reset", "delay", "dns"))
    assert takes_a_detour(Fault("drop", ("r",), match=named))
    assert not takes_a_detour(Fault("drop", ("r",), match=Match(destination=("10.0.0.0/8",))))
    assert "meta mark set 1" in rules(Fault("drop", ("isp-core-1",), match=named))


def test_a_dead_resolver_leaves_the_router_alive() -> None:
    """Only its port is silent."""
    resolver = next(r for r in HEALTHY.resolvers if r.address == "192.168.1.1")
    text = rules(Fault("down", (resolver.name,)), router="home-router")
    assert "ip daddr 192.168.1.1 th dport 53 drop" in text
    assert f"type filter hook prerouting priority -90;\n{DISCOVERY}\n}}" in text  # behind the translation


def test_servers_that_are_down_or_refuse() -> None:
    """Nothing comes and goes, or a RST and a port unreachable."""
    server = HEALTHY.servers[0]
    dead = server_rules(HEALTHY, LAYOUT, (Fault("down", (server.name,)),))
    for family, addresses in (("ip", server.addresses[:3]), ("ip6", server.addresses[3:])):
        assert f"{family} daddr {{ {', '.join(addresses)} }} drop" in dead
        assert f"{family} saddr {{ {', '.join(addresses)} }} drop" in dead
    refusing = server_rules(HEALTHY, LAYOUT, (Fault("refuse", (server.name,)),))
    assert f"ip daddr {server.addresses[0]} reject with tcp reset" in refusing
    assert f"ip6 daddr {server.addresses[3]} reject with icmpx type port-unreachable" in refusing


def test_faults_begin_and_end() -> None:
    """The last moment is not part of it."""
    fault = Fault("down", ("isp-core-1",), begin_s=2.0, end_s=5.0)
    scenario = msgspec.structs.replace(HEALTHY, faults=(fault,))
    assert [active(scenario, t) for t in (1.9, 2.0, 4.9, 5.0)] == [(), (fault,), (fault,), ()]


def test_limits_of_the_file_hold_until_a_fault_s() -> None:
    """A fault's rate limit takes the place of the router's own."""
    limited = tuple(msgspec.structs.replace(r, rate_limit=RateLimit(2.0, 3)) for r in HEALTHY.routers)
    scenario = msgspec.structs.replace(HEALTHY, routers=limited)
    assert "over 2/second burst 3" in router_rules(scenario, LAYOUT, "isp-core-1", ())
    other = router_rules(scenario, LAYOUT, "isp-core-1", (Fault("rate_limit", ("isp-core-1",), rate=9.0, burst=4),))
    assert "over 9/second burst 4" in other
    assert "over 2/second" not in other


def test_a_limit_for_each_peer_is_a_set_of_buckets() -> None:
    """Keyed by where errors go; the one over all comes behind it."""
    limit = RateLimit(1.0, 6, per="peer", total_rate=1000.0, total_burst=50)
    limited = tuple(msgspec.structs.replace(r, rate_limit=limit) for r in HEALTHY.routers)
    text = router_rules(msgspec.structs.replace(HEALTHY, routers=limited), LAYOUT, "isp-core-1", ())
    assert "update @peers { ip daddr limit rate over 1/second burst 6 packets } drop" in text
    assert "update @peers6 { ip6 daddr limit rate over 1/second burst 6 packets } drop" in text
    assert "limit all-errors { rate over 1000/second burst 50 packets }" in text
    assert text.index("over 1/second") < text.index('limit name "all-errors" drop')


def test_what_a_loaded_link_loses() -> None:
    """More than fits is lost where the others go, not the other way."""
    fault = Fault("congestion", ("isp-core-1", "isp-core-2"), load=1.25, towards="isp-core-2")
    assert "numgen random mod 100000 < 20000 drop" in rules(fault, router="isp-core-2")
    assert "numgen" not in rules(fault)
    light = Fault("congestion", ("isp-core-1", "isp-core-2"), load=0.9)
    assert "numgen" not in rules(light) + rules(light, router="isp-core-2")
