"""The process that holds a network of kernel routers: makes it, changes it when faults begin and end, ends with it.

Everything lives in anonymous namespaces that only this process and its children hold: whatever ends it, the kernel
removes the rest.
"""

import contextlib
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from netprobe.sim import wiring
from netprobe.sim.devices import OWN_NETWORK, be_punctual, end_inhabitants
from netprobe.sim.kernel.build import build
from netprobe.sim.kernel.built import Built
from netprobe.sim.kernel.detour import Detour
from netprobe.sim.kernel.layout import SERVERS, Layout
from netprobe.sim.kernel.speech import Speech
from netprobe.sim.namespaces import LabError, Namespaces, own_environment


@contextlib.contextmanager
def _machines(setup: wiring.Setup, layout: Layout, built: Built) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that play servers and resolvers, each in the namespace where it lives; gone at the end."""
    processes = []
    try:
        for node in (SERVERS, *layout.routers):
            machines = layout.machines(node)
            if not machines:
                continue
            process = Namespaces((built.networks[node],)).popen(
                [sys.executable, "-P", "-m", "netprobe.sim.servers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=own_environment(),
            )
            processes.append(process)
            assert process.stdin is not None  # noqa: S101  # pipes, as asked for
            folder = setup.folder if node == SERVERS else ""
            wiring.send(process.stdin, wiring.Setup(setup.scenario, setup.seed, folder, machines))
        yield processes
    finally:
        for process in processes:
            process.kill()  # they have nothing to save, and their own end would take longer
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _wait_for(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        assert process.stdout is not None  # noqa: S101
        try:
            wiring.receive(process.stdout, wiring.Ready)
        except EOFError:
            msg = "the servers of the simulated network ended at their start; their error is above"
            raise LabError(msg) from None


def _live(setup: wiring.Setup) -> None:
    outside = Path(OWN_NETWORK).stat()
    layout = Layout(setup.scenario, setup.seed)
    with build(setup.scenario, layout, setup.folder, setup.seed) as built, _machines(setup, layout, built) as machines:
        built.change(0.0)
        _wait_for(machines)
        be_punctual()
        began = time.monotonic()
        for process in machines:
            assert process.stdin is not None  # noqa: S101
            wiring.send(process.stdin, wiring.Ready(began))
        wiring.send(sys.stdout.buffer, wiring.Ready(began))
        try:
            _watch(built, began)
        finally:
            end_inhabitants(outside)


def _watch(built: Built, began: float) -> None:
    """Carry out what the scenario's times say, and serve the detours, until standard input ends."""
    edges = built.moments()
    beside: list[Detour | Speech] = [*built.detours.values(), *built.speeches.values()]
    detours = {process.device: process for process in beside}
    until = sys.stdin.fileno()
    while True:
        now = time.monotonic() - began
        while edges and edges[0] <= now:
            built.change(edges.pop(0))
        waiting = (*detours.values(), *built.fillers.values())
        for process in waiting:
            process.release(now)
        due = [*edges[:1], *(at for process in waiting if (at := process.next_at()) is not None)]
        readable, _, _ = select.select([until, *detours], (), (), max(0.0, min(due) - now) if due else None)
        if until in readable:
            return
        for device in readable:
            detours[device].read(time.monotonic() - began)


if __name__ == "__main__":
    wiring.hold(_live)
