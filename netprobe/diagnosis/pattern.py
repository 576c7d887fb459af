"""Which destinations fail, where their paths break, and what the destinations that answer say about that place."""

from functools import cached_property

from netprobe.diagnosis.facts import Destination, Facts, Reach
from netprobe.diagnosis.facts_v6 import OverV6
from netprobe.diagnosis.names import Names
from netprobe.diagnosis.paths import Break, Paths
from netprobe.diagnosis.place import Place, place_of

#: Kernel states of a neighbour (linux/neighbour.h) that say that it does not answer.
NEIGHBOUR_FAILED = frozenset({"failed", "incomplete"})


class View:
    """The facts with all that is derived from them: what a signal looks at."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.paths = Paths(facts)
        self.names = Names(facts, self.paths.isp)

    @cached_property
    def over_v6(self) -> "View":
        """What was measured over IPv6, seen in the same manner."""
        return View(OverV6(self.facts.observations, self.facts.platform, self.facts.origin))

    @cached_property
    def only_v4_works(self) -> bool:
        """Whether nothing at all answers over IPv6, and most of what was asked over IPv4 does."""
        passing, failing = self.passing_edges + self.passing_controls, self.failing_edges + self.failing_controls
        over = self.over_v6
        asked = over.failing_edges or over.failing_controls or over.router_is_gone
        answers = over.passing_edges or over.passing_controls
        return bool(asked and not answers) and len(passing) > len(failing)

    @property
    def router_is_gone(self) -> bool:
        """Whether the next hop was asked for its hardware address in vain, in the end too."""
        return bool(self.facts.hosts) and self.facts.hosts[-1][1].neighbour in NEIGHBOUR_FAILED

    @cached_property
    def edges(self) -> list[Destination]:
        """The platform's addresses that may be trusted to be the platform's, where anything was sent."""
        wrong = self.names.distrusted
        return [e for a, e in self.facts.edges.items() if a not in wrong and e.reach is not Reach.UNKNOWN]

    @cached_property
    def controls(self) -> list[Destination]:
        """The controls' addresses where anything was sent.

        One that shares an address with the platform (both are customers of one delivery network) shares whatever is
        done to that address: it is no witness of its own.
        """
        taken = {e.address for e in self.edges}
        return [c for a, c in self.facts.controls.items() if c.reach is not Reach.UNKNOWN and a not in taken]

    @cached_property
    def failing_edges(self) -> list[Destination]:
        """The platform's addresses that stay silent."""
        return [e for e in self.edges if e.reach is Reach.SILENT]

    @cached_property
    def passing_edges(self) -> list[Destination]:
        """The platform's addresses that answer, if only with a refusal."""
        return [e for e in self.edges if e.reach is not Reach.SILENT]

    @cached_property
    def failing_controls(self) -> list[Destination]:
        """Controls that stay silent."""
        return [c for c in self.controls if c.reach is Reach.SILENT]

    @cached_property
    def passing_controls(self) -> list[Destination]:
        """Controls that answer."""
        return [c for c in self.controls if c.reach is not Reach.SILENT]

    def families(self, controls: list[Destination]) -> set[str]:
        """Who runs these controls."""
        return {c.family for c in controls}

    @cached_property
    def breaks(self) -> list[Break]:
        """Where the ways to the platform's silent addresses end."""
        found = [self.paths.break_of(e) for e in self.failing_edges]
        return [b for b in found if b is not None]

    @cached_property
    def control_breaks(self) -> list[Break]:
        """Where the ways to the silent controls end."""
        found = [self.paths.break_of(c) for c in self.failing_controls]
        return [b for b in found if b is not None]

    @cached_property
    def witnesses(self) -> list[Destination]:
        """Silent controls whose paths break where the platform's do: they share its trouble."""
        keys = {b.key for b in self.breaks}
        return [b.destination for b in self.control_breaks if b.key in keys]

    @cached_property
    def doubtful(self) -> list[Destination]:
        """Silent controls that were not traced: nothing shows whether their trouble is the platform's."""
        traced = {b.destination.address for b in self.control_breaks}
        return [c for c in self.failing_controls if c.address not in traced]

    @property
    def shared(self) -> list[Destination]:
        """Silent controls that share the platform's trouble, or may do so."""
        return self.witnesses + self.doubtful

    @cached_property
    def place(self) -> Place | None:
        """What can be said of the break. None when nothing was measured."""
        return place_of(self)

    def who(self, address: str) -> str:
        """An address with its network, for a sentence."""
        origin = self.facts.origin(address)
        return f"{address} ({origin.label})" if origin else address
