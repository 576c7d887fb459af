"""Packets in a file that tcpdump and Wireshark read: classic pcap, stamps in nanoseconds, no link-layer header.

The format is draft-ietf-opsawg-pcap. It is two structs, so that a library would bring more than it saves; and records
must go out whole (a file whose writer was killed is read up to its last record), which those that were looked at do not
promise.
"""

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_RAW = 101  # a packet begins with its IP header, whose first four bits say of which version it is
_SNAP_LENGTH = 262_144  # the largest that readers accept
_HEADER = struct.pack("=IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAP_LENGTH, _LINKTYPE_RAW)
_RECORD = struct.Struct("=IIII")


class Packet(NamedTuple):
    """An IP packet, and when it passed: nanoseconds of Unix time. `size` is its length where `data` was cut, else 0."""

    at_ns: int
    data: bytes
    size: int = 0


class Capture:
    """A file of packets, at a path or an open descriptor. Like tcpdump it replaces a file that is there.

    Opening raises OSError. What goes wrong later (a full disk) ends the capture and is kept as `error`: it is no reason
    to stop measuring.
    """

    def __init__(self, file: Path | int) -> None:
        self.packets = 0
        self.error: OSError | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file = file if isinstance(file, int) else os.open(file, flags, 0o644)
        self._size = 0
        try:
            self._write(_HEADER)
        except OSError:
            os.close(self._file)
            raise

    def write(self, packets: Iterable[Packet]) -> None:
        """Append `packets`: all of them are in the file when this returns, or none."""
        records = [
            _RECORD.pack(*divmod(at_ns, 1_000_000_000), len(data), size or len(data)) + data
            for at_ns, data, size in packets
        ]
        if not records or self.error:
            return
        try:
            self._write(b"".join(records))
        except OSError as error:
            self.error = error
        else:
            self.packets += len(records)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        """Write all of `data`; where that fails, none of it stays, as far as the file can be cut."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):  # a pipe or a device
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)
