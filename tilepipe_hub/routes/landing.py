"""The way in: landing page, conformance, the definition of the API, and what pages load."""

from starlette.requests import Request
from starlette.responses import Response

from tilepipe_hub.errors import BadQuery
from tilepipe_hub.pages import ASSETS, asset
from tilepipe_hub.routes.answering import answer, json_response, link, page_response, self_links
from tilepipe_hub.routes.asking import HTML, JSON, base_of, form_of, hub_of
from tilepipe_hub.routes.documents import JOB_LIST
from tilepipe_hub.routes.openapi import MEDIA_TYPES, openapi
from tilepipe_hub.routes.problems import NoSuchPath
from tilepipe_hub.routes.routing import Router

__all__ = ["CONFORMANCE", "router"]

router = Router()

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
CORE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
CONFORMANCE = tuple(
    f"{CORE}{name}"
    for name in ("core", "ogc-process-description", "json", "html", "oas30", "job-list", "callback", "dismiss")
)
DRU = "http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/"
DEPLOY = (f"{DRU}deploy-replace-undeploy", f"{DRU}ogcapppkg")


@router.at("/")
def landing(request: Request) -> Response:
    """What there is."""
    base = base_of(request)
    links = [
        *self_links(request, "This page"),
        link(f"{base}/api?f=json", "service-desc", MEDIA_TYPES["3.0"], "Definition of the API"),
        link(
            f"{base}/api?f=json&version=3.1", "service-desc", MEDIA_TYPES["3.1"], "Definition of the API, OpenAPI 3.1"
        ),
        link(f"{base}/api?f=html", "service-doc", HTML, "Documentation of the API"),
        link(f"{base}/conformance", f"{REL}conformance", JSON, "Conformance classes"),
        link(f"{base}/processes", f"{REL}processes", JSON, "Processes"),
        link(f"{base}/jobs", JOB_LIST, JSON, "Jobs"),
    ]
    title = hub_of(request).settings.title
    document = {
        "title": title,
        "description": "Runs Python functions over the tiles of a pyramid, as jobs.",
        "links": links,
    }
    return answer(request, document, title=title)


@router.at("/conformance")
def conformance(request: Request) -> Response:
    """What holds."""
    classes = [*CONFORMANCE, *(DEPLOY if hub_of(request).settings.deploy else ())]
    document = {"conformsTo": classes, "links": self_links(request, "Conformance classes")}
    return answer(request, document, title="Conformance")


@router.at("/api")
def api(request: Request) -> Response:
    """The definition of the API."""
    version = _version(request)
    document = openapi(hub_of(request).settings, base_of(request), version=version)
    form = form_of(request, (MEDIA_TYPES[version], JSON, HTML))
    if form == HTML:
        rows = [
            (_operation(base_of(request), method, path), operation["summary"])
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict) and "summary" in operation
        ]
        return page_response(
            request, "api.html", title="API", document=document, columns=("Operation", "What it does"), rows=rows
        )
    plain = form == JSON and "f" not in request.query_params
    return json_response(document, kind=JSON if plain else MEDIA_TYPES[version])


def _operation(base: str, method: str, path: str) -> str | dict[str, str]:
    """An operation as a page names it, with a link where its address is enough to follow it."""
    text = f"{method.upper()} {path}"
    return {"text": text, "href": f"{base}{path}"} if method == "get" and "{" not in path else text


def _version(request: Request) -> str:
    """Of OpenAPI: as the query says, else the first that the header `Accept` names."""
    asked = request.query_params.get("version")
    if asked is None:
        said = ",".join(request.headers.getlist("accept")).lower().replace(" ", "").replace('"', "").split(",")
        return next((version for kind in said for version, name in MEDIA_TYPES.items() if kind.startswith(name)), "3.0")
    if asked not in MEDIA_TYPES:
        raise BadQuery([("version", f"is {asked[:100]!r}; it takes {' or '.join(MEDIA_TYPES)}")])
    return asked


@router.at("/pages/{name}")
def page_asset(_request: Request, name: str) -> Response:
    """What a page loads."""
    if name not in ASSETS:
        raise NoSuchPath("pages load no such file")
    headers = {"Cache-Control": "max-age=3600"}
    return Response(asset(name), media_type=ASSETS[name], headers=headers)
