"""ICMP errors in words."""

import pytest

from netprobe.model.probes import Reply, ReplyKind
from netprobe.report.icmp import meaning

V4, V6 = "192.0.2.1", "2001:db8::1"


@pytest.mark.parametrize(
    ("source", "icmp", "mtu", "words"),
    [
        (V4, (3, 4), 1400, "fragmentation needed (MTU 1400)"),
        (V4, (3, 4), 0, "fragmentation needed"),
        (V4, (3, 13), 0, "prohibited by an administrator"),
        (V4, (3, 1), 0, "host unreachable"),
        (V4, (3, 99), 0, "unreachable (code 99)"),
        (V4, (12, 0), 0, "parameter problem"),
        (V4, (77, 5), 0, "ICMP type 77, code 5"),
        (V6, (2, 0), 1400, "packet too big (MTU 1400)"),
        (V6, (1, 0), 0, "no route"),
        (V6, (1, 1), 0, "prohibited by an administrator"),
        (V6, (1, 3), 0, "address unreachable"),
        (V6, (4, 0), 0, "parameter problem"),
    ],
)
def test_an_error_is_said_in_words(source: str, icmp: tuple[int, int], mtu: int, words: str) -> None:
    """By the numbers of its own version of IP."""
    assert meaning(Reply(ReplyKind.UNREACHABLE, source, 0.01, 60, *icmp, mtu=mtu)) == words


def test_what_a_traceroute_asks_for_is_not_worth_a_word() -> None:
    """Time exceeded in transit and answers of the destination say nothing beside who they are from."""
    assert meaning(Reply(ReplyKind.TIME_EXCEEDED, V4, 0.01, 60, 11, 0)) == ""
    assert meaning(Reply(ReplyKind.TIME_EXCEEDED, V4, 0.01, 60, 11, 1)) == "fragments did not come in time"
    assert meaning(Reply(ReplyKind.ECHO_REPLY, V4, 0.01, 60, 0, 0)) == ""
