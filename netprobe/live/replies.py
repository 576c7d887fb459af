"""What a message says about the probe that it answers: pure, from what was read to the `Reply` of the model."""

from netprobe.live import codec, quotes
from netprobe.live.dissect import EchoReply, IcmpError, Segment
from netprobe.live.outstanding import Sent
from netprobe.model.probes import ICMP_UNREACHABLE, Reply, ReplyKind
from netprobe.model.replies import Change, TcpHeader, parse_options

_DESTINATION_UNREACHABLE = {True: codec.ICMPV6_UNREACHABLE, False: ICMP_UNREACHABLE}  # by whether it is IPv6
_TIME_EXCEEDED = {True: codec.ICMPV6_TIME_EXCEEDED, False: codec.ICMP_TIME_EXCEEDED}

# What the own kernel says about a packet of ours that never left, by ICMP code (RFC 792, RFC 1812, 5.2.7.1).
_LOCAL_FAILURES = {0: "ENETUNREACH", 1: "EHOSTUNREACH", 4: "EMSGSIZE", 9: "EPERM", 10: "EPERM", 13: "EPERM"}
_LOCAL_FAILURES_V6 = {0: "ENETUNREACH", 1: "EPERM", 3: "EHOSTUNREACH", 5: "EPERM", 6: "EPERM"}  # RFC 4443, 3.1


def local_failure(code: int, *, over_v6: bool) -> str:
    """The errno's name for a "destination unreachable" of `code` that comes from an address of this machine."""
    return (_LOCAL_FAILURES_V6 if over_v6 else _LOCAL_FAILURES).get(code, "EHOSTUNREACH")


def send_failed(error: str, source: str = "", rtt_s: float = 0.0) -> Reply:
    """The probe never left; `error` is the errno's name."""
    return Reply(kind=ReplyKind.SEND_FAILED, source=source, rtt_s=rtt_s, error=error)


def of_echo_reply(message: EchoReply, rtt_s: float) -> Reply:
    """An echo reply."""
    return Reply(
        kind=ReplyKind.ECHO_REPLY,
        source=message.source,
        rtt_s=rtt_s,
        ttl=message.ttl,
        icmp_type=codec.ICMPV6_ECHO_REPLY if codec.is_v6(message.source) else codec.ICMP_ECHO_REPLY,
        icmp_code=0,
        ip_id=message.ip_id,
    )


def of_segment(message: Segment, rtt_s: float) -> Reply:
    """A segment: a SYN-ACK, a reset, or something else of the connection."""
    if message.flags & codec.RST:
        kind = ReplyKind.RST
    elif message.flags & codec.SYN:
        kind = ReplyKind.SYN_ACK
    else:
        kind = ReplyKind.ACK
    header = TcpHeader(
        flags=message.flags,
        window=message.window,
        sequence=message.sequence,
        acknowledges=message.acknowledges,
        length=message.length,
        options=parse_options(message.options),
        tos=message.tos,
        dont_fragment=message.dont_fragment,
    )
    return Reply(kind=kind, source=message.source, rtt_s=rtt_s, ttl=message.ttl, ip_id=message.ip_id, tcp=header)


def of_error(message: IcmpError, sent: Sent, rtt_s: float) -> Reply:
    """An ICMP error about the probe `sent`: the own kernel's says that it never left."""
    over_v6 = codec.is_v6(sent.source)
    unreachable = message.type == _DESTINATION_UNREACHABLE[over_v6]
    if message.source == sent.source and unreachable and message.quote.destination != sent.source:
        return send_failed(local_failure(message.code, over_v6=over_v6), message.source, rtt_s)
    changes = quotes.changes(sent.start, message.quote.data, expired=message.type == _TIME_EXCEEDED[over_v6])
    return _of_icmp(message, rtt_s, len(message.quote.data[: sent.size].rstrip(b"\0")), changes)


def of_error_about_segment(message: IcmpError, rtt_s: float) -> Reply:
    """An ICMP error about a segment of a connection that the own kernel holds, of which no copy was kept."""
    return _of_icmp(message, rtt_s, len(message.quote.data))


def _of_icmp(message: IcmpError, rtt_s: float, quoted_bytes: int, changes: tuple[Change, ...] = ()) -> Reply:
    expired = message.type == _TIME_EXCEEDED[codec.is_v6(message.quote.destination)]
    extensions = message.extensions
    return Reply(
        kind=ReplyKind.TIME_EXCEEDED if expired else ReplyKind.UNREACHABLE,
        source=message.source,
        rtt_s=rtt_s,
        ttl=message.ttl,
        icmp_type=message.type,
        icmp_code=message.code,
        quoted_ttl=message.quote.ttl,
        quoted_tos=message.quote.tos,
        ip_id=message.ip_id,
        mpls=extensions.mpls,
        mtu=message.mtu,
        changes=changes,
        interfaces=extensions.interfaces,
        unknown_objects=extensions.unknown,
        quoted_bytes=quoted_bytes,
    )


def of_datagram(source: str, ttl: int, rtt_s: float) -> Reply:
    """A datagram from where the probe was sent to."""
    return Reply(kind=ReplyKind.UDP_DATA, source=source, rtt_s=rtt_s, ttl=ttl)
