"""Whether a server answers SYNs with SYN cookies (RFC 4987, 3.6), under a flood of them or always: a guess."""

from collections.abc import Sequence

from netprobe.model.replies import TcpHeader

_NO_SCALE = 0xF

#: How it shows in a SYN-ACK, by name.
COOKIE_SIGNS = {
    "stamp_bits": "the low bits of its time stamps hold the options, as those of Linux's SYN cookies do",
    "bare": "it has none of the options that were offered but the MSS",
}


def cookie_signs(answers: Sequence[TcpHeader]) -> tuple[str, ...]:
    """Signs, shown by all of `answers` to SYNs that offered everything, that a server answers with SYN cookies.

    A heuristic. A cookie has no room for options (RFC 4987, 3.6). Linux keeps them in the low six bits of its time
    stamp: window scale, SACK, ECN (net/ipv4/syncookies.c), which one SYN-ACK in 32 has by chance. A small device
    without any options looks as a cookie of another system does.
    """
    if not answers:
        return ()
    signs = {"stamp_bits": all(map(_stamp_bits, answers)), "bare": all(map(_bare, answers))}
    return tuple(name for name, shown in signs.items() if shown)


def _stamp_bits(header: TcpHeader) -> bool:
    stamps = header.option("timestamps")
    if stamps is None:
        return False
    scale = header.option("window_scale")
    bits = (scale.value if scale else _NO_SCALE) | (header.option("sack") is not None) << 4
    return stamps.value & 0x1F == bits


def _bare(header: TcpHeader) -> bool:
    return {option.name for option in header.options} <= {"mss", "nop", "end"}
