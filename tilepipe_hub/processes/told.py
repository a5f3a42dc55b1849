"""What a process says of itself as it travels as JSON, and how much of that is believed: it comes from anybody's code.

Every key and type is looked at, and what the service computes with has limits, so that no description can hold it up.
What it says is its own matter: whoever deploys a process may describe it as they like.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from tilepipe.errors import ProcessError
from tilepipe_hub.processes.schema import Schema, is_json
from tilepipe_hub.processes.signature import Argument, Signature, recipe_sections

__all__ = ["LONGEST", "believed", "printable", "written"]

LONGEST = 500_000
"""Bytes of all that is said."""
SCHEMA_CHARS = 20_000
"""Of one argument's, as JSON."""
SCHEMA_DEPTH = 16
PATTERN_CHARS = 300

Text = Annotated[str, Field(max_length=5000)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Number = Annotated[int | float, Field(ge=-1e300, le=1e300)]
Step = Annotated[int | float, Field(ge=1e-9, le=1e300)]


def _is_plain(value: JsonValue) -> JsonValue:
    if not is_json(value):
        raise ValueError("is no JSON that every reader takes")
    return value


Plain = Annotated[JsonValue, AfterValidator(_is_plain)]


class Said(BaseModel):
    """Nothing but what is named, each of its very type."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=lambda name: to_camel(name.removesuffix("_")),
        hide_input_in_errors=True,
    )


class Words(Said):
    """A schema; what is not set is not there."""

    all_of: Annotated[list["Words"], Field(min_length=1)] = []
    any_of: Annotated[list["Words"], Field(min_length=1)] = []
    one_of: Annotated[list["Words"], Field(min_length=1)] = []
    not_: Annotated["Words", Field(default_factory=dict)]
    items: Annotated["Words", Field(default_factory=dict)]
    properties: dict[str, "Words"] = {}
    additional_properties: "bool | Words" = True
    content_encoding: Text = ""
    content_media_type: Text = ""
    content_schema: Plain = None
    default: Plain = None
    deprecated: bool = False
    description: Text = ""
    enum: Annotated[list[Plain], Field(min_length=1)] = []
    example: Plain = None
    exclusive_maximum: bool = False
    exclusive_minimum: bool = False
    format: Text = ""
    max_items: Count = 0
    max_length: Count = 0
    max_properties: Count = 0
    maximum: Number = 0
    min_items: Count = 0
    min_length: Count = 0
    min_properties: Count = 0
    minimum: Number = 0
    multiple_of: Step = 1
    nullable: bool = False
    pattern: Annotated[str, Field(max_length=PATTERN_CHARS)] = ""
    read_only: bool = False
    required: list[Text] = []
    title: Text = ""
    type: Literal["array", "boolean", "integer", "number", "object", "string"] = "object"
    unique_items: bool = False
    write_only: bool = False


def _is_small(schema: Words) -> Words:
    plain = _plain(schema)
    if _depth(plain) > SCHEMA_DEPTH or len(json.dumps(plain)) > SCHEMA_CHARS:
        raise ValueError(f"is deeper than {SCHEMA_DEPTH} levels or longer than {SCHEMA_CHARS} letters")
    return schema


def _is_identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError("is no name of an argument")
    return name


class _Argument(Said):
    name: Annotated[str, Field(max_length=100), AfterValidator(_is_identifier)]
    kind: Literal["input", "parameter"]
    required: bool
    schema_: Annotated[Words, AfterValidator(_is_small)]
    text: Text


class _Signature(Said):
    title: Annotated[str, Field(max_length=500)]
    text: Annotated[str, Field(max_length=50_000)]
    version: Annotated[str, Field(max_length=100)]
    keywords: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]
    arguments: Annotated[list[_Argument], Field(max_length=200)]
    is_open: bool
    recipe: dict[str, dict[str, Plain]]


class _Answer(Said):
    signature: _Signature | None = None
    error: str = ""


def written(signature: Signature) -> dict[str, Any]:
    """What `believed` reads."""
    return {
        "title": signature.title,
        "text": signature.text,
        "version": signature.version,
        "keywords": list(signature.keywords),
        "arguments": [
            {"name": item.name, "kind": item.kind, "required": item.required, "schema": item.schema, "text": item.text}
            for item in signature.arguments
        ],
        "isOpen": signature.is_open,
        "recipe": dict(signature.recipe),
    }


def believed(name: str, text: str) -> Signature:
    """The signature in an answer, which is an object with `signature` as of `written`, or with `error`.

    Args:
        name: of the process, for the messages.
        text: the answer.

    Raises:
        ProcessError: the answer tells of an error, or is none that is understood.
    """
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"][:6])
        words = printable(f"{place}: {first['msg']}")
        raise ProcessError(f"process {name}: what it says of itself is not understood: {words}") from None
    said = answer.signature
    if said is None:
        raise ProcessError(printable(answer.error) or f"process {name}: it says nothing of itself")
    names = [item.name for item in said.arguments]
    if len(set(names)) < len(names):
        raise ProcessError(f"process {name}: what it says of itself is not understood: it has an argument twice")
    return Signature(
        title=said.title,
        text=said.text,
        version=said.version,
        keywords=tuple(said.keywords),
        arguments=tuple(
            Argument(
                name=item.name,
                kind=item.kind,
                required=item.required,
                schema=_plain(item.schema_),
                text=item.text,
            )
            for item in said.arguments
        ),
        is_open=said.is_open,
        recipe=recipe_sections(name, said.recipe),
    )


def _plain(schema: Words) -> Schema:
    return schema.model_dump(by_alias=True, exclude_unset=True)


def _depth(value: Any) -> int:
    """Objects and lists within each other; the reader of JSON takes no more than two hundred."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def printable(text: str) -> str:
    """On one line, and not long: it goes into logs."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:2000]).strip()
