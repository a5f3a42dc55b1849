"""The processes: their list, and each one's description."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.processes.describe import describe, summary
from tilepipe_hub.routes.answering import answer, link, self_links
from tilepipe_hub.routes.asking import base_of, caller_of, hub_of
from tilepipe_hub.routes.parameters import limit_of
from tilepipe_hub.routes.routing import Router

__all__ = ["router"]

router = Router()


@router.at("/processes")
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


@router.at("/processes/{process_id}")
def process(request: Request, process_id: str) -> Response:
    """A description."""
    entry = hub_of(request).service.entry(caller_of(request), process_id)
    document = describe(entry, base_url=base_of(request))
    body = _body(document["inputs"])
    return answer(request, document, title=document["title"], template="process.html", body=body)


def _body(inputs: Mapping[str, Any]) -> str:
    """A request to begin with: what has to be said, with links where data are read."""
    needed = {name: item["schema"] for name, item in inputs.items() if item.get("minOccurs", 1) > 0}
    return json.dumps({"inputs": {name: _value(schema) for name, schema in needed.items()}}, indent=2)


def _value(schema: Mapping[str, Any]) -> Any:
    # An object of its own is told from a link or a value by where it stands.
    if "example" in schema:
        return {"value": schema["example"]} if schema.get("type") == "object" else schema["example"]
    if any("contentMediaType" in kind for kind in schema.get("oneOf", [schema])):
        return {"href": ""}
    if schema.get("type") == "object" and "default" not in schema:
        return {"value": dict.fromkeys(schema.get("required", ()))}
    return schema.get("default", "" if schema.get("type") == "string" else None)
