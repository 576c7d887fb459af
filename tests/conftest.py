"""What all tests share."""

import gc
import os
from collections.abc import Generator

import pytest

# Simulated networks make thousands of short lives a test: collecting at the usual pace takes a fifth of the time.
gc.set_threshold(20_000, 20, 50)

_ALL_PACKETS = bool(os.environ.get("NETPROBE_ALL_PACKETS"))  # set by .ci/run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything has to run, a test with real packets that is skipped has failed."""
    report = yield
    if _ALL_PACKETS and report.skipped and item.get_closest_marker("packets"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing with real packets may be here: {report.longrepr}"
    return report
