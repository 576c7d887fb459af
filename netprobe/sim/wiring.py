"""What the processes of one lab say to each other over pipes: whole records, each behind its length."""

import shutil
import struct
import sys
from collections.abc import Callable
from typing import IO, TypeVar

import msgspec

from netprobe.model.record import Record
from netprobe.sim import folders
from netprobe.sim.namespaces import LabError
from netprobe.sim.records import Scenario

CA_FILE = "ca.pem"  # in the lab's folder: the certificate that its clients trust
_LENGTH = struct.Struct("!I")

T = TypeVar("T")


class Setup(Record, frozen=True):
    """What to simulate; `folder` is the lab's own, removed at its end.

    A process of servers plays the `machines` (names of servers and resolvers); empty: all. It writes the authority's
    certificate into `folder`, unless that is empty.
    """

    scenario: Scenario
    seed: int
    folder: str
    machines: tuple[str, ...] = ()


class Ready(Record, frozen=True):
    """Said upwards when everything listens. `error` is what failed, empty: nothing.

    `began` is when the network's time was zero, by the monotonic clock, which all processes of a machine share; a
    process that is started by another one says 0.0 and is told by a `Ready` of its own.
    """

    began: float = 0.0
    error: str = ""


def hold(live: Callable[[Setup], None]) -> None:
    """Be the process that holds a network: get the setup, let it `live`, clean up. Started by `netprobe.sim.world`."""
    folder = ""
    try:
        setup = receive(sys.stdin.buffer, Setup)
        folder = setup.folder
        folders.hold(folder)  # until this process ends
        live(setup)
    except LabError as error:
        send(sys.stdout.buffer, Ready(error=str(error)))
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def send(stream: IO[bytes], record: Record) -> None:
    """Write one record. Raises `OSError` when nobody is left to read it."""
    data = msgspec.msgpack.encode(record)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes], kind: type[T]) -> T:
    """Read one record. Raises `EOFError` when the other side is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return msgspec.msgpack.decode(data, type=kind)
