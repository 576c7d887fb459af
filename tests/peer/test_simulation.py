"""Both forms of the peer's files are read, strictly."""

from pathlib import Path

import pytest

from netprobe.model.probes import Protocol
from tests.peer.__main__ import main
from tests.peer.simulation import BadSimulation, Counted, Hop, Ports, Simulation, read

CASES = Path(__file__).parent / "cases"

TOML = """
name = "all keys"
target = "203.0.113.80"
protocol = "Udp"
rounds = 2
privilege_mode = "Privileged"
port_direction = { tag = "FixedBoth", value = { src = 5000, dest = 33434 } }
multipath_strategy = "Paris"
icmp_identifier = 3
initial_sequence = 40000
packet_size = 90
payload_pattern = 255
tos = 224
min_round_duration = 250
max_round_duration = 300
grace_duration = 50
first_ttl = 2
max_ttl = 9

[[hops]]
ttl = 1
resp = { tag = "SingleHost", addr = "198.51.100.1", rtt_ms = 10 }

[[hops]]
ttl = 3
resp.tag = "NoResponse"

[[hops]]
ttl = 4
resp = { tag = "SingleHost", addr = "203.0.113.80", rtt_ms = 20 }
"""

YAML = """
name: all keys
target: 203.0.113.80
protocol: Udp
rounds: 2
privilege_mode: Privileged
port_direction: !FixedBoth
  src: 5000
  dest: 33434
multipath_strategy: Paris
icmp_identifier: 3
initial_sequence: 40000
packet_size: 90
payload_pattern: 0xff
tos: 224
min_round_duration: 250
max_round_duration: 300
grace_period: 50
first_ttl: 2
max_ttl: 9
hops:
  - ttl: 1
    resp: !SingleHost
      addr: 198.51.100.1
      rtt_ms: 10
  - ttl: 3
    resp: NoResponse
  - ttl: 4
    resp: !SingleHost {addr: 203.0.113.80, rtt_ms: 20}
"""


def parse(folder: Path, text: str, name: str = "case.yaml") -> Simulation:
    path = folder / name
    path.write_text(text)
    return read(path)


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    """TOML with tags in tables, YAML with tags of its own: one simulation, every key of it."""
    simulation = parse(tmp_path, TOML, "case.toml")
    assert simulation == parse(tmp_path, YAML)
    assert simulation == Simulation(
        name="all keys",
        target="203.0.113.80",
        protocol=Protocol.UDP,
        hops=(Hop(1, "198.51.100.1", 10), Hop(3), Hop(4, "203.0.113.80", 20)),
        rounds=2,
        ports=Ports(5000, 33434),
        strategy="Paris",
        identifier=3,
        initial_sequence=40000,
        size=90,
        pattern=255,
        tos=224,
        min_round_s=0.25,
        max_round_s=0.3,
        grace_s=0.05,
        first_ttl=2,
        max_ttl=9,
    )
    assert simulation.counted_in is Counted.CHECKSUM
    assert [simulation.hop(ttl).address for ttl in (1, 2, 3, 4, 9)] == ["198.51.100.1", "", "", *["203.0.113.80"] * 2]
    assert simulation.reached_at == 4


