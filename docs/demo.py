"""The demo: shaded relief of a real elevation model, from a package on the index to a picture."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.image as pictures
import numpy as np
import rasterio
from affine import Affine
from matplotlib import cbook

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out"


def write_dem(path: Path) -> None:
    """The USGS elevation model of the Jacksboro fault, Tennessee, that comes with matplotlib, as a GeoTIFF."""
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as sample:
        elevation = sample["elevation"]
        # The sample's lower edge is off by the height of the image; its upper left corner and pixel size are right.
        left, top, side = (sample[key].item() for key in ("xmin", "ymax", "dx"))
    height, width = elevation.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype=elevation.dtype,
        crs="EPSG:4326",
        transform=Affine(side, 0, left, 0, -side, top),
        tiled=True,
        compress="deflate",
    ) as file:
        file.write(elevation, 1)


def write_picture(twin: Path, path: Path) -> None:
    """The part of the tiles that holds data as one picture, read as any reader of GDAL would."""
    with rasterio.open(twin) as source:
        relief = source.read(1, masked=True)
    rows, cols = (np.flatnonzero(relief.count(axis=axis)) for axis in (1, 0))
    relief = relief[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    colours = mpl.colormaps["gray"](relief.filled(0) / 255.0, bytes=True)
    colours[..., 3] = np.where(np.ma.getmaskarray(relief), 0, 255)
    pictures.imsave(path, colours)


def main() -> None:
    """Make the data, run the recipe, draw the picture."""
    write_dem(OUT / "dem.tif")
    tilepipe = Path(sys.executable).with_name("tilepipe")
    recipe = os.path.relpath(ROOT / "recipes" / "hillshade.yaml")
    subprocess.run([tilepipe, "execute", recipe], check=True)
    write_picture(OUT / "hillshade" / "stac.vrt", OUT / "hillshade.png")
    print(f"tiles    {OUT / 'hillshade'}")
    print(f"STAC     {OUT / 'hillshade' / 'stac.json'}")
    print(f"picture  {OUT / 'hillshade.png'}")


if __name__ == "__main__":
    main()
