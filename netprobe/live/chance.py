"""Numbers that nobody can foresee, from the kernel (getrandom(2)).

The standard library's `secrets` has them too, but loads OpenSSL for what it offers beside them: that takes 3 ms of a
start in which nothing else needs it.
"""

from collections.abc import Iterable
from os import urandom

_BYTES = 8  # of so many that the remainder's bias (limit / 2**64) is nothing


def below(limit: int) -> int:
    """A number from 0 to `limit` - 1; `limit` is small beside 2**64."""
    return int.from_bytes(urandom(_BYTES)) % limit


def shuffled(numbers: Iterable[int]) -> list[int]:
    """`numbers` in an order that is drawn."""
    return sorted(numbers, key=lambda _: urandom(_BYTES))
