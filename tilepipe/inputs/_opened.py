"""Which raster files are open: handles for each thread, and what is known of a file."""

import os
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import calculate_default_transform

from tilepipe.errors import InputError
from tilepipe.geo.placing import SourceGrid
from tilepipe.geo.warp import crs_name

__all__ = ["SIDECARS", "Band", "Facts", "Stamp", "facts_of", "named", "open_level", "opened", "stamp_of"]

MOST_OPEN = 32
"""Handles kept in each thread; a warped one holds two files open, and a process is commonly allowed 1024."""
SIDECARS = (".ovr", ".msk", ".aux.xml")
"""What GDAL reads beside a file, if it is there."""

FILTERS = threading.Lock()

Stamp = tuple[tuple[int, int] | None, ...]
"""Modification time in nanoseconds and size of a file and its sidecars; None where there is no such file."""


class Band(NamedTuple):
    """One band as the file describes it."""

    dtype: str
    """As rasterio names it."""
    nodata: float | None
    """The value that marks missing pixels, where the band has one and it is a value of its dtype."""
    curtain: str
    """What else hides pixels: `mask` (of the dataset), `alpha`, or nothing."""
    is_alpha: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a file without reading pixels."""

    name: str
    """As GDAL knows what rasterio opens under the path."""
    grid: SourceGrid
    bands: tuple[Band, ...]
    files: tuple[str, ...]
    """The file and those GDAL reads with it."""

    @property
    def alpha(self) -> int | None:
        """Number of the alpha band, from 1."""
        return next((number for number, band in enumerate(self.bands, 1) if band.is_alpha), None)


class _Shelf(threading.local):
    """The open files of one thread; GDAL's handles are not made to be shared."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.handles: OrderedDict[object, Any] = OrderedDict()


SHELF = _Shelf()


def opened(key: object, open_it: Callable[[], Any]) -> Any:
    """The handle kept under *key* by this thread; opened now if there is none."""
    if os.getpid() != SHELF.process:
        # A forked process shares its parent's place in every open file, so it must open its own.
        SHELF.__init__()  # type: ignore[misc]  # the same thread, in a new process
    handles = SHELF.handles
    if key in handles:
        handles.move_to_end(key)
        return handles[key]
    handle = handles[key] = open_it()
    while len(handles) > MOST_OPEN:
        handles.popitem(last=False)[1].close()
    return handle


def stamp_of(path: str) -> Stamp:
    """What changes when the file or one of its sidecars is written again; all None for what is not a local file."""
    found: list[tuple[int, int] | None] = []
    for ending in ("", *SIDECARS):
        try:
            facts = os.stat(path + ending)
        except (OSError, ValueError):
            found.append(None)
        else:
            found.append((facts.st_mtime_ns, facts.st_size))
    return tuple(found)


def reason(error: BaseException) -> str:
    """What GDAL said: the innermost of the errors rasterio wraps."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    # The name of a virtual file is its text, of which GDAL shows the end.
    return re.sub(r"^VRTDataset>, band \d+: [^:]*: ", "", text)


@contextmanager
def named(path: str, doing: str, *, passing: bool = True) -> Iterator[None]:
    """Whatever GDAL and rasterio raise becomes an InputError that names the file; reading may succeed another time."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise InputError(f"{path} {doing}: {reason(error)}", passing=passing) from error


def open_level(path: str, level: int) -> Any:
    """A new handle of the file at full resolution, or of one of its overviews."""
    with named(path, "cannot be opened"):
        return rasterio.open(path) if level == 0 else rasterio.open(path, overview_level=level - 1)


@lru_cache(maxsize=1024)
def facts_of(path: str, crs: str | None, _stamp: Stamp) -> Facts:
    """What is known of the file as it was at *_stamp*.

    Args:
        path: whatever GDAL opens.
        crs: the reference system to take instead of the file's own.
        _stamp: of the file, so that it is looked at again when it changes.

    Raises:
        InputError: the file cannot be opened, holds no raster, or has no place on earth.
    """
    with _quiet(), open_level(path, 0) as dataset:
        if not dataset.count:
            names = dataset.subdatasets
            raise InputError(
                f"{path} has {len(names)} subdatasets; name one: {', '.join(names)}"
                if names
                else f"{path} has no bands"
            )
        with named(path, "cannot be placed", passing=False):
            return Facts(
                name=dataset.files[0] if "://" in path and dataset.files else path,
                grid=_grid(path, dataset, crs),
                bands=tuple(_band(dataset, at) for at in range(dataset.count)),
                files=tuple(dataset.files) or (path,),
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without rasterio's warning of what an error is going to say better; filters belong to the whole process."""
    with FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _band(dataset: Any, at: int) -> Band:
    flags = dataset.mask_flag_enums[at]
    curtain = "alpha" if MaskFlags.alpha in flags else "mask" if MaskFlags.per_dataset in flags else ""
    is_alpha = dataset.colorinterp[at] == ColorInterp.alpha
    if MaskFlags.all_valid in flags and not is_alpha and ColorInterp.alpha in dataset.colorinterp:
        # GDAL's own flags know of alpha in files of two or four bands only.
        curtain = "alpha"
    return Band(
        dtype=dataset.dtypes[at],
        nodata=dataset.nodatavals[at] if MaskFlags.nodata in flags else None,
        curtain=curtain,
        is_alpha=is_alpha,
    )


def _grid(path: str, dataset: Any, crs: str | None) -> SourceGrid:
    points, points_crs = dataset.gcps
    transform, exact = dataset.transform, True
    found = crs or dataset.crs
    if transform.is_identity:
        if points:
            found = crs or points_crs
        elif dataset.rpcs:
            found = "EPSG:4326"
        else:
            raise InputError(_nowhere(path))
    if not found:
        raise InputError(f"{path} does not say its reference system; name it: `crs: EPSG:...`")
    try:
        name = crs_name(found)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    if transform.is_identity:
        transform, exact = _fitted(dataset, name, points), False
    return SourceGrid(crs=name, transform=transform, sizes=_sizes(path, dataset), exact=exact)


def _nowhere(path: str) -> str:
    return f"{path} has no place on earth: neither a geotransform nor ground control points nor RPCs"


def _fitted(dataset: Any, crs: str, points: list[Any]) -> Affine:
    """The north-up grid that GDAL suggests for what control points or polynomials describe, in as many pixels."""
    placed = {"gcps": points} if points else {"rpcs": dataset.rpcs}
    transform, width, height = calculate_default_transform(crs, crs, dataset.width, dataset.height, **placed)
    return Affine(*transform[:6]) @ Affine.scale(width / dataset.width, height / dataset.height)


def _sizes(path: str, dataset: Any) -> tuple[tuple[int, int], ...]:
    sizes = [(dataset.height, dataset.width)]
    counts = {len(dataset.overviews(number)) for number in dataset.indexes}
    for level in range(1, min(counts) + 1):
        with open_level(path, level) as overview:
            sizes.append((overview.height, overview.width))
    return tuple(sizes)
