"""What a process description has to be like, after the published schemas of OGC API - Processes 1.0, and oracles."""

from collections.abc import Mapping

import jsonschema

ANY = {}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
LINK = {"type": "object", "required": ["href"], "properties": dict.fromkeys(["href", "rel", "type", "title"], TEXT)}
BELOW = {"$ref": "#/definitions/schema"}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(["title", "pattern", "description", "format"], TEXT),
        **dict.fromkeys(["contentMediaType", "contentEncoding", "contentSchema"], TEXT),
        **{key: {"type": "number"} for key in ["maximum", "minimum"]},
        "multipleOf": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        **dict.fromkeys(["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"], COUNT),
        **{key: {"type": "boolean"} for key in ["exclusiveMaximum", "exclusiveMinimum", "uniqueItems"]},
        **{key: {"type": "boolean"} for key in ["nullable", "readOnly", "writeOnly", "deprecated"]},
        "required": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
        "enum": {"type": "array", "minItems": 1},
        "type": {"type": "string", "enum": ["array", "boolean", "integer", "number", "object", "string"]},
        "not": BELOW,
        **{key: {"type": "array", "items": BELOW, "minItems": 1} for key in ["allOf", "oneOf", "anyOf"]},
        "items": BELOW,
        "properties": {"type": "object", "additionalProperties": BELOW},
        "additionalProperties": {"anyOf": [BELOW, {"type": "boolean"}]},
        "default": ANY,
        "example": ANY,
    },
}
DESCRIPTION = {"title": TEXT, "description": TEXT, "keywords": {"type": "array", "items": TEXT}}
PROCESS = {
    "definitions": {"schema": SCHEMA},
    "type": "object",
    "required": ["id", "version", "jobControlOptions", "outputTransmission", "inputs", "outputs", "links"],
    "properties": {
        **DESCRIPTION,
        "id": TEXT,
        "version": TEXT,
        "jobControlOptions": {
            "type": "array",
            "items": {"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]},
        },
        "outputTransmission": {"type": "array", "items": {"type": "string", "enum": ["value", "reference"]}},
        "links": {"type": "array", "items": LINK},
        "inputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["schema"],
                "properties": {
                    **DESCRIPTION,
                    "minOccurs": COUNT,
                    "maxOccurs": {"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["unbounded"]}]},
                    "schema": BELOW,
                },
            },
        },
        "outputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["schema"],
                "properties": {**DESCRIPTION, "schema": BELOW},
            },
        },
    },
}
MUST = {"type": "object", "required": ["mutable"], "properties": {"mutable": {"type": "boolean"}}}


def check_description(description):
    jsonschema.Draft4Validator.check_schema(PROCESS)
    jsonschema.validate(description, PROCESS, jsonschema.Draft4Validator)
    jsonschema.validate(description, MUST, jsonschema.Draft4Validator)


def modern(schema):
    """A schema of a description as JSON Schema 2020-12, for a validator that is not ours."""
    if isinstance(schema, list):
        return [modern(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    words = {
        key: value
        if key in {"enum", "default", "example", "required"}
        else {name: modern(part) for name, part in value.items()}
        if key == "properties"
        else modern(value)
        for key, value in schema.items()
    }
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if words.pop(exclusive, False):
            words[exclusive] = words.pop(bound)
    return {"anyOf": [words, {"type": "null"}]} if words.pop("nullable", False) else words


def is_valid(value, schema):
    return jsonschema.Draft202012Validator(modern(schema)).is_valid(value)


def schemas_in(description):
    """Each schema of the inputs and outputs, with a name."""
    for side in ("inputs", "outputs"):
        for name, about in description[side].items():
            yield f"{side}.{name}", about["schema"]


def defaults_in(schema):
    """Each schema with a default, at any depth."""
    if isinstance(schema, Mapping):
        if "default" in schema:
            yield schema
        for key, part in schema.items():
            if key == "properties":
                for item in part.values():
                    yield from defaults_in(item)
            elif key not in {"default", "enum", "example"}:
                yield from defaults_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from defaults_in(part)
