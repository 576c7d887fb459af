"""The web page: one file, nothing asked of anybody, and nothing from the network that could act in it."""

import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.diagnosis.causes import tables
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Component
from netprobe.report.history import History, Moment
from netprobe.report.html import page
from netprobe.report.latency import latencies
from tests.report.samples import sample, soiled, whose

#: Every element that a page is made of.
KNOWN = frozenset(
    [
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "footer",
        "div",
        "span",
        "p",
        "h1",
        "h2",
        "h3",
        "dl",
        "dt",
        "dd",
        "ol",
        "ul",
        "li",
        "strong",
        "i",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "pre",
        "svg",
        "g",
        "text",
        "line",
        "circle",
        "rect",
        "path",
    ]
)
PAYLOADS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style><script>",
    "</title><svg onload=alert(1)>",
    "]]>--><b>",
    "&lt;script&gt;",
    "javascript:alert(1)",
)


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def history(report: Report, dirt: str = "the sentence") -> History:
    """A day with an outage in its middle."""
    moments = tuple(
        Moment(report.taken_s + 300 * n, Component.ISP if 100 <= n < 140 else Component.NONE, latencies(report))
        for n in range(288)
    )
    incident = Incident(1, Component.ISP, dirt, dirt, moments[100].taken_s, moments[140].taken_s, 40)
    return History(moments, (incident,))


def safe(text: str) -> Reader:
    """The page as a browser reads it, after checking that nothing in it acts or asks for anything."""
    reader = Reader(text)
    assert reader.seen <= KNOWN
    assert reader.open == []
    for tag, key, value in reader.attributes:
        assert not key.startswith("on"), (tag, key, value)
        assert key not in {"src", "srcset", "action", "formaction", "background", "poster", "xlink:href"}, (tag, key)
        assert key != "href" or value == "data:,", (tag, value)
        assert key != "style" or re.fullmatch(r"width:[0-9]+px", value), (tag, value)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    return reader


@pytest.mark.parametrize("scenario", ["healthy", "isp-core-black-hole", "sni-reset", "maintenance", "gateway-dead"])
def test_a_page_asks_nobody_for_anything(scenario: str) -> None:
    """No script, no picture, no font from anywhere, and a policy that would forbid them."""
    text = page(sample(scenario), tables().causes, whose)
    reader = safe(text)
    assert ("meta", "http-equiv", "Content-Security-Policy") in reader.attributes
    assert any(value.startswith("default-src 'none';") for _, key, value in reader.attributes if key == "content")


@pytest.mark.parametrize("dirt", PAYLOADS)
def test_hostile_text_is_shown_and_never_acts(dirt: str) -> None:
    """Markup in any text field of a report, an incident or a cause stays text."""
    report = soiled(sample("sni-reset"), dirt)
    causes = {dirt: msgspec.structs.replace(next(iter(tables().causes.values())), sentence=dirt, discriminator=dirt)}
    reader = safe(page(report, causes, whose, history(sample("sni-reset"), dirt)))
    assert dirt in reader.text


@given(st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_at_all_can_be_shown(dirt: str) -> None:
    """Control characters, surrogates, other scripts: the page stays whole."""
    report = soiled(sample("isp-core-black-hole"), dirt)
    safe(page(report, {}, whose, history(sample("healthy"), dirt))).text.encode()


def test_the_page_says_what_the_answer_says() -> None:
    """Headline, sentence, confidence, advice, who is innocent, and what it cost."""
    report = sample("isp-core-black-hole")
    text = safe(page(report, tables().causes, whose)).text
    for part in (
        "Your internet provider is at fault.",
        report.verdict.sentence,
        "% probable (as in simulated networks)",
        report.verdict.advice[0].step,
        "No answer from here on",
        "which are tidier than real ones",
    ):
        assert part in text


@pytest.mark.parametrize("dirt", PAYLOADS)
def test_what_is_announced_is_shown_and_never_acts(dirt: str) -> None:
    """A stranger's words, with the reason why they do not count; without a source there is no such part."""
    report = sample("isp-resolver-failing-reported")
    evidence = tuple(
        msgspec.structs.replace(e, sentence=dirt) if e.id == "announced.trouble" else e for e in report.verdict.evidence
    )
    soiled_verdict = msgspec.structs.replace(report.verdict, evidence=evidence)
    text = safe(page(msgspec.structs.replace(report, verdict=soiled_verdict), tables().causes, whose)).text
    assert "Announced" in text
    assert dirt in text
    assert "Does not count: what was measured points elsewhere" in text
    assert "Announced" not in safe(page(sample("maintenance"), tables().causes, whose)).text


def test_networks_are_credited() -> None:
    """Whoever shows results that rest on the AS table owes its makers their names."""
    text = safe(page(sample("healthy"), tables().causes, whose)).text
    assert all(name in text for name in ("Route Views", "DB-IP", "Number Resource Organization", "CC BY 4.0"))


def test_a_history_shows_its_incident_and_its_answer_times() -> None:
    """Who was to blame when, when it began and ended, and a curve that breaks where nothing was measured."""
    report = sample("isp-core-black-hole")
    text = page(report, tables().causes, whose, history(sample("healthy")))
    reader = safe(text)
    assert "(3 h 20 min)" in reader.text
    assert "Who was to blame" in reader.text
    assert 'class="fill-isp"' in text
    assert 'class="curve stroke-edge"' in text


def test_a_page_about_what_was_says_how_it_is_now() -> None:
    """Somebody who opens the page after the incident is not told that it goes on."""
    then = sample("isp-core-black-hole")
    text = safe(page(then, {}, whose, history(sample("healthy")))).text
    assert "Now, 2026-" in text
    assert "The network is fine all the way to TikTok. What was wrong before:" in text
    alone = History((Moment(then.taken_s, Component.ISP, {}),))
    assert "What was wrong before" not in safe(page(then, {}, whose, alone)).text


def test_a_long_history_stays_a_small_file() -> None:
    """Ninety days of rounds are drawn with as many points as fit a screen."""
    times = latencies(sample("healthy"))
    moments = tuple(Moment(1.79e9 + 300 * n, Component.NONE, times) for n in range(25_920))
    text = page(sample("healthy"), tables().causes, whose, History(moments))
    assert len(text) < 250_000
