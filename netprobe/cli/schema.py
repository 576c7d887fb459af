"""`netprobe schema`: the JSON Schema of what netprobe writes and reads."""

from enum import StrEnum
from typing import Annotated, Any

import typer


class Kind(StrEnum):
    """What has a schema."""

    VERDICT = "verdict"
    SCENARIO = "scenario"
    CONFIG = "config"
    TRACE = "trace"


Which = Annotated[Kind, typer.Argument(metavar="verdict|scenario|config|trace", help="What to describe.")]


def schema(kind: Which) -> None:
    """Print the JSON Schema (2020-12) of the JSON of diagnose or trace, of a scenario or of the configuration."""
    import msgspec

    from netprobe.cli.console import show_json

    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"netprobe {kind.value}"}
    show_json(msgspec.json.format(msgspec.json.encode(head | _schema(kind)), indent=2))


def _schema(kind: Kind) -> dict[str, Any]:
    import msgspec

    if kind is Kind.SCENARIO:
        from netprobe.sim.scenario import json_schema

        return json_schema()
    if kind is Kind.CONFIG:
        from netprobe.cli.settings import Settings

        return msgspec.json.schema(Settings)
    if kind is Kind.TRACE:
        from netprobe.report.trace_line import TraceLine

        return msgspec.json.schema(TraceLine)
    from netprobe.model.report import Report

    return msgspec.json.schema(Report)
