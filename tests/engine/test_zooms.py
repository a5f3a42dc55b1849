"""Values that differ by zoom reach the process and the files at their zoom."""

import numpy as np
import rasterio

from contracts.images import write_image

CONSTANT = """
import numpy as np
from tilepipe import Grid

def execute(grid: Grid, value: int = 9, *, factor: int = 1):
    return np.full(grid.shape, value * factor, "uint8")
"""


def values(project):
    found = {}
    for path in sorted(project.out.glob("[0-9]*/*/*.tif")):
        with rasterio.open(path) as file:
            found.setdefault(int(path.parts[-3]), set()).add((file.read().max(), file.compression.name))
    return found


def test_parameters_and_options_are_those_of_the_zoom(project):
    project.process(CONSTANT)
    project.document |= {
        "parameters": {"value": {"zoom<=1": 3, "zoom 2-3": 5, "zoom>3": 7}, "factor": {"zoom=2": 2}},
        "overviews": None,
        "zooms": [0, 4],
    }
    project.document["output"]["options"] = {"compress": {"zoom<4": "zstd", "zoom>=4": "lzw"}}

    project.run()

    assert values(project) == {
        0: {(3, "zstd")},
        1: {(3, "zstd")},
        2: {(10, "zstd")},
        3: {(5, "zstd")},
        4: {(7, "lzw")},
    }


def test_a_parameter_that_a_zoom_does_not_give_has_its_default(project):
    project.process(CONSTANT)
    project.document |= {"parameters": {"value": {"zoom>=1": 4}}, "overviews": None, "zooms": [0, 1]}

    project.run()

    assert {zoom: next(iter(found))[0] for zoom, found in values(project).items()} == {0: 9, 1: 4}


def test_inputs_may_differ_by_zoom(project):
    for value in (20, 40):
        write_image(project.folder / f"{value}.tif", np.full((64, 64), value, "uint8"), nodata=0)
    project.process("def execute(image): return None if image.is_empty() else image.read(1)")
    project.document |= {
        "inputs": {"image": {"zoom<=1": "20.tif", "zoom>1": "40.tif"}},
        "pyramid": {
            "grid": {"crs": "EPSG:32632", "bounds": [500_000, 5_199_360, 500_640, 5_200_000], "resolution": 10},
            "tile_size": 16,
            "metatile": 1,
        },
        "overviews": None,
        "zooms": [1, 2],
    }

    project.run()

    assert {zoom: next(iter(found))[0] for zoom, found in values(project).items()} == {1: 20, 2: 40}
