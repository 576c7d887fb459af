"""TLS and HTTP at the server's end of one connection in virtual time.

What is said, and when a server hangs up instead, is decided in servers/answers.py, as for the real servers.
"""

from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

import msgspec

from netprobe.sim import wirebytes
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.desks import TLS_PORT, Ask, Desk, PostedDesk, PrefixedDesk, takes
from netprobe.sim.middlebox import server_name
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault, Scenario, Server
from netprobe.sim.servers import answers
from netprobe.sim.tcp import Tcp

_RECORD_BYTES = 1 << 14  # the most that one may carry (RFC 8446, 5.1)
_FLIGHT_BYTES = 2600  # a ServerHello with a chain of two ECDSA certificates
_THINKING_S = 0.001  # one signature

_Flow = tuple[str, int, str, int]


class Place(Protocol):
    """Where a website stands: `wall_clock_s` is Unix time at the network's start."""

    scenario: Scenario
    seed: int
    wall_clock_s: float
    clock: Clockwork

    def drop(self, flow: _Flow) -> None:
        """A connection is over."""


class Website:
    """One connection of `server`, where a resolver may be `asked` over TLS and HTTPS."""

    def __init__(self, place: Place, server: Server, flow: _Flow, *, tls: bool, asked: Ask | None = None) -> None:
        self.connection: Tcp
        self._place = place
        self._server = server
        self._flow = flow
        self._tls = tls
        self._shaken = not tls
        self._name = ""
        self._buffer = b""
        self._request = b""
        self._asked = asked  # a resolver that is here too
        self._desk: Desk | None = None
        self._mute = False  # it hears and says nothing any more
        self._waiting: list[bytes] | None = None  # what came before anybody took the connection

    # --- what TCP tells

    def connected(self) -> None:
        """The client speaks first, unless the server has had enough already."""
        waits_s = answers.accept_s(self._place.scenario, self._server, self._place.clock.now)
        if waits_s:
            self._waiting = []
            self._later(waits_s, self._taken)
        else:
            self._hang_up("accepted")

    def _taken(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        if not self._hang_up("accepted"):
            for data in waiting:
                self.received(data)

    def received(self, data: bytes) -> None:
        """Collect whole records, or plain HTTP."""
        if self._waiting is not None:
            self._waiting.append(data)
            return
        if self._mute:
            return
        if not self._tls:
            self._http(data)
            return
        self._buffer += data
        self._records()

    def _records(self) -> None:
        while not self._mute and (found := wirebytes.split_record(self._buffer)) is not None:
            kind, content, rest = found
            record, self._buffer = self._buffer[: len(self._buffer) - len(rest)], rest
            if kind == wirebytes.HANDSHAKE and not self._shaken:
                self._hello(record)
            elif kind == wirebytes.APPLICATION:
                self._clear(content)
            elif kind == wirebytes.ALERT:
                self.connection.close()
                self._place.drop(self._flow)
                return

    def ended(self, how: str, by: Packet | None) -> None:
        """Forget it."""
        del how, by
        self._place.drop(self._flow)

    # --- TLS

    def _hello(self, record: bytes) -> None:
        self._shaken = True
        self._name = server_name(record)
        if not self._hang_up("hello"):
            self._later(_THINKING_S, self._flight)

    def _flight(self) -> None:
        """ServerHello to Finished."""
        shown = answers.certificate(self._place.scenario, self._server, self._name, self._place.clock.now)
        body = msgspec.json.encode(shown)
        self._say(wirebytes.tls_record(wirebytes.HANDSHAKE, b"\x02" + body.ljust(_FLIGHT_BYTES)))

    # --- HTTP

    def _clear(self, data: bytes) -> None:
        """What the client says behind TLS: a request for a page, or a question for the resolver."""
        if self._desk is None and self._asked is not None:
            if self._flow[3] == TLS_PORT:
                self._desk = PrefixedDesk(self._asked, self._say_secret)
            elif takes(data):
                self._desk = PostedDesk(self._asked, self._say_secret)
        if self._desk is None:
            self._http(data)
            return
        try:
            self._desk.received(data)
        except ValueError:
            self.connection.finish()

    def _http(self, data: bytes) -> None:
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        host = fields.get("host", "")
        if len(body) and self._hang_up("upload", host, sent=len(body)):
            return
        if len(body) < int(fields.get("content-length", "0")):
            return
        self._request = b""
        if self._hang_up("request", host):
            return
        method, path, *_ = (*first.split(" "), "/")
        place, now = self._place, self._place.clock.now
        page = answers.page(
            place.scenario, self._server, host, path, now, place.wall_clock_s + now, plain=not self._tls
        )
        self._later(page.delay_s, lambda: self._answer(page, host, whole=method != "HEAD"))

    def _answer(self, page: answers.Page, host: str, *, whole: bool) -> None:
        place = self._place
        body = page.body
        date = formatdate(place.wall_clock_s + place.clock.now, usegmt=True)
        fields = {"date": date, "content-type": "text/html; charset=utf-8"}
        fields |= {key.lower(): value for key, value in page.headers.items()}
        if body:
            fields["content-length"] = str(len(body))
        head = f"HTTP/1.1 {page.status} \r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        fault = self._fault("answer", host)
        shown = (body if fault is None else body[: fault.after_bytes]) if whole else b""
        message = head.encode("latin-1") + b"\r\n" + shown
        if self._tls:
            self._say_secret(message)
        else:
            self._say(message)
        if fault is not None:
            self._do(fault)

    # --- the end

    def _fault(self, when: str, name: str = "") -> Fault | None:
        flow = f"{self._place.seed}/{self._flow}"
        scenario, now = self._place.scenario, self._place.clock.now
        return answers.hangup(scenario, self._server, when, name or self._name, flow, now)

    def _hang_up(self, when: str, name: str = "", sent: int = 0) -> bool:
        """End the connection at this moment if a fault wants that; `sent` are bytes of an upload. Says whether."""
        fault = self._fault(when, name)
        if fault is None or (when == "upload" and sent <= fault.after_bytes):
            return False
        self._do(fault)
        return True

    def _do(self, fault: Fault) -> None:
        self._mute = True
        if fault.how == "reset":
            self.connection.reset()
            self._place.drop(self._flow)
        elif fault.how == "close":
            self.connection.finish()

    def _later(self, delay_s: float, then: Callable[[], None]) -> None:
        self._place.clock.at(self._place.clock.now + delay_s, then)

    def _say_secret(self, data: bytes) -> None:
        records = (data[at : at + _RECORD_BYTES] for at in range(0, len(data), _RECORD_BYTES))
        self._say(b"".join(wirebytes.tls_record(wirebytes.APPLICATION, part) for part in records))

    def _say(self, data: bytes) -> None:
        if self.connection.state == "established":
            self.connection.send(data)
