"""What a signal is: one question that is put to the facts, with a closed list of answers."""

from collections.abc import Callable
from typing import NamedTuple

from netprobe.diagnosis.pattern import View
from netprobe.model.probes import Protocol


class Finding(NamedTuple):
    """One answer: the state, in plain words, and the indices of the observations that it rests on."""

    state: str
    sentence: str
    facts: tuple[int, ...] = ()


class Signal(NamedTuple):
    """One question. `states` is every answer it can give; `judge` returns None where nothing was measured.

    Signals of one `group` see the same trouble: the first of them that was measured counts for all, so the order of
    SIGNALS puts the one that knows most first. The states in `good` are those of a network in which nothing is wrong.
    `needs` is the protocol without whose probes hardly anything can be told.
    """

    id: str
    group: str
    states: tuple[str, ...]
    judge: Callable[[View], Finding | None]
    good: tuple[str, ...] = ()
    needs: Protocol | None = None


def of(count: int, total: int) -> str:
    """`3 of 5`, the way that every sentence counts."""
    return f"{count} of {total}"
