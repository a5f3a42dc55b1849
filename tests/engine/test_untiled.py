"""Tiled is untiled: whatever the tiles, buffers and executors, the mosaic is what the whole image gives."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from contracts.images import mosaic, write_image
from tilepipe.bind import open_pipeline
from tilepipe.executors.inline import Inline
from tilepipe.executors.pool import Processes, Threads
from tilepipe.geo.halve import halve
from tilepipe.recipe import make_recipe
from tilepipe.run import run
from tilepipe.selection import Selection, make_plan

EXECUTORS = {"sequential": Inline, "threads": Threads, "processes": Processes}

COPY = """
def execute(image):
    return None if image.is_empty() else image.read()
"""

FILTERS = {
    "median": (2, lambda image: ndimage.median_filter(image, 5)),
    "uniform": (2, lambda image: ndimage.uniform_filter(image, 5)),
    "minimum": (3, lambda image: ndimage.minimum_filter(image, 7)),
    "gradient": (1, lambda image: ndimage.generic_gradient_magnitude(image, ndimage.sobel)),
}
"""Radius, and the filter on the whole image with scipy's own treatment of the border."""

FILTERING = """
import numpy as np
from scipy import ndimage

FILTERS = {
    "median": lambda image: ndimage.median_filter(image, 5),
    "uniform": lambda image: ndimage.uniform_filter(image, 5),
    "minimum": lambda image: ndimage.minimum_filter(image, 7),
    "gradient": lambda image: ndimage.generic_gradient_magnitude(image, ndimage.sobel),
}

def execute(image, name: str):
    return FILTERS[name](np.ma.getdata(image.read(1)))
"""


