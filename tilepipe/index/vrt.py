"""What a GDAL virtual raster says beside the STAC item: missing tiles are nodata, and colours are colours.

The STAC driver takes a missing tile for an error unless it is opened with an option, and forgets colours, palettes and
band names. A file that wraps the item with that option spares every reader from knowing.
"""

import math
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tilepipe.index.extent import raster_grid
from tilepipe.index.stac import TileSet, listed

__all__ = ["vrt_twin"]

GDAL_TYPES = {
    "uint8": "Byte",
    "float16": "Float32",
    "complex64": "CFloat32",
    "complex128": "CFloat64",
    **{f"uint{bits}": f"UInt{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"Float{bits}" for bits in (32, 64)},
}


def vrt_twin(tile_set: TileSet) -> str:
    """The text of `stac.vrt`, to lie beside `stac.json`.

    Raises:
        OutputError: no tile holds data.
    """
    grid = raster_grid(tile_set.pyramid, listed(tile_set)[-1])
    root = Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    SubElement(root, "SRS").text = "EPSG:4326" if grid.crs == "OGC:CRS84" else grid.crs
    places = (grid.left, grid.resolution, 0.0, grid.top, 0.0, -grid.resolution)
    SubElement(root, "GeoTransform").text = ", ".join(map(repr, places))
    for band in range(tile_set.bands):
        _add_band(root, tile_set, band)
        # Without them GDAL's levels of a virtual raster show nothing, and gdalwarp reads from those.
        for name in ("SrcRect", "DstRect"):
            SubElement(root[-1][-1], name, xOff="0", yOff="0", xSize=str(grid.width), ySize=str(grid.height))
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _add_band(root: Element, tile_set: TileSet, band: int) -> None:
    element = SubElement(root, "VRTRasterBand", dataType=GDAL_TYPES[tile_set.dtype], band=str(band + 1))
    if tile_set.band_names:
        SubElement(element, "Description").text = tile_set.band_names[band]
    if tile_set.nodata is not None:
        SubElement(element, "NoDataValue").text = _number(tile_set.nodata)
    if tile_set.colors or tile_set.palette is not None:
        SubElement(element, "ColorInterp").text = tile_set.colors[band] if tile_set.colors else "Palette"
    if tile_set.palette is not None:
        _add_palette(element, tile_set)
    source = SubElement(element, "SimpleSource")
    SubElement(source, "SourceFilename", relativeToVRT="1").text = "stac.json"
    options = SubElement(source, "OpenOptions")
    SubElement(options, "OOI", key="SKIP_MISSING_METATILE").text = "YES"
    SubElement(source, "SourceBand").text = str(band + 1)


def _add_palette(element: Element, tile_set: TileSet) -> None:
    """Entries stand for the values 0, 1, 2 ..., so those without a colour are transparent ones."""
    palette = tile_set.palette or {}
    table = SubElement(element, "ColorTable")
    for value in range(max(palette, default=-1) + 1):
        red, green, blue, alpha = palette.get(value, (0, 0, 0, 0))
        SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4=str(alpha))


def _number(value: float) -> str:
    return (
        str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 2**53 else repr(float(value))
    )
