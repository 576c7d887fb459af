"""What the kernel's queueing disciplines do on wires: rates with a queue (tc-tbf), and where the kernel has netem
(tc-netem) delay, jitter and loss.

They act where packets leave a device. The client's own has no netem: netprobe looks at what leaves there, and a packet
is on its way as soon as it has. The router at the other end holds packets up for both directions instead, and what gets
lost on that wire is lost by that router's rules.
"""

import errno
from collections.abc import Mapping
from typing import Any

from netprobe.sim.kernel.layout import Wire
from netprobe.sim.records import Link

NETEM, TBF = 0x10000, 0x20000  # handles 1: and 2:
_BELOW_NETEM = 0x10001
_LIMIT = 10_000  # packets that may be under way on a wire
_BURST_S = 0.002  # of the rate: what may leave at once, or a timer that is late costs throughput
_ETHERNET = 14
_FILLED_MBIT = 24.0  # 2,000 frames a second
#: So fast that it takes no time, and yet a rate: with one no packet overtakes another (Linux, net/sched/sch_netem.c).
_ORDERLY = "30gbit"
_MISSING = {errno.ENOENT, errno.EOPNOTSUPP}


def make(kernel: Any, device: int, wire: Wire, node: str, *, netem: bool) -> None:
    """Hold up what leaves `node` by `device`, as the wire wants it; without netem it takes no time."""
    wanted = held(wire, node) if netem else {}
    if wanted:
        _hold(kernel, device, wanted)
    link = wire.leaving(node)
    if link.rate_mbit:
        place = {"parent": _BELOW_NETEM} if wanted else {}
        kernel.tc("add", "tbf", device, handle=TBF, **place, **_bucket(link, link.rate_mbit))


def remake(kernel: Any, device: int, before: Wire, now: Wire, node: str, *, netem: bool) -> None:
    """The same when the wire is no longer what it was `before`; what waits for its turn meanwhile is lost."""
    from pyroute2.netlink.rtnl import TC_H_ROOT  # noqa: PLC0415  # slow to import

    if (netem and held(before, node)) or before.leaving(node).rate_mbit:
        kernel.tc("del", index=device, parent=TC_H_ROOT)  # with all that hangs on it
    make(kernel, device, now, node, netem=netem)


def load(kernel: Any, device: int, link: Link, others: float) -> None:
    """Others use the fraction `others` of the rate. From 1 on more comes than leaves: the rules drop the rest."""
    left = link.rate_mbit * (1 - others) if others < 1 else filled_mbit(link)
    kernel.tc("change", "tbf", device, handle=TBF, **_bucket(link, left))


def filled_mbit(link: Link) -> float:
    """The rate at which a link is kept full: so low that it costs little, as what counts is how long a queue takes."""
    return min(link.rate_mbit, _FILLED_MBIT)


def held(wire: Wire, node: str) -> dict[str, Any]:
    """What netem does to what leaves `node`, in pyroute2's words (microseconds, percent); nothing: it is not needed.

    The scenario's jitter is exponential and netem's even: the mean is the same, and so is the shortest time.
    """
    if node == wire.card:
        return {}
    ways = (node, wire.card) if wire.card else (node,)
    delay_us = round(sum(wire.delay_ms(end) for end in ways) * 1e3)
    jitter_us = round(sum(wire.leaving(end).jitter_ms for end in ways) * 1e3)
    found: dict[str, Any] = {"delay": delay_us + jitter_us} if delay_us + jitter_us else {}
    if jitter_us:
        found |= {"jitter": jitter_us, "rate": _ORDERLY}
    if loses(wire, node):
        found["loss"] = wire.leaving(node).loss * 100
    return found


def loses(wire: Wire, node: str) -> bool:
    """Whether netem can lose what gets lost on the way from `node`: it knows no bursts in the scenario's words."""
    link = wire.leaving(node)
    return not wire.card and link.loss > 0 and link.loss_burst <= 1


def has_netem(kernel: Any, device: int) -> bool:
    """Whether this kernel has it: tried on a device that has no discipline yet. Loads the module where there is one."""
    try:
        _hold(kernel, device, {})
    except Exception as error:  # pyroute2's own class, which it does not export for good
        if getattr(error, "code", None) not in _MISSING:
            raise
        return False
    kernel.tc("del", "netem", device)
    return True


def _hold(kernel: Any, device: int, wanted: Mapping[str, Any]) -> None:
    """Put netem in place, spelled out: pyroute2's `tc` takes netem's rate for the one of an estimator."""
    from pyroute2.netlink.rtnl import TC_H_ROOT  # noqa: PLC0415  # slow to import
    from pyroute2.netlink.rtnl.tcmsg.sched_netem import get_parameters  # noqa: PLC0415

    options = get_parameters({"limit": _LIMIT, **wanted})
    attributes = [("TCA_KIND", "netem"), ("TCA_OPTIONS", options)]
    kernel.tc("replace", index=device, parent=TC_H_ROOT, handle=NETEM, attrs=attributes)


def _bucket(link: Link, rate_mbit: float) -> dict[str, int]:
    """tc-tbf(8): `rate` in bytes a second, `limit` in bytes that may wait, `burst` in bytes."""
    rate = round(rate_mbit * 1e6 / 8)
    burst = max(link.mtu + _ETHERNET, round(rate * _BURST_S))
    return {"rate": rate, "burst": burst, "limit": round(rate * link.queue_ms / 1e3) + burst}
