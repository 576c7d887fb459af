"""The process that speaks QUIC: makes the handshakes that it is asked for, several at a time, until its channel ends.

The protocol is aioquic's. Whatever it makes of what strangers send ends here: memory and time are bounded by the
kernel, and a process that dies of them is started again for the next handshake.
"""

import contextlib
import heapq
import ipaddress
import itertools
import logging
import resource
import select
import socket
import ssl
import time
from collections.abc import Sequence

import msgspec
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import HandshakeCompleted
from cryptography.hazmat.primitives.serialization import Encoding

from netprobe.live import errors
from netprobe.live.broker import kernel
from netprobe.live.certificate import read
from netprobe.live.privilege import give_up
from netprobe.live.quic_words import Asked, Told, pack, unpack
from netprobe.live.text import clean
from netprobe.model.services import Certificate, QuicHandshake, QuicHandshaken

_VERSIONS = {0x00000001: "QUICv1", 0x6B3343CF: "QUICv2"}
_COMPLAINTS = {  # aioquic's words, and OpenSSL's for the same
    "Certificate is not valid yet": "certificate is not yet valid",
    "Certificate is no longer valid": "certificate has expired",
}
_CRYPTO_ERROR, _BAD_CERTIFICATE, _LAST_OF_CERTIFICATES = 0x100, 42, 48  # RFC 9000, 20.1; RFC 8446, 6: to unknown_ca
_NO_COMMON_VERSION = "Could not find a common protocol version"
_MOST_DATAGRAMS = 64  # that are read before others have their turn
_DATAGRAM_BYTES = 65536
_HEADERS = {4: 20 + 8, 6: 40 + 8}
_DETAIL_LIMIT = 200
_LIMITS = (
    (resource.RLIMIT_DATA, 1 << 28),  # bytes: many times what it needs
    (resource.RLIMIT_CPU, 300),  # seconds, over all of its life
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0),
)
_DESCRIPTORS = 256


def serve(channel: int, authorities: Sequence[bytes]) -> None:
    """Work until `channel` ends. `authorities` are certificates to trust, in DER; none: the system's."""
    logging.disable()  # what strangers say is told by facts only
    for kind, most in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # whoever started us may keep limits to himself
            resource.setrlimit(kind, (most, most))
    give_up()
    kernel.set_name("netprobe-quic")
    kernel.die_with_parent()
    Helper(socket.socket(fileno=channel), authorities).run()


class Trusted(msgspec.Struct, frozen=True):
    """Whom to trust, in the ways in which aioquic can be told."""

    data: bytes | None = None
    file: str | None = None
    folder: str | None = None

    @classmethod
    def of(cls, authorities: Sequence[bytes]) -> "Trusted":
        """The certificates of `authorities`; without any, where OpenSSL looks."""
        if authorities:
            return cls("".join(ssl.DER_cert_to_PEM_cert(one) for one in authorities).encode())
        paths = ssl.get_default_verify_paths()
        return cls(file=paths.cafile, folder=paths.capath)


