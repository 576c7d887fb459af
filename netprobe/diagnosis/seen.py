"""What the facts show beside what the signals say of it: one thing a function, and nobody's fault.

Each gives the indices of the observations that show it, and none where they do not. `data/signals.toml` names them.
"""

import ipaddress
import itertools
from collections.abc import Callable, Iterable
from statistics import median

from netprobe.diagnosis.facts import Destination, Found, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.model.host import HostState, Link
from netprobe.model.probes import Exchange, Path, Protocol, ReplyKind, Train
from netprobe.model.services import Answer, Response
from netprobe.probing.cookies import cookie_signs

Indices = tuple[int, ...]

_WEAK_DBM = -70.0
_REPEATED = 0.2  # of all frames
_SLOW_CABLE_MBIT = 100  # today's cards and switches agree on 1000: two of four pairs of wires are enough for 100
_BUSY_MBIT = (0.8, 8.0)  # sent, received: the survey itself sends little and loads certificates
_IDLE_MBIT = 0.3
_NEAR_S, _WAITING_S = 0.03, 0.15
_STEP_S = 0.08  # between two hops; a cable over an ocean is 0.04
_SLOW_HANDSHAKE_S, _HANDSHAKE_FACTOR = 1.0, 8.0
_SOON_S = 0.005
_ERROR, _FORBIDDEN = 500, frozenset({401, 403, 451})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOSTLY = 0.5


def _host(view: View, shows: Callable[[HostState, Link | None], bool]) -> Indices:
    """The looks at the own machine that show something of it and of the link that counts."""
    return tuple(index for index, host in view.facts.hosts if shows(host, host.link))


def wireless(view: View) -> Indices:
    """The link is a radio one."""
    return _host(view, lambda _, link: link is not None and link.wireless)


def weak_signal(view: View) -> Indices:
    """It hears its access point faintly."""
    return _host(view, lambda _, link: link is not None and (link.signal_dbm or 0.0) <= _WEAK_DBM)


def repeats(view: View) -> Indices:
    """Many frames have to be sent again over the air."""
    return _host(view, lambda _, link: link is not None and (link.retries or 0.0) >= _REPEATED)


def broken_frames(view: View) -> Indices:
    """A wired link counts broken frames."""
    return _host(
        view, lambda _, link: link is not None and not link.wireless and bool(link.rx_errors or link.tx_errors)
    )


def slow_cable(view: View) -> Indices:
    """A wired link is slower than its cards can be."""
    return _host(view, lambda _, x: x is not None and not x.wireless and 0 < (x.speed_mbit or 0) <= _SLOW_CABLE_MBIT)


def detour(view: View) -> Indices:
    """What leaves goes into a tunnel, or programs are told of a proxy."""
    return _host(view, lambda host, link: bool(host.proxy) or (link is not None and link.tunnel))


def several_uplinks(view: View) -> Indices:
    """The machine has more than one way out."""
    return _host(view, lambda host, _: len(host.uplinks) > 1)


def own_traffic(view: View) -> Indices:
    """This machine itself sends or loads much during the measurement."""
    sent, received = view.facts.own_mbit
    busy = (sent or 0.0) >= _BUSY_MBIT[0] or (received or 0.0) >= _BUSY_MBIT[1]
    return _first_and_last(view) if busy else ()


def own_idle(view: View) -> Indices:
    """This machine itself sends next to nothing during the measurement."""
    sent, received = view.facts.own_mbit
    idle = sent is not None and sent <= _IDLE_MBIT and received is not None and received <= _BUSY_MBIT[1]
    return _first_and_last(view) if idle else ()


def _first_and_last(view: View) -> Indices:
    return view.facts.hosts[0][0], view.facts.hosts[-1][0]


def not_sent(view: View) -> Indices:
    """The kernel has no way for what is to be sent."""
    return tuple(
        index
        for index, observation in enumerate(view.facts.observations)
        if any(x.reply and x.reply.kind is ReplyKind.SEND_FAILED for x in _exchanges(observation.fact))
        or (isinstance(observation.fact, Response) and observation.fact.handshaken.error == "local")
    )


def _exchanges(fact: object) -> tuple[Exchange, ...]:
    match fact:
        case Train():
            return fact.exchanges
        case Path():
            return tuple(x for hop in fact.hops for x in hop.exchanges)
        case _:
            return ()


def _connects(destination: Destination) -> list[float]:
    """Round trips of connections."""
    trains = [t for _, t in destination.trains if t.protocol is Protocol.TCP]
    return [x.reply.rtt_s for t in trains for x in t.exchanges if x.reply and x.reply.kind is ReplyKind.SYN_ACK]


