from importlib import import_module

import numpy as np
import pytest

from tilepipe.algorithms.hillshade import hillshade
from tilepipe.algorithms.slope import slope
from tilepipe.inputs.tile_input import TileInput


@pytest.fixture
def tile_of():
    def make(source, **window):
        grid = source.grid.window(**({"row": 0, "col": 0, "height": 32, "width": 48} | window))
        return TileInput("dem", source, grid, source.extents(grid.crs))

    return make


@pytest.fixture(params=["hillshade", "slope", "convert"])
def process(request):
    return import_module(f"tilepipe.processes.{request.param}")


def test_every_process_has_a_title(process):
    title = process.__doc__.splitlines()[0]

    assert title.endswith(".")
    assert len(title) < 80


def test_every_process_makes_nothing_of_nothing(process, dem, tile_of):
    assert process.execute(tile_of(dem, col=200)) is None


def test_every_process_reads_its_input_once(process, dem, tile_of):
    process.execute(tile_of(dem))

    assert len(dem.asked) == 1


def test_hillshade_hands_all_its_parameters_on(dem, tile_of):
    options = {
        "azimuth": 100.0,
        "altitude": 30.0,
        "z_factor": 2.0,
        "scale": 0.8,
        "gradient": "zevenbergen_thorne",
        "variant": "combined",
        "computed_edges": True,
    }

    light = import_module("tilepipe.processes.hillshade").execute(tile_of(dem), **options)

    np.testing.assert_array_equal(light.filled(0), hillshade(dem.pixels[0], 10.0, **options).filled(0))


def test_slope_hands_all_its_parameters_on(dem, tile_of):
    options = {"unit": "percent", "scale": 0.8, "gradient": "zevenbergen_thorne", "computed_edges": True}

    steep = import_module("tilepipe.processes.slope").execute(tile_of(dem), **options)

    np.testing.assert_array_equal(steep.filled(-1), slope(dem.pixels[0], 10.0, **options).filled(-1))


def test_convert_copies_every_band_as_it_is(three_bands, tile_of):
    copy = import_module("tilepipe.processes.convert").execute(tile_of(three_bands))

    assert copy.dtype == three_bands.pixels.dtype
    np.testing.assert_array_equal(copy.filled(-1), three_bands.pixels.filled(-1))


def test_convert_picks_bands_in_the_order_asked_for_and_scales_them(three_bands, tile_of):
    execute = import_module("tilepipe.processes.convert").execute

    changed = execute(tile_of(three_bands), bands=[3, 1], scale_ratio=0.5, scale_offset=-7.0)

    expected = three_bands.pixels[[2, 0]] * 0.5 - 7
    np.testing.assert_array_equal(changed.filled(-1), expected.filled(-1))
