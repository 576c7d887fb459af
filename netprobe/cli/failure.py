"""How a command says that it cannot go on: one line on stderr (what, where, what to do) and an exit code.

Everybody below raises errors of his own; this module alone knows which of them are messages for the user. An error that
is not in the table is a bug and shows its traceback.
"""

import os
import sys
from collections.abc import Callable

from netprobe.cli.console import show_json
from netprobe.model.record import to_json
from netprobe.model.verdict import EXIT_CANNOT_MEASURE, EXIT_USAGE

_INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - it is a message for the user, not a programmer's error
    """The command ends here: `message` is for the user, `code` for the shell."""

    def __init__(self, message: str, code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.code = code


#: (module, class, exit code): errors whose text is meant for the user. A module that was not imported raised nothing.
FOR_THE_USER: tuple[tuple[str, str, int], ...] = (
    ("netprobe.cli.failure", "Failure", EXIT_USAGE),
    ("netprobe.sim.scenario", "ScenarioError", EXIT_USAGE),
    ("netprobe.sim.namespaces", "LabError", EXIT_CANNOT_MEASURE),
    ("netprobe.topology.platform", "PlatformError", EXIT_USAGE),
    ("netprobe.topology.asn", "AsnError", EXIT_USAGE),
    ("netprobe.diagnosis.causes", "TableError", EXIT_USAGE),
    ("netprobe.agent.store", "StoreError", EXIT_USAGE),
    ("netprobe.agent.schedule", "IntervalError", EXIT_USAGE),
    ("netprobe.live", "CannotMeasure", EXIT_CANNOT_MEASURE),
    ("netprobe.live.brokered", "BrokerGone", EXIT_CANNOT_MEASURE),
)


def as_failure(error: BaseException) -> Failure | None:
    """`error` as a message for the user; None for a bug."""
    if isinstance(error, Failure):
        return error
    for module, name, code in FOR_THE_USER:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return Failure(str(error), code)
    return None


def tell(failure: Failure, *, as_json: bool) -> int:
    """Print one line on stderr, and with `as_json` valid JSON on stdout too; the exit code."""
    text = " ".join(str(failure).split())
    sys.stderr.write(f"netprobe: {text}\n")
    if as_json:
        show_json(to_json({"error": text.encode(errors="replace").decode(), "exit_code": failure.code}))
    return failure.code


def exit_code(command: Callable[[], object], *, as_json: bool) -> int:
    """What the shell is told of `command`: the integer that it returns, else 0, or its failure's. Only a bug raises."""
    try:
        code = command()
    except KeyboardInterrupt:
        sys.stderr.write("netprobe: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone; nor can what is left be flushed at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        failure = as_failure(error)
        if failure is None:
            raise
        return tell(failure, as_json=as_json)
    return code if isinstance(code, int) else 0
