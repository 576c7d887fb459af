"""What commands load only when they need it, for a user who could not read it then.

The worker is an unprivileged user. Where the program or its interpreter lies in a folder that only root may enter, as
root's home is, it must have loaded all that it may want before it becomes that user. Elsewhere nobody calls this.
"""

import importlib
import sys
from collections.abc import Sequence

_LOOKUPS = (
    "encodings.idna",
    "netprobe.live.services",
    "netprobe.live.dns_message",
    "netprobe.live.dns_stream",
    "netprobe.probing.name_stream",
    "dns.message",
    "dns.exception",
    *(f"dns.rdtypes.ANY.{kind}" for kind in ("CNAME", "DNAME", "NS", "OPT", "PTR", "SOA", "TXT", "TSIG")),
    *(f"dns.rdtypes.IN.{kind}" for kind in ("A", "AAAA")),
    "dns.rdtypes.CH.A",
)
_ALWAYS = (
    "unicodedata",
    "netprobe.live.host",
    "netprobe.model.unsent",
    "netprobe.report.words",
)
_FEEDS = ("netprobe.probing.feed",)
_PCAP = ("netprobe.capture", "netprobe.cli.capturing")
_PEOPLE = ("locale", "shutil", "netprobe.report.lines")
_REPORT = ("netprobe.report.html", "netprobe.report.text", "netprobe.report.details", "tempfile")
_DISPLAY = (
    "netprobe.cli.growing",
    *(f"rich.{name}" for name in ("_emoji_codes", "_null_file", "ansi", "console", "control", "emoji", "file_proxy")),
    *(f"rich.{name}" for name in ("live", "markup", "progress_bar", "screen", "spinner", "table", "text")),
)


def for_diagnosis(*, shown: bool = True, feeds: bool = False) -> None:
    """Load what a diagnosis may want, and its report where it is `shown`: a resident keeps it for others to show.

    With `feeds` it listens to announcements.
    """
    wanted = (*_LOOKUPS, *(_FEEDS if feeds else ()))
    if not shown:
        _load(wanted)
        return
    _load((*wanted, *_PCAP, *_PEOPLE, *_REPORT))
    from netprobe.report.html import style

    style()


def for_trace(*, names: bool, as_json: bool, share: bool, rounds: bool, ways: bool, pcap: bool) -> None:
    """Load what a trace may want: with names to look up, for programs, what is in common, rounds, all ways, a file."""
    wanted = {"share": share, "loss_evidence": rounds, "multipath": ways, "resolve": names}
    modules = [f"netprobe.probing.{name}" for name, on in wanted.items() if on]
    shown = ("netprobe.report.trace_line",) if as_json else (*_PEOPLE, "netprobe.report.page")
    _load((*shown, *modules, *(_LOOKUPS if names else ()), *(_PCAP if pcap else ())))


def _load(modules: Sequence[str]) -> None:
    display = _DISPLAY if sys.stdout.isatty() or sys.stderr.isatty() else ()
    for name in (*_ALWAYS, *modules, *display):
        importlib.import_module(name)
