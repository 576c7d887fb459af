"""Is one thing transferred more slowly than another? Throughput from curves of bytes, and two tests that compare it.

As Wehe does it (Kakhki et al., "Identifying Traffic Differentiation in Mobile Networks", IMC 2015; Li et al., "A
Large-Scale Analysis of Deployed Traffic Differentiation Practices", SIGCOMM 2019): each transfer is cut into equal
parts, and the rates in those are compared by a test of distributions and by one of size.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from netprobe.model.services import Response

PARTS = 10  # of one transfer
_RESOLUTION_S = 1e-4  # of a curve
_LIKELY, _AREA = 0.05, 0.1


def duration_s(response: Response) -> float:
    """From the request to the last byte, or to when nobody waited any longer."""
    last = response.curve[-1][0] if response.curve else 0.0
    return last + (response.quiet_s or 0.0)


def goodput(response: Response) -> float:
    """Bytes a second over the whole of a transfer; 0 where nothing came."""
    took = duration_s(response)
    return response.arrived_bytes / took if took > 0 else 0.0


def rates(response: Response) -> list[float]:
    """Bytes a second in each of the equal parts of what has come; empty where nothing came.

    By bytes and not by time: what is quick comes in bursts, a round trip apart, with nothing in between.
    """
    if not response.curve:
        return []
    points = [(0.0, 0), *response.curve]
    times = [_reached(points, response.arrived_bytes * part / PARTS) for part in range(PARTS)] + [duration_s(response)]
    return [response.arrived_bytes / PARTS / max(after - before, _RESOLUTION_S) for before, after in pairwise(times)]


def _reached(points: Sequence[tuple[float, int]], size: float) -> float:
    """When so many bytes were there, as if they came evenly between two points."""
    for (before, least), (at, most) in pairwise(points):
        if most >= size:
            return before + (at - before) * (size - least) / (most - least) if most > least else at
    return points[-1][0]


def ks_statistic(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest distance between two empirical distribution functions (Kolmogorov and Smirnov)."""
    a, b = sorted(one), sorted(other)
    return max(abs(bisect_right(a, x) / len(a) - bisect_right(b, x) / len(b)) for x in (*a, *b))


def ks_probability(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely two samples of one continuous distribution are at least as far apart: exactly, by counting paths.

    Hodges, "The significance probability of the Smirnov two-sample test", 1958: all orders of the samples together are
    as likely, each is a way through a grid, and those count that keep to the diagonal more closely. Ties make it
    larger.
    """
    m, n = len(one), len(other)
    if not m or not n:
        return 1.0
    limit = round(ks_statistic(one, other) * m * n)
    # In row i, ways[j] is the part of all ways to (i, j), beginning with one column, that have stayed inside.
    ways = [1.0] * (n + 1)
    for j in range(n + 1):
        ways[j] = 1.0 if j * m < limit and (j == 0 or ways[j - 1]) else 0.0
    for i in range(1, m + 1):
        ways[0] = ways[0] if i * n < limit else 0.0
        for j in range(1, n + 1):
            inside = abs(i * n - j * m) < limit
            ways[j] = (ways[j] * i + ways[j - 1] * j) / (i + j) if inside else 0.0
    return min(1.0, max(0.0, 1.0 - ways[n]))


def area(one: Sequence[float], other: Sequence[float]) -> float:
    """The area between two empirical distribution functions, as a part of the smaller one's largest value."""
    most = min(max(one, default=0.0), max(other, default=0.0))
    if not most:
        return 0.0
    a, b = sorted(one), sorted(other)
    points = sorted((*a, *b))
    between = sum(abs(bisect_right(a, x) / len(a) - bisect_right(b, x) / len(b)) * (y - x) for x, y in pairwise(points))
    return between / most


def differ(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether both tests say so, by the limits that Wehe takes: p below 0.05, and an area above 0.1."""
    return ks_probability(one, other) < _LIKELY and area(one, other) > _AREA
