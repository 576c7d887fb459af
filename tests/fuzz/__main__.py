"""Coverage-guided fuzzing of every parser of strangers' bytes: `make fuzz`, or `python -m tests.fuzz [GROUP...]`.

Each group runs in a process of its own under atheris (libFuzzer with the coverage of Python code), from its seeds on,
for `--inputs N` inputs or `--seconds S`, whichever ends first. The exit code is 1 when an input breaks an invariant;
the input is left in the folder that `--keep DIR` names.
"""

import argparse
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.fuzz.groups import Group

_INSTRUMENTED = ("netprobe.live", "h11", "dns", "tests.fuzz.planted")
_IMPORTED_LATE = (
    "dns.message",
    "dns.rdtypes.IN.A",
    "dns.rdtypes.IN.AAAA",
    "dns.rdtypes.ANY.CNAME",
    "dns.rdtypes.ANY.TXT",
)
_INPUTS, _SECONDS = 1_000_000, 900
_ONE_INPUT_S, _MEMORY_MB = 10, 512  # more than that for one input is a finding
_LONGEST = 600
_GRACE_S = 60
_BEGIN, _END = "== begin", "== end"


class Run(NamedTuple):
    """What became of one group: `covered` counts branches, `memory_mb` is the peak; `finding` is empty, or the end of
    the report on an input that breaks an invariant.
    """

    group: str
    inputs: int
    covered: int
    memory_mb: int
    took_s: float
    finding: str


def main(arguments: list[str]) -> int:
    """Run the groups that were asked for, one after the other, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers of strangers' bytes.")
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--inputs", type=int, default=_INPUTS)
    parser.add_argument("--seconds", type=int, default=_SECONDS)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the process that is instrumented
    given = parser.parse_args(arguments)
    if given.here:
        fuzz(given.groups, given.inputs, given.seconds, given.keep)
        return 0
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("fuzz: atheris is not installed; `make fuzz` installs it\n")
        return 2
    from tests.fuzz.groups import GROUPS  # noqa: PLC0415  # the instrumented process imports it with its coverage

    unknown = set(given.groups) - GROUPS.keys()
    if unknown:
        sys.stderr.write(f"fuzz: no such group: {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}\n")
        return 2
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in given.groups or GROUPS:
        (run,) = fuzz_apart([name], given.inputs, given.seconds, given.keep)
        failed |= bool(run.finding)
        rate = run.inputs / max(run.took_s, 0.001)
        print(
            f"{name:<14}{run.inputs:>10,} inputs {rate:>9,.0f}/s  {run.covered:>5} covered  {run.memory_mb:>4} MB"
            f"{'  FOUND' if run.finding else ''}",
            flush=True,
        )
        if run.finding:
            print(run.finding)
    return int(failed)


def fuzz_apart(groups: Sequence[str], inputs: int, seconds: int, keep: Path | None = None) -> list[Run]:
    """Fuzz each of `groups`, in processes of their own that are instrumented once."""
    words = [sys.executable, "-m", "tests.fuzz", *groups, "--here", "--inputs", str(inputs), "--seconds", str(seconds)]
    done = subprocess.run(
        words + (["--keep", str(keep)] if keep else []),
        check=False,
        capture_output=True,
        timeout=(seconds + _GRACE_S) * len(groups),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    said = done.stderr.decode("utf-8", "replace")
    sections = re.findall(rf"{_BEGIN} (\w+)\n(.*?){_END} (-?\d+) ([\d.]+)\n", said, re.DOTALL)
    if [name for name, *_ in sections] != list(groups):
        return [Run(group, 0, 0, 0, 0.0, said[-3000:] or "it said nothing") for group in groups]
    return [
        Run(
            group=name,
            inputs=_largest(told, r"#(\d+)\s"),
            covered=_largest(told, r"cov: (\d+)"),
            memory_mb=_largest(told, r"rss: (\d+)Mb"),
            took_s=float(took),
            finding="" if code == "0" else told[-3000:],
        )
        for name, told, code, took in sections
    ]


def _largest(text: str, pattern: str) -> int:
    return max((int(number) for number in re.findall(pattern, text)), default=0)


def fuzz(groups: Sequence[str], inputs: int, seconds: int, keep: Path | None) -> None:
    """Fuzz each of `groups` in a child: libFuzzer ends the process that it runs in. Tells on standard error."""
    import atheris  # noqa: PLC0415  # only here: it comes with `make fuzz`

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        for name in _IMPORTED_LATE:
            importlib.import_module(name)
        from tests.fuzz.groups import GROUPS  # noqa: PLC0415  # so that it is instrumented
        from tests.fuzz.planted import PLANTED  # noqa: PLC0415
    os.dup2(2, 1)  # a traceback goes to where the rest goes
    for name in groups:
        began = time.monotonic()
        sys.stderr.write(f"{_BEGIN} {name}\n")
        sys.stderr.flush()
        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if not child:
                chosen = PLANTED if name == "planted" else GROUPS[name]
                _fuzz_here(atheris, chosen, folder, f"{keep or folder}/{name}-", inputs, seconds)
            _, status = os.waitpid(child, 0)
        sys.stderr.write(f"\n{_END} {os.waitstatus_to_exitcode(status)} {time.monotonic() - began:.3f}\n")
        sys.stderr.flush()


def _fuzz_here(atheris: Any, group: "Group", folder: str, prefix: str, inputs: int, seconds: int) -> None:
    for number, seed in enumerate(group.seeds()):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    limits = f"-runs={inputs} -max_total_time={seconds} -timeout={_ONE_INPUT_S} -rss_limit_mb={_MEMORY_MB}"
    # One seed, so that a run can be repeated.
    options = f"{limits} -max_len={_LONGEST} -seed=1 -artifact_prefix={prefix} -print_final_stats=1"
    atheris.Setup([sys.argv[0], *options.split(), folder], group.check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
