"""A fault that only coverage finds: a test looks whether the fuzzer does."""

from collections.abc import Iterator

from tests.fuzz.groups import Group


def check(data: bytes) -> None:
    """Four bytes in a row: one in four thousand million at random, a few steps for who sees how far it got."""
    if len(data) > 3 and data[0] == 0x4E and data[1] == 0x50:  # noqa: SIM102  # each step is a branch of its own
        if data[2] == 0x21:  # noqa: SIM102
            if data[3] == 0x7F:
                raise AssertionError("planted")


def seeds() -> Iterator[bytes]:
    """Nothing near it."""
    yield b"0000"


PLANTED = Group(check, seeds)
