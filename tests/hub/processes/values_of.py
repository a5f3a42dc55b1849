"""Values that fulfil a schema of a process description, and requests made of them."""

import base64
import math

from hypothesis import strategies as st

TIFF = base64.b64encode(b"II*\0" + bytes(20)).decode()
# No $ and no zoom: what these mean in a recipe has tests of its own.
LETTERS = st.text("abc xyz_0189äß", max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=6,
)


def values_of(schema):
    """A strategy."""
    values = _values_of(schema)
    return st.none() | values if schema.get("nullable") else values


def _values_of(schema):
    for key in ("oneOf", "anyOf"):
        if key in schema:
            rest = {name: part for name, part in schema.items() if name not in {key, "nullable"}}
            return st.one_of([_values_of({**rest, **part}) for part in schema[key]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "type" not in schema:
        return JSON
    return KINDS[schema["type"]](schema)


def _texts(schema):
    if schema.get("contentEncoding") == "binary":
        return st.just(TIFF)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).filter(
            lambda text: schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1000)
        )
    return st.text("abcdefghijk", min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 9), 9))


def _integers(schema):
    step = schema.get("multipleOf", 1)
    least, most = (schema.get(key, off) for key, off in (("minimum", -(10**6)), ("maximum", 10**6)))
    numbers = st.integers(math.ceil(least / step), math.floor(most / step)).map(lambda number: number * step)
    return numbers.filter(
        lambda number: (
            not (schema.get("exclusiveMinimum") and number == least)
            and not (schema.get("exclusiveMaximum") and number == most)
        )
    )


def _numbers(schema):
    least, most = schema.get("minimum", -1e6), schema.get("maximum", 1e6)
    return st.floats(
        least,
        most,
        exclude_min=schema.get("exclusiveMinimum", False),
        exclude_max=schema.get("exclusiveMaximum", False),
    )


def _lists(schema):
    least = schema.get("minItems", 0)
    items = values_of(schema.get("items", {}))
    unique = repr if schema.get("uniqueItems") else None
    return st.lists(items, min_size=least, max_size=min(schema.get("maxItems", least + 3), least + 3), unique_by=unique)


def _objects(schema):
    known = {name: values_of(part) for name, part in schema.get("properties", {}).items()}
    needed = {name: known.pop(name, JSON) for name in schema.get("required", ())}
    found = st.fixed_dictionaries(needed, optional=known)
    rest = schema.get("additionalProperties", True)
    if isinstance(rest, dict):
        more = st.dictionaries(st.text("abcde", min_size=1, max_size=3), values_of(rest), max_size=2)
        return st.builds(lambda own, other: {**other, **own}, found, more)
    return found


KINDS = {
    "array": _lists,
    "boolean": lambda schema: st.booleans(),
    "integer": _integers,
    "number": _numbers,
    "object": _objects,
    "string": _texts,
}


def wrapped(value):
    """As a request has it: objects are qualified, but for boxes."""
    return {"value": value} if isinstance(value, dict) and "bbox" not in value else value


@st.composite
def requests_of(draw, description, **known):
    """A request that fits; *known* are strategies for inputs whose schema cannot say all."""
    inputs = {}
    for name, about in description["inputs"].items():
        if about["minOccurs"] or draw(st.booleans()):
            inputs[name] = wrapped(draw(known.get(name, values_of(about["schema"]))))
    return {"inputs": inputs}
