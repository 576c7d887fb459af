"""The `netprobe` command. Answers `--version` before anything else is imported."""

import sys

from netprobe import __version__


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"netprobe {__version__}\n")
        return
    from netprobe.cli.app import run  # noqa: PLC0415 - --version must not wait for it

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
