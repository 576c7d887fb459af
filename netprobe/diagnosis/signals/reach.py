"""Reachability: controls, the platform's addresses, the place where paths break, and connections that are refused."""

from netprobe.diagnosis.facts import Destination, Reach
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.topology.segments import Segment

_ENOUGH = 2  # families that must answer for a lone silent one to be its own fault


def controls(view: View) -> Finding | None:
    """Can services be reached that have nothing to do with the platform?"""
    if not view.controls:
        return None
    indices = _indices(view.controls)
    passing, failing = view.families(view.passing_controls), view.families(view.failing_controls)
    told = f"{of(len(view.passing_controls), len(view.controls))} unrelated services can be reached"
    if not failing:
        return Finding("all", f"{told}.", indices)
    if not passing:
        return Finding("none", f"{told}.", indices)
    if len(failing - passing) <= 1 and len(passing) >= _ENOUGH and not view.shared:
        names = ", ".join(n for c in view.failing_controls for n in c.names)
        return Finding("all_but_one", f"{told}; {names} is silent on its own, which is its own fault.", indices)
    return Finding("some", f"{told}.", indices)


def platform(view: View) -> Finding | None:
    """Can the platform's addresses be reached?"""
    if not view.edges:
        return None
    told = f"{of(len(view.passing_edges), len(view.edges))} of the platform's addresses answer"
    state = "all" if not view.failing_edges else "some" if view.passing_edges else "none"
    return Finding(state, f"{told}.", _indices(view.edges))


def place(view: View) -> Finding | None:
    """Where do the ways to what is silent end?"""
    found = view.place
    return Finding(found.state, found.sentence, found.facts) if found else None


def vendors(view: View) -> Finding | None:
    """Which of the platform's delivery networks accept no connection?"""
    if not view.edges:
        return None
    dead = [e for e in view.edges if e.reach is not Reach.OPEN]
    failing, passing = _networks(dead), _networks([e for e in view.edges if e.reach is Reach.OPEN])
    facts = _indices(dead or view.edges)
    if not dead:
        return Finding("none", "Every delivery network of the platform accepts connections.", facts)
    told = f"{of(len(dead), len(view.edges))} of the platform's addresses accept no connection"
    gone = failing - passing
    if not gone:
        return Finding("parts", f"{told}; others of the same delivery networks do.", facts)
    if len(gone) == 1 and passing:
        name = next(iter(gone)) or "unnamed"
        return Finding(
            "one", f"{told}, all that was tried of one delivery network ({name}); {len(passing)} other(s) do.", facts
        )
    if passing:
        return Finding("several", f"{told}, of {len(gone)} delivery networks; {len(passing)} other(s) do.", facts)
    if len(gone) == 1:
        return Finding(
            "only",
            f"{told}; they are of one delivery network ({next(iter(gone)) or 'unnamed'}), and no other was seen.",
            facts,
        )
    return Finding("all", f"{told}, in all of the {len(gone)} delivery networks that were tried.", facts)


def refused(view: View) -> Finding | None:
    """Does the platform refuse connections, and is it the platform that does?"""
    if not view.edges:
        return None
    refusing = [e for e in view.edges if e.reach is Reach.REFUSING]
    facts = _indices(refusing or view.edges)
    if not refusing:
        return Finding("no", "No connection to the platform is refused.", facts)
    told = f"{of(len(refusing), len(view.edges))} of the platform's addresses refuse connections"
    networks, rooms = _networks(refusing), {e.network for e in refusing}
    alike = [c for c in view.controls if c.reach is Reach.REFUSING]
    customers = [n for c in alike if c.customer_of in rooms for n in c.names] if len(networks) == 1 else []
    if 2 * len(alike) > len(view.controls):
        return Finding(
            "everywhere", f"{told}, and so do {of(len(alike), len(view.controls))} unrelated services.", facts
        )
    if _come_early(view, refusing):
        return Finding("early", f"{told}, but the refusals come from a place before the platform's network.", facts)
    accepting = _networks([e for e in view.edges if e.reach is Reach.OPEN])
    if customers and not networks & accepting:
        sentence = f"{told}, all of one delivery network, and so does {customers[0]}, another customer of it."
        return Finding("vendor", sentence, facts)
    if networks & accepting:
        return Finding("parts", f"{told}; others of the same delivery network accept.", facts)
    if len(networks) == 1:
        rest = "others accept" if accepting else "no other network was seen"
        return Finding(
            "one_network", f"{told}, all of one delivery network ({next(iter(networks)) or 'unnamed'}); {rest}.", facts
        )
    return Finding("several_networks", f"{told}, of {len(networks)} delivery networks.", facts)


def _come_early(view: View, refusing: list[Destination]) -> bool:
    """Whether somebody before the platform's network refuses in its name.

    A delivery network may stand right behind the provider's last router, or have an address of the provider's on the
    link between them. So it takes several networks that all seem to begin there, or one that others of its addresses
    show to go on behind that router.
    """
    early = {e.address: router for e in refusing if (router := _provider_right_before(view, e))}
    if len({view.facts.edges[address].deliverer for address in early}) > 1:
        return True
    return any(_goes_on(view, address, router) for address, router in early.items())


def _provider_right_before(view: View, edge: Destination) -> str:
    """The provider's router from straight behind which the refusal came; empty when it did not."""
    if view.facts.asn(edge.address) in view.paths.isp:
        return ""
    for index, path in edge.paths:
        steps = view.paths.steps(index, path)
        straight = path.reached and steps and steps[-1].ttl >= len(path.hops) - 1
        if straight and steps[-1].segment is Segment.ISP:
            return steps[-1].address
    return ""


def _goes_on(view: View, address: str, router: str) -> bool:
    """Whether the way to a neighbour in the same network leads through `router` and then through another one."""
    network = view.facts.network(address)
    for index, path in view.paths.passing:
        to = path.flow.destination
        if to != address and view.facts.network(to) == network:
            addresses = [step.address for step in view.paths.steps(index, path)]
            if router in addresses[:-1]:
                return True
    return False


def _networks(edges: list[Destination]) -> set[str]:
    """Whose they are."""
    return {e.deliverer for e in edges}


def _indices(destinations: list[Destination]) -> tuple[int, ...]:
    return tuple(i for d in destinations for i in d.facts)


SIGNALS = (
    Signal("reach.controls", "controls", ("all", "all_but_one", "some", "none"), controls, good=("all", "all_but_one")),
    Signal(
        "path.breaks",
        "reach",
        (
            "none",
            "elsewhere",
            "untraced",
            "gateway",
            "unclear",
            "isp_everything",
            "transit_everything",
            "loop_isp",
            "loop_transit",
            "loop_somewhere",
            "isp_many_interior",
            "isp_many_border",
            "isp_many_unsure",
            "transit_many",
            "vendor",
            "several",
            "destination",
            "destinations",
            "isp_prohibited",
            "filtered_somewhere",
            "isp_platform_only",
            "isp_platform_unsure",
            "transit_platform_only",
            "one_network",
            "platform_unclear",
        ),
        place,
        good=("none",),
    ),
    Signal("reach.platform", "reach", ("all", "some", "none"), platform, good=("all",)),
    Signal("platform.vendors", "vendors", ("none", "parts", "one", "several", "only", "all"), vendors, good=("none",)),
    Signal(
        "edge.refused",
        "refusal",
        ("no", "vendor", "parts", "one_network", "several_networks", "early", "everywhere"),
        refused,
        good=("no",),
    ),
)
