"""The platform's catalogue: reads `data/platforms/NAME.toml` strictly and knows which names belong to it.

Another platform is another file. What is wrong in a file is said with the file, the place and a hint.
"""

import ipaddress
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from netprobe.model.hint import hint
from netprobe.model.targets import Control, PlainPage, Platform, Region, Target
from netprobe.topology.addresses import is_global_v6

T = TypeVar("T", Target, Control, Region)

PLATFORMS = Path(__file__).parent.parent / "data" / "platforms"

#: Tables that may stand more than once, by their TOML key.
_ROWS: dict[str, type[Target | Control]] = {"target": Target, "control": Control}
_TOP_KEYS = ("name", "zones", "own_asns", "cdn_asns", "scrubbing", "words", *_ROWS)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?$")


#: And those of which there may be none.
_OPTIONAL_ROWS: dict[str, type[Region]] = {"region": Region}
_PATH = re.compile(r"/[!-~]{0,200}")  # of a request: printable, and no blanks (RFC 9112, 3.2)
_WITHOUT_PAGE = frozenset({204, 304})
_STATUSES = range(200, 400)  # that a page has whose server is well: errors are what is looked for
_LONGEST_SUBNET = 24  # RFC 7871, 11.1: more would tell of single people


class PlatformError(ValueError):
    """A catalogue that cannot be used: the message says which file, where in it, and what to do."""


def load_platform(name_or_path: str | Path = "tiktok") -> Platform:
    """Read a catalogue: one that comes with netprobe by its name (`tiktok`), any other by its path (`./mine.toml`).

    Raises `PlatformError` with one line of text when the file is missing, is no TOML, or says something that is not
    understood.
    """
    path = _path_of(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in PLATFORMS.glob("*.toml")))
        raise PlatformError(f"{path}: no such file; give the path of a platform's .toml, or one of: {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        ) from None
    try:
        return _platform(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PlatformError(f"{path.name}: is not TOML: {error}") from None
    except _Wrong as error:
        raise PlatformError(f"{path.name}: {error}") from None


def covers(platform: Platform, name: str) -> bool:
    """Whether `name` lies in one of the platform's zones. A wildcard (`*.tiktok.com`) counts as its parent does."""
    labels = name.lower().removesuffix(".").removeprefix("*.")
    return any(labels == zone or labels.endswith("." + zone) for zone in platform.zones)


def vendor_of(platform: Platform, asn: int) -> str:
    """Who delivers from the network `asn`: `own`, a key of `cdn_asns`, or empty for somebody else."""
    if asn in platform.own_asns:
        return "own"
    return next((vendor for vendor, asns in platform.cdn_asns.items() if asn in asns), "")


class _Wrong(Exception):  # noqa: N818 - it is not an error of its own: the caller adds the file's name
    """What is wrong and where, still without the file."""


def _path_of(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and re.fullmatch(r"[a-z0-9_-]+", name_or_path):
        return PLATFORMS / f"{name_or_path}.toml"
    return Path(name_or_path)


def _platform(document: dict[str, Any]) -> Platform:
    _refuse_unknown(document, (*_TOP_KEYS, *_OPTIONAL_ROWS), "at the top")
    targets = _rows(document, "target", Target)
    controls = _rows(document, "control", Control)
    regions = _rows(document, "region", Region) if "region" in document else ()
    head = {key: value for key, value in document.items() if key not in _ROWS | _OPTIONAL_ROWS}
    platform = _convert({**head, "targets": (), "controls": ()}, Platform, "")
    platform = msgspec.structs.replace(platform, targets=targets, controls=controls, regions=regions)
    _check(platform)
    return platform


def _rows(document: dict[str, Any], key: str, kind: type[T]) -> tuple[T, ...]:
    """Every `[[key]]` as a record."""
    rows = document.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _Wrong(f"'{key}' must be written as [[{key}]]")
    if not rows:
        raise _Wrong(f"there is no [[{key}]]")
    records = []
    for number, row in enumerate(rows, 1):
        name = row.get("name")
        place = f"[[{key}]] '{name}'" if isinstance(name, str) and name else f"[[{key}]] number {number}"
        _refuse_unknown(row, kind.__struct_fields__, f"in {place}")
        if isinstance(plain := row.get("plain"), dict):
            _refuse_unknown(plain, PlainPage.__struct_fields__, f"in 'plain' of {place}")
        records.append(_convert(row, kind, place))
    return tuple(records)


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            raise _Wrong(f"unknown key '{key}' {place} ({hint(key, known)})")


R = TypeVar("R")


def _convert(table: dict[str, Any], kind: type[R], place: str) -> R:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, where = (found["what"], found["where"]) if found else (str(error), None)
        key = f"'{where}'" if where else ""
        spot = " in ".join(filter(None, (key, place))) or "the file"
        raise _Wrong(f"{spot}: {what[:1].lower()}{what[1:].replace('`', chr(39))}") from None


def _check(platform: Platform) -> None:
    """What types cannot say."""
    _check_regions(platform.regions)
    for key, rows in (("target", platform.targets), ("control", platform.controls), ("region", platform.regions)):
        twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
        if twice:
            raise _Wrong(f"[[{key}]] '{twice[0]}' stands there twice")
    for control in platform.controls:
        _check_control(platform, control)
    for vendor in platform.scrubbing:
        if vendor not in platform.cdn_asns:
            raise _Wrong(f"unknown vendor '{vendor}' in 'scrubbing' ({hint(vendor, platform.cdn_asns)})")
    if not any(target.essential for target in platform.targets):
        raise _Wrong("no [[target]] is essential: mark those that every diagnosis asks with essential = true")
    for target in platform.targets:
        known = ("own", *platform.cdn_asns)
        if target.vendor and target.vendor not in known:
            place = f"[[target]] '{target.name}'"
            raise _Wrong(f"unknown vendor '{target.vendor}' in {place} ({hint(target.vendor, known)})")


def _check_control(platform: Platform, control: Control) -> None:
    if control.address and not _is_address(control.address):
        raise _Wrong(f"'address' in [[control]] '{control.name}': '{control.address}' is not an IP address")
    if control.address_v6 and not is_global_v6(control.address_v6):
        text = f"'{control.address_v6}' can be no server's on the IPv6 Internet"
        raise _Wrong(f"'address_v6' in [[control]] '{control.name}': {text}")
    if control.plain:
        _check_plain(control.plain, f"'plain' of [[control]] '{control.name}'")
    if covers(platform, control.name):
        raise _Wrong(
            f"[[control]] '{control.name}' lies in the platform's own zones: a control has nothing to do with it"
        )


def _check_plain(plain: PlainPage, place: str) -> None:
    if not _PATH.fullmatch(plain.path):
        raise _Wrong(f"'path' in {place}: '{plain.path}' is no path of a page: it begins with '/' and has no blanks")
    if plain.status not in _STATUSES:
        raise _Wrong(f"'status' in {place}: {plain.status} is no answer of a server that is well")
    if plain.title and plain.status in _WITHOUT_PAGE:
        raise _Wrong(f"'title' in {place}: an answer of {plain.status} has no page (RFC 9110, 6.4.1)")


def _check_regions(regions: tuple[Region, ...]) -> None:
    for region in regions:
        if not _is_public_subnet(region.subnet):
            text = f"'{region.subnet}' is no prefix of 8 to 24 bits of public IPv4 addresses"
            raise _Wrong(f"'subnet' in [[region]] '{region.name}': {text}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_public_subnet(text: str) -> bool:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        return False
    return network.is_global and 8 <= network.prefixlen <= _LONGEST_SUBNET
