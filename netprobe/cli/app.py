"""The typer application: every command in one table, and the one place where errors become exit codes."""

import sys
from collections.abc import Sequence

import typer

from netprobe import __version__
from netprobe.cli import agent, asn, config, diagnose, doctor, incidents, lab, replay, report, schema, trace
from netprobe.cli.failure import Failure, exit_code
from netprobe.model.verdict import EXIT_USAGE

# typer brought its own copy of click along the way: the usage error is found through what typer exports.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="netprobe",
    help="TikTok does not work - whose fault is it, how do you know, and what happens next?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"netprobe {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """TikTok does not work - whose fault is it, how do you know, and what happens next?"""
    del version


for command in (
    diagnose.diagnose,
    trace.trace,
    doctor.doctor,
    agent.agent,
    report.report,
    incidents.incidents,
    replay.replay,
    schema.schema,
):
    app.command()(command)
for name, group in (("lab", lab.app), ("config", config.app), ("asn", asn.app)):
    app.add_typer(group, name=name)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code. Only a bug raises."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return exit_code(lambda: _command(arguments), as_json="--json" in own)


def _command(arguments: Sequence[str]) -> object:
    """What the command returns. Raises `Failure` for a command line that is wrong."""
    try:
        return app(args=list(arguments), prog_name="netprobe", standalone_mode=False)
    except UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]  # typer exports no class that has it
        if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
            sys.stderr.write(message + "\n")
            return EXIT_USAGE
        raise Failure(_usage(error, message)) from None
    except typer.Abort:
        raise KeyboardInterrupt from None


def _usage(error: Exception, message: str) -> str:
    """What click says, with where to read more."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "netprobe"
    return f"{message.rstrip('.')} (see: {command} --help)"
