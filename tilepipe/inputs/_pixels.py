"""Where pixels come from: a window of a file pasted as it is, or the pieces of a warp, put together on one grid."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from tilepipe.geo.grid import Grid
from tilepipe.geo.placing import Paste, Piece, SourceGrid, Warp
from tilepipe.geo.raster import Masked, Pixels, missing
from tilepipe.inputs._opened import Band, Facts, Stamp, named, open_level, opened
from tilepipe.inputs._warped import Warped, spelling

__all__ = ["Part", "Request", "common_dtype", "joined", "pasted", "warped"]

Hidden = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is wanted of a file."""

    path: str
    stamp: Stamp
    facts: Facts
    numbers: tuple[int, ...]
    """Of the bands, from 1."""
    bands: tuple[Band, ...]
    """The same bands; their nodata may be the recipe's."""
    resampling: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        return common_dtype(self.bands)


class Part(NamedTuple):
    """Pixels that were read, and where they go."""

    row: int
    col: int
    pixels: Pixels
    """`(band, row, col)`"""
    hidden: Hidden | None
    """True where there is no data, same shape; None where there is data everywhere."""


def common_dtype(bands: Iterable[Band]) -> np.dtype[Any]:
    """The NumPy type that holds the values of all *bands*."""
    return np.result_type(*("complex64" if band.dtype == "complex_int16" else band.dtype for band in bands))


def pasted(request: Request, how: Paste) -> Part:
    """The window as it lies in the file."""
    dataset = _level(request, how.level)
    window = Window(how.col, how.row, how.width, how.height)
    doing = (
        f"cannot be read at rows {how.row}-{how.row + how.height - 1}, columns {how.col}-{how.col + how.width - 1}"
        f"{f' of overview {how.level}' if how.level else ''}"
    )
    with named(request.path, doing):
        if len({band.dtype for band in request.bands}) == 1:
            pixels = dataset.read(list(request.numbers), window=window)
        else:
            pixels = np.stack([dataset.read(n, window=window).astype(request.dtype) for n in request.numbers])
        hidden = _marked(pixels, request.bands)
        for at, (number, band) in enumerate(zip(request.numbers, request.bands, strict=True)):
            if band.curtain:
                # Of the dataset or of its alpha, so one for all bands; the block cache makes the next one cheap.
                alpha = request.facts.alpha if band.curtain == "alpha" else None
                behind = (
                    dataset.read_masks(number, window=window) if alpha is None else dataset.read(alpha, window=window)
                ) == 0
                hidden = np.zeros(pixels.shape, dtype=bool) if hidden is None else hidden
                hidden[at] |= behind
    return Part(how.at_row, how.at_col, pixels, hidden)


def _marked(pixels: Pixels, bands: tuple[Band, ...]) -> Hidden | None:
    if all(band.nodata is None for band in bands):
        return None
    values = pixels.real if np.iscomplexobj(pixels) else pixels
    if len({band.nodata for band in bands}) == 1:
        return missing(values, bands[0].nodata)
    return np.stack([missing(layer, band.nodata) for layer, band in zip(values, bands, strict=True)])


def warped(request: Request, how: Warp, source: SourceGrid) -> Iterator[Part]:
    """The pieces, each as GDAL's warp of the whole file has it."""
    groups: dict[object, list[int]] = {}
    for at, band in enumerate(request.bands):
        groups.setdefault((band.dtype, band.curtain, band.nodata is None), []).append(at)
    for piece in how.pieces:
        parts = [_warped_group(request, how, source=source, piece=piece, places=places) for places in groups.values()]
        if len(parts) == 1:
            yield Part(piece.at_row, piece.at_col, *parts[0])
            continue
        pixels = np.empty((len(request.bands), piece.height, piece.width), dtype=request.dtype)
        hidden = np.empty(pixels.shape, dtype=bool)
        for places, (some, some_hidden) in zip(groups.values(), parts, strict=True):
            pixels[places], hidden[places] = some, some_hidden
        yield Part(piece.at_row, piece.at_col, pixels, hidden)


