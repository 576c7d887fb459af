"""Classic BPF programs that keep other people's packets out of our raw sockets.

A program here decides on numbers that are fixed when the sockets are opened (a block of source ports, a block of ICMP
identifiers), so that it never has to be replaced and may be locked. It keeps work away from us; it is not what replies
are believed for: that is the identity, which is checked afterwards.
"""

import itertools
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from netprobe.live import codec

# Opcodes of linux/bpf_common.h and linux/filter.h, named as the assembler of the BPF paper names them.
_LDH_IND, _LDB_IND, _LD_MEM = 0x48, 0x50, 0x60
_LDH_ABS, _LDB_ABS = 0x28, 0x30
_LDXB_MSH, _LDX_IMM, _ST, _TAX = 0xB1, 0x01, 0x02, 0x07
_AND, _LSH, _ADD, _ADD_X, _SUB = 0x54, 0x64, 0x04, 0x0C, 0x14
_JEQ, _JGE, _RET = 0x15, 0x35, 0x06

_WHOLE_PACKET = 0xFFFF
_ICMPV6_ERRORS_FROM, _ICMPV6_ERRORS_TO = 1, 5
_IDENT_BLOCK_MASK = 0xFF00
_FRAGMENT = 0x3FFF  # more fragments, or not the first one
_IPV4, _IPV6 = 0x0800, 0x86DD  # linux/if_ether.h
_AD_PROTOCOL, _AD_PACKET_TYPE = 0xFFFFF000, 0xFFFFF004  # linux/filter.h: what is known of a packet beside its bytes
_OUTGOING = 4  # linux/if_packet.h


class Instruction(NamedTuple):
    """One step; `yes` and `no` are labels that a jump goes to, empty: the next step."""

    code: int
    k: int = 0
    yes: str = ""
    no: str = ""
    label: str = ""


class Blocks(NamedTuple):
    """What marks packets as ours: source ports from `first_port` on, and the high byte of ICMP identifiers."""

    first_port: int
    ports: int
    ident_base: int

    @property
    def probe_ports(self) -> range:
        """Those of probes.

        A server keeps the ports of a connection in mind for a minute after its end (TIME-WAIT, RFC 9293, 3.6.1). A SYN
        from such a port draws an acknowledgement of what is long over, and would count as lost.
        """
        return range(self.first_port, self.first_port + self.ports - len(self.connection_ports))

    @property
    def connection_ports(self) -> range:
        """Those of connections that the own kernel holds and that are listened to: the last quarter."""
        end = self.first_port + self.ports
        return range(end - self.ports // 4, end)


def assemble(program: Sequence[Instruction]) -> bytes:
    """The program as an array of `struct sock_filter`, jumps resolved."""
    places = {step.label: index for index, step in enumerate(program) if step.label}

    def distance(label: str, index: int) -> int:
        return places[label] - index - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", step.code, distance(step.yes, index), distance(step.no, index), step.k)
        for index, step in enumerate(program)
    )


_END = (Instruction(_RET, 0, label="drop"), Instruction(_RET, _WHOLE_PACKET, label="pass"))


def icmp_filter(blocks: Blocks) -> bytes:
    """Pass echo replies to our identifiers and errors that quote one of our probes. The packet begins with IPv4."""
    return assemble([*_icmp(blocks), *_END])


def _icmp(blocks: Blocks) -> list[Instruction]:
    return [
        Instruction(_LDXB_MSH, 0),  # X: length of the IP header
        Instruction(_LDB_IND, 0),  # ICMP type
        Instruction(_JEQ, codec.ICMP_ECHO_REPLY, "echo"),
        Instruction(_JEQ, codec.ICMP_UNREACHABLE, "error"),
        Instruction(_JEQ, codec.ICMP_TIME_EXCEEDED, "error"),
        Instruction(_JEQ, codec.ICMP_PARAMETER, "error", "drop"),
        Instruction(_LDH_IND, 4, label="echo"),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
        Instruction(_LDB_IND, 17, label="error"),  # the quoted header's protocol
        Instruction(_ST, 0),
        Instruction(_LDB_IND, 8),  # the quoted header's own length: options are rare, but exist
        Instruction(_AND, 0x0F),
        Instruction(_LSH, 2),
        Instruction(_ADD_X),
        Instruction(_TAX),
        Instruction(_LD_MEM, 0),
        Instruction(_JEQ, socket.IPPROTO_ICMP, "quoted echo"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "quoted ports"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "quoted ports", "drop"),
        Instruction(_LDH_IND, 12, label="quoted echo"),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
        Instruction(_LDH_IND, 8, label="quoted ports"),
        Instruction(_SUB, blocks.first_port),  # below the block: wraps to a large number
        Instruction(_JGE, blocks.ports, "drop", "pass"),
    ]


def tcp_filter(blocks: Blocks) -> bytes:
    """Pass segments to our block of ports. The packet begins with IPv4."""
    return assemble(
        [
            Instruction(_LDXB_MSH, 0),
            Instruction(_LDH_IND, 2),  # destination port
            Instruction(_SUB, blocks.first_port),
            Instruction(_JGE, blocks.ports, "drop", "pass"),
            *_END,
        ]
    )


def icmpv6_filter(blocks: Blocks) -> bytes:
    """As `icmp_filter`, for ICMPv6. The packet begins with ICMPv6."""
    return assemble([*_icmpv6(blocks, 0), *_END])


