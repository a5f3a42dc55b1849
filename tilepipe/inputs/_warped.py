"""A warp written down: the virtual file through which GDAL makes the pixels of a cell out of those of a raster file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import rasterio
from affine import Affine

from tilepipe.geo.grid import Grid
from tilepipe.geo.placing import SourceGrid, pixel_map, source_bounds
from tilepipe.geo.warp import crs_wkt, metres_per_unit, same_crs

__all__ = ["RESAMPLINGS", "Spelling", "Warped", "spelling"]

RESAMPLINGS = {
    "nearest": "NearestNeighbour",
    "bilinear": "Bilinear",
    "cubic": "Cubic",
    "cubic_spline": "CubicSpline",
    "lanczos": "Lanczos",
    "average": "Average",
    "mode": "Mode",
    "max": "Maximum",
    "min": "Minimum",
    "med": "Median",
    "q1": "Quartile1",
    "q3": "Quartile3",
    "sum": "Sum",
    "rms": "RootMeanSquare",
}
"""rasterio's names of the methods a warp knows, and the virtual file's."""

GDAL_TYPES = {
    "int8": "Int8",
    "uint8": "Byte",
    "int16": "Int16",
    "uint16": "UInt16",
    "int32": "Int32",
    "uint32": "UInt32",
    "int64": "Int64",
    "uint64": "UInt64",
    "float32": "Float32",
    "float64": "Float64",
    "complex_int16": "CInt16",
    "complex64": "CFloat32",
    "complex128": "CFloat64",
}
ROOMY = {
    "int8": "int16",
    "uint8": "int16",
    "int16": "int32",
    "uint16": "int32",
    "int32": "int64",
    "uint32": "int64",
    "complex_int16": "complex64",
}
"""Types in which there is a value to spare for pixels that nothing was written to."""
MIXING = {"bilinear", "cubic", "cubic_spline", "lanczos", "average", "sum", "rms"}
"""Methods whose results can be values that are nowhere in the file."""
WEIGHED = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2]) >= (3, 11)
"""Whether a source pixel's vote for the mode counts as much as of it lies in the pixel that is made.

GDAL does so since 3.11, but only where it counts in a table, for 8 and 16 bits. In wider types a value met once never
makes way for another that is met once, however little of the first lies there: they elect another mode.
"""
SPARE = -(2.0**127)
"""Such a value for floats: exact in single precision, and far from what anybody measures."""
BLOCK = 128
"""Side of the squares a curved warp is made in.

Between two points of a row GDAL takes the way as straight while that is no further off than TOLERANCE_PX. What comes of
it depends on where the row begins, so it is always a block's row, never that of the window asked for; and over 128
pixels few ways bend enough to be worked out pixel by pixel, which for UTM takes ten times as long.
"""
TOLERANCE_PX = 0.001
"""In pixels of the source. GDAL's default of 0.125 gives 2 % of all pixels another nearest neighbour, this 0.05 %."""
WIDE_M = 5e6
"""A block as wide as this may reach around the world, where three points of a row can look straight by chance."""
MEMORY_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Spelling:
    """How pixels that nothing was written to are told from all others."""

    dtype: str
    """The type the warp works in."""
    spare: float | None
    """The value of those pixels; None where one more band has 0 for them, something else for all others."""
    reserved: bool
    """Whether that value is the file's nodata: then GDAL moves results that happen to equal it to the next value."""


