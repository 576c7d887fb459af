"""Answers on port 80, as a survey would see them."""

from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Handshaken, Response
from netprobe.model.targets import Control, PlainPage
from netprobe.probing.plain import CONTROL, ELSEWHERE, OTHER, TARGET

EMPTY, SUCCESS = PlainPage("/generate_204", 204), PlainPage("/success.html", title="Success")
NOTHING = 0  # a status: nobody answers


def answer(
    status: int, *, to: str = "", title: str = "", server: str = "", name: str = "", address: str = "", size: int = 0
) -> Response:
    """A request for `name` at `address`, which is answered with `status`, a redirect `to` somewhere, a page."""
    asked = Fetch(Handshake(address or "192.0.2.1", 80), host=name)
    headers = {key: value for key, value in (("location", to), ("server", server)) if value}
    if status == NOTHING:
        return Response(asked, Handshaken(asked.handshake, "connect", "timeout"), error="timeout")
    shaken = Handshaken(asked.handshake, "done", connect_s=0.02)
    return Response(asked, shaken, status, headers=headers, title=title, body_bytes=size)


def of_controls(*pairs: tuple[Control, Response]) -> tuple[Observation, ...]:
    """What each control answers."""
    return tuple(Observation(2.0, CONTROL, control.name, response) for control, response in pairs)


def trial(name: str, target: Response, other: Response | None, elsewhere: Response | None) -> tuple[Observation, ...]:
    """The platform's name at its edge, a control's there, and the platform's at the control's; None: not asked."""
    each = zip((TARGET, OTHER, ELSEWHERE), (target, other, elsewhere), strict=True)
    return tuple(Observation(5.0, purpose, name, fact) for purpose, fact in each if fact is not None)
