"""nftables: rulesets for network namespaces, and the client's own firewall where a scenario gives it one."""

import ctypes
from collections.abc import Iterable
from functools import cache

from netprobe.sim.middlebox import QUIC
from netprobe.sim.namespaces import LabError
from netprobe.sim.quic import headers
from netprobe.sim.records import Fault, Match, Scenario

_DNS_PORT = 53
#: Without its neighbours a machine has no IPv6 at all; ARP meets no firewall either.
DISCOVERY = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
_LIBRARY = "libnftables.so.1"


@cache
def library() -> ctypes.CDLL:
    """libnftables(3), which nft(8) is a shell around: without a process for each ruleset. Raises `LabError`."""
    try:
        found = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        msg = f"{_LIBRARY}: no such library; firewalls and kernel routers need it: apt-get install nftables"
        raise LabError(msg) from error
    found.nft_ctx_new.restype = ctypes.c_void_p
    found.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return found


def load(text: str, whose: str) -> None:
    """Put a ruleset in place in this network namespace, all of it or none. Raises `LabError`."""
    nft = library()
    context = ctypes.c_void_p(nft.nft_ctx_new(0))
    try:
        nft.nft_ctx_buffer_error(context)
        if nft.nft_run_cmd_from_buffer(context, text.encode()):
            said = nft.nft_ctx_get_error_buffer(context).decode(errors="replace").strip()
            msg = f"nftables refuses the rules of {whose}: {said}"
            raise LabError(msg)
    finally:
        nft.nft_ctx_free(context)


def table(
    sets: Iterable[str] = (),
    prerouting_priority: str = "raw",
    family: str = "ip",
    limits: Iterable[str] = (),
    **chains: Iterable[str],
) -> str:
    """One table, its chains named as the hooks that they hang on, in place of the one before.

    `sets`, and `limits` that several rules share, begin with their names. `family` is nftables' word for the versions
    of IP that it is about: `inet` for both.
    """
    name = f"table {family} lab"
    lines = [
        name,
        f"delete {name}",
        f"{name} {{",
        *(f"set {text}" for text in sets),
        *(f"limit {text}" for text in limits),
    ]
    for hook, rules in chains.items():
        priority = prerouting_priority if hook == "prerouting" else "filter"
        lines += [f"chain {hook} {{ type filter hook {hook} priority {priority};", *rules, "}"]
    return "\n".join([*lines, "}", ""])


def match_words(match: Match) -> list[str]:
    """What a match is in nftables: one of these has to hold. Names in packets are left out."""
    protocol = match.protocol or ("{ tcp, udp }" if match.server_name else "")
    port = match.port or (_DNS_PORT if match.query_name else headers.PORT if protocol == QUIC else 0)
    protocol = {"icmp": "{ icmp, icmpv6 }", QUIC: "udp"}.get(protocol, protocol)
    words = f"meta l4proto {protocol} " if protocol else ""
    if match.larger_than:
        words += f"meta length > {match.larger_than} "
    sides = [f"th {side} {port} " for side in ("sport", "dport")] if port else [""]
    return [f"{ends}{words}{side}" for ends in _ends_words(match) for side in sides]


def _ends_words(match: Match) -> list[str]:
    """Where packets come from and go to, in IPv4 and in IPv6; a packet is of one of them."""
    if not match.source and not match.destination:
        return [""]
    found = []
    for family, over_v6 in (("ip", False), ("ip6", True)):
        ends = [("saddr", match.source), ("daddr", match.destination)]
        ours = [(key, [p for p in prefixes if (":" in p) is over_v6]) for key, prefixes in ends if prefixes]
        if all(prefixes for _, prefixes in ours):
            found.append("".join(f"{family} {key} {{ {', '.join(prefixes)} }} " for key, prefixes in ours))
    return found


class ClientFirewall:
    """The faults `firewall` of a scenario, in this process's network namespace: the client drops what comes in."""

    def __init__(self, scenario: Scenario) -> None:
        self._faults = tuple(fault for fault in scenario.faults if fault.kind == "firewall")
        self._on: tuple[Fault, ...] = ()

    def change(self, now: float) -> None:
        """Let what is on at `now` be on. Cheap where nothing changes. Raises `LabError`."""
        on = tuple(fault for fault in self._faults if fault.active(now)) if self._faults else ()
        if on != self._on:
            rows = [f'iifname != "lo" {words}drop' for fault in on for words in match_words(fault.match)]
            load(table(family="inet", input=[DISCOVERY, *rows] if rows else []), "the client")
            self._on = on
