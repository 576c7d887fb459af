"""The page in a real browser without a network: it asks for nothing, complains of nothing, and fits every screen."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from netprobe.diagnosis.causes import tables
from netprobe.model.report import Incident
from netprobe.model.verdict import Component
from netprobe.report.history import History, Moment
from netprobe.report.html import page
from netprobe.report.latency import latencies
from netprobe.sim.namespaces import isolated
from tests.report.browser import Browser
from tests.report.samples import sample, whose

pytestmark = [pytest.mark.packets, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pages."""
    with isolated() as namespaces, Browser(namespaces) as running:
        yield running


def written(scenario: str, folder: Path) -> Path:
    """A page with a day's history in which somebody else's markup stands in the sentence."""
    report = sample(scenario)
    hostile = "<img src=http://192.0.2.1/x onerror=alert(1)><script src=//192.0.2.1/y></script>"
    report = msgspec.structs.replace(report, verdict=msgspec.structs.replace(report.verdict, sentence=hostile))
    component = report.verdict.component
    times = latencies(report)
    moments = tuple(Moment(1.79e9 + 300 * n, component if n % 7 else Component.NONE, times) for n in range(288))
    incident = Incident(1, component, "isp.core.blackhole", hostile, moments[40].taken_s, moments[60].taken_s, 20)
    path = folder / f"{scenario}.html"
    path.write_text(page(report, tables().causes, whose, History(moments, (incident,))), encoding="utf-8")
    return path


@pytest.mark.parametrize("scenario", ["healthy", "isp-core-black-hole", "sni-reset", "gateway-dead", "cdn-vendor-down"])
def test_a_page_asks_for_nothing_and_fits_every_screen(scenario: str, browser: Browser, tmp_path: Path) -> None:
    """One request, for the file itself; no console message; no sideways scrolling at 1280 or at 390 pixels."""
    path = written(scenario, tmp_path)
    for width in (1280, 390):
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        for scheme in ("light", "dark"):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.open(path)
            asked = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
            assert [url for url in asked if url != "data:,"] == [path.as_uri()]
            assert browser.named("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
            assert browser.evaluate("document.querySelector('svg.way').getBoundingClientRect().height") > 100
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = browser.evaluate(paper)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert browser.evaluate(paper) != dark
