import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tilepipe.errors import OutputError
from tilepipe.geo.pyramid import Pyramid, Tile, global_pyramid
from tilepipe.index.extent import Limits
from tilepipe.index.stac import TileSet, prototype, stac_item
from tilepipe.index.vrt import vrt_twin

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def _tile_set(**changes):
    facts = {
        "name": "relief",
        "title": "Shaded relief",
        "pyramid": global_pyramid("WebMercatorQuad"),
        "limits": {5: Limits(10, 11, 16, 18), 6: Limits(20, 22, 33, 36)},
        "extension": "tif",
        "media_type": "image/tiff; application=geotiff",
        "dtype": "uint8",
        "bands": 1,
        "nodata": 0,
        "created": NOON,
    }
    return TileSet(**(facts | changes))


def _item(**changes):
    return json.loads(stac_item(_tile_set(**changes)))


def _matrix_set(item):
    (found,) = item["properties"]["tiles:tile_matrix_sets"].values()
    return found


def _bands(item):
    return item["asset_templates"]["data"].get("bands")


@pytest.mark.parametrize("zooms", [[6], range(25)])
def test_the_marker_stands_at_the_beginning(zooms):
    text = stac_item(_tile_set(title="t" * 500, limits={zoom: Limits(0, 0, 0, 0) for zoom in zooms}))

    assert 0 < text.index('"stac_extensions"') < text.index('"tiled-assets"') < 1000
    assert text.isascii()


def test_keys_stand_in_the_order_old_readers_need():
    assert list(_item()) == [
        "type",
        "stac_version",
        "stac_extensions",
        "id",
        "properties",
        "geometry",
        "bbox",
        "links",
        "assets",
        "asset_templates",
    ]


def test_limits_and_matrices_name_the_same_zooms_coarse_to_fine():
    item = _item()

    (link,) = item["properties"]["tiles:tile_matrix_links"].values()
    assert link["limits"] == {
        "5": {"min_tile_col": 16, "max_tile_col": 18, "min_tile_row": 10, "max_tile_row": 11},
        "6": {"min_tile_col": 33, "max_tile_col": 36, "min_tile_row": 20, "max_tile_row": 22},
    }
    assert [matrix["identifier"] for matrix in _matrix_set(item)["tileMatrix"]] == ["5", "6"]


@pytest.mark.parametrize(
    ("name", "denominator"), [("WebMercatorQuad", 559082264.0287178), ("WorldCRS84Quad", 279541132.0143589)]
)
def test_well_known_matrices_have_their_published_scale(name, denominator):
    matrix_set = _matrix_set(_item(pyramid=global_pyramid(name), limits={0: Limits(0, 0, 0, 0)}))

    assert matrix_set["identifier"] == name
    assert matrix_set["wellKnownScaleSet"].startswith("http://www.opengis.net/def/wkss/OGC/1.0/Google")
    assert matrix_set["tileMatrix"][0]["scaleDenominator"] == pytest.approx(denominator, rel=1e-12)


@pytest.mark.parametrize(("tile_size", "metatile"), [(512, 1), (256, 2)])
def test_other_tiles_than_the_common_ones_have_no_common_name(tile_size, metatile):
    pyramid = global_pyramid("WebMercatorQuad", tile_size=tile_size, metatile=metatile)

    matrix_set = _matrix_set(_item(pyramid=pyramid))

    assert matrix_set["identifier"] == "custom"
    assert "wellKnownScaleSet" not in matrix_set


def test_low_zooms_declare_the_size_their_files_have():
    pyramid = global_pyramid("WorldCRS84Quad", metatile=4)

    matrices = _matrix_set(_item(pyramid=pyramid, limits={zoom: Limits(0, 0, 0, 0) for zoom in range(4)}))["tileMatrix"]

    assert [(matrix["tileWidth"], matrix["tileHeight"]) for matrix in matrices] == [
        (512, 256),
        (1024, 512),
        (1024, 1024),
        (1024, 1024),
    ]
    assert [(matrix["matrixWidth"], matrix["matrixHeight"]) for matrix in matrices] == [(1, 1), (1, 1), (2, 1), (4, 2)]


@pytest.mark.parametrize(
    ("crs", "uri"),
    [
        ("EPSG:4326", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"),
        ("OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"),
        ("EPSG:4277", "http://www.opengis.net/def/crs/EPSG/0/4277"),
    ],
)
def test_a_crs_with_a_code_is_told_by_its_uri(crs, uri):
    pyramid = Pyramid(crs=crs, left=-6, top=58, resolution=0.01, base_zoom=0, height=256, width=256)

    item = _item(pyramid=pyramid, limits={0: Limits(0, 0, 0, 0)})

    assert _matrix_set(item)["supportedCRS"] == uri
    assert item["properties"]["proj:code"] == crs


@pytest.mark.parametrize(
    ("nodata", "told"), [(0, 0), (-9999.0, -9999), (0.5, 0.5), (float("nan"), "nan"), (float("-inf"), "-inf")]
)
def test_nodata_is_told_in_words_json_has(nodata, told):
    (band,) = _bands(_item(dtype="float32", nodata=nodata))

    assert band == {"data_type": "float32", "nodata": told}


def test_each_band_tells_its_own_type():
    bands = _bands(_item(dtype="complex64", bands=2, nodata=None, band_names=("hh", "hv")))

    assert bands == [{"name": "hh", "data_type": "cfloat32"}, {"name": "hv", "data_type": "cfloat32"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"bands": 4, "colors": ("Red", "Green", "Blue", "Alpha")},
        {"palette": {1: (255, 0, 0, 255)}},
        {"dtype": "float16"},
    ],
)
def test_bands_are_left_away_where_declaring_them_hides_colors_or_is_refused(changes):
    assert _bands(_item(**changes)) is None


def test_the_footprint_ends_with_the_matrix_not_with_its_last_tile():
    pyramid = Pyramid(crs="EPSG:4326", left=10, top=50, resolution=0.01, base_zoom=0, height=100, width=300)

    item = _item(pyramid=pyramid, limits={0: Limits(0, 0, 0, 1)})

    assert item["bbox"] == [10, 49, 13, 50]
    assert item["properties"]["proj:shape"] == [256, 512]


def test_datetime_is_told_in_utc():
    summer = datetime(2024, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert _item(created=summer)["properties"]["datetime"] == "2024-06-01T12:00:00Z"


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="has no time zone"):
        _tile_set(created=NOON.replace(tzinfo=None))


def test_names_for_other_than_all_bands_are_refused():
    with pytest.raises(ValueError, match="band_names has 1 entries, there are 3 bands"):
        _tile_set(bands=3, band_names=("red",))


def test_the_prototype_is_the_first_tile_of_the_coarsest_level_listed():
    assert prototype(_tile_set()) == Tile(5, 10, 16)


def test_the_prototype_is_never_at_a_level_that_is_left_out():
    limits = {zoom: Limits(0, 0, 0, 0) for zoom in range(13)}

    assert prototype(_tile_set(limits=limits)) == Tile(4, 0, 0)


@pytest.mark.parametrize("text", [stac_item, vrt_twin])
def test_nothing_cannot_be_indexed(text):
    with pytest.raises(OutputError, match="relief cannot be indexed: no tile holds data"):
        text(_tile_set(limits={}))


def test_nothing_needs_no_prototype():
    assert prototype(_tile_set(limits={})) is None


def test_equal_facts_are_equal_texts():
    assert stac_item(_tile_set()) == stac_item(_tile_set())
    assert vrt_twin(_tile_set()) == vrt_twin(_tile_set())
