"""Whether announcements count: words accuse nobody.

What was measured must point at the platform by itself before they are weighed, and then they say more about the cause
than about who is at fault: whoever cannot reach a platform writes "it is down" into a tracker, whatever the reason.
"""

from collections.abc import Sequence

import msgspec

from netprobe.diagnosis.causes import Tables
from netprobe.diagnosis.signals.announced import MAINTENANCE, NOTHING, REPORTED, TROUBLE
from netprobe.diagnosis.weigh import decide, group_weights
from netprobe.model.verdict import Component, Evidence, Level

ANNOUNCED = (MAINTENANCE, TROUBLE)


def believed(evidence: Sequence[Evidence], table: Tables) -> tuple[Evidence, ...]:
    """`evidence`, in which announcements are discarded unless what was measured points at the platform by itself.

    Who is named is decided without them. Where that is somebody else than the platform, or nobody's fault, they change
    nothing; where it is uncertain, only the platform's own words count, and only if it is the likeliest anyway.
    """
    said = [e for e in evidence if e.id in ANNOUNCED and e.level is Level.SCORED and e.state != NOTHING]
    if not said:
        return tuple(evidence)
    alone = decide(group_weights([e for e in evidence if e.id not in ANNOUNCED], table), table)
    likeliest = Component(alone.leaf.partition(".")[0])
    if likeliest is Component.NONE:
        reason = "what was measured works, and words alone accuse nobody"
    elif likeliest is not Component.PLATFORM:
        reason = "what was measured points elsewhere, and words alone accuse nobody"
    elif not alone.determined:
        reason = "who cannot reach a platform reports it as down, whatever the reason"
    else:
        return tuple(evidence)
    doubted = [e for e in said if likeliest is not Component.PLATFORM or e.state == REPORTED]
    return tuple(
        msgspec.structs.replace(e, level=Level.DISCARDED, reason=reason) if e in doubted else e for e in evidence
    )
