"""The recipe that a request means."""

import base64
import json

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conftest import Project
from hub.processes.values_of import TIFF, requests_of
from tilepipe import make_recipe
from tilepipe_hub.processes.describe import describe
from tilepipe_hub.processes.document import data_files, make_recipe_document, references
from tilepipe_hub.processes.inputs import Checked
from tilepipe_hub.processes.request import check_request

GOOD = {"dem": {"href": "https://data.example/dem.tif"}, "output": {"dtype": "uint8", "nodata": 0}}
RECIPE = {
    "process": "hillshade",
    "parameters": {"azimuth": {"zoom<=4": 1.0, "zoom>4": 2.0}},
    "inputs": {"dem": {"path": "https://data.example/dem.tif"}},
    "pyramid": {"grid": "WebMercatorQuad"},
    "zooms": {"min": 3, "max": 5},
    "output": {"dtype": "uint8", "path": "../../etc"},
}


@pytest.fixture
def document(catalog):
    """The recipe of a request to a process."""

    def made(process_id, inputs, **known):
        entry = catalog.find(process_id)
        checked = check_request(entry, {"inputs": inputs}, catalog=catalog, **known)
        assert isinstance(checked, Checked), checked
        return make_recipe_document(entry, checked, output="/jobs/1/output", data="/jobs/1/data", catalog=catalog)

    return made


def test_a_request_becomes_a_recipe(document):
    found = document("hillshade", {**GOOD, "azimuth": 300, "zooms": [3, 5], "pyramid": {"grid": "mercator"}})

    assert found == {
        "process": "hillshade",
        "parameters": {"azimuth": 300},
        "inputs": {"dem": "https://data.example/dem.tif"},
        "zooms": [3, 5],
        "pyramid": {"grid": "mercator", "pixelbuffer": 2},
        "output": {"dtype": "uint8", "nodata": 0, "path": "/jobs/1/output"},
    }


def test_without_a_word_about_the_pyramid_it_is_the_pixel_grid_of_the_data(document):
    assert document("hillshade", GOOD)["pyramid"] == {"grid": {"like": "dem"}, "pixelbuffer": 2}


def test_what_a_process_is_made_for_holds_until_the_request_says_otherwise(document, folder):
    link = {"href": "https://data.example/dem.tif"}
    found = document("rich", {"dem": link, "size": 3, "zooms": 4, "pyramid": {"tile_size": 512}})

    assert found["process"] == str(folder / "rich.py")
    assert found["pyramid"] == {"grid": "WebMercatorQuad", "pixelbuffer": 4, "tile_size": 512}
    assert found["output"] == {"dtype": "uint8", "nodata": 0, "path": "/jobs/1/output"}
    assert document("rich", {"dem": link, "size": 3, "zooms": 4, "process_zooms": 9})["parameters"] == {
        "size": 3,
        "zooms": 9,
    }


@pytest.mark.parametrize(
    ("area", "found"),
    [
        ({"bbox": [7, 45, 8, 46]}, {"bounds": [7, 45, 8, 46]}),
        ({"bbox": [7, 45, 0, 8, 46, 900]}, {"bounds": [7, 45, 8, 46]}),
        ({"bbox": [170, -20, -170, 0]}, {"bounds": [170, -20, -170, 0]}),
        ({"bbox": [7, 45, 8, 46], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}, {"bounds": [7, 45, 8, 46]}),
        ({"bbox": [7, 45, 8, 46], "crs": "urn:ogc:def:crs:OGC:1.3:CRS84"}, {"bounds": [7, 45, 8, 46]}),
        (
            {"bbox": [45, 7, 46, 8], "crs": "http://www.opengis.net/def/crs/EPSG/0/4326"},
            {"bounds": [7, 45, 8, 46], "crs": "EPSG:4326"},
        ),
        ({"bbox": [45, 7, 46, 8], "crs": "urn:ogc:def:crs:EPSG::4326"}, {"bounds": [7, 45, 8, 46], "crs": "EPSG:4326"}),
        ({"bbox": [45, 7, 46, 8], "crs": "[EPSG:4326]"}, {"bounds": [7, 45, 8, 46], "crs": "EPSG:4326"}),
        ({"bbox": [7, 45, 8, 46], "crs": "EPSG:4326"}, {"bounds": [7, 45, 8, 46], "crs": "EPSG:4326"}),
        (
            {"bbox": [1, 2, 3, 4], "crs": "https://www.opengis.net/def/crs/EPSG/0/3857"},
            {"bounds": [1, 2, 3, 4], "crs": "EPSG:3857"},
        ),
        (
            {"bbox": [2, 1, 4, 3], "crs": "http://www.opengis.net/def/crs/EPSG/0/3035"},
            {"bounds": [1, 2, 3, 4], "crs": "EPSG:3035"},
        ),
        (
            {"value": {"type": "Point", "coordinates": [7, 45], "bbox": [7, 45, 7, 45]}},
            {"geojson": {"type": "Point", "coordinates": [7, 45], "bbox": [7, 45, 7, 45]}},
        ),
    ],
)
def test_an_area_is_told_in_longitude_and_latitude_or_in_x_and_y(document, area, found):
    assert document("hillshade", {**GOOD, "area": area})["area"] == found


def test_data_may_come_as_a_link_as_options_or_within_the_request(document, catalog):
    options = {"path": "dem.tif", "resampling": "bilinear", "bands": [1]}
    assert document("hillshade", {**GOOD, "dem": {"value": options}})["inputs"] == {"dem": options}

    assert document("hillshade", {**GOOD, "dem": TIFF})["inputs"] == {"dem": "/jobs/1/data/dem.tif"}
    entry = catalog.find("hillshade")
    checked = check_request(entry, {"inputs": {**GOOD, "dem": TIFF}}, catalog=catalog)
    assert data_files(entry, checked) == {"dem.tif": base64.b64decode(TIFF)}


