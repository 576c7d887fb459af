"""The bytes of `asn.bin`, the table of origin AS numbers: written by `pack`, read in place by `AsnFile`.

This layout lives here and nowhere else. All numbers are little-endian:

    header       8s magic, u32 version, u32 CRC-32 of all that follows, then `_Counts`, each u32
    buckets      u32 for each value of an address's upper bits, and one more: the number of the first range that begins
                 there or later; of IPv4, then of IPv6
    exceptions   u32 number of a range of all, ascending, whose system does not fit in 16 bits; then u32 those systems
    systems      u32 AS number; system 0 is "nobody", the others stand in the order of how many ranges they have
    blocks       u32 where the names of each 64 systems begin, and where the last end
    lower bits   of the address at which each range begins: u32 of IPv6, then u16 of IPv4
    networks     u16 system of each range, of IPv4, then of IPv6
    dictionary   words of names, which DEFLATE may refer to
    names        of 64 systems each, UTF-8 between NULs, deflated (RFC 1951)

Of IPv6 the first 48 bits count: networks accept no longer prefixes from each other (RFC 7454, 6.1.3). The file is
mapped. An address leads to its bucket at once, and to its range by bisection in it.
"""

import mmap
import struct
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAGIC = b"netp-asn"
VERSION = 3
_HEAD = struct.Struct("<8sII")
_ELSEWHERE = 0xFFFF  # of a system: it stands among the exceptions
_NAMES_A_BLOCK = 64
_DICTIONARY_BYTES, _DICTIONARY_WORDS = 32_768, 4000  # DEFLATE looks back no farther
_RAW_DEFLATE = -15
_READ_BYTES = 1 << 16


class AsnError(ValueError):
    """A table or a source of one that cannot be used; the message says which file, where, and what to do."""


class Family(NamedTuple):
    """How the table sees addresses of a version of IP: without the lowest `shift` bits, and split before `low_bits`."""

    bits: int
    shift: int
    low_bits: int


FAMILIES = {4: Family(32, 0, 16), 6: Family(128, 80, 32)}


class _Counts(NamedTuple):
    """How many numbers, or bytes, the sections have. `date` is that of the data, as in 20261129; 0: not told."""

    date: int
    buckets: int
    buckets_v6: int
    exceptions: int
    systems: int
    blocks: int
    ranges: int
    ranges_v6: int
    dictionary: int
    names: int

    def sections(self) -> list[tuple[str, int]]:
        """The type code and the length of each section, in order."""
        wide = (self.buckets, self.buckets_v6, self.exceptions, self.exceptions, self.systems, self.blocks)
        return [
            *(("I", count) for count in (*wide, self.ranges_v6)),
            *(("H", count) for count in (self.ranges, self.ranges, self.ranges_v6)),
            *(("B", count) for count in (self.dictionary, self.names)),
        ]


_COUNTS = struct.Struct(f"<{len(_Counts._fields)}I")
HEADER_BYTES = _HEAD.size + _COUNTS.size

Numbers = Sequence[int]


class _Ranges(NamedTuple):
    """The ranges of one version of IP; `first` is the number of their first among all."""

    buckets: Numbers
    lows: Numbers
    systems: Numbers
    low_bits: int
    low_mask: int
    first: int


class AsnFile:
    """A table, mapped. `close` it, or keep it for as long as the process lives."""

    def __init__(self, where: Path) -> None:
        """Check and map the file at `where`. Raises `AsnError`, and OSError."""
        with where.open("rb") as file:
            counts = _check(where, file)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._views: list[memoryview] = []
        buckets, buckets_v6, *odd, self._numbers, self._blocks, low_v6, low, systems, systems_v6, words, names = (
            self._sections(counts)
        )
        self._exceptions, self._exceptional = odd
        self._dictionary, self._names = bytes(words), names
        self._ranges = {
            4: _Ranges(buckets, low, systems, *_split(FAMILIES[4]), 0),
            6: _Ranges(buckets_v6, low_v6, systems_v6, *_split(FAMILIES[6]), counts.ranges),
        }
        self.date, self.systems, self.ranges, self.ranges_v6 = (
            counts.date,
            counts.systems,
            counts.ranges,
            counts.ranges_v6,
        )
        self.size = len(self._map)

    def _sections(self, counts: _Counts) -> Iterator[Numbers]:
        whole, at = memoryview(self._map), HEADER_BYTES
        self._views.append(whole)
        for code, count in counts.sections():
            size = struct.calcsize("=" + code) * count
            part = whole[at : at + size]
            at += size
            self._views.append(part)
            if sys.byteorder == "little" or code == "B":
                self._views.append(part.cast(code))  # type: ignore[call-overload]  # one of three codes
                yield self._views[-1]
            else:  # read whole: there is no other way
                numbers = array(code, bytes(part))
                numbers.byteswap()
                yield numbers

    def find(self, version: int, value: int) -> int:
        """The system that announces an address; `value` is without the bits that the table leaves out."""
        buckets, lows, systems, low_bits, low_mask, first = self._ranges[version]
        bucket = value >> low_bits
        try:
            at = bisect_right(lows, value & low_mask, buckets[bucket], buckets[bucket + 1]) - 1
        except IndexError:  # behind the last
            return 0
        system = systems[at]
        return system if system != _ELSEWHERE else self._exceptional[bisect_left(self._exceptions, first + at)]

    def system(self, index: int) -> tuple[int, str]:
        """The AS number and the name of a system."""
        block, place = divmod(index, _NAMES_A_BLOCK)
        inflate = zlib.decompressobj(_RAW_DEFLATE, self._dictionary)
        names = inflate.decompress(bytes(self._names[self._blocks[block] : self._blocks[block + 1]]))
        return self._numbers[index], names.split(b"\0")[place].decode()

    def let_go(self) -> None:
        """Give back the memory of what was looked at; it is read again when it is needed."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Close it: nothing can be found any more."""
        self._ranges.clear()
        for view in reversed(self._views):
            view.release()
        self._views.clear()
        self._map.close()


