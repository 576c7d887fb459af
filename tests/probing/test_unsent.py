"""Probes that did not leave: which failures end a path, and which are tried again."""

import pytest

from netprobe.model.probes import Path, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.model.unsent import NEVER_LEFT, NO_NEIGHBOUR, PASSING
from netprobe.probing.run import Session, one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from tests.probing.line import DESTINATION, LineVantage, flow


def unsent(error: str) -> Reply:
    return Reply(ReplyKind.SEND_FAILED, "", 0.0, error=error)


class Choking(LineVantage):
    """A line whose device swallows the first `swallowed` probes, and says so by `error`."""

    def __init__(self, swallowed: int, error: str) -> None:
        super().__init__(4)
        self._left_to_swallow = swallowed
        self._error = error

    def _probe(self, probe: Probe) -> tuple[float, Reply] | None:
        if self._left_to_swallow:
            self._left_to_swallow -= 1
            return 0.0, unsent(self._error)
        return super()._probe(probe)


def trace(vantage: LineVantage) -> Path:
    return run(one(Traceroute(flow(Protocol.ICMP))), vantage, rate=1e6)


@pytest.mark.parametrize("error", sorted(PASSING))
def test_a_queue_that_was_full_ends_no_path(error: str) -> None:
    """What may be otherwise a moment later is tried again: every hop is found."""
    path = trace(Choking(6, error))
    assert path.reached
    assert [hop.addresses for hop in path.hops] == [(f"198.51.100.{n}",) for n in (1, 2, 3, 4)] + [(DESTINATION,)]
    assert path.hops[0].exchanges[0].reply == unsent(error)


@pytest.mark.parametrize("error", [NEVER_LEFT, NO_NEIGHBOUR])
def test_a_device_that_swallows_everything_is_named(error: str) -> None:
    """After the last try the reason stays in each exchange, and the path ends like one that is silent."""
    path = trace(Choking(10_000, error))
    assert not path.reached
    assert {x.reply for hop in path.hops for x in hop.exchanges} == {unsent(error)}
    assert len(path.hops) == 5


@pytest.mark.parametrize("error", ["EPERM", "ENETUNREACH", "EHOSTUNREACH"])
def test_what_the_kernel_refuses_stays_refused(error: str) -> None:
    """No second round for a rule or a route: nothing would change."""
    vantage = Choking(10_000, error)
    path = trace(vantage)
    assert len(path.hops) == 1
    assert path.probes_sent == 17


@pytest.mark.parametrize("session", [Traceroute(flow(Protocol.ICMP)), TrainSession(Protocol.ICMP, DESTINATION)])
def test_an_answer_that_comes_all_the_same_counts(session: Session[Path | Train]) -> None:
    """A probe that was given up too early, and is answered, did leave; what comes then changes nothing any more."""
    request = session.next_request(0.0)
    assert request is not None
    session.sent(request, 7, 0.0)
    answer = Reply(ReplyKind.ECHO_REPLY, DESTINATION, 0.8, ttl=60)
    for outcome in (unsent(NEVER_LEFT), answer, unsent(NEVER_LEFT)):
        session.receive(7, outcome, 0.8)
    result = session.result()
    assert result.reached if isinstance(result, Path) else result.answered == 1
