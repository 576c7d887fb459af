"""What it means: Evidence, Cause, Verdict, Incident, and the exit codes of the contract."""

from enum import StrEnum

from netprobe.model.record import Record


class Component(StrEnum):
    """Who is at fault. `none`: everything measurable is fine, the app or the device itself is what is left."""

    HOME = "home"
    ISP = "isp"
    TRANSIT = "transit"
    POLICY = "policy"
    PLATFORM = "platform"
    NONE = "none"
    UNDETERMINED = "undetermined"


EXIT_CODES: dict[Component, int] = {
    Component.NONE: 0,
    Component.HOME: 10,
    Component.ISP: 11,
    Component.TRANSIT: 12,
    Component.POLICY: 13,
    Component.PLATFORM: 14,
    Component.UNDETERMINED: 20,
}
EXIT_USAGE = 2
EXIT_CANNOT_MEASURE = 20


class Level(StrEnum):
    """How far an item of evidence may be used."""

    NONE = "none"
    DISCARDED = "discarded"
    SCORED = "scored"


class Evidence(Record, frozen=True):
    """One finding with a stable id, e.g. `gateway.answers`, in one `state` of that signal's closed list, e.g. `no`.

    `sentence` says it in plain words. `reason` says why it was discarded. `group` names correlated evidence that counts
    once. `facts` are the indices of the observations that it rests on.
    """

    id: str
    state: str
    level: Level
    sentence: str
    group: str = ""
    reason: str = ""
    facts: tuple[int, ...] = ()


class Cause(Record, frozen=True):
    """A row of causes.toml: one thing that can be wrong, in a hierarchy of ids (`isp.dns.failure`).

    `reference` are the rows of the guide's list of causes that it is one of. One that is not `weighed` has no
    likelihoods yet, so that no verdict names it.
    """

    id: str
    component: Component
    guide_class: str
    sentence: str
    advice: tuple[str, ...]
    duration: str
    look_alike: str
    discriminator: str
    reference: tuple[str, ...] = ()
    weighed: bool = True


class Candidate(Record, frozen=True):
    """A cause and how likely it is; `score` is a natural-log posterior up to a constant."""

    cause: str
    component: Component
    probability: float
    score: float


class Weighed(Record, frozen=True):
    """An item of evidence as it counted for the verdict: `weight` in nats for (+) or against (-) it."""

    id: str
    state: str
    level: Level
    sentence: str
    weight: float = 0.0
    reason: str = ""


class Advice(Record, frozen=True):
    """One step for the user; `checked` says what netprobe has already found out about it, empty if nothing."""

    step: str
    checked: str = ""


class Exoneration(Record, frozen=True):
    """Somebody who is proved innocent: `passed` of `checks` checks speak for them."""

    component: Component
    sentence: str
    passed: int
    checks: int


class Verdict(Record, frozen=True):
    """The answer: who, why, how sure, what to do, how long.

    `cause` may be an inner node of the hierarchy (`policy.tls`) when no leaf is supported. `probability` is that of the
    truth being `cause` or under it. `calibrated` says whether it, and those of the runners-up, were calibrated on
    simulated networks; if not they are scores, and are never shown as probabilities. Where nobody is named,
    `probability` is the score of the likeliest cause.
    """

    component: Component
    cause: str
    guide_class: str
    probability: float
    sentence: str
    runners_up: tuple[Candidate, ...] = ()
    abstained: bool = False
    calibrated: bool = False
    evidence: tuple[Weighed, ...] = ()
    exonerated: tuple[Exoneration, ...] = ()
    advice: tuple[Advice, ...] = ()
    expected_duration: str = ""
    next_probe: str = ""
    also: tuple[str, ...] = ()
