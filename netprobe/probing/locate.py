"""Finds the hop at which a name is minded: ClientHellos with growing TTLs, of a name that nobody minds first.

Each is a connection of its own. With the name that is minded they go outwards, a few at a time, and end soon after
something has happened: it is not asked for oftener than it takes. Who polices names may notice all the same.
"""

from collections.abc import Iterable
from typing import Any

from netprobe.model.report import Observation
from netprobe.model.services import Handshake, Handshaken
from netprobe.probing.ask import handshake
from netprobe.probing.interference import Seen, by_ttl
from netprobe.probing.observe import Observe
from netprobe.probing.run import Plan, Session

HOP_OF_NAME, HOP_OF_OTHER = "sni.hop.target", "sni.hop.control"
_FARTHEST = 32
_AT_ONCE = 8  # of the name that nobody minds
_STEP = 4  # of the other
_BEHIND = 2  # hops behind the first at which it is minded: who stands beside the way may be late
_QUIET = 3  # hops that say nothing, though they do for the other name
_ONCE_MORE = 2
_TIMEOUT_S = 2.0  # in which TCP sends the ClientHello four times


def locate(address: str, name: str, other_name: str, *, port: int = 443) -> Plan[list[Observation]]:
    """Handshakes with `name` and `other_name` at `address`, with TTLs from 1 on, for `interference` to compare."""
    other: list[Observation] = []
    end = 0
    for first in range(1, _FARTHEST, _AT_ONCE):
        other += yield _ask(HOP_OF_OTHER, name, address, port, other_name, range(first, first + _AT_ONCE))
        end = _end(_seen(other))
        if end:
            break
    if not end:
        return other  # the server does not answer: there is nothing to compare with
    missing = [ttl for ttl, seen in _seen(other).items() if ttl < end and not seen.anything]
    other += yield from _again(HOP_OF_OTHER, name, address, port, other_name, missing)
    control = _seen(other)
    found: list[Observation] = []
    for first in range(1, end + 1, _STEP):
        found += yield _ask(HOP_OF_NAME, name, address, port, name, range(first, min(first + _STEP, end + 1)))
        if _minded(_seen(found)) or len(_quiet(_seen(found), control)) >= _QUIET:
            break
    first = _end(_seen(found))
    if first > 1:  # who minds it now and then may have let one pass a hop nearer
        nearer = [first - 1] * _ONCE_MORE
        found += yield from _again(HOP_OF_NAME, name, address, port, name, nearer)
    elif not first:  # silence: all the way, and not by chance?
        quiet = _quiet(_seen(found), control)[:_QUIET]
        found += yield from _again(HOP_OF_NAME, name, address, port, name, dict.fromkeys([*quiet, end]))
    return other + found


def _end(seen: dict[int, Seen]) -> int:
    """The distance at which the server answers; 0 while it is not known."""
    return min((ttl for ttl, one in seen.items() if one.told), default=0)


def _minded(seen: dict[int, Seen]) -> bool:
    """Whether the name has drawn an answer, and was asked for at some hops behind that too."""
    first = _end(seen)
    return bool(first) and max(seen) >= first + _BEHIND


def _quiet(seen: dict[int, Seen], control: dict[int, Seen]) -> list[int]:
    """The TTLs behind the last that said something at which only the other name is heard of."""
    clean = max((ttl for ttl, one in seen.items() if one.anything), default=0)
    return [ttl for ttl in sorted(seen) if ttl > clean and ttl in control and control[ttl].anything]


def _seen(observations: Iterable[Observation]) -> dict[int, Seen]:
    return by_ttl(o.fact for o in observations if isinstance(o.fact, Handshaken))


def _again(purpose: str, subject: str, address: str, port: int, name: str, ttls: Iterable[int]) -> Plan[Any]:
    """Ask once more; nothing where there is nothing to ask."""
    batch = _ask(purpose, subject, address, port, name, ttls)
    return (yield batch) if batch else []


def _ask(
    purpose: str, subject: str, address: str, port: int, name: str, ttls: Iterable[int]
) -> list[Session[Observation]]:
    return [Observe(purpose, subject, handshake(_hello(address, port, name, ttl))) for ttl in ttls]


def _hello(address: str, port: int, name: str, ttl: int) -> Handshake:
    return Handshake(address, port, name, verify=False, timeout_s=_TIMEOUT_S, hello_ttl=ttl)
