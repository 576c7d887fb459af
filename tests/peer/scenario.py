"""A simulation of the peer's format as a scenario file of ours: the same hops, silences and times, in every fidelity.

Links take no time; what a hop takes to answer is its slow path, and what the target takes is held up, half on each way,
by the last router. What a probe looks like is not the network's: sizes, marks and numbers stay with who sends them.
"""

from collections.abc import Iterator

from tests.peer.simulation import BadSimulation, Simulation

_NOBODY = "100.64.7.{}"  # RFC 6598: a silent router has an address all the same


def to_toml(simulation: Simulation) -> str:
    """The scenario file. Raises `BadSimulation` for what our scenarios cannot say."""
    if simulation.over_v6:
        raise BadSimulation(f"{simulation.name}: scenarios have no IPv6")
    last = simulation.hops[-1]
    if last.address and last.address != simulation.target:
        raise BadSimulation(f"{simulation.name}: the last hop answers for all beyond it, and is not the target")
    routers = range(1, last.ttl if last.address else last.ttl + 1)
    if not routers:
        raise BadSimulation(f"{simulation.name}: a target without a router before it")
    return "\n".join(_lines(simulation, routers)) + "\n"


def _lines(simulation: Simulation, routers: range) -> Iterator[str]:
    last = simulation.hops[-1]
    yield from (f'sentence = "A peer\'s simulation: {simulation.name}."', "", "[expect]")
    yield from ('component = "none"', 'cause = "none.app_device"', "", "[client]")
    yield from ('address = "192.0.2.2/24"', 'gateway = "hop-1"')
    for ttl in routers:
        hop = simulation.hop(ttl)
        yield from ("", "[[router]]", f'name = "hop-{ttl}"', f'address = "{hop.address or _NOBODY.format(ttl)}"')
        yield from (f"icmp_delay_ms = {hop.rtt_ms}", "icmp_jitter_ms = 0", f"silent = {str(not hop.address).lower()}")
        before = f"hop-{ttl - 1}" if ttl > 1 else "client"
        yield from ("", "[[link]]", f'ends = ["{before}", "hop-{ttl}"]', "delay_ms = 0")
    at = f'at = "hop-{routers[-1]}"'
    yield from ("", "[[server]]", 'name = "target"', f'addresses = ["{simulation.target}"]', at)
    yield 'serves = ["target.example"]'
    if not last.address:
        yield from ("", "[[fault]]", 'kind = "down"', 'at = "target"')
    elif last.rtt_ms:
        yield from ("", "[[fault]]", 'kind = "delay"', at, f"delay_ms = {last.rtt_ms / 2}")
