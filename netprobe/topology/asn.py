"""Which network an address belongs to: the offline table of origin AS numbers, and what sets it right.

What the table (`asn_file`) has wrong or lacks is in `asn_overrides.toml`, a row with its reason for each; it applies to
every table, imported ones too. Addresses that nobody may announce belong to nobody, whatever a table says.
"""

import ipaddress
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from socket import AF_INET, inet_pton
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import msgspec

from netprobe.model.record import Record
from netprobe.topology import addresses
from netprobe.topology.asn_file import FAMILIES, AsnError, AsnFile

__all__ = ["AsnError", "AsnTable", "Origin", "Override"]

T = TypeVar("T")

DATA = Path(__file__).parent.parent / "data"
TABLE = DATA / "asn.bin"
OVERRIDES = DATA / "asn_overrides.toml"
_KEPT = 4096  # networks whose names are kept: inflating some takes twenty times as long as finding them


class Origin(Record, frozen=True):
    """Whose an address is.

    `exchange`: it lies in the peering LAN of an Internet exchange, where the networks of others meet; `asn` is then the
    exchange's own number, or 0.
    """

    asn: int
    name: str
    exchange: bool = False

    @property
    def label(self) -> str:
        """How it is shown: `AS3320 Deutsche Telekom AG`; the name or the number alone where there is no other."""
        return " ".join(filter(None, (f"AS{self.asn}" if self.asn else "", self.name)))


class Override(Record, frozen=True):
    """A row of asn_overrides.toml: `prefix` in CIDR notation, and why the table alone does not do."""

    prefix: str
    name: str
    reason: str
    asn: int = 0
    exchange: bool = False


class About(NamedTuple):
    """What a table is: the day of its data (as in 2026-11-29, empty: not told), ranges, networks, bytes."""

    date: str
    ranges: int
    ranges_v6: int
    systems: int
    size: int


class _Overlay(NamedTuple):
    """Ranges that go before the table's: sorted, apart from each other. None: nobody may announce them."""

    firsts: list[int]
    lasts: list[int]
    origins: list[Origin | None]


class AsnTable:
    """The table, open. Use it as a context manager, or keep it for as long as the process lives."""

    def __init__(self, file: AsnFile, overrides: Iterable[Override]) -> None:
        self._file = file
        self._overlays = _overlays(overrides)
        # A round asks about the same few dozen addresses again and again.
        self._cached = lru_cache(maxsize=512)(self._search)
        self._origin = lru_cache(maxsize=_KEPT)(self._read)

    @classmethod
    def open(cls, path: Path | str | None = None, overrides: Path | str | None = None) -> Self:
        """Open the table that comes with netprobe, or the one at `path`.

        Raises `AsnError` when the file is missing, is of another kind or version, or is damaged.
        """
        where = Path(path) if path is not None else TABLE
        rows = _read_overrides(Path(overrides) if overrides is not None else OVERRIDES)
        try:
            return cls(AsnFile(where), rows)
        except OSError as error:
            raise AsnError(
                f'{where}: cannot read the AS table: {error.strerror}; "netprobe asn import FILE" makes one'
            ) from None

    @property
    def about(self) -> About:
        """What it is, for people."""
        file, digits = self._file, f"{self._file.date:08}"
        date = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if file.date else ""
        return About(date, file.ranges, file.ranges_v6, file.systems - 1, file.size)

    def lookup(self, address: str) -> Origin | None:
        """The network that announces `address`; None for what is private, unannounced, or not in the table."""
        return self._cached(address)

    def let_go(self) -> None:
        """Give back the memory of what was looked at, as somebody does who will not ask for minutes."""
        self._file.let_go()

    def close(self) -> None:
        """Close the file; what was not looked up before cannot be looked up any more."""
        self._file.close()

    def __enter__(self) -> Self:
        """Nothing to do: it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _search(self, address: str) -> Origin | None:
        if ":" in address:
            parsed = addresses.parse(address)
            if parsed is None:
                return None
            version, value = parsed.version, int(parsed)
        else:
            try:
                version, value = 4, int.from_bytes(inet_pton(AF_INET, address))
            except (OSError, ValueError):  # ValueError: a NUL in it, or what is no ASCII
                return None
        overlay = self._overlays[version]
        at = bisect_right(overlay.firsts, value) - 1
        if at >= 0 and value <= overlay.lasts[at]:
            return overlay.origins[at]
        return self._origin(self._file.find(version, value >> FAMILIES[version].shift))

    def _read(self, index: int) -> Origin | None:
        return Origin(*self._file.system(index)) if index else None


def _overlays(overrides: Iterable[Override]) -> dict[int, _Overlay]:
    """What goes before the table, by version of IP; the longest prefix holds."""
    special = (*addresses.PRIVATE, *addresses.SHARED, *addresses.BOGON)
    rows: list[tuple[addresses.Network, Origin | None]] = [(network, None) for network in special]
    rows += [(ipaddress.ip_network(row.prefix), Origin(row.asn, row.name, row.exchange)) for row in overrides]
    found = {}
    for version in FAMILIES:
        spans = [
            (int(network.network_address), int(network.broadcast_address), origin)
            for network, origin in rows
            if network.version == version
        ]
        parts = list(apart(spans))
        found[version] = _Overlay(*(list(column) for column in zip(*parts, strict=True)))
    return found


def apart(spans: Iterable[tuple[int, int, T]]) -> Iterator[tuple[int, int, T]]:
    """Spans (first, last, what) that are nested or apart, as spans that are apart and sorted: the inner one holds."""
    outer: list[tuple[int, T]] = []  # the last of each that is open, and what it is; the innermost last
    at = 0
    for first, last, what in sorted(spans, key=lambda span: (span[0], -span[1])):
        while outer and outer[-1][0] < first:
            end, inner = outer.pop()
            if at <= end:
                yield at, end, inner
                at = end + 1
        if outer and at < first:
            yield at, first - 1, outer[-1][1]
        at = first
        outer.append((last, what))
    while outer:
        end, inner = outer.pop()
        if at <= end:
            yield at, end, inner
            at = end + 1


class _Overrides(Record, frozen=True):
    override: tuple[Override, ...] = ()


def _read_overrides(where: Path) -> tuple[Override, ...]:
    try:
        rows = msgspec.convert(tomllib.loads(where.read_text(encoding="utf-8")), _Overrides).override
        for row in rows:
            ipaddress.ip_network(row.prefix)
    except OSError as error:
        raise AsnError(f"{where}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOML, types, prefixes
        raise AsnError(f"{where.name}: {error}") from None
    return rows
