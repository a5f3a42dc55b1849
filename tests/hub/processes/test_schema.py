"""Schemas in few words say the same as in many, and values are judged as a validator that is not ours judges them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator

from hub.processes.ogc import SCHEMA, is_valid
from hub.processes.values_of import JSON, values_of
from tilepipe_hub.processes.schema import narrowed
from tilepipe_hub.processes.values import mistakes

CLOSED = Draft4Validator({**SCHEMA, "definitions": {"schema": SCHEMA}})
NUMBER = {"type": "integer", "minimum": -3, "maximum": 6}


def extended(inner):
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 2)}),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "additionalProperties": st.booleans() | inner,
            },
            optional={"required": st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True)},
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
        st.builds(lambda schema: {**schema, "nullable": True}, inner),
    )


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            {},
            NUMBER,
            {"type": "integer", "multipleOf": 3},
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            {"type": "number", "maximum": 1, "exclusiveMaximum": True, "nullable": True},
            {"type": "string", "minLength": 1, "maxLength": 4},
            {"type": "string", "pattern": "^a"},
            {"type": "boolean"},
            {"enum": ["a", 1, True]},
            {"type": "array", "maxItems": 2},
            {"type": "object", "minProperties": 1, "maxProperties": 2},
            {"minimum": 1, "maxLength": 2},
        ]
    ),
    extended,
    max_leaves=5,
)


@pytest.mark.slow
@given(schema=SCHEMAS, data=st.data())
def test_values_are_judged_as_by_the_reference_validator(schema, data):
    value = data.draw(JSON | (values_of(schema) if "not" not in str(schema) else JSON))

    assert (not list(mistakes(value, schema))) == is_valid(value, schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"const": 3}, {"enum": [3]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "null"}, {"nullable": True, "enum": [None]}),
        ({"enum": ["a", None]}, {"enum": ["a", None], "nullable": True}),
        ({"minimum": 1, "exclusiveMinimum": 3}, {"minimum": 3, "exclusiveMinimum": True}),
        ({"minimum": 4, "exclusiveMinimum": 3}, {"minimum": 4}),
        ({"maximum": 1, "exclusiveMaximum": 3}, {"maximum": 1}),
        ({"examples": [1, 2]}, {"example": 1}),
        ({"required": []}, {}),
        ({"default": None, "x-more": 1, "title": "Words"}, {}),
        ({"default": float("nan")}, {}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        (
            {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
            {"additionalProperties": {"type": "string"}},
        ),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"additionalProperties": {}}),
        (
            {"prefixItems": [{"type": "string"}], "items": False},
            {"items": {"type": "string"}, "minItems": 1, "maxItems": 1},
        ),
        ({"properties": {"a": True, "b": False}}, {"properties": {"a": {}, "b": {"not": {}}}}),
        ({"anyOf": [{}, {"type": "string"}]}, {}),
        (
            {"type": ["string", "integer"], "anyOf": [{"enum": [1]}, {"enum": ["a"]}]},
            {
                "anyOf": [{"type": "string"}, {"type": "integer"}],
                "allOf": [{"anyOf": [{"enum": [1]}, {"enum": ["a"]}]}],
            },
        ),
    ],
)
def test_words_that_readers_do_not_know_are_said_in_others(old, new):
    assert narrowed(old) == new


def test_references_become_what_they_stand_for_and_circles_end():
    schema = {
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "x": {"type": "number"}}}
        },
        "$ref": "#/$defs/Node",
        "description": "a chain",
    }

    node = {"type": "object", "properties": {"next": {}, "x": {"type": "number"}}, "description": "a chain"}
    assert narrowed(schema) == node


NEW = st.recursive(
    st.sampled_from(
        [
            {"const": "a"},
            {"type": ["integer", "null"]},
            {"exclusiveMinimum": 2, "type": "integer"},
            {"type": "string", "examples": ["a"], "title": "T"},
            {"prefixItems": [{"type": "integer"}, {"type": "string"}], "type": "array", "minItems": 2},
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
            {"$ref": "#/$defs/Part"},
        ]
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab"), inner)}),
    ),
    max_leaves=4,
).map(lambda schema: {"$defs": {"Part": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}}, **schema})


@pytest.mark.slow
@given(schema=NEW, data=st.data())
def test_fewer_words_are_never_stricter_and_always_known(schema, data):
    told = narrowed(schema)
    value = data.draw(values_of(told))

    assert CLOSED.is_valid(told)
    assert not Draft202012Validator(schema).is_valid(value) or not list(mistakes(value, told))
