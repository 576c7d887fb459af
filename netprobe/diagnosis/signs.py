"""Which observations show what the guide's list of causes calls signals: the table of signs, and docs/signals.md.

`python -m netprobe.diagnosis.signs > docs/signals.md`. A sign is something that can be seen in the facts: a state of
one of the diagnosis' signals, or what a function of `seen` finds. Each has a scenario in which it must be seen and one
in which it must not; the tests of the catalogue hold both.
"""

import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from netprobe.diagnosis.causes import DATA, TableError
from netprobe.diagnosis.facts import Facts, OriginOf
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.seen import SEEN
from netprobe.diagnosis.signals import SIGNALS
from netprobe.diagnosis.verdict import ask
from netprobe.model.record import Record
from netprobe.model.report import Report
from netprobe.model.targets import Platform

SIGNS = DATA / "signals.toml"

#: The columns of the guide's list, in its order, with their headings.
COLUMNS = {
    "local": "this machine",
    "path": "the way",
    "dns": "names",
    "tls": "TCP, TLS, QUIC",
    "http": "HTTP and app",
    "controls": "controls",
    "discriminator": "what tells it from its look-alike",
}
_HEAD = """\
# What is looked at

Generated from `netprobe/data/signals.toml` by `make docs`: change the table, not this page.

The guide's list has 58 causes and says, column by column, by what each is noticed. Here stands which observations show
it (their purposes are listed in [ARCHITECTURE.md](../ARCHITECTURE.md)), a scenario in which it must be seen and one in
which it must not. The tests of the catalogue hold both. What is not observed stands there too, with the reason.

"""


class Sign(Record, frozen=True):
    """Something that can be seen; the columns are those of data/signals.toml."""

    says: str
    silent: str
    evidence: tuple[str, ...] = ()
    seen: str = ""
    source: tuple[str, ...] = msgspec.field(name="from", default=())
    fires: str = ""


class Column(Record, frozen=True):
    """What the list says in one column of a cause, the signs of it, and what of it is not observed, and why."""

    says: str
    signs: tuple[str, ...] = ()
    missing: str = ""


class Row(Record, frozen=True):
    """A cause of the guide's list."""

    guide: str
    look_alike: str
    fires: str
    silent: str
    local: Column | None = None
    path: Column | None = None
    dns: Column | None = None
    tls: Column | None = None
    http: Column | None = None
    controls: Column | None = None
    discriminator: Column | None = None

    @property
    def columns(self) -> dict[str, Column]:
        """Those in which the list says anything."""
        return {key: column for key in COLUMNS if (column := getattr(self, key)) is not None}


class Signs(Record, frozen=True):
    """The whole table."""

    sign: dict[str, Sign]
    cause: dict[str, Row]

    def expected(self, scenario: str) -> tuple[set[str], set[str]]:
        """The signs that must be seen in `scenario`, and those that must not."""
        must = {key for key, sign in self.sign.items() if sign.fires == scenario}
        never = {key for key, sign in self.sign.items() if sign.silent == scenario}
        for row in self.cause.values():
            if row.fires == scenario:
                must |= {key for column in row.columns.values() for key in column.signs}
            if row.silent == scenario and row.discriminator is not None:
                never |= set(row.discriminator.signs)
        return must, never

    def where(self, key: str) -> list[str]:
        """The scenarios in which the sign must be seen."""
        rows = [row for row in self.cause.values() if any(key in column.signs for column in row.columns.values())]
        return list(dict.fromkeys(filter(None, (self.sign[key].fires, *(row.fires for row in rows)))))


@cache
def signs(path: Path = SIGNS) -> Signs:
    """The table that comes with netprobe. Raises `TableError` with one line of text."""
    try:
        table = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Signs)
    except (OSError, ValueError) as error:
        msg = f"{path.name}: {error}"
        raise TableError(msg) from None
    states = {f"{signal.id}={state}" for signal in SIGNALS for state in signal.states}
    for key, sign in table.sign.items():
        if bool(sign.evidence) == bool(sign.seen) or not set(sign.evidence) <= states or sign.seen not in {"", *SEEN}:
            msg = f"{path.name}: sign '{key}' needs either states of signals as 'evidence' or a function as 'seen'"
            raise TableError(msg)
    for key, row in table.cause.items():
        unknown = {one for column in row.columns.values() for one in column.signs} - set(table.sign)
        if unknown or not all(column.signs or column.missing for column in row.columns.values()):
            msg = f"{path.name}: cause '{key}': unknown signs {sorted(unknown)}, or neither 'signs' nor 'missing'"
            raise TableError(msg)
    return table


def seen_in(report: Report, platform: Platform, origin: OriginOf) -> dict[str, set[str]]:
    """The signs that `report` shows, each with the purposes of the observations that it rests on."""
    view = View(Facts(report.observations, platform, origin))
    found: dict[str, tuple[int, ...]] = {f"{e.id}={e.state}": e.facts for e in ask(view) if e.state}
    shown: dict[str, set[str]] = {}
    for key, sign in signs().sign.items():
        facts: Any = SEEN[sign.seen](view) if sign.seen else next((found[e] for e in sign.evidence if e in found), None)
        if facts or (facts is not None and sign.evidence):
            shown[key] = {report.observations[index].purpose for index in facts}
    return shown


def page(table: Signs) -> str:
    """The whole page."""
    parts = [_HEAD, "## Causes\n"]
    for key, row in table.cause.items():
        parts.append(
            f"### {key}: {row.guide}\n\nSeen in `{row.fires}`; its look-alike ({row.look_alike}) is `{row.silent}`.\n\n"
            "| column | the list says | seen as | not observed |\n|---|---|---|---|"
        )
        for column, cell in row.columns.items():
            told = "; ".join(f"[{table.sign[one].says}](#{_anchor(one)})" for one in cell.signs)
            parts.append(f"| {COLUMNS[column]} | {_cell(cell.says)} | {told or '–'} | {_cell(cell.missing)} |")
        parts.append("")
    parts.append("## Signs\n\n| sign | seen where | from the observations | must be seen in | must not in |")
    parts.append("|---|---|---|---|---|")
    for key, sign in table.sign.items():
        by = ", ".join(f"`{one}`" for one in sign.evidence) or f"`seen.{sign.seen}`"
        source = ", ".join(f"`{one}`" for one in sign.source)
        where = ", ".join(f"`{one}`" for one in table.where(key)[:4])
        parts.append(f'| <a id="{_anchor(key)}"></a>{sign.says} | {by} | {source} | {where} | `{sign.silent}` |')
    return "\n".join(parts) + "\n"


def _anchor(key: str) -> str:
    return "sign-" + key.replace(".", "-").replace("_", "-")


def _cell(text: str) -> str:
    """Text of somebody else's inside a table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(page(signs()))
