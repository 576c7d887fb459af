"""Who is proved innocent: positive findings with their counts, never the mere absence of blame."""

from collections.abc import Collection, Sequence

from netprobe.diagnosis.facts import Reach
from netprobe.diagnosis.names import Kind
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals import SIGNALS
from netprobe.diagnosis.signals.tls import outcomes
from netprobe.model.verdict import Component, Evidence, Exoneration, Level

#: The signals that must all be good (and the first of them measured) for a component to be innocent, and its name.
_NEEDED: tuple[tuple[Component, str, tuple[str, ...]], ...] = (
    (Component.HOME, "your home network", ("gateway.answers", "host.link")),
    (Component.ISP, "your provider", ("reach.controls", "dns.configured", "controls.serve")),
    (Component.TRANSIT, "the networks in between", ("path.breaks", "reach.controls", "reach.platform")),
    (Component.POLICY, "nobody on the way interferes", ("tls.handshakes", "dns.platform", "path.breaks")),
    (Component.PLATFORM, "the platform", ("service.whole", "http.status", "reach.platform")),
)


_SERVER_ERROR = 500


def exonerations(view: View, evidence: Sequence[Evidence], suspects: Collection[Component]) -> tuple[Exoneration, ...]:
    """Everybody whose checks all passed, except `suspects`."""
    states = {e.id: e.state for e in evidence if e.level is Level.SCORED}
    good = {s.id: s.good for s in SIGNALS}
    found = []
    for component, who, signals in _NEEDED:
        if component in suspects or signals[0] not in states:
            continue
        if component is Component.PLATFORM and states.get("uplink.other") == "works":
            found.append(_over_another(view))
            continue
        if any(s in states and states[s] not in good[s] for s in signals):
            continue
        passed, checks = _count(view, component)
        if checks and 2 * passed > checks:
            found.append(Exoneration(component, f"{who}: {passed} of {checks} checks passed", passed, checks))
    return tuple(found)


def _over_another(view: View) -> Exoneration:
    """The platform where it works over another uplink, whatever this one shows."""
    pages = [r for link in view.facts.other_links for _, r in outcomes(View(view.facts.bound_to(link))).values()]
    passed = sum(0 < r.status < _SERVER_ERROR for r in pages)
    told = f"the platform: {passed} of {len(pages)} of its pages are served over your other connection"
    return Exoneration(Component.PLATFORM, told, passed, len(pages))


def _count(view: View, component: Component) -> tuple[int, int]:
    facts, names = view.facts, view.names
    if component is Component.HOME:
        pings = [x for _, t in facts.gateway for x in t.exchanges]
        return 1 + sum(x.reply is not None for x in pings), 1 + len(pings)
    if component is Component.ISP:
        answers = [a for r in facts.configured for _, a in names.at(r, facts.control_answers)]
        passed = len(view.passing_controls) + sum(names.kind(a) is Kind.GOOD for a in answers)
        return passed, len(view.controls) + len(answers)
    if component is Component.TRANSIT:
        places = [*view.controls, *view.edges]
        return sum(p.reach is not Reach.SILENT for p in places), len(places)
    shaken = [r for _, r in outcomes(view).values()]
    if component is Component.POLICY:
        return sum(r.handshaken.done for r in shaken), len(shaken)
    return sum(0 < r.status < 500 for r in shaken), len(shaken)
