"""A slice of `make fuzz` in every run of the tests: each parser of strangers' bytes, coverage-guided and by hypothesis."""

import importlib.util

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import fuzz_apart
from tests.fuzz.chains import Chain
from tests.fuzz.groups import GROUPS

_INPUTS, _SECONDS = 20_000, 2
guided = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: `make fuzz` installs it"
)


@guided
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_input_breaks_an_invariant() -> None:
    """20,000 coverage-guided inputs for each group, or 2 s of them: no exception, and what the group promises holds."""
    runs = fuzz_apart(list(GROUPS), _INPUTS, _SECONDS)
    assert {run.group: run.finding for run in runs} == dict.fromkeys(GROUPS, "")
    assert min(run.inputs for run in runs) >= 200
    assert min(run.covered for run in runs) > 10


@guided
@pytest.mark.slow
def test_the_fuzzer_finds_what_only_coverage_finds() -> None:
    """A fault that one input in four thousand million shows is found: coverage does guide."""
    assert "planted" in fuzz_apart(["planted"], 200_000, 20)[0].finding


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed that was changed, cut and lengthened."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)):
        data[at] = value
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))]) + draw(st.binary(max_size=16))


@pytest.mark.parametrize("group", GROUPS)
def test_no_damage_breaks_an_invariant(group: str) -> None:
    """So it is for what hypothesis makes of the seeds, and for arbitrary bytes."""
    check, seeds = GROUPS[group]

    @settings(max_examples=150, deadline=None)
    @given(damaged(list(seeds())) | st.binary(max_size=300))
    def examine(data: bytes) -> None:
        check(data)

    examine()


def test_the_chain_is_not_fuzzed_in_vain() -> None:
    """Most seeds of the chain from socket to reply are replies, to all of its probes: there is something to break."""
    chain = Chain()
    answered: set[int] = set()
    accepted = []
    for seed in GROUPS["replies"].seeds():
        chain(seed)
        assert chain.desk is not None
        accepted.append(len(chain.desk.replies))
        answered |= {token for token, _ in chain.desk.replies}
    assert sum(accepted) / len(accepted) > 0.8
    assert answered == set(chain.packets)
