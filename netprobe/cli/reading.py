"""Reading a recorded report, which may come from anywhere."""

from pathlib import Path

import msgspec

from netprobe.cli.failure import Failure
from netprobe.model.record import from_json
from netprobe.model.report import REPORT_SCHEMA, Report

_LARGEST = 64 * 1024 * 1024


def read_report(path: Path) -> Report:
    """A report out of `path`. Raises `Failure` with what is wrong and where."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        msg = f'{path}: no such file; make one with "netprobe diagnose --json > FILE"'
        raise Failure(msg) from None
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise Failure(msg) from None
    if len(data) > _LARGEST:
        msg = f"{path}: larger than {_LARGEST} bytes, which no report is"
        raise Failure(msg)
    try:
        report = from_json(data, Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f'{path}: is not a report of "netprobe diagnose --json": {str(error).replace("`", chr(39))}'
        raise Failure(msg) from None
    if report.schema != REPORT_SCHEMA:
        msg = f"{path}: has the schema '{report.schema[:60]}'; this netprobe reads '{REPORT_SCHEMA}'"
        raise Failure(msg)
    return report
