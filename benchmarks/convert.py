"""8192^2 uint8 pixels cut into a pyramid: by tilepipe and mapchete into GeoTIFF, by gdal2tiles into PNG.

Metatiles of 1024 pixels for the first two; gdal2tiles knows single tiles of 256 only.
"""

import os
from collections.abc import Iterator

import numpy as np
import rasterio
from figure import Figure, against, main
from measure import Command, compare, demand
from peers import mapchete, mapchete_pyramid, process, program, tilepipe, tilepipe_pyramid
from terrain import DATA, ZOOMS, halved, image, level

__all__ = ["figures"]

OURS, THEIRS, GDALS = (os.path.join(DATA, "out", name) for name in ("convert", "convert-mapchete", "convert-png"))


def _commands() -> tuple[Command, ...]:
    ours = {"process": process("convert"), "inputs": {"raster": {"format": "raster_file", "path": image()}}}
    theirs = {"process": "mapchete.processes.convert", "input": {"inp": image()}}
    zooms = f"--zoom={ZOOMS[0]}-{ZOOMS[-1]}"
    tiles = (program("gdal2tiles.py"), "--quiet", "--xyz", "--processes=2", zooms, "-r", "average", "-w", "none")
    return (
        tilepipe("convert", {**ours, **tilepipe_pyramid(OURS, buffer_px=0)}, "-e", "threads", "-w", "2"),
        mapchete("convert", {**theirs, **mapchete_pyramid(THEIRS, buffer_px=0)}),
        Command(name="gdal2tiles", steps=((*tiles, image(), GDALS),), clears=GDALS),
    )


def _check() -> None:
    with rasterio.open(image()) as file:
        expected = file.read(1)
    for zoom in reversed(ZOOMS):
        if zoom != ZOOMS[-1]:
            expected = halved(expected)
        # Rounding adds up from zoom to zoom; at the rim of the data each system weighs missing pixels in its own way.
        within, few = ZOOMS[-1] - zoom, 0 if zoom == ZOOMS[-1] else 8 / expected.shape[0]
        systems = {
            "tilepipe": level(OURS, zoom),
            "mapchete": level(THEIRS, zoom),
            "gdal2tiles": level(GDALS, zoom, tile_px=256, name="{zoom}/{col}/{row}.png"),
        }
        for name, pixels in systems.items():
            off = (np.abs(pixels.astype(np.int16) - expected) > within).mean()
            demand(off <= few, f"zoom {zoom} of {name}: {off:.2%} of the pixels are more than {within} off the mean")


def figures(rounds: int) -> Iterator[Figure]:
    """Wall and CPU by each peer's."""
    runs = compare(_commands(), rounds=rounds, check=_check)
    yield from against(runs, "mapchete", work="convert, 2 workers", data="8192^2 uint8", wall=0.35, cpu=0)
    yield from against(runs, "gdal2tiles", work="convert, 2 workers", data="8192^2 uint8", wall=0.40, cpu=0)


if __name__ == "__main__":
    main(figures)
