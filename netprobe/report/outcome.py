"""Whether one thing that was tried worked: a fact about one try, not about the network."""

from netprobe.model.host import HostState
from netprobe.model.probes import Path, Train
from netprobe.model.report import AnyFact
from netprobe.model.services import Answer, Handshaken, Response


def went_well(fact: AnyFact) -> bool:
    """Whether it gave what was asked for."""
    match fact:
        case HostState():
            return bool(fact.default_link)
        case Answer():
            return fact.usable
        case Train():
            return fact.accepted > 0
        case Path():
            return fact.reached
        case Handshaken():
            return fact.done
        case Response():
            return 0 < fact.status < 400
