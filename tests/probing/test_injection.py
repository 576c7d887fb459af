"""Who ended a connection, told from how its segments look."""

import pytest

from netprobe.model.probes import Reply, ReplyKind
from netprobe.model.replies import ACK, FIN, RST, SYN, TcpHeader, TcpOption
from netprobe.probing.cookies import cookie_signs
from netprobe.probing.distance import initial_ttl, path_length
from netprobe.probing.injection import STRONG, WEAK, Grade, Heard, Judged, injected

STAMPS = TcpOption("timestamps", 1, 1)


def segment(
    flags: int,
    sequence: int,
    at_s: float,
    *,
    ttl: int = 52,
    ip_id: int = 0,
    window: int = 0,
    length: int = 0,
    options: tuple[TcpOption, ...] = (),
    dont_fragment: bool = True,
) -> Reply:
    header = TcpHeader(flags, window, sequence, 1, length, options, 0, dont_fragment)
    kind = ReplyKind.SYN_ACK if flags & SYN else ReplyKind.ACK
    return Reply(ReplyKind.RST if flags & RST else kind, "203.0.113.2", at_s, ttl, ip_id=ip_id, tcp=header)


OPENED = segment(SYN | ACK, 1000, 0.05, window=65160, options=(TcpOption("mss", 1460), STAMPS))
ACKED = segment(ACK, 1001, 0.1, ip_id=500, window=509, options=(STAMPS,))
MORE = segment(ACK, 1001, 0.101, ip_id=501, window=509, options=(STAMPS,), length=100)
ACTIVE = segment(RST | ACK, 1001, 0.11, ip_id=501, window=509, options=(STAMPS,))
STATELESS = segment(RST, 1001, 0.11)


@pytest.mark.parametrize(
    "heard",
    [
        (OPENED, ACKED, ACTIVE),
        (OPENED, ACKED, STATELESS),
        (OPENED, segment(RST, 1001, 0.051)),
        (OPENED, ACKED, segment(FIN | ACK, 1001, 0.11, ip_id=501, window=509, options=(STAMPS,))),
        # Windows resets, and again behind the FIN that it answers.
        (
            segment(SYN | ACK, 1000, 0.27, ttl=111, ip_id=1),
            segment(RST | ACK, 1001, 3.6, ttl=111, ip_id=2),
            segment(RST, 1002, 3.9, ttl=111, ip_id=3),
        ),
        # What a reset overtook is older by its number.
        (OPENED, segment(RST | ACK, 1101, 0.1, ip_id=502, options=(STAMPS,)), MORE),
    ],
    ids=["of a connection", "of no connection", "at once", "FIN", "Windows", "overtaken"],
)
def test_what_servers_do_is_consistent(heard: tuple[Reply, ...]) -> None:
    """Kernels reset in several ways, none of which makes them a forger."""
    assert injected(heard) == Judged(Grade.CONSISTENT)


@pytest.mark.parametrize(
    ("heard", "mark"),
    [
        ((OPENED, ACTIVE, segment(ACK, 1001, 0.12, length=1400)), "goes_on"),
        ((segment(RST | ACK, 0, 0.02), OPENED), "goes_on"),
        ((OPENED, segment(RST | ACK, 1001, 0.11, ttl=124, options=(STAMPS,))), "elsewhere"),
        ((OPENED, segment(RST, 1001, 0.11, ttl=60)), "elsewhere"),
        ((OPENED, STATELESS, segment(RST, 1001, 0.12, ttl=240)), "disagree"),
        ((OPENED, STATELESS, segment(RST, 2461, 0.12), segment(RST, 5381, 0.12)), "guesses"),
    ],
)
def test_what_forgers_do_is_likely_forged(heard: tuple[Reply, ...], mark: str) -> None:
    """A strong mark is enough, and it is named first."""
    judged = injected(heard)
    assert judged.grade is Grade.LIKELY
    assert mark in judged.marks


