import json
import os
import subprocess
from itertools import product

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from tilepipe.geo.grid import Grid
from tilepipe.geo.pyramid import Pyramid, Tile, global_pyramid, pixel_pyramid
from tilepipe.index.extent import levels, raster_grid

SYSTEM_PYTHON = "/usr/bin/python3"
LAMBERT_WKT = (
    'PROJCS["tilted",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Lambert_Azimuthal_Equal_Area"],'
    'PARAMETER["latitude_of_center",46.5],PARAMETER["longitude_of_center",8.25],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def _custom(crs: str, *, left: float, top: float, resolution: float, metatile: int = 1) -> Pyramid:
    """64 x 64 tiles of 16 pixels at zoom 6."""
    return Pyramid(
        crs=crs,
        left=left,
        top=top,
        resolution=resolution,
        base_zoom=6,
        height=1024,
        width=1024,
        tile_size=16,
        metatile=metatile,
    )


PYRAMIDS = {
    "WebMercatorQuad": global_pyramid("WebMercatorQuad", tile_size=16),
    "WorldCRS84Quad": global_pyramid("WorldCRS84Quad", tile_size=16),
    "utm": _custom("EPSG:32633", left=399960, top=5300040, resolution=100 / 3),
    "laea": _custom("EPSG:3035", left=900000, top=5500000, resolution=4000),
    "polar": _custom("EPSG:3031", left=-3072000, top=3072000, resolution=6000),
    "feet": _custom("EPSG:2263", left=900000, top=300000, resolution=20),
    "airy": _custom("EPSG:4277", left=-6, top=58, resolution=0.005),
    "esri": _custom("ESRI:102003", left=-2000000, top=1500000, resolution=3000),
    "wkt": _custom(LAMBERT_WKT, left=-100000, top=100000, resolution=150),
    "pixels": pixel_pyramid(
        Grid(crs="EPSG:32633", left=399961.7, top=5300033.1, resolution=29.97, height=917, width=843), tile_size=16
    ),
}
PATTERNS = {
    "one": [(21, 33)],
    "L": [(20, 33), (21, 33), (22, 33), (22, 34), (22, 35)],
    "diagonal": [(20, 35), (21, 34), (22, 33)],
    "holes": [(20, 33), (20, 35), (21, 34), (22, 33), (22, 35), (23, 36)],
    "dense": list(product(range(20, 23), range(33, 37))),
}
RGBA = {"bands": 4, "nodata": None, "colors": ("Red", "Green", "Blue", "Alpha")}


def _base(pattern, zoom=6):
    return [Tile(zoom, row, col) for row, col in PATTERNS[pattern]]


def _windows(published):
    """Zoom, window in the raster of that zoom, pixels that must be there; None where there is no tile."""
    pyramid = published.tile_set.pyramid
    shown = levels(pyramid, published.tile_set.limits)
    raster = raster_grid(pyramid, shown[-1])
    for level in shown:
        scale = 2 ** (shown[-1].zoom - level.zoom)
        origin = pyramid.grid(Tile(level.zoom, 0, 0))
        offsets = ((raster.left - origin.left) / origin.resolution, (origin.top - raster.top) / origin.resolution)
        if any(
            abs(offset - round(offset)) > 1e-6 for offset in (*offsets, raster.height / scale, raster.width / scale)
        ):
            # A raster that starts or ends within a pixel of a level is read half a pixel off there.
            continue
        height, width = raster.height // scale, raster.width // scale
        first, last = level.limits[::2], level.limits[1::2]
        for row, col in product(range(first[0], last[0] + 1), range(first[1], last[1] + 1)):
            tile = Tile(level.zoom, row, col)
            grid = pyramid.grid(tile)
            x = round((grid.left - raster.left) / grid.resolution)
            y = round((raster.top - grid.top) / grid.resolution)
            rows = slice(max(0, -y), min(grid.height, height - y))
            cols = slice(max(0, -x), min(grid.width, width - x))
            window = (x + cols.start, y + rows.start, cols.stop - cols.start, rows.stop - rows.start)
            pixels = published.pixels.get(tile)
            yield tile, scale, window, None if pixels is None else pixels[:, rows, cols]


def _expected(published):
    for tile, scale, window, pixels in _windows(published):
        shape = (published.tile_set.bands, window[3], window[2])
        yield tile, scale, window, np.full(shape, published.fill()) if pixels is None else pixels


def _assert_same(found, expected, where):
    assert found.dtype == expected.dtype, where
    np.testing.assert_array_equal(found, expected, err_msg=str(where))


def _read_level(path, scale, window, **options):
    with rasterio.open(path, **options) as whole:
        if scale == 1:
            return whole.read(window=Window(*window))
        index = whole.overviews(1).index(scale)
    with rasterio.open(path, OVERVIEW_LEVEL=index, **options) as level:
        return level.read(window=Window(*window))


def _read_reduced(path, scale, window):
    """Through the whole raster: GDAL lets no overview of a virtual raster be seen that is smaller than 128 pixels."""
    x, y, width, height = window
    with rasterio.open(path) as whole:
        base = Window(x * scale, y * scale, width * scale, height * scale)
        return whole.read(window=base, out_shape=(whole.count, height, width))


def _assert_all_levels(published):
    for tile, scale, window, expected in _expected(published):
        item = _read_level(published.item, scale, window, SKIP_MISSING_METATILE="YES")
        _assert_same(item, expected, ("item", tile))
        _assert_same(_read_reduced(published.twin, scale, window), expected, ("twin", tile))


def _assert_facts(published):
    grid = raster_grid(published.tile_set.pyramid, levels(published.tile_set.pyramid, published.tile_set.limits)[-1])
    for path in (published.item, published.twin):
        with rasterio.open(path) as file:
            assert file.shape == grid.shape
            assert file.transform.to_gdal() == grid.transform.to_gdal()
            assert file.crs == rasterio.crs.CRS.from_user_input(grid.crs)
            assert file.nodatavals == pytest.approx((published.tile_set.nodata,) * file.count, nan_ok=True)
            assert file.dtypes == (published.tile_set.dtype,) * published.tile_set.bands


@pytest.mark.parametrize("grid", PYRAMIDS)
def test_every_grid_opens_as_one_raster(publish, grid):
    published = publish(PYRAMIDS[grid], _base("holes"), range(3, 7))

    _assert_facts(published)
    _assert_all_levels(published)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("metatile", [1, 4])
def test_every_pattern_of_tiles_reads_as_it_was_written(publish, pattern, metatile):
    pyramid = PYRAMIDS["WorldCRS84Quad"].with_metatile(metatile)
    zoom = 6 if metatile == 1 else 8

    published = publish(pyramid, _base(pattern, zoom), range(zoom + 1))

    _assert_all_levels(published)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 255),
        ("int16", -32768),
        ("uint16", 0),
        ("int32", -(2**31)),
        ("uint32", 2**32 - 1),
        ("float32", float("nan")),
        ("float32", float(np.finfo("float32").min)),
        ("float64", float("-inf")),
        ("float64", -9999.5),
        ("complex64", 0),
        ("int16", None),
    ],
)
def test_every_dtype_keeps_its_values_and_nodata(publish, dtype, nodata):
    published = publish(PYRAMIDS["utm"], _base("L"), range(4, 7), dtype=dtype, nodata=nodata, bands=2)

    _assert_facts(published)
    _assert_all_levels(published)


