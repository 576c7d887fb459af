"""What was learned of the way, for people and for machines."""

import json

import pytest

from netprobe.model.dscp import DSCP, name_of, value_of
from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.model.replies import ACK, RST, SYN, Change, Interface, TcpHeader, TcpOption
from netprobe.report.changes import remarks_at
from netprobe.report.lines import render
from netprobe.report.trace import table
from netprobe.report.trace_line import to_line
from netprobe.tracing import Traced

DESTINATION = "203.0.113.2"
OPTIONS = (TcpOption("mss", 1400), TcpOption("timestamps", 7, 9))
SYN_ACK = TcpHeader(SYN | ACK, 65160, 5, 6, options=OPTIONS, dont_fragment=True)
LONG_NAME = "xe-0/0/1\x1b[31m"


def path(*changes: Change, header: TcpHeader = SYN_ACK, kind: ReplyKind = ReplyKind.SYN_ACK) -> Path:
    """Two routers, the second of which quotes `changes`, and the destination."""
    expired = (ReplyKind.TIME_EXCEEDED, "198.51.100.1", 0.01, 64, 11, 0, 1)
    second = Reply(
        *expired[:3],
        254,
        *expired[4:],
        changes=changes,
        quoted_bytes=60,
        interfaces=(Interface("incoming", 3, "198.51.100.9", LONG_NAME),),
        unknown_objects=2,
    )
    replies = (
        Reply(*expired, quoted_bytes=60),
        second,
        Reply(kind, DESTINATION, 0.02, 52, ip_id=0, tcp=header),
    )
    hops = tuple(Hop(ttl, (Exchange(ttl, ttl, 0.0, reply),)) for ttl, reply in enumerate(replies, 1))
    return Path(Flow(Protocol.TCP, DESTINATION, 443, tos=46 << 2), hops, reached=True, rtt_s=0.02, probes_sent=3)


def test_json_carries_what_replies_teach() -> None:
    """Changes where they happened, the way back, the segment, the router's interface with its text cleaned."""
    row = json.loads(to_line(Traced("x", DESTINATION, path(Change("dscp", 46, 0))), "syn", 443))
    assert row["tos"] == 184
    first, second, last = row["hops"]
    assert "changed" not in first
    assert second["changed"] == [{"field": "dscp", "sent": 46, "seen": 0, "after": 1}]
    reply = second["replies"][0]
    assert reply["changes"] == [{"field": "dscp", "sent": 46, "seen": 0}]
    assert (reply["reply_ttl"], reply["return_hops"], reply["unknown_objects"]) == (254, 2, 2)
    assert reply["interfaces"][0]["address"] == "198.51.100.9"
    assert "\x1b" not in reply["interfaces"][0]["name"]
    answer = last["replies"][0]
    assert (answer["reply_ttl"], answer["return_hops"]) == (52, 13)
    assert answer["tcp"] == {
        "flags": "SA",
        "window": 65160,
        "sequence": 5,
        "acknowledges": 6,
        "options": [{"name": "mss", "value": 1400}, {"name": "timestamps", "value": 7, "echo": 9}],
        "ip_id": 0,
        "dont_fragment": True,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("dscp", 46, 0), "DSCP EF becomes CS0 here"),
        (Change("ecn", 2, 0), "ECN 2 becomes 0 here"),
        (Change("mss", 1460, 1400), "MSS clamped to 1400 here"),
        (Change("options", "mss,sack", "mss"), "TCP options are changed here"),
        (Change("source", "192.0.2.2", "192.0.2.77"), "NAT here"),
        (Change("source_port", 1, 2), "NAT here"),
        (Change("checksum", 1, 2), "the checksum is changed here: NAT?"),
        (Change("dont_fragment", 1, 0), "DF is cleared here"),
        (Change("sequence", 1, 2), "numbers are rewritten here"),
        (Change("ip_id", 1, 2), "ip id changes here"),
    ],
)
def test_the_table_marks_changes_in_a_few_words(change: Change, words: str) -> None:
    """At the first hop that shows it, and nowhere else."""
    found = path(change)
    assert remarks_at(found)[2] == [words]
    rows = render(table(found, lambda _: None, width=100), colour=False).splitlines()
    assert [f"[{words}]" in row for row in rows] == [False, True, False]


def test_two_addresses_that_change_are_one_nat() -> None:
    """A source and its port are rewritten by one device."""
    changes = (Change("source", "192.0.2.2", "192.0.2.77"), Change("source_port", 1, 2))
    assert remarks_at(path(*changes))[2] == ["NAT here"]


def test_a_small_mss_of_the_destination_is_told() -> None:
    """What Ethernet carries is nothing to speak of."""
    assert remarks_at(path()) == {3: ["MSS 1400"]}
    assert remarks_at(path(header=TcpHeader(SYN | ACK, 1, 1, 1, options=(TcpOption("mss", 1460),)))) == {}


@pytest.mark.parametrize(("flags", "words"), [(RST, "answers: RST"), (RST | ACK, "refuses: RST")])
def test_a_reset_of_no_connection_refuses_nobody(flags: int, words: str) -> None:
    """An ACK draws a RST from an open port too; a SYN only from a closed one, and that acknowledges it."""
    found = path(header=TcpHeader(flags, 0, 1, 1), kind=ReplyKind.RST)
    assert words in render(table(found, lambda _: None), colour=False)


def test_dscp_names_and_numbers() -> None:
    """RFC 2474, 2597 and 3246: a name stands for one value, and what is neither is refused."""
    assert (DSCP["EF"], DSCP["AF41"], DSCP["CS1"], DSCP["LE"]) == (46, 34, 8, 1)
    assert len(set(DSCP.values())) == len(DSCP)
    assert [value_of(text) for text in ("ef", "0", "63", "AF11")] == [46, 0, 63, 10]
    assert (name_of(46), name_of(3)) == ("EF", "3")
    for wrong in ("64", "-1", "", "EFF", "0x2e", "²"):
        with pytest.raises(ValueError, match="is no DSCP"):
            value_of(wrong)
