"""One diagnosis from this machine: joins the live vantage, the catalogue and the AS table to the engine."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from netprobe.cli import later
from netprobe.cli.capturing import recorded
from netprobe.cli.failure import Failure
from netprobe.cli.output import NO_OUTPUT, Output
from netprobe.cli.settings import Settings
from netprobe.diagnosis.announcements import words
from netprobe.diagnosis.causes import tables
from netprobe.engine import SYMPTOM_ROLES, diagnose
from netprobe.live import host, quic
from netprobe.live.privilege import Reach, Wires, separate
from netprobe.live.services import load_trust
from netprobe.live.trust import Trust
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Protocol
from netprobe.model.report import Report
from netprobe.model.rungs import most_rate
from netprobe.model.targets import Platform
from netprobe.probing.announced import NO_SOURCES, Sources
from netprobe.probing.run import Progress
from netprobe.topology.asn import AsnTable

_ADDRESSES_A_NAME = 4  # from several resolvers, and of controls
_ADDRESSES_APART = 64


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


class Instruments(NamedTuple):
    """What a diagnosis needs that may take a right to open."""

    wires: Wires
    trust: Trust
    table: AsnTable


@contextmanager
def instruments(
    settings: Settings,
    platform: Platform,
    *,
    ca_file: str = "",
    every_s: float = 0.0,
    folder: Path | None = None,
    feeds: bool = False,
) -> Iterator[Instruments]:
    """Open what a diagnosis needs, then give up all privilege: whatever else is read or written comes before.

    An agent measures again `every_s` seconds and keeps its records in `folder`. With `feeds` announcements are read.
    Raises `CannotMeasure`.
    """
    with AsnTable.open(settings.asn_table or None) as table:
        trust = load_trust(ca_file or settings.ca_file or None)
        trust.context(verify=True)
        tables()
        if feeds:
            words()

        def load() -> None:
            later.for_diagnosis(shown=folder is None, feeds=feeds)
            quic.ahead(trust.authorities())

        yield Instruments(separate(_reach(settings, platform, every_s), load=load, folder=folder), trust, table)


def _reach(settings: Settings, platform: Platform, every_s: float) -> Reach:
    """The resolvers and the gateway are known, the platform's addresses are found by name: so many for each."""
    state = host.inspect()
    additions = _ADDRESSES_APART + _ADDRESSES_A_NAME * (len(platform.targets) + len(platform.controls))
    a_minute = additions * 60.0 / every_s if every_s else 0.0
    return Reach((*state.resolvers, state.gateway), additions, a_minute, settings.rate)


def measure(
    settings: Settings,
    platform: Platform,
    instruments: Instruments,
    *,
    symptom: str = "",
    pcap: Output = NO_OUTPUT,
    progress: Progress | None = None,
    locating: bool = False,
    all_uplinks: bool = True,
    sources: Sources = NO_SOURCES,
) -> Report:
    """Diagnose `platform` from here; `pcap` is a file for the probes. Raises `CannotMeasure` where none can be sent."""
    with LiveVantage(wire=instruments.wires.open(), trust=instruments.trust) as vantage:
        vantage.look()
        rate = min(settings.rate, most_rate(vantage.footing, *Protocol))
        with recorded(vantage, pcap):
            lookup = instruments.table.lookup
            return diagnose(
                vantage,
                platform,
                lookup,
                symptom=symptom,
                rate=rate,
                progress=progress,
                locating=locating,
                all_uplinks=all_uplinks,
                sources=sources,
            )
