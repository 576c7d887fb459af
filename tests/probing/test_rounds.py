"""Rounds over known paths: who is asked, how often, and what may be said at any time."""

from itertools import pairwise

from netprobe.model.probes import Flow, Path, Probe, Protocol, ReplyKind
from netprobe.probing.rounds import Rounds
from netprobe.probing.run import Plan, run
from netprobe.probing.traceroute import FULL_TTL, Traceroute
from tests.probing.routers import DESTINATION, RouterVantage, Wire, line

FLOW = Flow(Protocol.ICMP, DESTINATION)


def traced(vantage: RouterVantage, flow: Flow = FLOW) -> Path:
    def plan() -> Plan[Path]:
        (path,) = yield [Traceroute(flow)]
        return path  # type: ignore[no-any-return]  # results are untyped

    return run(plan(), vantage)


def carried_out(rounds: Rounds, vantage: RouterVantage, until: float = float("inf")) -> None:
    """Run the session, up to a moment."""
    places = {}
    while (due := rounds.deadline()) is not None and vantage.now() < until:
        while (request := rounds.next_request(vantage.now())) is not None:
            token = vantage.send(request)
            places[token] = request
            rounds.sent(request, token, vantage.now())
        due = rounds.deadline()
        if due is None:
            return
        event = vantage.receive(min(due, until))
        while event is not None:
            if event.token in places:
                rounds.receive(event.token, event.outcome, vantage.now())
            event = vantage.receive(vantage.now())


def elsewhere(path: Path, destination: str, hops: int) -> Path:
    """A path to another destination by the first `hops` hops of `path`."""
    flow = Flow(path.flow.protocol, destination, path.flow.port)
    return Path(flow, path.hops[:hops], reached=False, probes_sent=hops)


def test_everybody_is_asked_in_each_round() -> None:
    """Hops at their TTL, the destination at full TTL; evenly, and never one sooner than a fifth of a second."""
    vantage = RouterVantage(line(4))
    path = traced(vantage)
    before = len(vantage.sent)
    rounds = Rounds([path], count=10, interval_s=0.01)
    carried_out(rounds, vantage)
    (counted,) = rounds.result()
    assert [len(hop.exchanges) for hop in counted.path.hops] == [11] * 5
    assert counted.path.hops[-1] is counted.destination
    assert counted.path.probes_sent == path.probes_sent + 50
    asked = vantage.sent[before:]
    assert {probe.ttl for _, probe in asked} == {1, 2, 3, 4, FULL_TTL}
    for ttl in (1, 2, 3, 4, FULL_TTL):
        times = [at for at, probe in asked if probe.ttl == ttl]
        assert min(b - a for a, b in pairwise(times)) >= 0.2 - 1e-9
    assert rounds.asked == rounds.planned == 50


def test_ways_that_go_the_same_hops_ask_them_once() -> None:
    """Each target has the counts; whose they are is said. A hop that was silent for one of them may be the same."""
    vantage = RouterVantage(line(4))
    path = traced(vantage)
    other = elsewhere(path, "192.0.2.7", 3)
    silent = Path(other.flow, (other.hops[0], type(other.hops[1])(2, ()), other.hops[2]), reached=False)
    before = len(vantage.sent)
    rounds = Rounds([path, silent], count=5)
    carried_out(rounds, vantage)
    assert len(vantage.sent) - before == 5 * 5
    first, second = rounds.result()
    assert [hop.shared_from for hop in first.path.hops] == [""] * 5
    assert [hop.shared_from for hop in second.path.hops] == [DESTINATION] * 3
    assert [hop.exchanges for hop in second.path.hops] == [hop.exchanges for hop in first.path.hops[:3]]
    assert second.path.probes_sent == silent.probes_sent
    assert second.destination.exchanges == ()


def test_ways_that_part_ask_for_themselves() -> None:
    """Behind a hop that tells two ways apart nothing is shared, and one router is asked by one at a time."""
    vantage = RouterVantage(line(4))
    path = traced(vantage)
    foreign = traced(RouterVantage({"client": ("203.0.113.1",), "203.0.113.1": (DESTINATION,)}))
    other = Path(Flow(Protocol.ICMP, "192.0.2.7"), (foreign.hops[0], *path.hops[1:3]), reached=False)
    before = len(vantage.sent)
    rounds = Rounds([path, other], count=4, interval_s=0.2)
    carried_out(rounds, vantage)
    to_second = [at for at, probe in vantage.sent[before:] if probe.ttl == 2]
    assert len(to_second) == 8
    assert min(b - a for a, b in pairwise(to_second)) >= 0.2 - 1e-9


def test_who_never_answers_is_left_in_peace() -> None:
    """After ten rounds; it does not hold the others up."""
    vantage = RouterVantage(line(4), silent=frozenset({"198.51.100.2"}))
    path = traced(vantage)
    rounds = Rounds([path], count=50)
    carried_out(rounds, vantage)
    (counted,) = rounds.result()
    assert [len(hop.exchanges) for hop in counted.path.hops] == [51, 12, 51, 51, 51]
    assert rounds.left_s == 0.0


def test_what_may_still_be_answered_is_not_lost() -> None:
    """In the middle of the rounds only probes that have had their time count as unanswered."""
    wires = {("198.51.100.4", DESTINATION): Wire(loss=1.0)}
    vantage = RouterVantage(line(4))
    path = traced(vantage)
    vantage.wires = wires
    rounds = Rounds([path], count=50, interval_s=0.2)
    carried_out(rounds, vantage, until=vantage.now() + 3.0)
    (counted,) = rounds.result()
    lost = counted.destination.lost
    assert 8 <= lost <= 11  # of 15: five a second, those of the last second not yet
    seen = rounds.destination_of(0)
    assert seen is not None
    assert (seen.sent, seen.lost) == (len(counted.destination.exchanges), lost)
    assert 0.0 < rounds.left_s < 8.0


def test_each_syn_to_a_destination_is_a_flow_of_its_own() -> None:
    """A second SYN on one four-tuple could draw no SYN-ACK; hops are asked with the flow that found them."""
    vantage = RouterVantage(line(3))
    path = traced(vantage, Flow(Protocol.TCP, DESTINATION, 443))
    before = len(vantage.sent)
    carried_out(Rounds([path], count=20), vantage)
    asked: list[Probe] = [probe for _, probe in vantage.sent[before:]]
    assert len({probe.flow.label for probe in asked if probe.ttl == FULL_TTL}) == 20
    assert {probe.flow for probe in asked if probe.ttl != FULL_TTL} == {path.flow}


def test_a_probe_that_never_left_is_neither_lost_nor_answered() -> None:
    """It is no part of what loss is a fraction of."""
    vantage = RouterVantage(line(3))
    path = traced(vantage)
    vantage.local_mtu = -1
    rounds = Rounds([path], count=5)
    carried_out(rounds, vantage)
    seen = rounds.destination_of(0)
    assert seen is not None
    assert (seen.sent, seen.lost) == (1, 0)
    kinds = {x.reply.kind for x in rounds.result()[0].destination.exchanges if x.reply}
    assert kinds == {ReplyKind.ECHO_REPLY, ReplyKind.SEND_FAILED}


def test_nothing_to_ask_ends_at_once() -> None:
    """No path, or no rounds."""
    for rounds in (Rounds([], count=5), Rounds([traced(RouterVantage(line(2)))], count=0)):
        carried_out(rounds, RouterVantage(line(1)))
        assert rounds.deadline() is None
