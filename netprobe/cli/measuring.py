"""One diagnosis from this machine: joins the live vantage, the catalogue and the AS table to the engine."""

import difflib
from contextlib import ExitStack
from pathlib import Path

from netprobe.cli.capturing import recorded
from netprobe.cli.failure import Failure
from netprobe.cli.settings import Settings
from netprobe.engine import SYMPTOM_ROLES, diagnose
from netprobe.live.vantage import LiveVantage
from netprobe.model.report import Report
from netprobe.model.targets import Platform
from netprobe.probing.run import Progress
from netprobe.topology.asn import AsnTable


def check_symptom(symptom: str) -> None:
    """Refuse a symptom that is not known, with the ones that are."""
    if symptom and symptom not in SYMPTOM_ROLES:
        close = difflib.get_close_matches(symptom, SYMPTOM_ROLES, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        msg = f"--symptom: '{symptom}' is not known; {hint}one of: {', '.join(SYMPTOM_ROLES)}"
        raise Failure(msg)


def check_ca_file(ca_file: str) -> None:
    """Refuse a file that is not there before anything is sent."""
    if ca_file and not Path(ca_file).is_file():
        msg = f"--ca-file: {ca_file}: no such file; it names a file of PEM certificates"
        raise Failure(msg)


def measure(
    settings: Settings,
    platform: Platform,
    *,
    symptom: str = "",
    ca_file: str = "",
    pcap: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Diagnose `platform` from here; `pcap` is a file for the probes. Raises `CannotMeasure` where none can be sent."""
    with ExitStack() as stack:
        table = stack.enter_context(AsnTable.open(settings.asn_table or None))
        vantage = stack.enter_context(LiveVantage(ca_file=ca_file or settings.ca_file or None))
        vantage.look()
        stack.enter_context(recorded(vantage, pcap))
        return diagnose(vantage, platform, table.lookup, symptom=symptom, rate=settings.rate, progress=progress)
