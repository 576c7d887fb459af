"""What must be so in a kernel network with netem: times and losses by other people's tools, and the verdict.

What the file says is computed from its own numbers (`truth`), never taken from what the kernel did.
"""

import math
import re
import sys
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from subprocess import CompletedProcess

from netprobe.lab.score import asked_with
from netprobe.model.record import Record, from_json
from netprobe.model.report import Report
from netprobe.model.verdict import Verdict
from netprobe.sim.records import Fault, Scenario, Server
from netprobe.sim.routing import CLIENT, Routing, Way
from netprobe.sim.world import Fidelity, World
from tests.sim.fidelities import judged

SEED = 1
PINGS = 400
WRONG = "WRONG: "
_PACE_S = 0.01
_PING_BYTES = 84  # the whole packet, as ping sends it
_PROBES = 3  # a hop
_STANDARD_ERRORS = 4.0  # chance goes beyond them once in 16,000 runs
_ROUTER_MS = 0.3  # what one router of an emulated machine adds to a round trip at the most
_EARLY_MS = 0.15  # clocks are rounded
#: Faults that let a ping pass as if they were not there; of the others only drop is reckoned with.
_HARMLESS = ("reset", "http", "certificate", "dns", "refuse", "firewall")


class Truth(Record, frozen=True):
    """What the file says of the way to `address`, a server.

    The tuples are about `hops`, the destination being the last: the shortest round trip, the mean of what jitter adds
    to it, and the fraction of the packets that come back.
    """

    address: str
    hops: tuple[str, ...]
    shortest_ms: tuple[float, ...]
    jitter_ms: tuple[float, ...]
    back: tuple[float, ...]


def truth(scenario: Scenario) -> Truth | None:
    """Of the server on whose way most is lost by links and faults, and where nothing else happens to a ping."""
    routing = Routing(scenario, SEED)
    bursts = {frozenset(link.ends) for link in scenario.links if link.loss_burst > 1 or link.back is not None}
    found = []
    for server in scenario.servers:
        ways, back = routing.ways(CLIENT, server.name), routing.ways(server.name, CLIENT)
        if len(ways) != 1 or [way.hops[::-1] for way in back] != [ways[0].hops]:
            continue
        nodes = (CLIENT, *ways[0].hops, server.name)
        touched = any(f.kind not in {"drop", *_HARMLESS} and set(nodes).intersection(f.at) for f in scenario.faults)
        if not touched and bursts.isdisjoint(map(frozenset, pairwise(nodes))):
            found.append(_of(scenario, server, ways[0]))
    return min(found, key=lambda way: way.back[-1], default=None)


def _of(scenario: Scenario, server: Server, way: Way) -> Truth:
    """The way back is the same."""
    address = server.addresses[0]
    routers = {router.name: router.icmp_source or router.address for router in scenario.routers}
    mute = {router.name for router in scenario.routers if router.silent}
    dropped, back = 1.0, []
    for name, survive in zip((*way.hops, server.name), way.survive, strict=True):
        back.append(0.0 if name in mute else (survive * dropped) ** 2)  # what drops in passing still answers itself
        for fault in scenario.faults:
            if fault.kind == "drop" and name in fault.at and _drops_pings(fault, address):
                dropped *= 1 - fault.fraction
    return Truth(
        address,
        (*(routers[name] for name in way.hops), address),
        tuple(2e3 * arrive for arrive in way.arrive_s),
        tuple(2e3 * jitter for jitter in way.jitter_s),
        tuple(back),
    )


def _drops_pings(fault: Fault, address: str) -> bool:
    match = fault.match
    named = match.port or match.server_name or match.query_name or match.larger_than >= _PING_BYTES
    elsewhere = match.destination and not any(IPv4Address(address) in IPv4Network(p) for p in match.destination)
    return match.protocol in {"", "icmp"} and not named and not elsewhere


def examine(scenario: Scenario) -> list[str]:
    """Build the network, look at it with ping and traceroute, and diagnose it: what was found, `WRONG` before faults.

    A lossy network is asked twice at most: few packets may draw too few losses for a verdict.
    """
    way = truth(scenario)
    diagnose = [sys.executable, "-m", "netprobe", "diagnose", "--json", *asked_with(scenario)]
    with World(scenario, SEED, Fidelity.KERNEL) as world:
        found = _look(world, way) if way else []
        answers = [_answer(scenario, world.run(diagnose))]
        if answers[0].startswith(WRONG) and way and 0.0 < way.back[-1] < 1.0:  # chance had it lose other packets
            answers = [_answer(scenario, world.run(diagnose))]
    return found + answers


