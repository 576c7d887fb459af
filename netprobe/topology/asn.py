"""Which network an address belongs to: the offline table of origin AS numbers, read in place.

The byte layout of `asn.bin` lives here and nowhere else; `build` writes it, `AsnTable` reads it. All numbers are
little-endian, so that one file serves every machine:

    header    8s magic, u32 version, u32 ranges of IPv4, u32 ranges of IPv6, u32 systems, u32 bytes of names, u32 CRC-32
              of all that follows
    ranges    u32 first address, u24 index of a system (0: nobody announces it); sorted, each ends where the next begins
    ranges    the same of IPv6, with u48 the first 48 bits of the first address: networks accept no longer prefixes from
              each other (RFC 7454, 6.1.3)
    systems   u32 AS number, u32 offset of its name; system 0 is "nobody"
    names     UTF-8, each ended by a NUL, each once

The file is neither loaded nor mapped: a lookup reads a few bytes some twenty times, out of the page cache, and nothing
of it stays in the process (mapped, it grew to 4 MB within fifty lookups, because the kernel maps what lies around a
page). What the table has wrong or lacks is set right by `asn_overrides.toml`, a row with its reason for each; it
applies to every table, imported ones too.
"""

import csv
import ipaddress
import os
import struct
import tomllib
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import msgspec

from netprobe.model.record import Record
from netprobe.topology.addresses import IPAddress, is_public, parse

DATA = Path(__file__).parent.parent / "data"
TABLE = DATA / "asn.bin"
OVERRIDES = DATA / "asn_overrides.toml"

NAME_LIMIT = 60  # characters of a name that are kept

_MAGIC = b"netp-asn"
_VERSION = 2
_HEADER = struct.Struct("<8sIIIIII")
_INDEX_BYTES = 3
_SYSTEM = struct.Struct("<II")
_NAME_BYTES = 4 * NAME_LIMIT + 1  # in UTF-8, with its end
_CHUNK = 1 << 16
_EXPECTED = "expected CSV rows: first address, last address, AS number, name"


class _Family(NamedTuple):
    """How the ranges of a version of IP are written: `bits` of an address in so many `bytes`; `shift` are left out."""

    version: int
    bits: int
    bytes: int
    shift: int


_FAMILIES = (_Family(4, 32, 4, 0), _Family(6, 48, 6, 80))

#: AS numbers that no network on the Internet has (IANA: AS_TRANS, documentation, private use, reserved).
_RESERVED_ASNS = ((0, 0), (23456, 23456), (64496, 65551), (4200000000, 4294967295))


class AsnError(ValueError):
    """A table or a source of one that cannot be used; the message says which file, where, and what to do."""


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


class _Row(NamedTuple):
    """A row of a source; addresses without the bits that the table leaves out."""

    version: int
    first: int
    last: int
    asn: int
    name: str


class Built(NamedTuple):
    """What `build` wrote: ranges of IPv4, of IPv6, networks, bytes."""

    ranges: int
    ranges_v6: int
    systems: int
    size: int


