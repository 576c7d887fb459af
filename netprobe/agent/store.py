"""The agent's records: rounds and incidents in one SQLite file, written by one process, read by any.

Every round is kept as its whole report, JSON compressed with zlib, beside the few columns that lists and plots need.
The version of the schema is in user_version; `_MIGRATIONS` leads from each to the next. A file that SQLite finds
damaged is kept aside and a new one begun: an agent must go on.
"""

import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from netprobe.diagnosis.incidents import Track
from netprobe.model.record import Record, from_json, to_json
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Component
from netprobe.report.latency import latencies

FILE = "netprobe.db"
_DAY_S = 86400.0
_LARGEST_REPORT = 64 * 1024 * 1024  # a damaged row must not fill the memory when it is unpacked

_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE round (
        id INTEGER PRIMARY KEY,
        taken_s REAL NOT NULL,
        component TEXT NOT NULL,
        cause TEXT NOT NULL,
        probability REAL NOT NULL,
        sentence TEXT NOT NULL,
        latencies TEXT NOT NULL,
        report BLOB NOT NULL
    ) STRICT;
    CREATE INDEX round_taken ON round (taken_s);
    CREATE TABLE incident (
        id INTEGER PRIMARY KEY,
        component TEXT NOT NULL,
        cause TEXT NOT NULL,
        sentence TEXT NOT NULL,
        began_s REAL NOT NULL,
        ended_s REAL,
        rounds INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE memory (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    """,
)


class StoreError(Exception):
    """The records cannot be used; the message says which file and what to do."""


class Round(Record, frozen=True):
    """What lists and plots need of one round. `latencies` are medians in seconds, by report.latency.SERIES."""

    id: int
    taken_s: float
    component: Component
    cause: str
    probability: float
    sentence: str
    latencies: dict[str, float]


class Store:
    """The records in one folder. `Store.write` opens them for the one writer, `Store.read` for a reader."""

    def __init__(self, database: sqlite3.Connection, path: Path, lock: int | None = None, put_aside: str = "") -> None:
        self._database = database
        self._path = path
        self._lock = lock
        #: Where a damaged file was put when this one was begun; empty if there was none.
        self.put_aside = put_aside

    @classmethod
    def write(cls, folder: Path) -> Self:
        """Open or begin the records in `folder` as their only writer. Raises `StoreError`."""
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            msg = f"{folder}: cannot keep records there: {error.strerror}; give --state a folder that can be written"
            raise StoreError(msg) from None
        try:
            _only_writer(lock, folder)
            try:
                return cls(_open(path), path, lock)
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                aside = _put_aside(path)
                return cls(_open(path), path, lock, aside)
        except sqlite3.Error as error:
            os.close(lock)
            raise _told(path, error) from None
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the records in `folder` for reading. Raises `StoreError`."""
        path = folder / FILE
        if not path.is_file():
            msg = f'{path}: no records yet; "netprobe agent --state {folder}" makes them'
            raise StoreError(msg)
        try:
            database = sqlite3.connect(path, isolation_level=None, timeout=10)
            database.execute("PRAGMA query_only = 1")
            version = _version(database)
        except sqlite3.Error as error:
            raise _told(path, error) from None
        if version != len(_MIGRATIONS):
            database.close()
            msg = f"{path}: has records of version {version}, this netprobe reads version {len(_MIGRATIONS)}"
            raise StoreError(msg)
        return cls(database, path)

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)

    def __enter__(self) -> Self:
        """The store itself: it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def add(self, report: Report, track: Track, incidents: Sequence[Incident]) -> None:
        """Keep a round, what is remembered for the next, and the incidents that it touched; all or nothing."""
        verdict = report.verdict
        row = (
            report.taken_s,
            verdict.component.value,
            verdict.cause,
            verdict.probability,
            verdict.sentence,
            to_json(latencies(report)).decode(),
            zlib.compress(to_json(report), 6),
        )
        with self._transaction():
            self._database.execute(
                "INSERT INTO round (taken_s, component, cause, probability, sentence, latencies, report)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?, ?, ?)",
                [msgspec.structs.astuple(incident) for incident in incidents],
            )
            self._database.execute("INSERT OR REPLACE INTO memory VALUES ('track', ?)", (to_json(track).decode(),))

    def prune(self, now_s: float, keep_days: float, keep_rounds: int) -> int:
        """Forget rounds older than `keep_days`, and the oldest beyond `keep_rounds`; how many. Incidents stay."""
        with self._transaction():
            gone = self._database.execute(
                "DELETE FROM round WHERE taken_s < ? OR id <= (SELECT max(id) FROM round) - ?",
                (now_s - keep_days * _DAY_S, keep_rounds),
            )
            return gone.rowcount

    def rounds(self, since_s: float = 0.0) -> Iterator[Round]:
        """All rounds since a time, oldest first."""
        columns = ", ".join(Round.__struct_fields__)
        for row in self._rows(f"SELECT {columns} FROM round WHERE taken_s >= ? ORDER BY taken_s, id", since_s):  # noqa: S608
            identity, taken_s, component, cause, probability, sentence, times = row
            yield Round(
                identity,
                taken_s,
                Component(component),
                cause,
                probability,
                sentence,
                from_json(times, dict[str, float]),
            )

    def latest(self) -> Report | None:
        """The last round's whole report."""
        return next(self._reports("SELECT report FROM round ORDER BY id DESC LIMIT 1"), None)

    def report_of(self, incident: Incident) -> Report | None:
        """The report of the incident's surest round that named its component."""
        ended_s = incident.ended_s if incident.ended_s is not None else float("inf")
        query = (
            "SELECT report FROM round WHERE component = ? AND taken_s BETWEEN ? AND ?"
            " ORDER BY cause = ? DESC, probability DESC LIMIT 1"
        )
        found = self._reports(query, incident.component.value, incident.began_s, ended_s, incident.cause)
        return next(found, None)

    def incidents(self, since_s: float = 0.0) -> list[Incident]:
        """Incidents that lasted at or after a time, oldest first."""
        query = "SELECT * FROM incident WHERE ended_s IS NULL OR ended_s >= ? ORDER BY began_s, id"
        return [msgspec.convert(row, Incident, strict=False) for row in map(_incident, self._rows(query, since_s))]

    def track(self) -> Track:
        """What the last round left to remember: an incident that was open stays open over a restart."""
        for (value,) in self._rows("SELECT value FROM memory WHERE key = 'track'"):
            return from_json(value, Track)
        return Track()

    def next_incident(self) -> int:
        """The number of the next incident that begins."""
        return next(self._rows("SELECT coalesce(max(id), 0) + 1 FROM incident"))[0]  # type: ignore[no-any-return]  # a row

    def _reports(self, query: str, *values: object) -> Iterator[Report]:
        for (packed,) in self._rows(query, *values):
            try:
                yield from_json(zlib.decompressobj().decompress(packed, _LARGEST_REPORT), Report)
            except (zlib.error, ValueError) as error:
                msg = f"{self._path}: a round cannot be read: {error}"
                raise StoreError(msg) from None

    def _rows(self, query: str, *values: object) -> Iterator[Any]:
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise _told(self._path, error) from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._database.in_transaction:  # SQLite itself has ended it when the disk is full
                    self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise _told(self._path, error) from None


def _incident(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(Incident.__struct_fields__, row, strict=True))


def _only_writer(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        msg = (
            f"{folder}: another agent (process {pid}) keeps its records there; stop it, or give --state another folder"
        )
        raise StoreError(msg) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        # Readers never block the writer; a power cut loses the last rounds at most, never the file.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            msg = "database disk image is malformed"
            raise sqlite3.DatabaseError(msg)  # noqa: TRY301 - the caller tells damage from the rest
        version = _version(database)
        if version > len(_MIGRATIONS):
            msg = f"{path}: has records of version {version}, newer than this netprobe; install the newer one again"
            raise StoreError(msg)  # noqa: TRY301 - the file is closed on the way out
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            database.executescript(f"BEGIN;{script}PRAGMA user_version = {number};COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _damaged(error: sqlite3.DatabaseError) -> bool:
    words = str(error)
    return "malformed" in words or "not a database" in words


def _put_aside(path: Path) -> str:
    """Rename a damaged file and what belongs to it; the new name."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(aside + suffix)
    return aside


def _told(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite says, for the user."""
    words = str(error)
    if "full" in words:
        return StoreError(f"{path}: the disk is full; make room, the agent goes on with the next round")
    if isinstance(error, sqlite3.DatabaseError) and _damaged(error):
        return StoreError(f'{path}: is damaged; "netprobe agent" puts it aside and begins a new one')
    if "readonly" in words or "unable to open" in words:
        return StoreError(f"{path}: cannot be opened; is the folder yours, and can it be written?")
    return StoreError(f"{path}: {words}")
