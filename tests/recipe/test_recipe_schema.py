"""What editors and readers are told about recipes is what is checked."""

import json
import runpy
from pathlib import Path

import jsonschema
import pytest

from tilepipe.errors import RecipeError
from tilepipe.recipe import json_schema, load_recipe, make_recipe

BASE = {
    "process": "../processes/hillshade.py",
    "parameters": {"azimuth": 315, "z_factor": {"zoom<=8": 2.0, "zoom>8": 1.0}},
    "inputs": {"dem": "data/dem.tif"},
    "pyramid": {"grid": "WebMercatorQuad", "tile_size": 256, "metatile": 4, "pixelbuffer": 2, "edge": "nodata"},
    "zooms": {"min": 5, "max": 12},
    "area": [7.0, 45.5, 8.5, 46.5],
    "overviews": {"below": 12, "resampling": "average"},
    "output": {"format": "gtiff", "path": "out", "dtype": "uint8", "bands": 1, "nodata": 0},
}

GOOD = [
    {},
    {"parameters": None, "inputs": None},
    {"zooms": 5, "overviews": None},
    {"zooms": [5, 12]},
    {"pyramid": {"grid": {"like": "dem"}}, "zooms": None, "overviews": {"resampling": "mode"}},
    {"pyramid": {"grid": {"crs": "EPSG:3035", "bounds": [0, 0, 10, 10], "resolution": 1.5}}},
    {"pyramid": {"grid": {"crs": "EPSG:4326", "bounds": [-180, -90, 180, 90], "shape": [1, 2]}}},
    {"area": "POLYGON ((7 45, 8 45, 8 46, 7 45))"},
    {"area": {"type": "Feature", "geometry": None}},
    {"area": {"path": "area.gpkg", "crs": "EPSG:2056"}},
    {"parameters": {"a": {"zoom<=8": [1, {"zoom<4": 2}], "zoom 9-11": {"b": None}, "zoom > 11": "x"}, "größe": 1.5}},
    {"inputs": {"dem": {"zoom<=8": "a.tif", "zoom>8": {"format": "raster_file", "path": {"zoom<30": "b.tif"}}}}},
    {
        "output": {
            "path": "out",
            "clamp": {"zoom<=8": True, "zoom>8": False},
            "options": {"compress": {"zoom<=30": "lzw"}},
        }
    },
    {"output": {"path": "out", "metatile": 2, "dtype": "float32", "bands": 3, "nodata": None, "anything": [1]}},
]

BAD = [
    {"parameter": {}},
    {"process": 3},
    {"process": None},
    {"parameters": {"a-b": 1}},
    {"parameters": {"a": {"zoom<=8": 1, "b": 2}}},
    {"parameters": {"a": {"zoom==8": 1}}},
    {"inputs": {"dem": 3}},
    {"inputs": {"dem": {"zoom<=8": 3}}},
    {"inputs": {"dem": {"format": "rasterfile"}}},
    {"pyramid": {"grid": "webmercator"}},
    {"pyramid": {"grid": {"like": "dem", "crs": "EPSG:3857"}}},
    {"pyramid": {"grid": "mercator", "metatile": 3}},
    {"pyramid": {"grid": "mercator", "tile_size": 100}},
    {"pyramid": {"grid": "mercator", "edge": "cut"}},
    {"pyramid": {"grid": "mercator", "pixelbufer": 3}},
    {"pyramid": {}},
    {"zooms": 31},
    {"zooms": [1, 2, 3]},
    {"area": [1, 2, 3]},
    {"area": {"bounds": [1, 2, 3, 4], "wkt": "POINT (1 2)"}},
    {"overviews": {"below": 12, "resampling": "cubic"}},
    {"output": {"format": "gtiff"}},
    {"output": {"path": "out", "format": "gtif"}},
    {"output": {"path": "out", "bands": {"zoom<=8": 1, "zoom>8": 2}}},
    {"output": {"path": "out", "clamp": {"zoom<=8": "yes"}}},
]


@pytest.mark.parametrize("changes", GOOD)
def test_the_schema_and_the_reader_accept_the_same_right_recipes(changes):
    jsonschema.validate(BASE | changes, json_schema(), jsonschema.Draft202012Validator)
    make_recipe(BASE | changes, folder=".")


@pytest.mark.parametrize("changes", BAD)
def test_the_schema_and_the_reader_refuse_the_same_wrong_recipes(changes):
    with pytest.raises(jsonschema.ValidationError, match=r"."):
        jsonschema.validate(BASE | changes, json_schema(), jsonschema.Draft202012Validator)
    with pytest.raises(RecipeError, match=r"^recipe: "):
        make_recipe(BASE | changes, folder=".")


def test_the_schema_is_a_schema_and_plain_json():
    schema = json_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema


def test_every_key_of_the_schema_is_described():
    schema = json_schema()
    parts = {"recipe": schema, **schema["$defs"]}

    assert {
        f"{part}.{key}": facts
        for part, facts_of in parts.items()
        for key, facts in facts_of.get("properties", {}).items()
        if not facts.get("description")
    } == {}


@pytest.fixture(scope="module")
def page():
    """The generator of docs/recipe.md."""
    return runpy.run_path(str(Path(__file__).parents[2] / "docs" / "recipe_page.py"))


def test_the_page_about_recipes_is_up_to_date(page):
    assert page["PAGE"].read_text(encoding="utf-8") == page["page"](), "run: python docs/recipe_page.py"


def test_the_example_on_the_page_is_a_right_recipe(tmp_path, page):
    (tmp_path / "recipe.yaml").write_text(page["EXAMPLE"])

    assert load_recipe(f"{tmp_path}/recipe.yaml").overviews.below == 12
