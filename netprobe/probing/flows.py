"""Some connections work and others never: is it loss, or one branch of a load balancer that is dead?

Loss hits every flow now and then. A router that balances keeps each flow on one of its ways (RFC 2992), so where one of
them is dead some source ports always work and others never. Flows that differ in their source port only are asked
several times each; then the ways of some that never work and of some that always do show where they part.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from netprobe.model.probes import Flow, FlowTally, FlowTest, Probe, Protocol, Reply, Train
from netprobe.model.report import Observation
from netprobe.model.services import Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.loss import BACKGROUND
from netprobe.probing.observe import Observe
from netprobe.probing.port import Outcome, Request
from netprobe.probing.questions import HTTPS
from netprobe.probing.run import Plan, Session
from netprobe.probing.traceroute import Traceroute

FLOWS, ROUNDS = 12, 5
EDGES, CONTROLS = 2, 1
TRACED = 2  # places to which ways are traced, and flows of either kind at each
_LABELS = range(900, 900 + FLOWS)  # labels below belong to traceroutes, trains, rate tests and rounds
_MIXED = 2  # places where some connections work and others do not, or so many of them at one
_DECISIVE = math.log(1000.0)  # it is asked in networks that lose, of many places


class FlowTestSession:
    """Send a SYN of each of FLOWS flows to `port` of `destination`, ROUNDS times, `interval_s` apart.

    The pause lets our kernel's RST undo what a SYN-ACK has begun: else the server takes the next SYN of a flow for a
    retransmission (RFC 9293, 3.10.7.4).
    """

    def __init__(self, destination: str, *, port: int = HTTPS, interval_s: float = 0.5, timeout_s: float = 1.0) -> None:
        self._destination = destination
        self._port = port
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._place: dict[int, int] = {}  # token -> label
        self._answered: set[int] = set()  # tokens
        self._next_at = 0.0
        self._over = False

    def next_request(self, now: float) -> Request | None:
        """The next flow's SYN; a new round an interval after the one before."""
        sent = len(self._place)
        if now < self._next_at:
            return None
        if sent == FLOWS * ROUNDS:
            self._over = True
            return None
        return Probe(self._flow(_LABELS[sent % FLOWS]), sequence=sent + 1)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note whose it is."""
        if isinstance(request, Probe):
            self._place[token] = request.flow.label
            round_over = not len(self._place) % FLOWS
            all_over = len(self._place) == FLOWS * ROUNDS
            self._next_at = now + (self._timeout_s if all_over else self._interval_s if round_over else 0.0)

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Count an answer of the destination."""
        del now
        if isinstance(outcome, Reply) and outcome.from_destination:
            self._answered.add(token)

    def deadline(self) -> float | None:
        """When the next round is due, or the last answer."""
        return None if self._over else self._next_at

    def result(self) -> FlowTest:
        """The flows in order of their labels."""
        tallies = []
        for label in _LABELS:
            tokens = [token for token, its in self._place.items() if its == label]
            tallies.append(FlowTally(label, len(tokens), sum(token in self._answered for token in tokens)))
        return FlowTest(self._flow(0), tuple(tallies))

    def _flow(self, label: int) -> Flow:
        return Flow(Protocol.TCP, self._destination, self._port, label)


def is_split(test: FlowTest) -> bool:
    """Whether some flows work and others never, far more than any loss would have it.

    The likelihood of two kinds of flows, dead ones and others that lose a little, beside that of one kind that loses.
    """
    never = [f for f in test.flows if not f.answered]
    others = [f for f in test.flows if f.answered]
    if len(never) < 2 or len(others) < 2:
        return False
    share = len(never) / len(test.flows)
    of_two = len(never) * math.log(share) + len(others) * math.log(1.0 - share) + _log_likelihood(others)
    return of_two - _log_likelihood(test.flows) > _DECISIVE


def _log_likelihood(flows: Sequence[FlowTally]) -> float:
    """That each probe of `flows` is lost alike, with the fraction that fits best."""
    sent, answered = sum(f.sent for f in flows), sum(f.answered for f in flows)
    loss = min(1.0 - BACKGROUND, max(BACKGROUND, 1.0 - answered / sent))
    return answered * math.log1p(-loss) + (sent - answered) * math.log(loss)


def uneven(found: Sequence[Observation]) -> Counter[str]:
    """The places where some connections were answered and others never, and how many were not; often none.

    SYNs and fetches are flows of their own, echoes are all one flow: where those mix too it is loss.
    """
    failed: Counter[str] = Counter()
    worked: set[str] = set()
    mixed_echoes = 0
    for o in found:
        if isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP:
            failed[o.fact.destination] += len(o.fact.exchanges) - o.fact.answered
            worked |= {o.fact.destination} if o.fact.answered else set()
        elif isinstance(o.fact, Train):
            mixed_echoes += 0 < o.fact.answered < len(o.fact.exchanges)
        elif isinstance(o.fact, Response) and o.fact.fetch.handshake.port == HTTPS:  # a port may be filtered
            shaken = o.fact.handshaken
            failed[shaken.handshake.address] += shaken.phase == "connect" and shaken.error == "timeout"
            worked |= {shaken.handshake.address} if shaken.connect_s is not None else set()
    mixed = Counter({address: count for address, count in failed.items() if count and address in worked})
    enough = len(mixed) >= _MIXED or max(mixed.values(), default=0) >= _MIXED
    return mixed if enough and len(mixed) > 3 * mixed_echoes else Counter()


def compare_flows(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Plan[list[Observation]]:
    """Several flows to a few places, and the ways of those that never work beside some that do; often nothing."""
    worst = [address for address, _ in uneven(found).most_common()]
    names = {e.address: ("edge", e.name) for e in reversed(edges)}
    names |= {address: ("control", c.name) for c, address in controls if address not in names}
    places = [(*names[a], a) for a in worst if names.get(a, ("",))[0] == "edge"][:EDGES]
    places += [(*names[a], a) for a in worst if names.get(a, ("",))[0] == "control"][:CONTROLS]
    if not places:
        return []
    looked: list[Observation] = yield [Observe(f"{w}.flows", n, FlowTestSession(address)) for w, n, address in places]
    split = [(o, o.fact) for o in looked if isinstance(o.fact, FlowTest) and is_split(o.fact)]
    for observation, test in split[:TRACED]:  # one after the other: they share the hops in question
        looked += yield list(_ways(observation, test))
    return looked


def _ways(observation: Observation, test: FlowTest) -> Iterable[Session[Observation]]:
    """The ways of some flows of either kind."""
    what = observation.purpose.partition(".")[0]
    never = [f.label for f in test.flows if not f.answered][:TRACED]
    always = [f.label for f in test.flows if f.answered == f.sent][:TRACED]
    for label in (*never, *always):
        flow = Flow(Protocol.TCP, test.flow.destination, test.flow.port, label)
        yield Observe(f"{what}.branch", observation.subject, Traceroute(flow))
