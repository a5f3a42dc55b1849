"""A job as clients see it: OGC's `statusInfo`, in the words of version 1.0 and of the draft of 2.0."""

from typing import Any

from tilepipe_hub.callback import status_document
from tilepipe_hub.job import Job
from tilepipe_hub.routes.answering import link
from tilepipe_hub.routes.asking import HTML

__all__ = ["EXCEPTIONS", "JOB_LIST", "RESULTS", "status_info"]

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
RESULTS = f"{REL}results"
EXCEPTIONS = f"{REL}exceptions"
JOB_LIST = f"{REL}job-list"


def status_info(job: Job, base: str, *, links: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The status of a job.

    Args:
        job: as the store has it.
        base: the service's address.
        links: to the document itself; None: as JSON, where it stands in a list.
    """
    here = f"{base}/jobs/{job.id}"
    document = status_document(job, job.progress, link=here)
    document["id"] = job.id
    document["processingEntityType"] = "ogc-api-processes"
    if job.title:
        document["title"] = job.title
    if job.labels:
        document["keywords"] = list(job.labels)
    if job.continues:
        document["continues"] = job.continues
    tiles = {
        "done": job.progress.done,
        "total": job.progress.total,
        "failed": job.progress.failed,
        "rate": job.progress.rate,
        "etaSeconds": job.progress.eta_s,
    }
    if job.progress.total is not None:
        document["tiles"] = {key: value for key, value in tiles.items() if value is not None}
    if job.status == "failed" and job.problem:
        document["exception"] = dict(job.problem)
    document["links"] = [*(links or [link(here, "self", title="Status of the job")]), *_further_links(job, base)]
    return document


def _further_links(job: Job, base: str) -> list[dict[str, str]]:
    here = f"{base}/jobs/{job.id}"
    found = [link(here, "monitor", title="Status of the job"), link(f"{base}/jobs", "up", title="Jobs")]
    found += [link(f"{base}/processes/{job.process}", "process", title="Process")]
    found += [link(f"{here}/definition", "describedby", title="Request"), link(f"{here}/log", f"{REL}log", title="Log")]
    if job.status == "successful":
        found.append(link(f"{here}/results", RESULTS, title="Results"))
    if job.status == "failed" and job.results is not None:
        found.append(link(f"{here}/results", RESULTS, title="Results, without what failed"))
    elif job.status == "failed":
        found.append(link(f"{here}/results", EXCEPTIONS, title="Why it failed"))
    if job.status in {"failed", "dismissed"}:
        found.append(link(f"{here}/retry", "retry", title="POST: a new job that goes on where this one ended"))
    if not job.ended:
        found.append(link(f"{here}/events", "events", "text/event-stream", "Changes of the status"))
    if job.continues:
        found.append(link(f"{base}/jobs/{job.continues}", "predecessor-version", HTML, "The job it continues"))
    return found
