"""A changed input file makes the tiles it touches again, and no others."""

import os
import time

import numpy as np
import pytest

from contracts.images import write_image

COPY = """
def execute(left, right):
    return None if left.is_empty() and right.is_empty() else left.read(1).filled(0) + right.read(1).filled(0)
"""


@pytest.fixture
def two_images(project):
    project.process(COPY)
    project.document |= {
        "inputs": {"left": "left.tif", "right": "right.tif"},
        "pyramid": {
            "grid": {"crs": "EPSG:32632", "bounds": [500_000, 5_198_720, 501_280, 5_200_000], "resolution": 10},
            "tile_size": 16,
            "metatile": 1,
        },
        "zooms": [0, 3],
        "overviews": {"below": 3},
    }
    write(project, "left", value=3)
    write(project, "right", value=5)
    return project


def write(project, name, *, value, at=None):
    """One image covers the columns 0 to 3 of tiles, the other one 4 to 7."""
    pixels = np.full((128, 64), value, "uint8")
    if at:
        pixels[at] = 99
    path = project.folder / f"{name}.tif"
    write_image(path, pixels, nodata=0, left=500_000.0 + (640 if name == "right" else 0))
    os.utime(path, (time.time() + value, time.time() + value))


def test_unchanged_inputs_change_nothing(two_images):
    two_images.run()

    assert two_images.run()[0] == set()


def test_a_changed_file_makes_the_tiles_it_touches_and_the_overviews_above_again(two_images):
    two_images.run()
    write(two_images, "right", value=7, at=(80, 40))

    made, kept = two_images.run()

    # The kernel of a resampling could reach eight pixels further than the file.
    assert {tile.col for tile in made if tile.zoom == 3} == {3, 4, 5, 6, 7}
    assert {tile.col for tile in kept if tile.zoom == 3} == {0, 1, 2}
    fresh = two_images.changed(output__path="fresh")
    fresh.run()
    assert two_images.files() == {
        str(path.relative_to(two_images.folder / "fresh")): path.read_bytes()
        for path in (two_images.folder / "fresh").glob("[0-9]*/*/*.tif")
    }


def test_what_a_changed_input_spoiled_stays_spoiled_until_it_is_made_again(two_images):
    two_images.run()
    write(two_images, "right", value=7)
    outcomes = two_images.outcomes()
    next(outcomes)
    outcomes.close()

    two_images.run()

    fresh = two_images.changed(output__path="fresh")
    fresh.run()
    assert two_images.files() == {
        str(path.relative_to(two_images.folder / "fresh")): path.read_bytes()
        for path in (two_images.folder / "fresh").glob("[0-9]*/*/*.tif")
    }


def test_an_input_that_shrank_spoils_where_it_was(two_images):
    two_images.run()
    write_image(two_images.folder / "right.tif", np.full((32, 64), 5, "uint8"), nodata=0, left=500_640.0)

    made, _ = two_images.run()

    assert {(tile.row, tile.col) for tile in made if tile.zoom == 3 and tile.col > 3} == {
        (row, col) for row in (0, 1) for col in (4, 5, 6, 7)
    }
    fresh = two_images.changed(output__path="fresh")
    fresh.run()
    assert two_images.files() == {
        str(path.relative_to(two_images.folder / "fresh")): path.read_bytes()
        for path in (two_images.folder / "fresh").glob("[0-9]*/*/*.tif")
    }
