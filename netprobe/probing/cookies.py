"""Whether a server answers SYNs with SYN cookies (RFC 4987, 3.6), under a flood of them or always: a guess."""

from collections.abc import Sequence

from netprobe.model.replies import TcpHeader

_OPTION_BITS = 0x3F  # of a Linux cookie's time stamp: the client's window scale, SACK, ECN (net/ipv4/syncookies.c)
_ENOUGH = 3  # different stamps, whose six bits agree by chance once in 4096 times

#: How it shows in SYN-ACKs, by name.
COOKIE_SIGNS = {
    "stamp_bits": "the low bits of its time stamps stay the same, as those of Linux's SYN cookies do",
    "bare": "it has none of the options that were offered but the MSS",
}


def cookie_signs(answers: Sequence[TcpHeader]) -> tuple[str, ...]:
    """Signs that `answers` of one server to SYNs that offered everything, and the same, are SYN cookies.

    A heuristic. A cookie has no room for options. Linux keeps them in the low six bits of its time stamp, to which it
    adds a number of the two addresses' own: they are the same in all answers, while other time stamps count on. Where
    that number is of the four-tuple (as in Linux 6.18) nothing shows. A small device without any options looks as a
    cookie of another system does.
    """
    stamps = {stamp.value for header in answers if (stamp := header.option("timestamps"))}
    signs = []
    if len(stamps) >= _ENOUGH and len({stamp & _OPTION_BITS for stamp in stamps}) == 1:
        signs.append("stamp_bits")
    if answers and all(map(_bare, answers)):
        signs.append("bare")
    return tuple(signs)


def _bare(header: TcpHeader) -> bool:
    return {option.name for option in header.options} <= {"mss", "nop", "end"}
