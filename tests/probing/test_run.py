import pytest

from netprobe.model.probes import Probe, Protocol, Train
from netprobe.model.services import Answer, Lookup
from netprobe.probing.ask import lookup
from netprobe.probing.observe import Observe
from netprobe.probing.port import Request
from netprobe.probing.run import Plan, gather, one, run
from netprobe.probing.train import TrainSession
from tests.probing.line import DESTINATION, LineVantage

ANSWER = Answer(Lookup("www.tiktok.com", "9.9.9.9"), "NOERROR", ("192.0.2.1",))


def vantage() -> LineVantage:
    return LineVantage(3, outcomes={Lookup: ANSWER})


def test_plan_gets_its_results_in_order() -> None:
    """A batch's results come back in the order of the batch, whatever finished first, plans among them."""

    def nested() -> Plan[str]:
        yield [lookup("www.tiktok.com", "9.9.9.9")]
        return "nested"

    def plan() -> Plan[list[object]]:
        first = yield [TrainSession(Protocol.ICMP, DESTINATION, count=1), nested(), lookup("www.tiktok.com", "9.9.9.9")]
        second = yield []
        return [*first, second]

    train, word, answer, empty = run(plan(), vantage())
    assert isinstance(train, Train)
    assert (word, answer, empty) == ("nested", ANSWER, [])


def test_plan_of_nothing() -> None:
    """A plan that yields nothing ends at once."""
    assert run(gather([]), vantage()) == []


def test_pacing_holds_over_all_sessions() -> None:
    """However many sessions want to send, probes leave at most at the rate, and every session gets its turn."""
    line = vantage()
    trains = [TrainSession(Protocol.ICMP, DESTINATION, count=5, interval_s=0.0) for _ in range(10)]
    results = run(gather(trains), line, rate=100.0)
    times = [at for at, request in line.sent if isinstance(request, Probe)]
    assert len(times) == 50
    assert all(later - earlier >= 0.0099 for earlier, later in zip(times, times[2:], strict=False))
    assert [train.answered for train in results] == [5] * 10


def test_train_counts_silence() -> None:
    """A probe without a reply stays in the train as an exchange without a reply."""
    train = run(one(TrainSession(Protocol.TCP, DESTINATION, port=443)), LineVantage(3, dead_after=2))
    assert (train.answered, len(train.exchanges)) == (0, 3)


def test_syns_of_a_train_are_flows_of_their_own() -> None:
    """No two SYNs share a four-tuple."""
    line = vantage()
    run(one(TrainSession(Protocol.TCP, DESTINATION, port=443, count=4)), line)
    assert len({probe.flow for probe in line.probes}) == 4


def test_observation_says_when_and_what_for() -> None:
    """An observed session's result carries the clock at its first request, its purpose and its subject."""
    seen = run(one(Observe("lookup.platform", "www.tiktok.com", lookup("www.tiktok.com", "9.9.9.9"))), vantage())
    assert (seen.at_s, seen.purpose, seen.subject, seen.fact) == (100.0, "lookup.platform", "www.tiktok.com", ANSWER)


def test_broken_vantage_is_an_error() -> None:
    """A vantage that owes an outcome for ever is reported, not waited for."""

    class Mute(LineVantage):
        def send(self, request: object) -> int:
            self.sent.append((self.clock, request))  # type: ignore[arg-type]
            return len(self.sent)

    with pytest.raises(TimeoutError, match="owes an outcome"):
        run(one(lookup("www.tiktok.com", "9.9.9.9")), Mute(3))


def test_progress_tells_each_result() -> None:
    """Who watches is told every result once, with how many sessions are over."""
    told: list[tuple[int, int, object]] = []
    run(gather([lookup("a", "9.9.9.9"), lookup("b", "9.9.9.9")]), vantage(), progress=lambda *seen: told.append(seen))
    assert told == [(1, 2, ANSWER), (2, 2, ANSWER)]


def test_who_waits_is_not_asked() -> None:
    """A session is asked when something has happened to it or its time has come, however much goes on elsewhere."""

    class Waiting(TrainSession):
        asked = 0

        def next_request(self, now: float) -> Request | None:
            self.asked += 1
            return super().next_request(now)

    waiting = Waiting(Protocol.ICMP, DESTINATION, count=2, interval_s=1.0)
    busy = TrainSession(Protocol.ICMP, DESTINATION, count=50, interval_s=0.01)
    run(gather([waiting, busy]), vantage())
    assert waiting.asked < 10
