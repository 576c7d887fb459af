"""Loss in words: how often somebody stayed silent, of how many probes, how sure that is, and why."""

from typing import TYPE_CHECKING

from netprobe.report.words import counted, ttls

if TYPE_CHECKING:  # only who counts loss needs them
    from netprobe.probing.loss import Interval
    from netprobe.probing.loss_evidence import HopLoss, LossEvidence

_PERCENT = "\u00a0%"  # stays with its number where a line is broken


def share_of(hop: "HopLoss") -> str:
    """`12 % (8-17 %) of 201`: the fraction with its 95 % interval and what it is of."""
    return f"{spread(hop.interval)} of {hop.sent}".replace("\u00a0", " ")


def spread(interval: "Interval") -> str:
    """A fraction with its interval, in whole per cent where that says enough."""
    digits = 1 if interval.high < 0.0995 else 0
    low, high = (f"{each * 100:.{digits}f}".removesuffix(".0") for each in (interval.low, interval.high))
    middle = f"{interval.fraction * 100:.{digits}f}".removesuffix(".0")
    return f"{middle}{_PERCENT} ({low}–{high}{_PERCENT})"


def answers(hop: "HopLoss") -> str:
    """Why a hop stays silent, where that was tested."""
    if hop.limits and hop.rate is not None:
        return f"answers {_rate(hop.rate)} (rate limiter), this is not loss"
    if hop.silence and hop.silence.value == "undecided":
        return "answers seldom at any pace; packets that pass are not lost"
    return ""


def verdict(evidence: "LossEvidence") -> tuple[str, str]:
    """What may be said of loss on the path, and the style of it."""
    end = evidence.destination
    if end is None:
        return "Loss: cannot be told, because the destination does not answer; a hop's silence is no loss.", "faint"
    if end.limits:
        said = (
            f"Loss: cannot be told; the destination answers {_rate(end.rate or 0.0)} (rate limiter), this is not loss."
        )
        return f"{said} Another --method may tell.", "faint"
    of = f"of {counted(end.sent, 'probe')} to the destination"
    if evidence.loss is None:
        if not end.lost:
            return (
                f"No loss: all {of[3:]} were answered (at 95{_PERCENT}, loss is below {_upper(end.interval)}).",
                "good",
            )
        return f"No significant loss: {end.lost} {of} unanswered, {spread(end.interval)}.", "good"
    loss = evidence.loss
    figures = f"{spread(loss.interval)} {of} or their answers"
    if loss.only_destination:
        where = f"behind hop {loss.after}" if loss.after else "somewhere on the way"
        return f"Loss: {figures}; only the destination shows it, so it begins {where} or it answers seldom.", "bad"
    where = f"begins behind hop {loss.after}" if loss.after else "begins on the own link or near it"
    agree = "agrees" if len(loss.agreeing) == 1 else "agree"
    return f"Loss {where}: {figures}; {ttls(loss.agreeing)} {agree}.", "bad"


def _upper(interval: "Interval") -> str:
    return f"{interval.high * 100:.1f}".removesuffix(".0") + _PERCENT


def _rate(rate: float) -> str:
    return f"about {rate:.0f} a second" if rate >= 1.5 else f"about {rate:.1f} a second".replace(".0 ", " ")
