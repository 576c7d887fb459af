"""Which rounds make one incident."""

import msgspec

from netprobe.diagnosis.incidents import Step, Track, track
from netprobe.model.report import Incident
from netprobe.model.verdict import Component, Level, Verdict, Weighed

BAD, WORSE = "isp.core.blackhole", "platform.origin.error"
GOOD, UNSURE = "none.app_device", "undetermined"


def verdict(cause: str) -> Verdict:
    return Verdict(Component(cause.split(".", maxsplit=1)[0]), cause, "d", 0.9, f"{cause}.")


def rounds(*causes: str) -> tuple[Track, list[Incident]]:
    """Feed a round a minute; the memory at the end, and what was closed."""
    memory, closed = Track(), list[Incident]()
    for number, cause in enumerate(causes):
        step = track(memory, verdict(cause), 60.0 * number, len(closed) + 1)
        memory = step.track
        closed += [step.closed] if step.closed else []
    return memory, closed


def test_one_outage_is_one_incident() -> None:
    """It begins with the first bad round and ends with the first good one."""
    memory, closed = rounds(GOOD, BAD, BAD, BAD, GOOD)
    assert memory.open is None
    assert [(i.component, i.cause, i.began_s, i.ended_s, i.rounds) for i in closed] == [("isp", BAD, 60.0, 240.0, 3)]


def test_an_undetermined_round_neither_begins_nor_ends() -> None:
    """Not knowing is no change."""
    assert rounds(UNSURE, UNSURE)[0] == Track()
    memory, closed = rounds(BAD, UNSURE, BAD)
    assert not closed
    assert memory.open is not None
    assert memory.open.rounds == 2


def test_a_single_other_round_changes_nothing() -> None:
    """One round that names somebody else may have been mistaken."""
    memory, closed = rounds(BAD, WORSE, BAD)
    assert not closed
    assert memory.open is not None
    assert memory.open.component is Component.ISP


def test_a_change_that_lasts_is_another_incident() -> None:
    """It begins when it was first seen, and the one before ends there."""
    memory, closed = rounds(BAD, BAD, WORSE, WORSE)
    assert [i.ended_s for i in closed] == [120.0]
    assert memory.open is not None
    assert (memory.open.component, memory.open.began_s) == ("platform", 120.0)


def test_the_deepest_cause_is_kept() -> None:
    """A round that sees less does not blur what was known."""
    memory, _ = rounds("policy.tls", "policy.tls.sni_reset", "policy")
    assert memory.open is not None
    assert memory.open.cause == "policy.tls.sni_reset"


def test_a_round_that_saw_half_an_outage_does_not_rename_it() -> None:
    """Of equally deep causes the one that most rounds named is said."""
    _, closed = rounds(*["isp.access.outage"] * 3, "isp.dns.failure", "none")
    assert [incident.cause for incident in closed] == ["isp.access.outage"]
    _, closed = rounds("isp.dns.failure", *["isp.access.outage"] * 2, "none")
    assert [incident.cause for incident in closed] == ["isp.access.outage"]


def test_a_starved_round_opens_nothing() -> None:
    """What a machine that was too busy finds wrong is not believed; what works all the same ends an incident."""
    busy = Weighed("host.busy", "starved", Level.SCORED, "This computer was too busy (late by 2.0 s).")
    bad = msgspec.structs.replace(verdict(BAD), evidence=(busy,))
    assert track(Track(), bad, 60.0, 1) == Step(Track())
    began = track(Track(), verdict(BAD), 60.0, 1).track
    assert track(began, bad, 120.0, 2).track == began
    good = msgspec.structs.replace(verdict(GOOD), evidence=(busy,))
    assert track(began, good, 120.0, 2).track == Track()
