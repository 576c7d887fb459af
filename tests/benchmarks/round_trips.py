"""Round trips beside a capture on the wire."""

import re
import shlex
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from netprobe.live import stamps
from netprobe.live.broker.launch import launch
from netprobe.live.brokered import Broker
from netprobe.live.privilege import Reach, configuration, worker_user
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Probe, Protocol, Reply
from tests.benchmarks.figures import Figure
from tests.live.live_network import SERVER, Network, network_of_routers

RTT_BUDGET_US = (10.0, 30.0)  # how wrong a round trip may be: the median, and one in a hundred
_ALL_PROTOCOLS = 3  # linux/if_ether.h: what goes out is shown to such a socket only
_RTT_PROBES, _RTT_PAUSE_S, _BUSY_LOOPS = 500, 0.01, 4


def rtt() -> Iterator[Figure]:
    """How wrong a reported round trip is, by a capture on the wire, while four busy loops have the processors."""
    with ExitStack() as stack:
        network = stack.enter_context(network_of_routers())
        for _ in range(_BUSY_LOOPS):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(loop.kill)
        ours = _errors_us(network, _round_trips)
        note = f"{_RTT_PROBES} echo requests, {_BUSY_LOOPS} busy loops"
        for tool, command, pattern, unit in (
            ("ping", f"ping -n -c {_RTT_PROBES} -i {_RTT_PAUSE_S} {SERVER}", r"time=([\d.]+)", 1e-3),
            (
                "scamper",
                f"scamper -O json -I 'ping -c {_RTT_PROBES} -i {_RTT_PAUSE_S} {SERVER}'",
                r'"rtt":([\d.]+)',
                1e-3,
            ),
            ("mtr", f"mtr --raw -n -f 3 -c {_RTT_PROBES // 5} -i {_RTT_PAUSE_S} {SERVER}", r"(?m)^p \d+ (\d+)", 1e-6),
        ):

            def reported(command: str = command, pattern: str = pattern, unit: float = unit) -> list[float]:
                said = network.client.run(*shlex.split(command))
                return [float(number) * unit for number in re.findall(pattern, said)]

            figures = zip(("median", "99 %"), ours, RTT_BUDGET_US, _errors_us(network, reported), strict=True)
            for what, mine, bar, theirs in figures:
                yield Figure("rtt", f"error of a round trip, {what}", mine, "us", bar, theirs, tool, note)


def _round_trips() -> list[float]:
    """The round trips that netprobe reports, seconds, one echo request at a time, by way of the broker."""
    launched = launch()
    if launched is None:
        raise RuntimeError("no broker can be started")
    broker = Broker(launched)
    broker.configure(configuration(Reach((SERVER,), 0, 0.0, 2 / _RTT_PAUSE_S), worker_user()))
    found = []
    with LiveVantage(wire=broker.wire()) as vantage:
        for number in range(_RTT_PROBES):
            vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=number))
            event = vantage.receive(vantage.now() + 1.0)
            if event and isinstance(event.outcome, Reply):
                found.append(event.outcome.rtt_s)
            time.sleep(_RTT_PAUSE_S)
    broker.close()
    return found


def _errors_us(network: Network, reported: Callable[[], list[float]]) -> tuple[float, float]:
    """How far what is `reported` (seconds, in order) is from the wire: the median and the 99th percentile, in us."""
    with network.client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
        wire.bind(("uplink", _ALL_PROTOCOLS))
        wire.settimeout(0)
        stamps.want_stamps(wire)
        said = reported()
        true = _captured(wire)
    if len(said) != len(true):
        raise RuntimeError(f"{len(said)} round trips were reported, {len(true)} captured")
    errors = sorted(abs(a - b) * 1e6 for a, b in zip(said, true, strict=True))
    return statistics.median(errors), errors[int(0.99 * (len(errors) - 1))]


def _captured(wire: socket.socket) -> list[float]:
    """The round trips of the echo requests that `wire` has captured, in the order of the replies."""
    left: dict[bytes, int] = {}
    found: list[float] = []
    while True:
        try:
            data, ancillary, _, _ = wire.recvmsg(2048, 256)
        except BlockingIOError:
            return found
        seconds, nanoseconds = struct.unpack(
            "@qq", next(value for _, kind, value in ancillary if kind == stamps.SO_TIMESTAMPNS)
        )
        at_ns, kind, key = seconds * 1_000_000_000 + nanoseconds, data[20], data[24:28]
        if kind == 8:
            left[key] = at_ns
        elif kind == 0 and key in left:
            found.append((at_ns - left.pop(key)) * 1e-9)
