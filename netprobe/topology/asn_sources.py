"""Makes a table of origin AS numbers from what others publish: who announces which addresses.

Files are known by what is in them, not by their names:

- CSV: first address, last address, AS number, name; addresses as text or as plain numbers (ip-location-db)
- TSV: first address, last address, AS number, country, name (iptoasn.com); 0 is nobody
- prefixes: prefix, its length, AS number, apart by blanks (CAIDA's pfx2as); of several origins the first counts
- MaxMind DB: the fields that GeoLite2-ASN and DB-IP's ASN Lite have, or those of IPinfo

and any of the first three compressed by gzip.
"""

import csv
import gzip
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from netprobe.topology.asn import apart
from netprobe.topology.asn_file import FAMILIES, AsnError, pack

NAME_LIMIT = 60  # characters of a name that are kept

_GZIP, _MAXMIND = b"\x1f\x8b", b"\xab\xcd\xefMaxMind.com"
_MAXMIND_WITHIN = 128 * 1024  # of the file's end, says its format
_LOOKED_AT = 20  # lines by which a text file is known
_EXPECTED = "expected CSV or TSV rows of ranges, prefixes with AS numbers, or a MaxMind DB"
_TSV_FIELDS, _PREFIX_FIELDS = 5, 3
#: AS numbers that no network on the Internet has (IANA: AS_TRANS, documentation, private use, reserved).
_RESERVED_ASNS = ((0, 0), (23456, 23456), (64496, 65551), (4200000000, 4294967295))
_NUMBER = re.compile(r"\d+")


class Row(NamedTuple):
    """Addresses from `first` to `last`, as numbers, that one AS announces."""

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


def build(sources: Iterable[Path | str], out: Path | str, *, date: int = 0) -> Built:
    """Make a table at `out` from files of other people's; `date` is their data's, as in 20261129.

    Where rows overlap, the one that begins first holds; of prefixes within each other the longest. `out` is replaced as
    a whole or not at all. Raises `AsnError` with the line of what is not understood.
    """
    paths, target = [Path(path) for path in sources], Path(out)
    rows = sorted(row for path in paths for row in _read(path) if not _reserved(row.asn))
    if not rows:
        raise AsnError(f"{', '.join(map(str, paths))}: no row of a network in it; {_EXPECTED}")
    names = {row.asn: clean_name(row.name) for row in sorted(rows, key=lambda row: bool(row.name))}
    ranges = {}
    for version, family in FAMILIES.items():
        own = [row for row in rows if row.version == version]
        end = 1 << (family.bits - family.shift)
        ranges[version] = list(_merge(own, family.shift, end)) if own else []
    table = pack(ranges, names, date)
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(table)
    os.replace(beside, target)  # noqa: PTH105 - os.replace is the atomic one by its documentation
    return Built(len(ranges[4]), len(ranges[6]), len(names), len(table))


def clean_name(name: str) -> str:
    """A network's name as it is shown: printable, not doubled, cut; empty when it only repeats the number."""
    text = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    first, dash, second = text.partition(" - ")
    if dash and second.casefold().startswith(first.casefold()):
        text = second
    if text[:2] == "AS" and text[2:].isdigit():
        return ""
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1].rstrip(" ,.-(") + "…"


def _merge(rows: Iterable[Row], shift: int, end: int) -> Iterator[tuple[int, int]]:
    """(first value, AS number) wherever the network changes, from 0 up to `end`; AS 0 where nobody announces.

    Values are addresses without the lowest `shift` bits: what shares one is the first's.
    """
    current: int | None = None
    covered = 0  # everything below is settled
    for row in rows:
        first, last = row.first >> shift, row.last >> shift
        if first > covered and current != 0:
            yield covered, 0
            current = 0
        if last < covered:
            continue
        if row.asn != current:
            yield max(first, covered), row.asn
            current = row.asn
        covered = last + 1
    if covered < end:
        yield covered, 0


def _reserved(asn: int) -> bool:
    return any(low <= asn <= high for low, high in _RESERVED_ASNS)


