"""How a job is watched: by the events that the server sends, or by asking again and again."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import httpx

from tilepipe_hub.client.faults import ClientError, StillRunning
from tilepipe_hub.client.records import JobStatus, job_of, link_of
from tilepipe_hub.client.wire import Wire

__all__ = ["Event", "events_in", "watch"]

EVENTS = "text/event-stream"
FIRST_S, GROWTH, LONGEST_S = 0.5, 1.5, 10.0
"""Between two questions: at first, how it grows, at most."""
SILENCE_S = 60.0
"""A stream of events without a word, not even a comment, is taken for dead after this time."""
BROKEN_STREAMS = 3
"""After so many streams in a row that said nothing, the server is asked instead."""


class Event(NamedTuple):
    """One of a stream of server-sent events."""

    kind: str
    data: str
    id: str


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    """The events that lines of `text/event-stream` spell."""
    kind, last = "", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(kind or "message", "\n".join(data), last)
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last = value


def watch(wire: Wire, ask: Callable[[], JobStatus], *, timeout_s: float | None) -> Iterator[JobStatus]:
    """The job as it is, and each time it has changed, until it has ended.

    Raises:
        StillRunning: it has not ended within *timeout_s*.
        ClientError: the server cannot be reached, or does not let us.
    """
    ends = None if timeout_s is None else time.monotonic() + timeout_s
    job = ask()
    yield job
    if not job.ended:
        stream = link_of(job.document, media_type=EVENTS, base=job.url)
        told = _told(wire, stream, job, ends) if stream else _asked(wire, ask, job, ends)
        for job in told:
            yield job
            if job.ended:
                return
        # The streams broke.
        yield from _asked(wire, ask, job, ends)


def _asked(wire: Wire, ask: Callable[[], JobStatus], job: JobStatus, ends: float | None) -> Iterator[JobStatus]:
    pause = FIRST_S
    while not job.ended:
        left = _left(job, ends)
        wire.sleep(pause if left is None else min(pause, left))
        found = ask()
        # Whoever moves is looked at more often.
        pause = FIRST_S if _facts(found) != _facts(job) else min(LONGEST_S, pause * GROWTH)
        if _facts(found) != _facts(job):
            yield found
        job = found


def _told(wire: Wire, stream: str, job: JobStatus, ends: float | None) -> Iterator[JobStatus]:
    """The job as events tell it; comes to an end when the streams do."""
    last, broken = "", 0
    while broken < BROKEN_STREAMS:
        heard = False
        try:
            for event in _open(wire, stream, last=last, left=_left(job, ends)):
                found = _status(event, job)
                last = event.id or last
                _left(job, ends)
                if found is not None:
                    heard = True
                    if _facts(found) != _facts(job):
                        yield found
                    job = found
                    if job.ended:
                        return
        except (httpx.HTTPError, ClientError) as error:
            if isinstance(error, StillRunning):
                raise
        broken = 0 if heard else broken + 1
        wire.sleep(FIRST_S)


def _open(wire: Wire, stream: str, *, last: str, left: float | None) -> Iterator[Event]:
    headers = {"Accept": EVENTS, "Cache-Control": "no-cache", **({"Last-Event-ID": last} if last else {})}
    silence = SILENCE_S if left is None else min(SILENCE_S, left + 0.1)
    with closing(wire.send("GET", stream, headers=headers, stream=True, timeout_s=silence)) as response:
        if response.headers.get("Content-Type", "").startswith(EVENTS):
            yield from events_in(response.iter_lines())


def _status(event: Event, job: JobStatus) -> JobStatus | None:
    """The job as an event tells it; None for an event about something else."""
    try:
        found: Any = json.loads(event.data)
    except ValueError:
        return None
    if not isinstance(found, dict) or "status" not in found:
        return None
    return job_of({**job.document, **found}, url=job.url)


def _facts(job: JobStatus) -> tuple[object, ...]:
    return job.status, job.progress, job.message, job.tiles and (job.tiles.done, job.tiles.total, job.tiles.failed)


def _left(job: JobStatus, ends: float | None) -> float | None:
    if ends is None:
        return None
    left = ends - time.monotonic()
    if left <= 0:
        raise StillRunning(f"job {job.id!r} is {job.status} and has not ended in time; wait longer, or look later")
    return left
