"""What a process returned, made to fit the output: dtype, bands, nodata."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilepipe.errors import ProcessError
from tilepipe.geo.raster import Masked, Pixels

__all__ = ["fit"]


def fit(
    result: object,
    *,
    shape: tuple[int, int],
    kept: tuple[slice, slice],
    bands: int,
    dtype: str,
    nodata: float | None,
    clamp: bool,
) -> Pixels | None:
    """Pixels in the output's dtype with *nodata* where there is no data; None where there is none at all.

    Masked pixels and NaN are missing. Floats become integers by rounding half to even.

    Args:
        result: array `(band, row, col)`, or `(row, col)` for one band, masked or not; or None.
        shape: rows and columns it must have.
        kept: rows and columns without the buffer.
        bands: bands it must have.
        dtype: dtype of the output.
        nodata: value of missing pixels; where it is None they become 0 and count as data.
        clamp: bring values outside of the dtype's range to its ends instead of refusing them.

    Raises:
        ProcessError: not an array, another shape, or a value the dtype cannot hold.
    """
    if result is None:
        return None
    if not isinstance(result, np.ndarray):
        raise ProcessError(f"execute() returned {type(result).__name__}; it must return an array or None")
    array = result[np.newaxis] if result.ndim == 2 else result
    if array.ndim != 3 or array.shape[1:] != shape:
        raise ProcessError(
            f"execute() returned an array of shape {result.shape}; the tile with its buffer has {shape[0]} rows and "
            f"{shape[1]} columns"
        )
    if array.shape[0] != bands:
        raise ProcessError(f"execute() returned {array.shape[0]} bands; output.bands is {bands}")
    if array.dtype.kind not in "buifc":
        raise ProcessError(f"execute() returned an array of {array.dtype}; it must hold numbers")
    array = array[:, *kept]
    absent = _absent(array)
    if absent is not None and absent.all():
        return None
    return _burn(np.ma.getdata(array), absent, dtype=np.dtype(dtype), nodata=nodata, clamp=clamp)


def _absent(array: Masked | Pixels) -> NDArray[np.bool_] | None:
    """True where there is no data; None where every pixel holds some."""
    mask = np.ma.getmask(array)
    absent = None if mask is np.ma.nomask else np.broadcast_to(mask, array.shape)
    if array.dtype.kind in "fc":
        holes = np.isnan(np.ma.getdata(array))
        if holes.any():
            absent = holes if absent is None else absent | holes
    return None if absent is None or not absent.any() else absent


def _burn(
    data: Pixels, absent: NDArray[np.bool_] | None, *, dtype: np.dtype[Any], nodata: float | None, clamp: bool
) -> Pixels:
    if data.dtype.kind == "c" and dtype.kind != "c":
        raise ProcessError(f"execute() returned complex numbers; output.dtype is {dtype}")
    if dtype.kind in "iu" and not np.can_cast(data.dtype, dtype):
        data = _whole(data, absent, dtype=dtype, clamp=clamp)
    elif dtype.kind == "f" and data.dtype.itemsize > dtype.itemsize:
        _refuse_overflow(data, absent, dtype=dtype)
    if absent is None:
        return np.ascontiguousarray(data, dtype=dtype)
    with np.errstate(invalid="ignore"):
        burnt = data.astype(dtype)
    burnt[absent] = 0 if nodata is None else nodata
    return burnt


def _whole(data: Pixels, absent: NDArray[np.bool_] | None, *, dtype: np.dtype[Any], clamp: bool) -> Pixels:
    """Values as whole numbers within the range of *dtype*, still in their own dtype."""
    if data.dtype.kind == "b":
        return data
    whole = np.rint(data) if data.dtype.kind == "f" else data
    if absent is not None:
        whole = np.where(absent, whole.dtype.type(0), whole)
    least, most = whole.min(), whole.max()
    limits = np.iinfo(dtype)
    if limits.min <= _exact(least) and _exact(most) <= limits.max:
        return whole
    if not clamp:
        raise ProcessError(
            f"execute() returned values from {least} to {most}, which {dtype} ({limits.min} to {limits.max}) cannot "
            "hold; choose another output.dtype or set output.clamp: true"
        )
    if whole.dtype.kind == "f":
        # The largest 64-bit numbers have no float of their own: cast first where the value is one of them.
        clipped = np.clip(whole, float(limits.min), float(limits.max))
        top = clipped >= float(limits.max)
        return np.where(top, limits.max, np.where(top, 0, clipped).astype(dtype)).astype(dtype)
    return np.clip(whole, max(limits.min, np.iinfo(whole.dtype).min), min(limits.max, np.iinfo(whole.dtype).max))


def _exact(value: Any) -> float:
    """A NumPy number as Python compares it, without wrapping round."""
    number = value.item()
    return number if isinstance(number, int) or math.isinf(number) else int(number)


def _refuse_overflow(data: Pixels, absent: NDArray[np.bool_] | None, *, dtype: np.dtype[Any]) -> None:
    if data.dtype.kind != "f":
        return
    finite = np.isfinite(data) if absent is None else np.isfinite(data) & ~absent
    largest = float(np.abs(data, where=finite, out=np.zeros_like(data)).max())
    if largest > float(np.finfo(dtype).max):
        raise ProcessError(
            f"execute() returned values up to {largest:g}, which {dtype} cannot hold; choose a larger output.dtype"
        )
