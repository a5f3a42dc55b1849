"""Which value an overview pixel has: one from the four pixels under it.

The rules are GDAL's, so that a pyramid made branch by branch equals GDAL's overviews of the whole mosaic. Nearest,
average, mode and rms follow `gdaladdo`, the others `gdalwarp` at half the resolution, because `gdaladdo` does not know
them. Where GDAL contradicts itself or loses data, this module does not follow:

* nearest is the upper left of the four, as in `gdaladdo`; `gdalwarp` takes the lower right;
* NaN is missing whatever the nodata value is; GDAL lets it spread unless NaN is the nodata value;
* 64-bit integers are averaged and summed exactly; GDAL goes through float64 and overflows at the ends;
* averages and rms of floats are worked out in float64 and do not overflow; GDAL adds float32 as float32 where there is
  no nodata value, becomes infinite, and has an rms of 0 where only the lower right pixel is not;
* mode is nodata where all four are missing; GDAL writes 0 for some nodata values;
* a valid average, rms or sum never equals the nodata value; GDAL forgets to look after rounding signed and 32-bit
  averages, and for sums of floats.

One file, because the methods share one walk over the pixels and one notion of what is missing.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tilepipe.errors import RecipeError, nearest
from tilepipe.geo.raster import Pixels

__all__ = ["CASCADE", "halve"]

REAL = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
COMPLEX = ("complex64", "complex128")
COMPLEX_METHODS = ("nearest", "average")
BLOCK_BYTES = 1 << 17
"""A block and its intermediate arrays, some six times as large, stay in a core's second-level cache."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some rows of one band."""

    pixels: Pixels
    """`(2 * rows, 2 * cols)`, contiguous."""
    present: Flags | None
    """False where a pixel is missing, or None where none is."""
    count: NDArray[np.uint8] | None
    """How many of each four are present, `(rows, cols)`, or None where all are."""

    def filled(self, value: Any) -> Pixels:
        """The pixels with *value* where they are missing."""
        if self.present is None:
            return self.pixels
        if value == 0 and self.pixels.dtype.kind in "iu":
            return self.pixels * self.present
        return _choose(self.present, self.pixels, self.pixels.dtype.type(value))

    def counted(self) -> NDArray[np.uint8] | int:
        """What to divide a sum by; 1 where nothing is present."""
        return 4 if self.count is None else np.maximum(self.count, 1)


