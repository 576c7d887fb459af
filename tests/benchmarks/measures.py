"""What is measured, a function a row: each yields figures of netprobe beside those of other tools."""

import json
import re
import shlex
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

from netprobe.lab.score import run_virtual
from netprobe.live import stamps
from netprobe.live.broker.launch import launch
from netprobe.live.brokered import Broker
from netprobe.live.privilege import Reach, configuration, worker_user
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Probe, Protocol, Reply
from netprobe.model.probes import Path as Way
from netprobe.model.record import Record, from_json
from netprobe.model.report import Report
from netprobe.model.services import Answer, Response
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import World
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.benchmarks.networks import edges, straight, tree
from tests.live.live_desk import Desk
from tests.live.live_forger import attack
from tests.live.live_network import SERVER, Network, network_of_routers

NETPROBE = (sys.executable, "-m", "netprobe")
STARTUP_BUDGET_S = 0.15
RTT_BUDGET_US = (10.0, 30.0)  # how wrong a round trip may be: the median, and one in a hundred
_ALL_PROTOCOLS = 3  # linux/if_ether.h: what goes out is shown to such a socket only
_RTT_PROBES, _RTT_PAUSE_S, _BUSY_LOOPS = 500, 0.01, 4
_ENOUGH_S = 3.0  # how long something is repeated to say how often a second it can be done
#: Runs the command line and says on standard error how much memory the process had at its peak.
_WITH_PEAK = """
import sys
sys.argv[0] = "netprobe"
try:
    from netprobe.__main__ import main
    main()
finally:
    status = open("/proc/self/status").read()
    sys.stderr.write("\\npeak_kib " + status.partition("VmHWM:")[2].split()[0])
"""

#: By way of the broker, as the command does: traces an address again and again and prints of each trace its seconds, its probes and its hops.
_TIMED = """
import sys, time
from netprobe.live.broker import launch
from netprobe.live.privilege import Reach, separate
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Protocol
from netprobe.tracing import trace
launch.ahead(["trace"])
wires = separate(Reach(sys.argv[1:2], 0, 0.0, 400.0), load=lambda: None)
with LiveVantage(wire=wires.open()) as vantage:
    for _ in range(int(sys.argv[2])):
        began = time.monotonic()
        (one,) = trace(vantage, [sys.argv[1]], Protocol.ICMP)
        print(time.monotonic() - began, one.path.probes_sent, len(one.path.hops))
"""
_TRACES = 100
_FORGED = 1_000_000
_SLACK_S = 0.030  # what a trace may take beyond its round trips
_EXTRA_PROBES = 5  # and beyond one a hop
_RATES = (1000, 5000)
_SHARED_TIME, _SHARED_PROBES = 0.35, 0.3  # of scamper's, where edges share what they have in common


