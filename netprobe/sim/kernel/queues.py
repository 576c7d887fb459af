"""What the kernel's queueing disciplines do on wires: rates with a queue (tc-tbf), delays where it has netem."""

import errno
from typing import Any

from netprobe.sim.records import Link

_NETEM, _TBF = "1:", "2:"  # handles
_BELOW_NETEM = "1:1"
_LIMIT = 10_000  # packets that may be under way on a wire
_BURST_S = 0.002  # of the rate: what may leave at once, or a timer that is late costs throughput
_ETHERNET = 14
_MISSING = {errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL}


def make(kernel: Any, device: int, link: Link) -> None:
    """Hold up what leaves by `device`, as `link` says; without netem the wire takes no time."""
    delayed = bool(link.delay_ms) and _netem(kernel, device, link)
    if link.rate_mbit:
        place = {"parent": _BELOW_NETEM} if delayed else {}
        kernel.tc("add", "tbf", device, handle=_TBF, **place, **_bucket(link, link.rate_mbit))


def load(kernel: Any, device: int, link: Link, others: float) -> None:
    """Others use the fraction `others` of the rate. From 1 on more comes than leaves: the rules drop the rest."""
    left = link.rate_mbit * (1 - others) if others < 1 else link.rate_mbit
    kernel.tc("change", "tbf", device, handle=_TBF, **_bucket(link, left))


def _netem(kernel: Any, device: int, link: Link) -> bool:
    """Whether the kernel has it."""
    times = {"delay": round(link.delay_ms * 1e3), "jitter": round(link.jitter_ms * 1e3)}
    try:
        kernel.tc("add", "netem", device, handle=_NETEM, limit=_LIMIT, **times)
    except Exception as error:  # pyroute2's own class, which it does not export for good
        if getattr(error, "code", None) not in _MISSING:
            raise
        return False
    return True


def _bucket(link: Link, rate_mbit: float) -> dict[str, int]:
    """tc-tbf(8): `rate` in bytes a second, `limit` in bytes that may wait, `burst` in bytes."""
    rate = round(rate_mbit * 1e6 / 8)
    burst = max(link.mtu + _ETHERNET, round(rate * _BURST_S))
    return {"rate": rate, "burst": burst, "limit": round(rate * link.queue_ms / 1e3) + burst}
