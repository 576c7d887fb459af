"""HTTP/1.1 over TLS and plain, as the servers of a scenario speak it. One listener an address and port."""

import asyncio
import fcntl
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Collection, Mapping
from email.utils import formatdate
from functools import partial
from http import HTTPStatus

import h11

from netprobe.probing.http2 import PROTOCOL
from netprobe.sim.desks import TLS_PORT, Ask, Desk, PostedDesk, PrefixedDesk
from netprobe.sim.middlebox import server_name
from netprobe.sim.records import Fault, Scenario, Server
from netprobe.sim.servers.answers import Page, Shown, accept_s, certificate, hangup, page
from netprobe.sim.servers.authority import Authority
from netprobe.sim.servers.tls import Tls

HTTPS_PORT = 443
HTTP_PORT = 80
_IDLE_S = 30.0
_HANDSHAKE_S = 15.0
_BACKLOG = 512
_RECORD_HEADER, _RECORD_LIMIT = 5, 16384 + 5  # RFC 8446, 5.1
_HANDSHAKE_RECORD = 0x16
_SIOCOUTQ = 0x5411  # linux/sockios.h: bytes that the other side has not acknowledged
_POLL_S = 0.002
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h: the addresses may come to this machine later


async def serve(
    scenario: Scenario,
    authority: Authority,
    now: Callable[[], float],
    machines: Collection[str] = (),
    *,
    resolvers: Mapping[str, Ask] | None = None,
) -> None:
    """Open the listeners of every server that serves a name; of those in `machines` only, unless it is empty.

    `now` gives seconds since the network's start. `resolvers` are those that stand here too, by address: there they are
    asked over TLS and HTTPS, with the server's certificate.
    """
    loop = asyncio.get_running_loop()
    for server in scenario.servers:
        if not server.serves or (machines and server.name not in machines):
            continue
        for address in server.addresses:
            site = Site(scenario, server, now, authority, (resolvers or {}).get(address))
            for port, factory in site.doors:
                await loop.create_server(factory, sock=listener(address, port), backlog=_BACKLOG)


