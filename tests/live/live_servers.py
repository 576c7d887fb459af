"""Small servers for the packet tests, each with one way to behave or misbehave."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.live.live_network import Namespace

Handler = Callable[[socket.socket], None]
_PATIENCE_S = 10.0


def listening(namespace: Namespace, address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A bound socket that lives in `namespace`."""
    with namespace.inside():
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind is socket.SOCK_STREAM:
            sock.listen(16)
    except OSError:
        sock.close()
        raise
    return sock


@contextmanager
def serving(namespace: Namespace, address: str, port: int, handler: Handler) -> Iterator[None]:
    """A TCP server that hands each connection to `handler`; what that leaves open is closed at the end."""
    with ExitStack() as stack:
        listener = stack.enter_context(listening(namespace, address, port, socket.SOCK_STREAM))

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                stack.enter_context(connection)
                connection.settimeout(_PATIENCE_S)
                with contextlib.suppress(OSError):  # the client may go whenever it likes
                    handler(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(_PATIENCE_S)


def tls(chain: Path, answer: bytes = b"") -> Handler:
    """A TLS server with the certificate in `chain` that answers the first request with `answer` and closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(answer)
            secure.unwrap()

    return handle


def plain(answer: bytes, *, then: Handler | None = None) -> Handler:
    """An HTTP server that answers the first request with `answer`, and then closes or does what `then` does."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)
        (then or socket.socket.close)(connection)

    return handle


def after_hello(then: Handler) -> Handler:
    """Read the client's first bytes, then do what `then` does."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        then(connection)

    return handle


def sending(data: bytes) -> Handler:
    """Send `data` and close."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.close()

    return handle


def reset(connection: socket.socket) -> None:
    """Close with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silence(_connection: socket.socket) -> None:
    """Keep the connection open and say nothing."""


def read_request(connection: socket.socket) -> bytes:
    """The bytes up to the empty line."""
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = connection.recv(65536)
        if not chunk:
            break
        request += chunk
    return request
