"""A TCP connection to a service, with TLS and one HTTP request over it where they are asked for.

TLS runs over memory (ssl.MemoryBIO) and this module moves the bytes itself, so that it knows exactly how a phase ended:
a RST, a FIN, an alert, a certificate, or silence.
"""

import errno
import re
import socket
import ssl
from collections.abc import Callable, Sequence

import h11
import msgspec

from netprobe.live import errors
from netprobe.live.certificate import read
from netprobe.live.hearing import Ear, Hearing
from netprobe.live.page import headers, request, title
from netprobe.live.reactor import READ, WRITE, Reactor, Timer
from netprobe.live.tcp_info import connected_after, counted
from netprobe.live.text import clean
from netprobe.live.trust import HTTP_1, Trust
from netprobe.model.services import Certificate, Fetch, Handshake, Handshaken, Response
from netprobe.probing.arrivals import Arrivals

_CHUNK = 65536
_READS_AT_ONCE = 16
_HEAD_LIMIT = 65536  # bytes of status line and headers that are read before the answer counts as malformed
_MOST_INTERIM = 32  # answers of 1xx before the one that counts (RFC 9110, 15.2)
_DETAIL_LIMIT = 200
_CUT = frozenset({"refused", "reset", "closed", "expired"})
_CONTRADICTION_S = 0.15  # how much later than a forged end the answer may come, beside a round trip
#: OpenSSL's reasons for an alert that the other side sent; other reasons are our own complaint about its bytes.
_ALERT = re.compile(r"ALERT|^TLSV1|^SSLV3")