def _icmpv6(blocks: Blocks, at: int) -> list[Instruction]:
    """The same for a packet whose ICMPv6 begins at byte `at`."""
    quote = at + codec.ICMP.size
    return [
        Instruction(_LDB_ABS, at, label="icmpv6"),  # type
        Instruction(_JEQ, codec.ICMPV6_ECHO_REPLY, "v6 echo"),
        Instruction(_JGE, _ICMPV6_ERRORS_TO, "drop"),
        Instruction(_JGE, _ICMPV6_ERRORS_FROM, "v6 error", "drop"),
        Instruction(_LDH_ABS, at + 4, label="v6 echo"),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
        Instruction(_LDX_IMM, quote + codec.IPV6.size, label="v6 error"),  # X: what follows the quoted header
        Instruction(_LDB_ABS, quote + 6),  # what that is
        *itertools.chain.from_iterable(map(_skip_extension, range(codec.MOST_EXTENSION_HEADERS))),
        Instruction(_JEQ, socket.IPPROTO_ICMPV6, "v6 quoted echo", label="transport"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "v6 quoted ports"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "v6 quoted ports", "drop"),
        Instruction(_LDH_IND, 4, label="v6 quoted echo"),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
        Instruction(_LDH_IND, 0, label="v6 quoted ports"),
        Instruction(_SUB, blocks.first_port),
        Instruction(_JGE, blocks.ports, "drop", "pass"),
    ]


def _skip_extension(number: int) -> list[Instruction]:
    """Skip the extension header of IPv6 that A names and X points to, if it is one; there are no loops here."""
    *kinds, last = codec.EXTENSION_HEADERS
    skip = f"skip {number}"
    return [
        *(Instruction(_JEQ, kind, skip) for kind in kinds),
        Instruction(_JEQ, last, skip, "transport"),
        Instruction(_LDB_IND, 0, label=skip),  # what follows it
        Instruction(_ST, 0),
        Instruction(_LDB_IND, 1),  # its length
        Instruction(_LSH, 3),
        Instruction(_ADD, 8),
        Instruction(_ADD_X),
        Instruction(_TAX),
        Instruction(_LD_MEM, 0),
    ]


def tcp_v6_filter(blocks: Blocks) -> bytes:
    """Pass segments to our block of ports. The packet begins with TCP."""
    return assemble(
        [
            Instruction(_LDH_ABS, 2),
            Instruction(_SUB, blocks.first_port),
            Instruction(_JGE, blocks.ports, "drop", "pass"),
            *_END,
        ]
    )


def tap_filter(blocks: Blocks) -> bytes:
    """Pass our probes when they leave, and what the filters above pass and datagrams to our ports when they come in.

    For a packet socket without link-layer headers: the packet begins with IP. Fragments are nothing that we send, and
    carry no ports.
    """
    steps = [
        Instruction(_LDH_ABS, _AD_PROTOCOL),
        Instruction(_JEQ, _IPV6, "v6"),
        Instruction(_JEQ, _IPV4, "", "drop"),
        Instruction(_LDH_ABS, 6),
        Instruction(_AND, _FRAGMENT),
        Instruction(_JEQ, 0, "", "drop"),
        Instruction(_LDXB_MSH, 0),
        Instruction(_LDB_ABS, _AD_PACKET_TYPE),
        Instruction(_JEQ, _OUTGOING, "out"),
        Instruction(_LDB_ABS, 9),  # protocol
        Instruction(_JEQ, socket.IPPROTO_ICMP, "icmp"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "to"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "to", "drop"),
        Instruction(_LDH_IND, 2, label="to"),
        Instruction(_SUB, blocks.first_port),
        Instruction(_JGE, blocks.ports, "drop", "pass"),
        Instruction(_LDB_ABS, 9, label="out"),
        Instruction(_JEQ, socket.IPPROTO_ICMP, "request"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "from"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "from", "drop"),
        Instruction(_LDH_IND, 0, label="from"),
        Instruction(_SUB, blocks.first_port),
        Instruction(_JGE, blocks.ports, "drop", "pass"),
        Instruction(_LDB_IND, 0, label="request"),
        Instruction(_JEQ, codec.ICMP_ECHO, "", "drop"),
        Instruction(_LDH_IND, 4),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
        Instruction(_LDB_ABS, _AD_PACKET_TYPE, label="v6"),
        Instruction(_JEQ, _OUTGOING, "v6 out"),
        Instruction(_LDB_ABS, 6),  # next header
        Instruction(_JEQ, socket.IPPROTO_ICMPV6, "icmpv6"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "v6 to"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "v6 to", "drop"),
        Instruction(_LDH_ABS, codec.IPV6.size + 2, label="v6 to"),
        Instruction(_SUB, blocks.first_port),
        Instruction(_JGE, blocks.ports, "drop", "pass"),
        Instruction(_LDB_ABS, 6, label="v6 out"),
        Instruction(_JEQ, socket.IPPROTO_ICMPV6, "v6 request"),
        Instruction(_JEQ, socket.IPPROTO_TCP, "v6 from"),
        Instruction(_JEQ, socket.IPPROTO_UDP, "v6 from", "drop"),
        Instruction(_LDH_ABS, codec.IPV6.size, label="v6 from"),
        Instruction(_SUB, blocks.first_port),
        Instruction(_JGE, blocks.ports, "drop", "pass"),
        Instruction(_LDB_ABS, codec.IPV6.size, label="v6 request"),
        Instruction(_JEQ, codec.ICMPV6_ECHO, "", "drop"),
        Instruction(_LDH_ABS, codec.IPV6.size + 4),
        Instruction(_AND, _IDENT_BLOCK_MASK),
        Instruction(_JEQ, blocks.ident_base, "pass", "drop"),
    ]
    icmp = _icmp(blocks)
    icmp[0] = icmp[0]._replace(label="icmp")
    return assemble([*steps, *icmp, *_icmpv6(blocks, codec.IPV6.size), *_END])
