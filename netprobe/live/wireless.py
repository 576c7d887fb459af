"""What wireless cards say of their link to the access point: level, rate, and how much they had to send again.

By nl80211 (linux/nl80211.h), which all of today's drivers speak and which asks for no right. The table of the older
wireless extensions, /proc/net/wireless, is read where that is missing.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from netprobe.live import netlink
from netprobe.live.netlink import Row

_FAMILY = "nl80211"
_GET_INTERFACE, _GET_STATION = 5, 17  # NL80211_CMD_*
_IFINDEX, _IFNAME, _IFTYPE, _STA_INFO = 3, 4, 5, 21  # NL80211_ATTR_*
_STATION = 2  # NL80211_IFTYPE_STATION: a client of an access point
# NL80211_STA_INFO_*
_SIGNAL, _TX_BITRATE, _TX_PACKETS, _TX_RETRIES, _TX_FAILED, _SIGNAL_AVG, _BEACON_LOSS = 7, 8, 10, 11, 12, 13, 18
_BITRATE, _BITRATE_32 = 1, 5  # NL80211_RATE_INFO_*, in 100 kbit/s
_TABLE = Path("/proc/thread-self/net/wireless")
_TABLE_LIMIT = 1 << 16

#: Asks a family of generic netlink: `netlink.ask_family`, or a recording.
Ask = Callable[..., list[Row]]


class Radio(NamedTuple):
    """A wireless link as its card tells it, since it joined the access point; None: the driver does not say.

    `retries` is the fraction of frames that were sent again, `given_up` the frames that were never acknowledged.
    """

    signal_dbm: float | None = None
    rate_mbit: float | None = None
    retries: float | None = None
    given_up: int | None = None
    beacons_missed: int | None = None


def radios(ask: Ask = netlink.ask_family, table: Path = _TABLE) -> dict[str, Radio]:
    """Every wireless interface by its name. Never raises: what cannot be read is not there."""
    found = {name: Radio(signal_dbm=level) for name, level in _older(table).items()}
    try:
        for interface in ask(_FAMILY, _GET_INTERFACE, every=True):
            name, index = interface.text(_IFNAME), interface.number(_IFINDEX)
            if name and index:
                found[name] = _radio(ask, interface, index) or found.get(name, Radio())
    except (OSError, struct.error):
        pass
    return found


def _radio(ask: Ask, interface: Row, index: int) -> Radio | None:
    """What the link of a client says; None for an access point, and for a card that has joined none."""
    if interface.number(_IFTYPE, _STATION) != _STATION:
        return None
    try:
        stations = ask(_FAMILY, _GET_STATION, netlink.packed(_IFINDEX, struct.pack("@I", index)), every=True)
    except OSError:
        return None
    if len(stations) != 1:  # a client hears of its access point alone
        return None
    return _told(stations[0].nested(_STA_INFO))


def _told(told: Row) -> Radio:
    sent, again = _counter(told, _TX_PACKETS), _counter(told, _TX_RETRIES)
    level = _dbm(told, _SIGNAL_AVG)
    return Radio(
        signal_dbm=_dbm(told, _SIGNAL) if level is None else level,
        rate_mbit=_rate_mbit(told.nested(_TX_BITRATE)),
        # Retries count transmissions, packets what was handed over: of all that went on the air a part was a repeat.
        retries=again / (sent + again) if again is not None and sent is not None and sent + again else None,
        given_up=_counter(told, _TX_FAILED),
        beacons_missed=_counter(told, _BEACON_LOSS),
    )


def _counter(told: Row, attribute: int) -> int | None:
    return told.number(attribute) if attribute in told.attributes else None


def _dbm(told: Row, attribute: int) -> float | None:
    """A level; it is a signed byte, and 0 or more is no level but a driver that does not know it."""
    value = told.attributes.get(attribute, b"")[:1]
    level = int.from_bytes(value, "big", signed=True)
    return float(level) if level < 0 else None


def _rate_mbit(told: Row) -> float | None:
    rate = told.number(_BITRATE_32) or told.number(_BITRATE)
    return rate / 10 if rate else None


def _older(table: Path) -> dict[str, float | None]:
    """Interfaces with the level of what they hear, from a table that starts with two headings."""
    found: dict[str, float | None] = {}
    try:
        with table.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_TABLE_LIMIT).splitlines()
    except OSError:
        return found
    for words in filter(None, map(str.split, lines[2:])):
        try:
            level = float(words[3])
        except (IndexError, ValueError):
            level = 0.0
        found[words[0].rstrip(":")] = level if level < 0 else None  # some drivers count upwards from 0
    return found
