"""What the zone's own servers say of a name that resolvers deny, or have nothing to say about.

Public resolvers tell who the zone's servers are and where; then these are asked themselves, over UDP and over TCP, on
which nobody on the way answers in their name.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from netprobe.model.report import Observation
from netprobe.model.services import Answer, Lookup, Transport
from netprobe.model.targets import Control, Platform
from netprobe.probing.ask import Ask
from netprobe.probing.names_again import MOST_RESOLVERS, TIMEOUT_S, over
from netprobe.probing.observe import Observe
from netprobe.probing.run import Plan

SERVERS, ADDRESS, LOOKUP = "zone.servers", "zone.address", "zone.lookup"
MOST_ZONES = 2
MOST_SERVERS = 2  # of a zone


def ask_zones(names: Sequence[str], platform: Platform, controls: Sequence[Control]) -> Plan[list[Observation]]:
    """The zones of the `names` in doubt: their servers, where these are, and what they say."""
    of_zone: dict[str, str] = {}
    for name in names:
        zone = next((z for z in platform.zones if name == z or name.endswith(f".{z}")), "")
        if zone and len(of_zone) < MOST_ZONES:
            of_zone.setdefault(zone, name)
    public = [control for control in controls if control.resolver and control.address][:MOST_RESOLVERS]
    told: list[Observation] = yield [
        Observe(SERVERS, zone, Ask(over(by, zone, control, "NS")))
        for zone in of_zone
        for control in public
        for by in (Transport.HTTPS, Transport.UDP)
    ]
    servers = {zone: _best(told, zone) for zone in of_zone}
    wanted = {host: answer.lookup for answer in servers.values() for host in answer.servers[:MOST_SERVERS]}
    found: list[Observation] = yield [
        Observe(ADDRESS, host, Ask(replace(asked, name=host, record_type="A"))) for host, asked in wanted.items()
    ]
    direct = [
        Observe(
            LOOKUP,
            of_zone[zone],
            Ask(Lookup(of_zone[zone], address, transport=by, recursive=False, timeout_s=TIMEOUT_S)),
        )
        for zone, answer in servers.items()
        for server in answer.servers[:MOST_SERVERS]
        for address in _best(found, server).addresses[:1]
        for by in (Transport.UDP, Transport.TCP)
    ]
    said: list[Observation] = yield direct
    return told + found + said


def _best(told: Sequence[Observation], subject: str) -> Answer:
    """The most trustworthy answer about `subject` that says anything."""
    answers = [o.fact for o in told if o.subject == subject and isinstance(o.fact, Answer)]
    said = [a for a in answers if a.servers or a.usable]
    said.sort(key=lambda a: a.lookup.transport is Transport.UDP)
    return said[0] if said else Answer(Lookup(subject, ""))
