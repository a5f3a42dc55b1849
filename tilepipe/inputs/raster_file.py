"""A raster file as an input: whatever GDAL reads, on the grid of whoever asks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilepipe.errors import InputError, nearest
from tilepipe.geo.grid import Bounds, Grid, merged
from tilepipe.geo.placing import Paste, copies, place, source_extents
from tilepipe.geo.raster import Masked
from tilepipe.geo.warp import crs_name
from tilepipe.inputs._opened import SIDECARS, Band, Facts, facts_of, stamp_of
from tilepipe.inputs._pixels import Part, Request, common_dtype, joined, pasted, warped
from tilepipe.inputs._warped import RESAMPLINGS

__all__ = ["RasterFile"]

SQUARE_PX = 0.01
"""Pixels are square when this is the most by which their sides drift apart over the whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterFile:
    """Any raster GDAL reads: by window, at the overview that fits, warped only where grids differ.

    Pixels are masked where the file says so (nodata of each band, mask of the dataset, alpha of 0) and outside of it.
    Masked pixels hold the band's nodata, or 0. The mask is `numpy.ma.nomask` where nothing is masked, which saves
    every later step from looking.
    """

    path: str
    """A file, or whatever else GDAL opens by name."""
    resampling: str = "nearest"
    """How pixels are made where the grids differ."""
    bands: tuple[int, ...] | None = None
    """Numbers from 1; None means all but an alpha band."""
    nodata: float | None = None
    """The value that marks missing pixels, instead of what the file says."""
    crs: str | None = None
    """The reference system, instead of what the file says."""
    overviews: bool = True
    """Whether coarse pixels are made from the file's overviews; they show what the overviews were made with."""

    def __post_init__(self) -> None:
        _check_resampling(self.resampling)
        if self.crs is not None:
            object.__setattr__(self, "crs", crs_name(self.crs))
        if self.bands is None:
            return
        object.__setattr__(self, "bands", tuple(self.bands))
        if not self.bands or any(band < 1 for band in self.bands):
            raise ValueError(f"bands {list(self.bands)}: give at least one, and count from 1")

    def extents(self, crs: str) -> tuple[Bounds, ...]:
        try:
            return merged(reach for copy in copies(self._facts().grid) for reach in source_extents(copy, crs))
        except ValueError as error:
            raise InputError(f"{self.path} cannot be placed: {error}") from error

    def fingerprint(self) -> Mapping[str, str]:
        known = self._facts().files
        beside = [self.path + ending for ending in SIDECARS if os.path.exists(self.path + ending)]
        return {path: _version(path) for path in sorted({*known, *beside})}

    def shape(self) -> tuple[int, str]:
        request = self._request(None, None)
        return len(request.bands), str(request.dtype)

    def read(self, grid: Grid, *, bands: int | list[int] | None = None, resampling: str | None = None) -> Masked:
        request = self._request(bands, resampling)
        parts: list[Part] = []
        for source in copies(request.facts.grid):
            try:
                how = place(source, grid, overviews=self.overviews)
            except ValueError as error:
                raise InputError(f"{self.path} cannot be read on this grid: {error}") from error
            if isinstance(how, Paste):
                parts.append(pasted(request, how))
            elif how is not None:
                parts += warped(request, how, source)
        result = joined(parts, grid, request)
        return result[0] if isinstance(bands, int) else result

    def native_grid(self) -> Grid:
        """The file's own pixels.

        Raises:
            InputError: they do not lie in rows from the north, or are not square.
        """
        source = self._facts().grid
        placed, (height, width) = source.transform, source.sizes[0]
        if not source.exact or placed.b or placed.d or placed.a <= 0 or placed.e >= 0:
            raise InputError(
                f"{self.path} has pixels that are turned or upside down; give a grid {{crs, bounds, resolution}}"
            )
        if abs(placed.a + placed.e) * max(height, width) > SQUARE_PX * placed.a:
            raise InputError(
                f"{self.path} has pixels of {placed.a:g} x {-placed.e:g}, which are not square; "
                "give a grid {crs, bounds, resolution}"
            )
        return Grid(crs=source.crs, left=placed.c, top=placed.f, resolution=placed.a, height=height, width=width)

    def _facts(self) -> Facts:
        return facts_of(self.path, self.crs, stamp_of(self.path))

    def _request(self, bands: int | list[int] | None, resampling: str | None) -> Request:
        stamp = stamp_of(self.path)
        facts = facts_of(self.path, self.crs, stamp)
        if bands is None:
            numbers = self.bands or tuple(n for n, band in enumerate(facts.bands, 1) if n != facts.alpha)
        else:
            numbers = (bands,) if isinstance(bands, int) else tuple(bands)
        wrong = [number for number in numbers if not 1 <= number <= len(facts.bands)]
        if wrong or not numbers:
            asked = ", ".join(map(str, wrong)) or "none"
            raise InputError(f"{self.path} has {_counted(len(facts.bands))}, numbered from 1; asked for: {asked}")
        if resampling is not None:
            _check_resampling(resampling)
        return Request(
            path=self.path,
            stamp=stamp,
            facts=facts,
            numbers=numbers,
            bands=tuple(self._told(facts.bands[number - 1]) for number in numbers),
            resampling=resampling or self.resampling,
        )

    def _told(self, band: Band) -> Band:
        """The band with the recipe's nodata in place of the file's."""
        if self.nodata is None or band.is_alpha:
            return band
        dtype = common_dtype([band])
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if not (limits.min <= self.nodata <= limits.max and self.nodata == int(self.nodata)):
                raise InputError(f"{self.path} holds {dtype}, which has no value {self.nodata:g} to be its nodata")
        return band._replace(nodata=self.nodata)


def _counted(bands: int) -> str:
    return f"{bands} band{'' if bands == 1 else 's'}"


def _check_resampling(name: str) -> None:
    if name not in RESAMPLINGS:
        raise ValueError(f"there is no resampling {name!r}; {nearest(name, RESAMPLINGS)}")


def _version(path: str) -> str:
    """What changes when a file does; for a member of an archive, when the archive does."""
    place = path
    while place.startswith("/vsi") and "/" in place[1:]:
        place = place[place.index("/", 1) + 1 :]
    while place and not os.path.isfile(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    try:
        facts = os.stat(place)
    except OSError:
        return "not on this machine"
    return f"{facts.st_size} bytes, modified {facts.st_mtime_ns}"
