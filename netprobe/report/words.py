"""The words that every form of a report shares: components, confidence, times, and text made safe to show.

Nothing here measures or decides. Whatever came from the network passes through `clean` before anybody sees it.
"""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Sequence

from netprobe.model.host import HostState
from netprobe.model.probes import Protocol
from netprobe.model.report import Report
from netprobe.model.rungs import NOT_AT_ALL, RAW, Footing, rung
from netprobe.model.verdict import Component, Verdict

#: The order of a path as a person knows it: from here to there.
ON_THE_WAY = (Component.HOME, Component.ISP, Component.TRANSIT, Component.PLATFORM)

_CUT = 200
_NAMES: dict[Component, str] = {
    Component.HOME: "your home network",
    Component.ISP: "your internet provider",
    Component.TRANSIT: "the networks in between",
    Component.POLICY: "a block on the way",
    Component.PLATFORM: "{platform}",
    Component.NONE: "nobody",
    Component.UNDETERMINED: "not known",
}
_HEADLINES: dict[Component, str] = {
    Component.HOME: "The fault is in your home network.",
    Component.ISP: "Your internet provider is at fault.",
    Component.TRANSIT: "A network between your provider and {platform} is at fault.",
    Component.POLICY: "{platform} is being blocked on the way to you.",
    Component.PLATFORM: "{platform} itself is in trouble.",
    Component.NONE: "The network is fine all the way to {platform}.",
    Component.UNDETERMINED: "It cannot be told yet who is at fault.",
}
_SURE = ((0.95, "high"), (0.8, "good"), (0.5, "moderate"), (0.0, "low"))


def clean(text: str, limit: int = _CUT) -> str:
    """`text` on one line, safe for a terminal: no control, format or surrogate characters, cut to `limit`."""
    cut = text[: limit + 1]
    shown = "".join("\ufffd" if unicodedata.category(c)[0] == "C" else " " if c.isspace() else c for c in cut)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def platform_name(name: str) -> str:
    """The platform as people write it."""
    return {"tiktok": "TikTok"}.get(name.lower(), clean(name, 60) or "the platform")


def who(component: Component, platform: str) -> str:
    """A component in plain words, as part of a sentence."""
    return _NAMES[component].format(platform=platform_name(platform))


def headline(component: Component, platform: str) -> str:
    """The answer in one sentence."""
    return _HEADLINES[component].format(platform=platform_name(platform))


def confidence(verdict: Verdict) -> str:
    """How sure the verdict is. A score that was not calibrated is never called a probability."""
    if verdict.component is Component.UNDETERMINED:
        return f"too low to name anybody (score {score(verdict.probability)})"
    if verdict.calibrated:
        return f"{percent(verdict.probability)} probable (as in simulated networks)"
    word = next(word for floor, word in _SURE if verdict.probability >= floor)
    return f"{word} (score {score(verdict.probability)}, not calibrated)"


def likelihood(value: float, *, calibrated: bool) -> str:
    """How likely a candidate is, by the same rule."""
    return percent(value) if calibrated else f"score {score(value)}"


def score(value: float) -> str:
    """Two digits; never a rounded-up certainty."""
    return "> 0.99" if 0.995 <= value < 1.0 else "< 0.01" if 0 < value < 0.005 else f"{value:.2f}"


def percent(value: float) -> str:
    """A probability for people, never 0 % or 100 %."""
    return "> 99 %" if value > 0.99 else "< 1 %" if value < 0.01 else f"{value * 100:.0f} %"


def milliseconds(seconds: float | None) -> str:
    """A round trip with its unit."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"


def duration(seconds: float) -> str:
    """A stretch of time in the two largest units that it fills."""
    rest = round(max(0.0, seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def moment(unix_s: float) -> str:
    """A time in UTC, which every reader of a ticket understands."""
    return _utc(unix_s).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(unix_s: float) -> str:
    """A time of day in UTC."""
    return _utc(unix_s).strftime("%H:%M:%S")


def _utc(unix_s: float) -> dt.datetime:
    latest = 253402300799.0  # the year 9999: what a datetime can hold
    return dt.datetime.fromtimestamp(min(max(unix_s, 0.0), latest), tz=dt.UTC)


def octets(count: int) -> str:
    """A number of bytes for people."""
    return f"{count} bytes" if count < 1000 else f"{count / 1000:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def capitalised(text: str) -> str:
    """The first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def counted(count: int, noun: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ttls(numbers: Sequence[int]) -> str:
    """`hop 3`, `hops 3–5 and 8`, of numbers in order."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    shown = listed(str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}" for group in groups)
    return f"hop {shown}" if len(numbers) == 1 else f"hops {shown}"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    names = list(items)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def footing_limits(footing: Footing, protocols: Iterable[Protocol], *, brief: bool = False) -> list[str]:
    """By which rungs lower than raw sockets probes leave, half a sentence a rung; not `brief`: and what that hides."""
    by_rung: dict[str, list[str]] = {}
    for protocol in protocols:
        by_rung.setdefault(footing.get(protocol, RAW), []).append(protocol.value)
    said = []
    for ident, carried in by_rung.items():
        if ident == NOT_AT_ALL:
            said.append(f"no {listed(carried)} probes can be sent")
        elif ident != RAW:
            limits = "" if brief else f" ({rung(ident).limits})"
            said.append(f"{listed(carried)} probes leave by {rung(ident).name}{limits}")
    return said


def not_seen(report: Report) -> str:
    """That this machine did not let everything be measured, in two sentences; empty where it did."""
    footing = next((o.fact.footing for o in report.observations if isinstance(o.fact, HostState)), {})
    limits = footing_limits(footing, (Protocol.ICMP, Protocol.TCP), brief=True)
    return (
        f"Not everything could be seen: {'; '.join(limits)}. netprobe doctor tells the cost and the cure."
        if limits
        else ""
    )
