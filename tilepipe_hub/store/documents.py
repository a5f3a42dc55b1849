"""Jobs as documents of MongoDB, and queries and changes in its language.

Times are dates, set by the server. What users hand in as JSON is kept as text, because keys with `$` and integers of
more than 64 bits are no business of the database.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tilepipe_hub.job import ENDED, End, Job, Lease, Progress, Request, Status, clean, words_of
from tilepipe_hub.store.protocol import Cursor, Query

__all__ = [
    "BRIEF",
    "CALLED",
    "DUE",
    "INDEXES",
    "NEED",
    "SILENT",
    "SORT",
    "adding",
    "beating",
    "calling",
    "claiming",
    "index_of",
    "job_of",
    "later",
    "matches",
    "moving",
    "seconds",
]

Document = dict[str, Any]

SORT = [("created", -1), ("_id", -1)]

INDEXES: Mapping[str, tuple[list[tuple[str, int]], Document]] = {
    "created": (SORT, {}),
    "status": ([("status", 1), *SORT], {}),
    "process": ([("process", 1), *SORT], {}),
    "owner": ([("owner", 1), *SORT], {}),
    "status_owner": ([("status", 1), ("owner", 1), *SORT], {}),
    "slot": ([("owner", 1), ("slot", 1)], {"unique": True, "partialFilterExpression": {"slot": {"$type": "number"}}}),
    "words": ([("words", 1), *SORT], {}),
    "lease": ([("until", 1)], {"partialFilterExpression": {"status": "running"}}),
    "key": ([("owner", 1), ("key", 1)], {"unique": True, "partialFilterExpression": {"key": {"$type": "string"}}}),
    "call": ([("call_at", 1)], {"partialFilterExpression": {"call_at": {"$type": "date"}}}),
    "expires": ([("expires", 1)], {"expireAfterSeconds": 86_400}),
}
"""Of the jobs. The server itself forgets what no hub has forgotten a day after it was due."""

BRIEF = {"request": False, "problem": False, "results": False, "words": False}
"""What a job in a list leaves out."""

SILENT: Document = {"status": "running", "$expr": {"$lt": ["$until", "$$NOW"]}}
"""Jobs whose worker has not been heard of in time."""

CALLED: Document = {"call_at": {"$type": "date"}}
"""Jobs whose end is still to be told."""

DUE: Document = {**CALLED, "$expr": {"$lte": ["$call_at", "$$NOW"]}}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

NEED: list[Document] = [
    {"$match": {"status": "accepted"}},
    {"$group": {"_id": "$owner"}},
    {"$set": {"kind": "waiting"}},
    {
        "$unionWith": {
            "coll": "jobs",
            "pipeline": [
                {"$match": {"status": "running"}},
                {"$sortByCount": "$owner"},
                {"$set": {"kind": "running"}},
            ],
        }
    },
    {
        "$unionWith": {
            "coll": "jobs",
            "pipeline": [{"$match": SILENT}, {"$limit": 1}, {"$project": {"kind": {"$literal": "silent"}}}],
        }
    },
]
"""All that a claim has to know, at one look: whose jobs wait, how many of whom run, and whether a worker is silent."""


def job_of(document: Mapping[str, Any]) -> Job:
    """The job of a document; a brief one has no request, problem and results."""
    plain = ("process", "owner", "title", "key", "continues", "status", "message", "attempts")
    times = ("created", "updated", "started", "finished", "expires")
    texts = ("problem", "results")
    values: Document = {name: document[name] for name in plain if name in document}
    values |= {name: seconds(document[name]) for name in times if document.get(name)}
    values |= {name: json.loads(document[name]) for name in texts if document.get(name)}
    worker, lost = document.get("worker"), document.get("lost")
    return Job(
        id=document["_id"],
        **values,
        request=Request(**json.loads(document["request"])) if "request" in document else Request(),
        labels=tuple(document["labels"]),
        progress=Progress(**document["progress"]),
        lease=Lease(worker=worker, number=document["number"], until=seconds(document["until"])) if worker else None,
        lost=Lease(**{**lost, "until": seconds(lost["until"])}) if lost else None,
    )


def adding(job: Job, slot: int | None) -> list[Document]:
    """The change that makes a new job of nothing, and leaves one that is there as it is.

    Args:
        job: the job.
        slot: one of as many numbers as its owner may have jobs that wait or run; until it ends no other one of theirs
            gets it, so that there are never more. None: any number.
    """
    values = {
        "_id": job.id,
        "process": job.process,
        "owner": job.owner,
        "title": clean(job.title),
        "labels": [clean(label) for label in job.labels],
        "words": words_of(job.id, job.process, job.title, *job.labels),
        "status": "accepted",
        "message": clean(job.message),
        "progress": _plain(job.progress),
        "number": 0,
        "attempts": 0,
        "request": job.request.text(),
    }
    if slot is not None:
        values["slot"] = slot
    values |= {name: value for name in ("key", "continues") if (value := getattr(job, name)) is not None}
    if hears := [status for status in sorted(ENDED) if job.request.link_for(status)]:
        values["hears"] = hears
    times = {"created": "$$NOW", "updated": "$$NOW"}
    new = {"$mergeObjects": [{"$literal": values}, times]}
    return [{"$replaceWith": {"$cond": [{"$eq": [{"$type": "$status"}, "missing"]}, new, "$$ROOT"]}}]


def claiming(worker: str, *, lease_s: float, nonce: str) -> list[Document]:
    """The change that `job.claimed` describes."""
    taken = {"$cond": [{"$eq": ["$status", "running"]}, 1, 0]}
    lost = {"worker": "$worker", "number": "$number", "until": "$until"}
    return [
        {
            "$set": {
                "status": "running",
                "started": {"$ifNull": ["$started", "$$NOW"]},
                "updated": "$$NOW",
                "worker": {"$literal": worker},
                "nonce": nonce,
                "number": {"$add": ["$number", 1]},
                "until": later(lease_s),
                "attempts": {"$add": ["$attempts", taken]},
                "lost": {"$cond": [{"$eq": ["$status", "running"]}, lost, "$$REMOVE"]},
            }
        }
    ]


def beating(*, lease_s: float, progress: Progress | None, message: str | None) -> list[Document]:
    """The change that `job.beaten` describes."""
    changes: Document = {"until": later(lease_s)}
    if message is not None:
        changes |= {"message": {"$literal": clean(message)}, "updated": "$$NOW"}
    if progress is not None:
        changes |= {"progress": _onto(progress), "updated": "$$NOW"}
    return [{"$set": changes}]


def moving(to: Status, end: End | None, *, keep_s: float | None) -> list[Document]:
    """The change that `job.moved` describes, and when the job is to be forgotten."""
    changes: Document = {
        "status": to,
        "updated": "$$NOW",
        "slot": "$$REMOVE" if to in ENDED else "$slot",
        "until": {"$cond": [{"$eq": [{"$type": "$until"}, "missing"]}, "$$REMOVE", "$$NOW"]},
    }
    if end:
        texts = {"problem": end.problem, "results": end.results}
        changes |= {name: {"$literal": json.dumps(value)} for name, value in texts.items() if value is not None}
        changes["message"] = {"$literal": clean(end.message)}
    if to in ENDED:
        changes["finished"] = "$$NOW"
        changes["call_at"] = {"$cond": [{"$in": [to, {"$ifNull": ["$hears", []]}]}, "$$NOW", "$$REMOVE"]}
        if keep_s is not None:
            changes["expires"] = later(keep_s)
    progress = {**(_onto(end.progress) if end and end.progress else {}), "eta_s": None}
    changes["progress"] = {**progress, "percent": 100} if to == "successful" else progress
    return [{"$set": changes}]


def calling(*, lease_s: float, nonce: str) -> list[Document]:
    """The change that gives a call away."""
    tries = {"$add": [{"$ifNull": ["$calls", 0]}, 1]}
    return [{"$set": {"call_at": later(lease_s), "calls": tries, "call_nonce": nonce}}]


def matches(query: Query) -> Document:
    """The filter for a query."""
    where: Document = {}
    for field, values in (("status", query.statuses), ("process", query.processes)):
        if len(values) > 0:
            where[field] = next(iter(values)) if len(values) == 1 else {"$in": sorted(values)}
    if query.owner is not None:
        where["owner"] = query.owner
    if words := words_of(query.text):
        where["words"] = {"$all": list(words)}
    limits = {"$gte": query.created_from, "$lte": query.created_to}
    created = {operator: date(value) for operator, value in limits.items() if value is not None}
    if query.after:
        created["$lte"] = min(created.get("$lte", date(query.after.created)), date(query.after.created))
        where["$nor"] = [_at_or_before(query.after)]
    if created:
        where["created"] = created
    if query.min_duration_s is not None or query.max_duration_s is not None:
        where |= _duration(query.min_duration_s, query.max_duration_s)
    return where


def index_of(query: Query) -> str:
    """The index that gives the order of a query and reads few jobs in vain; the planner alone would at times sort."""
    if query.text:
        return "words"
    if query.owner is not None:
        return "status_owner" if query.statuses else "owner"
    # Several values are merged, each from its own place in the index, up to a limit of the server.
    if 0 < len(query.processes) <= 100:
        return "process"
    return "status" if query.statuses else "created"


def _at_or_before(cursor: Cursor) -> Document:
    # Said with "nor" because the planner would try to serve an "or" from several indexes, and then sort.
    return {"created": date(cursor.created), "_id": {"$gte": cursor.id}}


def _duration(shortest_s: float | None, longest_s: float | None) -> Document:
    lasted = {"$subtract": [{"$ifNull": ["$finished", "$$NOW"]}, "$started"]}
    bounds = {"$gte": shortest_s, "$lte": longest_s}
    conditions = [{op: [lasted, value * 1000]} for op, value in bounds.items() if value is not None]
    waiting = {"$ne": ["$status", "accepted"]}
    return {"started": {"$type": "date"}, "$expr": {"$and": [waiting, *conditions]}}


def _plain(progress: Progress) -> Document:
    return {name: getattr(progress, name) for name in progress.__dataclass_fields__}


def _onto(progress: Progress) -> Document:
    """What `Progress.onto` makes of what is there."""
    highest = {name: {"$max": [f"$progress.{name}", getattr(progress, name)]} for name in ("percent", "done")}
    return {**_plain(progress), **highest}


def later(by_s: float) -> Document:
    """The server's time and so much more."""
    return {"$add": ["$$NOW", round(by_s * 1000)]}


def seconds(moment: datetime) -> float:
    """Seconds since 1970, exact to a millisecond."""
    return (moment - EPOCH) // MILLISECOND / 1000


def date(moment: float) -> datetime:
    """The time as the database has it; times that it cannot hold become the first or the last that it can."""
    last = (datetime.max.replace(tzinfo=UTC) - EPOCH).total_seconds() - 1
    first = (datetime.min.replace(tzinfo=UTC) - EPOCH).total_seconds()
    return EPOCH + timedelta(seconds=min(max(moment, first), last))
