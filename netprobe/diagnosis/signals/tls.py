"""TLS: does the name alone break the handshake, and whom do the certificates belong to?"""

from dataclasses import dataclass

from netprobe.diagnosis.facts import Found, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.services import Handshaken, Response

#: How a middlebox ends a handshake that it does not like.
_CUT = frozenset({"reset", "closed", "timeout"})


@dataclass(frozen=True, slots=True)
class _Trial:
    """The handshakes that vary name and address for one name at one edge; None where one was not made."""

    name: str
    address: str
    target: Handshaken
    control: Handshaken | None
    elsewhere: Handshaken | None
    facts: tuple[int, ...]

    @property
    def error(self) -> str:
        return self.target.error

    @property
    def by_name(self) -> bool | None:
        """The platform's name is cut off here, another name gets an answer from the same address."""
        if self.control is None:
            return None
        return goes_on(self.control)

    @property
    def name_alone(self) -> bool | None:
        """The platform's name is cut off at an address that has nothing to do with the platform."""
        if self.elsewhere is None or self.elsewhere.phase == "connect":
            return None
        return _is_cut(self.elsewhere)


def _is_cut(shaken: Handshaken) -> bool:
    return shaken.phase == "tls" and shaken.error in _CUT


def goes_on(shaken: Handshaken) -> bool:
    """The server itself spoke TLS: it finished, or it said why not (it need not know every name)."""
    return shaken.done or shaken.error in {"alert", "certificate"}


def outcomes(view: View) -> dict[tuple[str, str], Found[Response]]:
    """For each name at each trusted address of the platform where a connection was accepted: the best fetch."""
    found: dict[tuple[str, str], Found[Response]] = {}
    for edge in view.edges:
        names = dict.fromkeys(r.fetch.handshake.server_name for _, r in edge.fetches)
        for name in names:
            best = best_fetch([f for f in edge.fetches if f[1].fetch.handshake.server_name == name])
            if best is not None and best[1].handshaken.phase != "connect":
                found[name, edge.address] = best
    return found


def _controls(view: View) -> list[Found[Response]]:
    best = [best_fetch(c.fetches) for c in view.controls]
    return [f for f in best if f is not None and f[1].handshaken.phase != "connect"]


def _trials(view: View) -> list[_Trial]:
    """Trials at edges whose fetches all failed, and the handshake in the trial too: what worked once is chance."""
    shaken = view.facts.handshakes
    failed = {key for key, (_, r) in outcomes(view).items() if _is_cut(r.handshaken)}
    elsewhere: dict[str, Found[Handshaken]] = {h.handshake.server_name: (i, h) for i, h in shaken["sni.elsewhere"]}
    trials = []
    for index, target in shaken["sni.target"]:
        name, address = target.handshake.server_name, target.handshake.address
        if (name, address) not in failed or not _is_cut(target):
            continue
        control = next(
            ((i, h) for i, h in shaken["sni.control"] if h.handshake.address == address and h.phase != "connect"), None
        )
        away = elsewhere.get(name)
        indices = (index, *(f[0] for f in (control, away) if f))
        trials.append(
            _Trial(name, address, target, control[1] if control else None, away[1] if away else None, indices)
        )
    return trials


def handshakes(view: View) -> Finding | None:
    """Do handshakes with the platform's names break, and is it the name that breaks them?"""
    seen = outcomes(view)
    if not seen:
        return None
    cut = {key: f for key, f in seen.items() if _is_cut(f[1].handshaken)}
    indices = tuple(i for i, _ in (cut or seen).values())
    if not cut:
        return Finding(
            "fine",
            f"No handshake with the platform is cut off, {of(len(seen), len(seen))} go through or are answered.",
            indices,
        )
    told = f"{of(len(cut), len(seen))} handshakes with the platform are cut off"
    controls = _controls(view)
    cut_controls = [f for f in controls if _is_cut(f[1].handshaken)]
    if controls and 2 * len(cut_controls) >= len(controls):
        return Finding(
            "everywhere", f"{told}, and {of(len(cut_controls), len(controls))} with unrelated services too.", indices
        )
    if cut_controls and all(f[1].handshaken.error == "timeout" for f in cut.values()):
        return Finding(
            "unclear",
            f"{told} by silence, and {of(len(cut_controls), len(controls))} with unrelated services too: "
            "it may be loss.",
            indices,
        )
    trials = _trials(view)
    indices += tuple(i for t in trials for i in t.facts)
    if not trials:
        return Finding("unclear", f"{told}; it was not seen whether the name is the reason.", indices)
    if not any(t.by_name for t in trials):
        if any(t.by_name is None for t in trials):
            return Finding("unclear", f"{told}; it was not seen whether the name is the reason.", indices)
        return Finding("any_name", f"{told}, whatever name is asked for: it is the server, not the name.", indices)
    named = [t for t in trials if t.by_name]
    if len(named) < len(trials):
        return Finding(
            "mixed",
            f"{told}; at {of(len(named), len(trials))} of them it is the name, at others any name is cut off.",
            indices,
        )
    if any(t.name_alone is False for t in named):
        return Finding(
            "by_name_here",
            f"{told} because of the name, but the same name passes at another address: the server may do it itself.",
            indices,
        )
    resets = sum(t.error in {"reset", "closed"} for t in named)
    how, state = ("reset", "reset_by_name") if 2 * resets > len(named) else ("swallowed", "drop_by_name")
    alone = sum(t.name_alone is True for t in named)
    proof = f"; even at an address of somebody else the name alone is enough ({of(alone, len(named))})" if alone else ""
    if not alone and len({view.facts.edges[t.address].network for t in named}) < 2:
        return Finding("by_name_unproved", f"{told} because of the name, seen at one delivery network only.", indices)
    return Finding(
        state, f"{told} and {how} because of the name: another name at the same address goes through{proof}.", indices
    )