@pytest.mark.parametrize("zooms", [[6], [3, 5, 6], [4, 6]])
def test_gaps_between_zooms_do_no_harm(publish, zooms):
    published = publish(PYRAMIDS["WebMercatorQuad"], _base("diagonal"), zooms)

    with rasterio.open(published.item) as file:
        assert file.overviews(1) == [2 ** (6 - zoom) for zoom in reversed(zooms[:-1])]
    _assert_all_levels(published)


def test_png_tiles_open_too(publish):
    published = publish(
        PYRAMIDS["WebMercatorQuad"], _base("L"), range(4, 7), extension="png", media_type="image/png", **RGBA
    )

    _assert_all_levels(published)


def test_colors_come_through_the_twin_and_the_item(publish):
    published = publish(PYRAMIDS["WebMercatorQuad"], _base("L"), range(4, 7), **RGBA)

    for path in (published.item, published.twin):
        with rasterio.open(path) as file:
            assert [color.name for color in file.colorinterp] == ["red", "green", "blue", "alpha"]


def test_a_palette_comes_through_the_twin(publish):
    palette = {0: (0, 0, 0, 0), 1: (255, 0, 0, 255), 3: (0, 0, 255, 128)}

    published = publish(PYRAMIDS["WebMercatorQuad"], _base("L"), range(4, 7), palette=palette)

    with rasterio.open(published.twin) as file:
        found = file.colormap(1)
    assert found[1] == (255, 0, 0, 255)
    assert found[2] == (0, 0, 0, 0)
    assert found[3] == (0, 0, 255, 128)


