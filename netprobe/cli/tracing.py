"""What `netprobe trace` does once its arguments are known: one pass over the live network, shown while it grows."""

import ipaddress
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netprobe.cli.attended import Attended, Stopped
from netprobe.cli.console import animated, show, show_json, width
from netprobe.cli.failure import Failure
from netprobe.cli.output import Output
from netprobe.cli.settings import Settings
from netprobe.live.privilege import Reach, Wires, separate
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Protocol
from netprobe.model.rungs import NOT_AT_ALL, RAW, Footing, keeps_flows, most_rate
from netprobe.model.verdict import EXIT_CANNOT_MEASURE
from netprobe.probing.run import run
from netprobe.tracing import Pass, Traced, Wanted, is_address

if TYPE_CHECKING:
    from netprobe.report.trace import Whose

_LONGEST_NAME = 253  # RFC 1035, 2.3.4, without the root's dot
_ADDRESSES_A_NAME = 4  # that may be probed for one name
_REDRAW_S, _REDRAW_MANY_S, _MANY = 0.1, 0.3, 50


#: The destination port of each method: a web server's, and traceroute's first.
PORTS = {"icmp": 0, "syn": 443, "ack": 443, "udp": 33434, "quic": 443}
_GIVING_WAY = ("icmp", "udp", "syn")  # what is tried instead of a method that nobody chose


class Job(NamedTuple):
    """What to trace, and how."""

    targets: tuple[str, ...]
    method: str
    port: int
    max_ttl: int
    rate: float
    share: bool = False
    pcap: Path | None = None
    family: int = 0
    rounds: int = 0
    interval_s: float = 0.5
    ways: bool = False
    named: bool = True  # the method is the user's choice; else it gives way to one that this computer can send
    tos: int = 0
    first_ttl: int = 1


def carry_out(job: Job, settings: Settings, *, as_json: bool) -> int:
    """Trace and print; 0 when every target was traced, 20 when one could not be, 130 after Ctrl-C."""
    for target in job.targets:
        _check(target, job.family)
    code = 0
    with ExitStack() as stack:
        whose = None if as_json else stack.enter_context(_origins(settings))
        pcap = stack.enter_context(Output.open("--pcap", job.pcap))
        vantage = stack.enter_context(LiveVantage(wire=_wires(job, as_json=as_json).open()))
        if pcap.wanted:
            from netprobe.cli.capturing import recorded

            stack.enter_context(recorded(vantage, pcap))
        if vantage.footing[Protocol(job.method)] != RAW:
            job = _on_lower_rungs(job, vantage.footing)
        wanted = Wanted(
            Protocol(job.method),
            job.port,
            job.max_ttl,
            job.share,
            job.family,
            job.rounds,
            job.interval_s,
            job.ways,
            job.tos,
            job.first_ttl,
        )
        printer = _Printer(job, whose, vantage.footing[wanted.protocol])
        work = Pass(job.targets, wanted, rate=job.rate, ready=None if printer.live else printer.show)
        with _watched(work, job, whose, vantage, live=printer.live) as attended:
            try:
                run(work.plan(), attended, rate=job.rate)
            except Stopped as stopped:
                code = stopped.code
        printer.finish(work.known(), interrupted=bool(code))
    if code:
        sys.stderr.write("netprobe: interrupted; what was known by then is above\n")
    return code or printer.code