def _answer(scenario: Scenario, diagnosed: CompletedProcess[str]) -> str:
    try:
        # An emulated machine is slow and late, and a diagnosis rightly believes less when it was late itself.
        return judge_verdict(scenario, judged(scenario, from_json(diagnosed.stdout, Report).observations))
    except ValueError:
        return f"{WRONG}no report (exit code {diagnosed.returncode}): {diagnosed.stderr.strip()[-300:]}"


def _look(world: World, way: Truth) -> list[str]:
    ping = ["ping", "-n", "-q", "-c", str(PINGS), "-i", str(_PACE_S), "-W", "1", way.address]
    trace = [
        "traceroute",
        "-n",
        "-I",
        "-q",
        str(_PROBES),
        "-N",
        "1",
        "-w",
        "0.5",
        "-m",
        str(len(way.hops)),
        way.address,
    ]
    return [judge_pings(way, world.run(ping).stdout), judge_hops(way, world.run(trace).stdout)]


def judge_pings(way: Truth, said: str) -> str:
    """How many echo requests come back is the file's loss within chance, and so are the least and the mean time."""
    counted = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    if counted is None:
        return f"{WRONG}ping says nothing: {said.strip()}"
    sent, came = int(counted[1]), int(counted[2])
    wanted, chance = sent * way.back[-1], _STANDARD_ERRORS * math.sqrt(sent * way.back[-1] * (1 - way.back[-1]))
    words = f"ping {way.address}: {came} of {sent} came back ({wanted:.0f} by the file, {chance:.0f} more or fewer)"
    right = abs(came - wanted) <= chance + 1e-6
    if times := re.search(r"= ([0-9.]+)/([0-9.]+)/", said):
        least, mean = float(times[1]), float(times[2])
        low, slack = way.shortest_ms[-1], _ROUTER_MS * len(way.hops)
        usual = low + way.jitter_ms[-1]
        right = right and low - _EARLY_MS <= least and usual - slack <= mean <= usual + slack
        words += f", at the least {least:.1f} ms (no less than {low:.1f}), in the mean {mean:.1f} ms ({usual:.1f})"
    return words if right else WRONG + words


def judge_hops(way: Truth, said: str) -> str:
    """Each hop that answers is the router of the file after the time of the file; behind a wall nobody answers."""
    farthest = 0.0
    answered = 0
    for ttl, line in re.findall(r"^ *(\d+) +(.+)$", said, re.MULTILINE):
        at = int(ttl) - 1
        times = [float(found) for found in re.findall(r"([0-9.]+) ms", line)]
        if not times:
            if way.back[at] >= 1.0:
                return f"{WRONG}traceroute {way.address}: hop {ttl} ({way.hops[at]}) is silent"
            continue
        least, low = min(times), way.shortest_ms[at]
        who = re.findall(r"\d+\.\d+\.\d+\.\d+", line)
        high = low + 2 * way.jitter_ms[at] + _ROUTER_MS * (at + 1)
        if way.back[at] <= 0.0 or set(who) != {way.hops[at]} or not low - _EARLY_MS <= least <= high:
            expected = f"{way.hops[at]} after {low:.1f} to {high:.1f} ms" if way.back[at] else "silence"
            return f"{WRONG}traceroute {way.address}: hop {ttl} is {line.strip()}, by the file {expected}"
        answered += 1
        farthest = max(farthest, least - low)
    if not answered:
        return f"{WRONG}traceroute {way.address} says nothing: {said.strip()}"
    return f"traceroute {way.address}: {answered} of {len(way.hops)} hops answer, at most {farthest:.1f} ms late"


def judge_verdict(scenario: Scenario, verdict: Verdict) -> str:
    """The component and the cause are the expected ones; where the truth is open, only nobody innocent is blamed."""
    expect = scenario.expect
    words = f"diagnose: {verdict.component} / {verdict.cause}"
    right = verdict.component not in expect.never
    if not expect.open:
        right = right and (verdict.component, verdict.cause) == (expect.component, expect.cause)
        words += f" ({expect.cause} by the file)"
    return words if right else WRONG + words
