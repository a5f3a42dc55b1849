"""The definition of the API as OpenAPI 3.0 and 3.1, whose every operation lists what it really answers."""

from importlib import metadata
from typing import Any

from tilepipe_hub.job import STATUSES
from tilepipe_hub.routes.parameters import LIMIT, MOST
from tilepipe_hub.routes.schemas import SCHEMAS, ref
from tilepipe_hub.routes.spelling import (
    BYTES,
    HTML,
    JSON,
    PROBLEM,
    TEXT,
    Part,
    answered,
    errors,
    form,
    in_header,
    in_path,
    in_query,
    reading,
    results,
)
from tilepipe_hub.settings import Settings

__all__ = ["MEDIA_TYPES", "openapi"]

VERSIONS = {"3.0": "3.0.4", "3.1": "3.1.1"}
MEDIA_TYPES = {version: f"application/vnd.oai.openapi+json;version={version}" for version in VERSIONS}
"""Of the definition, by the version of OpenAPI that it is written in; the first is the one that comes unasked."""


EXAMPLE: Part = {"inputs": {"text": "hello", "number": 4}, "response": "document"}
"""For the process `echo`."""

SECONDS: Part = {"type": "integer", "minimum": 0}


def openapi(settings: Settings, base: str, *, version: str = "3.0") -> Part:
    """The definition for a service at *base*, in a version of `MEDIA_TYPES`."""
    open_to_all = settings.auth.anonymous_role is not None
    security: list[Part] = [{"bearer": []}, {"basic": []}]
    paths = {**_reading(), **_executing(), **_fetching(), **_operating()}
    if settings.deploy:
        for path, operations in _deploying().items():
            paths[path] = {**paths.get(path, {}), **operations}
    document: Part = {
        "openapi": VERSIONS[version],
        "info": {
            "title": settings.title,
            "version": metadata.version("tilepipe"),
            "description": "OGC API - Processes: Python functions over the tiles of a pyramid, as jobs.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }
    if not settings.auth.is_open:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic", "description": "The password is the token."},
        }
        document["security"] = [{}, *security] if open_to_all else security
    return document if version == "3.0" else _without_formats(document)


def _without_formats(part: Any) -> Any:
    """The definition as 3.1 has it, whose schemas know no bytes: what has no schema may be any."""
    if isinstance(part, dict):
        return {key: {} if item == BYTES else _without_formats(item) for key, item in part.items()}
    return [_without_formats(item) for item in part] if isinstance(part, list) else part


def _reading() -> Part:
    limit = in_query(
        "limit", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": LIMIT}, f"At most {MOST}."
    )
    offset = in_query("offset", {"type": "integer", "minimum": 0, "default": 0}, "How many to leave out.")
    after = in_query("after", {"type": "integer", "minimum": 0, "default": 0}, "The last line that is known.")
    return {
        "/": {"get": reading("landing", "Landing page", "landingPage", "400 401 406 429")},
        "/conformance": {"get": reading("conformance", "Conformance classes", "confClasses", "400 406")},
        "/api": {"get": _definition()},
        "/processes": {
            "get": reading("processes", "List of processes", "processList", "400 401 403 406 429", limit, offset)
        },
        "/processes/{processID}": {
            "get": reading(
                "process", "Description of a process", "process", "400 401 403 404 406 429", in_path("processID")
            )
        },
        "/jobs": {
            "get": reading("jobs", "List of jobs", "jobList", "400 401 403 406 429 503", limit, *_filters()),
        },
        "/jobs/{jobId}": {
            "get": reading("job", "Status of a job", "statusInfo", "400 401 403 404 406 429 503", in_path("jobId")),
            "delete": reading(
                "dismiss", "End or remove a job", "statusInfo", "400 401 403 404 406 409 429 503", in_path("jobId")
            ),
        },
        "/jobs/{jobId}/definition": {
            "get": reading(
                "definition", "Request that made a job", "execute", "400 401 403 404 406 429 503", in_path("jobId")
            ),
        },
        "/jobs/{jobId}/log": {
            "get": reading("log", "Log of a job", "log", "400 401 403 404 406 429 503", in_path("jobId"), limit, after),
        },
    }


def _definition() -> Part:
    version = in_query("version", {"type": "string", "enum": [*VERSIONS]}, "Of OpenAPI.")
    operation = reading("api", "This definition", "results", "400 406", version)
    content = {kind: {"schema": {"type": "object"}} for kind in (*MEDIA_TYPES.values(), JSON)}
    operation["responses"]["200"]["content"] = {**content, HTML: {"schema": TEXT}}
    return operation


def _executing() -> Part:
    bad = "400 401 403 404 406 409 413 415 429 500 503"
    header = {"Location": {"description": "Address of the job", "schema": {"type": "string", "format": "uri"}}}
    made = {**answered("The job was accepted", {JSON: ref("statusInfo")}), "headers": header}
    return {
        "/processes/{processID}/execution": {
            "post": {
                "operationId": "execute",
                "summary": "Execute a process",
                "parameters": [in_path("processID"), in_header("Prefer"), in_header("Idempotency-Key")],
                "requestBody": {"required": True, "content": {JSON: {"schema": ref("execute"), "example": EXAMPLE}}},
                "responses": {"200": results(), "201": made, "204": answered("Results as links", {}), **errors(bad)},
            }
        },
        "/jobs/{jobId}/retry": {
            "post": {
                "operationId": "retry",
                "summary": "Go on with a job that failed or was dismissed",
                "parameters": [in_path("jobId")],
                "responses": {"201": made, **errors("401 403 404 409 429 503")},
            }
        },
    }


def _fetching() -> Part:
    outputs = in_query("outputs", {"type": "array", "items": TEXT}, "Only these.", style="form", explode=False)
    asked = [in_path("jobId"), outputs, in_header("Prefer")]
    events = answered("Changes of the status", {"text/event-stream": TEXT})
    failed = answered("Why the job failed", {PROBLEM: ref("exception"), JSON: ref("exception")})
    return {
        "/jobs/{jobId}/results": {
            "get": {
                "operationId": "results",
                "summary": "Results of a job",
                "parameters": [*asked, form()],
                "responses": {
                    "200": results(),
                    "204": answered("Results as links", {}),
                    **errors("400 401 403 404 406 422 429 500 503"),
                    "default": failed,
                },
            }
        },
        "/jobs/{jobId}/results/{outputID}": {
            "get": {
                "operationId": "result",
                "summary": "One result of a job",
                "parameters": [in_path("jobId"), in_path("outputID"), form()],
                "responses": {
                    "200": results(),
                    "204": answered("The result as a link", {}),
                    **errors("400 401 403 404 406 429 503"),
                    "default": failed,
                },
            }
        },
        "/jobs/{jobId}/events": {
            "get": {
                "operationId": "events",
                "summary": "Changes of a job's status, until it ends",
                "parameters": [in_path("jobId")],
                "responses": {"200": events, **errors("401 403 404 429 503")},
            }
        },
        "/jobs/{jobId}/output/{path}": {
            "get": {
                "operationId": "output",
                "summary": "A file that a job made",
                "parameters": [in_path("jobId"), in_path("path"), in_header("Range"), in_header("If-None-Match")],
                "responses": {
                    "200": answered("The file", {"*/*": BYTES}),
                    "206": answered("Some of its bytes", {"*/*": BYTES}),
                    "304": {"description": "It is the one that is known"},
                    **errors("400 401 403 404 416 429 503"),
                },
            }
        },
    }


def _operating() -> Part:
    def one(name: str, summary: str, content: Part, bad: str) -> Part:
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "responses": {"200": answered(summary, content)} | errors(bad),
            }
        }

    return {
        "/health": one("health", "Whether the service lives", {JSON: ref("health")}, ""),
        "/ready": one("ready", "Whether the service can take jobs", {JSON: ref("health")}, "503"),
        "/metrics": one("metrics", "Figures for Prometheus", {"text/plain": TEXT}, "401 403 429"),
    }


