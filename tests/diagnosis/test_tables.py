"""The tables themselves: complete, consistent, and refused with a hint where they are not."""

import re
from pathlib import Path

import pytest

from netprobe.diagnosis import table
from netprobe.diagnosis.causes import CAUSES, LIKELIHOODS, TableError, inner_nodes, load, tables
from netprobe.diagnosis.gates import GATES
from netprobe.diagnosis.plan import QUESTIONS
from netprobe.diagnosis.seen import SEEN
from netprobe.diagnosis.signals import SIGNALS
from netprobe.diagnosis.signs import signs
from netprobe.model.verdict import Component
from netprobe.sim import library
from netprobe.sim.scenario import load as load_scenario

ROOT = Path(__file__).parents[2]


def test_ids_are_unique() -> None:
    """Every signal has one id, every state one name in its signal."""
    ids = [s.id for s in SIGNALS]
    assert len(ids) == len(set(ids))
    assert all(len(s.states) == len(set(s.states)) and set(s.good) <= set(s.states) for s in SIGNALS)


def test_rows_are_complete() -> None:
    """Every cause says all that the verdict prints, and names a look-alike that is another cause."""
    for cause in tables().causes.values():
        assert cause.sentence.endswith(".")
        assert cause.advice
        assert cause.duration
        assert cause.discriminator
        assert cause.look_alike != cause.id
        assert cause.guide_class in set("abcde-")
        assert (cause.component is Component.UNDETERMINED) == (cause.id == "undetermined")


#: The ids of the 58 causes that the outage guide's list tells apart.
REFERENCE = """
LINK_DOWN NO_LEASE GW_DEAD WIFI_WEAK LAN_LOSS BUFFERBLOAT CPU_DEVICE DNS_LOCAL_DOWN BLOCKLIST_LOCAL HOSTS_FILE FW_LOCAL
VPN_IN_WAY CAPTIVE CLOCK_WRONG CA_STORE PMTU_BH V6_BROKEN CGNAT_EXHAUST ISP_ACCESS ISP_ACCESS_CONGEST ISP_BLACKHOLE
ROUTE_LOOP PEERING_CONGEST ISP_DNS_FAIL ISP_DNS_HIJACK ISP_THROTTLE TRANSIT_OUT BGP_HIJACK IXP_FAIL CABLE_CUT SHUTDOWN
CENSOR_DNS CENSOR_IP CENSOR_SNI_DROP CENSOR_RST CENSOR_BLOCKPAGE CENSOR_MITM CENSOR_QUIC FW_UDP443 GEO_BAN_PLATFORM
CONTENT_POLICY CDN_EDGE_DOWN CDN_REGION_DOWN CDN_VENDOR_OUT CDN_REMAP ORIGIN_5XX ORIGIN_SLOW ORIGIN_REGION AUTH_DOWN
UPLOAD_DOWN LIVE_DOWN MAINT DDOS_EDGE SECURITY_LOCK CERT_EXPIRED AUTH_DNS_DOWN APP_DEVICE UNKNOWN
"""


def test_every_cause_of_the_reference_has_a_row() -> None:
    """All 58, and a row of ours names none that there is not."""
    ours = {ident for cause in tables().causes.values() for ident in cause.reference}
    assert len(REFERENCE.split()) == 58
    assert ours == set(REFERENCE.split())


def test_every_cause_of_the_reference_has_its_signs() -> None:
    """All 58, each with what tells it from its look-alike, in scenarios that are there; no sign is of no use."""
    table = signs()
    assert set(table.cause) == set(REFERENCE.split())
    used = {one for row in table.cause.values() for column in row.columns.values() for one in column.signs}
    assert used | {key for key, sign in table.sign.items() if sign.fires} == set(table.sign)
    assert {sign.seen for sign in table.sign.values()} == {"", *SEEN}
    for key, row in table.cause.items():
        assert row.discriminator is not None, key
        assert row.discriminator.signs, key
        truths = {cause.id for cause in tables().causes.values() if key in cause.reference}
        expect = load_scenario(row.fires).expect
        assert {expect.cause, *expect.also} & truths, key
    named = {sign.silent for sign in table.sign.values()} | {row.silent for row in table.cause.values()}
    assert named <= set(library.names())