def test_the_folder_of_a_whole_recipe_is_for_the_service_to_choose(document):
    assert document("recipe", {"recipe": RECIPE}) == {**RECIPE, "output": {"dtype": "uint8", "path": "/jobs/1/output"}}


def test_the_process_of_a_whole_recipe_is_looked_up(document, folder):
    recipe = {**RECIPE, "process": "rich", "parameters": {"size": 3}}

    assert document("recipe", {"recipe": recipe})["process"] == str(folder / "rich.py")


def test_secrets_stay_names_wherever_they_stand(document, catalog, monkeypatch):
    monkeypatch.setenv("TOKEN", "the secret itself")
    inputs = {**GOOD, "dem": {"href": "https://data.example/dem.tif?${TOKEN}"}}
    found = document("hillshade", inputs, secrets={"TOKEN"})

    assert found["inputs"]["dem"] == "https://data.example/dem.tif?${TOKEN}"
    assert "the secret itself" not in json.dumps(found) + json.dumps(describe(catalog.find("hillshade")))
    recipe = {**RECIPE, "inputs": {"dem": {"zoom>=0": {"path": "${TOKEN}.tif"}}}}
    whole = document("recipe", {"recipe": recipe}, secrets={"TOKEN"})
    assert whole["inputs"] == recipe["inputs"]
    assert make_recipe(whole, folder="/").document == whole


def test_a_secret_that_is_not_offered_is_refused_and_not_told(catalog, monkeypatch):
    monkeypatch.setenv("OTHER", "the secret itself")
    inputs = {**GOOD, "dem": {"href": "https://data.example/?${OTHER}"}}
    found = check_request(catalog.find("hillshade"), {"inputs": inputs}, catalog=catalog, secrets={"TOKEN"})

    assert found == [("/inputs/dem", "names the secret ${OTHER}; those offered here are TOKEN")]


def test_every_name_of_data_in_a_recipe_is_told_to_the_fence(document):
    recipe = {
        **RECIPE,
        "inputs": {
            "dem": {
                "zoom<=4": "/etc/passwd",
                "zoom>4": {"format": "raster_file", "path": {"zoom<9": "a.tif", "zoom>=9": "b"}, "crs": "EPSG:1"},
            }
        },
        "area": {"path": "/etc/area.json"},
    }

    assert dict(references({**recipe})) == {
        ("inputs", "dem", "zoom<=4"): "/etc/passwd",
        ("inputs", "dem", "zoom>4", "path", "zoom<9"): "a.tif",
        ("inputs", "dem", "zoom>4", "path", "zoom>=9"): "b",
        ("area", "path"): "/etc/area.json",
    }
    assert dict(references(document("hillshade", GOOD))) == {("inputs", "dem"): "https://data.example/dem.tif"}


AREAS = st.builds(
    lambda left, bottom, width, height: {"bbox": [left, bottom, left + width, bottom + height]},
    st.floats(-170, 100),
    st.floats(-80, 70),
    st.floats(0.1, 60),
    st.floats(0.1, 10),
)
ZOOMS = st.builds(lambda low, more: [low, low + more], st.integers(0, 20), st.integers(0, 10))
PYRAMIDS = st.fixed_dictionaries(
    {"grid": st.sampled_from(["WebMercatorQuad", "WorldCRS84Quad"])},
    optional={"tile_size": st.sampled_from([256, 512]), "metatile": st.just(512), "pixelbuffer": st.integers(0, 9)},
)


@settings(max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize("process_id", ["convert", "hillshade", "slope"])
def test_whatever_the_description_allows_becomes_a_recipe(shipped, process_id, data):
    entry = shipped.find(process_id)
    known = {"area": AREAS, "zooms": ZOOMS, "pyramid": PYRAMIDS.map(lambda made: {"metatile": 512, **made})}
    request = data.draw(requests_of(describe(entry), **known, overviews=st.just({"resampling": "average"})))
    request["inputs"].setdefault("zooms", [0, 3])
    request["inputs"].setdefault("pyramid", {"metatile": 512})

    checked = check_request(entry, request, catalog=shipped)

    assert isinstance(checked, Checked), checked
    recipe = make_recipe(make_recipe_document(entry, checked, output="/out", data="/data"), folder="/")
    assert recipe.process == process_id
    assert recipe.output_at(recipe.zooms.min).path == "/out"


def test_a_requested_job_runs_in_the_engine(catalog, tmp_path):
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 5000000)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 64, "width": 64, "crs": "EPSG:32632"}
    with rasterio.open(tmp_path / "dem.tif", "w", transform=transform, **profile) as file:
        file.write(np.arange(64 * 64, dtype="float32").reshape(1, 64, 64))
    payload = base64.b64encode((tmp_path / "dem.tif").read_bytes()).decode()
    entry = catalog.find("hillshade")
    request = {"inputs": {"dem": payload, "output": {"dtype": "uint8", "nodata": 0}, "azimuth": 300}}
    checked = check_request(entry, request, catalog=catalog)
    (tmp_path / "data").mkdir()
    for name, content in data_files(entry, checked).items():
        (tmp_path / "data" / name).write_bytes(content)
    document = make_recipe_document(entry, checked, output="output", data="data")

    made, _ = Project(tmp_path, document).run()

    assert len(made) == 1
    assert (tmp_path / "output" / "stac.json").exists()
