"""What is served: statuses, notices, time to the first byte, and whether everything together works."""

from statistics import median

from netprobe.diagnosis.facts import Found, Reach, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.diagnosis.signals.errors import (
    LEGAL,
    SERVER_ERROR,
    Answers,
    errors,
    function_fails,
    function_refused,
)
from netprobe.diagnosis.signals.tls import outcomes
from netprobe.model.services import Response

_FORBIDDEN, _UNAVAILABLE = 403, 503  # RFC 9110, 15.5.4 and 15.6.4
SLOW_S = 2.0  # to the first byte, beyond what the connection took: nobody waits longer without noticing
SLOW_COUNT = 2  # one late answer may be chance
SLOW_FACTOR = 8.0  # times the connection's round trip
DEAD_S = 1.5  # without a byte: no retransmission of the first three has got through
ALIKE = 2.0  # times as much: what counts is the connection, and certificates in front of the answers differ
#: What TLS 1.3 brings unasked behind a handshake (RFC 8446, 4.6.1): a ticket or two of OpenSSL's are no answer yet.
TICKETS_BYTES = 1024
CAP_BYTES = 24_000  # caps on connections end them after 14 to 20 KB


def _answers(view: View) -> Answers:
    """Fetches at the platform whose handshake was finished and verified."""
    return {key: f for key, f in outcomes(view).items() if f[1].handshaken.done}


def controls(view: View) -> Finding | None:
    """Do unrelated services serve, those that accept connections?"""
    there = [c for c in view.controls if c.reach is Reach.OPEN]
    fetched = [f for c in there if (f := best_fetch(c.fetches))]
    if not fetched:
        return None
    indices = tuple(i for i, _ in fetched)
    served = [r for _, r in fetched if r.handshaken.done and r.status]
    state = "all" if len(served) == len(fetched) else "some" if served else "none"
    return Finding(
        state, f"{of(len(served), len(fetched))} unrelated services that accept connections serve their pages.", indices
    )


def status(view: View) -> Finding | None:
    """What do the platform's servers say?"""
    seen = _answers(view)
    stalling = {key for key in seen if _stalls(view, *key)}
    seen = {k: f for k, f in seen.items() if f[1].status or k in stalling}
    if not seen:
        return None
    total = len(seen)
    indices = tuple(i for i, _ in seen.values())
    failed = {k: f for k, f in seen.items() if k in stalling or f[1].status >= SERVER_ERROR}
    notices = {k: f for k, f in seen.items() if f[1].status in {_FORBIDDEN, LEGAL}}
    if any(f[1].status == LEGAL for f in notices.values()) and 2 * len(notices) > total:
        return Finding(
            "notice",
            f"{of(len(notices), total)} of the platform's servers say, under their own certificates, "
            "that they may not serve you (451).",
            indices,
        )
    if len(notices) == total and _web_among(view, notices):
        return Finding(
            "forbidden",
            f"{of(total, total)} of the platform's servers refuse to serve you (403), under their own certificates.",
            indices,
        )
    if not failed:
        fine = Finding("fine", f"{of(total, total)} of the platform's pages are answered.", indices)
        return function_refused(view, seen) or fine
    if failed.keys() <= stalling:
        return _silence(view, seen, failed)
    codes = sorted({f[1].status for f in failed.values() if f[1].status})
    told = f"{of(len(failed), total)} of the platform's servers answer with an error ({', '.join(map(str, codes))})"
    planned = [f for f in failed.values() if f[1].status == _UNAVAILABLE and "retry-after" in f[1].headers]
    if 2 * len(planned) > len(failed):
        return Finding("maintenance", f"{told} and say when to come back.", tuple(i for i, _ in failed.values()))
    return errors(view, seen, failed, told)


def _silence(view: View, seen: Answers, failed: Answers) -> Finding:
    """Requests that are taken and not answered, or not to the end."""
    total, indices = len(seen), tuple(i for i, _ in failed.values())
    begun = [r for r in (_farthest(view, *k) for k in failed) if r.arrived_bytes > TICKETS_BYTES]
    if 2 * len(begun) > len(failed):
        return _cut(view, begun, total, indices)
    told = f"{of(len(failed), total)} of the platform's servers take the request and never answer"
    return function_fails(view, seen, failed, told) or Finding("stalls", f"{told}.", indices)


def _cut(view: View, begun: list[Response], total: int, facts: tuple[int, ...]) -> Finding:
    """Answers that begin and do not end: do they crawl, or go dead, and all after the same amount?"""
    told = f"{of(len(begun), total)} of the platform's servers begin to answer"
    if 2 * sum((r.quiet_s or 0.0) < DEAD_S for r in begun) > len(begun):
        rate = median(8e-3 * r.arrived_bytes / r.fetch.handshake.timeout_s for r in begun)
        return Finding("crawls", f"{told}, and what they send comes at {rate:.0f} kbit/s.", facts)
    most = _most(view, begun)
    sizes = sorted(most.values())
    amount = (
        f"{sizes[0] / 1e3:.0f} to {sizes[-1] / 1e3:.0f} KB"
        if sizes[-1] - sizes[0] >= 1000
        else f"{sizes[-1] / 1e3:.0f} KB"
    )
    if len(most) > 1 and sizes[-1] <= min(ALIKE * sizes[0], CAP_BYTES):
        return Finding(
            "cut_alike",
            f"{told}, and nothing comes any more after {amount}, at {len(most)} delivery networks that have "
            "nothing to do with each other.",
            facts,
        )
    return Finding("cut", f"{told}, and nothing comes any more after {amount}.", facts)


