"""The client's side of handshakes and fetches in virtual time: small state machines over simulated packets.

They end as those of the live vantage do: the same phases, the same words for what went wrong.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from netprobe.model.probes import Reply
from netprobe.model.services import (
    HEADERS_THAT_MATTER,
    Certificate,
    Fetch,
    Handshake,
    Handshaken,
    Response,
)
from netprobe.probing.arrivals import Arrivals
from netprobe.probing.injection import Heard
from netprobe.sim import complaints, wirebytes
from netprobe.sim import packet as ip
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.packet import Packet
from netprobe.sim.routing import CLIENT
from netprobe.sim.servers.answers import Shown
from netprobe.sim.tcp import Tcp, as_reply, mss_over

_SHAKING_S = 0.0015  # what a client's own arithmetic takes
_TITLE = re.compile(r"<title>([^<]*)")
_ERRNOS = {"refused": "ECONNREFUSED", "reset": "ECONNRESET"}
_USUAL_TTL = 64
_CONTRADICTION_S = 0.15  # as the live vantage waits for what else comes of a ClientHello that may have run out


class Conversation:
    """One handshake or fetch. `wall_clock_s` is Unix time at the network's start; `random` is 32 bytes.

    Segments are as large as the own link's `mtu` allows, or as the request wants them.

    Certificates are checked by the client's own clock, which is ahead by `clock_ahead_s`.
    """

    def __init__(  # what a conversation is made of
        self,
        clock: Clockwork,
        own: tuple[str, int],
        request: Handshake | Fetch,
        done: Callable[[Handshaken | Response], None],
        *,
        mtu: int,
        wall_clock_s: float,
        clock_ahead_s: float,
        random: bytes,
    ) -> None:
        self._clock = clock
        self._own = own[0]
        self._fetch = request if isinstance(request, Fetch) else None
        self._handshake = request.handshake if isinstance(request, Fetch) else request
        self._done = done
        self._wall_clock_s = wall_clock_s
        self._clock_ahead_s = clock_ahead_s
        self._random = random
        self._alpn: Sequence[str] = ("http/1.1",)
        iss = int.from_bytes(random[:4], "big")
        asked = self._handshake
        mss = min(asked.mss or mtu, mss_over(mtu, asked.address))
        self.tcp = Tcp(clock, CLIENT, own, (asked.address, asked.port), iss, self, mss=mss)
        self._timer: Timer | None = None
        self._phase = "connect"
        self._ending = False
        self._arrivals = Arrivals()
        self._before = 0  # bytes that were acknowledged before the request
        self._began_s = 0.0
        self._connect_s: float | None = None
        self._tls_s: float | None = None
        self._first_byte_s: float | None = None
        self._certificate: Certificate | None = None
        self._handshaken: Handshaken | None = None
        self._heard = Heard()
        self._returned: list[Reply] = []
        self._start_s = 0.0
        self._buffer = b""
        self._answer = b""

    def hear(self, packet: Packet) -> None:
        """What a raw socket would show of the connection, before the connection takes it."""
        self._heard.add(as_reply(packet, self.age_s))

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return self._clock.now - self._start_s

    def start(self) -> None:
        """Connect."""
        self._start_s = self._clock.now
        self._began_s = self._clock.now
        self._timer = self._clock.at(self._began_s + self._handshake.timeout_s, lambda: self._end("timeout"))
        self.tcp.connect()

    # --- what TCP tells

    def connected(self) -> None:
        """Shake hands, or ask at once where there is no TLS."""
        self._connect_s = self._next_phase()
        self.tcp.ttl = self._handshake.hello_ttl or _USUAL_TTL
        if not self._handshake.server_name:
            self._established()
            return
        self._phase = "tls"
        self.tcp.send(wirebytes.client_hello(self._handshake.server_name, self._random, self._alpn))

    def received(self, data: bytes) -> None:
        """Bytes of the flight or of the answer."""
        self._arrivals.came(len(data), self._clock.now)
        if not self._handshake.server_name:
            self._http(data)
            return
        self._buffer += data
        while (found := wirebytes.split_record(self._buffer)) is not None:
            kind, content, self._buffer = found
            if kind == wirebytes.HANDSHAKE:
                shown = msgspec.json.decode(content[1:], type=Shown)
                self._clock.at(self._clock.now + _SHAKING_S, lambda shown=shown: self._verify(shown))  # type: ignore[misc]  # bound early
            else:
                self._http(content)

    def returned(self, error: Reply) -> None:
        """An ICMP error about what left with a TTL of its own."""
        if self._handshake.hello_ttl and self._phase == "tls":
            self._returned.append(error)
            self._end_later("expired")

    def ended(self, how: str, by: Packet | None) -> None:
        """The connection is over before we closed it."""
        detail = _ERRNOS.get(how, "")
        if by is not None and by.protocol == ip.ICMP:
            detail = complaints.told_by(by)
            how = "local" if by.source == self._own else how
        if self._handshake.hello_ttl and self._phase == "tls":
            self._end_later(how, detail)
        else:
            self._end(how, detail)

    # --- TLS and HTTP

    def _verify(self, shown: Shown) -> None:
        if self._phase != "tls":
            return
        certificate = complaints.certificate_of(shown, self._wall_clock_s)
        now = self._wall_clock_s + self._clock.now + self._clock_ahead_s
        complaint = complaints.against(shown, certificate, self._handshake.server_name, now)
        if complaint and self._handshake.verify:
            self.tcp.send(wirebytes.tls_record(wirebytes.ALERT, b"\x02\x2a"))
            self._end("certificate", complaint)
            return
        self._certificate = certificate
        self._tls_s = self._next_phase()
        self._established()

    def _established(self) -> None:
        self._phase = "done"
        self._handshaken = self._as_handshaken("", "")
        if self._fetch is None:
            self._end("")
            return
        request = _request(self._fetch)
        self._before = self.tcp.bytes_acknowledged
        self._arrivals.asked(self._clock.now)
        self.tcp.send(wirebytes.tls_record(wirebytes.APPLICATION, request) if self._handshake.server_name else request)

    def _http(self, data: bytes) -> None:
        if self._first_byte_s is None:
            self._first_byte_s = self._next_phase()
            self._arrivals.read()
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        limit = self._fetch.body_limit if self._fetch else 0
        if end and len(body) >= min(int(_fields(head).get("content-length", "0")), limit):
            self._end("")

    # --- the end

    def _next_phase(self) -> float:
        now = self._clock.now
        took, self._began_s = now - self._began_s, now
        return took

    def _as_handshaken(self, error: str, detail: str) -> Handshaken:
        done = self._phase == "done"
        return Handshaken(
            handshake=self._handshake,
            phase=self._phase,
            error=error,
            detail=detail,
            connect_s=self._connect_s,
            tls_s=self._tls_s,
            tls_version="TLSv1.3" if done and self._handshake.server_name else "",
            certificate=self._certificate,
        )

    def _end_later(self, error: str, detail: str = "") -> None:
        """Who forges an end is quicker than who answers, and a router may tell of the same packet."""
        if self._ending:
            return
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
        until = self._clock.now + _CONTRADICTION_S + (self._connect_s or 0.0)
        self._timer = self._clock.at(until, lambda: self._end(error, detail))

    def _end(self, error: str, detail: str = "") -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.tcp.ttl = _USUAL_TTL
        self.tcp.close()
        handshaken = self._handshaken or self._as_handshaken(error, detail)
        heard, returned = self._heard.replies, tuple(self._returned)
        handshaken = msgspec.structs.replace(handshaken, heard=heard, returned=returned)
        self._phase = "over"  # for what is still being worked out
        if self._fetch is None:
            self._done(handshaken)
            return
        head, _, body = self._answer.partition(b"\r\n\r\n")
        fields = _fields(head)
        title = _TITLE.search(body.decode("utf-8", "replace"))
        self._done(
            Response(
                fetch=self._fetch,
                handshaken=handshaken,
                status=int(head.split(b" ", 2)[1]) if head else 0,
                error=error,
                first_byte_s=self._first_byte_s,
                headers={key: value for key, value in fields.items() if key in HEADERS_THAT_MATTER},
                title=title[1] if title else "",
                body_bytes=len(body),
                uploaded_bytes=self.tcp.bytes_acknowledged - self._before if self._handshaken else 0,
                body=body[: self._fetch.body_limit] if self._fetch.keep_body else b"",
                **self._arrivals.told(error, self._clock.now),
            )
        )


def _request(fetch: Fetch) -> bytes:
    host, size = fetch.host or fetch.handshake.server_name or fetch.handshake.address, fetch.upload_bytes
    length = f"Content-Length: {size}\r\n" if size else ""
    head = f"{fetch.method} {fetch.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}\r\n"
    return head.encode() + bytes(size)


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines if ": " in line)