class AsnTable:
    """The table, open. Use it as a context manager, or keep it for as long as the process lives."""

    def __init__(self, descriptor: int, counts: tuple[int, ...], systems: int, overrides: tuple[Override, ...]) -> None:
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._ranges: dict[int, tuple[_Family, int, int]] = {}  # by version: where they are, and how many
        at = _HEADER.size
        for family, count in zip(_FAMILIES, counts, strict=True):
            self._ranges[family.version] = (family, at, count)
            at += count * (family.bytes + _INDEX_BYTES)
        self._systems_at = at
        self._names_at = self._systems_at + systems * _SYSTEM.size
        networks = {ipaddress.ip_network(row.prefix): Origin(row.asn, row.name, row.exchange) for row in overrides}
        self._lengths = sorted({network.prefixlen for network in networks}, reverse=True)
        # A round asks about the same few dozen addresses again and again.
        self._cached = lru_cache(maxsize=512)(self._search)
        self._overrides = {_prefix(net.network_address, net.prefixlen): origin for net, origin in networks.items()}

    @classmethod
    def open(cls, path: Path | str | None = None, overrides: Path | str | None = None) -> Self:
        """Open the table that comes with netprobe, or the one at `path`.

        Raises `AsnError` when the file is missing, is of another kind or version, or is damaged.
        """
        where = Path(path) if path is not None else TABLE
        rows = _read_overrides(Path(overrides) if overrides is not None else OVERRIDES)
        try:
            with where.open("rb") as file:
                counts, systems = _check(where, file)
                return cls(os.dup(file.fileno()), counts, systems, rows)
        except OSError as error:
            raise AsnError(
                f'{where}: cannot read the AS table: {error.strerror}; "netprobe asn import FILE" makes one'
            ) from None

    def lookup(self, address: str) -> Origin | None:
        """The network that announces `address`; None for what is private, unannounced, or not in the table."""
        return self._cached(address)

    def close(self) -> None:
        """Close the file; what was not looked up before cannot be looked up any more."""
        self._close()
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Nothing to do: it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _search(self, address: str) -> Origin | None:
        parsed = parse(address)
        if parsed is None or not is_public(address):
            return None
        for length in self._lengths:
            if origin := self._overrides.get(_prefix(parsed, length)):
                return origin
        return self._system(self._find(parsed))

    def _find(self, address: IPAddress) -> int:
        """The index of the system in whose range `address` lies: the last range that does not begin after it."""
        family, at, count = self._ranges[address.version]
        sought, size = int(address) >> family.shift, family.bytes + _INDEX_BYTES
        low, high = 0, count  # range 0 begins at the first of all addresses, so there is one wherever there are rows
        while high - low > 1:
            middle = (low + high) // 2
            if int.from_bytes(self._read(at + middle * size, family.bytes), "little") <= sought:
                low = middle
            else:
                high = middle
        return int.from_bytes(self._read(at + low * size + family.bytes, _INDEX_BYTES), "little") if count else 0

    def _system(self, index: int) -> Origin | None:
        if index == 0:
            return None
        asn, offset = _SYSTEM.unpack(self._read(self._systems_at + index * _SYSTEM.size, _SYSTEM.size))
        name, _, _ = self._read(self._names_at + offset, _NAME_BYTES).partition(b"\0")
        return Origin(asn, name.decode())

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)


def build(csv_paths: Iterable[Path | str], out: Path | str) -> Built:
    """Make a table at `out` from CSV files with rows of first address, last address, AS number, name.

    Addresses are written as addresses or as plain numbers, both ends included. Where rows overlap, the one that begins
    first holds. `out` is replaced as a whole or not at all. Raises `AsnError` with the line of what is not understood.
    """
    sources, target = [Path(path) for path in csv_paths], Path(out)
    rows = sorted(row for source in sources for row in _read_rows(source))
    if not rows:
        raise AsnError(f"{', '.join(map(str, sources))}: no row of a network in it; {_EXPECTED}")
    names = {row.asn: clean_name(row.name) for row in rows}
    systems = {asn: index for index, asn in enumerate(sorted(names), 1)}
    packed = [_pack(family, [row for row in rows if row.version == family.version], systems) for family in _FAMILIES]
    counts = [len(part) // (f.bytes + _INDEX_BYTES) for f, part in zip(_FAMILIES, packed, strict=True)]
    blob, offsets = _pool(names[asn] for asn in systems)
    table = b"".join(_SYSTEM.pack(*pair) for pair in zip((0, *systems), (0, *offsets), strict=True))
    body = b"".join((*packed, table, blob))
    header = _HEADER.pack(_MAGIC, _VERSION, *counts, len(systems) + 1, len(blob), zlib.crc32(body))
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(header + body)
    os.replace(beside, target)  # noqa: PTH105 - os.replace is the atomic one by its documentation
    return Built(counts[0], counts[1], len(systems), len(header) + len(body))


def _pack(family: _Family, rows: Sequence[_Row], systems: Mapping[int, int]) -> bytes:
    """The ranges of one version; nothing where it has no rows."""
    return b"".join(
        first.to_bytes(family.bytes, "little") + systems.get(asn, 0).to_bytes(_INDEX_BYTES, "little")
        for first, asn in (_merge(rows, 1 << family.bits) if rows else ())
    )


def clean_name(name: str) -> str:
    """A network's name as it is shown: printable, not doubled, cut; empty when it only repeats the number."""
    text = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    first, dash, second = text.partition(" - ")
    if dash and second.casefold().startswith(first.casefold()):
        text = second
    if text[:2] == "AS" and text[2:].isdigit():
        return ""
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1].rstrip(" ,.-(") + "…"


