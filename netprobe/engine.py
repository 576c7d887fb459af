"""The spine: a survey over a vantage, then the diagnosis, gives a report. Used by command line, agent and lab."""

from collections.abc import Callable

from netprobe.diagnosis import diagnose as judge
from netprobe.model.host import HostState
from netprobe.model.report import REPORT_SCHEMA, Observation, Report, Timing
from netprobe.model.targets import Platform, Target
from netprobe.probing.announced import ANNOUNCED, NO_SOURCES, Sources
from netprobe.probing.port import Vantage
from netprobe.probing.run import DEFAULT_RATE, Progress, run
from netprobe.probing.survey import survey
from netprobe.topology.asn import Origin


def diagnose(  # noqa: PLR0913  # all that may be asked of a diagnosis
    vantage: Vantage,
    platform: Platform,
    origin: Callable[[str], Origin | None],
    *,
    symptom: str = "",
    rate: float = DEFAULT_RATE,
    progress: Progress | None = None,
    locating: bool = False,
    all_uplinks: bool = True,
    sources: Sources = NO_SOURCES,
) -> Report:
    """Measure from `vantage` and say whose fault it is. `origin` maps an address to the AS that announces it.

    `locating`: where a name is minded, find out at which hop. `all_uplinks`: ask over the others too where one fails.
    `sources` are what is listened to for announcements.
    """
    began_s = vantage.now()
    plan = survey(
        platform,
        select_targets(platform, symptom),
        symptom=symptom,
        locating=locating,
        all_uplinks=all_uplinks,
        announcements=sources.urls,
    )
    observations = (
        *(
            Observation(o.at_s - began_s, o.purpose, o.subject, o.fact, o.link)
            for o in run(plan, vantage, rate=rate, progress=progress)
        ),
        *(Observation(0.0, ANNOUNCED, one.source, one) for one in sources.told),
    )
    usage = vantage.usage()
    timing = Timing(vantage.now() - began_s, usage.packets_sent, usage.bytes_sent)
    taken_s = next((o.fact.wall_clock_s for o in observations if isinstance(o.fact, HostState)), 0.0)
    verdict = judge(observations, platform, origin, symptom=symptom)
    return Report(REPORT_SCHEMA, platform.name, taken_s, verdict, observations, timing, symptom)


#: The roles that each symptom of the guide looks at first.
SYMPTOM_ROLES: dict[str, tuple[str, ...]] = {
    "open": ("api", "web", "config", "login"),
    "slow": ("video", "image", "static", "api"),
    "upload": ("upload", "api"),
    "feed": ("api", "video", "image"),
    "error": ("api", "login", "web"),
    "live": ("live", "api"),
}


def select_targets(platform: Platform, symptom: str) -> tuple[Target, ...]:
    """The names to try: the essential ones, and all of those that the symptom points at, which come first.

    Raises `KeyError` for a symptom that is not in SYMPTOM_ROLES.
    """
    roles = SYMPTOM_ROLES[symptom] if symptom else ()
    first = [t for role in roles for t in platform.targets if t.role == role]
    return tuple(dict.fromkeys([*first, *(t for t in platform.targets if t.essential)]))
