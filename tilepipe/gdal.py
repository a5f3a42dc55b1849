"""GDAL's settings: what every worker runs under, each with its reason."""

from collections.abc import Mapping
from types import MappingProxyType

import rasterio

__all__ = ["CACHE_BYTES", "OPTIONS", "session"]

CACHE_BYTES = 96 << 20
"""Decoded blocks GDAL keeps in a process.

Its own default is 5 % of the machine's memory in each process, which no projection of memory could account for. What
neighbouring tiles share has to fit: along a branch 8192 pixels wide that is one row of 17 blocks, 17 MiB in float32.
"""

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        # The executor alone says how many cores are used; GDAL's threads would come on top of its workers.
        "GDAL_NUM_THREADS": "1",
        # Sidecars (.ovr, .msk, .aux.xml) are probed by name. EMPTY_DIR would miss them; listing the folder costs
        # seconds where a hundred thousand tiles lie in it.
        "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
        # A mosaic (.vrt) opens its files itself; shared between handles they would be shared between threads.
        "VRT_SHARED_SOURCE": "0",
        # The header of a Cloud-Optimised GeoTIFF with its index of blocks comes with the first request.
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        # Passing faults of a server are tried again here, where one request is repeated instead of a whole tile.
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "1",
        # A server that accepts and then says nothing would hold a worker for ever.
        "GDAL_HTTP_CONNECTTIMEOUT": "20",
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
        "GDAL_HTTP_LOW_SPEED_TIME": "60",
    }
)
"""Statistics and other findings are never computed, so GDAL has nothing to write beside an input."""


def session(*, cache_bytes: int = CACHE_BYTES) -> rasterio.Env:
    """The settings as a context manager; entering takes about 50 microseconds.

    Args:
        cache_bytes: GDAL's block cache, for the whole process and from now on.
    """
    return rasterio.Env(GDAL_CACHEMAX=cache_bytes, **OPTIONS)
