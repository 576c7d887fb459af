"""Conversations with a service, a request and its outcome: Lookup/Answer, Handshake/Handshaken, Fetch/Response,
QuicHandshake/QuicHandshaken.
"""

from enum import StrEnum

from netprobe.model.probes import Reply
from netprobe.model.record import Fact, Record


class Handshake(Record, frozen=True):
    """A TCP connection and, unless `server_name` is empty, a TLS handshake with that name in the SNI (RFC 6066).

    `mss` is the largest TCP segment in bytes that either side may send (RFC 9293, 3.7.1): it is offered in the SYN, and
    kept to; 0 for what the own link allows. With `hello_ttl` the connection is made as always, but what follows leaves
    with this TTL: who answers a ClientHello that cannot reach the server stands on the way. 0: the usual TTL.
    """

    address: str
    port: int = 443
    server_name: str = ""
    verify: bool = True
    timeout_s: float = 5.0
    mss: int = 0
    hello_ttl: int = 0


class Certificate(Record, frozen=True):
    """What a server showed. Text is hostile: it was cut to 200 characters and is escaped where it is shown."""

    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    not_before_s: float = 0.0
    not_after_s: float = 0.0


class Handshaken(Fact, frozen=True, tag="handshaken"):
    """What became of a handshake.

    `connect_s` and `tls_s` are durations of the phases that were completed. `phase` is the one in which it ended:
    `connect`, `tls` or `done`. `error` is one of `timeout`, `refused` (RST to the SYN), `reset`, `closed`,
    `unreachable`, `certificate`, `alert`, `expired` (the TTL of the ClientHello ran out), `local` (never left: see
    `detail`), or empty. `heard` are the
    segments of the other side that tell who ended the connection, in order of arrival, `rtt_s` counted from its
    beginning: the SYN-ACK, the last before the end, the ends, and what still came after them. Empty where nobody
    listened. `returned` are the ICMP errors about what left with `hello_ttl`.
    """

    handshake: Handshake
    phase: str
    error: str = ""
    detail: str = ""
    connect_s: float | None = None
    tls_s: float | None = None
    tls_version: str = ""
    certificate: Certificate | None = None
    heard: tuple[Reply, ...] = ()
    returned: tuple[Reply, ...] = ()

    @property
    def done(self) -> bool:
        """Whether every phase that was asked for was completed."""
        return self.phase == "done"


