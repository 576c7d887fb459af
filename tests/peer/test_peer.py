"""Simulation files of a peer's format, with real packets, each once: our tracer sees what they say.

NETPROBE_SIMULATIONS names more folders or files, with colons between them as in PATH: they are run, too.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from netprobe.model.probes import Path as Seen
from netprobe.model.record import from_json
from netprobe.sim.namespaces import own_environment
from tests.peer.compare import differences
from tests.peer.inside import Measured
from tests.peer.simulation import Hop, Ports, Simulation, read

HERE = Path(__file__).parent
CASES = HERE / "cases"
FORMS = {".yaml", ".yml", ".toml"}

pytestmark = pytest.mark.packets


def wanted() -> list[Path]:
    """Our folder, and those that are asked for."""
    return [CASES, *map(Path, filter(None, os.environ.get("NETPROBE_SIMULATIONS", "").split(os.pathsep)))]


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """Our interpreter, with this package, for what makes a network namespace."""
    return subprocess.run(
        [sys.executable, *words], env=own_environment(), capture_output=True, text=True, timeout=110, check=False
    )


@pytest.mark.parametrize("path", wanted(), ids=str)
def test_the_tracer_sees_what_the_files_say(path: Path) -> None:
    """Hop by hop: addresses, silence, kinds of replies, times and marks; the probes are as each wants. One run each."""
    files = sorted(one for one in path.iterdir() if one.suffix in FORMS) if path.is_dir() else [path]
    done = python("-m", "tests.peer", *map(str, files))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") >= len(files) > 0


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return read(CASES / "gaps.yaml")


@pytest.fixture(scope="module")
def measured() -> Measured:
    """What is seen and sent in the network of `simulation`."""
    program = (
        "import sys, pathlib; from tests.peer.inside import measure; from tests.peer.simulation import read;"
        "from netprobe.model.record import to_json;"
        "sys.stdout.buffer.write(to_json(measure(read(pathlib.Path(sys.argv[1])))))"
    )
    done = python("-c", program, str(CASES / "gaps.yaml"))
    assert done.returncode == 0, done.stderr
    return from_json(done.stdout, Measured)


def hop(simulation: Simulation, ttl: int, changed: Hop) -> Simulation:
    return simulation._replace(hops=tuple(changed if one.ttl == ttl else one for one in simulation.hops))


LIES: dict[str, tuple[Callable[[Simulation], Simulation], str]] = {
    "another address": (lambda s: hop(s, 2, Hop(2, "198.51.100.77", 8)), "ttl 2: 198.51.100.2 answered"),
    "a hop that is not silent": (lambda s: hop(s, 3, Hop(3, "198.51.100.3", 8)), "ttl 3: nobody answered"),
    "a silent hop": (lambda s: hop(s, 5, Hop(5)), "ttl 5: 198.51.100.5 answered"),
    "a slower hop": (lambda s: hop(s, 5, Hop(5, "198.51.100.5", 40)), "ttl 5: round trip 1"),
    "one hop less": (lambda s: s._replace(hops=(*s.hops[:6], Hop(7, s.target, 20))), "ttl 7: nobody answered"),
    "one hop more": (lambda s: s._replace(hops=(*s.hops[:7], Hop(8), Hop(9, s.target, 20))), "hops at [1, 2, 3"),
    "a target that is silent": (lambda s: hop(s, 8, Hop(8)), "the target was reached"),
    "a TOS": (lambda s: s._replace(tos=4), "TOS 0 was quoted, and it says 4"),
    "an identifier": (lambda s: s._replace(identifier=4661), "identifier 4660, and it says 4661"),
    "a sequence": (lambda s: s._replace(initial_sequence=33435), "number 33434, and counted from 33435"),
    "a size": (lambda s: s._replace(size=39), "38 bytes, and it says 39"),
    "a filling": (lambda s: s._replace(size=38, pattern=7), ""),
    "fewer TTLs": (lambda s: s._replace(first_ttl=2), "hops at [1, 2, 3"),
    "more rounds": (lambda s: s._replace(rounds=2), "1 rounds were made of 2"),
    "ports": (lambda s: s._replace(ports=Ports(5, 6)), "source port 4660, and it says 5"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_so_is_told(simulation: Simulation, measured: Measured, lie: str) -> None:
    """A file that says something else of the same network differs, by the words that name it."""
    assert list(differences(simulation, measured.paths, measured.seen)) == []
    change, words = LIES[lie]
    told = list(differences(change(simulation), measured.paths, measured.seen))
    assert any(words in one for one in told) if words else not told, told


def test_broken_packets_and_second_replies_are_told(simulation: Simulation, measured: Measured) -> None:
    """A wrong checksum of a probe, an answer that came twice, and one that came too late."""
    broken = [msgspec.structs.replace(measured.seen[0], sound=False), *measured.seen[1:]]
    assert "probe 1 (ttl 64): lengths or checksums are wrong" in list(differences(simulation, measured.paths, broken))
    (path,) = measured.paths
    (exchange,) = path.hops[0].exchanges
    assert exchange.reply is not None
    twice = changed(path, msgspec.structs.replace(exchange, later=(exchange.reply,)))
    assert any("2 replies to one probe" in one for one in differences(simulation, [twice], measured.seen))
    late = changed(path, msgspec.structs.replace(exchange, reply=msgspec.structs.replace(exchange.reply, rtt_s=2.0)))
    assert any("round trip 2000.000 ms" in one for one in differences(simulation, [late], measured.seen))


def test_a_network_that_was_late_itself_is_no_difference(simulation: Simulation, measured: Measured) -> None:
    """What took probes late, because others kept the processor, lengthens round trips by that much and no more."""
    (path,) = measured.paths
    (exchange,) = path.hops[0].exchanges
    assert exchange.reply is not None
    slow = msgspec.structs.replace(exchange.reply, rtt_s=exchange.reply.rtt_s + 0.3)
    slower = changed(path, msgspec.structs.replace(exchange, reply=slow))
    assert list(differences(simulation, [slower], measured.seen)) != []
    late = [msgspec.structs.replace(one, at_s=one.at_s + 0.3 * (one.ttl == 1)) for one in measured.seen]
    assert list(differences(simulation, [slower], late)) == []


def changed(path: Seen, first: object) -> Seen:
    """`path` with another exchange at its first hop."""
    hops = (msgspec.structs.replace(path.hops[0], exchanges=(first,)), *path.hops[1:])
    return msgspec.structs.replace(path, hops=hops)
