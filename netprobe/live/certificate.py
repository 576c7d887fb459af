"""Reads what matters of an X.509 certificate (RFC 5280) out of its DER bytes.

The ssl module describes only certificates that it has verified, and the interesting ones are those that fail; the
cryptography package would cost the resident agent 25 MB. What is needed is little: names and dates. The bytes come from
strangers: every length is checked, and nothing but `None` comes of a broken certificate.
"""

import calendar
import ipaddress
import re
from collections.abc import Iterator

from netprobe.live.text import clean
from netprobe.model.services import Certificate

_SEQUENCE, _EXPLICIT_0, _EXPLICIT_3 = 0x30, 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # context tags [2] and [7] of GeneralName
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")  # 2.5.29.17
_ATTRIBUTES = {  # X.520 attribute types by their DER, with the short names of RFC 4514
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
}
_STRING_CODINGS = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x0C: "utf-8"}  # BMPString, UniversalString, UTF8String
_LARGEST = 65536
_MOST_NAMES = 100
_MOST_ATTRIBUTES = 32
_TIME = re.compile(rb"(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z")
_HALF_CENTURY = 50  # RFC 5280, 4.1.2.5.1: two-digit years from 50 on are of the twentieth century

Element = tuple[int, bytes]


class _BrokenError(ValueError):
    """The bytes are not DER, or not a certificate."""


def read(der: bytes) -> Certificate | None:
    """The certificate in `der`; None when it is broken."""
    try:
        return _certificate(der[:_LARGEST])
    except (_BrokenError, ValueError, IndexError, OverflowError):
        return None


def _certificate(der: bytes) -> Certificate:
    to_be_signed = list(_elements(_only(_only(der, _SEQUENCE), _SEQUENCE, more=True)))
    if to_be_signed and to_be_signed[0][0] == _EXPLICIT_0:  # version
        del to_be_signed[0]
    _serial, _algorithm, issuer, validity, subject, _key, *rest = to_be_signed
    begin, end, *_ = _elements(validity[1])
    extensions = next((value for tag, value in rest if tag == _EXPLICIT_3), b"")
    return Certificate(
        subject=_name(subject),
        issuer=_name(issuer),
        names=tuple(_alternative_names(extensions)),
        not_before_s=_time(begin),
        not_after_s=_time(end),
    )


def _elements(data: bytes) -> Iterator[Element]:
    """The (tag, value) pairs that follow each other in `data`."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4:
                raise _BrokenError
            length = int.from_bytes(data[at : at + octets])
            at += octets
        if at + length > len(data):
            raise _BrokenError
        yield tag, data[at : at + length]
        at += length


def _only(data: bytes, tag: int, *, more: bool = False) -> bytes:
    """The value of the first element, which must have `tag`, and be the last unless there may be `more`."""
    found = list(_elements(data))
    if not found or found[0][0] != tag or (len(found) > 1 and not more):
        raise _BrokenError
    return found[0][1]


def _text(element: Element) -> str:
    tag, value = element
    return clean(value.decode(_STRING_CODINGS.get(tag, "latin-1"), "replace"))


def _name(element: Element) -> str:
    """A distinguished name, most specific attribute first: `CN=..., O=..., C=...`."""
    parts = []
    for _, relative in list(_elements(element[1]))[:_MOST_ATTRIBUTES]:
        for _, attribute in _elements(relative):
            (_, kind), value, *_ = _elements(attribute)
            if kind in _ATTRIBUTES:
                parts.append(f"{_ATTRIBUTES[kind]}={_text(value)}")
    return clean(", ".join(reversed(parts)))


def _alternative_names(extensions: bytes) -> Iterator[str]:
    """The DNS names and addresses of the subjectAltName extension."""
    if not extensions:
        return
    for _, extension in _elements(_only(extensions, _SEQUENCE)):
        (_, kind), *rest = _elements(extension)
        if kind != _SUBJECT_ALT_NAME:
            continue
        for tag, value in list(_elements(_only(rest[-1][1], _SEQUENCE)))[:_MOST_NAMES]:
            if tag == _DNS_NAME:
                yield clean(value.decode("latin-1"))
            elif tag == _IP_ADDRESS:
                yield str(ipaddress.ip_address(value))


def _time(element: Element) -> float:
    """Unix time of an UTCTime or GeneralizedTime."""
    match = _TIME.fullmatch(element[1])
    if not match:
        raise _BrokenError
    year, *rest = (int(part) for part in match.groups())
    if len(match[1]) == 2:
        year += 1900 if year >= _HALF_CENTURY else 2000
    return float(calendar.timegm((year, *rest)))
