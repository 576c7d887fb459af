"""The device's own firewall: does it keep back what is sent, or what comes in answer?

The live vantage sees packets on the network devices beside what it gets through its sockets; where it does not, the
kernel's refusals are all that is known.
"""

from collections import Counter
from collections.abc import Iterator

from netprobe.diagnosis.facts import Destination
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.probes import Protocol, Reply, ReplyKind
from netprobe.model.unsent import FORBIDDEN, NEVER_LEFT, reason

#: States in which connections that the platform needs are kept back here.
IN_THE_WAY = ("forbids", "drops_answers", "swallows")

_ENOUGH = 2  # families of controls that are kept back: where no name is known there is nothing else to go by
_QUEUE = frozenset({NEVER_LEFT, "ENOBUFS"})
#: What the kernel says at once where a route of its own throws packets away, though there is a default route.
_NO_WAY = frozenset({"EHOSTUNREACH", "EINVAL", "ENETUNREACH"})


def firewall(view: View) -> Finding | None:
    """What does this device itself do to connections?"""
    edges, controls = list(view.facts.edges.values()), list(view.facts.controls.values())
    routed = any(h.default_link for _, h in view.facts.hosts[:1])
    found = {d.address: _held_back(d, routed=routed) for d in (*edges, *controls)}
    held = {address: why for address, why in found.items() if why}
    facts = tuple(i for d in (*edges, *controls) if d.address in held for i in d.facts)
    kept = [d for d in edges if d.address in held]
    others = [d for d in controls if d.address in held]
    if kept or (not edges and len(view.families(others)) >= _ENOUGH and 2 * len(others) > len(controls)):
        (state, error), _ = Counter(held[d.address] for d in kept or others).most_common(1)[0]
        return Finding(state, _sentence(state, error, of(len(kept or others), len(edges or controls))), facts)
    if others:
        names = ", ".join(n for d in others for n in d.names)
        return Finding(
            "elsewhere", f"A firewall on your device is in the way of {names}, which is of no matter.", facts
        )
    dropped = [reply for reply in _replies(view) if reply.dropped_locally]
    if dropped:
        told = f"A firewall on your device drops {len(dropped)} message(s) about probes, but lets connections through."
        return Finding("probes_only", told)
    seen = [(i, h.own_wire) for i, h in view.facts.hosts if h.own_wire and h.own_wire.answered]
    if not seen:
        return None
    index, wire = seen[-1]
    answers = wire.answered + wire.dropped_here
    return Finding("passes", f"Your device's own firewall lets through {of(wire.answered, answers)} answers.", (index,))


def _sentence(state: str, error: str, where: str) -> str:
    if state == "drops_answers":
        return f"Answers from {where} addresses come in, and your device's own firewall drops them."
    return f"Nothing that is sent to {where} addresses leaves your device: {reason(error).meaning} ({error})."


def _held_back(destination: Destination, *, routed: bool) -> tuple[str, str] | None:
    """In which way connections to it are kept back here, and by which error; None when one got through, or who knows.

    `routed`: the machine has a default route; without one that is the trouble.
    """
    if destination.served or any(r.handshaken.connect_s is not None for _, r in destination.fetches):
        return None
    trains = [t for _, t in destination.trains if t.protocol is Protocol.TCP]
    replies = [x.reply for t in trains for x in t.exchanges if x.reply]
    if any(r.from_destination and not r.dropped_locally for r in replies):
        return None
    errors = [r.error for r in replies if r.error in FORBIDDEN or (routed and r.error in _NO_WAY and not r.source)]
    errors += [r.handshaken.detail for _, r in destination.fetches if r.handshaken.error == "local"]
    refused = [e for e in errors if e in FORBIDDEN | _NO_WAY]
    if refused and routed:
        return "forbids", refused[0]
    if any(r.from_destination and r.dropped_locally for r in replies):
        return "drops_answers", ""
    if replies and all(r.error in _QUEUE for r in replies):
        return "swallows", replies[0].error
    return None


def _replies(view: View) -> Iterator[Reply]:
    """Everything that came back, of every train and path."""
    for _, train in (*view.facts.gateway, *(t for d in _destinations(view) for t in d.trains)):
        yield from (x.reply for x in train.exchanges if x.reply and x.reply.kind is not ReplyKind.SEND_FAILED)
    for _, path in view.facts.all_paths:
        yield from (x.reply for hop in path.hops for x in hop.exchanges if x.reply)


def _destinations(view: View) -> list[Destination]:
    return [*view.facts.edges.values(), *view.facts.controls.values()]


SIGNALS = (
    Signal(
        "host.firewall",
        "firewall",
        ("passes", "probes_only", "elsewhere", *IN_THE_WAY),
        firewall,
        good=("passes", "probes_only", "elsewhere"),
    ),
)
