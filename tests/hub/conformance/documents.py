"""What documents have to be like, after the published schemas of OGC API - Processes 1.0."""

import jsonschema

TEXT = {"type": "string"}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
LINK = {"type": "object", "required": ["href"], "properties": dict.fromkeys(["href", "rel", "type", "title"], TEXT)}
LINKS = {"type": "array", "items": LINK}

LANDING = {"type": "object", "required": ["links"], "properties": {"links": LINKS, "title": TEXT, "description": TEXT}}
CLASSES = {
    "type": "object",
    "required": ["conformsTo"],
    "properties": {"conformsTo": {"type": "array", "items": TEXT, "minItems": 1}},
}
SUMMARY = {
    "type": "object",
    "required": ["id", "version"],
    "properties": {
        **dict.fromkeys(["id", "version", "title", "description"], TEXT),
        "jobControlOptions": {"items": {"enum": ["sync-execute", "async-execute", "dismiss"]}},
        "outputTransmission": {"items": {"enum": ["value", "reference"]}},
        "links": LINKS,
    },
}
PROCESSES = {
    "type": "object",
    "required": ["processes", "links"],
    "properties": {"processes": {"type": "array", "items": SUMMARY}, "links": LINKS},
}
STATUS = {
    "type": "object",
    "required": ["jobID", "status", "type", "id", "processID"],
    "properties": {
        **dict.fromkeys(["jobID", "id", "processID", "message"], TEXT),
        "type": {"enum": ["process"]},
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        **dict.fromkeys(["created", "started", "finished", "updated"], TIME),
        "links": LINKS,
    },
}
JOBS = {
    "type": "object",
    "required": ["jobs", "links"],
    "properties": {"jobs": {"type": "array", "items": STATUS}, "links": LINKS},
}
EXCEPTION = {
    "type": "object",
    "required": ["type"],
    "properties": {**dict.fromkeys(["type", "title", "detail", "instance"], TEXT), "status": {"type": "integer"}},
}


def check(document, schema):
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
    return document


def links_of(document, rel):
    return [link for link in document["links"] if link["rel"] == rel]


def check_exception(answer, status, suffix=""):
    """The exception of an answer, in all the forms that are asked for."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    document = check(answer.json(), EXCEPTION)
    assert document["status"] == status
    assert document["type"].endswith(suffix)
    return document
