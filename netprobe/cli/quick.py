"""`netprobe trace` and `netprobe agent` without typer: their plain command lines are read here.

Its import takes as long as a trace, and 5 MB, which a resident would keep for ever.

A line that is not plainly right (a mistake, a call for help, an option that is not in the tables) is left to typer,
which knows what to say about it; the tests hold that what is read here is read the same there.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netprobe.cli.failure import exit_code

_TRACE, _AGENT = "trace", "agent"
_AGENT_FLAGS = {"--once": "once"}
_AGENT_VALUES = {"--every": str, "--state": Path, "--config": Path, "--ca-file": str}
_FLAGS = {"--share": "share", "--json": "as_json"}
_VALUES = {"--method": str, "--port": int, "--rate": float, "--max-ttl": int, "--config": Path, "--pcap": Path}
_HIGHEST = {"--port": 0xFFFF, "--max-ttl": 63}


def run(arguments: Sequence[str]) -> int | None:
    """Carry out one command line and return its exit code; None when it is not one for this module."""
    if arguments[:1] == [_AGENT]:
        return _resident(arguments[1:])
    if arguments[:1] != [_TRACE]:
        return None
    read = _read(arguments[1:], _FLAGS, _VALUES)
    if read is None:
        return None
    targets, given = read
    if not targets:
        return None
    from netprobe.cli.tracing import PORTS

    method = given.get("--method", "icmp")
    if method not in PORTS or (method == "icmp" and "--port" in given):
        return None
    return exit_code(lambda: _trace(targets, method, given), as_json="as_json" in given)


def _resident(words: Sequence[str]) -> int | None:
    read = _read(words, _AGENT_FLAGS, _AGENT_VALUES)
    if read is None or read[0]:
        return None
    given = read[1]

    def begin() -> None:
        from netprobe.cli.resident import start

        start(
            once="once" in given,
            every=given.get("--every", ""),
            state=given.get("--state"),
            config=given.get("--config"),
            ca_file=given.get("--ca-file", ""),
        )

    return exit_code(begin, as_json=False)


def _trace(targets: Sequence[str], method: str, given: dict[str, Any]) -> int:
    from netprobe.cli.settings import load
    from netprobe.cli.tracing import PORTS, Job, carry_out

    settings = load(given.get("--config"))
    port, rate = given.get("--port", PORTS[method]), given.get("--rate", settings.rate)
    job = Job(tuple(targets), method, port, given.get("--max-ttl", 30), rate, "share" in given, given.get("--pcap"))
    job = job._replace(named="--method" in given or "--port" in given)
    return carry_out(job, settings, as_json="as_json" in given)


def _read(
    words: Sequence[str], flags: Mapping[str, str], values: Mapping[str, Callable[[str], Any]]
) -> tuple[list[str], dict[str, Any]] | None:
    """The targets and what was given beside them; None for what is better explained by typer."""
    targets: list[str] = []
    given: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        name, has_value, value = word.partition("=")
        if word in flags:
            given[flags[word]] = True
        elif name in values:
            if not has_value:
                value = next(rest, "")
            if not value or value.startswith("-"):
                return None
            try:
                number = given[name] = values[name](value)
            except ValueError:
                return None
            if isinstance(number, int | float) and not 0 < number <= _HIGHEST.get(name, number):
                return None
        elif word.startswith("-"):
            return None
        else:
            targets.append(word)
    return targets, given
