"""Packets that wait for a gateway that is gone."""

import pytest

from netprobe.sim import packet as ip
from netprobe.sim.cards import Cards
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.neighbour import GIVES_UP_S
from netprobe.sim.network import Delivery, Network
from netprobe.sim.records import Fault
from netprobe.sim.routing import CLIENT
from tests.sim.small import CLIENT as OWN
from tests.sim.small import echo, fault, line


def clock_of(*faults: Fault) -> tuple[Clockwork, list[Delivery]]:
    heard: list[Delivery] = []
    scenario = line(*faults)
    return Clockwork(Network(scenario), Cards(scenario), heard.append), heard


def run(clock: Clockwork, until: float) -> None:
    while clock.step(until):
        pass
    clock.now = until


def test_the_first_fifty_come_back_and_the_others_are_gone() -> None:
    """The kernel says host unreachable in its own name, as often as its limit for ICMP allows at once."""
    clock, heard = clock_of(fault("down", "r1"))
    for number in range(80):
        clock.send(echo(number=number), CLIENT)
    run(clock, 10.0)
    assert [delivery.packet.quoted().icmp_seq for delivery in heard] == list(range(50))
    assert {(d.packet.source, d.packet.icmp_code, d.at_s) for d in heard} == {(OWN, ip.HOST_UNREACHABLE, GIVES_UP_S)}


def test_each_try_takes_its_time() -> None:
    """What is sent after a failure waits for three requests of its own."""
    clock, heard = clock_of(fault("down", "r1"))
    states = []
    for at_s in (0.0, 2.0, 4.0, 8.0):
        run(clock, at_s)
        clock.send(echo(), CLIENT)
        states.append(clock.neighbours[CLIENT].state)
    run(clock, 20.0)
    assert states == ["incomplete"] * 4
    assert [delivery.at_s for delivery in heard] == [
        pytest.approx(t) for t in (GIVES_UP_S, GIVES_UP_S, 4.0 + GIVES_UP_S, 8.0 + GIVES_UP_S)
    ]
    assert clock.neighbours[CLIENT].state == "failed"


def test_a_gateway_that_comes_back_is_reachable() -> None:
    """Then packets leave, and nobody complains about those that waited."""
    clock, heard = clock_of(fault("down", "r1", end_s=2.0))
    clock.send(echo(ttl=1), CLIENT)
    run(clock, 2.5)
    clock.send(echo(ttl=1), CLIENT)
    run(clock, 9.0)
    assert [delivery.packet.source for delivery in heard] == ["192.168.1.1"]
    assert clock.neighbours[CLIENT].state == "reachable"
