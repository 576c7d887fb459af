"""Large pages by two names: when they are asked for, how often, and what the network is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Handshaken, Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.port import Event, Request, Usage
from netprobe.probing.run import run
from netprobe.probing.speed import LARGE, ROUNDS, compare_by_name, drags, scrambled

NAME, ADDRESS = "www.tiktok.com", "192.0.2.1"
OTHER_NAME, OTHER_ADDRESS = "v16.tiktokcdn.com", "192.0.2.2"
EDGES = (Edge(ADDRESS, NAME, "web", "akamai", "", "/"), Edge(OTHER_ADDRESS, OTHER_NAME, "video", "fastly"))
CONTROLS = [(Control("www.wikipedia.org", "wikimedia", large_path="/"), "192.0.2.9")]


def answered(asked: Fetch, took_s: float, size: int = LARGE) -> Response:
    """A page of `size` bytes that came evenly in `took_s`."""
    error, quiet = ("timeout", 0.1) if took_s >= asked.handshake.timeout_s else ("", None)
    curve = tuple((took_s * part / 10, size * part // 10) for part in range(1, 11))
    shaken = Handshaken(asked.handshake, "done", connect_s=0.02, tls_s=0.03)
    return Response(asked, shaken, 200, error, 0.05, arrived_bytes=size, quiet_s=quiet, curve=curve)


class Servers:
    """A vantage whose servers answer by the name that they are asked with, in so many seconds."""

    def __init__(self, named_s: float, other_s: float) -> None:
        self.took = {True: named_s, False: other_s}
        self.asked: list[Fetch] = []
        self.events: list[Event] = []
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def send(self, request: Request) -> int:
        assert isinstance(request, Fetch)
        self.asked.append(request)
        listed = request.handshake.server_name.endswith(("tiktok.com", "tiktokcdn.com"))
        outcome = answered(request, self.took[listed])
        self.events.append(Event(len(self.asked), self.at, outcome))
        return len(self.asked)

    def receive(self, until: float) -> Event | None:
        del until
        self.at += 1.0
        return self.events.pop(0) if self.events else None

    def usage(self) -> Usage:
        return Usage(0, 0)


def fetched(took_s: float) -> list[Observation]:
    """What the survey has seen of the platform and of a control."""
    found = [
        Observation(1.0, "edge.fetch", e.name, answered(Fetch(Handshake(e.address, 443, e.name)), took_s))
        for e in EDGES
    ]
    control = Fetch(Handshake("192.0.2.9", 443, "www.wikipedia.org"))
    return [*found, Observation(1.0, "control.fetch", "www.wikipedia.org", answered(control, 0.1))]


def asked(servers: Servers, took_s: float, **more: Any) -> list[Observation]:
    """Ask these servers."""
    return run(compare_by_name(fetched(took_s), EDGES, CONTROLS, **more), servers)


def test_a_quick_platform_is_left_alone() -> None:
    """Nothing is asked of it, unless the user finds it slow."""
    servers = Servers(0.2, 0.2)
    assert asked(servers, 0.2) == []
    assert [o.purpose for o in asked(servers, 0.2, wanted=True)] == ["edge.speed", "edge.speed.other", "control.speed"]


def test_a_pair_without_a_difference_stays_alone() -> None:
    """What is as slow by any name is not asked for again."""
    servers = Servers(5.0, 5.0)
    assert len(asked(servers, 5.0)) == 3


def test_a_difference_is_looked_at_again() -> None:
    """Three pairs, of one address and one page, whose requests differ in the handshake's name alone."""
    servers = Servers(5.0, 0.1)
    assert len(asked(servers, 5.0)) == 2 * ROUNDS + 1
    pairs = servers.asked[: 2 * ROUNDS]
    assert {(f.handshake.address, f.path, f.host) for f in pairs} == {(ADDRESS, "/", NAME)}
    assert {f.handshake.server_name for f in pairs} == {NAME, scrambled(NAME)}
    assert sum(f.body_limit for f in servers.asked) <= 0.92e6


def test_a_scrambled_name_is_as_long_and_another() -> None:
    """Nothing of it is on a list."""
    assert scrambled(NAME) == "jjj.gvxgbx.com"
    assert scrambled("p16-sign-va.tiktokcdn.com") == "c61-fvta-in.gvxgbxpqa.com"


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}", fullmatch=True))
def test_scrambling_twice_gives_the_name_again(name: str) -> None:
    """It loses nothing and keeps every length."""
    assert scrambled(scrambled(name)) == name
    assert [len(label) for label in scrambled(name).split(".")] == [len(label) for label in name.split(".")]


@pytest.mark.parametrize(
    ("phase", "tls_s", "error", "slow"),
    [
        ("connect", None, "timeout", False),
        ("tls", None, "timeout", True),
        ("done", 3.0, "", True),
        ("done", 0.1, "", False),
    ],
)
def test_what_never_connected_is_not_slow(phase: str, tls_s: float | None, error: str, slow: bool) -> None:  # noqa: FBT001
    """Silence is another matter."""
    shaking = Handshake(ADDRESS)
    shaken = Handshaken(shaking, phase, error, tls_s=tls_s)
    assert drags(Response(Fetch(shaking), shaken)) is slow
