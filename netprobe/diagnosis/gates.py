"""What makes other measurements worthless: a dead gateway discards everything beyond it, and so on down the way.

A gate looks at evidence that still counts, so that what was discarded discards nothing. The order is the packet's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from netprobe.diagnosis.signals import reach
from netprobe.diagnosis.signals.firewall import IN_THE_WAY
from netprobe.model.verdict import Evidence, Level


class Gate(NamedTuple):
    """When `signal` is in one of `states`, the signals in `discards` are discarded, but for the states in `spares`.

    An empty `reason` is what the signal says.
    """

    signal: str
    states: tuple[str, ...]
    discards: tuple[str, ...]
    reason: str
    spares: tuple[str, ...] = ()


_NAMES = ("dns.configured", "dns.others", "dns.platform", "dns.transports", "dns.zone")
_REACH = ("reach.controls", "reach.platform", "path.breaks", "platform.vendors", "edge.refused", "edge.refusals")
_SERVED = (
    "tls.handshakes",
    "tls.endings",
    "tls.place",
    "controls.serve",
    "http.status",
    "http.speed",
    "service.whole",
    "quic.handshakes",
)
_PLAIN = ("plain.controls", "plain.platform")
_SERVICE = ("path.mtu", "path.branch", "path.loss", "tls.certificates", *_SERVED)

_BREAKS = next(signal.states for signal in reach.SIGNALS if signal.id == "path.breaks")
_ALL_BREAK = ("gateway", "isp_everything", "transit_everything", "unclear")  # states in which nothing is reached at all

#: What an answer says, and not a silence or a time: it stays true however late it was read.
_ANSWERED = (
    *(
        "yes",
        "ignores_ping",
        "forwards",
        "works",
        "work",
        "home_down",
        "right",
        "injected",
        "wrong_outside",
        "all",
        "fine",
    ),
    *(
        "bogus_everywhere",
        "quick",
        "valid",
        "no",
        "told",
        "light",
        "limiter",
        "reset_by_name",
        "by_name_here",
        "notice",
    ),
    *("forbidden", "maintenance", "errors_vendor", "errors_one_network", "errors_some", "errors_all"),
    *("errors_one_place", "errors_login", "errors_upload", "errors_live", "notice_limited", "challenge_login"),
)

GATES: tuple[Gate, ...] = (
    Gate(
        "host.busy",
        ("starved", "overloaded"),
        ("path.breaks", "platform.vendors"),
        "",
        spares=("none", "loop_isp", "loop_transit", "loop_somewhere", "isp_prohibited", "filtered_somewhere"),
    ),
    Gate(
        "host.busy",
        ("starved", "overloaded"),
        (
            "gateway.answers",
            "host.firewall",
            *_NAMES,
            "reach.controls",
            "reach.platform",
            "path.mtu",
            "path.branch",  # not of a round that is merely late: that makes no flow silent five times running
            "ipv6.reach",
            *_SERVED,
        ),
        "",
        spares=(*_ANSWERED, "passes", "absent", "alike"),
    ),
    Gate(
        "host.busy",
        ("late", "starved", "overloaded"),
        ("path.loss", "http.speed"),
        "",
        spares=("light", "limiter", "quick"),
    ),
    Gate(
        "host.busy",
        ("late", "starved", "overloaded"),
        ("ipv6.reach",),
        "",
        spares=(
            *("absent", "works", "as_v4", "elsewhere", "unclear"),
            *("home", "isp", "transit", "somewhere", "edges", "stalls"),
        ),
    ),
    Gate(
        "host.busy",
        ("late", "starved", "overloaded"),
        ("dns.platform",),
        "",
        spares=(
            "right",
            "wrong_outside",
            "wrong_somewhere",
            "bogus_everywhere",
            "denied_everywhere",
            "fails_everywhere",
        ),
    ),
    Gate(
        "network.constant",
        ("changing",),
        (*_NAMES, "path.mtu", "path.branch", "ipv6.reach", "tls.certificates", *_PLAIN, *_SERVED),
        "the network changed while it was measured",
        spares=(*_ANSWERED, "absent"),
    ),
    Gate(
        "host.link",
        ("down", "no_route", "no_address", "dead_route"),
        ("gateway.answers", "host.firewall", "host.clock", *_NAMES, *_REACH, *_SERVICE, "ipv6.reach"),
        "without a connection nothing else could be measured",
        spares=("absent", "passes"),
    ),
    Gate(
        "gateway.answers",
        ("dead",),
        ("host.clock", *_NAMES, *_REACH, *_SERVICE, "ipv6.reach"),
        "behind a dead router nothing can be measured",
        spares=("absent",),
    ),
    Gate(
        "host.firewall",
        IN_THE_WAY,
        (
            "gateway.answers",
            *_NAMES,
            "path.breaks",
            "platform.vendors",
            "edge.refused",
            "edge.refusals",
            *_SERVICE,
            "ipv6.reach",
        ),
        "the device's own firewall is in the way",
        spares=("yes", "ignores_ping", "forwards", "works", "right", "none", "no", "fine", "valid", "all", "absent"),
    ),
    Gate(
        "plain.controls",
        ("led_away", "another_page"),
        ("path.loss", "path.queue", "path.branch"),
        "somebody answers in everybody's stead, so that this was not measured on the way to them",
        spares=("light", "limiter", "none", "alike"),
    ),
    Gate(
        "plain.controls",
        ("led_away", "another_page"),
        ("path.breaks",),
        "who answers in everybody's stead lets nothing else pass",
        spares=tuple(state for state in _BREAKS if state not in _ALL_BREAK),
    ),
    Gate(
        "path.breaks",
        _ALL_BREAK,
        (*_NAMES, "platform.vendors", *_SERVICE),
        "where nothing is reached at all, this says nothing more",
        spares=("home_down",),
    ),
    Gate(
        "path.breaks",
        ("loop_isp", "loop_transit", "loop_somewhere"),
        (*_NAMES, "platform.vendors", *_SERVICE),
        "packets that go in circles explain this",
        spares=("home_down", "works", "right"),
    ),
    Gate(
        "path.mtu",
        ("home", "isp", "transit", "far", "back_home", "back_line", "back_some"),
        _SERVED,
        "large packets that die on the way explain this",
    ),
    Gate(
        "path.queue",
        ("line", "line_lossy", "line_own"),
        ("path.mtu",),
        "a line that is full explains what is lost and slow, and large packets are lost there first",
        spares=("no", "told"),
    ),
    Gate(
        "path.branch",
        ("isp", "transit", "platform", "unclear"),
        (*_NAMES, *_REACH, "path.mtu", "path.loss", "ipv6.reach", *_SERVED),
        "one dead branch of several explains this",
        spares=("works", "work", "right", "fine", "quick", "light", "no", "told", "absent", "as_v4"),
    ),
    Gate(
        "path.loss",
        ("home", "line", "isp", "transit", "platform", "unclear"),
        ("dns.configured", "reach.controls", "reach.platform", "ipv6.reach", *_SERVED),
        "so much loss on the way may be the reason",
        spares=(
            *("works", "all", "fine", "quick", "reset_by_name", "drop_by_name", "notice", "maintenance", "absent"),
            "cut_alike",  # loss ends nothing after the same amount everywhere
        ),
    ),
    Gate(
        "path.loss",
        ("home", "line", "isp", "transit", "platform", "unclear"),
        ("dns.platform", "dns.transports"),
        "so much loss on the way may have taken the questions or the answers",
        spares=(
            *("right", "same", "injected", "denied_by_only", "denied_everywhere", "bogus_everywhere", "nobody"),
            *("wrong_at_home", "wrong_passed_on", "wrong_somewhere", "wrong_outside"),
            *("fails_everywhere", "silent_everywhere", "forged_at_home", "forged", "forged_own", "own_lies", "blocked"),
        ),
    ),
    Gate(
        "ipv6.reach",
        ("loses", "loses_isp", "loses_transit", "loses_platform"),
        ("path.loss",),
        "packets are lost over IPv6, and this was counted over IPv4",
    ),
    Gate(
        "dns.platform",
        ("wrong_at_home", "wrong_passed_on", "wrong_somewhere", "wrong_outside", "injected", "bogus_everywhere"),
        ("ipv6.reach",),
        "whoever answers falsely may do so about addresses of IPv6 too",
        spares=("absent", "works", "as_v4", "elsewhere", "home", "isp", "transit", "somewhere"),
    ),
    Gate(
        "tls.certificates",
        ("time_everywhere", "unknown_everywhere"),
        ("http.status", "http.speed", "service.whole"),
        "no certificate is accepted, so that nothing could be asked",
    ),
)


def apply(evidence: Sequence[Evidence], gates: Sequence[Gate] = GATES) -> tuple[Evidence, ...]:
    """`evidence` with what a gate discards marked so, and why."""
    items = {e.id: e for e in evidence}
    for gate in gates:
        cause = items.get(gate.signal)
        if cause is None or cause.level is not Level.SCORED or cause.state not in gate.states:
            continue
        for ident in gate.discards:
            item = items.get(ident)
            if item and item.level is Level.SCORED and item.state not in gate.spares and ident != gate.signal:
                items[ident] = msgspec.structs.replace(item, level=Level.DISCARDED, reason=gate.reason or _said(cause))
    return tuple(items[e.id] for e in evidence)


def _said(item: Evidence) -> str:
    """A sentence as a reason."""
    return item.sentence[:1].lower() + item.sentence[1:].rstrip(".")