def tiled(
    pixels,
    process,
    *,
    nodata,
    metatile=1,
    tile_size=16,
    files=None,
    buffer=0,
    edge="nodata",
    workers=1,
    executor="sequential",
    parameters=None,
    zooms=None,
    overviews=None,
):
    """The mosaics of a run over *pixels* on their own grid, by zoom, finest first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_image(folder / "image.tif", pixels, nodata=nodata)
        (folder / "mine.py").write_text(process)
        document = {
            "process": "mine.py",
            "parameters": parameters or {},
            "inputs": {"image": "image.tif"},
            "pyramid": {
                "grid": {"like": "image"},
                "tile_size": tile_size,
                "metatile": metatile,
                "pixelbuffer": buffer,
                "edge": edge,
            },
            "output": {
                "path": "out",
                "dtype": str(pixels.dtype),
                "nodata": nodata,
                "bands": 1 if pixels.ndim == 2 else len(pixels),
                "metatile": files or metatile,
            },
        }
        if overviews:
            document["overviews"] = {"resampling": overviews}
        if zooms:
            document["zooms"] = zooms
        pipeline = open_pipeline(make_recipe(document, folder=str(folder)))
        engine = EXECUTORS[executor](workers)
        plan = make_plan(pipeline, Selection(), slots=engine.workers)
        for _ in run(pipeline, plan, selection=Selection(), executor=engine):
            pass
        how = {"metatile": files or metatile, "bands": pipeline.bands, "dtype": pixels.dtype, "fill": nodata or 0}
        return {zoom: mosaic(folder / "out", pipeline.pyramid, zoom, **how) for zoom in pipeline.zooms[::-1]}


@st.composite
def images(draw, dtype=None):
    shape = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    kind = dtype or draw(st.sampled_from(["uint8", "int16", "float32"]))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = numbers.integers(1, 200, shape).astype(kind)
    pixels[numbers.random(shape) < draw(st.sampled_from([0, 0, 0.3, 1]))] = 0
    return pixels


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    pixels=images(),
    metatile=st.sampled_from([1, 2, 4]),
    split=st.integers(0, 2),
    buffer=st.integers(0, 5),
    edge=st.sampled_from(["nodata", "clip"]),
    executor=st.sampled_from(["sequential", "threads"]),
)
def test_slices_put_together_are_the_image(pixels, metatile, split, buffer, edge, executor):
    how = {"metatile": metatile, "files": max(1, metatile >> split), "buffer": buffer, "edge": edge, "workers": 2}

    mosaics = tiled(pixels, COPY, nodata=0, executor=executor, **how)

    whole = next(iter(mosaics.values()))
    height, width = pixels.shape
    assert (whole[0, :height, :width] == pixels).all()
    assert not whole[0, height:].any()
    assert not whole[0, :, width:].any()


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    pixels=images(dtype="float32"),
    name=st.sampled_from(sorted(FILTERS)),
    metatile=st.sampled_from([1, 2]),
    more=st.integers(0, 2),
)
def test_a_filter_with_enough_buffer_gives_the_same_pixels_tiled_and_untiled(pixels, name, metatile, more):
    radius, whole_filter = FILTERS[name]
    how = {"buffer": radius + more, "edge": "clip", "parameters": {"name": name}, "metatile": metatile}

    mosaics = tiled(pixels, FILTERING, nodata=-9999, **how)

    height, width = pixels.shape
    assert (next(iter(mosaics.values()))[0, :height, :width] == whole_filter(pixels)).all()


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_buffer_that_is_one_too_small_shows(name):
    pixels = np.random.default_rng(3).random((64, 64), dtype="float32")
    radius, whole_filter = FILTERS[name]
    how = {"edge": "clip", "parameters": {"name": name}}

    enough = tiled(pixels, FILTERING, nodata=-9999, buffer=radius, **how)
    short = tiled(pixels, FILTERING, nodata=-9999, buffer=radius - 1, **how)

    assert (next(iter(enough.values()))[0] == whole_filter(pixels)).all()
    assert (next(iter(short.values()))[0] != whole_filter(pixels)).sum() > 50


@pytest.mark.slow
@pytest.mark.parametrize("metatile", [1, 4])
def test_every_executor_and_number_of_workers_writes_the_same_bytes(tmp_path, metatile):
    numbers = np.random.default_rng(7)
    write_image(tmp_path / "image.tif", numbers.integers(0, 50, (300, 420), dtype="uint8"), nodata=0)
    (tmp_path / "mine.py").write_text(COPY)
    written = {}
    for executor, workers in [("sequential", 1), ("threads", 1), ("threads", 3), ("processes", 1), ("processes", 3)]:
        out = f"{executor}{workers}"
        document = {
            "process": "mine.py",
            "inputs": {"image": "image.tif"},
            "pyramid": {"grid": {"like": "image"}, "tile_size": 16, "metatile": metatile, "pixelbuffer": 1},
            "overviews": {"resampling": "average"},
            "output": {"path": out, "dtype": "uint8", "nodata": 0, "metatile": 1},
        }
        pipeline = open_pipeline(make_recipe(document, folder=str(tmp_path)))
        engine = EXECUTORS[executor](workers)
        plan = make_plan(pipeline, Selection(), slots=engine.workers)
        for _ in run(pipeline, plan, selection=Selection(), executor=engine):
            pass
        tiles = (tmp_path / out).glob("[0-9]*/*/*.tif")
        written[out] = {str(path.relative_to(tmp_path / out)): path.read_bytes() for path in tiles}

    assert len(written["sequential1"]) > 300
    assert all(files == written["sequential1"] for files in written.values())


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    pixels=images(), metatile=st.sampled_from([1, 2, 4]), method=st.sampled_from(["nearest", "average", "max", "mode"])
)
def test_each_overview_is_the_halved_mosaic_below_it(pixels, metatile, method):
    mosaics = list(tiled(pixels, COPY, nodata=0, metatile=metatile, overviews=method).values())

    for finer, coarser in pairwise(mosaics):
        expected = halve(finer, nodata=0, method=method)
        height, width = (min(sizes) for sizes in zip(expected.shape[1:], coarser.shape[1:], strict=True))
        assert (coarser[:, :height, :width] == expected[:, :height, :width]).all()
        assert not expected[:, height:].any()
        assert not expected[:, :, width:].any()
        assert not coarser[:, height:].any()
        assert not coarser[:, :, width:].any()
