"""What can be asked of a server: processes, jobs, results, and what only some servers offer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import uuid4

import httpx

from tilepipe_hub.client.answers import accepted, has_words, json_of, member_id, pages
from tilepipe_hub.client.faults import NotOffered, NotReached, NotThere, Refused, shown
from tilepipe_hub.client.files import download, save
from tilepipe_hub.client.records import JobStatus, Process, Value, job_of, link_of, process_of
from tilepipe_hub.client.results import values_in
from tilepipe_hub.client.watching import watch
from tilepipe_hub.client.wire import Wire, origin

__all__ = ["Client"]

PACKAGE = "application/ogcapppkg+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A server to be asked; several threads may share one.

    A job is named by its id, or by the `JobStatus` that the server gave for it, which also knows its address.
    """

    wire: Wire

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close its connections; it cannot be used any more."""
        self.wire.http.close()

    def processes(self, *, page: int | None = None) -> Iterator[Process]:
        """Summaries of the processes, page by page; *page* is how many to ask for at once."""
        query = None if page is None else {"limit": page}
        for item in pages(self.wire, self.wire.url("processes", query=query), "processes"):
            yield process_of(item)

    def process(self, process_id: str) -> Process:
        """The description of a process.

        Raises:
            NotThere: there is none of this id.
        """
        return process_of(json_of(self.wire.send("GET", self.wire.url("processes", process_id))))

    def submit(
        self,
        process_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        outputs: Mapping[str, Any] | None = None,
        response: str | None = "document",
        prefer: str | None = "respond-async",
        subscriber: Mapping[str, str] | None = None,
        title: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> JobStatus | dict[str, Value]:
        """Execute a process: a job, or the outputs by id where the server did it at once.

        Args:
            process_id: of the process.
            inputs: values by id, as the standard writes them: a literal, a list, `{"value": ...}`, `{"href": ...}`.
            outputs: those wanted, by id; None: all of them.
            response: `document`, `raw`, or None to leave it to the server.
            prefer: the header; None to leave it to the server.
            subscriber: where the server calls back: `successUri`, `failedUri`, `inProgressUri`.
            title: what people call the job; only some servers keep it, a tilepipe hub among them.
            labels: words to find it by, likewise.
            idempotency_key: the same one means the same job, at a server that knows them. With one, the request is
                sent again if no answer came; without, only if it never left, or the server says when to ask again.

        Raises:
            Refused: the server does not take the request.
        """
        body = {
            "inputs": dict(inputs or {}),
            "outputs": outputs,
            "response": response,
            "subscriber": subscriber,
            "title": title,
            "labels": list(labels) or None,
        }
        # A server that asks for the request again may have kept the job all the same, and knows it by its key.
        headers = {"Prefer": prefer, "Idempotency-Key": idempotency_key or uuid4().hex}
        answer = self.wire.send(
            "POST",
            self.wire.url("processes", process_id, "execution"),
            json={key: value for key, value in body.items() if value is not None},
            headers={key: value for key, value in headers.items() if value is not None},
            harmless=idempotency_key is not None,
        )
        if answer.status_code in {201, 202}:
            return accepted(self.wire, answer, self.job)
        return values_in(answer, raw=response == "raw")

    def job(self, job: str | JobStatus) -> JobStatus:
        """The job as it is now.

        Raises:
            NotThere: there is none, or not any more.
        """
        url = self._address(job)
        return job_of(json_of(self.wire.send("GET", url)), url=str(url))

    def jobs(
        self,
        *,
        status: Sequence[str] = (),
        process: Sequence[str] = (),
        datetime: str | None = None,
        text: str | None = None,
        min_duration_s: int | None = None,
        max_duration_s: int | None = None,
        limit: int | None = None,
        page: int = 100,
        more: Mapping[str, Any] | None = None,
    ) -> Iterator[JobStatus]:
        """Jobs, in the server's order, page by page as they are read.

        Args:
            status: of these states; all if empty.
            process: of these processes; all if empty.
            datetime: when they were made: an instant, or `from/to` where either may be `..`.
            text: whose id, process, title or labels have all of its words.
            min_duration_s: that take or took at least so long.
            max_duration_s: that take or took at most so long.
            limit: how many in all.
            page: how many to ask for at once.
            more: parameters that only some servers know.
        """
        query = {
            "status": list(status),
            "processID": list(process),
            "datetime": datetime,
            "q": text or None,
            "minDuration": min_duration_s,
            "maxDuration": max_duration_s,
            "limit": min(page, limit or page),
            **(more or {}),
        }
        first = self.wire.url("jobs", query={key: value for key, value in query.items() if value not in (None, [])})
        told = 0
        for item in pages(self.wire, first, "jobs"):
            found = job_of(item, url=str(self.wire.url("jobs", member_id(item))))
            # Not every server filters.
            if (
                (not status or found.status in status)
                and (not process or not found.process or found.process in process)
                and has_words(found, text or "")
            ):
                yield found
                told += 1
                if told == limit:
                    return

    def watch(self, job: str | JobStatus, *, timeout_s: float | None = None) -> Iterator[JobStatus]:
        """The job as it is, and again each time it has changed, until it has ended.

        By the events that the server sends, where it does; otherwise it is asked, at growing intervals.

        Raises:
            StillRunning: it has not ended within *timeout_s*.
        """
        return watch(self.wire, lambda: self.job(job), timeout_s=timeout_s)

    def wait(self, job: str | JobStatus, *, timeout_s: float | None = None) -> JobStatus:
        """The job when it has ended, in whatever way.

        Raises:
            StillRunning: it has not ended within *timeout_s*.
        """
        *_, last = self.watch(job, timeout_s=timeout_s)
        return last

    def results(self, job: str | JobStatus, *, raw: bool = False) -> dict[str, Value]:
        """The outputs of a job by their ids; what is given by reference is not fetched.

        Args:
            job: which.
            raw: the job was submitted for a raw answer, so a JSON body is the value of its one output.

        Raises:
            NotReady: it has not ended.
            Refused: it failed; the reason is in `problem`.
        """
        url = self._address(job)
        accept = "*/*" if raw else "application/json, multipart/related;q=0.9, */*;q=0.5"
        target = url.copy_with(path=url.path.rstrip("/") + "/results")
        return values_in(self.wire.send("GET", target, headers={"Accept": accept}), raw=raw)

    def save(self, values: Mapping[str, Value], folder: str) -> dict[str, str]:
        """Keep values in files, those by reference too; a file is whole or not there.

        Returns:
            The path of each by its id.
        """
        return save(self.wire, values, folder)

    def download(self, href: str, path: str) -> None:
        """Keep what lies at an address in a file; the token goes along only to the server itself.

        Raises:
            Unexpected: it is no address of the web.
            NotReached: it cannot be had.
        """
        download(self.wire, href, path)

    def dismiss(self, job: str | JobStatus) -> JobStatus:
        """Stop a job; one that has ended is removed by many servers.

        Raises:
            NotThere: there is none.
        """
        before, url = self.job(job), self._address(job)
        try:
            answer = self.wire.send("DELETE", url)
        except NotReached:
            # Asking twice could remove what asking once has stopped.
            now = self._or_gone(before)
            if now.ended:
                return now
            answer = self.wire.send("DELETE", url)
        document = json_of(answer, needed=False)
        if isinstance(document, dict) and "status" in document:
            return job_of(document, url=str(url))
        return self._or_gone(before)

    def retry(self, job: str | JobStatus) -> JobStatus:
        """A job that takes up where an ended one left off, the same one however often it is asked for.

        Only a tilepipe hub offers that.

        Raises:
            NotOffered: this server does not.
        """
        return accepted(self.wire, self.wire.send("POST", self._offered(job, "retry"), harmless=True), self.job)

    def logs(self, job: str | JobStatus) -> Iterator[str]:
        """The lines that a job wrote down, page by page; only a tilepipe hub offers that.

        Raises:
            NotOffered: this server does not.
        """
        for line in pages(self.wire, httpx.URL(self._offered(job, "log")), "lines"):
            yield str(line.get("text", "")) if isinstance(line, dict) else str(line)

    def deploy(self, package: Any, *, media_type: str = PACKAGE) -> Process:
        """Add a process, as OGC API - Processes Part 2 has it.

        Args:
            package: an application package, to be sent as JSON.
            media_type: what kind of package it is.

        Raises:
            NotOffered: this server does not let anybody.
            Refused: it does not take this one.
        """
        return process_of(json_of(self._put("POST", self.wire.url("processes"), package, media_type)))

    def replace(self, process_id: str, package: Any, *, media_type: str = PACKAGE) -> None:
        """Put another package in the place of a deployed process.

        Raises:
            NotOffered: this server does not let anybody.
            NotThere: there is none of this id.
        """
        self._put("PUT", self.wire.url("processes", process_id), package, media_type)

    def undeploy(self, process_id: str) -> None:
        """Remove a deployed process.

        Raises:
            NotOffered: this server does not let anybody.
            NotThere: there is none of this id.
        """
        self._put("DELETE", self.wire.url("processes", process_id), None, None)

    def _address(self, job: str | JobStatus) -> httpx.URL:
        return httpx.URL(job.url) if isinstance(job, JobStatus) else self.wire.url("jobs", job)

    def _offered(self, job: str | JobStatus, what: str) -> str:
        """The address of something beside a job that the standard does not know."""
        found = self.job(job)
        address = link_of(found.document, rel=what, base=found.url)
        if address is None and link_of(found.document, rel="log") is not None:
            # Who keeps a log is a hub, though it may not say all that it can do.
            address = f"{found.url}/{what}"
        if address is None or origin(httpx.URL(address)) != origin(self.wire.base):
            raise NotOffered(f"job {found.id!r}: {shown(self.wire.base)} offers no {what}; a tilepipe hub does")
        return address

    def _put(self, method: str, url: httpx.URL, package: Any, media_type: str | None) -> httpx.Response:
        content = None if media_type is None else json.dumps(package).encode()
        headers = {} if media_type is None else {"Content-Type": media_type}
        try:
            return self.wire.send(method, url, headers=headers, content=content, harmless=method == "PUT")
        except Refused as error:
            if error.status in {405, 501}:
                raise NotOffered(
                    f"{method} {shown(url)}: this server lets nobody deploy; its operator can allow it"
                ) from error
            raise

    def _or_gone(self, before: JobStatus) -> JobStatus:
        """The job after it was dismissed, also where it is not kept."""
        try:
            return self.job(before)
        except NotThere:
            return before if before.ended else replace(before, status="dismissed")
