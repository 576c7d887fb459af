"""The agent's records."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from netprobe.agent.store import FILE, Store, StoreError
from netprobe.diagnosis.incidents import Track
from netprobe.model.record import to_json
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Component
from tests.report.samples import sample


def at(taken_s: float, scenario: str = "healthy") -> Report:
    """A report that was taken at a time."""
    return msgspec.structs.replace(sample(scenario), taken_s=taken_s)


INCIDENT = Incident(1, Component.ISP, "isp.core.blackhole", "It is down.", 200.0)


def test_a_round_comes_back_as_it_went_in(tmp_path: Path) -> None:
    """The whole report is kept, byte for byte, and lists get its columns."""
    with Store.write(tmp_path) as store:
        store.add(at(100.0, "isp-core-black-hole"), Track(), [])
    with Store.read(tmp_path) as store:
        latest = store.latest()
        (one,) = store.rounds()
    assert latest is not None
    assert to_json(latest) == to_json(at(100.0, "isp-core-black-hole"))
    assert (one.taken_s, one.component, one.cause) == (100.0, Component.ISP, latest.verdict.cause)
    assert 0 < one.latencies["gateway"] < 0.1


def test_rounds_are_compressed(tmp_path: Path) -> None:
    """A report takes less than a fifth of its JSON."""
    with Store.write(tmp_path) as store:
        store.add(at(1.0), Track(), [])
    (size,) = sqlite3.connect(tmp_path / FILE).execute("SELECT length(report) FROM round").fetchone()
    assert size < len(to_json(sample("healthy"))) / 5


def test_an_open_incident_survives_a_restart(tmp_path: Path) -> None:
    """What was open when the agent ended is open when it begins again, under its number."""
    with Store.write(tmp_path) as store:
        store.add(at(200.0, "isp-core-black-hole"), Track(INCIDENT), [INCIDENT])
    with Store.write(tmp_path) as store:
        assert store.track() == Track(INCIDENT)
        assert store.next_incident() == 2
        ended = msgspec.structs.replace(INCIDENT, ended_s=500.0, rounds=3)
        store.add(at(500.0), Track(), [ended])
        assert store.track() == Track()
    with Store.read(tmp_path) as store:
        assert store.incidents() == [ended]
        assert store.incidents(since_s=600.0) == []


def test_the_report_of_an_incident_is_one_that_blames_its_component(tmp_path: Path) -> None:
    """A page about an incident does not show the round that ended it."""
    ended = msgspec.structs.replace(INCIDENT, ended_s=300.0)
    with Store.write(tmp_path) as store:
        store.add(at(100.0), Track(), [])
        store.add(at(200.0, "isp-core-black-hole"), Track(INCIDENT), [INCIDENT])
        store.add(at(300.0), Track(), [ended])
        found = store.report_of(ended)
    assert found is not None
    assert (found.taken_s, found.verdict.component) == (200.0, Component.ISP)


def test_retention_is_bounded_in_days_and_in_rounds(tmp_path: Path) -> None:
    """Old rounds go, and the oldest beyond the bound; incidents stay."""
    day = 86400.0
    with Store.write(tmp_path) as store:
        for n in range(6):
            store.add(at(n * day), Track(), [INCIDENT])
        assert store.prune(5 * day, keep_days=3.5, keep_rounds=100) == 2
        assert store.prune(5 * day, keep_days=3.5, keep_rounds=2) == 2
        assert [one.taken_s for one in store.rounds()] == [4 * day, 5 * day]
        assert store.incidents() == [INCIDENT]


def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    """An agent goes on after a power cut that was worse than usual, and nothing is thrown away."""
    rubbish = b"SQLite format 3\0" + b"rubbish" * 1000
    (tmp_path / FILE).write_bytes(rubbish)
    with Store.write(tmp_path) as store:
        assert store.put_aside.startswith(str(tmp_path / FILE) + ".damaged-")
        assert Path(store.put_aside).read_bytes() == rubbish
        store.add(at(1.0), Track(), [])
        assert len(list(store.rounds())) == 1


def test_a_page_that_was_overwritten_is_noticed(tmp_path: Path) -> None:
    """Damage in the middle of a file is found when it is opened, not when a report is wanted."""
    with Store.write(tmp_path) as store:
        for n in range(20):
            store.add(at(float(n)), Track(), [])
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    data[4096 : 4096 * 3] = b"\xff" * 4096 * 2
    path.write_bytes(data)
    with Store.write(tmp_path) as store:
        assert store.put_aside


def test_there_is_one_writer(tmp_path: Path) -> None:
    """A second agent on the same folder is refused and told who the first is."""
    with Store.write(tmp_path), pytest.raises(StoreError, match=rf"another agent \(process {os.getpid()}\) keeps"):
        Store.write(tmp_path)
    Store.write(tmp_path).close()


def test_a_reader_sees_what_the_writer_has_written_so_far(tmp_path: Path) -> None:
    """Reports can be made while the agent runs."""
    with Store.write(tmp_path) as writer:
        writer.add(at(1.0), Track(), [])
        with Store.read(tmp_path) as reader:
            writer.add(at(2.0), Track(), [])
            assert [one.taken_s for one in reader.rounds()] == [1.0, 2.0]


def test_reading_what_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    """The message names the file and the command."""
    with pytest.raises(StoreError, match=r"netprobe.db: no records yet; \"netprobe agent --state .*\" makes them"):
        Store.read(tmp_path)


def test_records_of_a_newer_netprobe_are_left_alone(tmp_path: Path) -> None:
    """Neither a writer nor a reader touches a version that it does not know."""
    with Store.write(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="records of version 99, newer than this netprobe"):
        Store.write(tmp_path)
    with pytest.raises(StoreError, match="has records of version 99, this netprobe reads version"):
        Store.read(tmp_path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """The message names the folder and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot keep records there: Not a directory; give --state a folder"):
        Store.write(tmp_path / "file" / "state")


def test_a_full_disk_is_said_and_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """The round that did not fit is gone, those before it are not."""
    with Store.write(tmp_path) as store:
        store.add(at(1.0), Track(), [])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            for n in range(20):
                store.add(at(2.0 + n), Track(), [])

        with pytest.raises(StoreError, match="the disk is full; make room"):
            fill()
        assert next(store.rounds()).taken_s == 1.0


def test_a_killed_writer_leaves_records_that_can_be_opened(tmp_path: Path) -> None:
    """Whoever is killed while it writes leaves no lock and no damage."""
    program = (
        "import os, sys; from pathlib import Path; from netprobe.agent.store import Store;"
        "from netprobe.diagnosis.incidents import Track; from tests.report.samples import sample;"
        "store = Store.write(Path(sys.argv[1])); store.add(sample('healthy'), Track(), []);"
        "store._database.execute('BEGIN IMMEDIATE'); store._database.execute('DELETE FROM round'); os._exit(9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == 9
    with Store.write(tmp_path) as store:
        assert store.put_aside == ""
        assert len(list(store.rounds())) == 1
    shutil.rmtree(tmp_path)
