"""What every noun is made of: a frozen, slotted record, and the one way in and out of JSON.

Times are seconds as floats and carry `_s` in the name; a duration shown to a person is converted at the border.
"""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """A value: equal by its fields, never changed after it was made."""


class Fact(Record, frozen=True, tag_field="kind"):
    """Something that was measured. A fact says what happened, never what it means."""


def to_json(value: object) -> bytes:
    """Encode to compact JSON whose field order is the declaration order: the same value gives the same bytes."""
    return msgspec.json.encode(value, order="deterministic")


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Decode `data` strictly into `kind`.

    Raises `msgspec.ValidationError` (a `ValueError`) that names the offending path.
    """
    return msgspec.json.decode(data, type=kind)