class Figure(Record, frozen=True):
    """One comparison. `ratio` is netprobe's figure divided by the one beside it."""

    row: str
    what: str
    netprobe: float
    unit: str
    beside: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Nothing to compare with: None."""
        return self.netprobe / self.beside if self.beside else None


def startup() -> Iterator[Figure]:
    """How long until the version is printed, beside Python doing nothing."""
    ours = _median_s(lambda: subprocess.run([*NETPROBE, "--version"], check=True, stdout=subprocess.DEVNULL), 20)
    bare = _median_s(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 20)
    held = "within" if ours <= STARTUP_BUDGET_S else "ABOVE"
    yield Figure("startup", "netprobe --version", ours, "s", bare, f"python -c pass; {held} {STARTUP_BUDGET_S} s")
    ours = _median_s(lambda: subprocess.run([*NETPROBE, "--help"], check=True, stdout=subprocess.DEVNULL), 5)
    yield Figure("startup", "netprobe --help", ours, "s", bare, "python -c pass")


def diagnose() -> Iterator[Figure]:
    """A whole diagnosis with real packets, beside the same questions asked one after the other with other tools."""
    with World(load("healthy")) as world:
        reports: list[Report] = []
        peaks: list[float] = []

        def ours() -> None:
            done = world.run([sys.executable, "-c", _WITH_PEAK, "diagnose", "--json"])
            reports.append(from_json(done.stdout, Report))
            peaks.append(float(done.stderr.rpartition("peak_kib ")[2]) / 1024)

        wall_s = _median_s(ours, 3)
        script = questions(reports[-1])
        beside_s = _median_s(lambda: world.run(["sh", "-c", "\n".join(script)]), 1)
    answer = reports[-1].verdict.component
    note = f"{len(script)} calls of dig, curl, ping, mtr -r -c 10 in a shell loop; verdict: {answer}"
    yield Figure("diagnose", "diagnose, healthy", wall_s, "s", beside_s, note)
    yield Figure("diagnose", "  of which measuring", reports[-1].timing.wall_s, "s")
    yield Figure("diagnose", "  probes and requests sent", reports[-1].timing.packets_sent, "packets")
    yield Figure("diagnose", "  memory at its peak", max(peaks), "MiB", _bare_peak_mib(), "python -c pass")


def questions(report: Report) -> list[str]:
    """Shell commands that ask what `report` asked: its lookups, its pages, its paths, its gateway."""
    lines: dict[str, None] = {}
    for observation in report.observations:
        match observation.fact:
            case Answer(lookup=asked):
                lines[f"dig +time=3 +tries=2 @{asked.resolver} {shlex.quote(asked.name)}"] = None
            case Response(fetch=asked):
                name, address = asked.handshake.server_name, asked.handshake.address
                page = shlex.quote(f"https://{name}{asked.path}")
                lines[f"curl -s -o /dev/null -m 5 --resolve {name}:443:{address} {page}"] = None
            case Way(flow=flow):
                lines[f"mtr -r -n -c 10 {flow.destination}"] = None
            case _ if observation.purpose == "gateway":
                lines[f"ping -q -n -c 4 {observation.subject}"] = None
    return list(lines)


def trace() -> Iterator[Figure]:
    """The path to one address, beside the tools for that. The farthest edge is the slowest."""
    scenario = load("healthy")
    with World(scenario) as world:
        target = _farthest(world, [server.addresses[0] for server in scenario.servers])
        hops = _hops(world, target)
        ours = _median_s(lambda: world.run([*NETPROBE, "trace", "--json", target]), 5)
        for command in (
            ["traceroute", "-n", "-q", "1", target],
            ["traceroute", "-n", "-I", "-q", "1", target],
            ["mtr", "-r", "-n", "-c", "1", target],
            ["mtr", "-r", "-n", "-c", "10", target],
            ["scamper", "-I", f"trace -P icmp-paris -q 1 {target}"],
        ):
            beside = _median_s(lambda command=command: world.run(command), 3)  # type: ignore[misc]  # bound at once
            yield Figure("trace", f"trace, {hops} hops", ours, "s", beside, shlex.join(command))


def path() -> Iterator[Figure]:
    """One trace along straight paths 50 ms away: in round trips, start-up apart, and as a whole beside other tools."""
    for hops, round_trips in ((15, 1), (25, 2)):
        scenario = straight(hops, 50.0)
        (target,) = edges(scenario)
        with World(scenario) as world:
            said = world.run(["ping", "-q", "-n", "-c", "10", "-i", "0.1", target]).stdout
            rtt_s = float(said.rpartition("= ")[2].split("/")[1]) / 1e3
            rows = world.run([sys.executable, "-c", _TIMED, target, str(_TRACES)]).stdout.splitlines()
            traces = [tuple(map(float, row.split())) for row in rows]
            assert all(trace[2] == hops for trace in traces)
            p95_s = statistics.quantiles((trace[0] for trace in traces), n=20)[-1]
            limit_s = round_trips * rtt_s + _SLACK_S
            note = f"{round_trips} round trips by ping; bar {limit_s:.3f} s: {_held(p95_s, limit_s)}"
            yield Figure("path", f"{hops} hops, 50 ms: p95", p95_s, "s", round_trips * rtt_s, note)
            probes = max(trace[1] for trace in traces)
            note = f"hops; bar hops + {_EXTRA_PROBES}: {_held(probes, hops + _EXTRA_PROBES)}"
            yield Figure("path", "  most probes of one trace", probes, "packets", hops, note)
            ours = _median_s(lambda world=world, target=target: world.run([*NETPROBE, "trace", "--json", target]), 5)  # type: ignore[misc]  # bound at once
            for command in (
                ["traceroute", "-n", "-I", "-q", "1", target],
                ["mtr", "-r", "-n", "-c", "1", target],
                ["scamper", "-I", f"trace -P icmp-paris -q 1 {target}"],
            ):
                beside = _median_s(lambda world=world, command=command: world.run(command), 3)  # type: ignore[misc]  # as above
                yield Figure("path", "  whole, with start-up", ours, "s", beside, shlex.join(command))


def many() -> Iterator[Figure]:
    """250 edges behind 13 hops in one pass, under the same cap of packets a second as scamper."""
    scenario = tree()
    targets = edges(scenario)
    with World(scenario) as world, tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(targets) + "\n")
        listed.flush()
        startup_s = _median_s(lambda: world.run([*NETPROBE, "trace", "--json", "127.0.0.1"]), 5)
        yield Figure("many", "start-up: trace 127.0.0.1", startup_s, "s")
        scamper = ["scamper", "-O", "json", "-c", "trace -P icmp-paris -q 1", "-w", "250", "-f", listed.name]
        for rate in _RATES:
            ours = [*NETPROBE, "trace", "--json", "--rate", str(rate)]
            best = min(_pass(world, [*scamper, "-p", str(rate)], "probe_count") for _ in range(3))
            alone = min(_pass(world, [*ours, *targets], "probes_sent") for _ in range(3))
            shared = min(_pass(world, [*ours, "--share", *targets], "probes_sent") for _ in range(3))
            limit_s = 1.1 * alone[2] / rate + 0.052
            for name, (wall_s, hops, probes) in (("", alone), (" --share", shared)):
                what = f"{len(targets)} edges, {rate}/s{name}"
                at_most_s = best[0] * (_SHARED_TIME if name else 1.0)
                note = f"scamper icmp-paris -w 250; bar {at_most_s:.2f} s: {_held(wall_s, at_most_s)}"
                if not name:
                    without_s = wall_s - startup_s
                    note += f"; start-up apart {without_s:.2f} s, bar {limit_s:.2f} s: {_held(without_s, limit_s)}"
                yield Figure("many", what, wall_s, "s", best[0], note)
                yield Figure("many", "  hops known", hops, "hops", best[1])
                at_most = best[2] * (_SHARED_PROBES if name else 1.0)
                yield Figure(
                    "many", "  probes", probes, "packets", best[2], f"bar {at_most:.0f}: {_held(probes, at_most)}"
                )


def _pass(world: World, command: Sequence[str], count: str) -> tuple[float, int, int]:
    """Seconds, hops that are known and probes (by the key `count`) of one pass over many targets."""
    began = time.perf_counter()
    said = world.run(command).stdout
    wall_s = time.perf_counter() - began
    traces = [row for row in map(json.loads, said.splitlines()) if count in row]
    known = sum(1 for row in traces for hop in row.get("hops", ()) if hop.get("replies", True))
    return wall_s, known, sum(row[count] for row in traces)


def _held(value: float, bar: float) -> str:
    return "within" if value <= bar else "ABOVE"


def virtual() -> Iterator[Figure]:
    """How much of it fits into a second without a network."""
    scenario = load("healthy")
    address = scenario.servers[0].addresses[0]
    seeds = iter(range(1_000_000))

    def path() -> None:
        run(one(Traceroute(Flow(Protocol.ICMP, address))), VirtualVantage(scenario, next(seeds)))

    yield Figure(
        "virtual", "traces in virtual time", _rate(path), "/s", note="one core, the network made anew each time"
    )
    catalogue = load_platform()
    with AsnTable.open() as table:
        rate = _rate(lambda: run_virtual(scenario, next(seeds), catalogue, table.lookup))
    yield Figure("virtual", "diagnoses in virtual time", rate, "/s", note="one core")


def rtt() -> Iterator[Figure]:
    """How wrong a reported round trip is, by a capture on the wire, while four busy loops have the processors."""
    with ExitStack() as stack:
        network = stack.enter_context(network_of_routers())
        for _ in range(_BUSY_LOOPS):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(loop.kill)
        ours = _errors_us(network, _round_trips)
        held = "within" if all(us <= bar for us, bar in zip(ours, RTT_BUDGET_US, strict=True)) else "ABOVE"
        note = f"{held} {RTT_BUDGET_US[0]:.0f} and {RTT_BUDGET_US[1]:.0f} us; {_RTT_PROBES} echo requests"
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

            for what, mine, theirs in zip(("median", "99 %"), ours, _errors_us(network, reported), strict=True):
                yield Figure("rtt", f"error of a round trip, {what}", mine, "us", theirs, f"{tool}; {note}")


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


#: Every row by name, in the order in which they are measured.
def forged() -> Iterator[Figure]:
    """A million guesses of an attacker who knows all but our secret, and how many are taken for replies."""
    for over_v6 in (False, True):
        with Desk() as desk:
            accepted = sum(attack(desk, _FORGED, over_v6=over_v6).values())
        yield Figure(
            "forged", f"forged, IPv{6 if over_v6 else 4}", accepted, "accepted", note="of 1,000,000; 10 are allowed"
        )


ROWS: dict[str, Callable[[], Iterable[Figure]]] = {
    "startup": startup,
    "virtual": virtual,
    "trace": trace,
    "path": path,
    "many": many,
    "rtt": rtt,
    "forged": forged,
    "diagnose": diagnose,
}


def _median_s(action: Callable[[], object], times: int) -> float:
    """Seconds that `action` takes, the median of `times`."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _rate(action: Callable[[], object]) -> float:
    """How often a second `action` can be carried out, after once to warm up."""
    action()
    began, times = time.perf_counter(), 0
    while time.perf_counter() - began < _ENOUGH_S:
        action()
        times += 1
    return times / (time.perf_counter() - began)


def _bare_peak_mib() -> float:
    code = "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) / 1024


def _farthest(world: World, addresses: Sequence[str]) -> str:
    """The address with the longest round trip, by ping."""

    def rtt_ms(address: str) -> float:
        said = world.run(["ping", "-q", "-n", "-c", "1", "-W", "2", address]).stdout
        return float(said.rpartition("= ")[2].split("/")[0]) if "= " in said else 0.0

    return max(addresses, key=rtt_ms)


def _hops(world: World, target: str) -> int:
    said = world.run(["traceroute", "-n", "-q", "1", target]).stdout
    return sum(1 for line in said.splitlines()[1:] if line.strip())
