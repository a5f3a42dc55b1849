"""In which form the results of a job go out: what was asked for, in version 1.0's words or the draft of 2.0's."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.errors import NoResult, NoSuchOutput
from tilepipe_hub.processes.echo import OUTPUTS
from tilepipe_hub.processes.outputs import TILE_OUTPUTS
from tilepipe_hub.results import Part, Reader, Result, as_document, as_link, as_part, chosen, is_reference
from tilepipe_hub.routes.answering import json_response, link_header, page_response
from tilepipe_hub.routes.asking import HTML, JSON, Preference, accepts, base_of, hub_of, preference_of
from tilepipe_hub.routes.showing import shown_results
from tilepipe_hub.work import Work

__all__ = ["deliver", "only", "path_of", "reader_of"]

ANY = "*/*"
PROFILE = '<https://www.opengis.net/def/profile/OGC/0/ogc-results>; rel="profile"'


def path_of(request: Request, folder: str, name: str) -> str:
    """Where a file of a job lies.

    Raises:
        NoResult: there is no such file, or it is none that is given away.
    """
    root = os.path.realpath(os.path.join(hub_of(request).settings.folders.outputs, folder))
    # What begins with a dot is the engine's own: the journal, with the recipe and the code.
    parts = name.split("/")
    odd = any(part in {"", ".", ".."} or part.startswith(".") or "\0" in part or "\\" in part for part in parts)
    path = os.path.join(root, *parts) if not odd else ""
    if odd or os.path.realpath(path) != path or not os.path.isfile(path):
        raise NoResult("the job has no such file")
    return path


def reader_of(request: Request, job_id: str, folder: str) -> Reader:
    """How files and links of a job are had."""

    def read(name: str) -> bytes:
        with open(path_of(request, folder, name), "rb") as file:
            return file.read()

    return Reader(
        read=read,
        size=lambda name: os.path.getsize(path_of(request, folder, name)),
        base=f"{base_of(request)}/jobs/{job_id}",
    )


def deliver(
    request: Request, results: Mapping[str, Result], *, work: Work, reader: Reader, is_said: bool, title: str
) -> Response:
    """The answer with a job's results.

    Args:
        request: whose headers say which form is wanted.
        results: those there are.
        work: what was asked for.
        reader: how files are had.
        is_said: whether the execute request said raw or document itself.
        title: of a page.
    """
    asked = work.asked
    wanted = [kind for kind, quality in accepts(request) if quality > 0]
    form = request.query_params.get("f")
    if form == "html" or (form is None and wanted[:1] == [HTML]):
        document = as_document(results, asked, reader)
        files = any("file" in result for result in results.values())
        shown = shown_results(results, asked, reader) if files else {"files": []}
        return page_response(request, "results.html", title=title, document=document, **shown)
    if work.response == "document":
        # Where the request says how, that is it; a file is never too large for who asks for its value.
        return json_response(as_document(results, _as_values(asked), reader))
    plain = form == "json" or (not is_said and wanted[:1] == [JSON])
    wish = preference_of(request)
    if not work.is_old and len(asked) > 1 and (plain or (wish.returns and wanted[:1] == [ANY])):
        return _as_map(results, asked, reader, wish)
    there = chosen(results, asked)
    as_links = [name for name, item in there.items() if is_reference(item, _mode(asked, name), reader)]
    if len(as_links) == len(there):
        return _links([{"rel": "item", **as_link(name, there[name], reader)} for name in as_links])
    if len(there) == 1:
        return _alone(next(iter(there.values())), reader, wanted)
    return json_response(as_document(results, asked, reader)) if plain else _together(there, as_links, reader)


def _as_map(
    results: Mapping[str, Result], asked: Mapping[str, Mapping[str, str | None]], reader: Reader, wish: Preference
) -> Response:
    """The answer with several results as the draft of 2.0 has it: what is large as links, unless all is preferred."""
    whole = wish.returns == "representation"
    response = json_response(as_document(results, _as_values(asked) if whole else asked, reader))
    response.headers["Link"] = PROFILE
    response.headers["Vary"] = "Accept, Authorization, Prefer"
    if wish.returns:
        response.headers["Preference-Applied"] = f"return={wish.returns}"
    return response


def _mode(asked: Mapping[str, Mapping[str, str | None]], name: str) -> str:
    return asked[name].get("transmission") or "value"


def _as_values(asked: Mapping[str, Mapping[str, str | None]]) -> dict[str, dict[str, str | None]]:
    return {name: {**how, "transmission": _mode(asked, name)} for name, how in asked.items()}


def _links(links: list[dict[str, str]]) -> Response:
    response = Response(status_code=204)
    if links:
        response.headers["Link"] = link_header(links)
    return response


def _alone(result: Result, reader: Reader, wanted: list[str]) -> Response:
    value = result.get("value")
    if isinstance(value, str) and not result.get("mediaType") and wanted == [JSON]:
        return json_response(value)
    part = as_part(result, reader)
    return Response(part.content, headers={"Content-Type": part.media_type})


def _together(there: Mapping[str, Result], as_links: list[str], reader: Reader) -> Response:
    """All in one body, as RFC 2387 has it; what goes as a link is an empty part with the place of its content."""
    boundary = uuid4().hex
    content = bytearray()
    first = ""
    for name, result in there.items():
        if name in as_links:
            target = as_link(name, result, reader)
            part = Part(content=b"", media_type=target.get("type", "application/octet-stream"))
            place = f"Content-Location: {json.dumps(target['href'])[1:-1]}\r\n"
        else:
            part, place = as_part(result, reader), ""
        first = first or part.media_type
        head = f"--{boundary}\r\nContent-Type: {part.media_type}\r\nContent-ID: <{name}>\r\n{place}\r\n"
        content += head.encode() + part.content + b"\r\n"
    content += f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; boundary="{boundary}"; type="{first.partition(";")[0]}"'
    return Response(bytes(content), headers={"Content-Type": kind})


def only(work: Work, name: str) -> Work:
    """The work as if only one output had been asked for, as a value.

    Raises:
        NoSuchOutput: the process has none of this id.
        NoResult: it was not asked for.
    """
    described = OUTPUTS if work.kind == "echo" else TILE_OUTPUTS
    if name not in described:
        raise NoSuchOutput(f"the process has no output {name[:100]!r}; it has: {', '.join(described)}")
    if name not in work.asked:
        raise NoResult(f"the job has no result {name!r}; it has: {', '.join(work.asked) or 'none'}")
    return replace(work, asked={name: {**work.asked[name], "transmission": "value"}}, response="raw")
