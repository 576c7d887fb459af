"""Replies from somebody who is not on the way, in a network of their own."""

from collections.abc import Iterator

from tests.benchmarks.figures import Figure
from tests.live.live_desk import Desk
from tests.live.live_forger import attack

_FORGED = 1_000_000
_ACCEPTED = 10  # at most, of a million


def forged() -> Iterator[Figure]:
    """A million guesses of an attacker who knows all but our secret, and how many are taken for replies."""
    for over_v6 in (False, True):
        with Desk() as desk:
            accepted = sum(attack(desk, _FORGED, over_v6=over_v6).values())
        what = f"forged replies accepted, IPv{6 if over_v6 else 4}"
        yield Figure("forged", what, accepted, "replies", _ACCEPTED, note="of 1,000,000")