def waits_everywhere(view: View) -> Indices:
    """The home router answers at once, and everything behind it late."""
    near = [x.reply.rtt_s for _, t in view.facts.gateway for x in t.exchanges if x.reply]
    best = [min(times) for c in view.controls if (times := _connects(c))]
    if not near or not best or min(near) > _NEAR_S or median(best) < _WAITING_S:
        return ()
    return tuple(i for c in view.controls for i in c.facts)


def step(view: View) -> Indices:
    """Behind some hop of a way everything takes much longer, while what is nearer answers soon."""
    found = []
    for index, path in (*view.facts.all_paths, *view.facts.loss_paths):
        times = [
            (hop.ttl, min(x.reply.rtt_s for x in hop.exchanges if x.reply))
            for hop in path.hops
            if any(x.reply for x in hop.exchanges)
        ]
        if any(
            b - a >= _STEP_S and min(t for n, t in times if n > ttl) - a >= _STEP_S
            for (ttl, a), (_, b) in _pairs(times)
        ):
            found.append(index)
    return tuple(dict.fromkeys(found))


def _pairs(times: list[tuple[int, float]]) -> Iterable[tuple[tuple[int, float], tuple[int, float]]]:
    return itertools.pairwise(times)


def shared_space(view: View) -> Indices:
    """An address of carriers' translators is on the way (RFC 6598)."""
    shared = ipaddress.ip_network("100.64.0.0/10")
    return tuple(
        index
        for index, path in view.facts.all_paths
        if any(ipaddress.ip_address(a) in shared for hop in path.hops for a in hop.addresses if ":" not in a)
    )


def connections_by_chance(view: View) -> Indices:
    """Of connections to one place some are opened and others never, at several unrelated places."""
    mixed = [
        (i, t)
        for place in (*view.edges, *view.controls)
        for i, t in place.trains
        if t.protocol is Protocol.TCP and 0 < t.accepted < len(t.exchanges)
    ]
    return tuple(i for i, _ in mixed) if len({t.destination for _, t in mixed}) > 1 else ()


def _platform_answers(view: View, shows: Callable[[Answer], bool]) -> Indices:
    return tuple(i for i, a in view.facts.platform_answers if shows(a))


def nowhere_addresses(view: View) -> Indices:
    """The platform's names are given addresses at which nobody is."""
    return _platform_answers(view, lambda a: any(_is_nowhere(x) for x in a.addresses))


