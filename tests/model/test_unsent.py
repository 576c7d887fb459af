"""Why a probe did not leave: a table that explains every error that can come."""

import errno

import pytest

from netprobe.live.broker.limits import NAMES
from netprobe.model.unsent import (
    FORBIDDEN,
    NEVER_LEFT,
    NO_NEIGHBOUR,
    PASSING,
    REASONS,
    reason,
)

#: What raw(7), ip(7), packet(7) and the routing table can say about a packet that is sent.
KERNEL = (
    *("EACCES", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EAGAIN", "EHOSTUNREACH", "EINVAL", "EMSGSIZE", "ENETDOWN"),
    *("ENETUNREACH", "ENOBUFS", "ENODEV", "ENOMEM", "ENXIO", "EPERM"),
)


@pytest.mark.parametrize("error", [*KERNEL, NO_NEIGHBOUR, NEVER_LEFT, *NAMES.values()])
def test_every_error_is_explained(error: str) -> None:
    """What it means, whose doing it is, and what to do: each in words, none of them the error's name."""
    found = reason(error)
    assert found is REASONS[error]
    assert all((found.meaning, found.fault, found.remedy))
    assert error not in f"{found.meaning} {found.fault}"
    assert not found.meaning.endswith(".")


def test_the_kernels_names_are_the_kernels() -> None:
    """A row for an errno that does not exist would never be read."""
    own = {NO_NEIGHBOUR, NEVER_LEFT, *NAMES.values()}
    assert all(hasattr(errno, name) for name in (REASONS.keys() | PASSING | FORBIDDEN) - own)


def test_what_nobody_has_thought_of_is_explained_too() -> None:
    """An unknown error has something to do about it all the same."""
    assert "netprobe doctor" in reason("EUNATCH").remedy
