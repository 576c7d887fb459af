"""What was measured, for those who want to see it."""

import pytest

from netprobe.report.details import details
from netprobe.report.lines import render
from netprobe.report.text import answer
from netprobe.sim import library
from netprobe.topology.asn import Origin
from tests.report.samples import sample, soiled, whose


def shown(scenario: str) -> str:
    """The measurements of a scenario as they are on a pipe."""
    return render(details(sample(scenario), whose, width=110))


def test_hops_have_their_networks_and_what_they_lost() -> None:
    """The last hop that answers, its network, and the silence behind it with its denominator."""
    text = shown("isp-core-black-hole")
    assert "   4  217.239.45.49" in text
    assert "AS3320 Deutsche Telekom AG" in text
    assert "did not answer" in text
    assert "2/2" in text


def test_ways_that_are_the_same_are_not_repeated() -> None:
    """The same hops are said to be the same, a shared beginning is left out."""
    assert ", by the same hops" in shown("isp-core-black-hole")
    assert "  as above" in shown("healthy")


def test_lookups_pages_and_handshakes_are_listed() -> None:
    """Who was asked, what came, and how long each phase took; what did not work is marked."""
    text = shown("sni-reset")
    assert "@192.168.1.1  NOERROR" in text
    assert "HTTP 200 after" in text
    assert "reset in tls" in text
    assert "sni.control" in text


def test_ipv6_is_told_where_there_is_some() -> None:
    """The way out over IPv6, what was asked for and found, and a name without an address of it is no failure."""
    text = shown("home-ipv6-broken")
    assert "2003:de:37ff::23 via fe80::1 on eth0, neighbour reachable" in text
    assert "2606:4700:4700::1111  syn 443  0 of 3 answered" in text
    (row,) = [row for row in text.split("\n") if "AAAA  @192.168.1.1  NOERROR" in row and "api-h2" in row]
    assert "✗" not in row
    assert "IPv6" not in shown("healthy-no-ipv6")


def test_announcements_are_listed() -> None:
    """Each source, what was kept of it, and what could not be read."""
    text = shown("healthy-announcements")
    assert "rss  TikTok Newsroom  3 of 3 entries kept" in text
    assert "json  Outages everywhere  1 of 2 entries kept" in text
    assert "2026-11-22 11:40:00 UTC  Users report problems with TikTok  https://outages.example/1" in text
    assert "Announcements" not in shown("healthy")


def test_the_same_failure_of_many_is_one_row() -> None:
    """A resolver that is out of reach is not listed once for each name."""
    rows = [row for row in shown("isp-core-black-hole").split("\n") if "@8.8.8.8  timeout" in row]
    assert len(rows) == 1
    assert rows[0].endswith(" more")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", library.names())
def test_whatever_happens_can_be_shown(scenario: str) -> None:
    """Every situation has its measurements, and no line carries anything but text."""
    text = shown(scenario)
    assert "This computer" in text
    assert all(row.isprintable() for row in text.split("\n"))


@pytest.mark.parametrize("dirt", ["\x1b[2J\x1b]0;owned\x07", "a\nb\r\tc", "\u202egnp.exe", "\udcff", "\x9b31m"])
@pytest.mark.parametrize("scenario", ["healthy", "sni-reset", "isp-core-black-hole", "healthy-announcements"])
def test_nothing_that_was_heard_can_touch_the_terminal(scenario: str, dirt: str) -> None:
    """Escapes, line breaks and overrides of direction in any text of a report are shown as what they are."""
    report = soiled(sample(scenario), dirt)
    lines = [*details(report, lambda _: Origin(64, dirt)), *answer(report, {})]
    text = render(lines)
    assert all(row.isprintable() or set(row) & {"\ufffd"} for row in text.split("\n"))
    assert not set(text) & set("\x1b\x07\x9b\r\t\u202e\udcff")
