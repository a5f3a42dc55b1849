"""Known images as files, and the mosaic that a run leaves behind."""

import numpy as np
import rasterio
from affine import Affine


def write_image(path, pixels, *, nodata=None, crs="EPSG:32632", left=500_000.0, top=5_200_000.0, resolution=10.0):
    """Pixels `(row, col)` or `(band, row, col)` as a GeoTIFF."""
    bands = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    count, height, width = bands.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype=bands.dtype,
        crs=crs,
        transform=Affine(resolution, 0, left, 0, -resolution, top),
        nodata=nodata,
        tiled=True,
        blockxsize=16,
        blockysize=16,
    ) as file:
        file.write(bands)


def mosaic(folder, pyramid, zoom, *, metatile, bands, dtype, fill):
    """All tiles of a zoom put together with rasterio, without the engine."""
    files = pyramid.with_metatile(metatile)
    height, width = files.tile_shape(zoom)
    rows, cols = files.matrix_shape(zoom)
    whole = np.full((bands, rows * height, cols * width), fill, dtype=dtype)
    for path in (folder / str(zoom)).glob("*/*.tif"):
        row, col = int(path.parent.name) * height, int(path.stem) * width
        with rasterio.open(path) as file:
            whole[:, row : row + height, col : col + width] = file.read()
    return whole
