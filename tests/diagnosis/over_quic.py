"""What a survey of the picture's internet sees over QUIC, beside what it sees over TCP."""

from collections.abc import Iterable

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.model.services import QuicHandshake, QuicHandshaken
from tests.diagnosis.picture import CONTROLS, ISP, TARGETS, way

#: What every page of a server that speaks QUIC says.
OFFERS = {"alt-svc": 'h3=":443"; ma=86400'}
ASKED = ("www.tiktok.com", "video.tiktokcdn.com")  # two delivery networks
COMPARED = ("one.one.one.one", "dns.google")
PLACES = {**TARGETS, **CONTROLS}


def shaken(name: str, address: str, error: str = "") -> QuicHandshaken:
    """A handshake that ended so."""
    return QuicHandshaken(QuicHandshake(address, server_name=name), "initial" if error else "done", error)


def quic(
    *lost: str,
    asked: Iterable[str] = ASKED,
    compared: Iterable[str] = COMPARED,
    error: str = "timeout",
    name_only: bool = False,
    probed: bool = False,
    ends: int = 0,
    dropped_locally: bool = False,
) -> tuple[Observation, ...]:
    """Handshakes with `asked` and `compared`, of which `lost` end in `error`, each as often as it is tried.

    `name_only`: it is the platform's names that are lost, wherever they are sent; `probed`: whatever the name, and
    probes are answered. `ends`: only so many routers of each
    way are seen, 0 for no trace at all.
    """
    found = []
    for what, names in (("edge", asked), ("control", compared)):
        for name in names:
            address = PLACES[name]
            wrong = error if name in lost else ""
            found.append(Observation(5.0, f"{what}.quic", name, shaken(name, address, wrong)))
            if not wrong:
                continue
            found.append(Observation(10.0, f"{what}.quic.again", name, shaken(name, address, wrong)))
            if error == "timeout":
                found += _looked_into(
                    what, name, address, name_only=name_only, probed=probed, ends=ends, dropped=dropped_locally
                )
    return tuple(found)


def _looked_into(
    what: str, name: str, address: str, *, name_only: bool, probed: bool, ends: int, dropped: bool
) -> Iterable[Observation]:
    answered = name_only or probed or dropped
    reply = Reply(ReplyKind.UDP_DATA, address, 0.02, dropped_locally=dropped) if answered else None
    train = Train(Protocol.QUIC, address, 443, tuple(Exchange(64, n, 10.0, reply) for n in range(3)))
    yield Observation(10.0, f"{what}.quic.probe", name, train)
    if what == "edge":
        other = shaken("dns.quad9.net", address, "" if name_only else "timeout")
        yield Observation(10.0, "quic.other", name, other)
        yield Observation(10.0, "quic.elsewhere", name, shaken(name, "1.1.1.1", "timeout" if name_only else ""))
    if ends:
        seen = [Reply(ReplyKind.TIME_EXCEEDED, r, 0.01, icmp_type=11, icmp_code=0) for r in way(address)[:ends]]
        hops = tuple(Hop(n, (Exchange(n, n, 11.0, one),)) for n, one in enumerate([*seen, None, None, None], 1))
        yield Observation(11.0, f"{what}.quic.path", name, Path(Flow(Protocol.QUIC, address, 443), hops, reached=False))


EVERYBODY = (*ASKED, *COMPARED)
AT_HOME, AT_ISP = 1, 1 + len(ISP)  # routers that are seen of a way that ends there
