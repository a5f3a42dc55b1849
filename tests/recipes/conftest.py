"""Whole runs of small recipes, and what they left behind as one image."""

import subprocess
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from engine.conftest import Project

COPY = """
def execute(image):
    return None if image.is_empty() else image.read()
"""

EXACT = 1e-9
"""Pixels by which a transformation may be off; with 0, rasterio cannot make a virtual file."""


@dataclass
class Image:
    """Pixels as any reader of GDAL sees them."""

    pixels: np.ndarray
    """`(band, row, col)`"""
    valid: np.ndarray
    """False where there is no data, same shape."""
    transform: Affine
    crs: object


def _frame(crs, *, left, top, side, height, width, bands=1, dtype="uint8"):
    """Pixels without data."""
    shape = (bands, height, width)
    return Image(np.zeros(shape, dtype), np.zeros(shape, dtype=bool), Affine(side, 0, left, 0, -side, top), crs)


def _put_together(folder, zoom, *, more=0, like=None):
    """The tiles of a zoom, each where its own file says it lies.

    Around them are *more* pixels without data on each side; or all are laid onto the pixels of another image, *like*.
    """
    opened = [rasterio.open(path) for path in sorted((folder / str(zoom)).glob("*/*.tif"))]
    first = opened[0]
    if like is None:
        side = first.transform.a
        lefts, bottoms, rights, tops = zip(*(file.bounds for file in opened), strict=True)
        height, width = round((max(tops) - min(bottoms)) / side), round((max(rights) - min(lefts)) / side)
        frame = _frame(
            first.crs,
            left=min(lefts) - more * side,
            top=max(tops) + more * side,
            side=side,
            height=height + 2 * more,
            width=width + 2 * more,
            bands=first.count,
        )
    else:
        frame = like
    image = replace(frame, pixels=np.zeros(frame.pixels.shape, first.dtypes[0]), valid=np.zeros_like(frame.valid))
    for file in opened:
        with file:
            col, row = (round(place) for place in ~frame.transform @ (file.bounds.left, file.bounds.top))
            _lay(image, file, row, col)
    return image


def _lay(image, file, row, col):
    """The part of *file* that lies in the image, when its first pixel lies at *row* and *col*."""
    _, height, width = image.pixels.shape
    rows, cols = slice(max(row, 0), min(row + file.height, height)), slice(max(col, 0), min(col + file.width, width))
    if rows.start < rows.stop and cols.start < cols.stop:
        inside = np.s_[:, rows.start - row : rows.stop - row, cols.start - col : cols.stop - col]
        image.pixels[:, rows, cols], image.valid[:, rows, cols] = file.read()[inside], file.read_masks()[inside] > 0


def _warped(path, onto, method, *, level=None, **options):
    """All of a file, warped at once and without approximation onto the pixels of *onto*."""
    count, height, width = onto.pixels.shape
    where = {"crs": onto.crs, "transform": onto.transform, "height": height, "width": width}
    how = {"resampling": Resampling[method], "tolerance": EXACT} | options
    opening = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **opening) as file, WarpedVRT(file, **where, **how) as whole:
        numbers = list(range(1, count + 1))
        valid = whole.read_masks(numbers) > 0
        if ColorInterp.alpha in file.colorinterp:
            valid &= whole.read(file.colorinterp.index(ColorInterp.alpha) + 1) > 0
        return Image(whole.read(numbers), valid, onto.transform, onto.crs)


def _gdalwarp(path, onto, method, *options, result=None):
    """The same by the program of the system; the file it wrote."""
    _, height, width = onto.pixels.shape
    (left, top), (right, bottom) = onto.transform @ (0, 0), onto.transform @ (width, height)
    bounds = [repr(float(value)) for value in (left, bottom, right, top)]
    where = ["-t_srs", onto.crs.to_wkt(), "-te", *bounds, "-ts", str(width), str(height)]
    result = result or f"{path}.warped.tif"
    subprocess.run(
        ["gdalwarp", "-q", "-overwrite", "-et", "0", "-r", method, *where, *options, str(path), str(result)], check=True
    )
    return result


def _opened(path):
    """A file as rasterio reads it."""
    with rasterio.open(path) as file:
        return Image(file.read(), file.read_masks() > 0, file.transform, file.crs)


@pytest.fixture
def whole():
    """Ways to see all at once: tiles put together, a whole image warped, a file as rasterio opens it."""
    return SimpleNamespace(frame=_frame, tiles=_put_together, warped=_warped, gdalwarp=_gdalwarp, opened=_opened)


@pytest.fixture
def copying(tmp_path):
    """A recipe that copies `image.tif`."""
    project = Project(
        tmp_path,
        {
            "process": "mine.py",
            "inputs": {"image": {"path": "image.tif"}},
            "pyramid": {"grid": "WebMercatorQuad", "tile_size": 32, "metatile": 2, "pixelbuffer": 3},
            "output": {"path": "out", "dtype": "float32", "nodata": -9999},
        },
    )
    project.process(COPY)
    return project
