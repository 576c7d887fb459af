"""The ClientHello of a QUIC connection, as somebody on the way puts it together out of datagrams."""

from netprobe.sim.quic.initial import Crypto, Keys, Kind, Packet, frames, initial_keys, opened, packets

_MOST_BYTES = 16384  # of a ClientHello: more than any has
_MOST_PIECES = 64
_RECORD = b"\x16\x03\x01\0\0"  # what QUIC leaves out of TLS: the header of a record (RFC 9001, 4.1.3)
_MESSAGE_HEADER = 4
_ALPN = 16


class Hello:
    """What one flow's client has said so far. Datagrams may come in any order, and pieces more than once."""

    def __init__(self) -> None:
        self._begun_with: bytes = b""  # the connection id that the first keys follow from
        self._pieces: dict[int, bytes] = {}
        self._kept = 0
        self.seen = False  # an Initial that could be read

    def feed(self, datagram: bytes) -> bool:
        """Take what it has of the ClientHello. Says whether anything was new."""
        new = False
        for packet in packets(datagram):
            if packet.kind is Kind.INITIAL:
                new |= self._take(packet)
        return new

    def _take(self, packet: Packet) -> bool:
        self._begun_with = self._begun_with or packet.destination
        payload = opened(packet, self._keys(packet, self._begun_with))
        if payload is None and packet.destination != self._begun_with:  # after a Retry (RFC 9001, 5.2)
            payload = opened(packet, self._keys(packet, packet.destination))
            if payload is not None:
                self._begun_with = packet.destination
        if payload is None:
            return False
        self.seen = True
        new = False
        for frame in frames(payload):
            if isinstance(frame, Crypto) and len(self._pieces) < _MOST_PIECES:
                room = _MOST_BYTES - self._kept
                longer = len(frame.data) > len(self._pieces.get(frame.offset, b""))
                if longer and frame.offset < _MOST_BYTES and len(frame.data) <= room:
                    self._pieces[frame.offset] = frame.data
                    self._kept += len(frame.data)
                    new = True
        return new

    @staticmethod
    def _keys(packet: Packet, connection: bytes) -> Keys:
        return initial_keys(packet.version, connection, of_client=True)

    @property
    def connection(self) -> bytes:
        """The connection id that the keys follow from."""
        return self._begun_with

    @property
    def begun(self) -> bytes:
        """The message as far as it is there without a gap, with a record's header before it as TLS over TCP has."""
        data = b""
        for offset in sorted(self._pieces):
            if offset > len(data):
                break
            data = data[:offset] + self._pieces[offset] + data[offset + len(self._pieces[offset]) :]
        return _RECORD + data

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        data = self.begun[len(_RECORD) :]
        size = int.from_bytes(data[1:_MESSAGE_HEADER])
        return len(data) >= _MESSAGE_HEADER and len(data) >= _MESSAGE_HEADER + size