def spelling(dtype: str, *, nodata: float | None, resampling: str, alone: bool) -> Spelling:
    """The narrowest type in which missing pixels can be told, and their value in it.

    Args:
        dtype: of the file.
        nodata: of the file; None if it has none.
        resampling: one of RESAMPLINGS.
        alone: whether a single band is warped. GDAL 3.12.2 moves no results but where those of all bands are nodata,
            so that with other bands beside it a band would lose pixels.
    """
    small = dtype in {"int8", "uint8", "int16", "uint16"}
    if resampling == "mode" and small:
        if WEIGHED and nodata is None:
            return Spelling(dtype, None, reserved=False)
        if not WEIGHED and (nodata is None or dtype.endswith("16")):
            # GDAL clears a table of 65536 counts for every pixel of a 16-bit type; in 32 bits it is 25 times as fast.
            return Spelling("int32", float(np.iinfo("int32").min), reserved=False)
    moved = alone or resampling not in MIXING or dtype not in ROOMY
    if "int" in dtype and dtype != "complex_int16" and nodata is not None and moved:
        return Spelling(dtype, nodata, reserved=True)
    roomy = ROOMY.get(dtype, dtype)
    if "int" not in roomy:
        return Spelling(roomy, SPARE, reserved=False)
    # The largest of 64 bits that is a float, too.
    spare = 2.0**64 - 2048 if roomy == "uint64" else float(np.iinfo(roomy).min)
    return Spelling(roomy, spare, reserved=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warped:
    """All that the pixels of a cell depend on."""

    path: str
    """As GDAL knows the file."""
    source: SourceGrid
    level: int
    cell: Grid
    x_scale: float
    y_scale: float
    resampling: str
    bands: tuple[int, ...]
    nodata: tuple[float | None, ...]
    """Of each of the bands."""
    alpha: int | None
    """The band whose zeros hide pixels."""
    gaps: bool
    """Whether pixels can be missing within the file."""
    spelling: Spelling

    def xml(self, dataset: Any) -> str:
        """The virtual file.

        Args:
            dataset: the opened level, whose control points or RPCs are needed where it has no grid.
        """
        gdal_type = GDAL_TYPES[self.spelling.dtype]
        root = Element(
            "VRTDataset",
            rasterXSize=str(self.cell.width),
            rasterYSize=str(self.cell.height),
            subClass="VRTWarpedDataset",
        )
        _add(root, "SRS", crs_wkt(self.cell.crs))
        _add(root, "GeoTransform", _numbers(self.cell.transform))
        covering = self.spelling.spare is None
        for number in range(1, len(self.bands) + 1 + covering):
            SubElement(root, "VRTRasterBand", dataType=gdal_type, band=str(number), subClass="VRTWarpedRasterBand")
        _add(root, "BlockXSize", str(BLOCK))
        _add(root, "BlockYSize", str(BLOCK))
        options = SubElement(root, "GDALWarpOptions")
        _add(options, "WarpMemoryLimit", str(MEMORY_BYTES))
        _add(options, "ResampleAlg", RESAMPLINGS[self.resampling])
        _add(options, "WorkingDataType", gdal_type)
        for name, value in self._options().items():
            _add(options, "Option", value, name=name)
        _add(options, "SourceDataset", self.path, relativeToVRT="0", shared="0")
        if self.level:
            _add(SubElement(options, "OpenOptions"), "OOI", str(self.level - 1), key="OVERVIEW_LEVEL")
        SubElement(options, "Transformer").append(self._transformer(dataset))
        self._bands(SubElement(options, "BandList"))
        if self.alpha is not None:
            _add(options, "SrcAlphaBand", str(self.alpha))
        if covering:
            _add(options, "DstAlphaBand", str(len(self.bands) + 1))
        return tostring(root, encoding="unicode")

    def _options(self) -> dict[str, str]:
        return {
            "INIT_DEST": "NO_DATA" if self.spelling.reserved else repr(self.spelling.spare or 0.0),
            # Bands go missing one by one, as they do where pixels are pasted, and rims end where gdalwarp ends them.
            "UNIFIED_SRC_NODATA": "PARTIAL",
            "XSCALE": repr(self.x_scale),
            "YSCALE": repr(self.y_scale),
            "ERROR_OUT_IF_EMPTY_SOURCE_WINDOW": "FALSE",
        }

    def _bands(self, parent: Element) -> None:
        for number, (band, nodata) in enumerate(zip(self.bands, self.nodata, strict=True), 1):
            mapping = SubElement(parent, "BandMapping", src=str(band), dst=str(number))
            if nodata is not None:
                _add(mapping, "SrcNoDataReal", repr(nodata))
                _add(mapping, "SrcNoDataImag", "0")
            if self.gaps and self.spelling.spare is not None:
                # Without it a half transparent pixel would be blended with the spare value, and parts without gaps take
                # a shorter way than others, that ends in other last digits.
                beneath = nodata if self.spelling.reserved else self.spelling.spare
                _add(mapping, "DstNoDataReal", repr(beneath))
                _add(mapping, "DstNoDataImag", "0")

    @property
    def straight(self) -> bool:
        """Whether the way from grid to grid is affine; then it is exact."""
        return self.source.exact and same_crs(self.source.crs, self.cell.crs)

    @property
    def at_once(self) -> bool:
        """Whether windows of any size are warped at once, not in blocks: whether nothing depends on the window.

        Sums do: the parts of source pixels they consist of are cut out in coordinates counted from its corner. So does
        lanczos: windows without a gap take a shorter way than others, that ends in other last digits.
        """
        return self.straight and self.resampling != "sum" and not (self.resampling == "lanczos" and self.gaps)

    def _transformer(self, dataset: Any) -> Element:
        root = Element("GenImgProjTransformer")
        if self.straight:
            # In pixels of the source there is nothing to round.
            _both(root, "Src", Affine.identity())
            _both(root, "Dst", pixel_map(self.source, level=self.level, cell=self.cell))
            return root
        if self.source.exact:
            _both(root, "Src", self.source.transform_of(self.level))
        elif dataset.gcps[0]:
            root.append(_control_points(dataset.gcps[0]))
        else:
            root.append(_polynomials(dataset.tags(ns="RPC")))
        _both(root, "Dst", self.cell.transform)
        if not same_crs(self.source.crs, self.cell.crs):
            root.append(self._reprojection())
        if self.cell.resolution * metres_per_unit(self.cell.crs) * BLOCK > WIDE_M:
            return root
        approximate = Element("ApproxTransformer")
        _add(approximate, "MaxError", repr(TOLERANCE_PX))
        SubElement(approximate, "BaseTransformer").append(root)
        return approximate

    def _reprojection(self) -> Element:
        root = Element("ReprojectTransformer")
        inner = SubElement(root, "ReprojectionTransformer")
        _add(inner, "SourceSRS", crs_wkt(self.source.crs))
        _add(inner, "TargetSRS", crs_wkt(self.cell.crs))
        # Where several datum shifts apply, the one for the whole file, as gdalwarp takes it.
        try:
            left, bottom, right, top = source_bounds(self.source, "EPSG:4326")
        except ValueError:
            # On another planet.
            return root
        around = max(left, -180.0), max(bottom, -90.0), min(right, 180.0), min(top, 90.0)
        _add(SubElement(inner, "Options"), "Option", ",".join(map(repr, around)), key="AREA_OF_INTEREST")
        return root


def _control_points(points: Sequence[Any]) -> Element:
    root = Element("SrcGCPTransformer")
    inner = SubElement(root, "GCPTransformer")
    _add(inner, "Order", "0")
    _add(inner, "Reversed", "0")
    listed = SubElement(inner, "GCPList")
    for number, point in enumerate(points, 1):
        places = {"Pixel": point.col, "Line": point.row, "X": point.x, "Y": point.y, "Z": point.z or 0.0}
        SubElement(listed, "GCP", {"Id": str(number), **{name: repr(float(value)) for name, value in places.items()}})
    return root


def _polynomials(tags: dict[str, str]) -> Element:
    root = Element("SrcRPCTransformer")
    inner = SubElement(root, "RPCTransformer")
    for name, value in {"Reversed": "0", "HeightOffset": "0", "HeightScale": "1", "PixErrThreshold": "0.1"}.items():
        _add(inner, name, value)
    listed = SubElement(inner, "Metadata")
    for name, value in tags.items():
        _add(listed, "MDI", value, key=name)
    return root


def _both(parent: Element, side: str, transform: Affine) -> None:
    _add(parent, f"{side}GeoTransform", _numbers(transform))
    _add(parent, f"{side}InvGeoTransform", _numbers(~transform))


def _numbers(transform: Affine) -> str:
    return ",".join(repr(float(number)) for number in transform.to_gdal())


def _add(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = text
