"""DNS messages of virtual time are real ones: dnspython is the oracle."""

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.sim import wirebytes
from netprobe.sim.servers.answers import Records


def test_a_query_is_what_dnspython_makes() -> None:
    """A stub resolver's question, byte for byte."""
    made = dns.message.make_query("www.tiktok.com", "A", id=77, use_edns=False)
    assert wirebytes.dns_query(77, "www.tiktok.com") == made.to_wire()


def test_an_answer_is_read_by_dnspython() -> None:
    """The alias chain, the addresses and their time to live arrive."""
    records = Records("NOERROR", (("www.tiktok.com", "a.example.net"),), ("23.50.131.10", "23.50.131.11"), 300)
    wire = wirebytes.dns_answer(wirebytes.dns_query(77, "www.tiktok.com"), records)
    message = dns.message.from_wire(wire)
    assert [(rrset.name.to_text(), rrset.ttl) for rrset in message.answer] == [
        ("www.tiktok.com.", 300),
        ("a.example.net.", 300),
    ]
    assert [record.address for record in message.answer[1]] == ["23.50.131.10", "23.50.131.11"]
    parsed = wirebytes.parse_dns_answer(wire)
    assert parsed == wirebytes.DnsAnswer(77, "www.tiktok.com", "NOERROR", ("a.example.net",), records.addresses, 300)


@pytest.mark.parametrize("rcode", wirebytes.RCODES)
def test_response_codes_keep_their_names(rcode: str) -> None:
    """The position in the table is the code of RFC 1035, 4.1.1."""
    wire = wirebytes.dns_answer(wirebytes.dns_query(1, "a.example"), Records(rcode))
    assert dns.rcode.to_text(dns.message.from_wire(wire).rcode()) == rcode
    assert wirebytes.parse_dns_answer(wire).rcode == rcode


@given(st.binary(max_size=100))
def test_garbage_is_no_dns_answer(data: bytes) -> None:
    """Whatever it is, it is read or refused."""
    try:
        wirebytes.parse_dns_answer(data)
    except ValueError:
        return


@given(st.integers(0, 255), st.binary(max_size=40000), st.integers(0, 50))
def test_records_come_back_whole(kind: int, content: bytes, cut: int) -> None:
    """Bytes in records come out again, and a record that is not whole waits."""
    data = wirebytes.tls_record(kind, content)
    back, rest = b"", data
    while rest:
        found = wirebytes.split_record(rest)
        assert found is not None
        assert found[0] == kind
        back, rest = back + found[1], found[2]
    assert back == content
    first = len(data) if len(content) <= 1 << 14 else 5 + (1 << 14)
    assert wirebytes.split_record(data[: max(0, first - 1 - cut)]) is None


def test_what_follows_the_question_is_not_taken_for_it() -> None:
    """A question with EDNS (RFC 6891), as dig asks it, is answered like one without."""
    plain = wirebytes.dns_query(7, "www.tiktok.com")
    extended = plain[:10] + b"\0\1" + plain[12:] + bytes.fromhex("0000291000000000000000")
    records = Records("NOERROR", addresses=("10.9.9.9",))
    assert wirebytes.dns_answer(extended, records) == wirebytes.dns_answer(plain, records)
