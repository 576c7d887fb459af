"""What an ICMP error says, in words. The tables are IANA's; whoever sends an error chooses its numbers."""

from netprobe.model.probes import Reply, ReplyKind

#: Code of "destination unreachable": RFC 792, RFC 1122 (3.2.2.1) and RFC 1812 (5.2.7.1).
_UNREACHABLE = {
    0: "no route to that network",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    5: "source route failed",
    6: "network unknown",
    7: "host unknown",
    8: "source host isolated",
    9: "network prohibited by an administrator",
    10: "host prohibited by an administrator",
    11: "network unreachable for this type of service",
    12: "host unreachable for this type of service",
    13: "prohibited by an administrator",
    14: "host precedence violation",
    15: "precedence cut-off",
}
#: The same for ICMPv6: RFC 4443 (3.1) and RFC 8883.
_UNREACHABLE_V6 = {
    0: "no route",
    1: "prohibited by an administrator",
    2: "beyond the scope of the source address",
    3: "address unreachable",
    4: "port unreachable",
    5: "source address failed policy",
    6: "route rejected",
    7: "error in source routing header",
    8: "headers too long",
}
#: Types that are neither unreachable nor time exceeded, by whether it is ICMPv6.
_TYPES = {
    (False, 4): "source quench",
    (False, 5): "redirect",
    (False, 12): "parameter problem",
    (True, 2): "packet too big",
    (True, 4): "parameter problem",
}
_REASSEMBLY = 1  # RFC 792, RFC 4443: the code of a fragment whose others did not come in time
_TIME_EXCEEDED = frozenset({(False, 11), (True, 3)})


def meaning(reply: Reply) -> str:
    """What an error says beside that the TTL was over, which is what a traceroute asks for; empty for all else."""
    over_v6 = ":" in reply.source
    if reply.kind is ReplyKind.TIME_EXCEEDED:
        return "fragments did not come in time" if reply.icmp_code == _REASSEMBLY else ""
    if reply.kind is not ReplyKind.UNREACHABLE or (over_v6, reply.icmp_type) in _TIME_EXCEEDED:
        return ""
    if reply.icmp_type in {3, 1} and (reply.icmp_type == 1) is over_v6:
        codes = _UNREACHABLE_V6 if over_v6 else _UNREACHABLE
        text = codes.get(reply.icmp_code, f"unreachable (code {reply.icmp_code})")
    else:
        text = _TYPES.get((over_v6, reply.icmp_type), f"ICMP type {reply.icmp_type}, code {reply.icmp_code}")
    return f"{text} (MTU {reply.mtu})" if reply.mtu > 0 else text