class Transport(StrEnum):
    """What carries a DNS question: UDP or TCP port 53 (RFC 1035), TLS (RFC 7858) or HTTPS (RFC 8484)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTPS = "https"


class Lookup(Record, frozen=True):
    """One DNS question to one resolver.

    `resolver` is an address; `record_type` and `record_class` are the names of RFC 1035, as in `A` and `IN`. Over UDP
    it is asked `attempts` times, and over TCP after truncation; over anything else once. `server_name` is who the
    resolver has to prove to be, over TLS and HTTPS. `subnet` tells it where the answer is for (RFC 7871), as in
    `192.0.2.0/24`; empty: nothing. Unless `recursive` it is to say what it knows itself: so authorities are asked.
    """

    name: str
    resolver: str
    record_type: str = "A"
    timeout_s: float = 3.0
    attempts: int = 2
    record_class: str = "IN"
    transport: Transport = Transport.UDP
    server_name: str = ""
    subnet: str = ""
    recursive: bool = True


class Answer(Fact, frozen=True, tag="answer"):
    """What became of a lookup.

    `rcode` is the DNS response code's name (`NOERROR`, `NXDOMAIN`, `SERVFAIL`), empty when nothing came. `error` is
    `timeout`, `refused` (ICMP port unreachable), `unreachable`, `malformed`, or empty; over other transports than UDP
    as in Handshaken, plus `malformed`, and `status` where HTTP's, which is kept, is not 200. `aliases` is the CNAME
    chain. `responses` counts answers to the one question: more than one is a sign of injection. `servers` are the names
    of a zone's name servers, where those were asked for. `scope` is the length of the prefix that the answer is for,
    says the resolver (RFC 7871); None where it does not. `connection` is the one that it came over, unless over UDP.
    """

    lookup: Lookup
    rcode: str = ""
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ttl_s: int = 0
    rtt_s: float | None = None
    error: str = ""
    responses: int = 0
    authoritative: bool = False
    servers: tuple[str, ...] = ()
    scope: int | None = None
    connection: Handshaken | None = None
    status: int = 0

    @property
    def usable(self) -> bool:
        """Whether it is a positive answer with at least one address."""
        return self.rcode == "NOERROR" and bool(self.addresses)


class QuicHandshake(Record, frozen=True):
    """A QUIC connection (RFC 9000) over UDP, with `server_name` in the SNI of its ClientHello, and no request over it.

    `alpn` are the protocols that it offers. `timeout_s` counts from its first datagram.
    """

    address: str
    port: int = 443
    server_name: str = ""
    alpn: tuple[str, ...] = ("h3",)
    verify: bool = True
    timeout_s: float = 5.0


class QuicHandshaken(Fact, frozen=True, tag="quic_handshaken"):
    """What became of a QUIC handshake.

    `phase` is the one in which it ended: `initial` (nobody has answered the first datagram), `handshake` or `done`;
    `initial_s` and `handshake_s` are durations of those that were completed. `error` is one of `timeout`, `refused`
    (port unreachable, says the address itself), `unreachable` (somebody else says so), `version` (the other side speaks
    none of ours), `certificate`, `closed` (by the other side, which gave the error `code` of RFC 9000, 20), `local`
    (never left, or this machine cannot speak QUIC: see `detail`), or empty. `version` is `QUICv1` or `QUICv2`, `alpn`
    what was agreed on.
    """

    handshake: QuicHandshake
    phase: str
    error: str = ""
    detail: str = ""
    code: int | None = None
    initial_s: float | None = None
    handshake_s: float | None = None
    version: str = ""
    alpn: str = ""
    certificate: Certificate | None = None

    @property
    def done(self) -> bool:
        """Whether both sides have proved what they had to."""
        return self.phase == "done"


class Fetch(Record, frozen=True):
    """One HTTP request over a fresh handshake; only the headers and the first bytes of the body are read.

    Those are handed on only with `keep_body`. The request has a body of `upload_bytes` zeros. `host` is whom it asks
    for where that is not the handshake's `server_name`: over TLS only the latter can be read on the way.
    """

    handshake: Handshake
    path: str = "/"
    method: str = "GET"
    body_limit: int = 65536
    upload_bytes: int = 0
    host: str = ""
    keep_body: bool = False


class Response(Fact, frozen=True, tag="response"):
    """What became of a fetch. `status` is 0 without an answer; `error` as in Handshaken, plus `malformed`.

    `first_byte_s` counts from the request's last byte to the answer's first (the server's thinking and one round trip);
    of a request with a body, from when it was handed to the kernel.
    `headers` holds lower-case names of those that matter only: server, via, x-cache, retry-after, location, date,
    content-type, cf-mitigated (Cloudflare's word for a challenge in a page's stead), alt-svc (where else it serves).
    `arrived_bytes` is what the connection brought once the request had left, readable or not: a TLS record that is cut
    tells nothing else. Of a time-out, `quiet_s` is how long nothing had come before it; None where nothing came at all.
    `pause_s` is the longest time without a byte between the request and the first that could be read: a server that
    thinks is silent, a way that is slow is not. `curve` is when they came: (seconds since the request, bytes so far),
    at most a few dozen points. `uploaded_bytes` are those of the request, with what TLS adds, that the other side's
    kernel had acknowledged at the end. `body` is what a fetch asked to keep; no observation does.
    """

    fetch: Fetch
    handshaken: Handshaken
    status: int = 0
    error: str = ""
    first_byte_s: float | None = None
    headers: dict[str, str] = {}
    title: str = ""
    body_bytes: int = 0
    arrived_bytes: int = 0
    quiet_s: float | None = None
    pause_s: float | None = None
    curve: tuple[tuple[float, int], ...] = ()
    uploaded_bytes: int = 0
    body: bytes = b""


#: The headers that a Response keeps.
HEADERS_THAT_MATTER = (
    "server",
    "via",
    "x-cache",
    "retry-after",
    "location",
    "date",
    "content-type",
    "cf-mitigated",
    "alt-svc",
)