def test_signs_are_read_from_purposes_that_are_listed() -> None:
    """Each has one, and ARCHITECTURE.md says what it is."""
    listed = set(re.findall(r"`([a-z0-9.]+)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    for key, sign in signs().sign.items():
        assert sign.source, key
        assert {one.removeprefix("v6.") for one in sign.source} <= listed, key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[sign.a]\nsays = "x"\nsilent = "healthy"\n[cause]\n', "needs either"),
        ('[sign.a]\nsays = "x"\nsilent = "healthy"\nseen = "nothing"\n[cause]\n', "needs either"),
        ('[sign.a]\nsays = "x"\nsilent = "healthy"\nevidence = ["host.link=blue"]\n[cause]\n', "needs either"),
        (
            '[sign]\n[cause.A]\nguide = "x"\nlook_alike = "B"\nfires = "a"\nsilent = "b"\npath = { says = "y" }\n',
            "neither",
        ),
        ("[sign]\n[cause]\n[colour]\n", "colour"),
    ],
)
def test_a_wrong_table_of_signs_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With the file's name and the place."""
    path = tmp_path / "signals.toml"
    path.write_text(text)
    with pytest.raises(TableError, match=rf"signals.toml: .*{why}"):
        signs(path)


def test_what_is_not_weighed_disturbs_nothing() -> None:
    """A cause without likelihoods has no prior either, is in no row, and is never an answer."""
    table = tables()
    weighed = {cause.id for cause in table.causes.values() if cause.weighed}
    assert set(table.prior) == weighed
    assert all(set(row) == weighed for row in table.likelihood.values())


def test_every_inner_place_has_a_sentence() -> None:
    """Where only `policy.tls` is supported there is something to say."""
    assert set(inner_nodes(tables().causes)) == set(tables().nodes)


def test_every_cause_has_evidence() -> None:
    """A cause that no state of any signal speaks for could never be found."""
    rows = tables().likelihood.values()
    for cause in tables().prior:
        assert any(row[cause] > sorted(row.values())[len(row) // 2] + 1 for row in rows), cause


def test_gates_and_questions_name_what_exists() -> None:
    """A gate or a question about something unknown would be dead."""
    states = {s.id: set(s.states) for s in SIGNALS}
    for gate in GATES:
        assert set(gate.states) <= states[gate.signal]
        assert set(gate.discards) <= set(states)
    places = {*tables().causes, *inner_nodes(tables().causes)}
    assert all(q.one in places and q.other in places for q in QUESTIONS)


def test_page_is_current() -> None:
    """docs/causes.md is what the table gives."""
    assert (ROOT / "docs" / "causes.md").read_text(encoding="utf-8") == table.page(tables())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'look_alike = "home.gateway.dead"',
            'look_alike = "home.gateway.deed"',
            "causes.toml: unknown look_alike 'home.gateway.deed' in 'home.link.down' (did you mean 'home.gateway.dead'?)",
        ),
        (
            'id = "home.link.down"',
            'id = "hme.link.down"',
            "causes.toml: unknown component 'hme' in 'hme.link.down' (did you mean 'home'?)",
        ),
        (
            'advice = ["set_clock"]',
            'advice = ["set_clok"]',
            "causes.toml: unknown advice 'set_clok' in 'home.clock.wrong' (did you mean 'set_clock'?)",
        ),
        (
            'checks = ["dns.others"]',
            'checks = ["dns.other"]',
            "causes.toml: unknown signal 'dns.other' in 'advice.other_resolver' (did you mean 'dns.others'?)",
        ),
    ],
)
def test_wrong_cause_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is wrong in the causes is said with the place and a hint."""
    changed = tmp_path / "causes.toml"
    changed.write_text(CAUSES.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TableError) as error:
        load(changed, LIKELIHOODS)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '[signal."host.link"]',
            '[signal."host.lnk"]',
            "likelihoods.toml: unknown signal 'host.lnk' in 'signal' (did you mean 'host.link'?)",
        ),
        (
            "no_route = {",
            "no_rout = {",
            "likelihoods.toml: unknown state 'no_rout' in 'signal.\"host.link\"' (did you mean 'no_route'?)",
        ),
        (
            'up = { "*" = 0.98, "home.link.down"',
            'up = { "*" = 0.98, "home.link.dwn"',
            "likelihoods.toml: unknown cause 'home.link.dwn' in 'signal.\"host.link\".up' (did you mean 'home.link.down'?)",
        ),
        (
            'up = { "*" = 0.98',
            'up = { "*" = 1.98',
            "likelihoods.toml: in signal.\"host.link\".up: '*' must lie between 0 and 1, not 1.98",
        ),
        ('"home.gateway.dead" = 4\n', "", "likelihoods.toml: [prior] lacks 'home.gateway.dead'"),
    ],
)
def test_wrong_likelihood_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is wrong in the likelihoods is said with the place and a hint."""
    changed = tmp_path / "likelihoods.toml"
    changed.write_text(LIKELIHOODS.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TableError) as error:
        load(CAUSES, changed)
    assert str(error.value) == message


def test_missing_table_is_said(tmp_path: Path) -> None:
    """A table that is not there is named."""
    with pytest.raises(TableError, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml", LIKELIHOODS)
