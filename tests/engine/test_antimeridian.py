"""A scene that lies across the antimeridian is planned, made and watched on both of its sides, and nowhere else."""

import json
import os
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from scipy import ndimage

from contracts.images import mosaic, write_image
from engine.conftest import Project
from tilepipe.geo.branch import bits, tile_at
from tilepipe.geo.pyramid import Tile, global_pyramid
from tilepipe.selection import make_plan, select

GRIDS = ["WebMercatorQuad", "WorldCRS84Quad"]
SCENES = {
    "zone 60": ("EPSG:32660", 600_000, 5_700_000, 2000),
    "zone 60 south": ("EPSG:32760", 650_000, 8_100_000, 2000),
    "zone 1": ("EPSG:32601", 150_000, 5_700_000, 2000),
    "degrees past 180": ("EPSG:4326", 178.2, 1.5, 0.03),
    "degrees before -180": ("EPSG:4326", -181.1, 51.3, 0.03),
    "centred on the Pacific": ("EPSG:3832", 3_200_000, 1_500_000, 3000),
}
"""Reference system, left, top and side of pixels of which there are 100 x 100."""
COPY = "def execute(image): return None if image.is_empty() else image.read()"
BOTH = """
def execute(image, far):
    return None if image.is_empty() and far.is_empty() else image.read().filled(0) + far.read().filled(0)
"""
AROUND = 40
"""Tiles on each side of the antimeridian, and above and below the middle of a scene, that are looked at."""
FINEST = {"WebMercatorQuad": 11, "WorldCRS84Quad": 10}
TILE = 16


@pytest.fixture
def scene(tmp_path):
    """Writes numbers from 1, with a hole in the middle, and makes a recipe that copies them."""

    def write(name, *, seed=5, hole=True, **changes):
        crs, left, top, side = SCENES[name]
        values = np.random.default_rng(seed).integers(1, 250, (100, 100)).astype("uint8")
        values[40:60, 40:60] *= not hole
        placed = {"crs": crs, "transform": Affine(side, 0, left, 0, -side, top), "nodata": 0}
        with rasterio.open(
            tmp_path / "image.tif", "w", driver="GTiff", height=100, width=100, count=1, dtype="uint8", **placed
        ) as file:
            file.write(values, 1)
        document = {
            "process": "mine.py",
            "inputs": {"image": {"path": "image.tif"}},
            "output": {"path": "out", "dtype": "uint8", "nodata": 0},
        }
        project = Project(tmp_path, document).changed(**changes)
        project.process(COPY)
        return project

    return write


def planned(project):
    """The tiles of a plan."""
    pipeline = project.pipeline()
    branches = make_plan(pipeline, select(pipeline), slots=1).branches()
    return {tile_at(branch.root, bit) for branch in branches for bit in bits(branch.tiles)}


def pyramid_of(grid, buffer_px=0):
    return {"grid": grid, "tile_size": TILE, "metatile": 1, "pixelbuffer": buffer_px}


