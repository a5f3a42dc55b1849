"""Who is called when a job goes on or ends, with which words, and how often it is tried.

Calls are made beside the jobs and never hold one up. They are signed with the operator's secret, go only where the
fence lets them, and only to the address that was checked. One that fails is tried again, later each time; a worker
that is killed takes its calls with it, so whoever must know asks for the job's status too.
"""

import hashlib
import hmac
import json
import logging
import os
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tilepipe_hub.fence import callback_refusal, link_place
from tilepipe_hub.fetch import reachable
from tilepipe_hub.job import Job, Progress
from tilepipe_hub.results import LARGE_BYTES, Reader, as_document
from tilepipe_hub.settings import Settings
from tilepipe_hub.work import work_of

__all__ = ["SIGNATURE", "Callbacks", "signature", "slack_words", "status_document"]

log = logging.getLogger(__name__)

SIGNATURE = "X-Tilepipe-Signature"
AT_ONCE = 4
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
CLOSING_S = 5.0
"""For calls that are under way when the worker ends."""
SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
"""Hosts that take words, not documents."""


class Callbacks:
    """Satisfies `worker.Followers`; a context manager that waits a little for the last calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="callback")
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        """For each job, when its progress may be told again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        timer = threading.Timer(CLOSING_S, self._closing.set)
        timer.start()
        self._pool.shutdown(wait=True)
        timer.cancel()

    def follow(self, job: Job, progress: Progress) -> None:
        link = (job.request.subscriber or {}).get("inProgressUri")
        now = time.monotonic()
        with self._lock:
            if link is None or now < self._next.get(job.id, 0.0):
                return
            self._next[job.id] = now + self._settings.callbacks.every_s
        # What is not heard at once is soon out of date.
        self._start(link, job, self._document(job, progress), attempts=1)

    def ended(self, job: Job) -> None:
        with self._lock:
            self._next.pop(job.id, None)
        name = {"successful": "successUri", "failed": "failedUri"}.get(job.status, "")
        link = (job.request.subscriber or {}).get(name)
        if link is not None:
            try:
                document = self._results(job) if name == "successUri" else _problem(job)
            except OSError as error:
                log.warning("job %s: its results cannot be read for its callback: %s", job.id, error)
                return
            self._start(link, job, document, attempts=self._settings.callbacks.attempts)

    def _start(self, link: str, job: Job, document: Mapping[str, Any], *, attempts: int) -> None:
        if urlsplit(link).hostname in SLACK:
            document = slack_words(job, self._base(job))
        call = _Call(link=link, job_id=job.id, body=json.dumps(document).encode(), attempts=attempts)
        self._pool.submit(self._make, call)

    def _make(self, call: "_Call") -> None:
        """Call until it is heard, or too often."""
        for attempt in range(1, call.attempts + 1):
            reason = self._post(call)
            if reason is None:
                return
            log.warning("job %s: callback %d of %d: %s", call.job_id, attempt, call.attempts, reason)
            if attempt < call.attempts:
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4 ** (attempt - 1))
                # Not a secret: the pauses of many calls are only to differ.
                if self._closing.wait(pause * random.uniform(0.5, 1.5)):  # noqa: S311
                    return

    def _post(self, call: "_Call") -> str | None:
        """Why the call was not heard; None where it was. The link stands in no log, for it may hold a secret."""
        host, address = urlsplit(call.link).hostname or "", self._address(call.link)
        if address is None:
            return f"{host} may not be called, or has no address"
        url = httpx.URL(call.link)
        shown = url.netloc.decode()
        headers = {"Host": shown, "Content-Type": "application/json", "User-Agent": "tilepipe-hub"}
        secret = self._settings.callbacks.secret
        if secret is not None:
            headers[SIGNATURE] = signature(call.body, secret=secret.get_secret_value(), now=int(time.time()))
        try:
            with httpx.Client(timeout=self._settings.callbacks.timeout_s, trust_env=False) as client:
                extensions = {"sni_hostname": host} if url.scheme == "https" else {}
                answer = client.post(
                    url.copy_with(host=address), content=call.body, headers=headers, extensions=extensions
                )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{host} does not answer: {type(error).__name__}"
        return None if answer.is_success else f"{host} answers {answer.status_code}"

    def _address(self, link: str) -> str | None:
        """An address of the host that may be spoken to; the name is not looked up a second time."""
        fence, place = self._settings.fence, link_place(link)
        if isinstance(place, str) or callback_refusal(link, fence) is not None:
            return None
        found = reachable(place, fence)
        return None if isinstance(found, str) else found[0]

    def _base(self, job: Job) -> str:
        sent_to = work_of(job.request.work).base if job.request.work else ""
        base = (self._settings.server.base_url or sent_to).rstrip("/")
        return f"{base}/jobs/{job.id}"

    def _document(self, job: Job, progress: Progress) -> dict[str, Any]:
        return status_document(job, progress, link=self._base(job))

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
    """Why a job failed, as an exception document, and which job it was."""
    problem = {"type": "urn:tilepipe:problem:job-failed", "title": "The job failed", **(job.problem or {})}
    return {"status": 500, "detail": job.message, **problem, "jobID": job.id, "processID": job.process}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    link: str
    job_id: str
    body: bytes = field(repr=False)
    attempts: int


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
    signs = {"successful": ":white_check_mark:", "failed": ":x:", "running": ":hourglass_flowing_sand:"}
    words = f"{job.title or job.process}: {job.status} {job.message}".strip()[:500]
    for letter, spelled in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        words = words.replace(letter, spelled)
    shown = f"<{link}|job {job.id}>" if "://" in link else f"job {job.id}"
    return {"text": f"{signs.get(job.status, '')} {shown} {words}".strip()}


@lru_cache(maxsize=4096)
def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