class _Printer:
    """Prints each target once, in their order: JSON, or a block for people. `live`: not before the end."""

    def __init__(self, job: Job, whose: "Whose | None", rung: str) -> None:
        self.live = whose is not None and animated(sys.stdout)
        self.code = 0
        self._job = job
        self._whose = whose
        self._rung = rung
        self._printed = 0
        self._blocks = 0

    def show(self, one: Traced, *, interrupted: bool = False) -> None:
        """Print what is known of `one`, and on stderr why that is nothing."""
        self._printed += 1
        error = _error(one)
        if interrupted and not one.over and not one.path:
            error = "interrupted before anything was known"
        if self._whose is None:
            from netprobe.report.trace_line import to_line

            unfinished = interrupted and not one.over
            method, port = self._job.method, self._job.port
            show_json(to_line(one, method, port, error, rung=self._rung, interrupted=unfinished))
        elif not error:
            self._block(one, self._whose)
        if error:
            self.code = EXIT_CANNOT_MEASURE
            sys.stderr.write(f"netprobe: {error}\n")

    def finish(self, known: Sequence[Traced], *, interrupted: bool) -> None:
        """Print those that have not been printed."""
        for one in known[self._printed :]:
            self.show(one, interrupted=interrupted)

    def _block(self, one: Traced, whose: "Whose") -> None:
        from netprobe.report.lines import BLANK
        from netprobe.report.page import block

        job = self._job
        lines = block(one, job.method, job.port, whose, width=width(), named=job.named)
        show([*([BLANK] if self._blocks else []), *lines])
        self._blocks += 1


def _wires(job: Job, *, as_json: bool) -> Wires:
    """Give up all privilege but the way to the addresses that were named, and to some for each name."""
    from netprobe.cli import later

    names = sum(not is_address(target) for target in job.targets)
    reach = Reach(job.targets, _ADDRESSES_A_NAME * names, 0.0, job.rate)
    wanted = {"share": job.share, "rounds": job.rounds > 0, "ways": job.ways, "pcap": job.pcap is not None}
    return separate(reach, load=lambda: later.for_trace(names=names > 0, as_json=as_json, **wanted))


@contextmanager
def _origins(settings: Settings) -> "Iterator[Whose]":
    """Whose an address is, for people."""
    from netprobe.topology.asn import AsnTable

    with AsnTable.open(settings.asn_table or None) as table:
        yield table.lookup


def _on_lower_rungs(job: Job, footing: Footing) -> Job:
    """`job` by a method that this computer can send, if nobody chose another; says on stderr what is not seen so.

    Raises `Failure` where the branches of a path cannot be told apart.
    """
    from netprobe.report.words import footing_limits

    methods = [job.method, *(() if job.named else _GIVING_WAY)]
    able = [
        method
        for method in methods
        if footing[Protocol(method)] != NOT_AT_ALL and (not job.ways or keeps_flows(footing, Protocol(method)))
    ]
    if job.ways and not able:
        msg = (
            '--paths: without raw sockets branches are told apart by icmp only, where it can be sent; "netprobe doctor"'
        )
        raise Failure(f"{msg} tells more", EXIT_CANNOT_MEASURE)
    chosen = able[0] if able else job.method
    limits = footing_limits(footing, dict.fromkeys(map(Protocol, (job.method, chosen))))
    sys.stderr.write(f'netprobe: without raw sockets {"; ".join(limits)}; "netprobe doctor" tells more\n')
    rate = min(job.rate, most_rate(footing, Protocol(chosen)))
    return job._replace(method=chosen, port=job.port if chosen == job.method else PORTS[chosen], rate=rate)


def _check(target: str, family: int) -> None:
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
    if family and address.version != family:
        raise Failure(f"'{target[:80]}' is an IPv{address.version} address, and -{family} asks for IPv{family}")
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
    from netprobe.model.unsent import reason

    why = reason(error)
    return f"nothing could be sent to {clean(traced.target)}: {why.meaning} ({error}); {why.remedy}"


@contextmanager
def _watched(work: Pass, job: Job, whose: "Whose | None", vantage: LiveVantage, *, live: bool) -> Iterator[Attended]:
    """The vantage of the pass, with whoever looks at it, and who may stop it."""
    if not live or whose is None:
        attended = Attended(vantage)
        with attended.stoppable():
            yield attended
        return
    from netprobe.cli.growing import growing

    with growing(work, job.method, job.port, whose, vantage.now) as look:
        attended = Attended(vantage, look, _REDRAW_S if len(job.targets) < _MANY else _REDRAW_MANY_S)
        with attended.stoppable():
            yield attended