@pytest.mark.parametrize(
    ("heard", "mark"),
    [
        ((OPENED, ACKED, segment(RST, 4000, 0.11)), "off"),
        ((OPENED, ACKED, segment(RST, 1001, 0.11, ttl=53)), "ttl"),
        ((OPENED, ACKED, segment(RST, 1001, 0.11, ttl=116)), "ttl"),
        ((OPENED, ACKED, MORE, segment(RST, 1101, 0.11, ip_id=40000)), "ip_id"),
        ((OPENED, ACKED, segment(RST, 1001, 0.11, window=1503)), "window"),
        ((OPENED, ACKED, segment(RST | ACK, 1001, 0.11)), "no_stamps"),
        ((OPENED, ACKED, segment(RST, 1001, 0.11, dont_fragment=False)), "fragmenting"),
    ],
)
def test_what_others_do_too_is_doubtful(heard: tuple[Reply, ...], mark: str) -> None:
    """Load balancers and proxies do this in front of honest servers."""
    assert injected(heard) == Judged(Grade.DOUBTFUL, (mark,))


def test_without_anything_to_compare_nobody_knows() -> None:
    """A lone reset, or no end at all, says nothing."""
    assert injected(()).grade is Grade.UNKNOWN
    assert injected((OPENED, ACKED)).grade is Grade.UNKNOWN
    assert injected((STATELESS,)).grade is Grade.UNKNOWN


def test_marks_have_one_name_each() -> None:
    """A name stands for one mark, and each says what it means."""
    marks = (*STRONG, *WEAK)
    assert len({mark.name for mark in marks}) == len(marks) == len({mark.sentence for mark in marks})


def test_of_a_flood_what_tells_is_kept() -> None:
    """Whoever sends a thousand segments fills no memory: the SYN-ACK, the last before the end, some ends stay."""
    heard = Heard()
    heard.add(OPENED)
    for at in range(1000):
        heard.add(segment(ACK, 1001 + at, 0.1 + at / 1e5, ip_id=at + 1, length=1))
    for at in range(1000):
        heard.add(segment(RST, 3000 + at, 0.2 + at / 1e5))
        heard.add(segment(ACK, 4000 + at, 0.2 + at / 1e5, length=1))
    assert len(heard.replies) < 20
    assert heard.replies[0] == OPENED
    assert [r.ip_id for r in heard.replies[1:3]] == [999, 1000]
    assert injected(heard.replies).grade is Grade.LIKELY


@pytest.mark.parametrize(
    ("arrived", "initial", "hops"),
    [(64, 64, 1), (52, 64, 13), (32, 32, 1), (20, 32, 13), (115, 128, 14), (243, 255, 13)],
)
def test_a_ttl_says_how_far(arrived: int, initial: int, hops: int) -> None:
    """The smallest usual initial TTL that fits is taken."""
    assert (initial_ttl(arrived), path_length(arrived)) == (initial, hops)


def test_cookies_show_in_all_answers_or_not_at_all() -> None:
    """Three different stamps that agree in six bits are a sign, fewer are chance, and so is a stamp that is the same."""

    def answers(*stamps: int) -> list[TcpHeader]:
        more = (TcpOption("mss", 1460), TcpOption("sack"), TcpOption("window_scale", 7))
        return [TcpHeader(SYN | ACK, 1, 1, 1, options=(*more, TcpOption("timestamps", stamp))) for stamp in stamps]

    assert cookie_signs(answers(0x1017, 0x2017, 0x3097)) == ("stamp_bits",)
    assert cookie_signs(answers(0x1017, 0x2017, 0x3098)) == ()
    assert cookie_signs(answers(0x1017, 0x2017)) == ()
    assert cookie_signs(answers(0x1017, 0x1017, 0x1017)) == ()
    assert cookie_signs([TcpHeader(SYN | ACK, 1, 1, 1, options=(TcpOption("mss", 1460),))]) == ("bare",)
    assert cookie_signs([]) == ()