def with_data(path, grid, zoom):
    """Tiles of a zoom, as columns and rows, on which GDAL's warp of the file has a valid pixel."""
    pyramid = global_pyramid(grid, tile_size=TILE)
    with rasterio.open(path) as file:
        crs, turns = file.crs, [0, 360, -360] if file.crs.is_geographic else [0]
        middle = transform(crs, pyramid.crs, *([value] for value in file.transform @ (file.width / 2, file.height / 2)))
        step = TILE * pyramid.resolution_at(zoom)
        first_row = int((pyramid.top - middle[1][0]) // step) - AROUND
        found = set()
        for turn in turns:
            for first_col in (0, pyramid.matrix_shape(zoom)[1] - AROUND):
                corner = pyramid.grid(Tile(zoom, first_row, first_col))
                shape = 2 * AROUND * TILE, AROUND * TILE
                moved = {"src_transform": Affine.translation(turn, 0) @ file.transform}
                onto = {"crs": pyramid.crs, "transform": corner.transform, "height": shape[0], "width": shape[1]}
                with WarpedVRT(file, tolerance=1e-9, add_alpha=True, **onto, **moved) as warped:
                    valid = (warped.read(1) > 0).reshape(2 * AROUND, TILE, AROUND, TILE).any(axis=(1, 3))
                found |= {Tile(zoom, first_row + row, first_col + col) for row, col in np.argwhere(valid).tolist()}
    return found


def with_rim(tiles, pyramid):
    """The tiles and those beside them, on a globe."""
    return {
        Tile(tile.zoom, tile.row + down, (tile.col + right) % pyramid.matrix_shape(tile.zoom)[1])
        for tile in tiles
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SCENES)
def test_the_tiles_with_data_are_planned_and_at_most_a_rim_around_them(scene, grid, name):
    zoom = FINEST[grid]
    project = scene(name, hole=False, zooms=zoom, pyramid=pyramid_of(grid))
    needed = with_data(project.folder / "image.tif", grid, zoom)

    tiles = planned(project)

    pyramid = project.pipeline().pyramid
    assert {tile.col < pyramid.matrix_shape(zoom)[1] // 2 for tile in needed} == {True, False}
    assert needed <= tiles <= with_rim(needed, pyramid)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SCENES)
def test_all_zooms_together_hold_the_tiles_above_those_with_data_and_no_more_than_a_rim(scene, grid, name):
    zoom = FINEST[grid]
    project = scene(name, hole=False, zooms=[4, zoom], overviews={"below": zoom}, pyramid=pyramid_of(grid))
    pyramid = project.pipeline().pyramid
    needed = with_data(project.folder / "image.tif", grid, zoom)

    tiles = planned(project)

    for levels in range(zoom - 3):
        above = {tile.parent(levels) for tile in needed}
        found = {tile for tile in tiles if tile.zoom == zoom - levels}
        assert above <= found <= {tile.parent(levels) for tile in with_rim(needed, pyramid)}


def whole(project, out="out"):
    """The finest zoom as one image with the antimeridian in the middle, and where tiles of it are planned."""
    pipeline = project.pipeline()
    zoom = pipeline.zooms[-1]
    pixels = mosaic(project.folder / out, pipeline.pyramid, zoom, metatile=1, bands=1, dtype="uint8", fill=0)[0]
    places = np.zeros(pixels.shape, dtype=bool)
    for tile in planned(project):
        places[tile.row * TILE : (tile.row + 1) * TILE, tile.col * TILE : (tile.col + 1) * TILE] = True
    return np.roll(pixels, pixels.shape[1] // 2, axis=1), np.roll(places, pixels.shape[1] // 2, axis=1)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", ["zone 60", "zone 1", "degrees past 180"])
def test_a_filter_sees_the_other_side_through_its_buffer(scene, grid, name):
    project = scene(name, zooms=FINEST[grid] - 4, pyramid=pyramid_of(grid, buffer_px=5))
    project.run()
    copied, _ = whole(project)
    filtering = project.changed(output__path="filtered")
    filtering.process(
        "from scipy import ndimage\n"
        "def execute(image):\n"
        "    return None if image.is_empty() else ndimage.maximum_filter(image.read(1).filled(0), size=11)\n"
    )

    filtering.run()

    found, places = whole(filtering, "filtered")
    expected = np.where(places, ndimage.maximum_filter(copied, size=11), 0)
    middle = copied.shape[1] // 2
    assert copied[:, middle - 1].any()
    assert copied[:, middle].any()
    np.testing.assert_array_equal(found, expected)


def test_a_buffer_that_is_clipped_ends_where_the_scene_does_and_not_at_the_line(scene):
    values = np.random.default_rng(2).integers(1, 250, (40, 60)).astype("uint8")
    side = 180 / 512
    project = scene("degrees past 180", zooms=5, pyramid=pyramid_of("WorldCRS84Quad", 7) | {"edge": "clip"})
    write_image(
        project.folder / "image.tif",
        values,
        nodata=0,
        crs="EPSG:4326",
        left=180 - 23 * side,
        top=5.0 * side,
        resolution=side,
    )
    project.process(
        "from scipy import ndimage\n"
        "def execute(image): return ndimage.median_filter(image.read(1).filled(0), size=15, mode='reflect')"
    )

    project.run()

    found, _ = whole(project)
    row, col = found.shape[0] // 2 - 5, found.shape[1] // 2 - 23
    np.testing.assert_array_equal(
        found[row : row + 40, col : col + 60], ndimage.median_filter(values, size=15, mode="reflect")
    )
    assert np.count_nonzero(found) == 40 * 60


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", ["zone 60", "degrees before -180"])
def test_a_changed_scene_is_made_again_on_both_sides_and_nothing_else_is(scene, grid, name):
    zoom = FINEST[grid] - 3
    project = scene(name, zooms=[0, zoom], overviews={"below": zoom}, pyramid=pyramid_of(grid))
    write_image(
        project.folder / "far.tif",
        np.full((64, 64), 9, "uint8"),
        nodata=0,
        crs="EPSG:4326",
        left=10.0,
        resolution=0.1,
        top=50.0,
    )
    project.document["inputs"]["far"] = "far.tif"
    project.process(BOTH)
    first, _ = project.run()
    scene(name, seed=6)
    project.process(BOTH)
    os.utime(project.folder / "image.tif", (time.time() + 60, time.time() + 60))

    made, kept = project.run()

    finest = {tile for tile in made if tile.zoom == zoom}
    needed = with_data(project.folder / "image.tif", grid, zoom)
    assert {tile.col < project.pipeline().pyramid.matrix_shape(zoom)[1] // 2 for tile in needed} == {True, False}
    assert needed <= finest <= with_rim(needed, project.pipeline().pyramid)
    assert (
        {tile for tile in kept if tile.zoom == zoom} == {tile for tile in first if tile.zoom == zoom} - finest != set()
    )
    fresh = project.changed(output__path="fresh")
    fresh.run()
    assert project.files() == {
        str(path.relative_to(project.folder / "fresh")): path.read_bytes()
        for path in (project.folder / "fresh").glob("[0-9]*/*/*.tif")
    }


def test_the_journal_tells_both_rectangles(scene):
    project = scene("degrees past 180", zooms=3, pyramid=pyramid_of("WorldCRS84Quad"))
    project.run()

    (line,) = [
        json.loads(line)
        for path in (project.out / ".tilepipe" / "journal").iterdir()
        for line in path.read_text().splitlines()
        if line.startswith('{"run"')
    ]

    extents = line["run"]["zooms"]["3"]["inputs"]["image"]["extents"]
    np.testing.assert_allclose(extents, [[178.2, -1.5, 181.2, 1.5], [-181.8, -1.5, -178.8, 1.5]])


def test_a_rounding_error_at_the_line_does_not_reach_the_other_side(scene):
    project = scene("degrees past 180", zooms=8, pyramid=pyramid_of("WebMercatorQuad"))
    values = np.full((16, 16), 3, "uint8")
    write_image(project.folder / "image.tif", values, crs="EPSG:4326", left=180 - 1.6 + 1e-9, top=0.5, resolution=0.1)

    assert {tile.col for tile in planned(project)} == {254, 255}
