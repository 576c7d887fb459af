"""Where the ways to what is silent end, by all that fail and all that pass: one place, or honest doubt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netprobe.diagnosis.paths import Break, Step
from netprobe.topology.addresses import network_of
from netprobe.topology.segments import Segment

if TYPE_CHECKING:
    from netprobe.diagnosis.pattern import View

SILENT_FAMILIES = 2  # families of controls that must be silent before they say something of the way to them
INTERIOR_DEPTH = 2  # routers of the provider behind a router for that one to be inside, and not perhaps its last
SILENT_ROUTERS = 2  # one router that misses on a path may have spent its allowance of ICMP errors
MANY_NETWORKS = 3  # unrelated networks of the platform whose ways would hardly all part behind one router
ROOMS = 2  # networks in whose rooms a delivery network is silent for it to be more than the way to one


@dataclass(frozen=True, slots=True)
class Place:
    """What can be said of the break: a state of the signal `path.breaks`, a sentence, and what it rests on."""

    state: str
    sentence: str
    facts: tuple[int, ...] = ()


def place_of(view: "View") -> Place | None:
    """What can be said of the break. None when nothing was measured."""
    return _Judge(view).place()


class _Judge:
    """Turns the set of failing and passing destinations into one place."""

    def __init__(self, view: "View") -> None:
        self.view = view
        self.paths = view.paths

    def place(self) -> Place | None:
        view = self.view
        if not view.edges and not view.controls:
            return None
        everything = not view.passing_edges and not view.passing_controls
        if everything and (len(view.families(view.failing_controls)) > 1 or view.failing_edges):
            return self._everything(view.breaks + view.control_breaks)
        if not view.failing_edges:
            if len(view.families(view.failing_controls)) < SILENT_FAMILIES or not view.edges:
                return Place("none", "Nothing that matters here is cut off.")
            some = f"{len(view.failing_controls)} of {len(view.controls)}"
            return Place("elsewhere", f"{some} unrelated services cannot be reached, but the platform can.")
        if not view.breaks:
            return Place("untraced", "It was not seen where the way to the silent addresses ends.")
        loop = self._loop(view.breaks)
        if loop:
            return loop
        vendor = self._whole_vendor()
        if vendor:
            return vendor
        if view.witnesses:
            return self._many(view.breaks + [b for b in view.control_breaks if b.destination in view.witnesses])
        if view.doubtful and {b.segment for b in view.breaks} != {Segment.DESTINATION}:
            return self._several(view.breaks)
        return self._platform_only(view.breaks)

    def _everything(self, breaks: list[Break]) -> Place:
        view = self.view
        count = len(view.failing_edges) + len(view.failing_controls)
        life = self.paths.life_beyond_gateway
        if not life:
            return Place(
                "gateway", f"Nothing behind your home router answers: 0 of {count} places, and no router on the way."
            )
        absent = not view.failing_edges and all(b.told for b in breaks)
        if not breaks or absent or len(view.families(view.failing_controls)) < SILENT_FAMILIES:
            return Place("unclear", f"None of {count} places answers, and it is not seen where the way ends.", life)
        loop = self._loop(breaks)
        if loop:
            return loop
        facts = tuple(b.index for b in breaks)
        zones = {b.segment for b in breaks}
        deepest = max(breaks, key=lambda b: b.ttl)
        last = view.who(deepest.address) or "your home router"
        if deepest.segment is Segment.ISP and zones <= {Segment.ISP, Segment.HOME, Segment.UNKNOWN}:
            sentence = f"The ways to all {count} places end inside your provider's network, the farthest at {last}."
            return Place("isp_everything", sentence, facts)
        in_transit = {view.facts.asn(b.address) for b in breaks}
        if zones == {Segment.TRANSIT} and len(in_transit) == 1:
            sentence = f"The ways to all {count} places leave your provider and end in one transit network, at {last}."
            return Place("transit_everything", sentence, facts)
        return Place(
            "unclear",
            f"None of {count} places answers; the ways end at {last}, and it cannot be told whose fault that is.",
            facts,
        )

    def _loop(self, breaks: list[Break]) -> Place | None:
        loops = [b for b in breaks if b.loop]
        if not loops or 2 * len(loops) < len(breaks):
            return None
        zones = frozenset(s.segment for b in loops for s in b.loop)
        alone = len({s.address for b in loops for s in b.loop}) == 1
        members = " and ".join(self.view.who(s.address) for s in loops[0].loop[:3])
        state = {
            frozenset({Segment.ISP}): "loop_isp",
            frozenset({Segment.TRANSIT}): "loop_transit",
        }.get(zones, "loop_somewhere")
        state = "loop_somewhere" if alone else state  # the other members are silent, and may be anybody's
        sentence = f"Packets to {len(loops)} of {len(breaks)} traced places circle between {members} until they expire."
        return Place(state, sentence, tuple(b.index for b in loops))

    def _many(self, breaks: list[Break]) -> Place:
        """The platform and unrelated services fail together, others work."""
        facts = tuple(b.index for b in breaks)
        families = len(self.view.families(self.view.shared))
        what = f"the platform and {families} unrelated service(s)"
        deepest = max(breaks, key=lambda b: b.ttl)
        zones = {b.segment for b in breaks if b.segment is not Segment.HOME}
        last = self.view.who(deepest.address) or "a place that nobody names"
        networks = self._networks(breaks)
        if zones == {Segment.DESTINATION} and len(networks) == 1:
            return Place(
                "vendor", f"The ways to {what} reach the same delivery network and end there, at {last}.", facts
            )
        if len(networks) == 1 and zones <= {Segment.ISP, Segment.TRANSIT, Segment.EXCHANGE}:
            return Place(
                "one_network", f"The ways to {what}, all of one network, end before they reach it, at {last}.", facts
            )
        if zones == {Segment.TRANSIT} and len({self.view.facts.asn(b.address) for b in breaks}) == 1:
            return Place(
                "transit_many",
                f"The ways to {what} leave your provider and end in one transit network, at {last}.",
                facts,
            )
        if zones == {Segment.ISP} and deepest.last:
            state = self._edge_of_isp(deepest, INTERIOR_DEPTH)
            said = {
                "interior": f"The ways to {what} end inside your provider's network, at {last}.",
                "border": f"The ways to {what} end where your provider hands over to another network, at {last}.",
                "unsure": f"The ways to {what} end in your provider's network or just behind it, at {last}.",
            }[state]
            return Place(f"isp_many_{state}", said, facts)
        return self._several(breaks)

    def _whole_vendor(self) -> Place | None:
        """One delivery network is gone with another customer of it, in rooms of different networks; all else passes.

        What is in the way of one of its places is not in the way of a cache that it has in an access network.
        """
        view = self.view
        failing = [*view.failing_edges, *view.failing_controls]
        vendors = {e.deliverer for e in view.failing_edges}
        rooms = {e.network for e in view.failing_edges}
        customers = [name for c in view.failing_controls for name in c.names if c.customer_of in rooms]
        alone = all(c.customer_of in rooms for c in view.failing_controls)
        if not customers or not alone or len(vendors) > 1 or vendors & {e.deliverer for e in view.passing_edges}:
            return None
        if len({self.view.facts.asn(d.address) for d in failing}) < ROOMS:
            return None
        sentence = (
            f"{len(view.failing_edges)} of {len(view.edges)} of the platform's addresses are silent, all of one "
            f"delivery network and in different places, and so is {customers[0]}, another customer of it."
        )
        return Place("vendor", sentence, tuple(i for d in failing for i in d.facts))

    def _several(self, breaks: list[Break]) -> Place:
        what = f"the platform and {len(self.view.families(self.view.shared))} unrelated service(s)"
        sentence = f"The ways to {what} end at different places, or it cannot be told whose."
        return Place("several", sentence, tuple(b.index for b in breaks))

    def _networks(self, breaks: list[Break]) -> set[str]:
        """The networks that serve what cannot be reached, as far as they are known."""
        places = [b.destination for b in breaks] + self.view.shared
        return {p.claimed or p.network or p.address for p in places}

    def _edge_of_isp(self, at: Break, depth: int) -> str:
        """Is the last router that answered well inside the provider's network, or its last one?

        The paths that work show what comes after it. It is inside when each shows `depth` more routers of the provider,
        so that as many of them may be silent; at the border when each shows another network directly behind it, and one
        of them a carrier: a link to one customer or peer says nothing of the ways to everybody else.
        """
        ways = [steps[1:] for steps in self.paths.beyond(at.address)]
        if not ways:
            return "unsure"
        if all(sum(s.segment is Segment.ISP for s in way) >= depth for way in ways):
            return "interior"
        after = {way[0].segment if way and way[0].ttl == at.ttl + 1 else Segment.UNKNOWN for way in ways}
        inside = after & {Segment.UNKNOWN, Segment.ISP, Segment.HOME}
        return "border" if Segment.TRANSIT in after and not inside else "unsure"

    def _platform_only(self, breaks: list[Break]) -> Place:
        """Only the platform's addresses fail."""
        view = self.view
        facts = tuple(b.index for b in breaks)
        count = f"{len(view.failing_edges)} of {len(view.edges)} of the platform's addresses"
        zones = {b.segment for b in breaks}
        deepest = max(breaks, key=lambda b: b.ttl)
        last = view.who(deepest.address) or "a place that nobody names"
        if zones == {Segment.DESTINATION}:
            customers = self._silent_customers(breaks)
            if customers:
                sentence = (
                    f"The ways to {count} reach one delivery network and end there; "
                    f"{customers[0]}, another customer of it, is silent too."
                )
                return Place("vendor", sentence, facts)
            if len({b.destination.network for b in breaks}) > 1:
                sentence = (
                    f"The ways to {count} reach different delivery networks, and each ends there, "
                    f"the farthest at {last}."
                )
                return Place("destinations", sentence, facts)
            return Place(
                "destination",
                f"The ways to {count} reach the network that serves them and end there, at {last}.",
                facts,
            )
        far = [b for b in breaks if not self._cached_at_isp(b)]
        if zones == {Segment.ISP} and far:
            passing = self.paths.carried(deepest.address)
            others = f"; {len(passing)} other place(s) are reached through the same router" if passing else ""
            sentence = f"The ways to {count} end inside your provider's network, at {last}{others}."
            if any(self.paths.filters(b.destination) for b in far):
                return Place("isp_prohibited", f"{sentence} The router says that it filters.", facts)
            if self._only_platform_is_dropped(far, deepest):
                return Place("isp_platform_only", sentence, facts)
            return Place("isp_platform_unsure", sentence, facts)
        filter_ = self._filter_of_many()
        if filter_:
            told = f"The router {self.view.who(filter_)} says that it filters what goes to the platform"
            return Place("filtered_somewhere", f"{told}, and lets what goes to other services pass.", facts)
        if zones == {Segment.TRANSIT}:
            return Place("transit_platform_only", f"The ways to {count} end in transit networks, at {last}.", facts)
        if self._siblings_pass(breaks):
            sentence = f"{count} are silent, while neighbours of theirs answer over the same routers."
            return Place("destination", sentence, facts)
        return Place(
            "platform_unclear", f"The ways to {count} end at {last}, and it cannot be told whose fault that is.", facts
        )

    def _filter_of_many(self) -> str:
        """A router that says that it filters what goes to the platform's addresses in different networks; empty: none.

        The platform's own networks filter too, but each only what goes to itself.
        """
        told: dict[str, set[str]] = {}
        for edge in self.view.failing_edges:
            for router in self.paths.filters(edge):
                told.setdefault(router, set()).add(edge.network or network_of(edge.address, wide=True))
        return max((r for r, networks in told.items() if len(networks) > 1), key=lambda r: len(told[r]), default="")

    def _silent_customers(self, breaks: list[Break]) -> list[str]:
        """Controls that are customers of the one network in which all breaks lie, and silent as well."""
        networks = {b.destination.network for b in breaks}
        silent = [c for c in self.view.failing_controls if c.customer_of and {c.customer_of} == networks]
        return [n for c in silent for n in c.names]

    def _cached_at_isp(self, at: Break) -> bool:
        """Whether the destination itself stands in the provider's network (a cache): then dying there says little."""
        return self.view.facts.asn(at.destination.address) in self.paths.isp

    def _only_platform_is_dropped(self, breaks: list[Break], deepest: Break) -> bool:
        """Whether packets die on the way for the platform, and for nobody else on the same way.

        Routers behind the last one answer on the ways to neighbours of each address, SILENT_ROUTERS times in all; or
        addresses in unrelated networks, whose ways would part behind the provider, die together at a router behind
        which the provider's network goes on for everybody else.
        """
        missing = [self._missing(b) for b in breaks]
        if all(missing) and sum(missing) >= SILENT_ROUTERS:
            return True
        networks = {e.network for e in self.view.failing_edges} - {""}
        same_router = len({b.key for b in breaks}) == 1
        depth = 1 if len(networks) >= MANY_NETWORKS else INTERIOR_DEPTH
        return len(networks) > 1 and same_router and self._edge_of_isp(deepest, depth) == "interior"

    def _missing(self, at: Break) -> int:
        """How many routers behind the last one answer on the way to a neighbour, and did not on this one."""
        return max((len(ways) for ways in self._neighbours(at)), default=0)

    def _neighbours(self, at: Break) -> list[tuple[Step, ...]]:
        """For each destination in the same /24 that is reached through the last router: the routers behind that one.

        Routes part at a /24 at the narrowest (RFC 7454, 6.1.3), so packets for both go the same way.
        """
        found = []
        for index, path in self.paths.passing:
            if path.flow.destination != at.destination.address and network_of(path.flow.destination) == at.block:
                steps = self.paths.steps(index, path)
                place = next((n for n, s in enumerate(steps) if s.address == at.address), None)
                if place is not None:
                    found.append(steps[place + 1 :])
        return found

    def _siblings_pass(self, breaks: list[Break]) -> bool:
        """Whether the last router that answered is the last one on the way to a neighbour that answers, for each."""
        last = set()
        for index, path in self.paths.passing:
            steps = self.paths.steps(index, path)
            if steps and steps[-1].ttl >= len(path.hops) - 1:
                last.add((steps[-1].address, network_of(path.flow.destination)))
        return all((b.address, b.block) in last for b in breaks)
