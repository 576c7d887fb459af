"""The rest: starting, virtual time, a whole diagnosis, and one trace through the simulated Internet."""

import ipaddress
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from netprobe.lab.score import run_virtual
from netprobe.model.probes import Flow, Protocol
from netprobe.model.probes import Path as Way
from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.model.services import Answer, Response
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import World
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.benchmarks.figures import Figure, median_s
from tests.benchmarks.traces import NETPROBE

STARTUP_BUDGET_S = 0.15
_LOOKUPS, _A_ROUND = 50_000, 250
_LOOKUP_US, _TABLE_MB = 1.0, 5.0
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


def startup() -> Iterator[Figure]:
    """How long until the version is printed, beside Python doing nothing."""
    ours = median_s(lambda: subprocess.run([*NETPROBE, "--version"], check=True, stdout=subprocess.DEVNULL), 20)
    bare = median_s(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 20)
    yield Figure("startup", "netprobe --version", ours, "s", STARTUP_BUDGET_S, bare, "python -c pass")
    ours = median_s(lambda: subprocess.run([*NETPROBE, "--help"], check=True, stdout=subprocess.DEVNULL), 5)
    yield Figure("startup", "netprobe --help", ours, "s", None, bare, "python -c pass")


def asn() -> Iterator[Figure]:
    """Whose an address is: of addresses all over the Internet, and again of the same few, as in a round."""
    draw = random.Random(7)
    wide = [str(ipaddress.IPv4Address(draw.randrange(1 << 24, 224 << 24))) for _ in range(_LOOKUPS)]
    with AsnTable.open() as table:
        find, values = table._file.find, [int(ipaddress.IPv4Address(address)) for address in wide]
        found_s = _best_s(lambda: [find(4, value) for value in values]) / _LOOKUPS
        table._cached.cache_clear()
        for address in wide:  # the names of networks are read once
            table.lookup(address)
        wide_s = _best_s(lambda: [table.lookup(address) for address in wide]) / _LOOKUPS
        few = wide[:_A_ROUND] * (_LOOKUPS // _A_ROUND)
        few_s = _best_s(lambda: [table.lookup(address) for address in few]) / len(few)
        size = table.about.size / 1e6
    yield Figure("asn", "AS number of an address, anywhere", found_s * 1e6, "us", _LOOKUP_US, note="best of 5")
    yield Figure("asn", "  from its text, with the name", wide_s * 1e6, "us")
    yield Figure("asn", "  the same few hundred again, as in a round", few_s * 1e6, "us", _LOOKUP_US)
    yield Figure("asn", "  the table, both versions of IP", size, "MB", _TABLE_MB)


def _best_s(what: Callable[[], object]) -> float:
    """The shortest of five."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        what()
        taken.append(time.perf_counter() - began)
    return min(taken)


def diagnose() -> Iterator[Figure]:
    """A whole diagnosis with real packets, beside the same questions asked one after the other with other tools."""
    with World(load("healthy")) as world:
        reports: list[Report] = []
        peaks: list[float] = []

        def ours() -> None:
            done = world.run([sys.executable, "-c", _WITH_PEAK, "diagnose", "--json"])
            reports.append(from_json(done.stdout, Report))
            peaks.append(float(done.stderr.rpartition("peak_kib ")[2]) / 1024)

        wall_s = median_s(ours, 3)
        script = questions(reports[-1])
        beside_s = median_s(lambda: world.run(["sh", "-c", "\n".join(script)]), 1)
    answer = reports[-1].verdict.component
    note = f"{len(script)} calls of dig, curl, ping, mtr -r -c 10 in a shell loop; verdict: {answer}"
    yield Figure("diagnose", "diagnose, healthy", wall_s, "s", None, beside_s, "shell loop", note)
    yield Figure("diagnose", "  of which measuring", reports[-1].timing.wall_s, "s")
    yield Figure("diagnose", "  probes and requests sent", reports[-1].timing.packets_sent, "packets")
    yield Figure("diagnose", "  memory at its peak", max(peaks), "MiB", None, _bare_peak_mib(), "python -c pass")


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
        ours = median_s(lambda: world.run([*NETPROBE, "trace", "--json", target]), 5)
        for command in (
            ["traceroute", "-n", "-q", "1", target],
            ["traceroute", "-n", "-I", "-q", "1", target],
            ["mtr", "-r", "-n", "-c", "1", target],
            ["mtr", "-r", "-n", "-c", "10", target],
            ["scamper", "-I", f"trace -P icmp-paris -q 1 {target}"],
        ):
            beside = median_s(lambda command=command: world.run(command), 1)  # type: ignore[misc]  # bound at once
            yield Figure("trace", f"trace, {hops} hops", ours, "s", None, beside, shlex.join(command[:-1]))


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
