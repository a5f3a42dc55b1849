"""Jobs as rows of SQLite, and queries as SQL."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tilepipe_hub.job import Job, Lease, Progress, Request, Status, clean, words_of
from tilepipe_hub.store.protocol import Query

__all__ = ["BRIEF", "SCHEMAS", "job_of", "row_of", "select", "words_of_job"]

# The request comes last, so that reading the others skips the pages on which a long one lies.
JOBS = """
CREATE TABLE jobs (
    id TEXT NOT NULL UNIQUE, process TEXT NOT NULL, owner TEXT NOT NULL, title TEXT NOT NULL, labels TEXT NOT NULL,
    key TEXT, continues TEXT, status TEXT NOT NULL, message TEXT NOT NULL,
    percent INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER, failed INTEGER NOT NULL, rate REAL, eta_s REAL,
    created REAL NOT NULL, updated REAL NOT NULL, started REAL, finished REAL,
    worker TEXT, number INTEGER NOT NULL, until REAL, attempts INTEGER NOT NULL, expires REAL,
    problem TEXT, results TEXT, request TEXT NOT NULL
);
CREATE INDEX jobs_created ON jobs (created, id);
CREATE INDEX jobs_status ON jobs (status, created, id);
CREATE INDEX jobs_process ON jobs (process, created, id);
CREATE INDEX jobs_owner ON jobs (owner, created, id);
CREATE INDEX jobs_status_owner ON jobs (status, owner, created, id);
CREATE INDEX jobs_lease ON jobs (until) WHERE status = 'running';
CREATE INDEX jobs_expires ON jobs (expires) WHERE expires IS NOT NULL;
CREATE UNIQUE INDEX jobs_key ON jobs (owner, key) WHERE key IS NOT NULL;
CREATE TABLE words (
    word TEXT NOT NULL, created REAL NOT NULL, id TEXT NOT NULL, PRIMARY KEY (word, created, id)
) WITHOUT ROWID;
CREATE TABLE logs (
    id TEXT NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL, text TEXT NOT NULL, PRIMARY KEY (id, number)
) WITHOUT ROWID;
"""

# Calls are few and soon gone: beside the jobs they cost those nothing that have none.
CALLS = """
CREATE TABLE calls (id TEXT NOT NULL PRIMARY KEY, due REAL NOT NULL, tries INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX calls_due ON calls (due);
"""

SCHEMAS = (JOBS, CALLS)
"""What each version of the tables adds to the one before."""

BRIEF = (
    "id, process, owner, title, labels, key, continues, status, message, percent, done, total, failed, rate, eta_s, "
    "created, updated, started, finished, worker, number, until, attempts, expires"
)
"""The columns of a job in a list."""


def row_of(job: Job) -> dict[str, Any]:
    """A value for each column."""
    return {
        "id": job.id,
        "process": job.process,
        "owner": job.owner,
        "title": clean(job.title),
        "labels": json.dumps(job.labels),
        "key": job.key,
        "continues": job.continues,
        "status": job.status,
        "message": clean(job.message),
        **asdict(job.progress),
        "created": job.created,
        "updated": job.updated,
        "started": job.started,
        "finished": job.finished,
        "worker": job.lease.worker if job.lease else None,
        "number": job.number,
        "until": job.lease.until if job.lease else None,
        "attempts": job.attempts,
        "expires": job.expires,
        "problem": None if job.problem is None else json.dumps(job.problem),
        "results": None if job.results is None else json.dumps(job.results),
        "request": job.request.text(),
    }


def job_of(row: Mapping[str, Any]) -> Job:
    """The job of a row; a brief one has no request, problem and results."""
    plain = ("id", "process", "owner", "title", "key", "continues", "status", "message", "attempts")
    times = ("created", "updated", "started", "finished", "expires")
    figures = ("percent", "done", "total", "failed", "rate", "eta_s")
    held = row["worker"] is not None
    texts = {name: json.loads(row[name]) for name in ("problem", "results") if row.get(name)}
    return Job(
        **{name: row[name] for name in (*plain, *times)},
        **texts,
        request=Request(**json.loads(row["request"])) if "request" in row else Request(),
        labels=tuple(json.loads(row["labels"])),
        progress=Progress(**{name: row[name] for name in figures}),
        lease=Lease(worker=row["worker"], number=row["number"], until=row["until"]) if held else None,
    )


def words_of_job(job: Job) -> tuple[str, ...]:
    """The words by which a job is found."""
    return words_of(job.id, job.process, job.title, *job.labels)


def select(query: Query, status: Status | None, *, now: float) -> tuple[str, dict[str, Any]]:
    """A SELECT for the jobs of one status, or of any, the newest first, one more than asked for.

    Each order it asks for is that of an index, so that nothing is sorted.
    """
    words = words_of(query.text)
    table = "words" if words else "jobs"
    values: dict[str, Any] = {"now": now, "limit": query.limit + 1}
    where = list(_conditions(query, status, table, values))
    for index, word in enumerate(words):
        values[f"word{index}"] = word
        where.append(
            "words.word = :word0"
            if index == 0
            else f"EXISTS (SELECT 1 FROM words AS other WHERE (other.word, other.created, other.id)"  # noqa: S608
            f" = (:word{index}, words.created, words.id))"
        )
    columns = ", ".join(f"jobs.{column}" for column in BRIEF.split(", "))
    # CROSS JOIN keeps SQLite from turning the two tables round.
    source = "words CROSS JOIN jobs USING (id)" if words else "jobs"
    statement = (
        f"SELECT {columns} FROM {source} WHERE {' AND '.join(where) or '1'} "  # noqa: S608
        f"ORDER BY {table}.created DESC, {table}.id DESC LIMIT :limit"
    )
    return statement, values


def _conditions(query: Query, status: Status | None, table: str, values: dict[str, Any]) -> list[str]:
    where = []
    if status is not None:
        values["status"] = status
        where.append("jobs.status = :status")
    if len(query.processes) == 1:
        values["process"] = next(iter(query.processes))
        where.append("jobs.process = :process")
    elif query.processes:
        values["processes"] = json.dumps(sorted(query.processes))
        # The plus keeps this from an index that would not give the order.
        where.append("+jobs.process IN (SELECT value FROM json_each(:processes))")
    for name, condition in (
        ("owner", "jobs.owner = :owner"),
        ("created_from", f"{table}.created >= :created_from"),
        ("created_to", f"{table}.created <= :created_to"),
        ("min_duration_s", "ifnull(jobs.finished, :now) - jobs.started >= :min_duration_s"),
        ("max_duration_s", "ifnull(jobs.finished, :now) - jobs.started <= :max_duration_s"),
    ):
        value = getattr(query, name)
        if value is not None:
            values[name] = value
            where.append(condition)
    if query.min_duration_s is not None or query.max_duration_s is not None:
        where.append("+jobs.status != 'accepted'")
    if query.after:
        values["created"], values["id"] = query.after
        where.append(f"({table}.created, {table}.id) < (:created, :id)")
    return where
