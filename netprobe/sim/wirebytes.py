"""The little of DNS, TLS and HTTP that goes through a network in virtual time.

Questions, answers and ClientHellos are real ones, so that a middlebox reads the same bytes as behind a real device. The
rest of TLS is only as long as in life: what a server proves about itself goes in clear.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from socket import AF_INET6, inet_aton, inet_ntoa, inet_ntop, inet_pton

from netprobe.model.services import Lookup
from netprobe.sim.servers.answers import Records

RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_A, _NS, _CNAME, _AAAA, _IN, _OPT = 1, 2, 5, 28, 1, 41
_TYPES = {"A": _A, "NS": _NS, "CNAME": _CNAME, "TXT": 16, "AAAA": _AAAA}
_SUBNET = 8  # an option of EDNS (RFC 7871, 6)
_PAYLOAD = 1232  # the EDNS buffer size that avoids fragments (DNS flag day 2020)
_CLASSES = {"IN": _IN, "CH": 3}
_RECURSION = 0x0100
_AUTHORITATIVE = 0x0400
_RESPONSE = 0x8180  # RFC 1035, 4.1.1: QR, RD, RA
_TRUNCATED = 0x02  # in the third byte
DATAGRAM_BYTES = 512  # RFC 1035, 4.2.1: what goes into a datagram without EDNS
_HEADER = struct.Struct("!6H")
_POINTER = 0xC0

HANDSHAKE, APPLICATION, ALERT = 22, 23, 21
_TLS_1_2 = 0x0303  # what TLS 1.3 says in its record header (RFC 8446, 5.1)
_RECORD_LIMIT = 1 << 14


@dataclass(slots=True, frozen=True)
class DnsAnswer:
    """What a DNS response says: the alias chain from the name asked for, and the addresses at its end."""

    ident: int
    name: str
    rcode: str
    aliases: tuple[str, ...]
    addresses: tuple[str, ...]
    ttl_s: int
    truncated: bool = False
    servers: tuple[str, ...] = ()
    scope: int | None = None
    authoritative: bool = False


def dns_query(ident: int, name: str, record_type: str = "A", record_class: str = "IN") -> bytes:
    """A stub resolver's question (RFC 1035, 4.1)."""
    kind = struct.pack("!HH", _TYPES[record_type], _CLASSES[record_class])
    return _HEADER.pack(ident, _RECURSION, 1, 0, 0, 0) + _name(name) + kind


def query_of(lookup: Lookup, ident: int) -> bytes:
    """The question of a lookup."""
    query = dns_query(ident, lookup.name, lookup.record_type, lookup.record_class)
    if not lookup.recursive:
        query = query[:2] + bytes([query[2] & ~(_RECURSION >> 8)]) + query[3:]
    if lookup.subnet:
        address, _, length = lookup.subnet.partition("/")
        query = query[:11] + b"\x01" + query[12:] + _edns(address, int(length), 0)
    return query


def is_internet(query: bytes) -> bool:
    """Whether a question is of class IN; others are about the server itself."""
    end = _read_name(query, _HEADER.size)[1] + 4
    return query[end - 2 : end] == struct.pack("!H", _IN)


def is_recursive(query: bytes) -> bool:
    """Whether the server is to ask others."""
    return bool(query[2] & _RECURSION >> 8)


def record_type(query: bytes) -> str:
    """The name of the type of records that are asked for; empty for one that has none here."""
    kind = _read_name(query, _HEADER.size)[1]
    return next((name for name, number in _TYPES.items() if query[kind : kind + 2] == struct.pack("!H", number)), "")


