"""How steeply the ground falls east and north at each pixel, and what holds at holes and edges.

The work goes strip by strip: strips are so low that everything between elevation and result stays in the
processor's second cache. A strip is one flat run of numbers, its rows end to end, because numpy is fastest on long
runs; what is computed across the end of a row falls on the two outer columns, which are never copied out.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tilepipe.errors import ProcessError, nearest
from tilepipe.geo.raster import Masked, Pixels

__all__ = ["Falls", "Floats", "Gradient", "Kernel", "from_falls", "per_unit"]

STRIP_PX = 1 << 15

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Gradient = Literal["horn", "zevenbergen_thorne"]
"""Whether all eight neighbours count, or only the four that share a side with the pixel."""
Falls = tuple[Floats, Floats]
"""How far the ground falls toward the east, and toward the north."""
Kernel = Callable[[Falls, Floats, Floats], None]
"""`(falls, out, spare)`, all flat and of one length: fills *out* from the falls, may overwrite the others."""

WEIGHTS: dict[str, tuple[int, int, int]] = {"horn": (1, 2, 1), "zevenbergen_thorne": (0, 1, 0)}


class Strip(NamedTuple):
    """Some rows of elevation with a row more above and below and a column more on each side."""

    top: int
    """Row of the whole that the second row here is."""
    pixels: Floats
    """`(row, col)`, contiguous."""
    missing: Flags | None
    """Of the same shape; None where nothing is missing."""


def from_falls(
    elevation: Masked,
    kernel: Kernel,
    *,
    dtype: DTypeLike,
    gradient: Gradient,
    computed_edges: bool,
) -> Masked:
    """What *kernel* makes of the fall of the ground at each pixel.

    The kernel gets differences of elevation summed over the neighbours; `per_unit` says what makes them slopes. The
    result is missing where any pixel of the 3 x 3 around it is missing or outside the array. With *computed_edges*
    it is missing only where the elevation is: a missing neighbour counts as being as high as the pixel itself, and
    the ground goes on beyond the array's edge as steeply as before it.

    Args:
        elevation: `(row, col)` of any real dtype; float32 is computed with.
        kernel: makes the result.
        dtype: of the result; fractions are cut off where it has none.
        gradient: which neighbours count.
        computed_edges: whether there is a result beside missing pixels and at the edge.

    Returns:
        `(row, col)` of *dtype*, 0 beneath the mask.

    Raises:
        ProcessError: *elevation* has other than two dimensions.
    """
    if elevation.ndim != 2:
        raise ProcessError(
            f"the fall of the ground needs one band, (row, col), but the array has the shape {elevation.shape}; "
            "read a single band, as in dem.read(1)"
        )
    height, width = elevation.shape
    out = np.zeros((height, width), dtype=dtype)
    mask = np.zeros((height, width), dtype=bool)
    if min(height, width) < (2 if computed_edges else 3):
        mask[:] = True
        return np.ma.MaskedArray(out, mask=mask, fill_value=0)
    inside = slice(None)
    if not computed_edges:
        inside = slice(1, -1)
        mask[[0, -1]] = True
        mask[:, [0, -1]] = True
    rows = min(max(1, STRIP_PX // width), height)
    spare = np.empty((4, (rows + 2) * (width + 2)), dtype=np.float32)
    # What lies beneath a mask may be anything, and so may the differences to it.
    with np.errstate(all="ignore"):
        for strip in _strips(elevation, rows, computed_edges=computed_edges):
            place = slice(strip.top, strip.top + strip.pixels.shape[0] - 2), inside
            falls = _falls(strip, spare, gradient=gradient, to_known=computed_edges)
            np.copyto(out[place], _apply(kernel, falls, spare=spare, shape=strip.pixels.shape), casting="unsafe")
            if strip.missing is not None:
                void = strip.missing[1:-1, 1:-1] if computed_edges else _any_of_nine(strip.missing)
                mask[place] = void
                out[place][void] = 0
    return np.ma.MaskedArray(out, mask=mask, fill_value=0)


def per_unit(resolution: float, *, scale: float, gradient: Gradient) -> float:
    """What the differences of `from_falls` are to be multiplied with to be slopes, as rise over run.

    Args:
        resolution: side of a pixel in units of the crs.
        scale: units of elevation that a unit of the crs is long.
        gradient: which neighbours count.

    Raises:
        ProcessError: *resolution* or *scale* is not above 0, or *gradient* is unknown.
    """
    if not (resolution > 0 and scale > 0):
        raise ProcessError(f"slopes need a resolution and a scale above 0, not {resolution} and {scale}")
    if gradient not in WEIGHTS:
        raise ProcessError(f"there is no gradient {gradient!r}; {nearest(gradient, WEIGHTS)}")
    return 1.0 / (2 * sum(WEIGHTS[gradient]) * resolution * scale)


def _strips(elevation: Masked, rows: int, *, computed_edges: bool) -> Iterator[Strip]:
    pixels: Pixels = np.ma.getdata(elevation)
    mask = np.ma.getmask(elevation)
    missing = mask if isinstance(mask, np.ndarray) else None
    height = pixels.shape[0]
    if computed_edges:
        first, last = pixels[:2].astype(np.float32), pixels[-2:].astype(np.float32)
        ends = (None, None) if missing is None else (_and_beyond(missing[:2], 0), _and_beyond(missing[-2:], 2))
        yield _widened(0, np.insert(first, 0, 2 * first[0] - first[1], axis=0), ends[0])
        yield _widened(height - 1, np.insert(last, 2, 2 * last[1] - last[0], axis=0), ends[1])
    for top in range(1, height - 1, rows):
        lines = slice(top - 1, min(top + rows, height - 1) + 1)
        holes = None if missing is None or not missing[lines].any() else missing[lines]
        if computed_edges:
            yield _widened(top, pixels[lines], holes, goes_on=True)
        else:
            yield Strip(top, np.ascontiguousarray(pixels[lines], dtype=np.float32), holes)


def _and_beyond(missing: Flags, row: int) -> Flags:
    """The two rows at the edge, and inserted as *row* the one beyond: missing where one of the two is."""
    return np.insert(missing, row, missing.any(axis=0), axis=0)


def _widened(top: int, pixels: Pixels, missing: Flags | None, *, goes_on: bool = False) -> Strip:
    """A strip with a column more on each side: the outermost again, or the ground going on as it was."""
    wide = np.empty((pixels.shape[0], pixels.shape[1] + 2), dtype=np.float32)
    wide[:, 1:-1] = pixels
    for beyond, edge, inner in ((0, 1, 2), (-1, -2, -3)):
        wide[:, beyond] = 2 * wide[:, edge] - wide[:, inner] if goes_on else wide[:, edge]
    if missing is None:
        return Strip(top, wide, None)
    holes = np.pad(missing, ((0, 0), (1, 1)), mode="edge")
    if goes_on:
        for beyond, inner in ((0, 2), (-1, -3)):
            holes[:, beyond] |= holes[:, inner]
    return Strip(top, wide, holes)


def _falls(strip: Strip, spare: Floats, *, gradient: Gradient, to_known: bool) -> Falls:
    """Flat falls east and north at all pixels but the first and the last of the strip's inner rows."""
    if to_known and strip.missing is not None:
        return _falls_to_known(strip, strip.missing, WEIGHTS[gradient])
    ground, width = strip.pixels.reshape(-1), strip.pixels.shape[1]
    length = ground.size - 2 * width - 2
    if gradient == "zevenbergen_thorne":
        beside, above = ground[width:-width], ground[1:-1]
        east = np.subtract(beside[:-2], beside[2:], out=spare[0, :length])
        north = np.subtract(above[2 * width :], above[: -2 * width], out=spare[1, :length])
        return east, north
    # Differences come before sums: heights are large and their differences small, so less is rounded off.
    down = np.subtract(ground[2 * width :], ground[: -2 * width], out=spare[1, : length + 2])
    pairs = np.add(down[:-1], down[1:], out=spare[2, : length + 1])
    north = np.add(pairs[:-1], pairs[1:], out=spare[1, :length])
    across = np.subtract(ground[:-2], ground[2:], out=spare[0, : length + 2 * width])
    pairs = np.add(across[:-width], across[width:], out=spare[2, : length + width])
    east = np.add(pairs[:-width], pairs[width:], out=spare[0, :length])
    return east, north


