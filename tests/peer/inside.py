"""One simulation from beginning to end: a network namespace without a way out, the responder in it, and our tracer."""

import os
import subprocess
import time
import traceback
from collections.abc import Callable

from netprobe.model.probes import Path
from netprobe.model.record import Record, from_json, to_json
from netprobe.sim.devices import IFF_TUN, highest_group, open_device, set_kernel
from netprobe.sim.namespaces import bring_up, enter_new_network
from tests.peer.responder import Responder, Seen, be_punctual
from tests.peer.simulation import Simulation
from tests.peer.tracer import trace

_DEVICE = "tun0"
_OWN = {False: "192.0.2.2", True: "2001:db8::2"}  # RFC 5737, RFC 3849: nobody in a file has them


class Measured(Record, frozen=True):
    """The path of each round as our tracer saw it, the probes as they left, and how long it took."""

    paths: tuple[Path, ...]
    seen: tuple[Seen, ...]
    wall_s: float


def measure(simulation: Simulation) -> Measured:
    """Run `simulation` once, in a process and a network of its own. Raises `RuntimeError` when that ends early."""
    child, reader = _forked(lambda: to_json(_inside(simulation)))
    said = _all(reader)
    _, status = os.waitpid(child, 0)
    if status or not said:
        raise RuntimeError(f"{simulation.name}: its process ended with {os.waitstatus_to_exitcode(status)}")
    return from_json(said, Measured)


def _inside(simulation: Simulation) -> Measured:
    enter_new_network()
    device = _make_network(simulation)
    until, stop = os.pipe()
    begun, begin = os.pipe()
    responder, notebook = _forked(lambda: _respond(Responder(simulation, device), until, stop, begin))
    os.close(device)
    os.close(begin)
    os.read(begun, 1)
    began = time.monotonic()
    paths = trace(simulation)
    wall_s = time.monotonic() - began
    os.close(stop)
    seen = from_json(_all(notebook), tuple[Seen, ...])
    os.waitpid(responder, 0)
    return Measured(tuple(paths), seen, wall_s)


def _respond(responder: Responder, until: int, stop: int, begin: int) -> bytes:
    """Child of `_inside`: say that it is there, and answer until the other end of `until` is closed."""
    os.close(stop)
    be_punctual()
    os.close(begin)
    responder.run(until)
    return to_json(responder.seen)


def _make_network(simulation: Simulation) -> int:
    """A device to which everything is sent."""
    device = open_device(_DEVICE, IFF_TUN)
    bring_up("lo")
    set_kernel("ipv4/ping_group_range", f"0 {highest_group()}")
    own, version = _OWN[simulation.over_v6], "-6" if simulation.over_v6 else "-4"
    commands = (
        f"link set {_DEVICE} addrgenmode none up\n"
        f"address add {own} dev {_DEVICE}{' nodad' if simulation.over_v6 else ''}\n"
        f"route add default dev {_DEVICE} src {own}\n"
    )
    subprocess.run(["ip", version, "-batch", "-"], input=commands, text=True, check=True)
    return device


def _forked(work: Callable[[], bytes]) -> tuple[int, int]:
    """A child that does `work` and writes what comes of it: its id, and where to read that."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    code = 1
    try:
        os.close(reader)
        with os.fdopen(writer, "wb") as out:
            out.write(work())
        code = 0
    except Exception:  # noqa: BLE001  # the parent says which file it was
        traceback.print_exc()
    finally:
        os._exit(code)


def _all(reader: int) -> bytes:
    with os.fdopen(reader, "rb") as said:
        return said.read()