class Conversation:
    """One handshake or fetch under way. Calls `done(outcome)` once, at the request's `timeout_s` at the latest."""

    def __init__(
        self,
        request: Handshake | Fetch,
        reactor: Reactor,
        trust: Trust,
        done: Callable[[Handshaken | Response], None],
        count: Callable[[int, int], None],
        hearing: Hearing | None = None,
        link: str = "",
    ) -> None:
        self._link = link
        self._fetch = request if isinstance(request, Fetch) else None
        self._handshake = request.handshake if isinstance(request, Fetch) else request
        self._reactor = reactor
        self._trust = trust
        self._done = done
        self._count = count  # told the packets and bytes that the connection has sent
        self._hearing = hearing
        self._ear: Ear | None = None
        self._ending = False
        self._sock: socket.socket | None = None
        self._timer: Timer | None = None
        self._tls: ssl.SSLObject | None = None
        self._alpn: Sequence[str] = HTTP_1
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = b""
        self._phase = "connect"
        self._phase_began = self._deadline = 0.0
        self._connect_s: float | None = None
        self._tls_s: float | None = None
        self._certificate: Certificate | None = None
        self._handshaken: Handshaken | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        self._answer: h11.Response | None = None
        self._interim = 0
        self._first_byte_s: float | None = None
        self._body = b""
        self._body_bytes = 0
        self._arrivals = Arrivals()
        self._before: int | None = None  # bytes that were acknowledged before the request
        self._uploaded = 0  # bytes of the request that were acknowledged

    # -- the course of things -----------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Connect."""
        self._phase_began = now
        try:
            asked = self._handshake
            self._sock = errors.connect(
                asked.address, asked.port, socket.SOCK_STREAM, mss=asked.mss, link=self._link, before=self._listen
            )
        except (OSError, ValueError, TypeError, OverflowError) as error:  # no route, or not an address
            self._end("local", errors.name(error))
            return
        self._deadline = now + self._handshake.timeout_s
        self._timer = self._reactor.at(self._deadline, lambda: self._end("timeout"))
        self._reactor.watch(self._sock.fileno(), WRITE, self._connected)

    def _listen(self, sock: socket.socket) -> None:
        if self._hearing:
            asked = self._handshake
            self._ear = self._hearing.listen(sock, asked.address, asked.port, self._phase_began)
        if self._ear and self._handshake.hello_ttl:
            self._ear.on_returned = lambda: self._end("expired")

    def close(self) -> None:
        """Let go of the socket and the timer."""
        if self._hearing and self._ear:
            self._hearing.forget(self._ear)
        if self._timer:
            self._timer.cancel()
        if self._sock is not None:
            packets, size, acknowledged = counted(self._sock)
            self._count(packets, size)
            self._uploaded = acknowledged - self._before if self._before is not None else 0
            self._reactor.forget(self._sock.fileno())
            if self._handshake.hello_ttl:
                errors.set_ttl(self._sock, errors.DEFAULT_TTL)  # the other side may know that it is over
            self._sock.close()
            self._sock = None

    def _connected(self) -> None:
        if self._sock is None:
            return
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._connect_failed(code)
            return
        errors.troubles(self._sock)
        errors.want_errors(self._sock, on=False)  # from here on TCP is as patient as it is everywhere
        self._connect_s = connected_after(self._sock, self._next_phase())
        if self._handshake.hello_ttl:
            errors.set_ttl(self._sock, self._handshake.hello_ttl)
        if not self._handshake.server_name:
            self._established()
            return
        self._phase = "tls"
        try:
            self._tls = self._trust.context(verify=self._handshake.verify, alpn=self._alpn).wrap_bio(
                self._incoming, self._outgoing, server_hostname=self._handshake.server_name
            )
        except (OSError, ValueError, TypeError) as error:  # an untrusted store, or no name that TLS could send
            self._end("local", str(error))
            return
        self._shake_hands()

    def _connect_failed(self, code: int) -> None:
        """Tell a RST, a router's or the own kernel's complaint, and silence apart."""
        reported = errors.troubles(self._sock) if self._sock else []
        last = reported[-1] if reported else None
        detail = errno.errorcode.get(code, str(code)) + (f" ({last.text})" if last else "")
        if last is not None and last.local:
            self._end("local", detail)
        elif last is not None and code == errno.ECONNREFUSED:
            self._end("unreachable", detail)  # port unreachable by ICMP: a firewall's refusal, not the server's RST
        else:
            self._end(errors.OUTCOMES.get(code, "unreachable"), detail)

    def _shake_hands(self) -> None:
        if self._tls is None:
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLCertVerificationError as error:
            self._flush()  # the alert that says why
            self._end("certificate", error.verify_message)
            return
        except ssl.SSLError as error:
            self._flush()
            self._end(*_tls_error(error))
            return
        self._flush()
        self._certificate = read(self._tls.getpeercert(binary_form=True) or b"")
        self._tls_s = self._next_phase()
        self._established()

    def _established(self) -> None:
        """The handshake is done: that is all, or the request follows."""
        self._phase = "done"
        if self._sock is None:
            return
        self._handshaken = self._as_handshaken("", "")
        if self._fetch is None:
            self._end("")
            return
        try:
            sent = self._http.send(request(self._fetch)) or b""
            if self._fetch.upload_bytes:
                sent += self._http.send(h11.Data(data=bytes(self._fetch.upload_bytes))) or b""
            self._http.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            self._end("local", str(error))
            return
        if self._tls is None:
            self._outgoing.write(sent)
        else:
            self._tls.write(sent)
        self._before = counted(self._sock).acknowledged
        self._flush()
        self._phase_began = self._reactor.now()
        self._arrivals.asked(self._phase_began)
        self._read_tls()  # the answer may already be here

    def _next_phase(self) -> float:
        """How long the phase took that ends now."""
        now = self._reactor.now()
        took, self._phase_began = now - self._phase_began, now
        return took

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Send what TLS or HTTP want sent; the rest when the socket takes it."""
        if self._sock is None or self._ending:
            return
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # the read that follows says how the connection ended
        self._reactor.watch(self._sock.fileno(), READ | WRITE if self._unsent else READ, self._readable)

    def _readable(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if self._sock is None:
                return
            if self._unsent:
                self._flush()
            try:
                chunk = self._sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(errors.OUTCOMES.get(error.errno or 0, "reset"), errors.name(error))
                return
            if chunk:
                self._arrivals.came(len(chunk), self._reactor.now())
                self._take(chunk)
            else:
                self._closed()
                return

    def _take(self, chunk: bytes) -> None:
        if self._tls is None:
            self._take_http(chunk)
            return
        self._incoming.write(chunk)
        if self._phase == "tls":
            self._shake_hands()
        else:
            self._read_tls()

    def _read_tls(self) -> None:
        """Hand on what can be decrypted."""
        while self._tls is not None and self._sock is not None:
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self._closed()
                return
            except ssl.SSLError as error:
                self._end(*_tls_error(error))
                return
            if not data:
                self._closed()
                return
            self._take_http(data)
        self._flush()

    def _closed(self) -> None:
        """The other side ended the connection: the end of an answer, or too early for one."""
        if self._phase == "done" and self._fetch is not None:
            self._take_http(b"")
        if self._sock is not None:
            self._end("closed")

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def _take_http(self, data: bytes) -> None:
        if self._first_byte_s is None and data:
            self._first_byte_s = self._next_phase()
            self._arrivals.read()
        try:
            self._http.receive_data(data)
            while self._sock is not None:
                event = self._http.next_event()
                if isinstance(event, h11.Response):
                    self._answer = event
                elif isinstance(event, h11.Data):
                    self._take_body(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._end("")
                elif isinstance(event, h11.InformationalResponse):
                    self._interim += 1
                    if self._interim > _MOST_INTERIM:
                        self._end("malformed", "no end of interim answers")
                else:
                    return  # it needs more data, or the connection is over
        except h11.RemoteProtocolError as error:
            self._end("malformed" if data else "closed", str(error))

    def _take_body(self, data: bytes) -> None:
        limit = self._fetch.body_limit if self._fetch else 0
        self._body += data[: max(0, limit - len(self._body))]
        self._body_bytes += len(data)
        if len(self._body) >= limit:
            self._end("")

    # -- the end ------------------------------------------------------------------------------------------------------

    def _as_handshaken(self, error: str, detail: str) -> Handshaken:
        return Handshaken(
            handshake=self._handshake,
            phase=self._phase,
            error=error,
            detail=clean(detail, _DETAIL_LIMIT),
            connect_s=self._connect_s,
            tls_s=self._tls_s,
            tls_version=(self._tls.version() or "") if self._tls and self._phase == "done" else "",
            certificate=self._certificate,
        )

    def _end(self, error: str, detail: str = "") -> None:
        """Everything is over. Who forges an end is quicker than who answers: what contradicts it may still come."""
        if self._ending:
            return
        if self._ear is None or self._sock is None or error not in _CUT:
            self._finish(error, detail)
            return
        self._ending = True
        if self._timer:
            self._timer.cancel()
        self._reactor.forget(self._sock.fileno())
        until = self._reactor.now() + _CONTRADICTION_S + (self._connect_s or 0.0)
        self._timer = self._reactor.at(min(until, self._deadline), lambda: self._finish(error, detail))

    def _finish(self, error: str, detail: str) -> None:
        """Close and tell."""
        self.close()
        # What went wrong with the handshake is its error; what went wrong after it is the response's.
        handshaken = self._handshaken or self._as_handshaken(error, detail)
        if self._ear:
            heard, returned = self._ear.heard.replies, tuple(self._ear.returned)
            handshaken = msgspec.structs.replace(handshaken, heard=heard, returned=returned)
        if self._fetch is None:
            self._done(handshaken)
            return
        answer = self._answer
        self._done(
            Response(
                fetch=self._fetch,
                handshaken=handshaken,
                status=answer.status_code if answer else 0,
                error=error,
                first_byte_s=self._first_byte_s,
                headers=headers(answer) if answer else {},
                title=title(self._body),
                body_bytes=self._body_bytes,
                uploaded_bytes=max(0, self._uploaded),
                body=self._body if self._fetch.keep_body else b"",
                **self._arrivals.told(error, self._reactor.now()),
            )
        )


def _tls_error(error: ssl.SSLError) -> tuple[str, str]:
    """An error word for what TLS complains of, and its reason.

    Bytes that are not TLS (a plain HTTP block page, say) count as an alert too: it is the alert that we send.
    """
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", ""
    reason = error.reason or str(error)
    return "alert", reason if _ALERT.search(reason) else f"not acceptable TLS: {reason}"