def test_an_address_is_no_number(tmp_path: Path) -> None:
    """What YAML 1.1 takes for a sexagesimal number is an IPv6 address here."""
    text = YAML.replace("203.0.113.80", "2001:10:20:30:40:50:51:52").replace("198.51.100.1", "2001:10::1")
    assert parse(tmp_path, text).target == "2001:10:20:30:40:50:51:52"


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("tos: 224", "toss: 224", "case.yaml: toss: unknown key (did you mean 'tos'?)"),
        ("tos: 224", "tos: 256", "case.yaml: tos: must be a whole number from 0 to 255"),
        ("tos: 224", "tos: high", "case.yaml: tos: must be a whole number from 0 to 255"),
        ("tos: 224", "tos: 224\ntos: 1", "key 'tos' stands twice"),
        ("name: all keys", "name: 7", "case.yaml: name: must be text"),
        ("name: all keys", "", "case.yaml: name: is missing"),
        ("target: 203.0.113.80", "target: example.com", "case.yaml: target: must be an IPv4 or IPv6 address"),
        ("target: 203.0.113.80", "target: 2001:db8::1", "198.51.100.1 and the target 2001:db8::1 are of two versions"),
        ("protocol: Udp", "protocol: udp", "case.yaml: protocol: 'udp' is no value of it (did you mean 'Udp'?)"),
        ("protocol: Udp", "protocol: Sctp", "'Sctp' is no value of it (known: Icmp, Udp, Tcp)"),
        ("protocol: Udp", "protocol: Icmp", "case.yaml: port_direction: goes without Icmp, which has no ports"),
        ("privilege_mode: Privileged", "privilege_mode: Unprivileged", "a socket and a port of its own: use FixedDest"),
        (
            "multipath_strategy: Paris",
            "multipath_strategy: Berlin",
            "'Berlin' is no value of it (known: Classic, Paris",
        ),
        ("!FixedBoth", "!FixedBoht", "port_direction: 'FixedBoht' is no tag of it (did you mean 'FixedBoth'?)"),
        ("  src: 5000\n", "", "case.yaml: port_direction.src: is missing"),
        ("  src: 5000", "  src: 0", "case.yaml: port_direction.src: must be a whole number from 1 to 65535"),
        ("  dest: 33434", "  dst: 33434", "case.yaml: port_direction.dest: is missing"),
        ("initial_sequence: 40000", "initial_sequence: 64512", "must be a whole number from 0 to 64511"),
        (
            "initial_sequence: 40000",
            "initial_sequence: 0",
            "initial_sequence: 0 cannot be among checksums: begin with 1",
        ),
        (
            "packet_size: 90",
            "packet_size: 29",
            "packet_size: below 30 nothing tells a datagram from the next but its por",
        ),
        ("packet_size: 90", "packet_size: 27", "packet_size: must be a whole number from 28 to 1500"),
        ("first_ttl: 2", "first_ttl: 10", "case.yaml: first_ttl: 10 is behind max_ttl 9"),
        ("  - ttl: 3", "  - ttl: 1", "hops[1].ttl: 1 stands behind 1: hops come in order, each once"),
        ("  - ttl: 3", "  - ttl: 64", "hops[1].ttl: must be a whole number from 1 to 63"),
        ("resp: NoResponse", "resp: !MultiHost {}", "hops[1].resp: 'MultiHost' is no tag of it (known: SingleHost, No"),
        ("resp: NoResponse", "resp: !NoResponse {rtt_ms: 1}", "hops[1].resp: NoResponse has nothing beside its tag"),
        ("resp: NoResponse", "resp: 5", "hops[1].resp: must have a tag (SingleHost, NoResponse)"),
        ("    resp: NoResponse", "    rsp: NoResponse", "hops[1].resp: is missing"),
        ("      rtt_ms: 10", "      rtt: 10", "hops[0].resp.rtt_ms: is missing"),
        ("      rtt_ms: 10", "      rtt_ms: 10\n      loss: 1", "hops[0].resp.loss: unknown key (known: addr, rtt_ms)"),
        ("      rtt_ms: 10", "      rtt_ms: 300", "hops: ttl 1 answers after 300 ms, when the round is over"),
        ("addr: 198.51.100.1", "addr: 203.0.113.80", "hops[1].ttl: 3 is beyond the target, which answers at 1"),
        (
            "grace_period: 50",
            "grace_period: 50\ngrace_duration: 60",
            "grace_period: is the older name of grace_duration",
        ),
        ("hops:", "hops: []\nmore:", "case.yaml: hops: must be a list of at least one hop"),
        ("name: all keys", "- all keys", "case.yaml: while parsing"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, line: str, instead: str, complaint: str) -> None:
    """Unknown keys and values, wrong types and contradictions: the file, the place, and what to do."""
    assert line in YAML
    with pytest.raises(BadSimulation) as caught:
        parse(tmp_path, YAML.replace(line, instead, 1))
    assert complaint in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a missing file, nor one that is no text, nor an empty one, is a traceback: the exit code is 2."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.toml").write_text("")
    for name in ("missing.yaml", "bytes.yaml", "empty.toml"):
        assert main([str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.startswith(f"{name}: ")


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    """A size of a SYN, a strategy of something else than datagrams: a note says so."""
    text = YAML.replace("Udp", "Tcp")
    assert parse(tmp_path, text).notes == (
        "packet_size and payload_pattern: a SYN carries nothing",
        "multipath_strategy: is about Udp; other probes are of one flow as it is",
    )


def test_our_cases_cover_the_format() -> None:
    """Every protocol, both versions of IP and of privilege, every way to count, every kind of ports, both forms."""
    paths = sorted(CASES.iterdir())
    cases = [read(path) for path in paths]
    assert {path.suffix for path in paths} == {".yaml", ".toml"}
    assert {(case.protocol, case.over_v6) for case in cases} == {
        (protocol, over_v6) for protocol in (Protocol.ICMP, Protocol.UDP, Protocol.TCP) for over_v6 in (False, True)
    }
    assert {case.counted_in for case in cases} == set(Counted)
    assert {case.privileged for case in cases} == {True, False}
    kinds = {(bool(case.ports.source), bool(case.ports.destination)) for case in cases}
    assert kinds == {(False, False), (True, False), (False, True), (True, True)}
    default = Simulation("", "", Protocol.ICMP, ())
    for field in set(Simulation._fields) - {"notes"}:
        assert any(getattr(case, field) != getattr(default, field) for case in cases), field
