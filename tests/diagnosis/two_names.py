"""Pages that were asked for by the platform's name and by another one at the same time, as a survey would see them."""

from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Handshaken, Response

_ASKED = Handshake("192.0.2.1", 443, "www.tiktok.com")
_LARGE = 131_072


def page(kbit: float, *, most: int = _LARGE, dead: bool = False, tls_s: float = 0.03) -> Response:
    """A page that comes at so many kbit/s, for five seconds at most; `dead`: and nothing after `most` bytes."""
    rate = kbit * 125.0
    took_s = min(4.9, most / rate)
    size = min(most, round(rate * took_s))
    curve = tuple((took_s * part / 16, size * part // 16) for part in range(1, 17))
    quiet_s = 4.9 - took_s if dead else 0.1 if took_s == 4.9 else None
    error = "" if quiet_s is None else "timeout"
    shaken = Handshaken(_ASKED, "done", connect_s=0.02, tls_s=tls_s)
    return Response(Fetch(_ASKED), shaken, 200, error, 0.1, arrived_bytes=size, quiet_s=quiet_s, curve=curve)


def pairs(*each: tuple[Response, Response]) -> tuple[Observation, ...]:
    """By the platform's name, and by another one."""
    return tuple(
        Observation(10.0 + turn, purpose, "www.tiktok.com", fact)
        for turn, pair in enumerate(each)
        for purpose, fact in zip(("edge.speed", "edge.speed.other"), pair, strict=True)
    )
