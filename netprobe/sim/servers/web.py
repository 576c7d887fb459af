"""HTTP/1.1 over TLS and plain, as the servers of a scenario speak it. One listener an address and port."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Collection
from email.utils import formatdate
from html import escape
from http import HTTPStatus

import h11

from netprobe.sim.records import Scenario, Server
from netprobe.sim.servers.answers import Condition, condition, page
from netprobe.sim.servers.authority import Authority

HTTPS_PORT = 443
HTTP_PORT = 80
_IDLE_S = 30.0
_HANDSHAKE_S = 15.0
_SHUTDOWN_S = 1.0
_BACKLOG = 512
_IP_FREEBIND = 15  # linux/in.h: the addresses may come to this machine later


async def serve(
    scenario: Scenario, authority: Authority, now: Callable[[], float], machines: Collection[str] = ()
) -> None:
    """Open the listeners of every server that serves a name; of those in `machines` only, unless it is empty.

    `now` gives seconds since the network's start.
    """
    loop = asyncio.get_running_loop()
    for server in scenario.servers:
        if not server.serves or (machines and server.name not in machines):
            continue
        site = Site(scenario, server, now)
        context = _tls(site, authority)
        for address in server.addresses:
            await loop.create_server(site.connection, sock=listener(address, HTTP_PORT), backlog=_BACKLOG)
            await loop.create_server(
                site.connection,
                sock=listener(address, HTTPS_PORT),
                ssl=context,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )


def listener(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket that is bound to one address of the simulated network, present or not."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(0)
    sock.bind((address, port))
    return sock


def _tls(site: "Site", authority: Authority) -> ssl.SSLContext:
    """A context that looks at the name that a client asks for, and at the time, to choose the certificate.

    A name that the server does not serve gets the certificate that it has, as at a CDN.
    """
    contexts = {Condition.VALID: authority.context(site.server.serves)}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        wanted = site.condition((name or "").lower())
        if wanted not in contexts:
            contexts[wanted] = authority.context(site.server.serves, wanted)
        connection.context = contexts[wanted]

    contexts[Condition.VALID].sni_callback = choose
    return contexts[Condition.VALID]


class Site:
    """One server of the scenario and the clock."""

    def __init__(self, scenario: Scenario, server: Server, now: Callable[[], float]) -> None:
        self.scenario = scenario
        self.server = server
        self.now = now

    def condition(self, name: str) -> Condition:
        """Which certificate a client that asks for `name` sees now."""
        return condition(self.scenario, self.server, name, self.now())

    def connection(self) -> "Connection":
        """A client has connected."""
        return Connection(self)


class Connection(asyncio.Protocol):
    """One client's connection. What it sends is hostile: h11 bounds it, and whatever it refuses ends the connection."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._request: h11.Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a stream server is given
        self._transport = transport
        self._wait(_IDLE_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Feed h11 and act on what it makes of it."""
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool | None:
        """A client that has finished sending still gets its answer (half-closed, RFC 9293, 3.6)."""
        self._http.receive_data(b"")
        self._advance()
        return self._http.our_state is h11.SEND_RESPONSE

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        if self._timer:
            self._timer.cancel()
        self._transport = None

    def _wait(self, delay_s: float, then: Callable[[], None]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _advance(self) -> None:
        if self._transport is None:
            return
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.EndOfMessage):
                    self._answer_later()
                elif event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                elif isinstance(event, h11.ConnectionClosed):
                    if self._http.our_state is not h11.SEND_RESPONSE:
                        self._transport.close()
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _answer_later(self) -> None:
        request = self._request
        if request is None:
            return
        host = next((value for key, value in request.headers if key == b"host"), b"").decode("latin-1").lower()
        path = request.target.decode("latin-1")
        answer = page(self._site.scenario, self._site.server, host.partition(":")[0], path, self._site.now())
        self._wait(answer.delay_s, lambda: self._answer(answer.status, answer.headers, answer.title))

    def _answer(self, status: int, headers: dict[str, str], title: str) -> None:
        if self._transport is None or self._request is None:
            return
        body = b"" if status in {204, 304} else _html(title)
        true_time = time.time() - self._site.scenario.client.clock_ahead_s
        fields = {"date": formatdate(true_time, usegmt=True), "content-type": "text/html; charset=utf-8"}
        fields |= {key.lower(): value for key, value in headers.items()}
        if body:
            fields["content-length"] = str(len(body))
        if self._request.method == b"HEAD":
            body = b""
        head = h11.Response(status_code=status, headers=list(fields.items()), reason=_reason(status))
        self._write(head, h11.Data(data=body), h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.CLOSED:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._request = None
        self._wait(_IDLE_S, self._transport.abort)
        self._advance()

    def _refuse(self, status: int) -> None:
        """Say why, if there is still room for an answer, and end it."""
        if self._transport is None:
            return
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [("content-length", "0"), ("connection", "close")]
            self._write(h11.Response(status_code=status, headers=headers, reason=_reason(status)), h11.EndOfMessage())
        self._transport.close()

    def _write(self, *events: h11.Event) -> None:
        if self._transport is None:
            return
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # some vendors have numbers of their own (520, 530)
        return b""


def _html(title: str) -> bytes:
    text = escape(title)
    return f"<!doctype html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n".encode()