def _falls_to_known(strip: Strip, missing: Flags, weights: tuple[int, int, int]) -> Falls:
    """The same, where a missing neighbour is as high as the pixel and so adds nothing to the fall."""
    pixels = strip.pixels
    rows, cols = pixels.shape[0] - 2, pixels.shape[1] - 2
    centre = pixels[1:-1, 1:-1]
    falls = np.zeros((2, rows, cols + 2), dtype=np.float32)
    for row in range(3):
        for col in range(3):
            there = slice(row, row + rows), slice(col, col + cols)
            rise = np.where(missing[there], np.float32(0), pixels[there] - centre)
            falls[0, :, 1:-1] += rise * np.float32((1 - col) * weights[row])
            falls[1, :, 1:-1] += rise * np.float32((row - 1) * weights[col])
    east, north = falls.reshape(2, -1)[:, 1:-1]
    return east, north


def _apply(kernel: Kernel, falls: Falls, *, spare: Floats, shape: tuple[int, ...]) -> Floats:
    """The kernel's result `(row, col)`, without the strip's outer rows and columns."""
    rows, width = shape[0] - 2, shape[1]
    result = spare[2, : rows * width]
    kernel(falls, result[1:-1], spare[3, : rows * width - 2])
    return result.reshape(rows, width)[:, 1:-1]


def _any_of_nine(missing: Flags) -> Flags:
    """Where anything of the 3 x 3 is missing; two rows and columns fewer."""
    beside = missing[:, :-2] | missing[:, 1:-1] | missing[:, 2:]
    return beside[:-2] | beside[1:-1] | beside[2:]
