"""A recipe is read whole, or refused with every mistake in its place."""

import json
import pickle
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe.errors import RecipeError
from tilepipe.geo.pyramid import GLOBAL
from tilepipe.recipe import (
    build,
    fill,
    load_recipe,
    make_recipe,
)
from tilepipe.recipe.sections import GRIDS
from tilepipe.recipe.text import Places, parse

TEXT = """\
process: ../processes/hillshade.py
parameters:
  azimuth: 315
  z_factor: {zoom<=8: 2.0, zoom>8: 1.0}
inputs:
  dem: data/dem.tif
pyramid:
  grid: WebMercatorQuad
  tile_size: 256
  metatile: 4
  pixelbuffer: 2
  edge: nodata
zooms: {min: 5, max: 12}
area: [7.0, 45.5, 8.5, 46.5]
overviews: {below: 12, resampling: average}
output:
  format: gtiff
  path: out/hillshade
  dtype: uint8
  bands: 1
  nodata: 0
"""

MISTAKES = [
    # keys
    ("process: ../processes/hillshade.py\n", "", "1: process: is missing; name the Python file"),
    ("process: ../", "process: 3 #", "1: process: is 3; it takes text"),
    ("process: ../", "process: '' #", "1: process: is text ''; it takes text of at least one letter"),
    ("output:", "outputs:", "16: outputs: unknown key; did you mean 'output'? known: area, cluster, "),
    ("metatile: 4", "metatil: 4", "10: pyramid.metatil: unknown key; did you mean 'metatile'? known: edge, grid, "),
    ("min: 5", "mni: 5", "13: zooms.mni: unknown key; did you mean 'min'? known: max, min"),
    ("azimuth: 315", "azi-muth: 315", "3: parameters.azi-muth: is no name of an argument of execute(); use letters"),
    ("azimuth: 315", "class: 315", "3: parameters.class: is no name of an argument of execute()"),
    ("azimuth: 315", "dem: 315", "3: parameters.dem: is the name of an input too; rename one of them"),
    ("azimuth: 315", "azimuth: 315\n  azimuth: 3", "4: azimuth: stands here again after line 3; keep one"),
    # inputs
    ("dem: data/dem.tif", "dem: 3", "6: inputs.dem: is 3; an input is a path or a mapping such as {format: "),
    ("dem: data/dem.tif", "dem:", "6: inputs.dem: is null; an input is a path or a mapping"),
    ("dem: data/dem.tif", "dem: {format: rasterfile}", "6: inputs.dem.format: there is no input format 'rasterfile';"),
    ("  dem: data/dem.tif", "  - data/dem.tif", "5: inputs: is a list of 1; it takes a mapping"),
    # pyramid
    ("grid: WebMercatorQuad", "grid: webmercator", "8: pyramid.grid: there is no grid 'webmercator'; did you mean"),
    ("  grid: WebMercatorQuad\n", "", "7: pyramid.grid: is missing; choose one of WebMercatorQuad, "),
    ("grid: WebMercatorQuad", "grid: {lik: dem}", "8: pyramid.grid.lik: unknown key; did you mean 'like'? known: bou"),
    ("grid: WebMercatorQuad", "grid: {like: dme}", "8: pyramid.grid.like: there is no input 'dme'; did you mean 'dem"),
    ("grid: WebMercatorQuad", "grid: {like: dem, crs: x}", "8: pyramid.grid: has like and crs; the input's grid says"),
    ("grid: WebMercatorQuad", "grid: {crs: x}", "8: pyramid.grid: has crs; write {like: an input}, {crs, bounds, res"),
    (
        "grid: WebMercatorQuad",
        "grid: {crs: EPSG:3857, bounds: [0, 0, 2, 1], shape: [1, 1]}",
        "8: pyramid.grid: has tiles of 2 x 1 units, but pixels are square; change bounds or shape",
    ),
    (
        "grid: WebMercatorQuad",
        "grid: {crs: EPSG:3857, bounds: [0, 0, 0, 1], resolution: 1}",
        "8: pyramid.grid: has bounds [0.0, 0.0, 0.0, 1.0] that enclose nothing; the order is [left, ",
    ),
    ("grid: WebMercatorQuad", "grid: {crs: 3857}", "8: pyramid.grid.crs: is 3857; it takes text"),
    (
        "grid: WebMercatorQuad",
        "grid: {crs: x, bounds: [0, 0, 1, 1], resolution: 0}",
        "8: pyramid.grid.resolution: is 0; it takes more than 0",
    ),
    ("tile_size: 256", "tile_size: 250", "9: pyramid.tile_size: is 250; it takes a multiple of 16"),
    ("tile_size: 256", "tile_size: 16384", "9: pyramid.tile_size: is 16384; it takes at most 8192"),
    ("tile_size: 256", "tile_size: '256'", "9: pyramid.tile_size: is text '256'; it takes a whole number"),
    ("metatile: 4", "metatile: 6", "10: pyramid.metatile: is 6, no power of two; take 4 or 8"),
    ("metatile: 4", "metatile: true", "10: pyramid.metatile: is true; it takes a whole number"),
    ("pixelbuffer: 2", "pixelbuffer: -1", "11: pyramid.pixelbuffer: is -1; it takes at least 0"),
    ("edge: nodata", "edge: nodta", "12: pyramid.edge: is text 'nodta'; did you mean 'nodata'? known: clip, nodata"),
    # zooms
    ("max: 12", "max: 31", "13: zooms.max: is 31; it takes at most 30"),
    ("{min: 5, max: 12}", "[12, 5]", "13: zooms: has min 12 above max 5; swap them"),
    ("{min: 5, max: 12}", "[5, 6, 7]", "13: zooms: is a list of 3; write one zoom, [min, max] or {min: ..., max: ...}"),
    ("zooms: {min: 5, max: 12}\n", "", "1: zooms: is missing, and the grid has no zoom of its own; write {min"),
    ("below: 12", "below: 13", "15: overviews.below: is 13, which is not among the zooms 5 to 12; take one of them"),
    ("average}", "averag}", "15: overviews.resampling: is text 'averag'; did you mean 'average'? known: average, max"),
    *(
        ("average}", f"{kernel}}}", f"15: overviews.resampling: {kernel} looks beyond the tiles that an overview tile ")
        for kernel in ("bilinear", "cubic", "cubic_spline", "lanczos", "gauss")
    ),
    # area
    ("[7.0, 45.5, 8.5, 46.5]", "[7, 45, 8]", "14: area.bounds: is a list of 3; bounds are four numbers [left, bottom"),
    ("[7.0, 45.5, 8.5, 46.5]", "[8, 45, 7, 46]", "14: area: has bounds [8.0, 45.0, 7.0, 46.0] that enclose nothing"),
    ("[7.0, 45.5, 8.5, 46.5]", "[7, 46, 8, 45]", "14: area: has bounds [7.0, 46.0, 8.0, 45.0] that enclose nothing"),
    ("[7.0, 45.5, 8.5, 46.5]", "[7, 45, x, 46]", "14: area.bounds.2: is text 'x'; it takes a number"),
    ("[7.0, 45.5, 8.5, 46.5]", "[.nan, 45, 8, 46]", "14: area.bounds.0: is nan; it takes a finite number"),
    ("[7.0, 45.5, 8.5, 46.5]", "[7e5, 5e6, 8e5, 6e6]", "14: area: has bounds that are no degrees; say in which crs:"),
    ("[7.0, 45.5, 8.5, 46.5]", "alps", "14: area: is text 'alps'; an area is [left, bottom, right, top], WKT, GeoJSON"),
    ("[7.0, 45.5, 8.5, 46.5]", "{bound: [7, 45, 8, 46]}", "14: area.bound: unknown key; did you mean 'bounds'? known"),
    ("[7.0, 45.5, 8.5, 46.5]", "{crs: x}", "14: area: has no area; keep one of bounds, wkt, geojson and path"),
    ("[7.0, 45.5, 8.5, 46.5]", "{path: a.shp, wkt: POINT (1 2)}", "14: area: has wkt, path; keep one of bounds, wkt, "),
    ("[7.0, 45.5, 8.5, 46.5]", "{wkt: hello}", "14: area: has wkt 'hello', which is none; it starts like POLYGON (("),
    ("[7.0, 45.5, 8.5, 46.5]", "{type: Polygn}", "14: area: has GeoJSON of the type 'Polygn'; it is a geometry, a "),
    ("[7.0, 45.5, 8.5, 46.5]", "{type: Point, crs: x}", "14: area: has a crs inside the GeoJSON, where it means noth"),
    # output
    ("  path: out/hillshade\n", "", "16: output.path: is missing; name the folder for the tiles"),
    ("format: gtiff", "format: gtif", "17: output.format: there is no output format 'gtif'; did you mean 'gtiff'? kn"),
    ("out/hillshade", "out/hillshade.tif", "18: output.path: is 'out/hillshade.tif', the name of a file; tiles go to"),
    ("nodata: 0", "clamp: yes", "21: output.clamp: is text 'yes'; it takes true or false"),
    ("nodata: 0", "metatile: 8", "21: output.metatile: is 8, larger than the process's 4 (pyramid.metatile); make it"),
    # zoom conditions
    ("dem: data/dem.tif", "zoom<=8: x", "6: inputs.zoom<=8: a condition cannot stand here; put it below a name"),
    ("zoom>8: 1.0", "zoom>=8: 1.0", "4: parameters.z_factor.zoom>=8: 'zoom<=8' and 'zoom>=8' both hold at zoom 8; let"),
    ("zoom>8: 1.0", "high: 1.0", "4: parameters.z_factor.high: 'high' stands beside zoom conditions; keep conditions"),
    ("zoom>8: 1.0", "zoom>eight: 1.0", "4: parameters.z_factor.zoom>eight: 'zoom>eight' holds at no zoom from 0 to 3"),
    ("bands: 1", "bands: {zoom<=8: 1, zoom>8: 3}", "20: output.bands: cannot differ by zoom, because a pyramid is one"),
    ("out/hillshade", "{zoom<=8: a, zoom>8: b}", "18: output.path: cannot differ by zoom, because a pyramid is one r"),
    ("nodata: 0", "clamp: {zoom<=8: true}", "21: output.clamp: no condition holds at zoom 9; add one that does"),
    ("nodata: 0", "clamp: {zoom<=8: true, zoom>8: 1}", "21: output.clamp: is 1; it takes true or false"),
    # YAML
    ("azimuth: 315", "azimuth: [1, 2", "4:11: not YAML: did not find expected ',' or ']' while parsing a flow sequen"),
    ("azimuth: 315", "azimuth: !secret 315", "3:12: the tag !secret is not read; write the value without it, text in "),
    ("azimuth: 315", "azimuth: *angle", "3:12: *angle stands for nothing; write &angle before a value above it"),
    ("azimuth: 315", "azimuth: &loop [*loop]", "3:19: *loop stands for nothing; write &loop before a value above it"),
    ("azimuth: 315", "azimuth: 315\n---\na: 1", "4:1: a second document starts here; a file holds one recipe, without"),
    ("azimuth: 315", "? [1]\n  : 1", "3:5: a key has to be text, not a list, a mapping or an alias"),
    ("azimuth: 315", "<<: 3", "3:3: << takes an alias of a mapping, or a list of them"),
]  # fmt: skip