def test_band_names_come_through_the_twin(publish):
    names = ("height <m>", "größe & co")

    published = publish(PYRAMIDS["utm"], _base("one"), [6], bands=2, band_names=names)

    with rasterio.open(published.twin) as file:
        assert file.descriptions == names


def test_a_coarse_level_that_ends_before_the_finest_one_is_nodata_there(publish):
    native = Grid(crs="EPSG:32633", left=399961.7, top=5300033.1, resolution=29.97, height=66, width=66)
    pyramid = pixel_pyramid(native, tile_size=16, metatile=4)

    published = publish(pyramid, [Tile(3, *place) for place in product(range(2), range(2))], range(4))

    _assert_facts(published)
    _assert_all_levels(published)


def test_tiles_at_the_antimeridian_and_the_poles_are_read(publish):
    corners = [Tile(4, 0, 0), Tile(4, 0, 31), Tile(4, 15, 0), Tile(4, 15, 31)]

    published = publish(PYRAMIDS["WorldCRS84Quad"], corners, range(5))

    with rasterio.open(published.twin) as file:
        assert tuple(file.bounds) == pytest.approx((-180, -90, 180, 90))
    _assert_all_levels(published)


@pytest.mark.parametrize("grid", ["WebMercatorQuad", "WorldCRS84Quad", "utm"])
@pytest.mark.parametrize("zoom", range(0, 24, 3))
def test_resolution_and_origin_come_back_to_the_bit(publish, grid, zoom):
    pyramid = PYRAMIDS[grid]
    tile = Tile(zoom, pyramid.matrix_shape(zoom)[0] // 3, pyramid.matrix_shape(zoom)[1] // 2)

    published = publish(pyramid, [tile], [zoom])

    expected = pyramid.grid(tile)
    with rasterio.open(published.item) as file:
        assert file.transform.a == expected.resolution
        assert file.transform.c == pytest.approx(expected.left, rel=1e-15, abs=expected.resolution * 1e-6)
        assert file.transform.f == pytest.approx(expected.top, rel=1e-15, abs=expected.resolution * 1e-6)


READ_ALL = """
import json, sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
jobs, answers = json.load(sys.stdin), {}
for name, path, options in jobs["files"]:
    file = gdal.OpenEx(path, gdal.OF_RASTER, open_options=options)
    bands = [file.GetRasterBand(i + 1) for i in range(file.RasterCount)]
    nodata = [band.GetNoDataValue() for band in bands]
    answers[name + "facts"] = np.array(file.GetGeoTransform() + (file.RasterXSize, file.RasterYSize, len(bands)))
    answers[name + "nodata"] = np.array([1e99 if value is None else value for value in nodata])
    sizes = [bands[0].GetOverview(i).XSize for i in range(bands[0].GetOverviewCount())]
    for index, (scale, window) in enumerate(jobs["windows"]):
        base = [scale * value for value in window]
        reduced = [band.ReadAsArray(*base, buf_xsize=window[2], buf_ysize=window[3]) for band in bands]
        answers[f"{name}{index}reduced"] = np.stack(reduced)
        if scale > 1 and name == "item":
            level = sizes.index(file.RasterXSize // scale)
            answers[f"{name}{index}level"] = np.stack([band.GetOverview(level).ReadAsArray(*window) for band in bands])
np.savez(sys.argv[1], **answers)
"""


def _assert_old_gdal(published, folder):
    expected = list(_expected(published))
    jobs = {
        "files": [
            ("item", published.item, ["SKIP_MISSING_METATILE=YES"]),
            ("twin", published.twin, []),
        ],
        "windows": [(scale, window) for _, scale, window, _ in expected],
    }
    answers = str(folder / "answers.npz")
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", READ_ALL, answers], input=json.dumps(jobs), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    grid = raster_grid(published.tile_set.pyramid, levels(published.tile_set.pyramid, published.tile_set.limits)[-1])
    nodata = 1e99 if published.tile_set.nodata is None else published.tile_set.nodata
    with np.load(answers) as found:
        for name in ("item", "twin"):
            facts = [*grid.transform.to_gdal(), grid.width, grid.height, published.tile_set.bands]
            np.testing.assert_array_equal(found[f"{name}facts"], facts)
            np.testing.assert_array_equal(found[f"{name}nodata"], [nodata] * published.tile_set.bands)
        for index, (tile, _, _, pixels) in enumerate(expected):
            for key in (f"item{index}reduced", f"item{index}level", f"twin{index}reduced"):
                if key in found.files:
                    _assert_same(found[key], pixels, (key, tile))


@pytest.mark.gdal
@pytest.mark.parametrize("grid", PYRAMIDS)
def test_old_gdal_opens_every_grid(publish, tmp_path, grid):
    published = publish(PYRAMIDS[grid], _base("holes"), range(3, 7))

    _assert_old_gdal(published, tmp_path)


@pytest.mark.gdal
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", None),
        ("int16", -1),
        ("uint32", 2**32 - 1),
        ("float32", float("nan")),
        ("float64", float("-inf")),
        ("complex64", 0),
    ],
)
def test_old_gdal_reads_every_dtype(*, publish, tmp_path, dtype, nodata):
    published = publish(
        PYRAMIDS["utm"].with_metatile(4), _base("L", zoom=8), range(1, 9), dtype=dtype, nodata=nodata, bands=3
    )

    _assert_old_gdal(published, tmp_path)


