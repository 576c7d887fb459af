"""What looking at the own network devices costs, in a network of kernel routers."""

import statistics
import time
from collections.abc import Iterator

from netprobe.live import tap as taps
from netprobe.live.vantage import LiveVantage
from netprobe.live.wire import open_wire
from netprobe.model.probes import Flow, Probe, Protocol
from tests.benchmarks.figures import Figure
from tests.live.live_network import SERVER, network_of_routers

_TIMES, _PROBES, _AT_ONCE = 30, 3000, 30


def tap() -> Iterator[Figure]:
    """Opening, closing, and what a probe costs more with its two packets read from the tap."""
    with network_of_routers() as network, network.client.inside():
        opening, closing = [], []
        wire = open_wire()
        for _ in range(_TIMES):
            began = time.perf_counter()
            opened = taps.open_tap(wire.blocks)
            opening.append(time.perf_counter() - began)
            began = time.perf_counter()
            opened.close()
            closing.append(time.perf_counter() - began)
        wire.close()
        yield Figure("tap", "opening a tap", statistics.median(opening) * 1e3, "ms")
        yield Figure(
            "tap", "closing it", statistics.median(closing) * 1e3, "ms", note="the kernel waits for a grace period"
        )
        without, beside = (statistics.median(_a_probe_us(look=look) for _ in range(3)) for look in (False, True))
        note = f"processor time a probe, {_PROBES} echo requests, all answered; beside it with the tap from the start"
        yield Figure("tap", "a probe and its answer", without, "us", beside=beside, note=note)


def _a_probe_us(*, look: bool) -> float:
    """Processor time of one probe and its answer."""
    with LiveVantage() as vantage:
        if look:
            vantage.look()
        began = time.process_time()
        for number in range(0, _PROBES, _AT_ONCE):
            for sequence in range(number, number + _AT_ONCE):
                vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=sequence))
            for _ in range(_AT_ONCE):
                vantage.receive(vantage.now() + 1.0)
        return (time.process_time() - began) / _PROBES * 1e6
