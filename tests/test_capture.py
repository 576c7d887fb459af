"""Files of packets: what other tools read, what stays of them when the writer dies."""

import errno
import os
import struct
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader

from netprobe.capture import Capture, Packet

PACKETS = [
    Packet(1_790_000_000_123_456_789, b"\x45" + bytes(27)),
    Packet(1_790_000_001_000_000_000, b"\x60" + bytes(47), 1500),
]


def read(path: Path) -> list[Packet]:
    """The records of a file, by somebody else's reader."""
    with RawPcapReader(str(path)) as reader:
        assert (reader.linktype, reader.nano) == (101, True)
        return [
            Packet(meta.sec * 1_000_000_000 + meta.usec, data, meta.wirelen if meta.wirelen > len(data) else 0)
            for data, meta in reader
        ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Bytes, nanoseconds, and the length of what was cut."""
    capture = Capture(tmp_path / "a.pcap")
    capture.write(PACKETS)
    capture.close()
    assert read(tmp_path / "a.pcap") == PACKETS
    assert (capture.packets, capture.error) == (2, None)


def test_a_file_is_whole_at_every_moment(tmp_path: Path) -> None:
    """Nothing waits in a buffer: whoever reads before the file is closed gets all that was written."""
    capture = Capture(tmp_path / "a.pcap")
    assert read(tmp_path / "a.pcap") == []
    for count, packet in enumerate(PACKETS, 1):
        capture.write([packet])
        assert read(tmp_path / "a.pcap") == PACKETS[:count]
    capture.close()


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    """As tcpdump does."""
    (tmp_path / "a.pcap").write_bytes(bytes(1000))
    Capture(tmp_path / "a.pcap").close()
    assert read(tmp_path / "a.pcap") == []


@pytest.mark.parametrize("place", ["missing/a.pcap", "."])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    """Before there is anything to write."""
    with pytest.raises(OSError, match=r"No such file|Is a directory"):
        Capture(tmp_path / place)


def test_a_full_disk_is_noticed_at_once() -> None:
    """The header is written when the file is opened."""
    with pytest.raises(OSError, match="No space left") as raised:
        Capture(Path("/dev/full"))
    assert raised.value.errno == errno.ENOSPC


def test_a_disk_that_fills_up_ends_the_capture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the file by then stays readable: a record that went in half is taken out again."""
    capture = Capture(tmp_path / "a.pcap")
    capture.write(PACKETS[:1])
    write, room = os.write, [20]

    def full(file: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written, room[0] = write(file, data[: room[0]]), 0
        return written

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        capture.write(PACKETS[1:])
    assert capture.error is not None
    assert capture.error.errno == errno.ENOSPC
    capture.write(PACKETS)
    capture.close()
    assert read(tmp_path / "a.pcap") == PACKETS[:1]
    assert capture.packets == 1


def test_readers_of_either_byte_order_know_the_format(tmp_path: Path) -> None:
    """The magic number says in which order of bytes, and that the fractions are nanoseconds."""
    Capture(tmp_path / "a.pcap").close()
    magic, major, minor, _, _, snap, linktype = struct.unpack("=IHHiIII", (tmp_path / "a.pcap").read_bytes())
    assert (magic, major, minor, snap, linktype) == (0xA1B23C4D, 2, 4, 262_144, 101)
