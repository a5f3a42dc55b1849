"""Who is called when a job goes on or ends, and with which words.

Calls are signed with the operator's secret, go only where the fence lets them, and only to the address that was
checked. Progress is told beside the jobs and holds none up; how often an end is told says `running.telling`.
"""

import hashlib
import hmac
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tilepipe_hub.fence import callback_refusal, link_place
from tilepipe_hub.fetch import addresses_of, reachable
from tilepipe_hub.job import Job, Progress
from tilepipe_hub.results import LARGE_BYTES, Reader, as_document
from tilepipe_hub.settings import Settings
from tilepipe_hub.work import work_of

__all__ = ["JOB", "SIGNATURE", "Callbacks", "signature", "slack_words", "status_document"]

log = logging.getLogger(__name__)

SIGNATURE = "X-Tilepipe-Signature"
JOB = "X-Tilepipe-Job"
"""By this header a receiver knows a call that it has heard before."""
AT_ONCE = 4
SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
"""Hosts that take words, not documents."""
PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "failed": {"type": "urn:tilepipe:problem:job-failed", "title": "The job failed", "status": 500},
    "dismissed": {"type": "urn:tilepipe:problem:job-dismissed", "title": "The job was dismissed", "status": 410},
}

Resolve = Callable[[str, int], list[str]]


class Callbacks:
    """Satisfies `worker.Followers`; a context manager that waits for the calls under way."""

    def __init__(self, settings: Settings, *, resolve: Resolve = addresses_of) -> None:
        """Call nobody yet; *resolve* gives the addresses of a host and port."""
        self._settings, self._resolve = settings, resolve
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="callback")
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        """For jobs that were told of just now: when they may be again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def follow(self, job: Job, progress: Progress) -> None:
        link = (job.request.subscriber or {}).get("inProgressUri")
        now = time.monotonic()
        with self._lock:
            if link is None or now < self._next.get(job.id, 0.0):
                return
            self._next = {job_id: moment for job_id, moment in self._next.items() if moment > now}
            self._next[job.id] = now + self._settings.callbacks.every_s
        self._pool.submit(self._pass_on, link, job, status_document(job, progress, link=self._base(job)))

    def tell(self, job: Job) -> str | None:
        link = job.request.link_for(job.status)
        if link is None:
            return None
        try:
            document = self._results(job) if job.status == "successful" else _problem(job)
        except OSError as error:
            return f"the results cannot be read: {error.strerror}"
        return self._post(link, job, document)

    def _pass_on(self, link: str, job: Job, document: Mapping[str, Any]) -> None:
        # What is not heard at once is soon out of date.
        reason = self._post(link, job, document)
        if reason is not None:
            log.warning("job %s: callback about its progress: %s", job.id, reason)

    def _post(self, link: str, job: Job, document: Mapping[str, Any]) -> str | None:
        """Why the call was not heard; None where it was. The link stands in no log, for it may hold a secret."""
        host, address = urlsplit(link).hostname or "", self._address(link)
        if address is None:
            return f"{host} may not be called, or has no address"
        body = json.dumps(slack_words(job, self._base(job)) if host in SLACK else document).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "tilepipe-hub", JOB: job.id}
        secret = self._settings.callbacks.secret
        if secret is not None:
            headers[SIGNATURE] = signature(body, secret=secret.get_secret_value(), now=int(time.time()))
        try:
            url = httpx.URL(link)
            headers["Host"] = url.netloc.decode()
            extensions = {"sni_hostname": host} if url.scheme == "https" else {}
            with (
                httpx.Client(timeout=self._settings.callbacks.timeout_s, trust_env=False) as client,
                # What else it answers is of no interest, however long it is.
                client.stream(
                    "POST", url.copy_with(host=address), content=body, headers=headers, extensions=extensions
                ) as answer,
            ):
                return None if answer.is_success else f"{host} answers {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{host} does not answer: {type(error).__name__}"

    def _address(self, link: str) -> str | None:
        """An address of the host that may be spoken to; the name is not looked up a second time."""
        fence, place = self._settings.fence, link_place(link)
        if isinstance(place, str) or callback_refusal(link, fence) is not None:
            return None
        found = reachable(place, fence, resolve=self._resolve)
        return None if isinstance(found, str) else found[0]

    def _base(self, job: Job) -> str:
        sent_to = work_of(job.request.work).base if job.request.work else ""
        base = (self._settings.server.base_url or sent_to).rstrip("/")
        return f"{base}/jobs/{job.id}"

    def _results(self, job: Job) -> dict[str, Any]:
        """The results as a document: files as links, unless their values were asked for."""
        work, results = work_of(job.request.work) if job.request.work else None, job.results or {}
        folder = os.path.join(self._settings.folders.outputs, work.folder if work else job.id)

        def read(name: str) -> bytes:
            with open(os.path.join(folder, name), "rb") as file:
                return file.read()

        reader = Reader(read=read, size=lambda _name: LARGE_BYTES + 1, base=self._base(job))
        return as_document(results, work.asked if work else {name: {} for name in results}, reader)


def _problem(job: Job) -> dict[str, Any]:
    """Why a job has no results, as an exception document, and which job it was."""
    kind = PROBLEMS[job.status]
    return {**kind, "detail": job.message, **(job.problem or {}), "jobID": job.id, "processID": job.process}


def signature(body: bytes, *, secret: str, now: int) -> str:
    """The header by which a receiver knows who calls, and that it is no old call: `t=SECONDS,sha256=HEX`."""
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},sha256={digest}"


def status_document(job: Job, progress: Progress, *, link: str) -> dict[str, Any]:
    """The status as OGC's `statusInfo` has it."""
    status = job.status
    facts: dict[str, Any] = {
        "jobID": job.id,
        "processID": job.process,
        "type": "process",
        "status": status,
        "message": job.message,
        "progress": 100 if status == "successful" else progress.percent,
        "created": _moment(job.created),
        "started": _moment(job.started),
        "finished": _moment(job.finished),
        "updated": _moment(job.updated),
        "links": [{"href": link, "rel": "self", "type": "application/json", "title": "Status of the job"}],
    }
    return {key: value for key, value in facts.items() if value is not None}


def slack_words(job: Job, link: str) -> dict[str, str]:
    """One line for a channel; what the owner wrote cannot call anybody's attention in it."""
    signs = {
        "successful": ":white_check_mark:",
        "failed": ":x:",
        "running": ":hourglass_flowing_sand:",
        "dismissed": ":no_entry_sign:",
    }
    words = " ".join(f"{job.title or job.process}: {job.status} {job.message}".split())[:500]
    for letter, spelled in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        words = words.replace(letter, spelled)
    shown = f"<{link}|job {job.id}>" if "://" in link else f"job {job.id}"
    return {"text": f"{signs.get(job.status, '')} {shown} {words}".strip()}


@lru_cache(maxsize=4096)
def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
