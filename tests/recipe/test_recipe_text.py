"""YAML as a recipe has it."""

import math

import pytest

from tilepipe.recipe.text import Places, parse


def test_merges_bring_keys_that_are_not_there():
    value, _ = parse("a: &a {x: 1, y: 2}\nb: &b {z: 3, x: 9}\nc: {<<: [*a, *b], y: 5}\nd: {'<<': 1}", "t")

    assert value["c"] == {"x": 1, "y": 5, "z": 3}
    assert value["d"] == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5", 1e5), ("-.5", -0.5), ("010", 10), ("0x1F", 31), ("0o17", 15), ("+3", 3), (".inf", math.inf),
        ("true", True), ("~", None), ("", None), ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"), ("'3'", "3"), ("!!str 3", "3"),
        ("EPSG:4326", "EPSG:4326"), ("9" * 400, "9" * 400),
        ("1e999", "1e999"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert parse(f"a: {text}", "t")[0] == {"a": value}


def test_keys_are_text_as_written():
    assert parse("{1: a, true: b, 1.50: c, ~: d}", "t")[0] == {"1": "a", "true": "b", "1.50": "c", "~": "d"}


def test_every_value_knows_its_line():
    _, places = parse("a:\n  b:\n  - 1\n  - {c: 2}\n", "t")

    assert places.of(("a", "b", "1", "c")) == "t:4: a.b.1.c"
    assert places.of(("a", "b", "0")) == "t:3: a.b.0"


def test_a_value_that_is_not_there_has_the_line_of_what_is_around_it():
    _, places = parse("a:\n  b: 1\n", "t")

    assert places.of(("a", "c", "d")) == "t:1: a.c.d"


def test_values_that_come_from_no_file_have_their_keys():
    assert Places(name="mine").of(("a", "b")) == "mine: a.b"
    assert Places(name="mine").of(()) == "mine"
