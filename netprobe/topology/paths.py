"""The shape of paths, from their addresses alone: loops, what paths share, and where they part."""

from collections.abc import Iterable, Sequence

from netprobe.model.probes import Path, ReplyKind
from netprobe.model.record import Record

LONGEST_CYCLE = 4  # routers in a loop; most have two


class Parting(Record, frozen=True):
    """Where a path leaves another.

    `router` is the last address that both show, at TTL `ttl`. `following` is who answered next on the first path
    (empty: nobody did), `other_following` who answered next on the other.
    """

    router: str
    ttl: int
    following: str
    other_following: str


def loop(path: Path) -> tuple[str, ...] | None:
    """The routers that hand packets round in a circle, in order; None when the path has no loop.

    A loop is 2 to 4 different routers, each seen at least twice, in a cycle that holds up to the end of the path.
    Silent hops fit anywhere, because a router in a loop is asked often and soon limits its answers. One address again
    and again is no loop: firewalls and NATs answer for everything behind them.
    """
    row = [_router(path, index) for index in range(len(path.hops))]
    return next(filter(None, (_cycle(row, period) for period in range(2, LONGEST_CYCLE + 1))), None)


def common_prefix(paths: Sequence[Path]) -> tuple[str, ...]:
    """What all paths begin with: an address a hop, empty where no path got an answer.

    Hops agree when they have an address in common; a silent hop agrees with any other. It ends before the first hop at
    which two paths disagree or at which one has ended; silence at its end is left out.
    """
    shared: list[str] = []
    for hops in zip(*(path.hops for path in paths), strict=False):
        heard = [hop.addresses for hop in hops if hop.addresses]
        agreed = [address for address in heard[0] if all(address in others for others in heard)] if heard else [""]
        if not agreed:
            break
        shared.append(agreed[0])
    while shared and not shared[-1]:
        shared.pop()
    return tuple(shared)


def next_after(router: str, paths: Iterable[Path]) -> tuple[str, ...]:
    """Who answered directly behind `router` on any of `paths`, each once; empty when none of them shows it."""
    found = [
        address
        for path in paths
        for hop, following in zip(path.hops, path.hops[1:], strict=False)
        if router in hop.addresses
        for address in following.addresses
        if address != router
    ]
    return tuple(dict.fromkeys(found))


def parting(path: Path, others: Iterable[Path]) -> Parting | None:
    """Where `path` leaves the one of `others` that it shares the most with; None when it shares nothing with any.

    Of a failing path and the passing ones: an empty `following` beside an `other_following` means that packets die
    behind a router that hands on those to other destinations.
    """
    partings = [p for p in (_parting(path, other) for other in others) if p]
    return max(partings, key=lambda parting: parting.ttl, default=None)


def _parting(path: Path, other: Path) -> Parting | None:
    shared = common_prefix((path, other))
    for ttl in range(len(shared), 0, -1):  # a router is known to be shared only where both have shown it
        address = shared[ttl - 1]
        if address in path.hops[ttl - 1].addresses and address in other.hops[ttl - 1].addresses:
            return Parting(address, ttl, _beyond(path, ttl), _beyond(other, ttl))
    return None


def _beyond(path: Path, ttl: int) -> str:
    """The first address that answered beyond `ttl`."""
    return next((hop.addresses[0] for hop in path.hops[ttl:] if hop.addresses), "")


def _router(path: Path, index: int) -> str:
    """The router whose TTL count ended at a hop; empty when none said so."""
    replies = [exchange.reply for exchange in path.hops[index].exchanges if exchange.reply]
    return next((reply.source for reply in replies if reply.kind is ReplyKind.TIME_EXCEEDED), "")


def _cycle(row: Sequence[str], period: int) -> tuple[str, ...] | None:
    """The cycle of `period` addresses that `row` ends with, in the order in which they first appear."""
    members: list[str] = [""] * period
    seen = [0] * period
    begin = len(row)
    for index in range(len(row) - 1, -1, -1):
        place = index % period
        if row[index] and members[place] and row[index] != members[place]:
            break
        if row[index]:
            members[place] = row[index]
            seen[place] += 1
            begin = index
    if min(seen) < 2 or len(set(members)) < period:  # once may be chance, twice is a cycle
        return None
    return tuple(members[(begin + step) % period] for step in range(period))