BAD_FILES = [
    (b"", ": is empty; a recipe has at least process, pyramid and output"),
    (b"# nothing\n", ": is empty; a recipe has at least process, pyramid and output"),
    (b"- process\n", ": is a list of 1; a recipe is a mapping of keys such as process, pyramid, output"),
    (b"hello", ": is text 'hello'; a recipe is a mapping of keys"),
    (b"\x89PNG\r\n\x1a\n\x00", ": is not text in UTF-8 (byte 0); is it a recipe?"),
    (b"II*\x00\x08\x00", ": is not text: unacceptable character #x0000: "),
    (b"a: " + b"x" * 2**20, ": is longer than 1048576 bytes; put the area into a file and name that"),
    (b"a: " + b"[" * 100 + b"]" * 100, ": lists and mappings lie more than 60 deep; use fewer levels"),
]

SETTINGS = [
    ("zooms.max=40", "--set zooms.max=40: zooms.max: is 40; it takes at most 30"),
    ("zooms=[3, 40]", "--set zooms=[3, 40]: zooms.max: is 40; it takes at most 30"),
    ("pyramid.grd=mercator", "--set pyramid.grd=mercator: pyramid.grd: unknown key; did you mean 'grid'?"),
    ("zoom.min=1", "--set zoom.min=1: zoom: unknown key; did you mean 'zooms'? known: area, cluster, "),
    ("zooms", "--set zooms: has no =; write --set key.sub=value"),
    (
        "inputs.dem.path=x",
        "--set inputs.dem.path=x: inputs.dem: is text 'data/dem.tif', which has no key 'path'; set the",
    ),
    ("area.7=x", "--set area.7=x: area: is a list of 4, which has no key '7'; set the whole of it"),
    ("zooms=[1", "--set zooms=[1:"),
    ("output.path=", "--set output.path=: output.path: is null; it takes text"),
    ("parameters.z_factor.zoom=8=1", "--set parameters.z_factor.zoom=8=1: parameters.z_factor.zoom=8: 'zoom<=8' and"),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes `recipe.yaml` into the working directory: given text, or TEXT with parts replaced."""
    monkeypatch.chdir(tmp_path)

    def write(text=TEXT, replace=None):
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "recipe.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "recipe.yaml"

    return write


def document(**changes):
    return parse(TEXT, "")[0] | changes


def failure(call, *args, **options):
    with pytest.raises(RecipeError, match=r".") as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[message[:50] for *_, message in MISTAKES])
def test_a_mistake_is_told_with_file_line_key_and_what_to_do(write, old, new, message):
    told = failure(load_recipe, write(replace={old: new})).splitlines()

    assert any(line.startswith(f"recipe.yaml:{message}") for line in told), told


@pytest.mark.parametrize(("content", "message"), BAD_FILES, ids=[message[:40] for _, message in BAD_FILES])
def test_what_is_no_recipe_at_all_is_refused_by_name(write, content, message):
    assert failure(load_recipe, write(content)).startswith(f"recipe.yaml{message}")


@pytest.mark.parametrize(("setting", "message"), SETTINGS)
def test_a_mistake_in_a_setting_names_the_setting(write, setting, message):
    assert failure(load_recipe, write(), settings=[setting]).startswith(message)


def test_all_mistakes_are_told_at_once(write):
    path = write(
        replace={"metatile: 4": "metatile: 5", "max: 12": "max: 99", "bands: 1": "metatile: 0", "315": "*z"[:0]}
    )

    assert failure(load_recipe, path, settings=["overviews.edge=1"]).splitlines() == [
        "recipe.yaml:10: pyramid.metatile: is 5, no power of two; take 4 or 8",
        "recipe.yaml:13: zooms.max: is 99; it takes at most 30",
        "--set overviews.edge=1: overviews.edge: unknown key; known: below, resampling",
        "recipe.yaml:20: output.metatile: is 0; it takes at least 1",
    ]


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert failure(load_recipe, f"{tmp_path}/no.yaml") == f"{tmp_path}/no.yaml: is not there; name the file of a recipe"
    assert failure(load_recipe, str(tmp_path)) == f"{tmp_path}: is a folder; name the file of a recipe in it"


def test_a_file_that_may_not_be_read_is_told_with_the_reason(tmp_path):
    assert "recipe.yaml: cannot be read: Not a directory" in failure(load_recipe, __file__ + "/recipe.yaml")


def test_aliases_that_multiply_are_refused_quickly(write):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))

    assert "holds more than 250000 values once aliases are written out" in failure(load_recipe, write(bomb))


def test_merges_that_multiply_are_refused_quickly(write):
    many = "\n".join(f"  k{n}: 1" for n in range(10_000))

    assert "holds more than 250000 values" in failure(
        load_recipe, write(f"a: &a\n{many}\nb:\n" + "  - <<: *a\n" * 10_000)
    )


def test_the_recipe_of_the_manual_is_read(write, tmp_path):
    recipe = load_recipe(write())

    assert recipe.name == "recipe.yaml"
    assert recipe.folder == str(tmp_path)
    assert recipe.process == "../processes/hillshade.py"
    assert recipe.pyramid.model_dump() == {
        "grid": "WebMercatorQuad",
        "tile_size": 256,
        "metatile": 4,
        "pixelbuffer": 2,
        "edge": "nodata",
    }
    assert (recipe.zooms.min, recipe.zooms.max) == (5, 12)
    assert recipe.area.value == [7.0, 45.5, 8.5, 46.5]
    assert recipe.area.crs is None
    assert (recipe.overviews.below, recipe.overviews.resampling) == (12, "average")
    assert recipe.parameters_at(8) == {"azimuth": 315, "z_factor": 2.0}
    assert recipe.inputs_at(8) == {"dem": {"format": "raster_file", "path": "data/dem.tif"}}
    assert recipe.output_at(8).for_format == {"dtype": "uint8", "bands": 1, "nodata": 0}
    assert recipe.output_at(8).clamp is False


def test_left_out_keys_have_defaults():
    recipe = make_recipe(
        {"process": "p.py", "pyramid": {"grid": "mercator"}, "zooms": 3, "output": {"path": "out"}}, folder="."
    )

    assert recipe.pyramid.model_dump(exclude={"grid"}) == {
        "tile_size": 256,
        "metatile": 4,
        "pixelbuffer": 0,
        "edge": "nodata",
    }
    assert (recipe.parameters, recipe.inputs, recipe.area, recipe.overviews) == ({}, {}, None, None)
    assert (recipe.output_at(3).format, recipe.output_at(3).metatile) == ("gtiff", None)


@pytest.mark.parametrize("section", ["parameters", "inputs", "area"])
def test_a_key_with_nothing_below_it_is_a_key_left_out(section):
    assert make_recipe(document(**{section: None}), folder=".")


@pytest.mark.parametrize(
    ("zooms", "least", "most"), [(7, 7, 7), ([7], 7, 7), ([5, 7], 5, 7), ({"min": 5, "max": 7}, 5, 7), (0, 0, 0)]
)
def test_zooms_have_four_spellings(zooms, least, most):
    recipe = make_recipe(document(zooms=zooms, overviews=None), folder=".")

    assert (recipe.zooms.min, recipe.zooms.max) == (least, most)


@pytest.mark.parametrize(
    "grid", [{"like": "dem"}, {"crs": "EPSG:3035", "bounds": [0, 0, 1000, 1000], "resolution": 10}]
)
def test_zooms_may_be_left_out_where_the_grid_has_one_of_its_own(grid):
    recipe = make_recipe(document(pyramid={"grid": grid}, zooms=None, overviews={}), folder=".")

    assert recipe.zooms is None
    assert recipe.overviews.below is None
    assert recipe.overviews.resampling == "nearest"


def test_a_grid_of_tiles_at_zoom_0_needs_zooms():
    grid = {"crs": "EPSG:4326", "bounds": [-180, -90, 180, 90], "shape": [1, 2]}

    assert make_recipe(document(pyramid={"grid": grid}), folder=".").pyramid.grid.shape == [1, 2]
    assert "zooms: is missing, and the grid has no zoom of its own" in failure(
        make_recipe, document(pyramid={"grid": grid}, zooms=None), folder="."
    )


@pytest.mark.parametrize(
    ("area", "crs"),
    [
        ([7, 45, 8, 46], None),
        ([170, -20, -170, 0], None),
        ("POLYGON ((7 45, 8 45, 8 46, 7 45))", None),
        ("multipolygon empty", None),
        ({"type": "Point", "coordinates": [7, 45]}, None),
        ("area.geojson", None),
        ("${FOLDER}/area.GPKG", None),
        ({"bounds": [7e5, 5e6, 8e5, 6e6], "crs": "EPSG:3857"}, "EPSG:3857"),
        ({"wkt": "${SHAPE}"}, None),
        ({"path": "area", "crs": "EPSG:2056"}, "EPSG:2056"),
        ({"geojson": {"type": "FeatureCollection", "features": []}, "crs": "EPSG:2056"}, "EPSG:2056"),
    ],
)
def test_an_area_has_short_and_long_spellings(area, crs):
    recipe = make_recipe(document(area=area), folder=".")

    plain = next(iter(area.values())) if isinstance(area, dict) and "type" not in area else area
    assert recipe.area.value == plain
    assert recipe.area.crs == crs


def test_the_grids_of_a_recipe_are_those_of_the_pyramids():
    assert set(GRIDS) == set(GLOBAL)


def test_inputs_may_differ_by_zoom_and_be_absent():
    inputs = {
        "dem": {"zoom<=8": "coarse.tif", "zoom>8": {"path": "fine.tif", "resampling": {"zoom 9-11": "average"}}},
        "mask": {"zoom>=10": "mask.tif"},
    }
    recipe = make_recipe(document(inputs=inputs), folder=".")

    assert recipe.inputs_at(8) == {"dem": {"format": "raster_file", "path": "coarse.tif"}}
    assert recipe.inputs_at(12) == {
        "dem": {"format": "raster_file", "path": "fine.tif"},
        "mask": {"format": "raster_file", "path": "mask.tif"},
    }
    assert recipe.inputs_at(9)["dem"]["resampling"] == "average"


def test_output_options_may_differ_by_zoom():
    output = {
        "path": "out",
        "clamp": {"zoom<=8": True, "zoom>8": False},
        "options": {"level": {"zoom<9": 1, "zoom>8": 9}},
    }
    recipe = make_recipe(document(output=output), folder=".")

    assert [recipe.output_at(zoom).clamp for zoom in (8, 9)] == [True, False]
    assert [recipe.output_at(zoom).for_format for zoom in (8, 9)] == [
        {"options": {"level": 1}},
        {"options": {"level": 9}},
    ]


def test_without_zooms_the_conditions_of_the_output_have_to_cover_all_there_are():
    changed = document(pyramid={"grid": {"like": "dem"}}, zooms=None, output={"path": "o", "clamp": {"zoom>0": True}})

    assert failure(make_recipe, changed, folder=".") == (
        "recipe: output.clamp: no condition holds at zoom 0; add one that does"
    )


def test_settings_replace_and_add_values(write):
    settings = [
        "zooms=[3, 9]",
        "overviews.below=9",
        "parameters.z_factor.zoom<=8=4.0",
        "parameters.names.deep=[a, 1e3]",
        "area.2=9",
        "output.path=a=b",
        "output.path=c=d",
    ]
    recipe = load_recipe(write(), settings=settings)

    assert (recipe.zooms.min, recipe.zooms.max, recipe.overviews.below) == (3, 9, 9)
    assert recipe.parameters == {
        "azimuth": 315,
        "z_factor": {"zoom<=8": 4.0, "zoom>8": 1.0},
        "names": {"deep": ["a", 1000.0]},
    }
    assert recipe.area.value == [7.0, 45.5, 9, 46.5]
    assert recipe.output_at(3).path == "c=d"


def test_a_setting_fills_a_section_that_has_nothing_in_it(write):
    recipe = load_recipe(
        write(replace={"  azimuth: 315\n  z_factor: {zoom<=8: 2.0, zoom>8: 1.0}\n": ""}), settings=["parameters.a=1"]
    )

    assert recipe.parameters == {"a": 1}


def test_lines_are_those_of_the_file_where_aliases_and_merges_bring_values(write):
    text = TEXT.replace("azimuth: 315", "azimuth: &angle -1").replace("pixelbuffer: 2", "pixelbuffer: *angle")

    assert failure(load_recipe, write(text)) == "recipe.yaml:11: pyramid.pixelbuffer: is -1; it takes at least 0"


# YAML takes all of JSON but surrogates, so the letters are those that mean something in YAML.
texts = st.text("aé: -#'\"{}[]&*!|>%@`\n\t\\,~", max_size=5)
json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["scale", "colors", "größe", "x1"])


@given(st.dictionaries(names, json_values, max_size=3), st.integers(0, 12), st.sampled_from([1, 2, 4, 512]))
def test_document_to_recipe_to_document_changes_nothing(parameters, zoom, metatile):
    asked = document(parameters=parameters, zooms=[zoom, 12], pyramid={"grid": "geodetic", "metatile": metatile})
    recipe = make_recipe(asked, folder="/data", name="asked")

    assert recipe.document == asked
    assert make_recipe(recipe.document, folder=recipe.folder, name=recipe.name) == recipe
    assert parse(json.dumps(asked), "t")[0] == asked


def test_a_recipe_pickles(write):
    recipe = load_recipe(write())
    copy = pickle.loads(pickle.dumps(recipe))

    assert copy == recipe
    assert (copy.name, copy.folder, copy.document, copy.places) == (
        recipe.name,
        recipe.folder,
        recipe.document,
        recipe.places,
    )


def test_a_recipe_is_frozen():
    recipe = make_recipe(document(), folder=".")

    with pytest.raises(ValueError, match="frozen"):
        recipe.process = "other.py"


def test_a_document_holds_plain_values_only():
    assert failure(make_recipe, document(process=object()), folder=".", name="mine") == (
        "mine: process: is a object; a recipe holds text, numbers, true, false, null, lists, mappings"
    )
    assert failure(make_recipe, ["process"], folder=".").startswith("recipe: is a list of 1; a recipe is a mapping")


def test_a_document_that_contains_itself_is_refused():
    asked = document()
    asked["parameters"]["loop"] = asked["parameters"]

    assert "more than 60 deep" in failure(make_recipe, asked, folder=".")


def test_what_was_filled_in_stays_out_of_the_recipe():
    recipe = make_recipe(document(inputs={"dem": "https://${TOKEN}@host/dem.tif"}), folder=".")
    filled = fill(recipe.inputs_at(5), {"TOKEN": "hunter2"})

    assert filled["dem"]["path"] == "https://hunter2@host/dem.tif"
    assert "hunter2" not in repr(recipe) + str(recipe) + json.dumps(recipe.document) + repr(pickle.dumps(recipe))
    assert "${TOKEN}" in repr(recipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """A plug-in for tests."""

    extension: ClassVar[str] = "blur"
    path: str
    radius: float = 1.0
    mode: Literal["box", "gauss"] = "box"
    bands: tuple[int, ...] | None = None
    zero: int | float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    seen: int = field(default=0, init=False)

    def __post_init__(self):
        if self.radius < 0:
            raise ValueError(f"radius is {self.radius:g}; take 0 or more")


def test_a_plug_in_is_built_from_its_options():
    blur = build(Blur, {"path": "x", "radius": 2, "bands": [1, 2], "zero": 0, "tags": {"a": "b"}}, where="inputs.dem")

    assert blur == Blur(path="x", radius=2.0, bands=(1, 2), zero=0, tags={"a": "b"})
    assert isinstance(blur.zero, int)


def test_numbers_that_were_filled_in_as_text_are_numbers_again():
    assert build(Blur, {"path": "x", "radius": "2.5", "bands": ["1"]}, where="inputs.dem") == Blur(
        path="x", radius=2.5, bands=(1,)
    )


def test_all_mistakes_in_the_options_of_a_plug_in_are_told_with_their_lines():
    places = Places(name="r.yaml", origins={("inputs",): "r.yaml:5", ("inputs", "dem", "mode"): "r.yaml:8"})
    options = {"radus": 1, "mode": "bix", "bands": True, "zero": [1], "seen": 3, "tags": {"a": 1}}

    assert failure(build, Blur, options, where="inputs.dem", places=places).splitlines() == [
        "r.yaml:5: inputs.dem.radus: unknown key; did you mean 'radius'? known: bands, mode, path, radius, tags, zero",
        "r.yaml:8: inputs.dem.mode: is text; it takes box, gauss",
        "r.yaml:5: inputs.dem.bands: is true; it takes a list",
        "r.yaml:5: inputs.dem.zero: is a list of 1; it takes a whole number or a number",
        "r.yaml:5: inputs.dem.seen: unknown key; known: bands, mode, path, radius, tags, zero",
        "r.yaml:5: inputs.dem.tags.a: is 1; it takes text",
        "r.yaml:5: inputs.dem.path: is missing; add it",
    ]


def test_what_a_plug_in_refuses_itself_is_told_with_its_place():
    assert failure(build, Blur, {"path": "x", "radius": -1}, where="inputs.dem") == (
        "recipe: inputs.dem: radius is -1; take 0 or more"
    )


def test_options_that_were_filled_in_are_not_shown_in_messages():
    options = fill(
        {"path": "x", "radius": "${SECRET}", "mode": "${SECRET}", "bands": ["${SECRET}"]}, {"SECRET": "hunter2"}
    )

    assert "hunter2" not in failure(build, Blur, options, where="inputs.dem")
