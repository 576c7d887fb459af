"""What a reply shows beside who sent it: a TCP header, what became of our own packet on the way, router interfaces."""

from netprobe.model.record import Record

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))  # RFC 9293, 3.1; RFC 3168, 6.1


class TcpOption(Record, frozen=True, omit_defaults=True):
    """One TCP option by its name: `mss`, `window_scale`, `sack`, `timestamps`, `nop`, `end`, or its kind's number.

    `value` is the MSS, the shift count or the sender's time stamp, `echo` the time stamp that it echoes.
    """

    name: str
    value: int = 0
    echo: int = 0


class TcpHeader(Record, frozen=True, omit_defaults=True):
    """A TCP segment's header, and the fields of its IP header that tell one sender from another.

    `flags` are the bits of RFC 9293 and, for ECN, RFC 3168; `length` is the payload's, in bytes. `tos` is the traffic
    class byte and `dont_fragment` IPv4's DF; the TTL and the IP identification are the reply's own fields.
    """

    flags: int
    window: int
    sequence: int
    acknowledges: int
    length: int = 0
    options: tuple[TcpOption, ...] = ()
    tos: int = 0
    dont_fragment: bool = False

    def option(self, name: str) -> TcpOption | None:
        """The first option called `name`."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def mss(self) -> int:
        """The MSS that it announces, 0 when it announces none."""
        found = self.option("mss")
        return found.value if found else 0


class Change(Record, frozen=True):
    """One field of our packet that an ICMP error quotes otherwise than it left: `sent` became `seen`.

    `field` is one of `FIELDS`. Numbers, but for `source` and `destination` (addresses) and `options` (names of TCP
    options, in order).
    """

    field: str
    sent: int | str
    seen: int | str


#: What a quote is compared in, in the order of the packet's bytes. `ttl`: a packet that expires is quoted with 1.
FIELDS = (
    "dscp",
    "ecn",
    "length",
    "ip_id",
    "flow_label",
    "dont_fragment",
    "ttl",
    "source",
    "destination",
    "source_port",
    "identifier",
    "sequence",
    "options",
    "mss",
    "checksum",
)


class Interface(Record, frozen=True, omit_defaults=True):
    """An interface of the router that sent an ICMP error (RFC 5837); the text is hostile.

    `role` is `incoming`, `sub_ip`, `outgoing` or `next_hop`, as seen from our packet; `index` is its ifIndex, `mtu` in
    bytes. What the router does not tell is 0 or empty.
    """

    role: str
    index: int = 0
    address: str = ""
    name: str = ""
    mtu: int = 0


def parse_options(data: bytes) -> tuple[TcpOption, ...]:
    """The TCP options in `data` (RFC 9293, 3.1), as far as they make sense. Never raises."""
    found: list[TcpOption] = []
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == 0:
            found.append(TcpOption("end"))
            break
        if kind == 1:
            found.append(TcpOption("nop"))
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            break
        found.append(_option(kind, data[at + 2 : at + length]))
        at += length
    return tuple(found)


#: Kind -> name and length of the value (RFC 9293, 3.2; RFC 7323, 2.2 and 3.2; RFC 2018, 2).
_OPTIONS = {2: ("mss", 2), 3: ("window_scale", 1), 4: ("sack", 0), 8: ("timestamps", 8)}


def _option(kind: int, value: bytes) -> TcpOption:
    name, length = _OPTIONS.get(kind, (str(kind), -1))
    if len(value) != length:
        return TcpOption(str(kind))
    if name == "timestamps":
        return TcpOption(name, int.from_bytes(value[:4]), int.from_bytes(value[4:]))
    return TcpOption(name, int.from_bytes(value))
