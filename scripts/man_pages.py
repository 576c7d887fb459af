#!/usr/bin/env python3
"""Write the man pages in docs/man from the command line itself, one page a command. `--check` only compares."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from netprobe.cli.app import app
from netprobe.model.verdict import EXIT_CODES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "man"
FILES = (
    ("/etc/resolv.conf", "The name servers that are asked."),
    ("/etc/netprobe/netprobe.toml", "The configuration, if it is there."),
    ("/var/lib/netprobe/netprobe.db", "What the agent has found."),
)
ENVIRONMENT = (
    ("SSL_CERT_FILE", "Trust these certificates (PEM) instead of the system's."),
    ("NO_COLOR", "No colours, whatever the terminal can show."),
)


def roff(text: str) -> str:
    """Text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("—", "\\(em")
    return "\n".join("\\&" + row if row.startswith((".", "'")) else row for row in escaped.split("\n"))


def page(name: str, command: Any, commands: dict[str, Any]) -> str:
    """The man page of a command; `commands` are those inside it, by their names."""
    title = name.replace(" ", "-")
    summary, _, rest = (command.help or "").partition("\n")
    lines = [f'.TH {roff(title.upper())} 1 "" "netprobe" "User Commands"', ".SH NAME"]
    called = {f"{name} {inner}": one for inner, one in commands.items()} if name != "netprobe" and commands else {}
    lines += [f"{roff(title)} \\- {roff(summary.rstrip('.'))}", ".SH SYNOPSIS"]
    lines += [row for one in (called or {name: command}).items() for row in (*synopsis(*one), ".br")]
    body = [part for part in rest.strip().split("\n\n") if part]
    lines += [
        ".SH DESCRIPTION",
        roff(summary),
        *(row for part in body for row in (".PP", roff(" ".join(part.split())))),
    ]
    if name == "netprobe":
        lines.append(".SH COMMANDS")
        for inner, one in commands.items():
            lines += [".TP", f".BR netprobe\\-{roff(inner)} (1)", roff((one.help or "").partition("\n")[0])]
    else:
        lines += [".SH OPTIONS", *options(command)] if list(options(command)) else []
        for inner, one in commands.items():
            lines += [f".SS {roff(f'{name} {inner}')}", roff(" ".join((one.help or "").split())), *options(one)]
    lines += list(ending(name))
    return "\n".join(lines) + "\n"


def synopsis(name: str, command: Any) -> list[str]:
    """How it is called."""
    words = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
    has_options = any(p.param_type_name == "option" for p in command.params)
    called = roff(" ".join(filter(None, ("[OPTION...]" if has_options else "", *words))))
    return [f".B {roff(name)}", *([called] if called else [])]


def options(command: Any) -> Iterator[str]:
    """Every argument and option with what it means."""
    for parameter in command.params:
        text = getattr(parameter, "help", None) or ""
        if parameter.param_type_name == "argument":
            yield from (".TP", f".I {roff(parameter.metavar or parameter.name.upper())}", roff(text))
            continue
        if parameter.name == "help" or not text:
            continue
        value = "" if parameter.is_flag else f" {parameter.metavar or choices(parameter)}"
        yield from (".TP", f".B {roff(', '.join(parameter.opts) + value)}", roff(text))


def choices(parameter: Any) -> str:
    """The words that an option takes, or what kind of value."""
    known = getattr(parameter.type, "choices", None)
    return "|".join(str(getattr(one, "value", one)) for one in known) if known else "N"


def ending(name: str) -> Iterator[str]:
    """What every page ends with, as far as it concerns the command."""
    if name in {"netprobe", "netprobe diagnose", "netprobe replay"}:
        yield ".SH EXIT STATUS"
        for component, code in sorted(EXIT_CODES.items(), key=lambda item: item[1]):
            said = "cannot be told, or cannot be measured" if code == 20 else component.value
            yield from (".TP", f".B {code}", said)
        yield from (".TP", ".B 2", "wrong usage or configuration")
    for heading, rows in ((".SH FILES", FILES), (".SH ENVIRONMENT", ENVIRONMENT)):
        if name in {"netprobe", "netprobe diagnose", "netprobe agent"}:
            yield heading
            for what, text in rows:
                yield from (".TP", f".B {roff(what)}", roff(text))
    yield from (".SH SEE ALSO", ".BR netprobe (1)" if name != "netprobe" else ".BR traceroute (1), mtr (8)")


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    root: Any = typer.main.get_command(app)
    found = {"netprobe.1": page("netprobe", root, root.commands)}
    for name, command in root.commands.items():
        found[f"netprobe-{name}.1"] = page(f"netprobe {name}", command, getattr(command, "commands", {}))
    return found


def main() -> int:
    """Write the pages, or say which of them are not what they should be."""
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")} if FOLDER.is_dir() else {}
    if "--check" in sys.argv[1:]:
        stale = sorted({name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)})
        if stale:
            sys.stderr.write(f"not current, run scripts/man_pages.py: {', '.join(stale)}\n")
        return len(stale) > 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
