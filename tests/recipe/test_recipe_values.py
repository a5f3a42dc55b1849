"""Values are filled in and compared."""

import math

import pytest

from tilepipe.errors import RecipeError
from tilepipe.recipe.values import describe_changes, fill


def failure(call, *args, **options):
    with pytest.raises(RecipeError, match=r".") as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.fixture
def document():
    return {
        "pyramid": {"grid": "WebMercatorQuad", "tile_size": 256, "pixelbuffer": 2},
        "zooms": {"min": 5, "max": 12},
        "area": [7.0, 45.5, 8.5, 46.5],
        "output": {"path": "out", "nodata": 0},
    }


def test_fill_replaces_names_in_texts_at_any_depth():
    value = {
        "path": "s3://${BUCKET}/${KEY}.tif",
        "list": [{"a": "${KEY}"}, 3, None],
        "${KEY}": "$KEY ${1} ${stats.mean}",
    }

    assert fill(value, {"BUCKET": "b", "KEY": "${BUCKET}"}) == {
        "path": "s3://b/${BUCKET}.tif",
        "list": [{"a": "${BUCKET}"}, 3, None],
        "${KEY}": "$KEY ${1} ${stats.mean}",
    }


def test_fill_tells_all_names_that_are_missing_and_where_they_stand():
    value = {"dem": {"path": "${A}/${B}", "options": ["${A}", "${HOME}"]}}

    assert failure(fill, value, {"HOME": "secret"}, where="inputs") == (
        "environment variables are not set: A (in inputs.dem.path, inputs.dem.options.0), B (in inputs.dem.path); "
        "set them, or write the values into the recipe"
    )
    assert "A (in the value)" in failure(fill, "${A}", {})


def test_changes_are_told_key_by_key(document):
    new = {
        "pyramid": {"grid": {"like": "dem"}, "tile_size": 256},
        "zooms": 3,
        "output": {"path": "out", "nodata": 255, "tags": {"a": "b"}},
    }

    assert describe_changes(document, new, ignore=("zooms", "area")) == [
        "pyramid.grid: 'WebMercatorQuad' -> {'like': 'dem'}",
        "pyramid.pixelbuffer: 2 -> unset",
        "output.nodata: 0 -> 255",
        "output.tags: unset -> {'a': 'b'}",
    ]


def test_changes_in_long_lists_are_told_item_by_item():
    assert describe_changes({"a": [0] * 9, "b": [1, 2]}, {"a": [*[0] * 8, 5], "b": [1, 3]}) == [
        "a.8: 0 -> 5",
        "b: [1, 2] -> [1, 3]",
    ]


def test_equal_values_of_other_kinds_are_no_change_but_truth_is_no_number():
    same = {"a": 1, "b": math.nan, "c": [math.nan, {"d": 1}], "e": {"f": None}}

    assert describe_changes(same, {**same, "a": 1.0, "b": float("nan"), "c": [float("nan"), {"d": 1}]}) == []
    assert describe_changes({"a": 1}, {"a": True}) == ["a: 1 -> true"]
    assert describe_changes({"a": [1, {"b": 1}]}, {"a": [1, {"b": 2}, 3]}) == ["a: [1, {'b': 1}] -> [1, {'b': 2}, 3]"]


def test_a_document_is_no_change_of_itself(document):
    assert describe_changes(document, document) == []


def test_an_ignored_key_hides_what_lies_below_it_only():
    assert describe_changes({"a": {"b": 1}, "ab": 1}, {"a": {"b": 2}, "ab": 2}, ignore=["a"]) == ["ab: 1 -> 2"]
