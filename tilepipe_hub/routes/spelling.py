"""How operations, parameters and answers are spelled in OpenAPI."""

from typing import Any

from tilepipe_hub.routes.schemas import ref

__all__ = [
    "BYTES",
    "HTML",
    "JSON",
    "PROBLEM",
    "TEXT",
    "Part",
    "answered",
    "errors",
    "form",
    "in_header",
    "in_path",
    "in_query",
]
__all__ += ["reading", "results"]

JSON = "application/json"
HTML = "text/html"
PROBLEM = "application/problem+json"

Part = dict[str, Any]

TEXT: Part = {"type": "string"}
BYTES: Part = {"type": "string", "format": "binary"}
REASONS = {
    "400": "Something in the request does not fit",
    "401": "A token is needed, or is not known",
    "403": "The role does not allow this",
    "404": "There is no such thing",
    "406": "It cannot be had in that form",
    "409": "It is in a state that does not allow this",
    "413": "The request is too large",
    "415": "The body is of another type",
    "416": "The file has no such bytes",
    "429": "Too much at once",
    "500": "The job failed",
    "503": "The store of jobs is away",
}
DAY = {"schema": {"type": "string", "enum": ["json", "html"]}, "description": "Form of the answer, before Accept."}


def reading(name: str, summary: str, schema: str, bad: str, *parameters: Part) -> Part:
    """An operation that reads or removes, answered with a document of a schema, also as a page."""
    content = {JSON: ref(schema), HTML: TEXT}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*parameters, form()],
        "responses": {"200": answered(summary, content), **errors(bad)},
    }


def results() -> Part:
    """The answer that holds results, in any of their forms."""
    return answered("Results", {JSON: {}, "multipart/related": BYTES, HTML: TEXT, "text/plain": TEXT, "*/*": BYTES})


def answered(text: str, content: Part) -> Part:
    """An answer with its content: media type to schema."""
    answer: Part = {"description": text}
    return {**answer, "content": {kind: {"schema": schema} for kind, schema in content.items()}} if content else answer


def errors(codes: str) -> Part:
    """Answers that are exception documents, for status codes with blanks between."""
    problem = {PROBLEM: ref("exception"), JSON: ref("exception"), HTML: TEXT}
    return {code: answered(REASONS.get(code, "The job failed"), problem) for code in codes.split()}


def in_query(name: str, schema: Part, text: str, **more: Any) -> Part:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **more}


def form() -> Part:
    """The parameter `f`."""
    return {"name": "f", "in": "query", "required": False, **DAY}


def in_path(name: str) -> Part:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def in_header(name: str) -> Part:
    """A header."""
    return {"name": name, "in": "header", "required": False, "schema": TEXT}
