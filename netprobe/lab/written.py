"""The tables that a fit writes, as text: TOML that says where it comes from."""

import json

from netprobe.diagnosis.calibration import Calibration

_HEAD = """\
# What a score is worth: written by `make fit`, see docs/decisions/0042-scores-are-calibrated.md; not to be edited.
# probability = 1 / (1 + exp(-(offset + slope * ln(score / (1 - score)) [+ nobody, where nobody is at fault])))
"""


def calibration_text(means: Calibration) -> str:
    """A map as the file that `netprobe.diagnosis.calibration.load` reads."""
    lines = [
        f"made_by = {json.dumps(means.made_by)}",
        f"made_on = {json.dumps(means.made_on)}",
        f"worlds = {means.worlds}",
        f"slope = {means.slope!r}",
        f"offset = {means.offset!r}",
        f"nobody = {means.nobody!r}",
        "# What this many worlds can show: no answer is surer or less sure.",
        f"lowest = {means.lowest!r}",
        f"highest = {means.highest!r}",
        "",
        "# Answers in that sweep by the family that was named; families with fewer than twenty are not covered.",
        "[answers]",
        *(f"{json.dumps(family)} = {count}" for family, count in means.answers.items()),
    ]
    return _HEAD + "\n".join(lines) + "\n"
