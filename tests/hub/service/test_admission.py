"""What is refused of a request that fits its description, and where in the request that stands."""

from functools import partial

import pytest

from tilepipe_hub.admission import admit
from tilepipe_hub.errors import BadRequest
from tilepipe_hub.processes.catalog import Catalog
from tilepipe_hub.processes.inspection import inspect
from tilepipe_hub.settings import load_settings

INSIDE, OUTSIDE = "/data/dem.tif", "/etc/passwd"
PYRAMID, ZOOMS = {"grid": "WebMercatorQuad"}, {"min": 3, "max": 4}
GOOD = {"dem": {"href": INSIDE}, "pyramid": PYRAMID, "zooms": ZOOMS, "output": {"dtype": "uint8", "nodata": 0}}
NEGATIVE = {"dtype": "uint8", "nodata": -1}
RECIPE = {
    "process": "hillshade",
    "inputs": {"dem": INSIDE},
    "pyramid": PYRAMID,
    "zooms": ZOOMS,
    "output": {"dtype": "uint8", "nodata": 0},
}
HOUSE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
FEATURE = {"type": "Feature", "geometry": HOUSE, "properties": {"crs": OUTSIDE}}
ODD_GRID = {"crs": OUTSIDE, "bounds": [0, 0, 1, 1], "resolution": 1}


@pytest.fixture(scope="module")
def catalog():
    return Catalog(folder=None, ask=partial(inspect, readable=()))


@pytest.fixture
def refused(catalog):
    """Where the mistakes of a request stand."""
    settings = load_settings(environ={}, over={"fence": {"input_roots": ["/data"]}})

    def pointers(process, inputs, **more):
        with pytest.raises(BadRequest) as told:
            admit(
                catalog.find(process),
                {"inputs": inputs, **more},
                settings=settings,
                catalog=catalog,
                resolve=lambda _host, _port: ["192.0.2.1"],
                may_deploy=False,
            )
        return [pointer for pointer, _ in told.value.problems]

    return pointers


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"output": NEGATIVE}, "/inputs/output/nodata"),
        ({"output": {"value": NEGATIVE}}, "/inputs/output/value/nodata"),
        ({"output": {"dtype": "uint8"}}, "/inputs/output/nodata"),
        ({"dem": {"href": OUTSIDE}}, "/inputs/dem"),
        ({"pyramid": {"grid": ODD_GRID}}, "/inputs/pyramid/grid/crs"),
        ({"area": FEATURE}, "/inputs/area/properties/crs"),
        ({"area": {"value": FEATURE}}, "/inputs/area/value/properties/crs"),
    ],
)
def test_a_mistake_in_an_input_is_told_with_its_place_in_the_request(refused, change, pointer):
    assert refused("hillshade", {**GOOD, **change}) == [pointer]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"output": NEGATIVE}, "output/nodata"),
        ({"inputs": {"dem": OUTSIDE}}, "inputs/dem"),
        ({"inputs": {"dem": {"zoom<=3": OUTSIDE, "zoom>3": INSIDE}}}, "inputs/dem/zoom<=3"),
        ({"inputs": {"dem": {"path": INSIDE, "crs": OUTSIDE}}}, "inputs/dem/crs"),
        ({"area": OUTSIDE}, "area"),
        ({"area": {"path": OUTSIDE}}, "area/path"),
        ({"pyramid": {"grid": ODD_GRID}}, "pyramid/grid/crs"),
    ],
)
def test_a_mistake_in_a_recipe_is_told_with_its_place_in_the_request(refused, change, place):
    recipe = {**RECIPE, **change}

    assert refused("recipe", {"recipe": recipe}) == [f"/inputs/recipe/{place}"]
    assert refused("recipe", {"recipe": {"value": recipe}}) == [f"/inputs/recipe/value/{place}"]


def test_what_stands_beside_the_inputs_is_told_there(refused):
    link = "https://receiver.example/"

    found = refused("hillshade", GOOD, subscriber={"successUri": link}, title=1, labels="x")

    assert found == ["/subscriber/successUri", "/title", "/labels"]


def test_a_link_that_is_only_given_back_is_told_where_it_stands(refused):
    assert refused("echo", {"text": "x", "image": {"href": "https://me@data.example/"}}) == ["/inputs/image"]