def halve(pixels: Pixels, *, nodata: float | None, method: str) -> Pixels:
    """Pixels of half the resolution, each from the present ones of the two by two under it.

    Args:
        pixels: `(band, 2 * rows, 2 * cols)` of any real numeric dtype of 8 to 64 bits; complex ones for nearest and
            average.
        nodata: the value of missing pixels, or None where every pixel counts. NaN is missing in any case.
        method: a name of `CASCADE`. Integers are rounded as GDAL does: averages half away from zero; rms half down in
            uint8 and uint16, else half up. A sum beyond the dtype becomes its end. Of equally frequent values, mode
            takes the one that is first to reach that number, left to right and top down. Quartiles and the median are
            always one of the pixels: of an even number the lower one of the two in the middle.

    Returns:
        `(band, rows, cols)` of the same dtype; *nodata* (NaN if there is none) where all four are missing. A valid
        result of average, rms or sum that equals *nodata* is moved to the next value: up for average and rms (down
        from the end of the dtype), down for sum (up from its start).

    Raises:
        RecipeError: no such method, or none for this dtype; *nodata* is no value of the dtype.
        ValueError: *pixels* is not of three axes, the last two even.
    """
    _check(pixels.dtype, method)
    if pixels.ndim != 3 or pixels.shape[1] % 2 or pixels.shape[2] % 2:
        raise ValueError(f"only (band, 2 * rows, 2 * cols) can be halved, not {pixels.shape}")
    marker = _marker(pixels.dtype, nodata)
    if method == "nearest":
        return _nearest(pixels, marker)
    bands, height, width = pixels.shape
    halved = np.empty((bands, height // 2, width // 2), pixels.dtype)
    if not halved.size:
        return halved
    kernel = KERNELS[method]
    spare = _spare(marker, method)
    with np.errstate(over="ignore", invalid="ignore"):
        for source, target in _blocks(pixels, halved):
            target[...] = _halve_block(source, marker=marker, spare=spare, kernel=kernel)
    return halved


def _check(dtype: np.dtype[Any], method: str) -> None:
    if method not in CASCADE:
        raise RecipeError(f"overviews cannot be made by {method!r}; {nearest(method, CASCADE)}")
    known = (*REAL, *COMPLEX) if method in COMPLEX_METHODS else REAL
    if dtype.name not in known:
        raise RecipeError(f"overviews of {dtype.name} cannot be made by {method}, only of {', '.join(known)}")


def _marker(dtype: np.dtype[Any], nodata: float | None) -> Any:
    """*nodata* as a scalar of *dtype*, or None."""
    if nodata is None:
        return None
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if not math.isfinite(nodata) or nodata != int(nodata) or not low <= int(nodata) <= high:
            raise RecipeError(f"nodata {nodata} is no value of {dtype.name}; choose an integer from {low} to {high}")
        return dtype.type(int(nodata))
    with np.errstate(over="ignore"):
        marker = dtype.type(nodata)
    if np.isinf(marker) and not math.isinf(nodata):
        raise RecipeError(f"nodata {nodata} is no value of {dtype.name}; choose one nearer to 0, or nan")
    return marker


def _blocks(pixels: Pixels, halved: Pixels) -> Iterator[tuple[Pixels, Pixels]]:
    """Some rows of *pixels*, contiguous and in the machine's byte order, and where their half goes."""
    _, height, width = pixels.shape
    native = pixels.dtype.newbyteorder("=")
    rows = max(1, BLOCK_BYTES // (2 * width * pixels.dtype.itemsize))
    for source, target in zip(pixels, halved, strict=True):
        for row in range(0, height // 2, rows):
            yield np.ascontiguousarray(source[2 * row : 2 * (row + rows)], native), target[row : row + rows]


def _halve_block(pixels: Pixels, *, marker: Any, spare: Any, kernel: Callable[[Block], Pixels]) -> Pixels:
    absent = _absent(pixels, marker)
    if absent is None:
        return _moved(kernel(Block(pixels=pixels, present=None, count=None)), marker, spare)
    empty = pixels.dtype.type(np.nan) if marker is None else marker
    if absent.all():
        return np.asarray(empty)
    present = ~absent
    count = _sum_integers(present.view(np.uint8)).astype(np.uint8)
    halved = _moved(kernel(Block(pixels=pixels, present=present, count=count)), marker, spare)
    return _choose(count == 0, empty, halved)


def _absent(pixels: Pixels, marker: Any) -> Flags | None:
    """True where a pixel is missing, or None where none is."""
    absent: Flags | None = None
    if marker is not None:
        absent = np.asarray(pixels == marker)
    if pixels.dtype.kind in "fc":
        unknown = np.isnan(pixels)
        absent = unknown if absent is None else absent | unknown
    return absent if absent is not None and absent.any() else None


def _spare(marker: Any, method: str) -> Any:
    """What a valid result becomes if it equals *marker*; None where that cannot be."""
    if marker is None or np.isnan(marker) or method not in ("average", "rms", "sum"):
        return None
    upwards = method != "sum"
    if marker.dtype.kind in "iu":
        ends = np.iinfo(marker.dtype)
        upwards = marker < ends.max if upwards else marker == ends.min
        return marker + marker.dtype.type(1) if upwards else marker - marker.dtype.type(1)
    end = np.finfo(marker.real.dtype).max
    upwards = marker.real < end if upwards else marker.real <= -end
    return marker.dtype.type(np.nextafter(marker.real, np.inf if upwards else -np.inf, dtype=marker.real.dtype))


def _moved(halved: Pixels, marker: Any, spare: Any) -> Pixels:
    if spare is not None:
        clash = halved == marker
        if clash.any():
            halved[clash] = spare
    return halved


def _nearest(pixels: Pixels, marker: Any) -> Pixels:
    corner = pixels[:, 0::2, 0::2].copy()
    if marker is not None and corner.dtype.kind in "fc":
        corner[np.isnan(corner)] = marker
    return corner


def _choose(flags: Flags, yes: Any, no: Any) -> Pixels:
    """`np.where` by bits instead of branches, whose time does not depend on how the flags are strewn."""
    if yes.itemsize > 8:
        return np.asarray(np.where(flags, yes, no))
    word = np.dtype(f"i{yes.itemsize}")
    kept = no.view(word)
    chosen = np.bitwise_xor(kept, yes.view(word))
    chosen &= np.negative(flags.view(np.int8)).astype(word, copy=False)
    chosen ^= kept
    return cast(Pixels, chosen.view(yes.dtype))


def _quarter(combine: np.ufunc, values: Pixels) -> Pixels:
    """The two by two combined; rows first, because they are contiguous."""
    pairs = combine(values[0::2], values[1::2])
    return cast(Pixels, combine(pairs[:, 0::2], pairs[:, 1::2]))


def _sum_integers(values: Pixels) -> Pixels:
    """The two by two added up, in integers of twice the width.

    A pair of neighbours is read as one wide integer and taken apart by shifts, which keep the sign; that is several
    times as fast as adding every other column.
    """
    bits = 8 * values.itemsize
    pairs = values.view(f"{values.dtype.kind}{2 * values.itemsize}")
    sums = (pairs >> bits) + ((pairs << bits) >> bits)
    return sums[0::2] + sums[1::2]


def _sum_halves(values: Pixels) -> tuple[Pixels, Pixels]:
    """The two by two of 64-bit integers added up: multiples of 2**32, and the rest below 2**32."""
    low = _quarter(np.add, values & 0xFFFFFFFF)
    return _quarter(np.add, values >> 32) + (low >> 32), low & 0xFFFFFFFF


def _average(block: Block) -> Pixels:
    values = block.filled(0)
    dtype = values.dtype
    if dtype.kind in "fc":
        return _average_floats(values, block.counted())
    if dtype.itemsize == 8:
        return _average_long(values, block.counted())
    total = _sum_integers(values)
    signed = dtype.kind == "i"
    if block.count is None:
        # A shift rounds halves up; one less makes that away from zero where the sum is negative.
        below = total >> (8 * total.itemsize - 1) if signed else 0
        return cast(Pixels, ((total + 2 + below) >> 2).astype(dtype))
    mean = np.divide(total, block.counted(), dtype=np.float32 if dtype.itemsize <= 2 else np.float64)
    return (mean + (np.copysign(0.5, mean) if signed else 0.5)).astype(dtype)


def _average_floats(values: Pixels, count: NDArray[np.uint8] | int) -> Pixels:
    wide = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)
    mean = _quarter(np.add, wide) / count
    if not np.isfinite(mean).all():
        mean = _quarter(np.add, wide * 0.25) / count * 4
    return mean.astype(values.dtype, copy=False)


def _average_long(values: Pixels, count: NDArray[np.uint8] | int) -> Pixels:
    high, low = _sum_halves(values)
    upper, left = np.divmod(high, count)
    lower, left = np.divmod((left << 32) + low, count)
    up = 2 * left + (high >= 0) > count
    return cast(Pixels, (upper << 32) + lower + up)


def _sum(block: Block) -> Pixels:
    values = block.filled(0)
    dtype = values.dtype
    if dtype.kind == "f":
        return _quarter(np.add, values.astype(np.float64, copy=False)).astype(dtype, copy=False)
    ends = np.iinfo(dtype)
    if dtype.itemsize < 8:
        return _sum_integers(values).clip(ends.min, ends.max).astype(dtype)
    high, low = _sum_halves(values)
    total = np.where(high > ends.max >> 32, dtype.type(ends.max), (high << 32) + low)
    return np.where(high < ends.min >> 32, dtype.type(ends.min), total)


def _rms(block: Block) -> Pixels:
    values = block.filled(0)
    dtype = values.dtype
    squares = np.square(values, dtype=np.float32 if dtype.itemsize == 1 else np.float64)
    mean = _quarter(np.add, squares) / block.counted()
    if dtype.kind == "f":
        finite = dtype != np.float64 or np.isfinite(mean).all()
        return np.sqrt(mean).astype(dtype, copy=False) if finite else _root_of_large(values, block.counted())
    if dtype in (np.uint8, np.uint16):
        # The integer whose square is nearest to the mean, the lower of two: GDAL's rule for these two dtypes only.
        root = np.ceil(np.sqrt(np.maximum(mean - 0.25, 0)) - 0.5)
    else:
        root = np.floor(np.sqrt(mean) + 0.5)
    end = root.dtype.type(np.iinfo(dtype).max)
    if int(end) > np.iinfo(dtype).max:
        end = np.nextafter(end, root.dtype.type(0))
    return cast(Pixels, np.minimum(root, end).astype(dtype))


def _root_of_large(values: Pixels, count: NDArray[np.uint8] | int) -> Pixels:
    """The rms relative to the largest of the four, for float64 whose squares are infinite."""
    sizes = np.abs(values)
    largest = _quarter(np.maximum, sizes)
    scale = np.where((largest == 0) | np.isinf(largest), 1, largest)
    squares = np.square(sizes / scale.repeat(2, axis=0).repeat(2, axis=1))
    return scale * np.sqrt(_quarter(np.add, squares) / count)


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _min(block: Block) -> Pixels:
    return _quarter(np.minimum, block.filled(_highest(block.pixels.dtype)))


def _max(block: Block) -> Pixels:
    return _quarter(np.maximum, block.filled(_lowest(block.pixels.dtype)))


def _sorted(block: Block) -> tuple[Pixels, Pixels, Pixels]:
    """The smallest, second and third smallest of each four; missing pixels count as the largest."""
    values = block.filled(_highest(block.pixels.dtype))
    low, high = np.minimum(values[0::2], values[1::2]), np.maximum(values[0::2], values[1::2])
    below, above = np.maximum(low[:, 0::2], low[:, 1::2]), np.minimum(high[:, 0::2], high[:, 1::2])
    return np.minimum(low[:, 0::2], low[:, 1::2]), np.minimum(below, above), np.maximum(below, above)


def _med(block: Block) -> Pixels:
    first, second, _ = _sorted(block)
    return second if block.count is None else _choose(block.count > 2, second, first)


def _q3(block: Block) -> Pixels:
    first, second, third = _sorted(block)
    if block.count is None:
        return third
    return _choose(block.count > 2, third, _choose(block.count == 2, second, first))


def _corners(values: Any) -> tuple[Any, Any, Any, Any]:
    return tuple(values[row::2, col::2].copy() for row in (0, 1) for col in (0, 1))


def _mode(block: Block) -> Pixels:
    first, second, third, fourth = _corners(block.pixels)
    # Whichever pair is complete first wins; a later pair, or a third of the same, changes nothing.
    by_second_row = third == second
    by_fourth = (fourth == second) | (fourth == third)
    by_first = (first == second) | (first == third)
    winner = first
    if block.present is not None:
        has_first, has_second, has_third, has_fourth = _corners(block.present)
        by_first &= has_first
        by_second_row &= has_third
        by_fourth &= has_fourth
        winner = _choose(has_first, first, _choose(has_second, second, _choose(has_third, third, fourth)))
    winner = _choose(by_fourth, fourth, winner)
    winner = _choose(by_second_row, third, winner)
    return _choose(by_first, first, winner)


KERNELS: dict[str, Callable[[Block], Pixels]] = {
    "average": _average,
    "mode": _mode,
    "min": _min,
    "max": _max,
    "med": _med,
    "q1": _min,  # the lowest quarter of at most four pixels is the lowest one
    "q3": _q3,
    "sum": _sum,
    "rms": _rms,
}
CASCADE = ("nearest", *KERNELS)
"""The methods that need only the two by two pixels under an overview pixel."""
