"""One value for each zoom, or none, or an error."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe.errors import RecipeError
from tilepipe.per_zoom import ZOOMS, at_zoom, gaps, is_per_zoom, mistakes, per_zoom_values

COMPARISONS = {"<=": operator.le, "<": operator.lt, ">": operator.gt, ">=": operator.ge, "=": operator.eq}

numbers = st.integers(0, 30)
compared = st.tuples(st.sampled_from(sorted(COMPARISONS)), numbers).map(
    lambda found: (f"zoom{found[0]}{found[1]}", lambda zoom: COMPARISONS[found[0]](zoom, found[1]))
)
between = st.tuples(numbers, numbers).map(
    lambda found: (f"zoom {found[0]}-{found[1]}", lambda zoom: found[0] <= zoom <= found[1])
)
conditions = st.one_of(compared, between)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abz", min_size=1), inner, max_size=3)
)


@given(st.lists(conditions, min_size=1, max_size=4, unique_by=lambda found: found[0]), st.sampled_from(ZOOMS))
def test_exactly_one_condition_holds_or_it_is_an_error(found, zoom):
    value = {key: place for place, (key, _) in enumerate(found)}
    holding = [place for place, (_, holds) in enumerate(found) if holds(zoom)]
    never = any(not any(holds(zoom) for zoom in ZOOMS) for _, holds in found)
    twice = any(sum(holds(zoom) for _, holds in found) > 1 for zoom in ZOOMS)

    assert bool(list(mistakes(value))) == (never or twice)
    if never or twice or not holding:
        with pytest.raises(RecipeError, match="zoom"):
            at_zoom(value, zoom)
    else:
        assert at_zoom(value, zoom) == holding[0]


@given(trees, st.sampled_from(ZOOMS))
def test_a_value_without_conditions_is_itself_at_every_zoom(value, zoom):
    assert at_zoom(value, zoom) == value
    assert not list(mistakes(value))
    assert not list(gaps(value, ZOOMS))
    assert not list(per_zoom_values(value))


@given(trees, trees, numbers, st.sampled_from(ZOOMS))
def test_a_condition_around_anything_chooses_it_at_any_depth(low, high, split, zoom):
    value = {"a": [{"b": {f"zoom<={split}": low, f"zoom>{split}": high} if split < 30 else {"zoom<=30": low}}]}

    assert at_zoom(value, zoom) == {"a": [{"b": low if zoom <= split else high}]}


def test_a_key_is_absent_where_no_condition_holds():
    assert at_zoom({"a": {"zoom<=8": 1}, "b": 2}, 9) == {"b": 2}


def test_an_item_of_a_list_is_absent_where_no_condition_holds():
    assert at_zoom(["a", {"zoom<=8": "b"}, "c"], 9) == ["a", "c"]


def test_conditions_may_lie_below_conditions():
    value = {"zoom<=8": {"zoom<=4": "far", "zoom>4": "middle"}, "zoom>8": {"a": {"zoom 9-11": 1}}}

    assert [at_zoom(value, zoom) for zoom in (4, 5, 9, 12)] == ["far", "middle", {"a": 1}, {}]


def test_a_nested_condition_that_does_not_hold_makes_the_key_around_both_absent():
    assert at_zoom({"a": {"zoom<=8": {"zoom<=4": 1}}}, 6) == {}


def test_spaces_in_a_condition_do_not_matter():
    assert at_zoom({"zoom <= 8": "low", "zoom 9 - 11": "middle", "zoom  >  11": "high"}, 10) == "middle"


def test_a_value_with_no_choice_at_a_zoom_is_an_error_that_names_the_zoom():
    with pytest.raises(RecipeError, match=r"no condition holds at zoom 9, only zoom<=8; add one"):
        at_zoom({"zoom<=8": 1}, 9)


def test_an_overlap_is_named_with_both_conditions_and_the_zoom():
    found = list(mistakes({"options": {"zoom<=8": 1, "zoom>=8": 2}}, ("output",)))

    assert found == [
        (
            ("output", "options", "zoom>=8"),
            "'zoom<=8' and 'zoom>=8' both hold at zoom 8; let one of them end before",
        )
    ]


def test_an_overlap_is_an_error_at_zooms_where_only_one_condition_holds_too():
    with pytest.raises(RecipeError, match=r"a\.zoom>=8: 'zoom<=8' and 'zoom>=8' both hold at zoom 8"):
        at_zoom({"a": {"zoom<=8": 1, "zoom>=8": 2}}, 3)


def test_conditions_beside_other_keys_are_an_error():
    with pytest.raises(RecipeError, match="'level' stands beside zoom conditions"):
        at_zoom({"zoom<=8": 1, "level": 2}, 3)


@pytest.mark.parametrize(
    "key", ["zoom<0", "zoom>30", "zoom=31", "zoom 11-9", "zoom<=eight", "zoom==8", "zoom 8", "Zoom<=8", "zoom!=3"]
)
def test_a_condition_that_never_holds_is_told_how_to_write_one(key):
    ((path, message),) = mistakes({key: 1})

    assert path == (key,)
    assert message.startswith(f"{key!r} holds at no zoom from 0 to 30; write zoom<=8")


@pytest.mark.parametrize("key", ["zoom", "zooms", "zoom_factor", "zoom-factor", "max zoom<8", "zoom level"])
def test_keys_that_only_start_alike_are_no_conditions(key):
    assert not is_per_zoom({key: 1})


def test_gaps_are_named_once_with_the_first_zoom():
    value = {"clamp": {"zoom<=8": True, "zoom>10": False}, "tags": {"zoom<=20": {"a": {"zoom>=7": "b"}}}}

    assert list(gaps(value, range(5, 13), ("output",))) == [
        (("output", "clamp"), 9),
        (("output", "tags", "zoom<=20", "a"), 5),
    ]


def test_the_places_of_values_that_differ_by_zoom_are_found_at_any_depth():
    value = {"a": [1, {"b": {"zoom<=8": {"zoom<=4": 1}}}], "c": {"zoom>3": 1}, "d": 1}

    assert list(per_zoom_values(value)) == [("a", "1", "b"), ("c",)]
