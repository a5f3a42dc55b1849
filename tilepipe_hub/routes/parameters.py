"""What the parameters of a query mean, and what is wrong with them."""

import base64
import binascii
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

from starlette.requests import Request

from tilepipe_hub.errors import BadQuery
from tilepipe_hub.job import STATUSES, Status
from tilepipe_hub.store import Cursor, Query

__all__ = ["LIMIT", "MOST", "limit_of", "next_place", "number_of", "previous_place", "query_of", "values_of"]

LIMIT = 100
MOST = 1000
"""What is larger counts as this, as the standard wants."""

MOST_PAGES_BACK = 30


class Place(NamedTuple):
    """Where a page begins, and where those before it began, so that one can turn back."""

    cursor: Cursor | None
    before: tuple[Cursor, ...]


def values_of(request: Request, name: str) -> list[str]:
    """The values of a parameter that may come several times, or with commas."""
    found = [part.strip() for value in request.query_params.getlist(name) for part in value.split(",")]
    return [part for part in found if part]


def number_of(request: Request, name: str) -> float | None:
    """A number of seconds.

    Raises:
        BadQuery: it is no number of 0 or more.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e12:
        raise BadQuery([(name, f"is {text[:100]!r}; it takes a number of seconds, 0 or more")])
    return value


def limit_of(request: Request, name: str = "limit", *, default: int = LIMIT, least: int = 1) -> int:
    """A whole number, MOST at most.

    Raises:
        BadQuery: it is none, or less than *least*.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text[:12]) >= least):
        raise BadQuery([(name, f"is {text[:100]!r}; it takes a whole number of {least} or more")])
    return int(text[:12]) if name != "limit" else min(int(text[:12]), MOST)


def query_of(request: Request) -> tuple[Query, Place]:
    """Which jobs are asked for.

    Raises:
        BadQuery: a parameter is wrong.
    """
    statuses = values_of(request, "status")
    for status in statuses:
        if status not in STATUSES:
            raise BadQuery([("status", f"is {status[:100]!r}; it takes {', '.join(STATUSES)}")])
    start, end = _interval(request.query_params.get("datetime"))
    place = _place(request.query_params.get("cursor"))
    query = Query(
        types=values_of(request, "type"),
        processes=values_of(request, "processID"),
        statuses=cast("list[Status]", statuses),
        created_from=start,
        created_to=end,
        min_duration_s=number_of(request, "minDuration"),
        max_duration_s=number_of(request, "maxDuration"),
        text=request.query_params.get("q", "")[:500],
        limit=limit_of(request),
        after=place.cursor,
    )
    return query, place


def _interval(text: str | None) -> tuple[float | None, float | None]:
    """First and last moment of an instant or an interval, None for open ends."""
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) > 2 or all(part in {"", ".."} for part in parts):
        raise BadQuery([("datetime", f"is {text[:100]!r}; it takes a moment, or a/b, ../b or a/.. with one")])
    start, end = (None if part in {"", ".."} else _moment(part) for part in (parts[0], parts[-1]))
    if start and end and start[0] > end[1]:
        raise BadQuery([("datetime", "has its end before its start; turn it round")])
    return (start[0] if start else None), (end[1] if end else None)


def _moment(text: str) -> tuple[float, float]:
    """The first and last instant that a moment means: a day is all of it."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadQuery([("datetime", f"has {text[:100]!r}; write moments as 2026-11-21T09:36:48Z")]) from None
    length = timedelta(days=1) - timedelta(milliseconds=1) if len(text) == 10 else timedelta()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp(), (moment + length).timestamp()
    except OverflowError:
        raise BadQuery([("datetime", "lies out of all times")]) from None


def _place(text: str | None) -> Place:
    if text is None:
        return Place(None, ())
    try:
        written = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
        parts = [part.partition("-") for part in written.split(" ")]
        cursors = [Cursor(int(created) / 1000, job_id) for created, _, job_id in parts]
    except (ValueError, binascii.Error, OverflowError):
        cursors = []
    if not cursors or not all(cursor.id for cursor in cursors):
        raise BadQuery([("cursor", "comes from no link of this service; follow the links next and prev")])
    return Place(cursors[-1], tuple(cursors[:-1]))


def next_place(place: Place, cursor: Cursor) -> str:
    """The parameter for the next page."""
    return _written([*place.before, *([place.cursor] if place.cursor else []), cursor])


def previous_place(place: Place) -> str | None:
    """The parameter for the page before; None for the first one."""
    return _written(list(place.before)) if place.before else None


def _written(cursors: list[Cursor]) -> str:
    text = " ".join(f"{round(cursor.created * 1000)}-{cursor.id}" for cursor in cursors[-MOST_PAGES_BACK:])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
