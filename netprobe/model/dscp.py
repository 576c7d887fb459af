"""The names of DSCP values (RFC 2474, 2597, 3246, 5865, 8622), which mark how a packet wants to be treated."""

#: Name -> value, 0 to 63.
DSCP: dict[str, int] = {
    **{f"CS{number}": number << 3 for number in range(8)},
    **{f"AF{group}{drop}": group << 3 | drop << 1 for group in range(1, 5) for drop in range(1, 4)},
    "LE": 1,
    "VA": 44,
    "EF": 46,
}
_NAMES = {value: name for name, value in DSCP.items()}


def name_of(value: int | str) -> str:
    """The name of a value, or its number where it has none."""
    return _NAMES.get(value, str(value)) if isinstance(value, int) else value


def value_of(text: str) -> int:
    """The value of a name or a number. Raises `ValueError`, with what would do, for anything else."""
    if text.upper() in DSCP:
        return DSCP[text.upper()]
    if text.isascii() and text.isdigit() and int(text) < 64:
        return int(text)
    msg = f"'{text[:20]}' is no DSCP; give 0 to 63, or a name such as EF, AF41, CS1 or LE"
    raise ValueError(msg)
