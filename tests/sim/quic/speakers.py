"""QUIC as others speak it: aioquic's connections without a network."""

import os
from collections.abc import Iterable

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

V1, V2 = 0x00000001, 0x6B3343CF
PEER = ("192.0.2.1", 443)


def datagrams(name: str, *, version: int = V1, protocols: Iterable[str] = ("h3",)) -> list[bytes]:
    """The first flight of a client that asks for `name`."""
    configuration = QuicConfiguration(
        is_client=True, server_name=name, alpn_protocols=list(protocols), supported_versions=[version]
    )
    connection = QuicConnection(configuration=configuration)
    connection.connect(PEER, now=0.0)
    return [data for data, _ in connection.datagrams_to_send(now=0.0)]


def long_winded(name: str, *, version: int = V1) -> list[bytes]:
    """The first flight of one whose ClientHello does not fit into a datagram; its name stands at the very end, or not."""
    return datagrams(name, version=version, protocols=["h3", *(os.urandom(100).hex() for _ in range(20))])
