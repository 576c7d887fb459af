"""What became of a probe, from what was seen of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live.fate import Coverage, Fate, fates

SEES_ALL = Coverage(0.0, 0.0)
TOKENS = st.sets(st.integers(0, 9))


def fate(*, left: bool, came: bool, accepted: bool, coverage: Coverage = SEES_ALL) -> Fate:
    """The fate of a probe that was sent at 5.0."""
    return fates({1: 5.0}, {1} if left else (), {1} if came else (), {1} if accepted else (), coverage)[1]


@pytest.mark.parametrize(
    ("left", "came", "accepted", "expected"),
    [
        (True, True, True, Fate.ANSWERED),
        (False, False, True, Fate.ANSWERED),
        (True, True, False, Fate.DROPPED_HERE),
        (False, True, False, Fate.DROPPED_HERE),
        (True, False, False, Fate.LOST),
        (False, False, False, Fate.NEVER_LEFT),
    ],
)
def test_each_place_where_a_packet_can_vanish_has_its_word(
    *, left: bool, came: bool, accepted: bool, expected: Fate
) -> None:
    """Inside on the way out, in the network, inside on the way in; an answer that was read settles it."""
    assert fate(left=left, came=came, accepted=accepted) is expected


@pytest.mark.parametrize(
    ("coverage", "left", "came"),
    [
        (Coverage(6.0, 0.0), False, False),  # the tap was opened later, or missed something since
        (Coverage(6.0, 0.0), True, False),  # it left, but the answer may have come unseen
        (Coverage(0.0, 6.0), True, True),  # a socket had no room: the answer may have died there
        (Coverage(0.0, 0.0, departures=False), False, False),  # wrapped up before it reached a device
    ],
)
def test_what_may_have_been_missed_proves_nothing(coverage: Coverage, *, left: bool, came: bool) -> None:
    """Where an eye was closed for a moment, it cannot be told."""
    assert fate(left=left, came=came, accepted=False, coverage=coverage) is Fate.UNKNOWN


def test_what_was_seen_counts_though_something_else_was_missed() -> None:
    """An answer on the wire is an answer, whatever the tap missed beside it."""
    assert fate(left=False, came=True, accepted=False, coverage=Coverage(9.0, 0.0)) is Fate.DROPPED_HERE


@given(TOKENS, TOKENS, TOKENS, TOKENS)
def test_every_probe_has_one_fate(sent: set[int], left: set[int], came: set[int], accepted: set[int]) -> None:
    """Whatever was seen; and what was not sent has none."""
    found = fates(dict.fromkeys(sent, 1.0), left, came, accepted, SEES_ALL)
    assert found.keys() == sent
    assert all((fate is Fate.ANSWERED) == (token in accepted) for token, fate in found.items())
    assert all(token not in left | came for token, fate in found.items() if fate is Fate.NEVER_LEFT)
