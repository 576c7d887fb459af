"""Opening the agent's records for a command that reads them."""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netprobe.agent.schedule import IntervalError, parse_interval
from netprobe.agent.store import Store
from netprobe.cli.failure import Failure
from netprobe.cli.settings import load
from netprobe.topology.platform import load_platform

_LONGEST_S = 3650 * 86400.0


@contextmanager
def open_records(state: Path | None, config: Path | None) -> Iterator[tuple[Store, str]]:
    """The records, and the platform's name."""
    settings = load(config)
    with Store.read(state or Path(settings.agent.state)) as store:
        yield store, load_platform(settings.platform).name


def since_s(text: str) -> float:
    """Unix time of `24h` ago, or of an ISO 8601 date; 0 for an empty text. Raises `Failure`."""
    if not text:
        return 0.0
    try:
        return time.time() - parse_interval(text, longest_s=_LONGEST_S)
    except IntervalError:
        pass
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        msg = (
            f"--since: '{text}' is neither a stretch of time (30m, 24h, 7d) nor a date (2026-11-22, 2026-11-22T10:00Z)"
        )
        raise Failure(msg) from None
    return moment.astimezone(dt.UTC).timestamp()