def pack(ranges: Mapping[int, Sequence[tuple[int, int]]], names: Mapping[int, str], date: int = 0) -> bytes:
    """The bytes of a table.

    `ranges` of each version of IP are (first value, AS number), sorted, from 0 on; AS 0 is nobody. `date` is that of
    the data.
    """
    used = Counter(asn for rows in ranges.values() for _, asn in rows if asn)
    order = sorted(used, key=lambda asn: (-used[asn], asn))
    index = {0: 0} | {asn: place for place, asn in enumerate(order, 1)}
    split = {v: [_halves(value, family) for value, _ in ranges.get(v, ())] for v, family in FAMILIES.items()}
    places = {v: [index[asn] for _, asn in ranges.get(v, ())] for v in FAMILIES}
    odd = [(at, place) for at, place in enumerate((*places[4], *places[6])) if place >= _ELSEWHERE]
    words = _dictionary(names[asn] for asn in order)
    blocks = list(_deflated(["", *(names[asn] for asn in order)], words))
    ends = [0]
    for block in blocks:
        ends.append(ends[-1] + len(block))
    sections: list[Numbers] = [
        *(_buckets([bucket for bucket, _ in split[v]]) for v in FAMILIES),
        *([pair[part] for pair in odd] for part in (0, 1)),
        *([0, *order], ends),
        *([low for _, low in split[v]] for v in (6, 4)),
        *([min(place, _ELSEWHERE) for place in places[v]] for v in FAMILIES),
        *(words, b"".join(blocks)),
    ]
    counts = _Counts(date, *(len(sections[at]) for at in (0, 1, 2, 4, 5, 7, 6, 10, 11)))
    body = _COUNTS.pack(*counts) + b"".join(
        _little(numbers, code) for (code, _), numbers in zip(counts.sections(), sections, strict=True)
    )
    return _HEAD.pack(MAGIC, VERSION, zlib.crc32(body)) + body


def _split(family: Family) -> tuple[int, int]:
    """How far an address is shifted for its bucket, and the mask of the rest."""
    return family.low_bits, (1 << family.low_bits) - 1


def _halves(value: int, family: Family) -> tuple[int, int]:
    low_bits, low_mask = _split(family)
    return value >> low_bits, value & low_mask


def _buckets(firsts: Sequence[int]) -> list[int]:
    """For each bucket up to the last that has a range, and one more, the number of the first range in it or behind."""
    return [bisect_left(firsts, bucket) for bucket in range(firsts[-1] + 2)] if firsts else []


def _little(numbers: Numbers, code: str) -> bytes:
    if isinstance(numbers, bytes):
        return numbers
    packed = array(code, numbers)
    if sys.byteorder != "little":
        packed.byteswap()
    return packed.tobytes()


def _dictionary(names: Iterable[str]) -> bytes:
    """The commonest words, the most common last: DEFLATE spends fewer bits on what is near."""
    words = Counter(word for name in names for word in name.split())
    common = sorted(words, key=lambda word: (-words[word], word))[:_DICTIONARY_WORDS]
    return " ".join(reversed(common)).encode()[-_DICTIONARY_BYTES:]


def _deflated(names: Sequence[str], words: bytes) -> Iterator[bytes]:
    for first in range(0, len(names), _NAMES_A_BLOCK):
        deflate = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, 9, zlib.Z_DEFAULT_STRATEGY, words)
        block = "\0".join(names[first : first + _NAMES_A_BLOCK]).encode()
        yield deflate.compress(block) + deflate.flush()


def _check(where: Path, file: BinaryIO) -> _Counts:
    """What the header counts, when the file is whole."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        raise AsnError(f'{where}: is not an AS table; "netprobe asn import FILE" makes one')
    _, version, crc = _HEAD.unpack(head)
    if version != VERSION:
        raise AsnError(f'{where}: has version {version}, not {VERSION}; make it anew with "netprobe asn import FILE"')
    packed = file.read(_COUNTS.size)
    size, found = 0, zlib.crc32(packed)
    while chunk := file.read(_READ_BYTES):
        size += len(chunk)
        found = zlib.crc32(chunk, found)
    counts = _Counts(*_COUNTS.unpack(packed)) if len(packed) == _COUNTS.size else None
    if counts is None or found != crc or size != sum(n * struct.calcsize("=" + code) for code, n in counts.sections()):
        raise AsnError(
            f'{where}: is damaged (its checksum does not agree); make it anew with "netprobe asn import FILE"'
        )
    return counts
