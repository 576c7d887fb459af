"""The recorded samples: other people's measurements, which lie beside the repository and not in it."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "shared" / "samples"
recorded = pytest.mark.skipif(
    not SAMPLES.is_dir(),
    reason="other people's recordings are not ours to give away: there are none in ../shared/samples",
)
