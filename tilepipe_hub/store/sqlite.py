"""Jobs in a file of SQLite, for any number of processes on one host: the store that needs no server."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from heapq import merge
from itertools import islice
from queue import Empty, LifoQueue
from typing import Any, Self

from tilepipe_hub.errors import MoveRefused, NoSuchJob, QuotaReached, StoreError
from tilepipe_hub.job import ENDED, STATUSES, End, Job, Progress, Status, beaten, claimed, clean, moved
from tilepipe_hub.store.patience import patiently
from tilepipe_hub.store.protocol import LINE_CHARS, Call, Cursor, Line, Page, Query, Signal
from tilepipe_hub.store.rows import SCHEMAS, job_of, row_of, select, words_of_job

__all__ = ["SqliteStore"]

# Owners are found by skipping through the index, not by reading every waiting job.
NEXT = """
WITH RECURSIVE waiting (owner) AS (
    SELECT min(owner) FROM jobs WHERE status = 'accepted'
    UNION ALL
    SELECT (SELECT min(owner) FROM jobs WHERE status = 'accepted' AND owner > waiting.owner)
    FROM waiting WHERE waiting.owner IS NOT NULL
), oldest (owner, created) AS (
    SELECT owner, (SELECT min(created) FROM jobs WHERE status = 'accepted' AND jobs.owner = waiting.owner)
    FROM waiting WHERE waiting.owner IS NOT NULL
)
SELECT jobs.* FROM jobs WHERE status = 'accepted' AND owner = (
    SELECT owner FROM oldest ORDER BY
    (SELECT count(*) FROM jobs WHERE status = 'running' AND jobs.owner = oldest.owner), created LIMIT 1
) ORDER BY created, id LIMIT 1
"""
ACTIVE = "SELECT count(*) AS it FROM jobs WHERE status IN ('accepted', 'running') AND owner = ?"
FIGURES = ("percent", "done", "total", "failed", "rate", "eta_s")
DUE = "SELECT * FROM calls WHERE due <= ? ORDER BY due LIMIT 1"
SILENT = "SELECT * FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND until < ? ORDER BY until LIMIT 1"


class SqliteStore:
    """Satisfies `Store`. Its clock is the host's."""

    def __init__(
        self, path: str, *, keep_s: float | None, patience_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = os.path.abspath(path)
        self._keep_s = keep_s
        self._patience_s = patience_s
        self._clock = clock
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        # SQLite makes waiting writers sleep and look again; those of one process can simply queue.
        self._writing = threading.Lock()

    def prepare(self) -> Self:
        """Make the file and its tables where they are missing.

        Raises:
            StoreError: if the file cannot be made, or holds something else.
        """
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot make the folder for the jobs: {error}; name another one") from error
        # SQLite does not wait for others while it changes the journal of a new file.
        patiently(self._use_wal, passing=(StoreError,), place=self._path, for_s=min(self._patience_s, 5))
        with self._writes() as db:
            version = db.execute("PRAGMA user_version").fetchone()["user_version"]
            used = db.execute("SELECT 1 FROM sqlite_master").fetchone()
            newest = len(SCHEMAS)
            if version > newest or (version == 0 and used):
                raise StoreError(
                    f"{self._path}: holds tables of version {version}, this hub writes version {newest}; "
                    "name another file, or use the hub that made it"
                )
            if version < newest:
                for statement in "".join(SCHEMAS[version:]).split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {newest}")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def add(self, job: Job, *, most: int | None = None) -> Job:
        with self._writes() as db:
            found = db.execute(
                "SELECT * FROM jobs WHERE id = ? OR (owner = ? AND key = ?)", (job.id, job.owner, job.key)
            ).fetchone()
            if found:
                return job_of(found)
            if most is not None and db.execute(ACTIVE, (job.owner,)).fetchone()["it"] >= most:
                raise QuotaReached(most)
            now = self._now()
            kept = replace(job, status="accepted", created=now, updated=now)
            row = row_of(kept)
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", row)  # noqa: S608
            db.executemany("INSERT INTO words VALUES (?, ?, ?)", [(word, now, job.id) for word in words_of_job(kept)])
            return _job(db, job.id)

    def get(self, job_id: str) -> Job:
        with self._reads() as db:
            return _job(db, job_id)

    def keyed(self, owner: str, key: str) -> Job | None:
        with self._reads() as db:
            row = db.execute("SELECT * FROM jobs WHERE owner = ? AND key = ?", (owner, key)).fetchone()
            return job_of(row) if row else None

    def find(self, query: Query) -> Page:
        if query.types and "process" not in query.types:
            return Page((), None)
        pages = []
        with self._reads() as db:
            db.execute("BEGIN")
            for status in query.statuses or (None,):
                statement, values = select(query, status, now=self._now())
                pages.append([job_of(row) for row in db.execute(statement, values)])
            db.execute("COMMIT")
        newest = merge(*pages, key=lambda job: (job.created, job.id), reverse=True)
        jobs = tuple(islice(newest, query.limit + 1))
        shown = jobs[: query.limit]
        more = len(jobs) > len(shown) > 0
        return Page(shown, Cursor(shown[-1].created, shown[-1].id) if more else None)

    def move(
        self, job_id: str, to: Status, *, expect: Collection[Status], number: int | None = None, end: End | None = None
    ) -> Job:
        with self._writes() as db:
            now = self._now()
            job = moved(_job(db, job_id), to, expect=expect, now=now, number=number, end=end)
            if job.ended and self._keep_s is not None:
                job = replace(job, expires=now + self._keep_s)
            names = ("status", "message", "updated", "finished", "until", "expires", "problem", "results")
            if job.request.link_for(job.status):
                db.execute("INSERT INTO calls VALUES (?, ?, 0)", (job.id, now))
            return _write(db, job, (*names, *FIGURES))

    def claim(self, worker: str, *, lease_s: float) -> Job | None:
        with self._writes() as db:
            now = self._now()
            row = db.execute(SILENT, (now,)).fetchone() or db.execute(NEXT).fetchone()
            if row is None:
                return None
            job = claimed(job_of(row), worker, now=now, lease_s=lease_s)
            return _write(db, job, ("status", "started", "updated", "worker", "number", "until", "attempts"))

    def beat(
        self,
        job_id: str,
        *,
        number: int,
        lease_s: float,
        progress: Progress | None = None,
        message: str | None = None,
    ) -> Signal:
        with self._writes() as db:
            try:
                job = _job(db, job_id)
                if job.number == number and job.status == "dismissed":
                    return "stop"
                job = beaten(job, number=number, now=self._now(), lease_s=lease_s, progress=progress, message=message)
            except (NoSuchJob, MoveRefused):
                return "lost"
            _write(db, job, ("until", "updated", "message", *FIGURES))
            return "continue"

    def take_call(self, *, lease_s: float) -> Call | None:
        # Whoever only looks keeps nobody from writing.
        with self._reads() as db:
            if db.execute(DUE, (self._now(),)).fetchone() is None:
                return None
        with self._writes() as db:
            now = self._now()
            row = db.execute(DUE, (now,)).fetchone()
            if row is None:
                return None
            tries = row["tries"] + 1
            db.execute("UPDATE calls SET due = ?, tries = ? WHERE id = ?", (now + lease_s, tries, row["id"]))
            return Call(_job(db, row["id"]), tries)

    def retry_call(self, job_id: str, *, tries: int, after_s: float) -> None:
        with self._writes() as db:
            due = self._now() + after_s
            db.execute("UPDATE calls SET due = ? WHERE id = ? AND tries = ?", (due, job_id, tries))

    def end_call(self, job_id: str) -> None:
        with self._writes() as db:
            db.execute("DELETE FROM calls WHERE id = ?", (job_id,))

    def log(self, job_id: str, lines: Sequence[str]) -> None:
        with self._writes() as db:
            _job(db, job_id)
            last = db.execute("SELECT ifnull(max(number), 0) AS it FROM logs WHERE id = ?", (job_id,)).fetchone()["it"]
            now = self._now()
            rows = [(job_id, number, now, clean(line)[:LINE_CHARS]) for number, line in enumerate(lines, last + 1)]
            db.executemany("INSERT INTO logs VALUES (?, ?, ?, ?)", rows)

    def logs(self, job_id: str, *, after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        statement = "SELECT number, time, text FROM logs WHERE id = ? AND number > ? ORDER BY number LIMIT ?"
        with self._reads() as db:
            return tuple(Line(*row.values()) for row in db.execute(statement, (job_id, after, limit)))

    def counts(self, owner: str | None = None) -> Mapping[Status, int]:
        everyone = "SELECT count(*) AS it FROM jobs WHERE status = :status"
        statement = everyone if owner is None else f"{everyone} AND owner = :owner"
        with self._reads() as db:
            return {
                status: db.execute(statement, {"status": status, "owner": owner}).fetchone()["it"]
                for status in STATUSES
            }

    def remove(self, job_id: str) -> bool:
        with self._writes() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None or row["status"] not in ENDED:
                return False
            _forget(db, job_of(row))
            return True

    def expire(self, limit: int = 100) -> tuple[str, ...]:
        with self._writes() as db:
            rows = db.execute("SELECT * FROM jobs WHERE expires <= ? LIMIT ?", (self._now(), limit)).fetchall()
            for row in rows:
                _forget(db, job_of(row))
            return tuple(row["id"] for row in rows)

    def _use_wal(self, _failed: int) -> None:
        with self._reads() as db:
            db.execute("PRAGMA journal_mode = WAL")

    def _now(self) -> float:
        return round(self._clock(), 3)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=self._patience_s, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        db.row_factory = _row
        # What was promised stays, also when the power fails.
        db.execute("PRAGMA synchronous = FULL")
        return db

    @contextmanager
    def _reads(self) -> Iterator[sqlite3.Connection]:
        """A connection for this caller alone; what it has begun and not ended is undone."""
        try:
            try:
                db = self._idle.get_nowait()
            except Empty:
                db = self._connect()
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._idle.put(db)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: the jobs cannot be read or kept: {error}; check that the file is one of the hub's, "
                "that the disk is not full, and that no other program holds it"
            ) from error

    @contextmanager
    def _writes(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and one at a time."""
        with self._writing, self._reads() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _job(db: sqlite3.Connection, job_id: str) -> Job:
    row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NoSuchJob(job_id)
    return job_of(row)


def _write(db: sqlite3.Connection, job: Job, names: Sequence[str]) -> Job:
    """Write some columns of a job."""
    row = row_of(job)
    changes = ", ".join(f"{name} = :{name}" for name in names)
    db.execute(f"UPDATE jobs SET {changes} WHERE id = :id", row)  # noqa: S608
    return job


def _forget(db: sqlite3.Connection, job: Job) -> None:
    db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
    db.execute("DELETE FROM logs WHERE id = ?", (job.id,))
    db.execute("DELETE FROM calls WHERE id = ?", (job.id,))
    words = [(word, job.created, job.id) for word in words_of_job(job)]
    db.executemany("DELETE FROM words WHERE (word, created, id) = (?, ?, ?)", words)