def _warped_group(
    request: Request, how: Warp, *, source: SourceGrid, piece: Piece, places: list[int]
) -> tuple[Pixels, Hidden]:
    """Bands that are alike but for the value of their nodata."""
    bands = [request.bands[at] for at in places]
    told = spelling(bands[0].dtype, nodata=bands[0].nodata, resampling=request.resampling, alone=len(places) == 1)
    key = Warped(
        path=request.facts.name,
        source=source,
        level=how.level,
        cell=piece.cell,
        x_scale=how.x_scale,
        y_scale=how.y_scale,
        resampling=request.resampling,
        bands=tuple(request.numbers[at] for at in places),
        nodata=tuple(band.nodata for band in bands),
        alpha=request.facts.alpha if bands[0].curtain == "alpha" else None,
        gaps=bands[0].nodata is not None or bool(bands[0].curtain),
        spelling=told,
    )
    window = Window(piece.col, piece.row, piece.width, piece.height)
    around = piece.cell.window(row=piece.row, col=piece.col, height=piece.height, width=piece.width).bounds
    with named(request.path, f"cannot be read within {', '.join(f'{side:.10g}' for side in around)}"):
        dataset = opened((key, request.stamp), lambda: rasterio.open(key.xml(_level(request, how.level))))
        with rasterio.Env(GDAL_VRT_WARP_USE_DATASET_RASTERIO="YES" if key.at_once else "NO"):
            found = dataset.read(window=window)
    if told.spare is None:
        found, cover = found[:-1], found[-1:]
        hidden = np.repeat(cover == 0, len(bands), axis=0)
    elif told.reserved:
        hidden = np.stack([missing(layer, band.nodata) for layer, band in zip(found, bands, strict=True)])
    else:
        hidden = (found.real if np.iscomplexobj(found) else found) == found.dtype.type(told.spare).real
    dtype = common_dtype(bands)
    if found.dtype != dtype:
        found = _narrowed(found, dtype)
    if dtype.kind in "iuf" and not told.reserved:
        _move_beside(found, hidden, bands)
    return found.astype(request.dtype, copy=False), hidden


def _move_beside(pixels: Pixels, hidden: Hidden, bands: list[Band]) -> None:
    """Results that happen to be nodata become the next value, the same one to which GDAL moves them elsewhere."""
    for layer, gone, band in zip(pixels, hidden, bands, strict=True):
        if band.nodata is None:
            continue
        met = ~gone & missing(layer, band.nodata)
        if met.any():
            layer[met] = _next(band.nodata, layer.dtype)


def _next(value: float, dtype: np.dtype[Any]) -> Any:
    """One less for integers, the next larger number for floats, or the other way at the end of the type."""
    if dtype.kind in "iu":
        return int(value) + (1 if value == np.iinfo(dtype).min else -1)
    number = dtype.type(value)
    return np.nextafter(number, dtype.type(-np.inf if number >= np.finfo(dtype).max else np.inf))


def _narrowed(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """The values in *dtype*; kernels that overshoot its limits end there."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        pixels = np.clip(pixels, limits.min, limits.max)
    return pixels.astype(dtype, copy=False)


def _level(request: Request, level: int) -> Any:
    return opened((request.path, request.stamp, level), lambda: open_level(request.path, level))


def joined(parts: list[Part], grid: Grid, request: Request) -> Masked:
    """The parts on one grid; what none of them covers is masked."""
    shape = (len(request.bands), grid.height, grid.width)
    fills = np.array([band.nodata or 0 for band in request.bands]).astype(request.dtype)
    if len(parts) == 1 and parts[0].pixels.shape == shape:
        pixels, hidden = parts[0].pixels, parts[0].hidden
    else:
        pixels, hidden = np.empty(shape, dtype=request.dtype), np.ones(shape, dtype=bool)
        for part in parts:
            _lay(part, pixels, hidden)
    if hidden is not None and not hidden.any():
        hidden = None
    if hidden is not None:
        for layer, layer_hidden, fill in zip(pixels, hidden, fills, strict=True):
            np.putmask(layer, layer_hidden, fill)
    result: Masked = np.ma.MaskedArray(pixels, mask=np.ma.nomask if hidden is None else hidden)
    result.fill_value = fills[0]
    return result


def _lay(part: Part, pixels: Pixels, hidden: Hidden) -> None:
    """Put *part* where nothing lies yet."""
    _, height, width = part.pixels.shape
    where = np.s_[:, part.row : part.row + height, part.col : part.col + width]
    behind = hidden[where]
    if behind.all():
        pixels[where] = part.pixels
        hidden[where] = False if part.hidden is None else part.hidden
        return
    fresh = behind if part.hidden is None else behind & ~part.hidden
    np.copyto(pixels[where], part.pixels, where=fresh)
    hidden[where] = behind & ~fresh
