"""Speed by name: is the platform's page slow because of the platform's name, or slow whatever is asked for?"""

from statistics import median

from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.diagnosis.signals.http import CAP_BYTES, DEAD_S
from netprobe.model.services import Response
from netprobe.probing.speed import ENOUGH, ROUNDS, drags
from netprobe.probing.throughput import area, differ, goodput, ks_probability, rates

_SLOWER = 2.0  # times as slow in every pair: less is not worth a name
_SLOW = 250_000.0  # bytes a second that any video needs less than
_HELD_UP = 8.0  # times as long a handshake,
_SMALL = 1e-9  # a probability that nobody needs to know more exactly
_HELD_UP_S = 1.0  # and this much longer, in every pair

_Pair = tuple[Response, Response]


def by_name(view: View) -> Finding | None:
    """Is the same page of the same server slower by the platform's name than by another one?"""
    named, other = view.facts.speeds["edge.speed"], view.facts.speeds["edge.speed.other"]
    pairs = [(one[1], two[1]) for one, two in zip(named, other, strict=False)]
    if not pairs:
        return None
    indices = tuple(i for i, _ in (*named, *other))
    sizes = median(r.arrived_bytes for _, r in pairs)
    if len(pairs) >= ROUNDS:
        if all(_held_up(*pair) for pair in pairs):
            took = median((one.handshaken.tls_s or 0.0) for one, _ in pairs)
            beside = median((two.handshaken.tls_s or 0.0) for _, two in pairs)
            return Finding(
                "held_up",
                f"By the platform's name a handshake takes {took:.1f} s or never ends, by another one at the same "
                f"address {beside:.2f} s, {of(len(pairs), len(pairs))} times.",
                indices,
            )
        if sizes >= ENOUGH and all(_is_slower(*pair) for pair in pairs):
            return _slower(pairs, indices)
    if not any(drags(one) for one, _ in pairs):
        return Finding("quick", f"A page of {sizes / 1e3:.0f} KB comes quickly by the platform's name.", indices)
    if any(drags(two) for _, two in pairs):
        return Finding(
            "alike", "The platform's page is as slow by a name that nobody knows: it is not the name.", indices
        )
    return Finding("unclear", "The platform's page is slow at times, and not surely by its name.", indices)


def _slower(pairs: list[_Pair], indices: tuple[int, ...]) -> Finding:
    """Every pair says so: do both tests, over all rates together?"""
    one = [rate for r, _ in pairs for rate in rates(r)]
    two = [rate for _, r in pairs for rate in rates(r)]
    slow, quick = (median(8e-3 * goodput(r) for r in side) for side in zip(*pairs, strict=True))
    told = (
        f"The same page of the same server comes at {slow:.0f} kbit/s by the platform's name and at {quick:.0f} by "
        f"another one of the same length, {of(len(pairs), len(pairs))} times"
    )
    if all(_is_dead(r) for r, _ in pairs):
        most = max(r.arrived_bytes for r, _ in pairs)
        return Finding(
            "cut_by_name", f"{told}: by the platform's nothing comes any more after {most / 1e3:.0f} KB.", indices
        )
    if not differ(one, two):
        return Finding("unclear", f"{told}, but the rates in between do not differ surely.", indices)
    return Finding(
        "by_name",
        f"{told} (Kolmogorov-Smirnov p {max(_SMALL, ks_probability(one, two)):.0e}, area {area(one, two):.1f}).",
        indices,
    )


def _is_slower(one: Response, two: Response) -> bool:
    return two.handshaken.done and goodput(one) < min(_SLOW, goodput(two) / _SLOWER)


def _is_dead(response: Response) -> bool:
    """Whether it went dead after as much as caps let pass."""
    return (response.quiet_s or 0.0) >= DEAD_S and response.arrived_bytes <= CAP_BYTES


def _held_up(one: Response, two: Response) -> bool:
    """Whether the handshake alone takes so much longer, from its beginning or to its time-out."""
    if one.handshaken.phase == "connect" or two.handshaken.tls_s is None or one.handshaken.error not in {"", "timeout"}:
        return False
    waited = one.fetch.handshake.timeout_s - (one.handshaken.connect_s or 0.0)
    took = waited if one.handshaken.tls_s is None else one.handshaken.tls_s
    return took > _HELD_UP * two.handshaken.tls_s and took - two.handshaken.tls_s > _HELD_UP_S


SIGNALS = (
    Signal(
        "speed.name",
        "speed_name",
        ("quick", "alike", "unclear", "by_name", "held_up", "cut_by_name"),
        by_name,
        good=("quick",),
    ),
)
