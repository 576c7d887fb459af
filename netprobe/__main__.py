"""The `netprobe` command. Answers `--version` before anything else is imported."""

import gc
import sys

from netprobe import __version__
from netprobe.live.broker import launch

_GARBAGE_COUNT = 20_000  # new containers until cycles are looked for: imports make many, and few that are garbage


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"netprobe {__version__}\n")
        return
    gc.set_threshold(_GARBAGE_COUNT)
    launch.ahead(sys.argv[1:])
    _load_msgspec()
    from netprobe.cli import quick  # noqa: PLC0415 - --version must not wait for it

    code = quick.run(sys.argv[1:])
    if code is None:
        from netprobe.cli import app  # noqa: PLC0415 - nor a trace for typer

        code = app.run(sys.argv[1:])
    gc.freeze()  # the process ends: what it had need not be looked through for garbage
    sys.exit(code)


def _load_msgspec() -> None:
    """Load msgspec without typing_extensions, which takes a third of that time.

    It is taken where it is installed, and has nothing for msgspec that Python 3.11 has not. Others load it later.
    """
    if {"msgspec", "typing_extensions"} & set(sys.modules):
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # which is how an import is told to fail
    import msgspec  # noqa: F401, PLC0415  # --version must not wait for it

    del sys.modules["typing_extensions"]


if __name__ == "__main__":
    main()
