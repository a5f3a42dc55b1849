"""Whether a value is as a schema of a process description wants it, and if not, what is wrong in plain words."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from tilepipe.errors import nearest
from tilepipe.recipe.values import shown

__all__ = ["Problem", "mistakes", "pointed"]

KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "text",
}
TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
SHOWN = 20
"""How many mistakes in the items of one list are told."""
MOST_LIKE = 1000
"""Letters of a text that is compared with a pattern here; of a longer one the engine says it."""


class Problem(NamedTuple):
    """Something that is wrong with a request."""

    pointer: str
    """Where: a JSON pointer into the request."""
    message: str
    """What, in words that follow the name of the place."""


def pointed(pointer: str, *keys: object) -> str:
    """*pointer*, and further keys below it, escaped as RFC 6901 says."""
    for key in keys:
        text = str(key)
        if "~" in text or "/" in text:
            text = text.replace("~", "~0").replace("/", "~1")
        pointer = f"{pointer}/{text}"
    return pointer


def mistakes(value: Any, schema: Mapping[str, Any], pointer: str = "") -> Iterator[Problem]:
    """What is wrong with *value*; nothing where it is right.

    Args:
        value: as read from JSON.
        schema: of a process description, in the words of `tilepipe_hub.processes.schema.WORDS`.
        pointer: where the value stands.
    """
    if value is None and schema.get("nullable"):
        return
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        yield Problem(pointer, f"is {shown(value)}; it takes {KINDS[kind]}")
        return
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        yield Problem(pointer, f"is {shown(value)}; {_choices(value, schema['enum'])}")
        return
    if isinstance(value, str):
        yield from _text_mistakes(value, schema, pointer)
    elif isinstance(value, list):
        yield from _list_mistakes(value, schema, pointer)
    elif isinstance(value, dict):
        yield from _object_mistakes(value, schema, pointer)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_mistakes(value, schema, pointer)
    yield from _choice_mistakes(value, schema, pointer)


def _is(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _choices(value: Any, choices: list[Any]) -> str:
    if all(isinstance(choice, str) for choice in choices):
        return nearest(value if isinstance(value, str) else "", choices)
    return f"it takes {', '.join(shown(choice, kinds=False) for choice in choices)}"


def _number_mistakes(value: float, schema: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        words = "more than" if schema.get("exclusiveMinimum") else "at least"
        yield Problem(pointer, f"is {value}; it takes {words} {least}")
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        words = "less than" if schema.get("exclusiveMaximum") else "at most"
        yield Problem(pointer, f"is {value}; it takes {words} {most}")
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9 * max(1.0, abs(value / step)):
        yield Problem(pointer, f"is {value}; it takes a multiple of {step}")


def _text_mistakes(value: str, schema: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(value) < least:
        yield Problem(pointer, f"has {len(value)} letters; it takes at least {least}")
    if most is not None and len(value) > most:
        yield Problem(pointer, f"has {len(value)} letters; it takes at most {most}")
    pattern = schema.get("pattern")
    if pattern is not None and not _is_like(value, pattern):
        yield Problem(pointer, f"is {shown(value)}; it takes text like {pattern}")


def _is_like(value: str, pattern: str) -> bool:
    """Whether the engine, by the same rules, would find the pattern in a text; yes, where it is left to judge that."""
    judge = _judge(pattern)
    if judge is None or len(value) > MOST_LIKE:
        return True
    try:
        judge.validate_python(value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _judge(pattern: str) -> TypeAdapter[str] | None:
    # Not `re`: its time has no bound, and a pattern may come from who deploys processes.
    try:
        return TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except SchemaError:
        return None


def _list_mistakes(value: list[Any], schema: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < least:
        yield Problem(pointer, f"is a list of {len(value)}; it takes at least {least}")
    if most is not None and len(value) > most:
        yield Problem(pointer, f"is a list of {len(value)}; it takes at most {most}")
        return
    if schema.get("uniqueItems") and len({repr(item) for item in value}) < len(value):
        yield Problem(pointer, "has the same item twice; keep one")
    items = schema.get("items", {})
    told = 0
    for place, item in enumerate(value) if items else ():
        for problem in mistakes(item, items, pointed(pointer, place)):
            yield problem
            told += 1
        if told >= SHOWN:
            return


def _object_mistakes(value: dict[str, Any], schema: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key in schema.get("required", ()):
        if key not in value:
            yield Problem(pointed(pointer, key), "is missing; add it")
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")
    if len(value) < least or (most is not None and len(value) > most):
        wanted = f"at least {least}" if len(value) < least else f"at most {most}"
        yield Problem(pointer, f"has {len(value)} keys; it takes {wanted}")
    for key, item in value.items():
        if key in known:
            yield from mistakes(item, known[key], pointed(pointer, key))
        elif rest is False:
            yield Problem(pointed(pointer, key), f"unknown key; {nearest(key, known)}")
        elif isinstance(rest, Mapping):
            yield from mistakes(item, rest, pointed(pointer, key))


def _choice_mistakes(value: Any, schema: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    for part in schema.get("allOf", ()):
        yield from mistakes(value, part, pointer)
    if "not" in schema and not any(mistakes(value, schema["not"], pointer)):
        yield Problem(pointer, f"is {shown(value)}, which it must not be")
    for key in ("anyOf", "oneOf"):
        if key not in schema:
            continue
        found = [list(mistakes(value, part, pointer)) for part in schema[key]]
        right = sum(not problems for problems in found)
        if not right:
            yield from _nearest_choice(value, schema[key], found, pointer)
        elif right > 1 and key == "oneOf":
            yield Problem(pointer, f"is {shown(value)}, which fits {right} of the forms it may have; it must fit one")


def _nearest_choice(
    value: Any, parts: list[Mapping[str, Any]], found: list[list[Problem]], pointer: str
) -> Iterator[Problem]:
    """The mistakes of the form that was meant, or which forms there are."""
    meant = [
        problems
        for part, problems in zip(parts, found, strict=True)
        if part.get("type") is None or _is(value, part["type"])
    ]
    if meant:
        yield from min(meant, key=len)
        return
    kinds = dict.fromkeys(KINDS[part["type"]] for part in parts)
    yield Problem(pointer, f"is {shown(value)}; it takes {' or '.join(kinds)}")
