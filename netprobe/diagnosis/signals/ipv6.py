"""IPv6 beside IPv4: does what works over one work over the other, and where does the way end that does not?

Apps that can do both try IPv6 first and turn to IPv4 after a moment (RFC 8305): where only IPv6 fails they are slow
rather than dead, and everything that is measured over IPv4 is fine.
"""

from netprobe.diagnosis.facts import Reach, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.diagnosis.signals.loss import loss
from netprobe.diagnosis.signals.sizes import sizes
from netprobe.topology.segments import Segment

_BEARABLE = frozenset({"light", "limiter", "elsewhere"})
_LOSES = {"isp": "loses_isp", "transit": "loses_transit", "platform": "loses_platform"}
_HOLES = {"home": "home", "back_home": "home", "isp": "isp", "transit": "transit"}  # where large packets die
_ENOUGH = 2  # places of different people that are silent for it to be more than their own silence; or routers

#: What the place where the ways of IPv6 end says, where nothing at all answers over it, by a state of `path.breaks`.
_ALL = {
    "gateway": "home",
    "isp_everything": "isp",
    "loop_isp": "isp",
    "transit_everything": "transit",
    "loop_transit": "transit",
}
#: The same where something else does answer over it.
_SOME = {
    "isp_many_interior": "isp",
    "loop_isp": "isp",
    "isp_many_border": "transit",
    "transit_many": "transit",
    "loop_transit": "transit",
    "destination": "edges",
    "destinations": "edges",
    "vendor": "edges",
}


def ipv6(view: View) -> Finding | None:
    """Does IPv6 work where this device would use it?"""
    host = view.facts.host
    if host is None:
        return None
    if not host.global_link_v6:
        told = "Your device has no way to the IPv6 Internet, so that nothing waits for it."
        return Finding("absent", told, (view.facts.hosts[0][0],))
    over = view.over_v6
    silent, passing = [*over.failing_edges, *over.failing_controls], [*over.passing_edges, *over.passing_controls]
    if view.only_v4_works and over.router_is_gone:
        told = "The router that your device sends IPv6 to is gone: it does not even say its hardware address"
        return Finding("home", f"{told}. IPv4 works.", tuple(i for i, _ in over.facts.hosts))
    if not silent and not passing:
        return None
    facts = tuple(i for place in silent or passing for i in place.facts)
    told = f"{of(len(passing), len(silent) + len(passing))} places answer over IPv6"
    if not silent:
        return _loses(view) or _served(view) or Finding("works", f"IPv6 works too: {told}.", facts)
    if not passing:
        if not view.only_v4_works:
            return Finding("as_v4", f"{told}, and over IPv4 it is no better.", facts)
        return _nothing_answers(view, told, facts)
    if not over.failing_edges:
        state = "works" if len(over.families(over.failing_controls)) < _ENOUGH else "elsewhere"
        return _served(view) or Finding(state, f"{told}, all of the platform's among them.", facts)
    if view.failing_edges:
        return Finding("as_v4", f"{told}; over IPv4 the platform's places do not all answer either.", facts)
    return _some_answer(over, told, facts)


def _nothing_answers(view: View, told: str, facts: tuple[int, ...]) -> Finding:
    over = view.over_v6
    asked = over.families(over.failing_controls) | {e.network or e.address for e in over.failing_edges}
    if len(asked) < _ENOUGH or over.place is None:
        return Finding("elsewhere", f"{told}, and too few were asked to say why.", facts)
    told = f"{told}, while IPv4 works. Over IPv6: {over.place.sentence}"
    state = _ALL.get(over.place.state, "somewhere")
    if state == "home" and view.facts.all_paths and _answering_routers(view) < _ENOUGH:
        return Finding(
            "somewhere", f"{told} Over IPv4 hardly any router does either: where it ends is not seen.", facts
        )
    return Finding(state, told, facts)


def _answering_routers(view: View) -> int:
    """How many routers beyond the home show themselves: some networks filter ICMP, and silence says nothing there."""
    steps = (s for i, p in view.facts.all_paths for s in view.paths.steps(i, p))
    return len({step.address for step in steps if step.segment is not Segment.HOME})


def _some_answer(over: View, told: str, facts: tuple[int, ...]) -> Finding:
    """Some of the platform's places are silent over IPv6, and none over IPv4."""
    state, where = (over.place.state, over.place.sentence) if over.place else ("", "")
    if state == "transit_platform_only" and len({e.network for e in over.failing_edges}) > 1:
        state = "transit_many"  # unrelated networks have nothing in common but the way to them
    return Finding(_SOME.get(state, "unclear"), f"{told}, while IPv4 works. Over IPv6: {where}", facts)


def _loses(view: View) -> Finding | None:
    """Where so much is lost over IPv6 that it is noticed, while over IPv4 hardly anything is; None where it is not."""
    counted, beside = loss(view.over_v6) if view.over_v6.facts.losses else None, loss(view)
    if counted is None or counted.state in _BEARABLE or (beside is not None and beside.state not in _BEARABLE):
        return None
    told = f"Over IPv6 {counted.sentence}"
    return Finding(_LOSES.get(counted.state, "loses"), f"{told} Over IPv4 hardly anything is lost.", counted.facts)


def _served(view: View) -> Finding | None:
    """What becomes of connections where all places are there; None where that is what should."""
    over = view.over_v6
    refusing = [e for e in over.edges if e.reach is Reach.REFUSING]
    if refusing and len(refusing) < len(over.edges) and all(e.reach is Reach.OPEN for e in view.edges):
        told = f"{of(len(refusing), len(over.edges))} of the platform's addresses of IPv6 refuse connections"
        return Finding("edges", f"{told}, and none of IPv4.", tuple(i for e in refusing for i in e.facts))
    fetched = [(e, f) for e in over.edges if (f := best_fetch(e.fetches))]
    stalled = [(e, f) for e, f in fetched if f[1].handshaken.phase == "tls" and f[1].handshaken.error == "timeout"]
    others = [f for e in view.edges if (f := best_fetch(e.fetches))]
    if len({e.network for e, _ in stalled}) < _ENOUGH or len(stalled) < len(fetched):
        return None
    if 2 * sum(f[1].handshaken.done for f in others) < len(others):
        return None
    told = (
        f"{of(len(stalled), len(fetched))} connections over IPv6 are accepted and then go dead, and those over IPv4 not"
    )
    facts = tuple(f[0] for _, f in stalled)
    found = sizes(over)
    if found and found.state in _HOLES:
        return Finding(_HOLES[found.state], f"{told}. {found.sentence}", (*facts, *found.facts))
    return Finding("stalls", f"{told}: perhaps large packets do not get through.", facts)


SIGNALS = (
    Signal(
        "ipv6.reach",
        "ipv6",
        (
            *(
                "absent",
                "works",
                "as_v4",
                "elsewhere",
                "unclear",
                "home",
                "isp",
                "transit",
                "somewhere",
                "edges",
                "stalls",
            ),
            *("loses", *_LOSES.values()),
        ),
        ipv6,
        good=("absent", "works", "elsewhere"),
    ),
)
