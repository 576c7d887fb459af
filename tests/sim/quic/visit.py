"""A client of others: aioquic's own, in a process of its own. `visit.py ADDRESS NAME [VERSION [PATH]]`, a line of JSON.

It imports nothing of ours, and believes SSL_CERT_FILE. Debian 12 has no other: its curl speaks no HTTP/3.
"""

import asyncio
import json
import os
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent

PATIENCE_S = 4.0


class Browser(QuicConnectionProtocol):
    """Keeps what it hears."""

    found: dict[str, object]
    over: asyncio.Event
    http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        """Note what matters."""
        if isinstance(event, HandshakeCompleted):
            self.found["alpn"] = event.alpn_protocol
        elif isinstance(event, ConnectionTerminated):
            self.found |= {"code": event.error_code, "reason": event.reason_phrase}
            self.over.set()
        for said in self.http.handle_event(event) if self.http else ():
            if isinstance(said, HeadersReceived):
                self.found["headers"] = {key.decode(): value.decode() for key, value in said.headers}
            elif isinstance(said, DataReceived):
                self.found["body"] = str(self.found.get("body", "")) + said.data.decode()
            if isinstance(said, HeadersReceived | DataReceived) and said.stream_ended:
                self.over.set()


async def visit(address: str, name: str, version: int, path: str) -> dict[str, object]:
    """Fetch a page."""
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3"],
        server_name=name,
        supported_versions=[version],
        cafile=os.environ["SSL_CERT_FILE"],
    )
    found: dict[str, object] = {}

    def browser(*arguments: object, **options: object) -> Browser:
        made = Browser(*arguments, **options)  # type: ignore[arg-type]  # as they come
        made.found, made.over = found, asyncio.Event()
        return made

    try:
        async with asyncio.timeout(PATIENCE_S):
            async with connect(address, 443, configuration=configuration, create_protocol=browser) as client:
                assert isinstance(client, Browser)
                client.http = H3Connection(client._quic)
                stream = client._quic.get_next_available_stream_id()
                asked = {":method": "GET", ":scheme": "https", ":authority": name, ":path": path}
                client.http.send_headers(stream, [(k.encode(), v.encode()) for k, v in asked.items()], end_stream=True)
                client.transmit()
                await client.over.wait()
    except TimeoutError:
        found["error"] = "timeout"
    except ConnectionError as error:
        found["error"] = type(error).__name__
    return found


if __name__ == "__main__":
    where, whom, *more = sys.argv[1:]
    print(json.dumps(asyncio.run(visit(where, whom, int(more[0], 0) if more else 1, more[1] if more[1:] else "/"))))
