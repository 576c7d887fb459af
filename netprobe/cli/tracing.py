"""What `netprobe trace` does once its arguments are known: one pass over the live network, shown while it grows."""

import ipaddress
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netprobe.cli.console import colourful, show, show_json, width
from netprobe.cli.failure import Failure
from netprobe.cli.settings import Settings
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import NOT_CARRIED, Protocol
from netprobe.model.rungs import RAW, Footing
from netprobe.model.verdict import EXIT_CANNOT_MEASURE
from netprobe.probing.traceroute import Traceroute
from netprobe.tracing import Traced, Watcher, trace

if TYPE_CHECKING:
    from rich.console import RenderableType

    from netprobe.report.lines import Line
    from netprobe.report.trace import Whose

_REDRAWS_A_SECOND = 10
_LONGEST_NAME = 253  # RFC 1035, 2.3.4, without the root's dot


#: The destination port of each method: a web server's, and traceroute's first.
PORTS = {"icmp": 0, "syn": 443, "ack": 443, "udp": 33434, "quic": 443}


class Job(NamedTuple):
    """What to trace, and how."""

    targets: tuple[str, ...]
    method: str
    port: int
    max_ttl: int
    rate: float
    share: bool = False
    pcap: Path | None = None


def carry_out(job: Job, settings: Settings, *, as_json: bool) -> int:
    """Trace, print, and return 0 when every target was traced, 20 when one could not be."""
    for target in job.targets:
        _check(target)
    with ExitStack() as stack:
        whose = None if as_json else stack.enter_context(_origins(settings))
        vantage = stack.enter_context(LiveVantage())
        protocol = Protocol(job.method)
        if vantage.footing[protocol] != RAW:
            _tell_footing(vantage.footing, protocol)
        if job.pcap:
            from netprobe.cli.capturing import recorded

            stack.enter_context(recorded(vantage, job.pcap))
        with _growing(whose, job) as watch:
            traced = trace(
                vantage,
                job.targets,
                protocol,
                port=job.port,
                max_ttl=job.max_ttl,
                rate=job.rate,
                share=job.share,
                watch=watch,
            )
        if whose:
            show(_lines(traced, job, whose, width()))
        else:
            _show_json(traced, job, vantage.footing[protocol])
    errors = [error for one in traced if (error := _error(one))]
    for error in errors:
        sys.stderr.write(f"netprobe: {error}\n")
    return EXIT_CANNOT_MEASURE if errors else 0


@contextmanager
def _origins(settings: Settings) -> "Iterator[Whose]":
    """Whose an address is, for people."""
    from netprobe.topology.asn import AsnTable

    with AsnTable.open(settings.asn_table or None) as table:
        yield table.lookup


def _tell_footing(footing: Footing, protocol: Protocol) -> None:
    """Say by which rung the probes leave, and what that costs."""
    from netprobe.report.words import footing_limits

    for limit in footing_limits(footing, (protocol,)):
        sys.stderr.write(f'netprobe: without raw sockets {limit}; "netprobe doctor" tells more\n')


def _show_json(traced: Sequence[Traced], job: Job, rung: str) -> None:
    from netprobe.report.trace_line import to_line

    for one in traced:
        show_json(to_line(one.target, one.address, job.method, job.port, one.path, _error(one), rung))


def _check(target: str) -> None:
    """Refuse what can be neither a name nor an address, before anything is sent."""
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        labels = target.removesuffix(".").split(".")
        fits = len(target) <= _LONGEST_NAME and all(0 < len(label) < 64 for label in labels)
        if not fits or target.startswith("-") or not all(c.isalnum() or c in "-_." for c in target):
            msg = f"'{target[:80]}' is neither a host name nor an IP address"
            raise Failure(msg) from None
        return
    if address.version == 6 and (address.scope_id or address.is_link_local):
        msg = f"'{target[:80]}' is an address of one link, and no router leads there; trace wants a global one"
        raise Failure(msg)


def _error(traced: Traced) -> str:
    """Why there is no path, for the user; empty when there is one."""
    from netprobe.report.words import clean

    if traced.error:
        return f"no address for {clean(traced.target)}: {clean(traced.error)}"
    error = traced.never_left
    if not error:
        return ""
    if error == NOT_CARRIED:
        return f"cannot trace to {traced.target}: this computer lets nobody send such probes; try another --method"
    from netprobe.model.unsent import reason

    why = reason(error)
    return f"nothing could be sent to {clean(traced.target)}: {why.meaning} ({error}); {why.remedy}"


def _lines(traced: Sequence[Traced], job: Job, whose: "Whose", columns: int) -> "list[Line]":
    from netprobe.report.lines import BLANK
    from netprobe.report.trace import HEADER, table, title

    lines: list[Line] = []
    for one in traced:
        if one.path and not one.never_left:
            lines += [BLANK] if lines else []
            lines.append(title(one.target, one.address, job.method, job.port, one.path))
            lines += [HEADER, *table(one.path, whose, width=columns)]
    return lines


@contextmanager
def _growing(whose: "Whose | None", job: Job) -> Iterator[Watcher | None]:
    """For people on a terminal, the ways as they grow; on a pipe nothing until they are known."""
    if whose is None or not sys.stdout.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from netprobe.report.lines import render
    from netprobe.report.trace import table, title

    running: list[tuple[str, Traceroute]] = []

    def draw() -> "RenderableType":
        lines: list[Line] = []
        for target, session in running:
            path = session.result()
            lines += [
                title(target, path.flow.destination, job.method, job.port, path),
                *table(path, whose, width=width()),
            ]
        return Text.from_ansi(render(lines, colour=colourful(sys.stdout)))

    with Live(console=Console(), get_renderable=draw, refresh_per_second=_REDRAWS_A_SECOND, transient=True):
        yield lambda target, session: running.append((target, session))
