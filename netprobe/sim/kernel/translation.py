"""A router that translates addresses, in nftables' words: what sim/translation.py models is the kernel's own here."""

from collections.abc import Iterable, Iterator, Sequence

from netprobe.sim.cards import Cards
from netprobe.sim.kernel.layout import Layout
from netprobe.sim.records import Fault, Nat, Router, Scenario
from netprobe.sim.translation import FIRST_PORT

#: Behind the translation of what comes in (linux/netfilter_ipv4.h), so that other rules see the inside's addresses.
BEHIND_TRANSLATION = "-90"
_BEFORE_TRANSLATION = "90"
_CHANCES = 100_000


def settings(nat: Nat | None) -> Iterator[tuple[str, str]]:
    """What the router's connection tracking has to be told, by its names below net."""
    if nat is None:
        return
    for protocol, seconds in (
        ("tcp_timeout_established", nat.tcp_s),
        ("udp_timeout", nat.udp_s),
        ("udp_timeout_stream", nat.udp_s),
        ("icmp_timeout", nat.icmp_s),
    ):
        yield f"netfilter/nf_conntrack_{protocol}", str(max(1, round(seconds)))
    yield "netfilter/nf_conntrack_tcp_be_liberal", "1"  # probes are out of every window


def translation_rules(
    scenario: Scenario, layout: Layout, router: Router, on: Sequence[Fault], detour: str, detoured: Iterable[str]
) -> str:
    """A table of its own; empty text for a router that translates nothing.

    What takes the detour, by the rules `detoured`, is not tracked before it has come back.
    """
    nat = router.nat
    if nat is None:
        return ""
    outer = ", ".join(f'"{device}"' for device in layout.outer(router.name))
    homes = ", ".join(str(card.interface.network) for card in Cards(scenario).all)
    leaving = f"oifname {{ {outer} }} ip daddr != {{ {homes} }}"
    limits = [f"{leaving} ct state new ct count over {nat.ports} drop"] if nat.ports else []
    for fault in on:
        if fault.kind == "exhausted" and router.name in fault.at:
            part = round(fault.fraction * _CHANCES)
            luck = f" jhash ip saddr . ip daddr . th sport . th dport mod {_CHANCES} < {part}"
            limits.append(f"{leaving} ct state new{luck if fault.fraction < 1 else ''} drop")
    ports = f":{FIRST_PORT}-{FIRST_PORT + nat.ports - 1}" if nat.ports else ""
    untracked = [
        f'iifname "{detour}" fib daddr oifname != {{ {outer} }} notrack',
        *(f"iifname != {{ {outer} }} {words}notrack" for words in detoured),
    ]
    chains = (
        ("early", "type filter hook prerouting priority raw", untracked),
        ("limits", f"type filter hook postrouting priority {_BEFORE_TRANSLATION}", limits),
        (
            "leaving",
            "type nat hook postrouting priority srcnat",
            [
                f"{leaving} meta l4proto {{ tcp, udp }} snat to {nat.address}{ports}",
                f"{leaving} snat to {nat.address}",
            ],
        ),
    )
    lines = ["table ip edge", "delete table ip edge", "table ip edge {"]
    for name, hook, rules in chains:
        lines += [f"chain {name} {{ {hook};", *rules, "}"]
    return "\n".join([*lines, "}", ""])