@pytest.mark.gdal
def test_gdalinfo_says_nothing_on_stderr(publish):
    published = publish(PYRAMIDS["WebMercatorQuad"], _base("one"), range(7))

    for path in (published.item, published.twin):
        done = subprocess.run(["gdalinfo", "-json", path], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert json.loads(done.stdout)["size"] == [16, 16]


@pytest.mark.gdal
def test_no_vector_layer_is_offered(publish):
    published = publish(PYRAMIDS["laea"], _base("dense"), range(2, 7))

    done = subprocess.run(["ogrinfo", published.item], capture_output=True, text=True, check=False)

    assert done.returncode != 0


RENDER = """
import json, os, sys
from qgis.core import *
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
answers = []
for path, extent, width, height, picture in json.load(sys.stdin):
    layer = QgsRasterLayer(path, "x", "gdal")
    if not layer.isValid():
        answers.append("not valid")
        continue
    if layer.bandCount() == 1 and layer.renderer().type() != "paletted":
        gray = QgsSingleBandGrayRenderer(layer.dataProvider(), 1)
        stretch = QgsContrastEnhancement(layer.dataProvider().dataType(1))
        stretch.setMinimumValue(0)
        stretch.setMaximumValue(255)
        stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.StretchToMinimumMaximum)
        gray.setContrastEnhancement(stretch)
        layer.setRenderer(gray)
    view = QgsMapSettings()
    view.setLayers([layer])
    view.setDestinationCrs(layer.crs())
    view.setBackgroundColor(QColor(200, 0, 200))
    view.setExtent(QgsRectangle(*extent))
    view.setOutputSize(QSize(width, height))
    job = QgsMapRendererSequentialJob(view)
    job.start()
    job.waitForFinished()
    job.renderedImage().convertToFormat(QImage.Format_RGB32).save(picture)
    answers.append([error.message for error in job.errors()])
print("ANSWERS" + json.dumps(answers))
sys.stdout.flush()
os._exit(0)
"""


def _render(folder, jobs):
    """What QGIS paints: one array of red, green, blue for each (path, bounds, (height, width))."""
    pictures = [str(folder / f"picture{index}.png") for index in range(len(jobs))]
    told = [
        (path, list(bounds), width, height, picture)
        for (path, bounds, (height, width)), picture in zip(jobs, pictures, strict=True)
    ]
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", RENDER],
        input=json.dumps(told),
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(folder)},
    )
    assert "ANSWERS" in done.stdout, done.stderr
    assert json.loads(done.stdout.split("ANSWERS")[1]) == [[]] * len(jobs)
    found = []
    for picture in pictures:
        with rasterio.open(picture) as file:
            found.append(file.read()[:3])
    return found


