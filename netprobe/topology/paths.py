"""The shape of a path, from its addresses alone: does it end in a loop?"""

from collections.abc import Sequence

from netprobe.model.probes import Hop, Path, ReplyKind

LONGEST_CYCLE = 4  # routers in a loop; most have two
TURNS = 2  # once may be chance, twice is a cycle


def loop(path: Path, *, turns: int = TURNS) -> tuple[str, ...] | None:
    """The routers that hand packets round in a circle, in order; None when the path has no loop.

    A loop is 2 to 4 different routers, each seen at least `turns` times, in a cycle that holds up to the path's end.
    Silent hops fit anywhere, because a router in a loop is asked often and soon limits its answers. One address again
    and again is no loop: firewalls and NATs answer for everything behind them.
    """
    row = [_router(hop) for hop in path.hops]
    return next(filter(None, (_cycle(row, period, turns) for period in range(2, LONGEST_CYCLE + 1))), None)


def _router(hop: Hop) -> str:
    """The router whose TTL count ended at a hop; empty when none said so."""
    replies = [exchange.reply for exchange in hop.exchanges if exchange.reply]
    return next((reply.source for reply in replies if reply.kind is ReplyKind.TIME_EXCEEDED), "")


def _cycle(row: Sequence[str], period: int, turns: int) -> tuple[str, ...] | None:
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
    if min(seen) < turns or len(set(members)) < period:
        return None
    return tuple(members[(begin + step) % period] for step in range(period))
