"""nftables: rulesets for network namespaces, and the client's own firewall where a scenario gives it one."""

import ctypes
from collections.abc import Iterable
from functools import cache

from netprobe.sim.devices import CLIENT_DEVICE
from netprobe.sim.middlebox import QUIC
from netprobe.sim.namespaces import LabError
from netprobe.sim.quic import headers
from netprobe.sim.records import Fault, Match, Scenario

_DNS_PORT = 53
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


def table(sets: Iterable[str] = (), prerouting_priority: str = "raw", **chains: Iterable[str]) -> str:
    """One table, its chains named as the hooks that they hang on, in place of the one before; `sets` by their names."""
    lines = ["table ip lab", "delete table ip lab", "table ip lab {", *(f"set {text}" for text in sets)]
    for hook, rules in chains.items():
        priority = prerouting_priority if hook == "prerouting" else "filter"
        lines += [f"chain {hook} {{ type filter hook {hook} priority {priority};", *rules, "}"]
    return "\n".join([*lines, "}", ""])


def match_words(match: Match) -> list[str]:
    """What a match is in nftables: one of these has to hold. Names in packets are left out."""
    protocol = match.protocol or ("{ tcp, udp }" if match.server_name else "")
    words = f"meta l4proto {'udp' if protocol == QUIC else protocol} " if protocol else ""
    if match.source:
        words += f"ip saddr {{ {', '.join(match.source)} }} "
    if match.destination:
        words += f"ip daddr {{ {', '.join(match.destination)} }} "
    if match.larger_than:
        words += f"ip length > {match.larger_than} "
    port = match.port or (_DNS_PORT if match.query_name else headers.PORT if protocol == QUIC else 0)
    return [f"{words}th {side} {port} " for side in ("sport", "dport")] if port else [words]


class ClientFirewall:
    """The faults `firewall` of a scenario, in this process's network namespace: the client drops what comes in."""

    def __init__(self, scenario: Scenario) -> None:
        self._faults = tuple(fault for fault in scenario.faults if fault.kind == "firewall")
        self._on: tuple[Fault, ...] = ()

    def change(self, now: float) -> None:
        """Let what is on at `now` be on. Cheap where nothing changes. Raises `LabError`."""
        on = tuple(fault for fault in self._faults if fault.active(now)) if self._faults else ()
        if on != self._on:
            rows = [f'iifname "{CLIENT_DEVICE}" {words}drop' for fault in on for words in match_words(fault.match)]
            load(table(input=rows), "the client")
            self._on = on
