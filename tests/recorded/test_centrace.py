"""Recorded traces through real devices: each is placed where those who recorded it found it."""

import csv
import struct
from pathlib import Path

import pytest

from netprobe.probing.interference import Interference, Manner, interference
from netprobe.recorded import centrace, pcap
from tests.samples import SAMPLES, recorded

CAPTURES = SAMPLES / "centrace"
LABELS = list(csv.DictReader((CAPTURES / "labels.csv").read_text().splitlines())) if CAPTURES.is_dir() else []

#: What CenTrace calls a device that it has located, one at the server itself, and none.
LOCATED, AT_SERVER, NOTHING = "CAN_IDENTIFY_SERVER", "ENDPOINT_FIREWALL", "NO_OBSERVED_CENSORSHIP"


def compared(endpoint: str, name: str) -> Interference:
    """What the captures of a name and of those with another one say together."""
    captures = sorted(CAPTURES.glob(f"{endpoint}_{name}_*.pcap"))
    minded = [path for path in captures if path.stem.split("_")[2] == name]
    other = [path for path in captures if path not in minded]
    assert minded
    assert other
    return interference(
        [h for path in minded for h in centrace.read(path, name)], [h for path in other for h in centrace.read(path)]
    )


@recorded
@pytest.mark.parametrize("label", LABELS, ids=lambda label: f"{label['endpoint']}-{label['test_domain']}")
def test_recorded_devices_are_placed(label: dict[str, str]) -> None:
    """The address of the device where it is labelled; none where there is none; the server where it is the server."""
    found = compared(label["endpoint"], label["test_domain"])
    code = label["expected_response_code"]
    assert code in {LOCATED, AT_SERVER, NOTHING}
    assert (found.manner is Manner.NONE) == (code == NOTHING)
    assert found.at_end == (code == AT_SERVER)
    if label["expected_middlebox"]:
        assert found.address == label["expected_middlebox"]
    if "FIN" in label["note"]:
        assert found.manner is Manner.FIN
    if "RST" in label["note"]:
        assert found.manner is Manner.RESET
    if "on-path" in label["note"]:
        assert found.passes


@recorded
@pytest.mark.parametrize("label", LABELS, ids=lambda label: f"{label['endpoint']}-{label['test_domain']}")
def test_a_name_compared_with_itself_is_not_minded(label: dict[str, str]) -> None:
    """The other name's captures against themselves show nothing."""
    paths = sorted(CAPTURES.glob(f"{label['endpoint']}_*_example.com*.pcap"))
    other = [h for path in paths for h in centrace.read(path)]
    assert interference(other, other).manner is Manner.NONE


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    """Bytes that are no pcap, a link type that nobody reads, a file without a connection: each says what and where."""
    path = tmp_path / "trace.pcap"
    path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(40))
    with pytest.raises(ValueError, match=r"trace\.pcap: not a pcap file; pcapng"):
        centrace.read(path)
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 147))
    with pytest.raises(ValueError, match="link type 147"):
        centrace.read(path)
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    with pytest.raises(ValueError, match="no TCP connection"):
        centrace.read(path)


@pytest.mark.parametrize(("order", "magic", "unit"), [("<", 0xA1B2C3D4, 1e-6), (">", 0xA1B23C4D, 1e-9)])
@pytest.mark.parametrize(("link", "before"), [(101, 0), (1, 14), (113, 16), (276, 20)])
def test_captures_of_every_kind(tmp_path: Path, order: str, magic: int, unit: float, link: int, before: int) -> None:
    """Both byte orders and resolutions, and what devices put before the IP header; a cut record ends the file."""
    packet = bytes([0x45, *range(19)])
    record = bytes(before) + packet
    header = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    whole = struct.pack(order + "IIII", 7, 500, len(record), len(record)) + record
    path = tmp_path / "some.pcap"
    path.write_bytes(header + whole + whole[:-3])
    (found,) = pcap.packets(path)
    assert found.packet == packet
    assert found.at_s == pytest.approx(7 + 500 * unit, abs=1e-9)
