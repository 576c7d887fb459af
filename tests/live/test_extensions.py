"""What routers put behind a quote: scapy builds the objects, and any other bytes are survived."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMPExtension_Header, ICMPExtension_InterfaceInformation, ICMPExtension_Object

from netprobe.live import extensions
from netprobe.live.extensions import NOTHING, Extensions
from netprobe.model.replies import Interface


def error(*objects: object) -> bytes:
    """An ICMPv4 time exceeded with 128 bytes of quote and the objects behind it."""
    built = b"".join(bytes(one) for one in objects)  # type: ignore[call-overload]
    extension = bytes(ICMPExtension_Header() / built)
    return b"\x0b\0\0\0\0\x20\0\0" + bytes(128) + extension


def read(message: bytes) -> Extensions:
    return extensions.read(message, 5, 4)


def label_stack(*labels: int) -> bytes:
    stack = b"".join(bytes(MPLS(label=label, cos=1, s=label == labels[-1], ttl=7)) for label in labels)
    return struct.pack("!HBB", 4 + len(stack), 1, 1) + stack


def test_an_interface_is_read() -> None:
    """Role, ifIndex, address, name and MTU of RFC 5837 are read as scapy and the RFC write them."""
    said = read(
        error(
            ICMPExtension_InterfaceInformation(
                classtype=0, has_ifindex=1, has_ipaddr=1, ifindex=15, afi=1, ip4="192.0.2.9"
            ),
            ICMPExtension_InterfaceInformation(
                classtype=2, has_ipaddr=1, has_mtu=1, afi=2, ip6="2001:db8::7", mtu=9000
            ),
            # scapy does not count the length's own byte, RFC 5837, 4.3 does, and pads to four.
            ICMPExtension_InterfaceInformation(classtype=3, has_ifname=1, ifname_len=12, ifname=b"xe-0/0/1.0\0"),
        )
    )
    assert said.interfaces == (
        Interface("incoming", 15, "192.0.2.9"),
        Interface("outgoing", address="2001:db8::7", mtu=9000),
        Interface("next_hop", name="xe-0/0/1.0"),
    )
    assert said.unknown == 0


def test_labels_are_read_beside_other_objects() -> None:
    """The label stack is found wherever it stands, and what nobody can read is counted."""
    said = read(error(ICMPExtension_Object(classnum=77, classtype=1) / b"1234", label_stack(24015, 3)))
    assert said == Extensions(((24015, 1, 0, 7), (3, 1, 1, 7)), (), 1)


@pytest.mark.parametrize(
    "cut",
    [
        struct.pack("!HBB", 8, 2, 0x04) + b"\0\1\0\0",  # the address is missing
        struct.pack("!HBB", 8, 2, 0x04) + b"\0\x09\0\0",  # no family that there is
        struct.pack("!HBB", 8, 2, 0x02) + b"\x40eth",  # the name is longer than the object
        struct.pack("!HBB", 6, 2, 0x01) + b"\0\0",  # half an MTU
    ],
)
def test_an_interface_that_is_cut_is_counted_only(cut: bytes) -> None:
    """An object that does not hold what its bits promise is one that nobody can read."""
    assert read(error(cut)) == Extensions((), (), 1)


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    """No bytes make the reader raise, with and without a right header before them."""
    for message in (data, b"\x0b\0\0\0\0\x20\0\0" + bytes(128) + b"\x20\0\0\0" + data):
        said = read(message)
        assert len(said.interfaces) <= 8
        assert len(said.mpls) <= 16


def test_a_wrong_checksum_is_no_extension() -> None:
    """RFC 4884, 7: what the checksum does not vouch for is taken for a part of the quote."""
    message = bytearray(error(label_stack(24015)))
    message[-1] ^= 1
    assert read(bytes(message)) == NOTHING