def _farthest(view: View, name: str, address: str) -> Response:
    """Of all answers that have stalled the one that brought most, in whatever segments."""
    tried = [r for _, r in view.facts.edges[address].fetches if r.fetch.handshake.server_name == name]
    small = [r for _, r in view.facts.small_fetches if r.fetch.handshake.address == address]
    return max((*tried, *small), key=lambda r: r.arrived_bytes)


def _most(view: View, begun: list[Response]) -> dict[str, int]:
    """What each delivery network has brought over one connection at the most, however often it was asked.

    Whoever counts on the way also counts what is lost behind it and comes again, so that less may arrive. Where several
    were asked in small segments, which fit everywhere, only those count.
    """
    facts = view.facts
    small = [r for _, r in facts.small_fetches]
    networks = {
        facts.edges[r.fetch.handshake.address].network for r in small if r.fetch.handshake.address in facts.edges
    }
    most: dict[str, int] = {}
    for response in (*begun, *small):
        network = facts.edges[response.fetch.handshake.address].network
        if network in networks or len(networks) <= 1:
            most[network] = max(most.get(network, 0), response.arrived_bytes)
    return most


def _stalls(view: View, name: str, address: str) -> bool:
    """Whether every request got through the handshake and no whole answer, more than once: loss does that once."""
    tried = [r for _, r in view.facts.edges[address].fetches if r.fetch.handshake.server_name == name]
    return len(tried) > 1 and all(r.handshaken.done and (not r.status or r.error == "timeout") for r in tried)


def _web_among(view: View, keys: dict[tuple[str, str], Found[Response]]) -> bool:
    """Media hosts refuse a bare request as a matter of course; pages and interfaces do not."""
    return any(view.facts.targets[n].role in {"web", "api", "login"} for n, _ in keys if n in view.facts.targets)


def speed(view: View) -> Finding | None:
    """Do the platform's servers think for long, while the network is quick?"""
    timed = [
        f for f in _answers(view).values() if f[1].first_byte_s is not None and f[1].handshaken.connect_s is not None
    ]
    if not timed:
        return None
    indices = tuple(i for i, _ in timed)
    slow = [r for _, r in timed if _is_slow(r)]
    if len(slow) < min(SLOW_COUNT, len(timed)):
        typical = median(r.first_byte_s or 0.0 for _, r in timed)
        trickling = [r for _, r in timed if (r.first_byte_s or 0.0) > SLOW_S]
        if 2 * len(trickling) > len(timed):
            return Finding(
                "trickles",
                f"{of(len(trickling), len(timed))} of the platform's servers begin to answer at once, and it takes "
                f"{typical:.1f} s until the first of it is whole: what they send is slow on its way.",
                indices,
            )
        return Finding(
            "quick", f"The platform's servers answer within {1000 * typical:.0f} ms (median of {len(timed)}).", indices
        )
    wait = median(r.first_byte_s or 0.0 for r in slow)
    told = f"{of(len(slow), len(timed))} of the platform's servers think for {wait:.1f} s"
    unrelated = [r for c in view.controls for _, r in c.fetches if r.first_byte_s is not None]
    if any(_is_slow(r) for r in unrelated):
        return Finding("slow_everywhere", f"{told}, and unrelated services do too.", indices)
    if any(r.handshaken.tls_s is not None and r.handshaken.tls_s > SLOW_S for r in slow):
        return Finding("slow_handshake", f"{told}, and the handshakes crawl too.", indices)
    return Finding("slow", f"{told}, over quick connections.", indices)


def _is_slow(response: Response) -> bool:
    """Whether the server was silent for long: what trickles in is slow on the way, and not at the server."""
    first, connect = response.first_byte_s or 0.0, response.handshaken.connect_s or 0.0
    pause = first if response.pause_s is None else response.pause_s
    return min(first, pause) > SLOW_S and min(first, pause) > SLOW_FACTOR * connect


def whole(view: View) -> Finding | None:
    """Does everything together work, name by name?"""
    names = sorted(view.names.known_names)
    if not names:
        return None
    served, indices = [], []
    for name in names:
        fetched = [f for e in view.edges for f in e.fetches if f[1].fetch.handshake.server_name == name]
        best = best_fetch(fetched)
        if best is None:
            continue
        indices.append(best[0])
        response = best[1]
        answered = response.handshaken.done and 0 < response.status < SERVER_ERROR and response.status != LEGAL
        ok = answered and response.error != "timeout"
        if ok:
            served.append(name)
    if not indices:
        return None
    state = "works" if len(served) == len(indices) else "partly" if served else "broken"
    return Finding(state, f"{of(len(served), len(indices))} of the platform's services work from here.", tuple(indices))


SIGNALS = (
    Signal("controls.serve", "controls_serve", ("all", "some", "none"), controls, good=("all",)),
    Signal(
        "http.status",
        "http",
        (
            "fine",
            "notice",
            "forbidden",
            "stalls",
            "crawls",
            "cut",
            "cut_alike",
            "maintenance",
            "errors_vendor",
            "errors_one_network",
            "errors_one_place",
            "errors_login",
            "errors_upload",
            "errors_live",
            "notice_limited",
            "challenge_login",
            "errors_some",
            "errors_all",
        ),
        status,
        good=("fine",),
    ),
    Signal(
        "http.speed",
        "speed",
        ("quick", "trickles", "slow", "slow_handshake", "slow_everywhere"),
        speed,
        good=("quick",),
    ),
    Signal("service.whole", "service", ("works", "partly", "broken"), whole, good=("works",)),
)