def certificates(view: View) -> Finding | None:
    """Whose certificates are shown?"""
    platform = list(outcomes(view).values())
    controls = _controls(view)
    judged = [f for f in platform if f[1].handshaken.done or f[1].handshaken.error == "certificate"]
    unrelated = [f for f in controls if f[1].handshaken.done or f[1].handshaken.error == "certificate"]
    if not judged:
        return None
    bad = [f for f in judged if f[1].handshaken.error == "certificate"]
    bad_unrelated = [f for f in unrelated if f[1].handshaken.error == "certificate"]
    indices = tuple(i for i, _ in (*bad, *bad_unrelated)) or tuple(i for i, _ in judged)
    if not bad:
        return Finding("valid", f"{of(len(judged), len(judged))} certificates of the platform are valid.", indices)
    told = f"{of(len(bad), len(judged))} certificates of the platform are not valid"
    now = view.facts.host.wall_clock_s if view.facts.host else 0.0
    out_of_time = [f for f in bad if _out_of_time(f[1].handshaken, now)]
    if unrelated and 2 * len(bad_unrelated) > len(unrelated):
        told = f"{told}, nor are {of(len(bad_unrelated), len(unrelated))} of unrelated services"
        if 2 * len(out_of_time) > len(bad):
            return Finding("time_everywhere", f"{told}: all are outside their time, says your clock.", indices)
        return Finding(
            "unknown_everywhere",
            f"{told}: somebody between you and everything else shows certificates of his own.",
            indices,
        )
    if not unrelated:
        return Finding("unclear", f"{told}; no other service was there to compare with.", indices)
    if bad_unrelated:
        return Finding("mixed", f"{told}, and {of(len(bad_unrelated), len(unrelated))} of unrelated services.", indices)
    if 2 * len(out_of_time) > len(bad):
        return Finding(
            "expired", f"{told}: they have run out. Those of {len(unrelated)} unrelated services are valid.", indices
        )
    told = f"{told}: they are somebody else's. Those of {len(unrelated)} unrelated services are valid"
    networks = {view.facts.edges[r.fetch.handshake.address].network for _, r in bad} - {""}
    if len(networks) > 1:
        return Finding(
            "unknown_networks",
            f"{told}; {len(networks)} delivery networks that have nothing to do with each other "
            "cannot all have lost theirs.",
            indices,
        )
    return Finding("unknown_platform", f"{told}.", indices)


def _out_of_time(shaken: Handshaken, now: float) -> bool:
    shown = shaken.certificate
    if shown and shown.not_after_s:
        return not shown.not_before_s <= now <= shown.not_after_s
    return "expired" in shaken.detail.lower() or "not yet valid" in shaken.detail.lower()


SIGNALS = (
    Signal(
        "tls.handshakes",
        "tls",
        (
            "fine",
            "everywhere",
            "unclear",
            "any_name",
            "mixed",
            "by_name_here",
            "by_name_unproved",
            "reset_by_name",
            "drop_by_name",
        ),
        handshakes,
        good=("fine",),
    ),
    Signal(
        "tls.certificates",
        "certificates",
        (
            "valid",
            "time_everywhere",
            "unknown_everywhere",
            "unclear",
            "mixed",
            "expired",
            "unknown_platform",
            "unknown_networks",
        ),
        certificates,
        good=("valid",),
    ),
)
