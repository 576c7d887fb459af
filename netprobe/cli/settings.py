"""The configuration file: what it may say, its defaults, and reading it strictly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from netprobe.cli.failure import Failure
from netprobe.model.record import Record
from netprobe.probing.run import DEFAULT_RATE

DEFAULT_FILE = Path("/etc/netprobe/netprobe.toml")
DEFAULT_STATE = "/var/lib/netprobe"


class AgentSettings(Record, frozen=True):
    """`[agent]`: how often to measure, where to keep what was found, and for how long.

    `all_uplinks`: rounds ask over other uplinks too while something fails. Not unless it is wanted: an outage may last
    for days, and an LTE stick may cost by the megabyte.
    """

    every: str = "5m"
    state: str = DEFAULT_STATE
    keep_days: int = 90
    keep_rounds: int = 30_000
    all_uplinks: bool = False


class Settings(Record, frozen=True):
    """The whole file. `platform` is a catalogue's name or path, `rate` probes a second; no path: the built-in file.

    `all_uplinks`: what fails over the uplink that the routes lead to is asked over the others too. `announcements` are
    https addresses of feeds (RSS, Atom, JSON Feed) and paths of files that hold one: what the platform and others say.
    """

    platform: str = "tiktok"
    rate: float = DEFAULT_RATE
    asn_table: str = ""
    ca_file: str = ""
    all_uplinks: bool = True
    announcements: tuple[str, ...] = ()
    agent: AgentSettings = AgentSettings()


def load(path: Path | None) -> Settings:
    """Read `path`; without one the default file if it exists, else the defaults.

    Raises `Failure` with one line that names the file, the place and what to do.
    """
    if path is None:
        if not DEFAULT_FILE.exists():
            return Settings()
        path = DEFAULT_FILE
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path}: no such file; give --config a file that exists, or leave it out for the defaults"
        raise Failure(msg) from None
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise Failure(msg) from None
    except ValueError as error:  # UTF-8 and TOML
        msg = f"{path.name}: is not TOML: {error}"
        raise Failure(msg) from None
    return convert(document, path.name)


def convert(document: Mapping[str, Any], name: str) -> Settings:
    """A document as settings; `name` is what messages call it."""
    from netprobe.agent.schedule import IntervalError, parse_interval

    agent = document.get("agent", {})
    _refuse_unknown(document, Settings, f"{name}: unknown key '%s'")
    if isinstance(agent, dict):
        _refuse_unknown(agent, AgentSettings, f"{name}: unknown key '%s' in [agent]")
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "'").partition(" - at '$.")
        msg = f"{name}: '{where.rstrip(chr(39))}': {what[0].lower()}{what[1:]}"
        raise Failure(msg) from None
    if settings.announcements:
        from netprobe.cli.announcements import check

        check(settings.announcements, f"{name}: 'announcements'")
    try:
        parse_interval(settings.agent.every)
    except IntervalError as error:
        msg = f"{name}: 'agent.every': {error}"
        raise Failure(msg) from None
    for key, value in (("rate", settings.rate), ("agent.keep_days", settings.agent.keep_days),
                       ("agent.keep_rounds", settings.agent.keep_rounds)):  # fmt: skip
        if not value > 0:
            msg = f"{name}: '{key}': must be more than 0, not {value}"
            raise Failure(msg)
    return settings


def _refuse_unknown(table: Mapping[str, Any], kind: type[Record], message: str) -> None:
    known = kind.__struct_fields__
    for key in table:
        if key not in known:
            from netprobe.model.hint import hint

            raise Failure(message % key + f" ({hint(key, known)})")


def to_toml(settings: Settings) -> str:
    """The settings as a file that `load` reads back to the same."""
    document = msgspec.to_builtins(settings)
    agent = document.pop("agent")
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in document.items()]
    lines += ["", "[agent]", *(f"{key} = {msgspec.json.encode(value).decode()}" for key, value in agent.items())]
    return "\n".join(lines) + "\n"
