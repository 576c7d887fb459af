"""The server's side of TLS over memory: bytes in, bytes out, so that a connection can be cut at any moment of it."""

import ssl
from collections.abc import Callable

_CHUNK = 65536


class Tls:
    """One connection's TLS. `send` takes what is for the wire."""

    def __init__(self, context: ssl.SSLContext, send: Callable[[bytes], None]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._send = send
        self.shaken = False
        self.ended = False  # the other side says that nothing else comes

    def receive(self, data: bytes) -> bytes:
        """What `data` from the wire says in clear.

        Raises `ssl.SSLError` when it is no TLS, or TLS that ends; an alert that says why has been sent then.
        """
        self._incoming.write(data)
        clear = []
        try:
            if not self.shaken:
                self._tls.do_handshake()
                self.shaken = True
            while chunk := self._tls.read(_CHUNK):
                clear.append(chunk)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()
        return b"".join(clear)

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        self._tls.write(data)
        self._flush()

    @property
    def protocol(self) -> str:
        """What was agreed on in ALPN; empty: nothing."""
        return self._tls.selected_alpn_protocol() or ""

    def finish(self) -> None:
        """Say that nothing else comes (close_notify; RFC 8446, 6.1)."""
        if self.shaken:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the other side has not said it yet, and need not
                pass
            finally:
                self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._send(data)
