"""HTTP/3 over QUIC (RFC 9114, 9000), as the servers of a scenario speak it beside HTTP over TLS. One socket an address.

The protocol is aioquic's; here is what a scenario's faults want of it.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import Any, cast

from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionIdIssued, ConnectionIdRetired, ConnectionTerminated, ProtocolNegotiated

from netprobe.sim.middlebox import server_name
from netprobe.sim.quic import headers, initial
from netprobe.sim.quic.hello import Hello
from netprobe.sim.quic.initial import Kind
from netprobe.sim.quic.server import REFUSED, farewell
from netprobe.sim.records import Fault, Scenario, Server
from netprobe.sim.servers.answers import Page, Shown, accept_s, certificate, hangup, page
from netprobe.sim.servers.authority import Authority
from netprobe.sim.servers.web import fields_of, listener, true_time_s

_CONNECTION_ID_BYTES = 8
_IDLE_S = 30.0
_MOST_EARLY = 16  # datagrams of a ClientHello that is not whole
_MOST_PEERS = 1024

_Address = tuple[Any, ...]


async def serve(
    scenario: Scenario, authority: Authority, now: Callable[[], float], machines: Collection[str] = ()
) -> None:
    """Open the sockets of every server that speaks QUIC; of those in `machines` only, unless it is empty.

    `now` gives seconds since the network's start.
    """
    loop = asyncio.get_running_loop()
    for server in scenario.servers:
        if server.quic and (not machines or server.name in machines):
            site = Site(scenario, server, now, authority)
            for address in server.addresses:
                sock = listener(address, headers.PORT, socket.SOCK_DGRAM)
                await loop.create_datagram_endpoint(lambda site=site: Door(site), sock=sock)  # type: ignore[misc]  # bound early


class Site:
    """One server of the scenario, the clock, and the authority that vouches for it."""

    def __init__(self, scenario: Scenario, server: Server, now: Callable[[], float], authority: Authority) -> None:
        self.scenario = scenario
        self.server = server
        self.now = now
        self._authority = authority
        self._configurations: dict[Shown, QuicConfiguration] = {}

    def configuration(self, name: str) -> QuicConfiguration:
        """QUIC for a client that asks for `name` now."""
        shown = certificate(self.scenario, self.server, name, self.now())
        if shown not in self._configurations:
            proof, key = self._authority.proof(shown.names, shown.condition)
            self._configurations[shown] = QuicConfiguration(
                is_client=False,
                alpn_protocols=H3_ALPN,
                certificate=proof,
                private_key=key,
                idle_timeout=_IDLE_S,
                supported_versions=list(headers.VERSIONS),
            )
        return self._configurations[shown]


class Door(asyncio.DatagramProtocol):
    """One address: hands datagrams on to the connections that they belong to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[bytes, Peer] = {}  # by the connection ids that datagrams for them have

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # what a datagram endpoint is given

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        """Negotiate a version, begin a connection, or go on with one (RFC 9000, 5.2.2)."""
        if said := headers.negotiation(data):
            self.send(said, addr)
            return
        header = headers.long_header(data)
        key = header.destination if header else data[1 : 1 + _CONNECTION_ID_BYTES]
        peer = self._peers.get(key)
        if peer is None:
            begins = any(one.kind is Kind.INITIAL for one in initial.packets(data))
            if not begins or len(data) < headers.SMALLEST or len(self._peers) >= _MOST_PEERS:
                return
            peer = self._peers[key] = Peer(self._site, self, addr)
        peer.receive(data)

    def send(self, data: bytes, addr: _Address) -> None:
        """Send a datagram."""
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def name(self, connection: bytes, peer: "Peer") -> None:
        """From now on datagrams with this connection id are for `peer`."""
        self._peers[connection] = peer

    def unname(self, connection: bytes) -> None:
        """Nobody has this connection id any more."""
        self._peers.pop(connection, None)

    def forget(self, peer: "Peer") -> None:
        """A connection is over."""
        self._peers = {key: one for key, one in self._peers.items() if one is not peer}


