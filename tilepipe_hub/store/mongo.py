"""Jobs in MongoDB: the store for workers on many hosts.

Every change of a job is one atomic command that reads the server's clock, so neither the order of two callers nor
their clocks matter. It is acknowledged when it is in the journal of most members: a claim that a crash undid would hand
out its lease number twice.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar
from uuid import uuid4

from pymongo import IndexModel, MongoClient, ReturnDocument, WriteConcern
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError, WTimeoutError

from tilepipe_hub.errors import NoSuchJob, QuotaReached, StoreError
from tilepipe_hub.job import ENDED, MOVES, STATUSES, End, Job, Progress, Status, clean, moved
from tilepipe_hub.store.documents import (
    BRIEF,
    CALLED,
    DUE,
    INDEXES,
    NEED,
    SILENT,
    SORT,
    adding,
    beating,
    calling,
    claiming,
    index_of,
    job_of,
    later,
    matches,
    moving,
    seconds,
)
from tilepipe_hub.store.patience import patiently
from tilepipe_hub.store.protocol import LINE_CHARS, Call, Cursor, Line, Page, Query, Signal

__all__ = ["MongoStore"]

Result = TypeVar("Result")

ADDED = {"request": False, "words": False}
"""What does not come back of a job that is added: ids are never used twice, so its request is the one sent."""

PASSING = (ConnectionFailure, WTimeoutError)
SHORTEST_S, LONGEST_S = 10.0, 30.0
"""Between which a command may take; the longer the patience, the longer."""
OWNERS = 50
"""Among how many owners with equally few running jobs the oldest job is sought."""
LINES = 500
"""Lines of a log in one document."""


class MongoStore:
    """Satisfies `Store`."""

    def __init__(self, url: str, *, keep_s: float | None, patience_s: float) -> None:
        scheme, _, rest = url.partition("://")
        self._place = f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
        self._keep_s = keep_s
        self._patience_s = patience_s
        try:
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                url,
                tz_aware=True,
                appname="tilepipe-hub",
                connect=False,
                # The driver's own second try knows replica sets only, and trips over a server that has just restarted.
                retryWrites=False,
                serverSelectionTimeoutMS=round(1000 * min(2.0, patience_s)),
                connectTimeoutMS=5000,
                # A server that is frozen, or cut off, takes what is sent and says nothing.
                socketTimeoutMS=round(1000 * min(LONGEST_S, max(SHORTEST_S, patience_s))),
            )
            database = self._client.get_default_database("tilepipe")
        except (PyMongoError, ValueError):
            # What the error says may hold the password.
            raise StoreError(
                f"{self._place}: no address of a MongoDB; write mongodb://USER:PASSWORD@HOST:PORT/NAME, with signs "
                "other than letters and digits in user and password as %XX"
            ) from None
        safe = WriteConcern(w="majority", j=True)
        self._jobs = database.get_collection("jobs", write_concern=safe)
        # A sign of life that a crash undoes is followed by the next.
        self._beats = database.get_collection("jobs", write_concern=WriteConcern(w=1, j=False))
        self._logs = database.get_collection("logs", write_concern=safe)

    def prepare(self) -> Self:
        """Make the indexes that are missing."""
        jobs = [IndexModel(keys, name=name, **options) for name, (keys, options) in INDEXES.items()]
        logs = [
            IndexModel([("job", 1), ("first", 1)], name="first", unique=True),
            IndexModel([("job", 1), ("last", 1)], name="last"),
            IndexModel([("expires", 1)], name="expires", expireAfterSeconds=86_400),
        ]
        try:
            self._call(lambda _: (self._jobs.create_indexes(jobs), self._logs.create_indexes(logs)))
        except StoreError:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def add(self, job: Job, *, most: int | None = None) -> Job:
        own: list[dict[str, Any]] = [{"_id": job.id}]
        if job.key is not None:
            own.append({"owner": job.owner, "key": job.key})

        def call(_failed: int) -> Job | None:
            slot = None if most is None else self._free_slot(job.owner, most)
            if slot is None and most is not None:
                found = self._jobs.find_one({"$or": own})
                if found is None:
                    raise QuotaReached(most)
                return job_of(found)
            try:
                kept: dict[str, Any] | None = self._jobs.find_one_and_update(
                    own[0], adding(job, slot), ADDED, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:
                found = self._jobs.find_one({"$or": own})
                return job_of(found) if found else None
            return replace(job_of(kept), request=job.request) if kept else None

        # Another job had the key and is forgotten by now, or has just taken the slot.
        while (kept := self._call(call)) is None:
            pass
        return kept

    def get(self, job_id: str) -> Job:
        document = self._call(lambda _: self._jobs.find_one({"_id": job_id}))
        if document is None:
            raise NoSuchJob(job_id)
        return job_of(document)

    def keyed(self, owner: str, key: str) -> Job | None:
        document = self._call(lambda _: self._jobs.find_one({"owner": owner, "key": key}))
        return job_of(document) if document else None

    def find(self, query: Query) -> Page:
        if query.types and "process" not in query.types:
            return Page((), None)
        where, index = matches(query), index_of(query)
        rows = query.limit + 1
        found = self._call(lambda _: self._jobs.find(where, BRIEF, sort=SORT, limit=rows, hint=index).to_list())
        shown = tuple(job_of(document) for document in found[: query.limit])
        more = len(found) > len(shown) > 0
        return Page(shown, Cursor(shown[-1].created, shown[-1].id) if more else None)

    def move(
        self, job_id: str, to: Status, *, expect: Collection[Status], number: int | None = None, end: End | None = None
    ) -> Job:
        free = number is not None or to == "dismissed"
        sources = [status for status in expect if to in MOVES[status] and (free or status != "running")]
        where = {"_id": job_id, "status": {"$in": sources}} | ({} if number is None else {"number": number})
        change = moving(to, end, keep_s=self._keep_s)

        def call(failed: int) -> Job | None:
            after = self._jobs.find_one_and_update(where, change, return_document=ReturnDocument.AFTER)
            if after is None:
                found = self._jobs.find_one({"_id": job_id})
                if found is None:
                    raise NoSuchJob(job_id)
                job = job_of(found)
                if failed and job.status == to and number in {None, job.number}:
                    return job
                moved(job, to, expect=expect, now=job.updated, number=number, end=end)
                return None
            if "expires" in after:
                self._logs.update_many({"job": job_id}, {"$set": {"expires": after["expires"]}})
            return job_of(after)

        # Nothing was moved, and yet nothing speaks against it: it changed in between.
        while (job := self._call(call)) is None:
            pass
        return job

    def _free_slot(self, owner: str, most: int) -> int | None:
        """A number below *most* that no job of an owner has; None where as many of their jobs wait or run."""
        where = {"owner": owner, "status": {"$in": ["accepted", "running"]}}
        active = list(self._jobs.find(where, {"_id": False, "slot": True}))
        taken = {document["slot"] for document in active if "slot" in document}
        # Those that were added without a quota have none of the numbers, and leave as many fewer.
        numbers = range(most - len(active) + len(taken))
        free = set(numbers) - taken if len(active) < most else set()
        # At random, so that of those who ask at the same moment few come in each other's way.
        return random.choice(list(free)) if free else None  # noqa: S311

    def claim(self, worker: str, *, lease_s: float) -> Job | None:
        nonce = uuid4().hex
        change = claiming(worker, lease_s=lease_s, nonce=nonce)

        def take(where: Mapping[str, Any], sort: list[tuple[str, int]]) -> dict[str, Any] | None:
            return self._jobs.find_one_and_update(where, change, sort=sort, return_document=ReturnDocument.AFTER)

        def call(failed: int) -> Job | None:
            taken = self._jobs.find_one({"status": "running", "nonce": nonce}) if failed else None
            while taken is None:
                has_silent, owners = self._need()
                if has_silent:
                    taken = take(SILENT, [("until", 1)])
                elif owners:
                    one = {"owner": owners[0]} if len(owners) == 1 else {"owner": {"$in": owners}}
                    taken = take({"status": "accepted", **one}, [("created", 1), ("_id", 1)])
                else:
                    return None
            return job_of(taken)

        return self._call(call)

    def _need(self) -> tuple[bool, list[str]]:
        """Whether a worker is silent, and of the owners whose jobs wait those with the fewest running."""
        found = list(self._jobs.aggregate(NEED))
        waiting = sorted(row["_id"] for row in found if row["kind"] == "waiting")
        running = Counter({row["_id"]: row["count"] for row in found if row["kind"] == "running"})
        fewest = min((running[owner] for owner in waiting), default=0)
        owners = [owner for owner in waiting if running[owner] == fewest]
        return any(row["kind"] == "silent" for row in found), owners[:OWNERS]

    def beat(
        self,
        job_id: str,
        *,
        number: int,
        lease_s: float,
        progress: Progress | None = None,
        message: str | None = None,
    ) -> Signal:
        where = {"_id": job_id, "status": "running", "number": number}
        change = beating(lease_s=lease_s, progress=progress, message=message)
        if self._call(lambda _: self._beats.update_one(where, change)).matched_count:
            return "continue"
        found = self._call(lambda _: self._jobs.find_one({"_id": job_id}, {"status": True, "number": True}))
        dismissed = found is not None and found["status"] == "dismissed" and found["number"] == number
        return "stop" if dismissed else "lost"

    def take_call(self, *, lease_s: float) -> Call | None:
        nonce = uuid4().hex
        change = calling(lease_s=lease_s, nonce=nonce)

        def call(failed: int) -> Call | None:
            taken = self._jobs.find_one({**CALLED, "call_nonce": nonce}) if failed else None
            taken = taken or self._jobs.find_one_and_update(
                DUE, change, sort=[("call_at", 1)], return_document=ReturnDocument.AFTER
            )
            return Call(job_of(taken), taken["calls"]) if taken else None

        return self._call(call)

    def retry_call(self, job_id: str, *, tries: int, after_s: float) -> None:
        where = {"_id": job_id, "calls": tries, **CALLED}
        self._call(lambda _: self._jobs.update_one(where, [{"$set": {"call_at": later(after_s)}}]))

    def end_call(self, job_id: str) -> None:
        self._call(lambda _: self._jobs.update_one({"_id": job_id}, {"$unset": {"call_at": ""}}))

    def log(self, job_id: str, lines: Sequence[str]) -> None:
        for start in range(0, len(lines), LINES):
            self._log([clean(line)[:LINE_CHARS] for line in lines[start : start + LINES]], job_id, uuid4().hex)

    def _log(self, lines: list[str], job_id: str, nonce: str) -> None:
        """Write a document of lines; of two that start at the same number, one is tried again behind the other."""

        def call(_failed: int) -> bool:
            job = self._jobs.find_one({"_id": job_id}, {"expires": True})
            if job is None:
                raise NoSuchJob(job_id)
            last = self._logs.find_one({"job": job_id}, {"last": True, "nonce": True}, sort=[("last", -1)])
            if last and last["nonce"] == nonce:
                return True
            first = last["last"] + 1 if last else 1
            kept = {"last": first + len(lines) - 1, "lines": lines}
            if "expires" in job:
                kept["expires"] = job["expires"]
            try:
                self._logs.update_one(
                    {"job": job_id, "first": first, "nonce": nonce},
                    {"$setOnInsert": kept, "$currentDate": {"time": True}},
                    upsert=True,
                )
            except DuplicateKeyError:
                return False
            return True

        while not self._call(call):
            pass

    def logs(self, job_id: str, *, after: int = 0, limit: int = 1000) -> tuple[Line, ...]:
        where = {"job": job_id, "last": {"$gt": after}}
        parts = self._call(lambda _: list(self._logs.find(where, sort=[("last", 1)], limit=limit)))
        lines = (
            Line(number, seconds(part["time"]), text)
            for part in parts
            for number, text in enumerate(part["lines"], part["first"])
        )
        return tuple(line for line in lines if line.number > after)[:limit]

    def counts(self, owner: str | None = None) -> Mapping[Status, int]:
        where = {} if owner is None else {"owner": owner}
        return self._call(
            lambda _: {status: self._jobs.count_documents({"status": status, **where}) for status in STATUSES}
        )

    def remove(self, job_id: str) -> bool:
        ended = {"_id": job_id, "status": {"$in": sorted(ENDED)}}

        def call(failed: int) -> bool:
            gone = self._jobs.delete_one(ended).deleted_count > 0
            if gone or failed:
                self._logs.delete_many({"job": job_id})
            return gone or (failed > 0 and self._jobs.find_one({"_id": job_id}) is None)

        return self._call(call)

    def expire(self, limit: int = 100) -> tuple[str, ...]:
        due = {"$expr": {"$lte": ["$expires", "$$NOW"]}, "expires": {"$type": "date"}}
        found = self._call(lambda _: list(self._jobs.find(due, {"_id": True}, limit=limit)))
        return tuple(document["_id"] for document in found if self.remove(document["_id"]))

    def _call(self, call: Callable[[int], Result]) -> Result:
        try:
            return patiently(call, passing=PASSING, place=self._place, for_s=self._patience_s)
        except PyMongoError as error:
            raise StoreError(
                f"{self._place}: MongoDB refuses: {str(error)[:300]}; check the user's rights, the name of the "
                "database and the version of the server (5 or later)"
            ) from error
