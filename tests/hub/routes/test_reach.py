"""Inputs that may be read, and would have GDAL read something else."""

import shutil

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from hub.routes.serving import serving
from tilepipe_hub.running.confine import is_possible

confined = pytest.mark.skipif(not is_possible(), reason="this kernel guards no files")
SIDE = 64
PLACED = {"crs": "EPSG:3857", "transform": Affine(100, 0, 0, 0, -100, SIDE * 100)}
HEAD = (
    f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>EPSG:3857</SRS>'
    f"<GeoTransform>0, 100, 0, {SIDE * 100}, 0, -100</GeoTransform>"
)
SOURCE = '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>{}</SourceFilename></SimpleSource>'
WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:1/${z}/${x}/${y}.png</ServerUrl></Service><DataWindow>'
    "<UpperLeftX>-20037508</UpperLeftX><UpperLeftY>20037508</UpperLeftY><LowerRightX>20037508</LowerRightX>"
    "<LowerRightY>-20037508</LowerRightY><TileLevel>2</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>"
    "</DataWindow><Projection>EPSG:3857</Projection><BandsCount>1</BandsCount></GDAL_WMS>"
)


def write(path, *, driver="GTiff", value=77, **more):
    pixels = np.full((1, SIDE, SIDE), value, "uint8")
    with rasterio.open(
        path, "w", driver=driver, dtype="uint8", count=1, width=SIDE, height=SIDE, **PLACED, **more
    ) as to:
        to.write(pixels)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder that jobs may read."""
    return tmp_path_factory.mktemp("allowed")


@pytest.fixture(scope="module")
def hub(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("reach")
    with serving(folder, fence={"input_roots": [str(data)]}) as hub:
        yield hub


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A raster of somebody else's."""
    return write(tmp_path_factory.mktemp("foreign") / "secret.tif")


def ran(hub, path):
    """How a job that looks at a raster ends."""
    inputs = {
        "dem": {"href": str(path)},
        "pyramid": {"value": {"grid": {"like": "dem"}}},
        "output": {"value": {"dtype": "uint8", "nodata": 0}},
    }
    return hub.ended(hub.submit(inputs, "hillshade"))


@pytest.mark.parametrize("kind", ["GTiff", "COG", "JP2OpenJPEG", "netCDF", "PNG"])
def test_plain_rasters_can_be_read(hub, data, tmp_path, kind):
    path = data / f"plain-{kind}"
    if kind in {"COG", "JP2OpenJPEG", "PNG", "netCDF"}:
        rasterio.shutil.copy(write(tmp_path / "made.tif"), path, driver=kind)
    else:
        write(path, driver=kind)

    found = ran(hub, path)

    assert found["status"] == "successful", found


def test_the_mosaic_of_an_earlier_job_can_be_read(hub, data):
    first = hub.submit(
        {
            "dem": {"href": str(write(data / "first.tif"))},
            "pyramid": {"value": {"grid": {"like": "dem"}}},
            "output": {"value": {"dtype": "uint8", "nodata": 0}},
        },
        "hillshade",
    )
    assert hub.ended(first)["status"] == "successful"
    shutil.copytree(hub.folder / "outputs" / first.rpartition("/")[2], data / "earlier")

    found = ran(hub, data / "earlier" / "stac.vrt")

    assert found["status"] == "successful", found


@confined
@pytest.mark.parametrize("name", ["{}", "/vsizip/{}", "vrt://{}"])
def test_a_mosaic_leads_to_no_file_outside(hub, data, foreign, name):
    path = data / "leads-out.vrt"
    path.write_text(f"{HEAD}{SOURCE.format(name.format(foreign))}</VRTRasterBand></VRTDataset>")
    with rasterio.open(path) as source:
        assert name != "{}" or source.read(1).max() == 77

    found = ran(hub, path)

    assert found["status"] == "failed"


@confined
def test_a_mosaic_shows_no_bytes_of_any_file_as_pixels(hub, data):
    path = data / "raw.vrt"
    path.write_text(
        f'{HEAD}<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
        "<SourceFilename relativeToVRT='0'>/etc/passwd</SourceFilename><PixelOffset>1</PixelOffset>"
        f"<LineOffset>{SIDE}</LineOffset></VRTRasterBand></VRTDataset>"
    )

    found = ran(hub, path)

    assert found["status"] == "failed"
    assert "root:" not in str(found)


@confined
def test_a_mosaic_leads_to_no_other_job(hub, data):
    inputs = {
        "dem": {"href": str(write(data / "theirs.tif", value=9))},
        "pyramid": {"value": {"grid": {"like": "dem"}}},
        "output": {"value": {"dtype": "uint8", "nodata": 0}},
    }
    job = hub.submit(inputs, "hillshade")
    assert hub.ended(job)["status"] == "successful"
    (tile, *_) = (hub.folder / "outputs" / job.rpartition("/")[2]).rglob("*.tif")
    path = data / "leads-to-job.vrt"
    path.write_text(f"{HEAD}{SOURCE.format(tile)}</VRTRasterBand></VRTDataset>")

    assert ran(hub, path)["status"] == "failed"


@pytest.mark.parametrize(
    "text", [WMS, "<GDALTileIndexDataset><IndexDataset>x.gpkg</IndexDataset></GDALTileIndexDataset>"]
)
def test_a_file_that_describes_a_service_is_no_raster(hub, data, text):
    path = data / "service.xml"
    path.write_text(text)

    found = ran(hub, path)

    assert found["status"] == "failed"
    assert "not recognized as being in a supported file format" in found["message"]


@confined
def test_the_overviews_of_an_image_are_no_other_file(hub, data, foreign):
    path = data / "overviews.tif"
    placed = {"crs": "EPSG:3857", "transform": Affine(50, 0, 0, 0, -50, SIDE * 100)}
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, width=SIDE * 2, height=SIDE * 2, **placed
    ) as to:
        to.write(np.full((1, SIDE * 2, SIDE * 2), 5, "uint8"))
        to.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(foreign))
    with rasterio.open(path) as source:
        assert source.read(1, out_shape=(SIDE, SIDE)).max() == 77
    inputs = {
        "raster": {"href": str(path)},
        "pyramid": {"value": {"grid": {"crs": "EPSG:3857", "bounds": [0, 0, 6400, 6400], "resolution": 100}}},
        "output": {"value": {"dtype": "uint8", "nodata": 0}},
    }

    job = hub.submit(inputs, "convert")

    assert hub.ended(job)["status"] == "successful"
    tiles = list((hub.folder / "outputs" / job.rpartition("/")[2]).rglob("*.tif"))
    assert tiles
    for tile in tiles:
        with rasterio.open(tile) as source:
            assert 77 not in source.read()
