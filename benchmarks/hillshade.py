"""A hillshade pyramid of 8192^2 float32 pixels, made by tilepipe, by mapchete and by gdaldem with gdaladdo.

mapchete runs the hillshade process it comes with. All write GeoTIFF with the same blocks, deflate and predictor.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import rasterio
from figure import Figure, against, main
from measure import Command, compare, demand
from numpy.typing import NDArray
from peers import mapchete, mapchete_pyramid, process, program, tilepipe, tilepipe_pyramid
from terrain import DATA, ZOOMS, dem, halved, level

__all__ = ["OURS", "THEIRS", "compared", "figures"]

OURS, THEIRS, GDALS = (os.path.join(DATA, "out", name) for name in ("hillshade", "hillshade-mapchete", "hillshade.tif"))
FACTORS = tuple(str(2 ** (ZOOMS[-1] - zoom)) for zoom in reversed(ZOOMS[:-1]))

Pixels = NDArray[Any]


def _commands() -> tuple[Command, ...]:
    ours = {"process": process("hillshade"), "inputs": {"dem": {"format": "raster_file", "path": dem()}}}
    theirs = {"process": "mapchete.processes.hillshade", "input": {"dem": dem()}}
    options = ("TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "PREDICTOR=2")
    creation = tuple(word for option in options for word in ("-co", option))
    shade = (program("gdaldem"), "hillshade", "-q", *creation, dem(), GDALS)
    shrink = (program("gdaladdo"), "-q", "-r", "average", GDALS, *FACTORS)
    return (
        tilepipe("hillshade", {**ours, **tilepipe_pyramid(OURS, buffer_px=1)}, "-e", "threads", "-w", "2"),
        mapchete("hillshade", {**theirs, **mapchete_pyramid(THEIRS, buffer_px=1)}),
        Command(name="gdaldem + gdaladdo", steps=(shade, shrink), clears=GDALS),
    )


def compared() -> None:
    """What tilepipe and mapchete made is alike at all zooms."""
    for zoom in ZOOMS:
        # mapchete cuts off where the others round, and does so again in the averages.
        within = 1 if zoom == ZOOMS[-1] else 2
        _alike(level(OURS, zoom), level(THEIRS, zoom), within=within, where=f"zoom {zoom} of tilepipe and mapchete")


def _check() -> None:
    compared()
    finer: Pixels | None = None
    for zoom in reversed(ZOOMS):
        ours = level(OURS, zoom)
        with rasterio.open(GDALS, **({} if finer is None else {"overview_level": ZOOMS[-1] - zoom - 1})) as file:
            gdals = file.read(1)
        _alike(ours, gdals, within=1, where=f"zoom {zoom} of tilepipe and gdaldem")
        if finer is not None:
            off = np.abs(halved(finer).astype(np.int16) - ours).max()
            demand(off <= 1, f"zoom {zoom} of tilepipe is up to {off} from the mean of the zoom below")
        finer = ours


def _alike(left: Pixels, right: Pixels, *, within: int, where: str) -> None:
    """Both have the same pixels, and these agree, but for a few along the rims, where each has its own rule."""
    few = 8 / left.shape[0]
    both = (left > 0) & (right > 0)
    off = (np.abs(left.astype(np.int16) - right)[both] > within).mean()
    demand(off <= few, f"{where}: {off:.2%} of the pixels differ by more than {within}")
    alone = ((left > 0) != (right > 0)).mean()
    demand(alone <= few, f"{where}: {alone:.2%} of the pixels are in one of them only")


def figures(rounds: int) -> Iterator[Figure]:
    """Wall, CPU and memory by mapchete's, wall and CPU by GDAL's."""
    runs = compare(_commands(), rounds=rounds, check=_check)
    work, data = "hillshade pyramid, 2 workers", "8192^2 float32"
    yield from against(runs, "mapchete", work=work, data=data, wall=0.28, cpu=0.30, memory=0.8)
    yield from against(runs, "gdaldem + gdaladdo", work=work, data=data, wall=0.50, cpu=0.90)


if __name__ == "__main__":
    main(figures)
