"""Whether one thing that was tried worked: a fact about one try, not about the network."""

from netprobe.model.announcements import Announced
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Multipath, Path, PathMtu, RateTest, Train
from netprobe.model.report import AnyFact
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response


def went_well(fact: AnyFact) -> bool:
    """Whether it gave what was asked for."""
    match fact:
        case HostState():
            return bool(fact.default_link)
        case Answer():
            none = fact.lookup.record_type == "AAAA" and fact.rcode == "NOERROR"  # many have none
            return fact.usable or bool(fact.servers) or none
        case Train():
            return fact.accepted > 0
        case Path() | Multipath():
            return fact.reached
        case PathMtu():
            return fact.mtu > 0 and fact.black_hole is None
        case RateTest():
            return any(phase.answered for phase in fact.phases)
        case FlowTest():
            return all(flow.answered for flow in fact.flows)
        case Handshaken() | QuicHandshaken():
            return fact.done
        case Response():
            return 0 < fact.status < 400
        case Announced():
            return not fact.error
