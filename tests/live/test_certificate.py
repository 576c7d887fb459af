"""Certificates as the cryptography package reads them, and broken ones."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live.certificate import read
from netprobe.live.text import clean
from tests.live.live_authority import Authority


def test_names_and_dates_are_read(authority: Authority) -> None:
    """Subject, issuer, alternative names and validity are what the cryptography package says."""
    certificate, _ = authority.issue("www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
    found = read(certificate.public_bytes(Encoding.DER))
    assert found is not None
    assert found.subject == "CN=www.example.com"
    assert found.issuer == "CN=Tests root, O=Tests"
    assert found.names == ("www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
    assert found.not_before_s == certificate.not_valid_before_utc.timestamp()
    assert found.not_after_s == certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2099])
def test_both_kinds_of_dates_are_read(authority: Authority, year: int) -> None:
    """UTCTime ends with 2049, GeneralizedTime begins with 2050 (RFC 5280, 4.1.2.5)."""
    end = dt.datetime(year, 6, 7, 8, 9, 10, tzinfo=dt.UTC)
    certificate, _ = authority.issue("x.example", begin=end - dt.timedelta(seconds=1), end=end)
    found = read(certificate.public_bytes(Encoding.DER))
    assert found is not None
    assert found.not_after_s == end.timestamp()


@given(text=st.text(min_size=1, max_size=16))
def test_hostile_names_are_harmless(authority: Authority, text: str) -> None:
    """Whatever characters a name has, what is kept is printable and short."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)]
    )
    certificate, _ = authority.issue("x.example", subject=subject)
    found = read(certificate.public_bytes(Encoding.DER))
    assert found is not None
    assert found.subject.isprintable()
    assert found.subject == f"O={clean(text)}, CN={clean(text)}"
    assert len(found.subject) <= 200


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_certificate(data: bytes) -> None:
    """Nothing is raised for bytes that are no certificate."""
    assert read(data) is None


@given(data=st.data())
def test_damaged_certificates_do_no_harm(authority: Authority, data: st.DataObject) -> None:
    """Nothing is raised for a certificate that was cut or changed."""
    der = bytearray(authority.certificate.public_bytes(Encoding.DER))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(der) - 1), st.integers(0, 255)), max_size=8)):
        der[place] = value
    read(bytes(der[: data.draw(st.integers(0, len(der)))]))
