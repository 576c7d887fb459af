"""What is handed on: Observation (a fact with its time and purpose), Timing, Report, Incident."""

from netprobe.model.announcements import Announced
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Multipath, Path, PathMtu, RateTest, Train
from netprobe.model.record import Record
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response
from netprobe.model.verdict import Component, Verdict

AnyFact = (
    HostState
    | Answer
    | Train
    | Path
    | Handshaken
    | Response
    | QuicHandshaken
    | PathMtu
    | RateTest
    | FlowTest
    | Multipath
    | Announced
)


class Observation(Record, frozen=True):
    """A fact, when it was known, and what it was measured for.

    `purpose` is one of the survey's stable names (`gateway`, `edge.fetch`, `sni.control`, ...; ARCHITECTURE.md lists
    them). `subject` is the name it is about (a target's or control's name, or an address). `at_s` counts from the
    survey's start. `link` is the interface that it was bound to, empty where the routes decided.
    """

    at_s: float
    purpose: str
    subject: str
    fact: AnyFact
    link: str = ""


class Timing(Record, frozen=True):
    """What the measurement cost. `wall_s` is the vantage's clock: virtual seconds in virtual time."""

    wall_s: float
    packets_sent: int
    bytes_sent: int


class Report(Record, frozen=True):
    """The JSON of one diagnosis. `taken_s` is Unix time at the start."""

    schema: str
    platform: str
    taken_s: float
    verdict: Verdict
    observations: tuple[Observation, ...]
    timing: Timing
    symptom: str = ""


class Incident(Record, frozen=True):
    """A stretch of time in which one component was at fault. `ended_s` is None while it lasts. Unix times."""

    id: int
    component: Component
    cause: str
    sentence: str
    began_s: float
    ended_s: float | None = None
    rounds: int = 1


REPORT_SCHEMA = "netprobe/report/1"
