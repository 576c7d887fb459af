"""Loss in words: never without its interval and of how many; a limiter is never called loss."""

import pytest

from netprobe.model.probes import Flow, Path, Protocol
from netprobe.probing.loss import Counted, PathLoss, Silence, path_loss, wilson
from netprobe.probing.loss_evidence import HopLoss, LossEvidence
from netprobe.report.loss import answers, share_of, spread, verdict

PATH = Path(Flow(Protocol.ICMP, "192.0.2.1"), (), reached=True)


def hop(ttl: int, sent: int, lost: int, silence: Silence | None = None, rate: float | None = None) -> HopLoss:
    return HopLoss(ttl, sent, lost, wilson(lost, sent), silence, rate)


def said(end: HopLoss | None, loss: PathLoss | None = None) -> str:
    return verdict(LossEvidence(PATH, (), end, loss))[0].replace("\u00a0", " ")


def test_a_fraction_has_its_interval_and_its_denominator() -> None:
    """Small ones with a decimal, others in whole per cent."""
    assert share_of(hop(3, 200, 24)) == "12 % (8–17 %) of 200"
    assert share_of(hop(3, 200, 2)) == "1 % (0.3–3.6 %) of 200"
    assert spread(wilson(200, 200)).replace("\u00a0", " ") == "100 % (98–100 %)"


def test_loss_begins_behind_a_hop() -> None:
    """With the figures of the destination, and who agrees."""
    hops = [Counted(ttl, 200, lost) for ttl, lost in ((3, 0), (4, 1), (5, 26), (6, 22))]
    loss = path_loss(hops, Counted(7, 200, 24))
    assert said(hop(7, 200, 24), loss) == (
        "Loss begins behind hop 4: 12 % (8–17 %) of 200 probes to the destination or their answers; hops 5–6 agree."
    )


def test_only_the_destination_shows_it() -> None:
    """Then it may just as well be the destination that answers seldom."""
    loss = path_loss([Counted(3, 200, 0)], Counted(4, 200, 24))
    assert "only the destination shows it, so it begins behind hop 3 or it answers seldom" in said(
        hop(4, 200, 24), loss
    )


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (hop(7, 200, 0), "No loss: all 200 probes to the destination were answered (at 95 %, loss is below 1.9 %)."),
        (hop(7, 200, 1), "No significant loss: 1 of 200 probes to the destination unanswered, 0.5 % (0.1–2.8 %)."),
        (hop(7, 1, 0), "No loss: all 1 probe to the destination were answered (at 95 %, loss is below 79.3 %)."),
        (None, "Loss: cannot be told, because the destination does not answer; a hop's silence is no loss."),
        (
            hop(7, 200, 100, Silence.LIMITER, 1.04),
            "Loss: cannot be told; the destination answers about 1 a second (rate limiter), this is not loss. Another --method may tell.",
        ),
    ],
)
def test_what_is_no_loss(end: HopLoss | None, words: str) -> None:
    """And why not, or why it cannot be told."""
    assert said(end) == words


def test_why_a_hop_stays_silent() -> None:
    """A limiter with its rate; what a test could not tell is said to be no matter; without a test nothing is said."""
    assert (
        answers(hop(5, 200, 100, Silence.LIMITER, 1.02)) == "answers about 1 a second (rate limiter), this is not loss"
    )
    assert answers(hop(5, 200, 100, Silence.BOTH, 9.6)) == "answers about 10 a second (rate limiter), this is not loss"
    assert "not lost" in answers(hop(5, 200, 100, Silence.UNDECIDED))
    assert answers(hop(5, 200, 1)) == ""