class Peer:
    """One client's connection. What it sends is hostile: aioquic bounds it, and ends what it does not accept."""

    def __init__(self, site: Site, door: Door, addr: _Address) -> None:
        self._site = site
        self._door = door
        self._addr = addr
        self._loop = asyncio.get_running_loop()
        self._hello = Hello()
        self._early: list[bytes] = []
        self._name = ""
        self._begun = self._mute = False
        self._quic: QuicConnection | None = None
        self._http: H3Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests: dict[int, _Request] = {}

    def receive(self, data: bytes) -> None:
        """Wait for the whole ClientHello, which says which certificate to show; aioquic has the rest."""
        if self._mute:
            return
        if self._quic is not None:
            self._quic.receive_datagram(data, self._addr, now=self._loop.time())
            self._advance()
            return
        unheard = not self._hello.seen
        self._hello.feed(data)
        if not self._hello.seen or len(self._early) >= _MOST_EARLY:
            return
        self._early.append(data)
        if self._begun or (unheard and self._hang_up("accepted", data)) or not self._hello.whole:
            return
        self._begun = True
        self._name = server_name(self._hello.begun)
        if not self._hang_up("hello", data):
            waits_s = accept_s(self._site.scenario, self._site.server, self._site.now())
            self._loop.call_later(waits_s, self._begin)

    def _begin(self) -> None:
        self._quic = QuicConnection(
            configuration=self._site.configuration(self._name),
            original_destination_connection_id=self._hello.connection,
        )
        self._door.name(self._quic.host_cid, self)
        for data in self._early:
            self._quic.receive_datagram(data, self._addr, now=self._loop.time())
        self._advance()

    def _advance(self) -> None:
        """Act on what has happened, and send what is to be sent."""
        quic = self._quic
        while quic is not None and not self._mute and (event := quic.next_event()) is not None:
            if isinstance(event, ConnectionIdIssued):
                self._door.name(event.connection_id, self)
            elif isinstance(event, ConnectionIdRetired):
                self._door.unname(event.connection_id)
            elif isinstance(event, ConnectionTerminated):
                self._over()
                return
            elif isinstance(event, ProtocolNegotiated):
                self._http = H3Connection(quic)
            if self._http is not None:
                for said in self._http.handle_event(event):
                    self._asked(said)
        self._flush()

    def _flush(self) -> None:
        if self._quic is None or self._mute:
            return
        for data, addr in self._quic.datagrams_to_send(now=self._loop.time()):
            self._door.send(data, addr)
        if self._timer is not None:
            self._timer.cancel()
        due = self._quic.get_timer()
        self._timer = self._loop.call_at(due, self._due) if due is not None else None

    def _due(self) -> None:
        if self._quic is not None and not self._mute:
            self._quic.handle_timer(now=self._loop.time())
            self._advance()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door.forget(self)

    # --- HTTP

    def _asked(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            request = self._requests.setdefault(event.stream_id, _Request())
            request.fields |= {key.decode("latin-1"): value.decode("latin-1") for key, value in event.headers}
        elif isinstance(event, DataReceived):
            request = self._requests.setdefault(event.stream_id, _Request())
            request.uploaded += len(event.data)
            if self._hang_up("upload", uploaded=request.uploaded, host=request.host):
                return
        else:
            return
        if event.stream_ended and not self._hang_up("request", host=request.host):
            site, stream = self._site, event.stream_id
            path = request.fields.get(":path", "/")
            said = page(site.scenario, site.server, request.host, path, site.now(), true_time_s(site.scenario))
            self._loop.call_later(said.delay_s, lambda: self._answer(stream, said))

    def _answer(self, stream: int, said: Page) -> None:
        request = self._requests.pop(stream, None)
        if request is None or self._http is None or self._quic is None or self._mute:
            return
        fields = {":status": str(said.status), **fields_of(self._site.scenario, said)}
        body = b"" if request.fields.get(":method") == "HEAD" else said.body
        fault = self._fault("answer", request.host)
        encoded = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in fields.items()]
        self._http.send_headers(stream, encoded, end_stream=not body and fault is None)
        if body:
            shown = body if fault is None else body[: fault.after_bytes]
            self._http.send_data(stream, shown, end_stream=fault is None)
        self._flush()
        if fault is not None:
            self._do(fault)

    # --- the end

    def _fault(self, when: str, host: str = "") -> Fault | None:
        site = self._site
        return hangup(site.scenario, site.server, when, host or self._name, f"quic {self._addr}", site.now())

    def _hang_up(self, when: str, data: bytes = b"", *, uploaded: int = 0, host: str = "") -> bool:
        """End the connection at this moment if a fault wants that, with an answer to `data` where it has not begun.

        Says whether.
        """
        fault = self._fault(when, host)
        if fault is None or (when == "upload" and uploaded <= fault.after_bytes):
            return False
        if data and fault.how != "silence":
            own = self._hello.connection[:_CONNECTION_ID_BYTES].ljust(_CONNECTION_ID_BYTES, b"\0")
            self._door.send(farewell(data, self._hello, own, REFUSED), self._addr)
        self._do(fault)
        return True

    def _do(self, fault: Fault) -> None:
        if self._quic is not None and fault.how != "silence":
            code = ErrorCode.H3_INTERNAL_ERROR if fault.how == "reset" else ErrorCode.H3_NO_ERROR
            self._quic.close(error_code=code)
            self._flush()
        self._mute = True  # it hears and says nothing any more
        if self._timer is not None:
            self._timer.cancel()
        self._loop.call_later(_IDLE_S, self._over)


class _Request:
    """What a client has asked on one stream so far."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.uploaded = 0

    @property
    def host(self) -> str:
        return self.fields.get(":authority", "").lower().partition(":")[0]