def _read(path: Path) -> list[Row]:
    try:
        with path.open("rb") as file:
            head = file.read(len(_GZIP))
            file.seek(max(0, path.stat().st_size - _MAXMIND_WITHIN))
            if _MAXMIND in file.read():
                return list(_maxmind(path))
        open_text = gzip.open if head == _GZIP else open
        with open_text(path, "rt", encoding="utf-8", newline="") as text:
            return _text(path, text)
    except OSError as error:  # gzip's complaint has no strerror
        raise AsnError(f"{path}: cannot read it: {error.strerror or error}") from None
    except EOFError:
        raise AsnError(f"{path}: cannot read it: it is cut short") from None
    except UnicodeDecodeError:
        raise AsnError(f"{path}: is not UTF-8 text; {_EXPECTED}") from None


def _text(path: Path, lines: Iterator[str]) -> list[Row]:
    """The rows of a text file of the kind that its first lines are of."""
    begin = list(islice(lines, _LOOKED_AT))
    sample = next((line for line in begin if line.strip() and not line.startswith("#")), "")
    fields = sample.split()
    if len(sample.split("\t")) == _TSV_FIELDS:
        return list(_rows(path, chain(begin, lines), _TSV))
    if len(fields) == _PREFIX_FIELDS and fields[1].isdecimal() and "," not in fields[0]:
        return list(_longest(_rows(path, chain(begin, lines), _PREFIXES)))
    return list(_rows(path, chain(begin, lines), _CSV))


def _rows(path: Path, lines: Iterable[str], kind: "_Kind") -> Iterator[Row]:
    reader = csv.reader(lines, kind.dialect)
    try:
        for fields in reader:
            if fields and not fields[0].startswith("#"):
                yield kind.row(fields)
    except UnicodeDecodeError:
        raise
    except (ValueError, csv.Error):
        raise AsnError(f"{path}:{reader.line_num}: expected {kind.expected}") from None


def _csv(fields: Sequence[str]) -> Row:
    first, last, asn, name = fields
    return _range(first, last, int(asn), name)


def _tsv(fields: Sequence[str]) -> Row:
    first, last, asn, _, name = fields
    return _range(first, last, int(asn), name)


def _prefix(fields: Sequence[str]) -> Row:
    address, length, origins = fields if len(fields) > 1 else fields[0].split()
    network = ipaddress.ip_network(f"{address}/{length}")
    asn = _NUMBER.search(origins)
    if asn is None:
        raise ValueError(origins)
    return Row(network.version, int(network.network_address), int(network.broadcast_address), int(asn[0]), "")


def _range(first: str, last: str, asn: int, name: str) -> Row:
    begin, end = _address(first), _address(last)
    if begin.version != end.version or int(begin) > int(end):
        raise ValueError(first)
    return Row(begin.version, int(begin), int(end), asn, name)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(int(text) if text.isdecimal() else text)


class _Kind(NamedTuple):
    """A kind of text file: the dialect of its columns, what a row becomes, and what it should have been."""

    dialect: str
    row: Callable[[Sequence[str]], Row]
    expected: str


_CSV = _Kind("excel", _csv, "first address, last address, AS number, name")
_TSV = _Kind("excel-tab", _tsv, "first address, last address, AS number, country, name, between tabs")
_PREFIXES = _Kind("excel-tab", _prefix, "prefix, length, AS number, between tabs")


def _longest(rows: Iterable[Row]) -> Iterator[Row]:
    """Prefixes within each other as ranges that are apart."""
    found = list(rows)
    for version in FAMILIES:
        spans = [(row.first, row.last, row) for row in found if row.version == version]
        for first, last, row in apart(spans):
            yield row._replace(first=first, last=last)


def _maxmind(path: Path) -> Iterator[Row]:
    import maxminddb  # noqa: PLC0415  # only who has such a file

    try:
        with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
            for network, fields in reader:
                asn, name = _fields(fields)
                if asn:
                    ends = int(network.network_address), int(network.broadcast_address)
                    yield Row(network.version, *ends, asn, name)
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise AsnError(f"{path}: is a MaxMind DB that cannot be read: {error}") from None


def _fields(fields: Any) -> tuple[int, str]:
    """The AS number and name of a record; 0 where it has none."""
    if not isinstance(fields, dict):
        return 0, ""
    asn = _NUMBER.search(str(fields.get("autonomous_system_number") or fields.get("asn") or ""))
    name = fields.get("autonomous_system_organization") or fields.get("as_name") or fields.get("name") or ""
    return int(asn[0]) if asn else 0, str(name)
