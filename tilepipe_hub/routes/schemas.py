"""What documents look like, in the words that OpenAPI 3.0 and 3.1 share."""

from typing import Any

from tilepipe_hub.job import STATUSES

__all__ = ["SCHEMAS", "ref"]

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
ANY: Schema = {}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _object(required: str = "", **properties: Schema) -> Schema:
    known: Schema = {"type": "object", "properties": properties}
    return {**known, "required": required.split()} if required else known


LINKS = _list(ref("link"))
WORDS = {"title": TEXT, "description": TEXT, "keywords": _list(TEXT)}
SUMMARY = {
    **WORDS,
    "id": TEXT,
    "version": TEXT,
    "jobControlOptions": _list({"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]}),
    "outputTransmission": _list({"type": "string", "enum": ["value", "reference"]}),
    "mutable": {"type": "boolean"},
    "links": LINKS,
}
OCCURS: Schema = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "enum": ["unbounded"]}]}
INPUT = _object("schema", **WORDS, minOccurs={"type": "integer", "minimum": 0}, maxOccurs=OCCURS, schema=ANY)
FORMAT = _object(mediaType=TEXT, encoding=TEXT, schema=ANY)
MODE: Schema = {"type": "string", "enum": ["value", "reference"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
WEB: Schema = {"type": "string", "format": "uri", "pattern": "^https?://"}

SCHEMAS: dict[str, Schema] = {
    "link": _object("href", href=TEXT, rel=TEXT, type=TEXT, hreflang=TEXT, title=TEXT),
    "exception": {
        **_object(
            "type title status",
            type=TEXT,
            title=TEXT,
            status={"type": "integer", "minimum": 400, "maximum": 599},
            detail=TEXT,
            instance=TEXT,
            errors=_list(_object("pointer detail", pointer=TEXT, detail=TEXT)),
        ),
        "additionalProperties": True,
    },
    "landingPage": _object("links", title=TEXT, description=TEXT, links=LINKS),
    "confClasses": _object("conformsTo", conformsTo=_list(TEXT), links=LINKS),
    "processSummary": _object("id version", **SUMMARY),
    "processList": _object("processes links", processes=_list(ref("processSummary")), links=LINKS),
    "process": _object(
        "id version inputs outputs",
        **SUMMARY,
        inputs={"type": "object", "additionalProperties": INPUT},
        outputs={"type": "object", "additionalProperties": _object("schema", **WORDS, schema=ANY)},
    ),
    "execute": _object(
        process={**TEXT, "description": "Address of the process; the path says which one is meant."},
        inputs={"type": "object", "additionalProperties": ANY},
        outputs={"type": "object", "additionalProperties": _object(format=FORMAT, transmissionMode=MODE)},
        response={"type": "string", "enum": ["raw", "document"], "default": "raw"},
        subscriber=_object(successUri=WEB, inProgressUri=WEB, failedUri=WEB),
        title={"type": "string", "maxLength": 200},
        labels={"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 20},
    ),
    "statusInfo": _object(
        "jobID id status type processID created links",
        processID=TEXT,
        type={"type": "string", "enum": ["process"]},
        processingEntityType=TEXT,
        jobID=TEXT,
        id=TEXT,
        title=TEXT,
        keywords=_list(TEXT),
        status={"type": "string", "enum": list(STATUSES)},
        message=TEXT,
        progress={"type": "integer", "minimum": 0, "maximum": 100},
        created=TIME,
        started=TIME,
        finished=TIME,
        updated=TIME,
        continues=TEXT,
        exception=ref("exception"),
        tiles=_object(
            done=COUNT,
            total=COUNT,
            failed=COUNT,
            rate={"type": "number", "minimum": 0},
            etaSeconds={"type": "number", "minimum": 0},
        ),
        links=LINKS,
    ),
    "jobList": _object("jobs links", jobs=_list(ref("statusInfo")), links=LINKS),
    "results": {"type": "object", "additionalProperties": ANY},
    "log": _object(
        "lines links",
        lines=_list(_object("number text", number=COUNT, time={"type": "number"}, text=TEXT)),
        links=LINKS,
    ),
    "health": _object("status", status=TEXT),
    "package": _object(
        "executionUnit",
        processDescription=_object("id", id=TEXT, title=TEXT, version=TEXT),
        executionUnit=_object("value", type=TEXT, mediaType=TEXT, value=TEXT),
    ),
}
