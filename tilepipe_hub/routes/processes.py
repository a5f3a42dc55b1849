"""The processes: their list, and each one's description."""

from fastapi import APIRouter, Request, Response

from tilepipe_hub.processes.describe import describe, summary
from tilepipe_hub.routes.answering import answer, link, self_links
from tilepipe_hub.routes.asking import base_of, caller_of, hub_of
from tilepipe_hub.routes.parameters import limit_of

__all__ = ["router"]

router = APIRouter()


@router.api_route("/processes", methods=["GET", "HEAD"])
def processes(request: Request) -> Response:
    """A page of the list."""
    base = base_of(request)
    entries = hub_of(request).service.entries(caller_of(request))
    limit, start = limit_of(request), limit_of(request, "offset", default=0, least=0)
    links = self_links(request, "Processes")
    there = f"{base}/processes?limit={limit}&offset="
    if start + limit < len(entries):
        links.append(link(f"{there}{start + limit}", "next", title="Next page"))
    if start > 0:
        links.append(link(f"{there}{max(0, start - limit)}", "prev", title="Page before"))
    shown = [summary(entry, base_url=base) for entry in entries[start : start + limit]]
    rows = [
        ({"text": item["id"], "href": f"{base}/processes/{item['id']}?f=html"}, item["title"], item["version"])
        for item in shown
    ]
    document = {"processes": shown, "links": links}
    return answer(request, document, title="Processes", columns=("Process", "Title", "Version"), rows=rows)


@router.api_route("/processes/{process_id}", methods=["GET", "HEAD"])
def process(request: Request, process_id: str) -> Response:
    """A description."""
    entry = hub_of(request).service.entry(caller_of(request), process_id)
    document = describe(entry, base_url=base_of(request))
    return answer(request, document, title=document["title"])