def _read_rows(source: Path) -> list[_Row]:
    try:
        with source.open(encoding="utf-8", newline="") as file:
            return list(_rows(source, file))
    except OSError as error:
        raise AsnError(f"{source}: cannot read it: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AsnError(f"{source}: is not UTF-8 text; {_EXPECTED}") from None


def _rows(source: Path, lines: Iterable[str]) -> Iterator[_Row]:
    """Each row whose AS number can be a network's."""
    reader = csv.reader(lines)
    try:
        for row in reader:
            if not row:
                continue
            first, last, asn, name = row
            begin, end, number = _address(first), _address(last), int(asn)
            if begin.version != end.version or begin > end:  # type: ignore[operator]  # of one version
                raise ValueError  # noqa: TRY301 - one message for all that can be wrong in a row
            if not any(low <= number <= high for low, high in _RESERVED_ASNS):
                shift = next(family.shift for family in _FAMILIES if family.version == begin.version)
                yield _Row(begin.version, int(begin) >> shift, int(end) >> shift, number, name)
    except UnicodeDecodeError:
        raise
    except (ValueError, csv.Error):
        raise AsnError(f"{source}:{reader.line_num}: expected first address, last address, AS number, name") from None


def _address(text: str) -> IPAddress:
    return ipaddress.ip_address(int(text) if text.isdecimal() else text)


def _prefix(address: IPAddress, length: int) -> tuple[int, int, int]:
    """What all addresses of one network have in common: version, prefix length, and the prefix itself."""
    return address.version, length, int(address) >> max(address.max_prefixlen - length, 0)


def _merge(rows: Iterable[_Row], end: int) -> Iterator[tuple[int, int]]:
    """(first address, AS number) wherever the network changes, from 0 up to `end`; AS 0 where nobody announces."""
    current: int | None = None
    covered = 0  # everything below is settled
    for row in rows:
        if row.first > covered and current != 0:
            yield covered, 0
            current = 0
        if row.last < covered:
            continue
        if row.asn != current:
            yield max(row.first, covered), row.asn
            current = row.asn
        covered = row.last + 1
    if covered < end:
        yield covered, 0


def _pool(names: Iterable[str]) -> tuple[bytes, list[int]]:
    """All names behind each other, each once, and where each begins."""
    blob, known, offsets = bytearray(b"\0"), {"": 0}, []
    for name in names:
        if name not in known:
            known[name] = len(blob)
            blob += name.encode() + b"\0"
        offsets.append(known[name])
    return bytes(blob), offsets


def _check(where: Path, file: BinaryIO) -> tuple[tuple[int, ...], int]:
    """The numbers of ranges of each version, and of systems, when the file is whole."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise AsnError(f'{where}: is not an AS table; "netprobe asn import FILE" makes one')
    _, version, *counts, systems, names, crc = _HEADER.unpack(header)
    if version != _VERSION:
        raise AsnError(f'{where}: has version {version}, not {_VERSION}; make it anew with "netprobe asn import FILE"')
    size, found = 0, 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        found = zlib.crc32(chunk, found)
    ranges = sum(count * (family.bytes + _INDEX_BYTES) for family, count in zip(_FAMILIES, counts, strict=True))
    if size != ranges + systems * _SYSTEM.size + names or found != crc:
        raise AsnError(
            f'{where}: is damaged (its checksum does not agree); make it anew with "netprobe asn import FILE"'
        )
    return tuple(counts), systems


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