class Helper:
    """The loop: the channel, the sockets of handshakes under way, and their timers."""

    def __init__(self, channel: socket.socket, authorities: Sequence[bytes]) -> None:
        self._channel = channel
        self._trusted = Trusted.of(authorities)
        self._unread = b""
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._shakes: dict[int, Shake] = {}  # by descriptor
        self._due: list[tuple[float, int, Shake]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Until the channel ends."""
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                shake = heapq.heappop(self._due)[2]
                if not shake.over:
                    shake.wake()
                    self._look(shake)
            wait_ms = max(0.0, self._due[0][0] - time.monotonic()) * 1e3 if self._due else None
            for descriptor, _ in self._poll.poll(wait_ms):
                if descriptor == self._channel.fileno():
                    if not self._listen():
                        return
                elif (found := self._shakes.get(descriptor)) is not None:
                    found.readable()
                    self._look(found)

    def _listen(self) -> bool:
        """Take what is asked. Says whether the channel goes on."""
        chunk = self._channel.recv(_DATAGRAM_BYTES)
        self._unread += chunk
        while (found := unpack(self._unread)) is not None:
            message, self._unread = found
            asked = msgspec.json.decode(message, type=Asked)
            if asked.handshake is None:
                for shake in list(self._shakes.values()):
                    shake.over = True
                    self._forget(shake)
            elif len(self._shakes) < _DESCRIPTORS:
                shake = Shake(asked, asked.handshake, self._trusted)
                shake.begin()
                if shake.descriptor >= 0:
                    self._shakes[shake.descriptor] = shake
                    self._poll.register(shake.descriptor, select.POLLIN)
                self._look(shake)
        return bool(chunk)

    def _look(self, shake: "Shake") -> None:
        """Tell what came of it if it is over; else come back to it when it wants."""
        if shake.over:
            self._channel.sendall(pack(shake.told()))
            self._forget(shake)
        else:
            heapq.heappush(self._due, (shake.due(), next(self._order), shake))

    def _forget(self, shake: "Shake") -> None:
        if self._shakes.pop(shake.descriptor, None) is not None:
            self._poll.unregister(shake.descriptor)
        shake.close()


class _Connection(QuicConnection):
    """Knows whether it was this side that had a reason to end it."""

    own_reason: tuple[int, str] | None = None

    def close(self, error_code: int = 0, frame_type: int | None = None, reason_phrase: str = "") -> None:
        """Note why."""
        if self.own_reason is None:
            self.own_reason = (error_code, reason_phrase)
        super().close(error_code, frame_type, reason_phrase)


class Shake:
    """One handshake."""

    def __init__(self, asked: Asked, request: QuicHandshake, trusted: Trusted) -> None:
        self._number = asked.number
        self._link = asked.link
        self._request = request
        self._sock: socket.socket | None = None
        self.descriptor = -1
        self.over = False
        self._error = self._detail = ""
        self._code: int | None = None
        self._began_s = 0.0
        self._initial_s: float | None = None
        self._handshake_s: float | None = None
        self._alpn = ""
        self._packets = self._bytes = 0
        self._quic = _Connection(
            configuration=QuicConfiguration(
                is_client=True,
                alpn_protocols=list(request.alpn),
                server_name=request.server_name or None,
                verify_mode=ssl.CERT_REQUIRED if request.verify else ssl.CERT_NONE,
                cadata=trusted.data,
                cafile=trusted.file,
                capath=trusted.folder,
            )
        )

    def begin(self) -> None:
        """Say hello."""
        request = self._request
        try:
            self._sock = errors.connect(request.address, request.port, socket.SOCK_DGRAM, link=self._link)
        except (OSError, ValueError, OverflowError) as error:  # no route, or not an address
            self._end("local", errors.name(error))
            return
        self.descriptor = self._sock.fileno()
        self._overhead = _HEADERS[ipaddress.ip_address(request.address).version]
        self._began_s = time.monotonic()
        self._quic.connect((request.address, request.port), now=self._began_s)
        self._advance()

    def due(self) -> float:
        """When it wants to be woken (monotonic)."""
        timer = self._quic.get_timer()
        limit = self._began_s + self._request.timeout_s
        return limit if timer is None else min(limit, timer)

    def wake(self) -> None:
        """Its time has come: the request's, or the connection's."""
        now = time.monotonic()
        if now >= self._began_s + self._request.timeout_s:
            self._end("timeout")
            return
        if (timer := self._quic.get_timer()) is not None and timer <= now:
            self._quic.handle_timer(now=now)
        self._advance()

    def readable(self) -> None:
        """Take the datagrams that have come."""
        for _ in range(_MOST_DATAGRAMS):
            if self._sock is None or self.over:
                return
            try:
                data = self._sock.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)
                continue
            now = time.monotonic()
            if self._initial_s is None and data[1:5] != b"\0\0\0\0":  # not a negotiation (RFC 8999, 6)
                self._initial_s = now - self._began_s
            self._quic.receive_datagram(data, (self._request.address, self._request.port), now=now)
            self._advance()

    def _advance(self) -> None:
        """See what has happened, and send what is to be sent."""
        while not self.over and (event := self._quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self._handshake_s = time.monotonic() - self._began_s - (self._initial_s or 0.0)
                self._alpn = clean(event.alpn_protocol or "", _DETAIL_LIMIT)
                self._flush()
                self._end("")
                return
        self._flush()
        ended = self._quic._close_event  # noqa: SLF001  # told by an event only after it has drained (RFC 9000, 10.2.2)
        if ended is not None and not self.over:
            if ended.reason_phrase == _NO_COMMON_VERSION and self._initial_s is None:
                self._end("version")
            elif self._quic.own_reason is not None:
                self._end(*self._complaint(*self._quic.own_reason))
            else:
                self._code = ended.error_code
                self._end("closed", ended.reason_phrase)

    def _complaint(self, code: int, reason: str) -> tuple[str, str]:
        """Our own reason to end it: a certificate, or what is no QUIC."""
        if not _BAD_CERTIFICATE <= code - _CRYPTO_ERROR <= _LAST_OF_CERTIFICATES:
            return "closed", f"not acceptable QUIC: {reason}"
        if reason.startswith("hostname "):
            reason = f"Hostname mismatch, certificate is not valid for '{self._request.server_name}'."
        return "certificate", _COMPLAINTS.get(reason, reason)

    def _flush(self) -> None:
        for data, _ in self._quic.datagrams_to_send(now=time.monotonic()):
            if self._sock is None:
                return
            try:
                self._sock.send(data)
            except BlockingIOError:
                continue
            except OSError as error:
                self._failed(error)
                continue
            self._packets += 1
            self._bytes += len(data) + self._overhead

    def _failed(self, error: OSError) -> None:
        """Somebody says that datagrams do not get there: believed until somebody has answered (RFC 9000, 14.2.1)."""
        reported = errors.troubles(self._sock) if self._sock else []
        told = [one for one in reported if not one.too_large]
        if self._initial_s is not None or (reported and not told):
            return
        detail = errors.name(error) + (f" ({told[-1].text})" if told else "")
        if not told or told[-1].local:
            self._end("local", detail)
        else:
            own = told[-1].refusal and told[-1].offender == self._request.address
            self._end("refused" if own else "unreachable", detail)

    def _end(self, error: str, detail: str = "") -> None:
        if not self.over:
            self.over = True
            self._error, self._detail = error, clean(detail, _DETAIL_LIMIT)

    def close(self) -> None:
        """Say goodbye, and let go of the socket."""
        if self._sock is not None:
            self._quic.close()
            self._flush()
            self._sock.close()
            self._sock = None

    def told(self) -> Told:
        """What came of it."""
        self.close()
        done = self._handshake_s is not None and not self._error
        phase = "done" if done else "initial" if self._initial_s is None else "handshake"
        outcome = QuicHandshaken(
            handshake=self._request,
            phase=phase,
            error=self._error,
            detail=self._detail,
            code=self._code,
            initial_s=self._initial_s,
            handshake_s=self._handshake_s,
            version=_VERSIONS.get(self._quic._version or 0, "") if done else "",  # noqa: SLF001  # told by nothing else
            alpn=self._alpn,
            certificate=self._certificate() if done else None,
        )
        return Told(self._number, outcome, self._packets, self._bytes)

    def _certificate(self) -> Certificate | None:
        shown = self._quic.tls._peer_certificate  # noqa: SLF001  # as above
        return read(shown.public_bytes(Encoding.DER)) if shown is not None else None
