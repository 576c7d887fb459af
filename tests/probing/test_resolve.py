"""Names to addresses in the family that the system would use."""

from dataclasses import dataclass, field

import pytest

from netprobe.model.host import HostState
from netprobe.model.services import Answer, Lookup
from netprobe.probing.port import Event, Request, Usage
from netprobe.probing.resolve import Resolved, resolve
from netprobe.probing.run import run

V4, V6 = "192.0.2.1", "2001:db8::1"
RECORDS = {("both", "A"): V4, ("both", "AAAA"): V6, ("old", "A"): V4, ("new", "AAAA"): V6}


@dataclass
class Names:
    """A host with one resolver that knows RECORDS."""

    global_link_v6: str = ""
    default_link: str = "eth0"
    asked: list[tuple[str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    sent: int = 0

    def now(self) -> float:
        return 1.0

    def usage(self) -> Usage:
        return Usage(0, 0)

    def send(self, request: Request) -> int:
        self.sent += 1
        if isinstance(request, Lookup):
            self.asked.append((request.name, request.record_type))
            address = RECORDS.get((request.name, request.record_type))
            known = any(name == request.name for name, _ in RECORDS)
            found = (address,) if address else ()
            outcome: Answer | HostState = Answer(request, "NOERROR" if known else "NXDOMAIN", found)
        else:
            outcome = HostState(
                default_link=self.default_link, resolvers=("192.0.2.53",), global_link_v6=self.global_link_v6
            )
        self.events.append(Event(self.sent, 1.0, outcome))
        return self.sent

    def receive(self, until: float) -> Event | None:
        del until
        return self.events.pop(0) if self.events else None


@pytest.mark.parametrize(
    ("link", "family", "expected"),
    [
        ("", 0, {"both": V4, "old": V4, "new": ""}),
        ("eth0", 0, {"both": V6, "old": V4, "new": V6}),
        ("eth0", 4, {"both": V4, "old": V4, "new": ""}),
        ("", 6, {"both": V6, "old": "", "new": V6}),
    ],
)
def test_the_family_is_the_one_that_the_system_would_use(link: str, family: int, expected: dict[str, str]) -> None:
    """IPv6 where there is a global address with a route and the name has one, else IPv4; or what was asked for."""
    found = run(resolve(expected, family), Names(link))
    assert {name: one.address for name, one in found.items()} == expected


def test_only_what_may_be_used_is_asked_for() -> None:
    """Without IPv6 nobody is asked for AAAA."""
    names = Names()
    run(resolve(["both", "both"]), names)
    assert names.asked == [("both", "A")]


def test_what_is_missing_is_said() -> None:
    """The family that a name has not, the name that is not there, the route that is not there."""
    assert run(resolve(["old"], 6), Names()) == {
        "old": Resolved(error="it has no IPv6 address, says the resolver 192.0.2.53")
    }
    assert run(resolve(["none"]), Names())["none"].error == "there is no such name, says the resolver 192.0.2.53"


def test_no_names_ask_nobody() -> None:
    """Addresses need no resolver, and no look at the machine."""
    names = Names()
    assert run(resolve([]), names) == {}
    assert names.asked == []
