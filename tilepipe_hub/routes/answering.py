"""How a document goes out: as JSON or as a page, with its links in the header too."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tilepipe_hub.pages import render
from tilepipe_hub.routes.asking import HTML, JSON, accepts, base_of, form_of, hub_of

__all__ = ["answer", "json_response", "link", "link_header", "page_response", "problem_response", "self_links"]

PROBLEM = "application/problem+json"
PLAIN = re.compile(r"[!#-;=?-~]*")
MOST_LINKS = 20
"""In the header; the document has them all."""

Link = dict[str, str]


def link(href: str, rel: str, media_type: str = JSON, title: str = "") -> Link:
    """A link as documents have it."""
    found = {"href": href, "rel": rel, "type": media_type}
    return {**found, "title": title} if title else found


def self_links(request: Request, title: str) -> list[Link]:
    """The links of a resource to itself and to its other form."""
    here = f"{base_of(request)}{request.url.path.rstrip('/') or '/'}"
    query = [(key, value) for key, value in request.query_params.multi_items() if key != "f"]
    tail = "".join(f"&{_quoted(key)}={_quoted(value)}" for key, value in query)
    forms = {JSON: f"{here}?f=json{tail}", HTML: f"{here}?f=html{tail}"}
    own = form_of(request)
    other = HTML if own == JSON else JSON
    return [link(forms[own], "self", own, title), link(forms[other], "alternate", other, title)]


def _quoted(text: str) -> str:
    return "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) in "-._~:") else f"%{byte:02X}"
        for byte in text.encode("utf-8", "replace")
    )


def link_header(links: Sequence[Mapping[str, str]]) -> str:
    """Links as RFC 8288 has them."""
    return ", ".join(
        f'<{_uri(item["href"])}>; rel="{item["rel"]}"' + (f'; type="{item["type"]}"' if item.get("type") else "")
        for item in links[:MOST_LINKS]
        if '"' not in f"{item['rel']}{item.get('type', '')}"
    )


def _uri(text: str) -> str:
    if PLAIN.fullmatch(text):
        return text
    return "".join(
        chr(byte) if 32 < byte < 127 and chr(byte) not in '<>"' else f"%{byte:02X}"
        for byte in text.encode("utf-8", "replace")
    )


def json_response(document: Any, *, status: int = 200, kind: str = JSON) -> Response:
    """A document as JSON; halves of surrogate pairs go as escapes."""
    return Response(json.dumps(document).encode(), status_code=status, headers={"Content-Type": kind})


def page_response(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page of the hub."""
    settings = hub_of(request).settings
    page = render(template, base=base_of(request), service=settings.title, **values)
    return HTMLResponse(page.encode("utf-8", "replace"), status_code=status)


def answer(
    request: Request, document: Mapping[str, Any], *, title: str, template: str = "page.html", **values: Any
) -> Response:
    """A document in the form that is wanted, with its links in the header."""
    if form_of(request) == HTML:
        response = page_response(request, template, title=title, document=document, **values)
    else:
        response = json_response(document)
    if document.get("links"):
        response.headers["Link"] = link_header(document["links"])
    response.headers["Vary"] = "Accept, Authorization"
    return response


def problem_response(request: Request, document: Mapping[str, Any]) -> Response:
    """An exception document: as a page for browsers, as plain JSON for who takes nothing else."""
    status = int(document["status"])
    kinds = [kind for kind, quality in accepts(request) if quality > 0]
    if kinds and kinds[0] == HTML and request.query_params.get("f") != "json":
        return page_response(request, "page.html", status=status, title=document["title"], document=document)
    plain = bool(kinds) and all(kind == JSON for kind in kinds)
    return json_response(document, status=status, kind=JSON if plain else PROBLEM)
