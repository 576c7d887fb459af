"""Is the platform slow by its name? The same page of the same server, asked for by its name and by a scrambled one.

Whoever slows a platform down on purpose goes by the name in the ClientHello; a full line, a lossy way and a crowded
crossing are slow for any name. So where the platform is slow the same page is asked for twice at the same time, over
two connections that differ in this name alone: inside of TLS, where only the server reads, both ask for the same. After
it comes a page of somebody else. (Wehe compares a recorded video with the same bytes scrambled.)

At most 0.9 MB are received and some 50 KB sent for all of this, and only where the platform is slow, or is said to be.
"""

from collections.abc import Sequence

from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.ask import fetch
from netprobe.probing.observe import Observe
from netprobe.probing.questions import FETCH_TIMEOUT_S, HTTPS, apart
from netprobe.probing.run import Plan
from netprobe.probing.throughput import duration_s, goodput

LARGE = 131_072  # bytes of a page that are read: beyond 64 KB, and well beyond what caps let pass
ENOUGH = 16_000  # bytes without which nothing can be said of a speed
ROUNDS = 3
SPEED_MSS = 1220  # fits through every tunnel (RFC 8200, 5): here it is not about the size of packets
DRAGS_S = 1.5  # a page or a handshake that takes longer is slow
_SLOW_PAGES = 2  # one may be chance
_SLOWER = 2.0  # times; where the first pair differs by less there is no second one


def drags(response: Response) -> bool:
    """Whether it was connected, and the handshake or the page took long or never ended."""
    shaken = response.handshaken
    if shaken.phase == "connect":
        return False
    return "timeout" in {shaken.error, response.error} or max(shaken.tls_s or 0.0, duration_s(response)) > DRAGS_S


def scrambled(name: str) -> str:
    """A name of the same length that nobody has on a list, in the same top-level domain."""
    labels, dot, top = name.rpartition(".")
    return labels.translate(_TURNED) + dot + top


_LETTERS, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_TURNED = str.maketrans(_LETTERS + _DIGITS, _LETTERS[13:] + _LETTERS[:13] + _DIGITS[5:] + _DIGITS[:5])


def compare_by_name(
    found: Sequence[Observation],
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    *,
    wanted: bool = False,
) -> Plan[list[Observation]]:
    """Large pages by name, where the platform drags; `wanted`: in any case, because the user finds it slow."""
    pages = {
        (o.subject, o.fact.fetch.handshake.address): o.fact
        for o in found
        if o.purpose == "edge.fetch" and isinstance(o.fact, Response)
    }
    slow = [key for key, response in pages.items() if drags(response)]
    if not (wanted or len(slow) >= min(_SLOW_PAGES, len(pages))) or not pages:
        return []
    connected = {key for key, response in pages.items() if response.handshaken.phase != "connect"}
    there = [e for e in edges if (e.name, e.address) in connected]
    ranked = sorted(
        apart(there),
        key=lambda e: ((e.name, e.address) not in slow, not e.large_path, -pages[e.name, e.address].arrived_bytes),
    )
    looked: list[Observation] = []
    for edge in ranked[:1]:
        for _ in range(ROUNDS):
            pair = yield [
                Observe("edge.speed", edge.name, fetch(_page(edge, edge.name))),
                Observe("edge.speed.other", edge.name, fetch(_page(edge, scrambled(edge.name)))),
            ]
            looked += pair
            if not _differ(*(o.fact for o in pair)):
                break
    served = [(c, a, _largest(found, c.name)) for c, a in controls if not c.vendor]
    served.sort(key=lambda one: (not one[0].large_path, -one[2]))
    for control, address, size in served[:1]:
        if size:
            asked = Handshake(address, HTTPS, control.name, timeout_s=FETCH_TIMEOUT_S, mss=SPEED_MSS)
            page = Fetch(asked, path=control.large_path or control.path, body_limit=LARGE)
            looked += yield [Observe("control.speed", control.name, fetch(page))]
    return looked


def _page(edge: Edge, server_name: str) -> Fetch:
    """The edge's large page by any name; whom the certificate is for does not matter."""
    asked = Handshake(edge.address, HTTPS, server_name, verify=False, timeout_s=FETCH_TIMEOUT_S, mss=SPEED_MSS)
    return Fetch(asked, path=edge.large_path or "/", body_limit=LARGE, host=edge.name)


def _largest(found: Sequence[Observation], control: str) -> int:
    sizes = [
        o.fact.arrived_bytes
        for o in found
        if o.purpose == "control.fetch" and o.subject == control and isinstance(o.fact, Response)
    ]
    return max(sizes, default=0)


def _differ(named: Response, other: Response) -> bool:
    """Whether the platform's name fared so much worse that another pair is worth its bytes."""
    if drags(named) and not drags(other) and other.handshaken.done:
        return True
    return _SLOWER * goodput(named) < goodput(other)
