"""How answers are read: documents, lists of many pages, and the job that a request made."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tilepipe_hub.client.faults import Unexpected, shown
from tilepipe_hub.client.records import JobStatus, job_of, link_of
from tilepipe_hub.client.wire import Wire, origin

__all__ = ["accepted", "has_words", "json_of", "member_id", "pages"]

MOST_PAGES = 100_000
"""After so many pages a server is taken for one that leads in circles."""
WORD = re.compile(r"[^\W_]+")
ADVICE = "is this an OGC API - Processes server?"


def json_of(answer: httpx.Response, *, needed: bool = True) -> Any:
    """What JSON the answer holds; None where it holds none and that does not matter.

    Raises:
        Unexpected: it holds none.
    """
    try:
        return answer.json()
    except ValueError as error:
        if not needed:
            return None
        kind = answer.headers.get("Content-Type", "something without a type")
        raise Unexpected(f"{shown(answer.url)}: no JSON came, but {kind}; {ADVICE}") from error


def member_id(item: Any) -> str:
    """The id of a job in a list."""
    return str((item.get("jobID") or item.get("id") or "unnamed") if isinstance(item, dict) else "unnamed")


def has_words(job: JobStatus, text: str) -> bool:
    """Whether all words of a text are among what a job is found by."""
    labels = job.document.get("keywords")
    told = [job.id, job.process, job.title, *(labels if isinstance(labels, list) else ())]
    known = " ".join(map(str, told)).casefold()
    return all(word in known for word in WORD.findall(text.casefold()))


def pages(wire: Wire, url: httpx.URL, key: str) -> Iterator[Any]:
    """The members of a list, page by page as they are read."""
    seen = set()
    for _ in range(MOST_PAGES):
        seen.add(str(url))
        document = json_of(wire.send("GET", url))
        members = document.get(key) if isinstance(document, dict) else None
        if not isinstance(members, list):
            raise Unexpected(f"{shown(url)}: no list of {key} came; {ADVICE}")
        yield from members
        following = link_of(document, rel="next", base=str(url))
        if following is None:
            return
        there = httpx.URL(following)
        # Behind a proxy a server may call itself by a name that is not known here; the query is what counts.
        url = there if origin(there) == origin(wire.base) else url.copy_with(query=there.query)
        if str(url) in seen:
            return


def accepted(wire: Wire, answer: httpx.Response, ask: Callable[[JobStatus], JobStatus]) -> JobStatus:
    """The job that a request made; some servers name it in the header only, some in the body only.

    Raises:
        Unexpected: neither names it.
    """
    document, location = json_of(answer, needed=False), answer.headers.get("Location")
    document = document if isinstance(document, dict) else {}
    named = document.get("jobID") or document.get("id")
    if not named and not location:
        raise Unexpected(
            f"{shown(answer.url)} answers {answer.status_code}, but names no job; look at the list of jobs"
        )
    url = answer.url.join(location) if location else None
    if url is None or origin(url) != origin(wire.base):
        url = wire.url("jobs", str(named or (url and url.path.rstrip("/").rpartition("/")[2])))
    if "status" not in document:
        return ask(JobStatus(id=str(named or ""), status="accepted", url=str(url)))
    return job_of(document, url=str(url))
