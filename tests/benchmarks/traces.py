"""Traces: one path, and 250 at once, beside the tools for that."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netprobe.sim.world import World
from tests.benchmarks.figures import Figure, in_turns, median_s
from tests.benchmarks.networks import edges, straight, tree

#: What the installed script `netprobe` does, of this very tree.
NETPROBE = (sys.executable, "-c", "import sys; from netprobe.__main__ import main; sys.exit(main())")

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
_SLACK_S = 0.030  # what a trace may take beyond its round trips
_EXTRA_PROBES = 5  # and beyond one a hop
_TURNS = 5
_RATES = (1000, 5000)
_SHARED_TIME, _SHARED_PROBES = 0.35, 0.3  # of scamper's, where edges share what they have in common
_LIMIT = 1.1  # of the time that sending takes, and one round trip
_ROUND_TRIP_S = 0.052  # of the tree


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
            if not traces or any(trace[2] != hops for trace in traces):
                raise RuntimeError(f"{len(traces)} traces of {hops} hops")
            p95_s = statistics.quantiles((trace[0] for trace in traces), n=20)[-1]
            what = f"one trace, {hops} hops, 50 ms: p95"
            note = f"{_TRACES} traces without start-up; the bar is {round_trips} x ping's round trip + 30 ms"
            yield Figure("path", what, p95_s, "s", round_trips * rtt_s + _SLACK_S, rtt_s, "ping", note)
            probes = max(trace[1] for trace in traces)
            yield Figure("path", "  most probes of one trace", probes, "packets", hops + _EXTRA_PROBES)
            commands = {
                "netprobe": [*NETPROBE, "trace", "--json", target],
                "traceroute -I -q 1": ["traceroute", "-n", "-I", "-q", "1", target],
                "scamper icmp-paris": ["scamper", "-I", f"trace -P icmp-paris -q 1 {target}"],
                "mtr -c 1": ["mtr", "-r", "-n", "-c", "1", target],
            }
            turns = {name: lambda command=command: world.run(command) for name, command in commands.items()}
            taken = in_turns(turns, _TURNS, once=["mtr -c 1", "scamper icmp-paris"])
            for tool in [name for name in commands if name != "netprobe"]:
                yield Figure("path", "  whole process", taken["netprobe"], "s", beside=taken[tool], tool=tool)


class _Pass(NamedTuple):
    """One pass over many targets: seconds, hops that are known, probes."""

    wall_s: float
    hops: int
    probes: int


def many() -> Iterator[Figure]:
    """250 edges behind 13 hops in one pass, under the same cap of packets a second as scamper."""
    scenario = tree()
    targets = edges(scenario)
    with World(scenario) as world, tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(targets) + "\n")
        listed.flush()
        ours = [*NETPROBE, "trace", "--json", "--rate"]
        scamper = ["scamper", "-O", "json", "-c", "trace -P icmp-paris -q 1", "-w", "250", "-f", listed.name, "-p"]
        startup_s = median_s(lambda: world.run([*ours, "1000", "127.0.0.1"]), _TURNS)
        yield Figure("many", "start-up: netprobe trace 127.0.0.1", startup_s, "s")
        for rate in _RATES:
            done: dict[str, list[_Pass]] = {"scamper": [], "alone": [], "shared": []}
            for _ in range(_TURNS):
                done["scamper"].append(_pass(world, [*scamper, str(rate)], "probe_count"))
                done["alone"].append(_pass(world, [*ours, str(rate), *targets], "probes_sent"))
                done["shared"].append(_pass(world, [*ours, str(rate), "--share", *targets], "probes_sent"))
            best, alone, shared = (_middle(passes) for passes in done.values())
            what, tool = f"{len(targets)} edges, {rate}/s", "scamper icmp-paris -w 250"
            yield Figure("many", what, alone.wall_s, "s", best.wall_s, best.wall_s, tool, f"median of {_TURNS}")
            limit_s = _LIMIT * (best.probes / rate + _ROUND_TRIP_S)
            note = "the bar is 1.1 x (a probe a hop / rate + one round trip)"
            yield Figure("many", "  start-up apart", alone.wall_s - startup_s, "s", limit_s, note=note)
            yield _missing(alone, best, tool)
            yield Figure("many", "  probes", alone.probes, "packets", best.probes, best.probes, tool)
            bar_s = _SHARED_TIME * best.wall_s
            yield Figure("many", what + " --share", shared.wall_s, "s", bar_s, best.wall_s, tool, "the bar is 0.35 x")
            yield _missing(shared, best, tool)
            bar = _SHARED_PROBES * best.probes
            yield Figure("many", "  probes", shared.probes, "packets", bar, best.probes, tool, "the bar is 0.3 x")


def _missing(ours: _Pass, other: _Pass, tool: str) -> Figure:
    note = f"of {other.hops} that {tool.split(maxsplit=1)[0]} knows"
    return Figure("many", "  hops that are not known", max(0, other.hops - ours.hops), "hops", 0, note=note)


def _middle(passes: Sequence[_Pass]) -> _Pass:
    """The medians; of the hops the fewest, of the probes the most."""
    return _Pass(
        statistics.median(one.wall_s for one in passes),
        min(one.hops for one in passes),
        max(one.probes for one in passes),
    )


def _pass(world: World, command: Sequence[str], count: str) -> _Pass:
    """One pass; `count` is the key of a target's probes in what the command says."""
    began = time.perf_counter()
    said = world.run(command).stdout
    wall_s = time.perf_counter() - began
    traces = [row for row in map(json.loads, said.splitlines()) if count in row]
    known = sum(1 for row in traces for hop in row.get("hops", ()) if hop.get("replies", True))
    return _Pass(wall_s, known, sum(row[count] for row in traces))
