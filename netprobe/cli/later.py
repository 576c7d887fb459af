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
    "dns.message",
    "dns.exception",
    *(f"dns.rdtypes.ANY.{kind}" for kind in ("CNAME", "DNAME", "NS", "OPT", "PTR", "SOA", "TXT", "TSIG")),
    *(f"dns.rdtypes.IN.{kind}" for kind in ("A", "AAAA")),
    "dns.rdtypes.CH.A",
)
_SHOWING = ("shutil", "unicodedata", "locale", "netprobe.report.lines", "netprobe.report.words")
_LIVE_DISPLAY = (
    "rich.console",
    "rich.live",
    "rich.text",
    "rich.markup",
    "rich.table",
    "rich.spinner",
    "rich.progress",
    "rich.ansi",
    "rich.control",
    "rich.file_proxy",
    "rich.screen",
    "rich._null_file",
    "rich.emoji",
    "rich._emoji_codes",
)


def for_diagnosis() -> None:
    """Load what a diagnosis and its report may want."""
    _load((*_LOOKUPS, *_SHOWING, "netprobe.report.html", "netprobe.report.text", "netprobe.report.details", "tempfile"))
    from netprobe.report.html import style

    style()


def for_trace(*, names: bool) -> None:
    """Load what a trace may want, with or without names to look up."""
    _load((*_SHOWING, "netprobe.report.trace", "netprobe.report.trace_line", *(_LOOKUPS if names else ())))


def _load(modules: Sequence[str]) -> None:
    for name in (*modules, *(_LIVE_DISPLAY if sys.stdout.isatty() or sys.stderr.isatty() else ())):
        importlib.import_module(name)