def _is_nowhere(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return True
    return parsed.is_unspecified or parsed.is_loopback or parsed.is_private


def answered_at_once(view: View) -> Indices:
    """The platform's names are answered before any server outside could be asked."""
    at_home = view.facts.at_home
    return _platform_answers(
        view, lambda a: bool(a.rcode) and at_home(a.lookup.resolver) and (a.rtt_s or 1.0) <= _SOON_S
    )


def several_resolvers_fail(view: View) -> Indices:
    """Every resolver that works fails at names of the platform."""
    failed = [(i, a) for i, a in view.facts.platform_answers if a.rcode == "SERVFAIL"]
    return tuple(i for i, _ in failed) if len({a.lookup.resolver for _, a in failed}) > 2 else ()


def several_answers(view: View) -> Indices:
    """One question about the platform draws several answers, and those about other names do not."""
    if any(a.responses > 1 for _, a in view.facts.control_answers):
        return ()
    return tuple(i for i, a in view.facts.platform_answers if a.responses > 1)


def made_up(view: View) -> Indices:
    """A name that nobody has is given an address."""
    return tuple(i for i, a in view.facts.missing if a.usable)


def _served(view: View, role: str = "") -> list[tuple[str, Found[Response]]]:
    """The best answer of each name of the platform (of a role)."""
    found = []
    for name in sorted({n for edge in view.edges for n in edge.names}):
        target = view.facts.targets.get(name)
        asked = [f for edge in view.edges for f in edge.fetches if f[1].fetch.handshake.server_name == name]
        best = best_fetch(asked)
        if best is not None and (not role or (target is not None and target.role == role)):
            found.append((name, best))
    return found


def _bad(response: Response) -> bool:
    return not response.status or response.status >= _ERROR


def interfaces_fail(view: View) -> Indices:
    """What is made for each request fails, what is kept in copies near by does not."""
    failing = {name for name, found in _served(view) if _bad(found[1])}
    roles = {view.facts.targets[name].role for name in failing if name in view.facts.targets}
    kept = [
        found[0] for role in ("static", "image", "video") for name, found in _served(view, role) if name not in failing
    ]
    return tuple(kept) if "api" in roles and kept and not roles & {"static", "image", "video"} else ()


def one_data_centre_fails(view: View) -> Indices:
    """The names of one data centre fail, those of others do not."""
    failing: set[str] = set()
    fine: set[str] = set()
    indices: list[int] = []
    for name, (index, response) in _served(view):
        target = view.facts.targets.get(name)
        if target is not None and target.data_centre:
            (failing if _bad(response) else fine).add(target.data_centre)
            indices += [index] if _bad(response) else []
    return tuple(indices) if len(failing) == 1 and fine - failing else ()


def _refused(view: View, role: str) -> Indices:
    return tuple(i for _, (i, r) in _served(view, role) if r.status in _FORBIDDEN)


def login_refused(view: View) -> Indices:
    """Logging in is answered, with a refusal or a challenge."""
    return _refused(view, "login")


def upload_refused(view: View) -> Indices:
    """Uploads are answered, with a refusal."""
    return _refused(view, "upload")


def challenge(view: View) -> Indices:
    """A page asks whether one is a person."""
    return tuple(i for _, (i, r) in _served(view) if r.headers.get("cf-mitigated"))


def retry_after(view: View) -> Indices:
    """The platform says when to come back."""
    return tuple(i for _, (i, r) in _served(view) if "retry-after" in r.headers)


def redirected_alike(view: View) -> Indices:
    """Most names of the platform lead to one and the same page."""
    seen = _served(view)
    led = [(i, r.headers.get("location", "")) for _, (i, r) in seen if r.status in _REDIRECTS]
    alike = {where for _, where in led}
    return tuple(i for i, _ in led) if len(alike) == 1 and len(led) > _MOSTLY * len(seen) else ()


def slow_handshakes(view: View) -> Indices:
    """Handshakes with the platform take long, those with unrelated services do not."""
    ours = [(i, r.handshaken.tls_s) for e in view.edges for i, r in e.fetches if r.handshaken.tls_s is not None]
    others = [r.handshaken.tls_s for c in view.controls for _, r in c.fetches if r.handshaken.tls_s is not None]
    if not ours or not others:
        return ()
    usual, typical = median(others), median(t for _, t in ours)
    return tuple(i for i, _ in ours) if typical >= max(_SLOW_HANDSHAKE_S, _HANDSHAKE_FACTOR * usual) else ()


def strangers_page(view: View) -> Indices:
    """Behind a certificate that nobody vouches for there is a page that leads elsewhere."""
    return tuple(i for i, r in view.facts.unchecked if r.status in _REDIRECTS and r.headers.get("location"))


def lost_to_platform(view: View) -> Indices:
    """SYNs are lost on the way to several of the platform's addresses, and hardly any to others."""
    lossy = [e for e in view.edges if _lost(e)]
    sound = [c for c in view.controls if not _lost(c)]
    alike = len({e.network for e in lossy}) > 1
    return tuple(i for e in lossy for i in e.facts) if alike and 2 * len(sound) > len(view.controls) else ()


def _lost(destination: Destination) -> int:
    return sum(x.reply is None for _, t in destination.trains if t.protocol is Protocol.TCP for x in t.exchanges)


def cookies(view: View) -> Indices:
    """Answers to SYNs look as those of a server that keeps nothing in mind do."""
    found = []
    for edge in view.edges:
        trains = [(i, t) for i, t in edge.trains if t.protocol is Protocol.TCP]
        headers = [
            x.reply.tcp
            for _, t in trains
            for x in t.exchanges
            if x.reply and x.reply.tcp and x.reply.kind is ReplyKind.SYN_ACK
        ]
        found += [i for i, _ in trains] if headers and cookie_signs(headers) else []
    return tuple(found)


def moved(view: View) -> Indices:
    """A name is delivered by another network than its catalogue says, one that delivers the platform."""
    known = {*view.facts.platform.cdn_asns, "own"}
    return tuple(i for e in view.edges for i in e.facts if e.network in known and e.claimed and e.network != e.claimed)


def ends_elsewhere(view: View) -> Indices:
    """The way to an address of the platform ends, without an answer, in a network that is none of its deliverers'."""
    known = {*view.facts.platform.cdn_asns, "own"}
    found = []
    for edge in view.failing_edges:
        for index, path in edge.paths:
            last = path.last_responding
            networks = {view.facts.network(a) for a in last.addresses} if last else set()
            isp = {view.facts.network(s.address) for s in view.paths.steps(index, path)[:4]}
            if networks and not networks & known and not networks & isp:
                found.append(index)
    return tuple(found)


#: By the names that data/signals.toml uses.
SEEN: dict[str, Callable[[View], Indices]] = {
    each.__name__: each
    for each in (
        wireless,
        weak_signal,
        repeats,
        broken_frames,
        slow_cable,
        detour,
        several_uplinks,
        own_traffic,
        own_idle,
        not_sent,
        waits_everywhere,
        step,
        shared_space,
        connections_by_chance,
        nowhere_addresses,
        answered_at_once,
        several_answers,
        several_resolvers_fail,
        made_up,
        interfaces_fail,
        one_data_centre_fails,
        login_refused,
        upload_refused,
        challenge,
        retry_after,
        redirected_alike,
        slow_handshakes,
        strangers_page,
        lost_to_platform,
        cookies,
        moved,
        ends_elsewhere,
    )
}