def listener(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket that is bound to one address of the simulated network, present or not."""
    over_v6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if over_v6 else socket.AF_INET, kind)
    if kind is socket.SOCK_STREAM:
        # RFC 896: an answer would wait until session tickets are acknowledged; what is accepted here has it too.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    level, freebind = (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if over_v6 else (socket.SOL_IP, _IP_FREEBIND)
    sock.setsockopt(level, freebind, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(0)
    sock.bind((address, port))
    return sock


class Site:
    """One server of the scenario, the clock, and the authority that vouches for it where it speaks TLS.

    `asked` is a resolver that stands there too.
    """

    def __init__(
        self,
        scenario: Scenario,
        server: Server,
        now: Callable[[], float],
        authority: Authority | None = None,
        asked: Ask | None = None,
    ) -> None:
        self.asked = asked
        self.scenario = scenario
        self.server = server
        self.now = now
        self._authority = authority or Authority()
        self._contexts: dict[Shown, ssl.SSLContext] = {}

    def context(self, name: str) -> ssl.SSLContext:
        """TLS for a client that asks for `name` now.

        A name that the server does not serve gets the certificate that it has, as at a CDN.
        """
        shown = certificate(self.scenario, self.server, name, self.now())
        if shown not in self._contexts:
            protocols = ("http/1.1", PROTOCOL) if self.asked else ("http/1.1",)
            self._contexts[shown] = self._authority.context(shown.names, shown.condition, protocols)
        return self._contexts[shown]

    @property
    def doors(self) -> list[tuple[int, Callable[[], "Connection"]]]:
        """The ports at which it listens, and what is made for who comes."""
        secure = [(port, partial(self.secure_connection, port)) for port in ((TLS_PORT,) if self.asked else ())]
        return [(HTTP_PORT, self.connection), (HTTPS_PORT, self.secure_connection), *secure]

    def connection(self) -> "Connection":
        """A client has connected to the port of plain HTTP."""
        return Connection(self)

    def secure_connection(self, port: int = HTTPS_PORT) -> "Connection":
        """A client has connected to a port of TLS."""
        return Connection(self, secure=True, only_names=port == TLS_PORT)


class Connection(asyncio.Protocol):
    """One client's connection. What it sends is hostile: h11 bounds it, and whatever it refuses ends the connection."""

    def __init__(self, site: Site, *, secure: bool = False, only_names: bool = False) -> None:
        self._site = site
        self._only_names = only_names
        self._desk: Desk | None = None
        self._secure = secure
        self._tls: Tls | None = None
        self._hello = b""
        self._name = ""
        self._flow = ""
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._request: h11.Request | None = None
        self._uploaded = 0
        self._mute = False  # it hears and says nothing any more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a stream server is given
        self._transport = transport
        self._flow = f"{transport.get_extra_info('peername')} {transport.get_extra_info('sockname')}"
        waits_s = accept_s(self._site.scenario, self._site.server, self._site.now())
        if waits_s:
            self._stop_reading(transport)
            self._wait(waits_s, self._taken)
        else:
            self._begin(transport)

    def _taken(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
            self._begin(self._transport)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._wait(_HANDSHAKE_S if self._secure else _IDLE_S, transport.abort)
        self._hang_up("accepted")

    def data_received(self, data: bytes) -> None:
        """Feed TLS and h11, and act on what they make of it."""
        if self._mute or self._transport is None:
            return
        if self._secure and self._tls is None:
            self._hello += data
            if not _whole(self._hello):
                return
            data, self._hello = self._hello, b""
            self._name = server_name(data)
            if self._hang_up("hello"):
                return
            self._tls = Tls(self._site.context(self._name), self._transport.write)
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except ssl.SSLError:
                self._close()
                return
        if data:
            self._clear(data)
        if self._tls is not None and self._tls.ended:
            self.eof_received()

    def _clear(self, data: bytes) -> None:
        """What the client says behind TLS: a request for a page, or a question for the resolver."""
        asked = self._site.asked
        if self._desk is None and asked and self._tls:
            if self._only_names:
                self._desk = PrefixedDesk(asked, self._say)
            elif self._tls.protocol == PROTOCOL:
                self._desk = PostedDesk(asked, self._say)
        if self._desk is None:
            self._http.receive_data(data)
            self._advance()
            return
        try:
            self._desk.received(data)
        except ValueError:
            self._close()

    def _say(self, data: bytes) -> None:
        """Send, if somebody is still there."""
        if self._transport is None:
            return
        if self._tls is not None:
            self._tls.write(data)
        else:
            self._transport.write(data)

    def eof_received(self) -> bool | None:
        """A client that has finished sending still gets its answer (half-closed, RFC 9293, 3.6)."""
        if self._desk is not None:
            self._close()
            return False
        if self._http.their_state is not h11.CLOSED and not self._mute:
            self._http.receive_data(b"")
            self._advance()
        return self._mute or self._http.our_state is h11.SEND_RESPONSE

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
                    self._uploaded = 0
                    if self._http.they_are_waiting_for_100_continue:
                        self._write(h11.InformationalResponse(status_code=100, headers=[]))
                elif isinstance(event, h11.Data):
                    self._uploaded += len(event.data)
                    if self._hang_up("upload"):
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._answer_later()
                elif event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                elif isinstance(event, h11.ConnectionClosed):
                    if self._http.our_state is not h11.SEND_RESPONSE:
                        self._close()
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _host(self) -> str:
        headers = self._request.headers if self._request else ()
        host = next((value for key, value in headers if key == b"host"), b"").decode("latin-1").lower()
        return host.partition(":")[0]

    def _answer_later(self) -> None:
        if self._request is None or self._hang_up("request"):
            return
        path = self._request.target.decode("latin-1")
        site = self._site
        said = self._host(), path, site.now(), true_time_s(site.scenario)
        answer = page(site.scenario, site.server, *said, plain=not self._secure)
        self._wait(answer.delay_s, lambda: self._answer(answer))

    def _answer(self, said: Page) -> None:
        if self._transport is None or self._request is None:
            return
        body, fields = said.body, fields_of(self._site.scenario, said)
        if self._request.method == b"HEAD":
            body = b""
        head = h11.Response(status_code=said.status, headers=list(fields.items()), reason=_reason(said.status))
        fault = self._fault("answer")
        if fault is not None:
            self._write(head, h11.Data(data=body[: fault.after_bytes]))
            self._do(fault)
            return
        self._write(head, h11.Data(data=body), h11.EndOfMessage())
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.CLOSED:
            self._close()
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
        self._close()

    def _write(self, *events: h11.Event) -> None:
        if self._transport is None:
            return
        self._say(b"".join(self._http.send(event) or b"" for event in events))

    # --- the end

    def _fault(self, when: str) -> Fault | None:
        site = self._site
        return hangup(site.scenario, site.server, when, self._host() or self._name, self._flow, site.now())

    def _hang_up(self, when: str) -> bool:
        """End the connection at this moment if a fault wants that. Says whether."""
        fault = self._fault(when)
        if fault is None or (when == "upload" and self._uploaded <= fault.after_bytes):
            return False
        self._do(fault)
        return True

    def _do(self, fault: Fault) -> None:
        self._mute = True
        if self._timer:
            self._timer.cancel()
        if fault.how == "reset":
            self._reset()
        elif fault.how == "close":
            self._close()
        elif self._transport is not None:
            self._stop_reading(self._transport)  # as who is stuck: what comes fills the kernel's buffer

    @staticmethod
    def _stop_reading(transport: asyncio.Transport) -> None:
        """Not at once: Debian 12's Python lets a transport begin to read after `connection_made`, paused or not."""
        asyncio.get_running_loop().call_soon(transport.pause_reading)

    def _reset(self) -> None:
        """End it with a RST as soon as the other side has what was sent."""
        sock = self._transport.get_extra_info("socket") if self._transport else None
        if self._transport is None or sock is None:
            return
        if self._transport.get_write_buffer_size() or _unacknowledged(sock):
            self._wait(_POLL_S, self._reset)
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            if self._tls is not None:
                self._tls.finish()
            self._transport.close()


def true_time_s(scenario: Scenario) -> float:
    """What everybody's clock shows but the client's, which may be ahead."""
    return time.time() - scenario.client.clock_ahead_s


def fields_of(scenario: Scenario, said: Page) -> dict[str, str]:
    """The header fields of an answer that is given now."""
    fields = {"date": formatdate(true_time_s(scenario), usegmt=True), "content-type": "text/html; charset=utf-8"}
    fields |= {key.lower(): value for key, value in said.headers.items()}
    return fields | ({"content-length": str(len(said.body))} if said.body else {})


def _whole(hello: bytes) -> bool:
    """Whether the record that a client begins with is there, or will never be one."""
    if hello[0] != _HANDSHAKE_RECORD or len(hello) >= _RECORD_LIMIT:
        return True
    return len(hello) >= _RECORD_HEADER and len(hello) >= _RECORD_HEADER + int.from_bytes(hello[3:5])


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes that were sent and not acknowledged."""
    return int.from_bytes(fcntl.ioctl(sock.fileno(), _SIOCOUTQ, bytes(4)), sys.byteorder)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # some vendors have numbers of their own (520, 530)
        return b""