def _edns(address: str, length: int, scope: int) -> bytes:
    """An OPT record (RFC 6891) that tells of a client's subnet (RFC 7871, 6)."""
    family, packed = (2, inet_pton(AF_INET6, address)) if ":" in address else (1, inet_aton(address))
    data = struct.pack("!HBB", family, length, scope) + packed[: (length + 7) // 8]
    option = struct.pack("!HH", _SUBNET, len(data)) + data
    return b"\0" + struct.pack("!HHIH", _OPT, _PAYLOAD, 0, len(option)) + option


def subnet_of(query: bytes) -> tuple[str, int] | None:
    """The client's subnet that a question tells of: its address and its length. Only one of IPv4 is understood."""
    at = _read_name(query, _HEADER.size)[1] + 4 + 11  # behind the question and the head of an OPT record
    if len(query) < at + 8 or struct.unpack_from("!HHH", query, at)[::2] != (_SUBNET, 1):
        return None
    length = query[at + 6]
    return inet_ntoa(query[at + 8 : at + 12].ljust(4, b"\0")), length


def is_about_v6(query: bytes) -> bool:
    """Whether a question is for addresses of IPv6."""
    kind = _read_name(query, _HEADER.size)[1]
    return query[kind : kind + 2] == struct.pack("!H", _AAAA)


def dns_answer(query: bytes, records: Records, subnet: tuple[str, int] | None = None) -> bytes:
    """The answer to `query`. Names are not compressed; of EDNS a `subnet` is answered with the records' scope."""
    question = query[_HEADER.size : _read_name(query, _HEADER.size)[1] + 4]
    owner = question[:-4]
    (kind,) = struct.unpack_from("!H", question, len(question) - 4)
    found = [(_CNAME, _name(target)) for _, target in records.aliases[: 1 if kind == _CNAME else None]]
    if kind == _A:
        found += [(_A, inet_aton(address)) for address in records.addresses]
    elif kind == _AAAA:
        found += [(_AAAA, inet_pton(AF_INET6, address)) for address in records.aaaa]
    elif kind == _NS:
        found += [(_NS, _name(server)) for server in records.servers]
    body = b""
    for type_, data in found:
        body += owner + struct.pack("!HHIH", type_, _IN, records.ttl_s, len(data)) + data
        owner = data if type_ == _CNAME else owner
    flags = _RESPONSE | RCODES.index(records.rcode) | (_AUTHORITATIVE if records.authoritative else 0)
    more = _edns(*subnet, records.scope) if subnet else b""
    return query[:2] + struct.pack("!5H", flags, 1, len(found), 0, bool(more)) + question + body + more


def truncated(answer: bytes) -> bytes:
    """What a datagram says of an answer that is too long for it: the question, and that there is more."""
    end = _read_name(answer, _HEADER.size)[1] + 4
    return answer[:2] + bytes([answer[2] | _TRUNCATED]) + answer[3:6] + bytes(6) + answer[_HEADER.size : end]


def with_length(message: bytes) -> bytes:
    """A DNS message as TCP carries it (RFC 1035, 4.2.2)."""
    return struct.pack("!H", len(message)) + message


def split_message(data: bytes) -> tuple[bytes, bytes] | None:
    """The first whole DNS message of a stream and what follows it; None while it is not whole."""
    end = 2 + int.from_bytes(data[:2])
    return (data[2:end], data[end:]) if len(data) >= 2 and end <= len(data) else None


def parse_dns_answer(message: bytes) -> DnsAnswer:
    """Read what `dns_answer` makes. Raises `ValueError` for anything else."""
    try:
        ident, flags, _, count, _, more = _HEADER.unpack_from(message)
        name, at = _read_name(message, _HEADER.size)
        at += 4
        aliases, addresses, servers, ttls = [], [], [], []
        for _ in range(count):
            _, at = _read_name(message, at)
            kind, _, ttl, size = struct.unpack_from("!HHIH", message, at)
            at += 10
            if kind == _CNAME:
                aliases.append(_read_name(message, at)[0])
            elif kind == _A:
                addresses.append(inet_ntoa(message[at : at + size]))
            elif kind == _AAAA:
                addresses.append(inet_ntop(AF_INET6, message[at : at + size]))
            elif kind == _NS:
                servers.append(_read_name(message, at)[0])
            ttls.append(ttl)
            at += size
        scope = message[at + 18] if more else None  # of the one option in the one record that is there: see _edns
    except (struct.error, IndexError, OSError) as error:
        msg = "not a DNS answer"
        raise ValueError(msg) from error
    return DnsAnswer(
        ident,
        name,
        RCODES[flags & 15],
        tuple(aliases),
        tuple(addresses),
        min(ttls, default=0),
        bool(flags >> 8 & _TRUNCATED),
        tuple(servers),
        scope,
        bool(flags & _AUTHORITATIVE),
    )


def _name(name: str) -> bytes:
    labels = [label.encode("ascii", "replace")[:63] for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while size := message[at]:
        if size >= _POINTER:
            msg = "compressed"
            raise ValueError(msg)
        labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    return ".".join(labels), at + 1


def client_hello(name: str, random: bytes, protocols: Sequence[str] = ("http/1.1",)) -> bytes:
    """A TLS 1.3 ClientHello (RFC 8446, 4.1.2) that asks for `name`, as a record; `random` is 32 bytes."""
    return tls_record(HANDSHAKE, _hello(name, random, protocols, session=random))


def quic_hello(name: str, random: bytes, protocols: Sequence[str], connection: bytes) -> bytes:
    """The same as QUIC has it (RFC 9001, 8): no record, no session; `connection` is the client's connection id."""
    parameters = b"\x0f" + bytes([len(connection)]) + connection  # RFC 9000, 18.2: initial_source_connection_id
    return _hello(name, random, protocols, more=_extension(57, parameters))


def server_hello(random: bytes) -> bytes:
    """The ServerHello (RFC 8446, 4.1.3) of a server that takes what `quic_hello` offers."""
    extensions = _extension(43, struct.pack("!H", 0x0304)) + _extension(51, struct.pack("!HH", 0x001D, 32) + random)
    body = struct.pack("!H", _TLS_1_2) + random + struct.pack("!BHB", 0, 0x1301, 0)
    return _message(2, body + struct.pack("!H", len(extensions)) + extensions)


def _hello(name: str, random: bytes, protocols: Sequence[str], *, session: bytes = b"", more: bytes = b"") -> bytes:
    host = name.encode("ascii", "replace")
    offered = b"".join(bytes([len(one)]) + one.encode("ascii", "replace") for one in protocols)
    extensions = _extension(0, struct.pack("!HBH", len(host) + 3, 0, len(host)) + host) if host else b""
    extensions += _extension(10, struct.pack("!HH", 2, 0x001D))  # groups: x25519
    extensions += _extension(13, struct.pack("!HHH", 4, 0x0403, 0x0804))  # signatures: ECDSA, RSA-PSS
    if offered:
        extensions += _extension(16, struct.pack("!H", len(offered)) + offered)  # ALPN
    extensions += _extension(43, struct.pack("!BHH", 4, 0x0304, 0x0303))  # versions
    extensions += _extension(51, struct.pack("!HHH", 36, 0x001D, 32) + random)  # key share
    extensions += more
    body = struct.pack("!H", _TLS_1_2) + random + bytes([len(session)]) + session  # version, random, session id
    body += struct.pack("!HHHH", 6, 0x1301, 0x1302, 0x1303) + b"\x01\x00"  # cipher suites, no compression
    body += struct.pack("!H", len(extensions)) + extensions
    return _message(1, body)


def _message(kind: int, body: bytes) -> bytes:
    """A handshake message (RFC 8446, 4)."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def tls_record(kind: int, data: bytes) -> bytes:
    """`data` as records of `kind`."""
    pieces = [data[i : i + _RECORD_LIMIT] for i in range(0, len(data), _RECORD_LIMIT)] or [b""]
    return b"".join(struct.pack("!BHH", kind, _TLS_1_2, len(piece)) + piece for piece in pieces)


def split_record(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first whole record's kind and content, and what follows it; None while it is not whole."""
    if len(data) < 5:  # the record header
        return None
    kind, _, size = struct.unpack_from("!BHH", data)
    if len(data) < 5 + size:
        return None
    return kind, data[5 : 5 + size], data[5 + size :]
