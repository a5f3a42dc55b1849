"""The jobs: their list, each one's status, request and log, dismissing and trying again."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.job import Job
from tilepipe_hub.routes.answering import answer, json_response, link, link_header, page_response, self_links
from tilepipe_hub.routes.asking import HTML, base_of, caller_of, form_of, hub_of
from tilepipe_hub.routes.delivery import reader_of
from tilepipe_hub.routes.documents import status_info
from tilepipe_hub.routes.parameters import limit_of, next_place, previous_place, query_of
from tilepipe_hub.routes.privacy import for_others, is_of
from tilepipe_hub.routes.routing import Router
from tilepipe_hub.routes.showing import shown_results
from tilepipe_hub.work import work_of

__all__ = ["created", "router"]

router = Router()


@router.at("/jobs")
def jobs(request: Request) -> Response:
    """A page of the list."""
    base = base_of(request)
    query, place = query_of(request)
    page = hub_of(request).service.find(caller_of(request), query)
    links = self_links(request, "Jobs")
    rest = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    if page.next is not None:
        links.append(link(_with(f"{base}/jobs", rest, next_place(place, page.next)), "next", title="Next page"))
    if place.cursor is not None:
        links.append(link(_with(f"{base}/jobs", rest, previous_place(place)), "prev", title="Page before"))
    shown = [status_info(job, base) for job in page.jobs]
    rows = [_row(item, base) for item in shown] if form_of(request) == HTML else []
    columns = ("Job", "Process", "Title", "Status", "Progress", "Created")
    return answer(request, {"jobs": shown, "links": links}, title="Jobs", columns=columns, rows=rows)


def _row(item: dict[str, Any], base: str) -> tuple[Any, ...]:
    name = {"text": item["id"], "href": f"{base}/jobs/{item['id']}?f=html"}
    words = (item["processID"], item.get("title", ""), item["status"], f"{item['progress']} %", item["created"])
    return (name, *words)


def _with(address: str, rest: list[tuple[str, str]], cursor: str | None) -> str:
    pairs = [*rest, *([("cursor", cursor)] if cursor else [])]
    return f"{address}?{urlencode(pairs)}" if pairs else address


@router.at("/jobs/{job_id}")
def job(request: Request, job_id: str) -> Response:
    """The status of a job."""
    service, base = hub_of(request).service, base_of(request)
    found = service.get(caller_of(request), job_id)
    links, heir = self_links(request, "Status of the job"), service.successor(found)
    if heir is not None:
        links.append(link(f"{base}/jobs/{heir.id}", "successor-version", title="The job that continues it"))
    document = status_info(found, base, links=links)
    # What was made belongs to the job that continues it.
    made = _made(request, found) if form_of(request) == HTML and heir is None else {}
    response = answer(request, document, title=found.title or f"Job {found.id}", template="job.html", **made)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _made(request: Request, job: Job) -> dict[str, Any]:
    work = work_of(job.request.work)
    return shown_results(job.results or {}, work.asked, reader_of(request, job.id, work.folder))


@router.at("/jobs/{job_id}", "DELETE")
def dismiss(request: Request, job_id: str) -> Response:
    """End a job, or remove one that has ended."""
    found = hub_of(request).service.dismiss(caller_of(request), job_id)
    base = base_of(request)
    document = status_info(found, base, links=[link(f"{base}/jobs", "up", title="Jobs")])
    return _form(request, document, f"Job {found.id}")


@router.at("/jobs/{job_id}/definition")
def definition(request: Request, job_id: str) -> Response:
    """The request that made a job."""
    caller = caller_of(request)
    found = hub_of(request).service.get(caller, job_id)
    asked = found.request
    said = {
        "outputs": asked.outputs,
        "response": asked.response,
        "subscriber": asked.subscriber,
        "title": found.title or None,
        "labels": list(found.labels) or None,
    }
    document = {
        "process": f"{base_of(request)}/processes/{found.process}",
        "inputs": asked.inputs,
        **{key: value for key, value in said.items() if value is not None},
    }
    return _form(request, document if is_of(found, caller) else for_others(document), f"Request of job {found.id}")


@router.at("/jobs/{job_id}/retry", "POST")
def retry(request: Request, job_id: str) -> Response:
    """A new job that goes on where this one ended."""
    found = hub_of(request).service.retry(caller_of(request), job_id)
    base = base_of(request)
    return created(status_info(found, base), base)


@router.at("/jobs/{job_id}/log")
def log(request: Request, job_id: str) -> Response:
    """Lines of a job's log."""
    after = limit_of(request, "after", default=0, least=0)
    limit = limit_of(request)
    lines = hub_of(request).service.logs(caller_of(request), job_id, after=min(after, 2**62), limit=limit)
    links = self_links(request, "Log")
    if len(lines) == limit:
        here = f"{base_of(request)}/jobs/{job_id}/log"
        links.append(link(f"{here}?after={lines[-1].number}&limit={limit}", "next", title="Next lines"))
    shown = [{"number": line.number, "time": round(line.time, 3), "text": line.text} for line in lines]
    rows = [(str(line.number), line.text) for line in lines]
    document = {"lines": shown, "links": links}
    return answer(request, document, title=f"Log of job {job_id}", columns=("", "Line"), rows=rows)


def created(document: dict[str, Any], base: str) -> Response:
    """The answer to what made a job."""
    response = json_response(document, status=201)
    here = f"{base}/jobs/{document['jobID']}"
    response.headers["Location"] = here
    response.headers["Link"] = link_header([link(here, "monitor")])
    return response


def _form(request: Request, document: dict[str, Any], title: str) -> Response:
    if form_of(request) == HTML:
        return page_response(request, "page.html", title=title, document=document)
    return json_response(document)
