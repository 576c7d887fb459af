"""What makes a reply believable."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from netprobe.live.identity import Identity
from netprobe.model.probes import Flow, Protocol

FLOW = Flow(Protocol.TCP, "203.0.113.1", 443)
tokens = st.integers(0, 1 << 40)


@given(tokens)
def test_numbers_with_a_meaning_are_never_used(token: int) -> None:
    """An IP identification of 0 would be replaced by the kernel, a checksum of 0 means none."""
    mark = Identity(bytes(32)).mark(FLOW, token)
    assert all(0 < number < 0xFFFF for number in (mark.ip_id, mark.sequence, mark.check))


def test_only_the_secret_gives_the_numbers() -> None:
    """Two processes that send the same probe mark it differently; one marks it the same way twice."""
    one, other = Identity(), Identity()
    assert one.mark(FLOW, 1) == one.mark(FLOW, 1)
    assert one.mark(FLOW, 1) != other.mark(FLOW, 1)
    assert one.flow_constants(FLOW) != other.flow_constants(FLOW)


def test_probes_do_not_follow_each_other() -> None:
    """Knowing one probe's numbers does not tell the next one's: all of a thousand steps between them differ."""
    identity = Identity(bytes(32))
    marks = [identity.mark(FLOW, token) for token in range(1000)]
    steps = {(later.isn - earlier.isn) & 0xFFFFFFFF for earlier, later in itertools.pairwise(marks)}
    assert len(steps) == len(marks) - 1


def test_another_attempt_gives_other_numbers() -> None:
    """Numbers that are in use can be exchanged."""
    identity = Identity(bytes(32))
    assert identity.mark(FLOW, 1, 0).isn != identity.mark(FLOW, 1, 1).isn


def test_flow_is_constant_over_its_probes_only() -> None:
    """Labels tell flows apart; nothing else about a probe does."""
    identity = Identity(bytes(32))
    other = Flow(Protocol.TCP, "203.0.113.1", 443, label=1)
    assert identity.flow_constants(FLOW) == identity.flow_constants(Flow(Protocol.TCP, "203.0.113.1", 443))
    assert identity.flow_constants(FLOW) != identity.flow_constants(other)


def test_flow_labels_tell_flows_apart_and_are_constant() -> None:
    """A flow has one label of 20 bits, never 0, which would mean that there is none (RFC 6437)."""
    identity = Identity(bytes(32))
    labels = [identity.flow_label(Flow(Protocol.TCP, "2001:db8::1", 443, number)) for number in range(300)]
    assert labels[7] == identity.flow_label(Flow(Protocol.TCP, "2001:db8::1", 443, 7))
    assert all(0 < label <= 0xFFFFF for label in labels)
    assert len(set(labels)) > 295
