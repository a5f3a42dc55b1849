"""Values in another unit: times a ratio, plus an offset."""

import numpy as np

from tilepipe.geo.raster import Masked

__all__ = ["scaled"]


def scaled(pixels: Masked, *, ratio: float = 1.0, offset: float = 0.0) -> Masked:
    """*pixels* times *ratio* plus *offset*.

    Args:
        pixels: any shape and real dtype.
        ratio: applied first.
        offset: in the unit of the result.

    Returns:
        The same shape and mask. *pixels* themselves where there is nothing to do; else float32 where that holds every
        value of their dtype exactly, and float64 where it does not.
    """
    if ratio == 1 and offset == 0:
        return pixels
    dtype = np.result_type(pixels.dtype, np.float32)
    # What lies beneath a mask may be anything.
    with np.errstate(all="ignore"):
        values = np.multiply(np.ma.getdata(pixels), ratio, dtype=dtype)
        values += offset
    return np.ma.MaskedArray(values, mask=np.ma.getmask(pixels))