def _levels_to_render(published, path):
    """For each level the whole raster at just its resolution, and the gray values that must be seen."""
    pyramid = published.tile_set.pyramid
    raster = raster_grid(pyramid, levels(pyramid, published.tile_set.limits)[-1])
    mosaics = {}
    for _, scale, (x, y, width, height), pixels in _expected(published):
        shape = (published.tile_set.bands, raster.height // scale, raster.width // scale)
        mosaics.setdefault(scale, np.zeros(shape, "uint8"))[:, y : y + height, x : x + width] = pixels
    return [((path, raster.bounds, mosaic.shape[1:]), mosaic) for mosaic in mosaics.values()]


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("grid", ["WebMercatorQuad", "WorldCRS84Quad", "laea", "pixels"])
def test_qgis_paints_every_level_as_the_tiles_have_it(publish, tmp_path, grid):
    sparse = publish(PYRAMIDS[grid], _base("holes"), range(4, 7))

    wanted = _levels_to_render(sparse, sparse.twin)
    painted = _render(tmp_path, [job for job, _ in wanted])

    for picture, (_, mosaic) in zip(painted, wanted, strict=True):
        background = np.array([200, 0, 200], "uint8")[:, None, None]
        np.testing.assert_array_equal(picture, np.where(mosaic == 0, background, mosaic))


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_qgis_paints_a_full_item_without_the_twin(publish, tmp_path):
    dense = publish(PYRAMIDS["laea"], [Tile(6, *place) for place in product(range(20, 24), range(32, 36))], range(4, 7))

    wanted = _levels_to_render(dense, dense.item)
    painted = _render(tmp_path, [job for job, _ in wanted])

    for picture, (_, mosaic) in zip(painted, wanted, strict=True):
        background = np.array([200, 0, 200], "uint8")[:, None, None]
        np.testing.assert_array_equal(picture, np.where(mosaic == 0, background, mosaic))


@pytest.mark.qgis
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_qgis_paints_a_palette_and_lets_holes_be_holes(publish, tmp_path):
    palette = {value: (value, 255 - value, 7, 255) for value in range(1, 256)}
    published = publish(PYRAMIDS["WebMercatorQuad"], _base("diagonal"), range(4, 7), palette=palette)

    wanted = _levels_to_render(published, published.twin)
    painted = _render(tmp_path, [job for job, _ in wanted])

    for picture, (_, mosaic) in zip(painted, wanted, strict=True):
        colors = np.stack([mosaic[0], 255 - mosaic[0], np.full_like(mosaic[0], 7)])
        background = np.array([200, 0, 200], "uint8")[:, None, None]
        np.testing.assert_array_equal(picture, np.where(mosaic == 0, background, colors))
