"""A traceroute for machines and for people."""

import json

from netprobe.model.probes import Exchange, Flow, Hop, Multipath, Path, Protocol, Reply, ReplyKind, Vertex
from netprobe.report.lines import render
from netprobe.report.trace import notes, table, title
from netprobe.report.trace_line import to_line
from netprobe.topology.asn import Origin
from netprobe.tracing import Traced

FLOW = Flow(Protocol.ICMP, "23.50.131.10")
EXPIRED = Reply(ReplyKind.TIME_EXCEEDED, "192.168.1.1", 0.0012, 64, 11, 0, 1, mpls=((24015, 0, True, 1),))
ARRIVED = Reply(ReplyKind.ECHO_REPLY, "23.50.131.10", 0.0204, 55, 0, 0)
PATH = Path(
    FLOW,
    (
        Hop(1, (Exchange(1, 1, 0.0, EXPIRED),)),
        Hop(2, (Exchange(2, 2, 0.0), Exchange(2, 5, 1.0))),
        Hop(3, (Exchange(3, 3, 0.0, ARRIVED),)),
    ),
    reached=True,
    rtt_s=0.0204,
    probes_sent=5,
)


#: A world without networks.
nobody = dict[str, Origin]().get


def test_json_has_the_contract_s_shape() -> None:
    """Target, address, method, port, reached, rtt_ms, probes_sent and hops with replies, sent and lost."""
    row = json.loads(to_line(Traced("www.tiktok.com", "23.50.131.10", PATH), "icmp", 0))
    assert {k: v for k, v in row.items() if k != "hops"} == {
        "target": "www.tiktok.com",
        "address": "23.50.131.10",
        "method": "icmp",
        "port": 0,
        "reached": True,
        "rtt_ms": 20.4,
        "probes_sent": 5,
        "rung": "raw",
    }
    assert [(hop["ttl"], hop["sent"], hop["lost"]) for hop in row["hops"]] == [(1, 1, 0), (2, 2, 2), (3, 1, 0)]
    first = row["hops"][0]["replies"][0]
    assert (first["address"], first["rtt_ms"], first["icmp_type"], first["icmp_code"]) == ("192.168.1.1", 1.2, 11, 0)
    assert first["mpls"] == [{"label": 24015, "class": 0, "bottom": True, "ttl": 1}]


def test_hops_have_the_replies_of_all_ways() -> None:
    """Who reads the hops only sees every branch too, with its round trip; probes are counted with those of the ways."""
    other = Reply(ReplyKind.TIME_EXCEEDED, "192.168.1.2", 0.0015, 64, 11, 0, 1)
    ways = Multipath(
        FLOW,
        (Vertex(1, "192.168.1.1", (1000,)), Vertex(1, "192.168.1.2", (1001,))),
        (),
        (),
        reached=True,
        complete=True,
        probes_sent=4,
        unanswered=2,
        hops=(
            Hop(1, (Exchange(1, 1, 0.0, EXPIRED), Exchange(1, 2, 0.1, other), Exchange(1, 3, 0.2))),
            Hop(4, (Exchange(4, 4, 0.3),)),
        ),
    )
    row = json.loads(to_line(Traced("t", "23.50.131.10", PATH, ways=ways), "icmp", 0))
    first, *rest = row["hops"]
    assert [(reply["address"], reply["rtt_ms"]) for reply in first["replies"]] == [
        ("192.168.1.1", 1.2),
        ("192.168.1.1", 1.2),
        ("192.168.1.2", 1.5),
    ]
    assert (first["sent"], first["lost"], row["probes_sent"]) == (4, 1, 9)
    assert [hop["ttl"] for hop in rest] == [2, 3]


def test_silent_hops_are_kept() -> None:
    """A hop that never answered has its row, for machines and for people."""
    assert json.loads(to_line(Traced("t", "a", PATH), "icmp", 0))["hops"][1]["replies"] == []
    assert "   2  did not answer 2 probes" in render(table(PATH, nobody))


def test_json_is_valid_on_an_empty_path_and_without_any() -> None:
    """No hop is an empty list, no path at all says why."""
    assert json.loads(to_line(Traced("t", "1.2.3.4", Path(FLOW, (), reached=False)), "syn", 443))["hops"] == []
    assert json.loads(to_line(Traced("t"), "syn", 443, "no such name"))["error"] == "no such name"


def test_loss_has_its_denominator() -> None:
    """Two of two is not one of one."""
    rows = render(table(PATH, nobody)).split("\n")
    assert [row[32:38].strip() for row in rows[:3]] == ["0/1", "2/2", "0/1"]


def test_people_see_networks_labels_and_whether_it_got_there() -> None:
    """A row names the network; the title says how far it went."""
    text = render([title("t", "23.50.131.10", "icmp", 0, PATH), *table(PATH, lambda _: Origin(20940, "Akamai"))])
    assert "t (23.50.131.10) by icmp: reached, 3 hops, 20.4 ms" in text
    assert "AS20940 Akamai  [MPLS 24015]" in text
    silent = Path(FLOW, PATH.hops[:2], reached=False)
    assert "not reached, last answer at hop 1" in render([title("t", "t", "syn", 443, silent)])


def test_a_hop_that_is_taken_over_is_marked() -> None:
    """For machines with the target that it was asked for, for people in words; others have no such key."""
    reply = Reply(ReplyKind.TIME_EXCEEDED, "10.0.0.1", 0.01)
    own = Hop(1, (Exchange(1, 1, 0.0, reply),))
    taken = Hop(2, (Exchange(2, 2, 0.0, reply),), "192.0.2.7")
    path = Path(Flow(Protocol.ICMP, "192.0.2.1"), (own, taken), reached=False)
    first, second = json.loads(to_line(Traced("192.0.2.1", "192.0.2.1", path), "icmp", 0))["hops"]
    assert "shared_from" not in first
    assert second["shared_from"] == "192.0.2.7"
    text = render(notes(path, None), colour=False)
    assert "Hop 2 on the way to 192.0.2.7: taken over from there" in text


def test_what_this_machine_did_is_said() -> None:
    """A probe that never left says why, an answer that the own firewall dropped that it was dropped; machines too."""
    stuck = Reply(ReplyKind.SEND_FAILED, "", 0.0, error="EPERM")
    dropped = Reply(ReplyKind.TIME_EXCEEDED, "192.168.1.1", 0.001, 64, 11, 0, dropped_locally=True)
    hops = (Hop(1, (Exchange(1, 1, 0.0, dropped),)), Hop(2, (Exchange(2, 2, 0.0, stuck),)))
    path = Path(FLOW, hops, reached=False)
    shown = render(table(path, nobody, width=120))
    assert "not sent (EPERM)" in shown
    assert "this machine's own firewall forbids it" in shown
    assert "this machine's firewall dropped the answer" in shown
    rows = json.loads(to_line(Traced("t", "192.168.1.1", path), "icmp", 0))["hops"]
    assert rows[0]["replies"][0]["dropped_locally"] is True
    assert rows[1]["replies"][0]["error"] == "EPERM"
    assert "dropped_locally" not in rows[1]["replies"][0]
