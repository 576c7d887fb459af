"""Wireless links by nl80211: from messages of generic netlink, which an independent implementation has laid out."""

import errno
import struct
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink import nl80211

from netprobe.live import host, netlink, wireless
from netprobe.live.netlink import Row
from netprobe.live.wireless import Radio

FAMILY = 0x1C
NOWHERE = Path("/proc/none")
#: What a kernel said of a station that had just joined: nothing yet (a message of 2011, its interface number apart).
JOINED = bytes.fromhex(
    "3400000013000000000000000000000013010000080003000400000" + "00a000600c03f0e77e87f000008002e001301000004001500"
)
OLDER = """\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   31.  -79.  -256        0      0      0     55      1        0
 ath0:  0000   31.   70.  -256        0      0      0      0      0        0
"""


def message(command: int, *attributes: tuple[str, Any]) -> bytes:
    """A message of the family, encoded by pyroute2."""
    made = nl80211.nl80211cmd()
    made["header"]["type"], made["cmd"], made["version"], made["attrs"] = FAMILY, command, 1, list(attributes)
    made.encode()
    return bytes(made.data)


def interface(name: str, index: int, kind: int = nl80211.NL80211_IFTYPE_STATION) -> bytes:
    return message(
        nl80211.NL80211_CMD_NEW_INTERFACE,
        ("NL80211_ATTR_IFINDEX", index),
        ("NL80211_ATTR_IFNAME", name),
        ("NL80211_ATTR_IFTYPE", kind),
    )


def station(index: int, **told: Any) -> bytes:
    inside = [(f"NL80211_STA_INFO_{key}", value) for key, value in told.items()]
    return message(
        nl80211.NL80211_CMD_NEW_STATION, ("NL80211_ATTR_IFINDEX", index), ("NL80211_ATTR_STA_INFO", {"attrs": inside})
    )


class Driver:
    """Answers as a kernel with these interfaces and stations does."""

    def __init__(self, interfaces: list[bytes], stations: dict[int, list[bytes]]) -> None:
        self.interfaces = interfaces
        self.stations = stations

    def __call__(self, name: str, command: int, attributes: bytes = b"", *, every: bool = False) -> list[Row]:
        assert (name, every) == ("nl80211", True)
        if command == nl80211.NL80211_CMD_GET_INTERFACE:
            return rows(self.interfaces)
        (index,) = struct.unpack("@I", netlink.attributes_of(attributes)[3])
        if index not in self.stations:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return rows(self.stations[index])


def rows(datagrams: list[bytes]) -> list[Row]:
    return [Row((0, 0, 0), netlink.attributes_of(body[4:])) for data in datagrams for _, body in netlink.messages(data)]


RATE = {"attrs": [("NL80211_RATE_INFO_BITRATE", 65), ("NL80211_RATE_INFO_BITRATE32", 65)]}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            station(3, SIGNAL=-81, TX_PACKETS=600, TX_RETRIES=400, TX_FAILED=12, BEACON_LOSS=2, TX_BITRATE=RATE),
            Radio(-81.0, 6.5, 0.4, 12, 2),
        ),
        (station(3, SIGNAL=-60, SIGNAL_AVG=-63), Radio(signal_dbm=-63.0)),
        (station(3, SIGNAL=-60, TX_PACKETS=0, TX_RETRIES=0), Radio(signal_dbm=-60.0)),
        (JOINED, Radio()),
    ],
)
def test_a_station_is_read_as_its_driver_tells_it(said: bytes, read: Radio) -> None:
    """Level, rate, repeats, frames given up and beacons missed; what is not told is not made up."""
    assert wireless.radios(Driver([interface("wlan0", 3)], {3: [said]}), NOWHERE) == {"wlan0": read}


@pytest.mark.parametrize(
    "driver",
    [
        Driver([interface("wlan0", 3)], {}),
        Driver([interface("wlan0", 3)], {3: []}),
        Driver([interface("wlan0", 3)], {3: [station(3, SIGNAL=-40), station(3, SIGNAL=-50)]}),
        Driver([interface("wlan0", 3, nl80211.NL80211_IFTYPE_AP)], {3: [station(3, SIGNAL=-40)]}),
    ],
)
def test_who_has_no_access_point_has_no_level(driver: Driver) -> None:
    """Not joined, refused, an access point itself: it is a wireless link all the same."""
    assert wireless.radios(driver, NOWHERE) == {"wlan0": Radio()}


def test_the_older_table_is_read_where_the_newer_way_is_missing(tmp_path: Path) -> None:
    """Levels of /proc/net/wireless, but for drivers that count upwards from 0; and the newer way wins."""
    table = tmp_path / "wireless"
    table.write_text(OLDER)

    def none(*_: Any, **__: Any) -> list[Row]:
        raise OSError(errno.ENOENT, "no such family")

    assert wireless.radios(none, table) == {"wlan0": Radio(signal_dbm=-79.0), "ath0": Radio()}
    newer = Driver([interface("wlan0", 3)], {3: [station(3, SIGNAL=-81)]})
    assert wireless.radios(newer, table)["wlan0"].signal_dbm == -81.0


def test_a_kernel_without_wireless_cards_is_no_error() -> None:
    """The real kernel of this machine is asked: whatever it has, its links can be told."""
    assert isinstance(wireless.radios(), dict)
    assert host.inspect().wall_clock_s > 0


def test_a_family_that_is_there_answers() -> None:
    """Generic netlink as this kernel speaks it: the family of families is always there, and tells of itself."""
    (told,) = netlink.ask_family("nlctrl", 3, netlink.packed(2, b"nlctrl\0"))
    assert (told.number(1), told.text(2)) == (16, "nlctrl")
    with pytest.raises(OSError, match=r"."):
        netlink.ask_family("there_is_none", 1)