def _deploying() -> Part:
    bad = "400 401 403 404 409 413 415 429"
    body = {
        "required": True,
        "content": {"application/ogcapppkg+json": {"schema": ref("package")}, JSON: {"schema": ref("package")}},
    }
    where = {"Location": {"description": "Address of the process", "schema": {"type": "string", "format": "uri"}}}
    made = {**answered("The process is deployed", {JSON: ref("processSummary")}), "headers": where}
    gone: Part = {"204": {"description": "Done"}}
    return {
        "/processes": {
            "post": {
                "operationId": "deploy",
                "summary": "Deploy a process",
                "requestBody": body,
                "responses": {"201": made, **errors(bad)},
            }
        },
        "/processes/{processID}": {
            "put": {
                "operationId": "replace",
                "summary": "Replace a process",
                "parameters": [in_path("processID")],
                "requestBody": body,
                "responses": gone | errors(bad),
            },
            "delete": {
                "operationId": "undeploy",
                "summary": "Remove a process",
                "parameters": [in_path("processID")],
                "responses": gone | errors("401 403 404 429"),
            },
        },
        "/processes/{processID}/package": {
            "get": {
                "operationId": "package",
                "summary": "What was deployed",
                "parameters": [in_path("processID")],
                "responses": {
                    "200": answered("The package", {"application/ogcapppkg+json": ref("package")}),
                    **errors("401 403 404 429"),
                },
            }
        },
    }


def _filters() -> list[Part]:
    texts: Part = {"type": "array", "items": TEXT}
    states: Part = {"type": "array", "items": {"type": "string", "enum": list(STATUSES)}}
    return [
        in_query("type", {"type": "array", "items": {"type": "string", "enum": ["process"]}}, "Kinds of jobs."),
        in_query("processID", texts, "Jobs of these processes."),
        in_query("status", states, "Jobs in these states."),
        in_query("datetime", TEXT, "Jobs created at a moment, or within a/b, ../b, a/.. ."),
        in_query("minDuration", SECONDS, "Jobs that took at least so many seconds."),
        in_query("maxDuration", SECONDS, "Jobs that took at most so many seconds."),
        in_query("q", TEXT, "Words of id, process, title and labels."),
        in_query("cursor", TEXT, "From the link `next` or `prev`."),
    ]
