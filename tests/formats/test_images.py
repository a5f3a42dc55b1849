"""PNG, JPEG and WebP are what other libraries take them for, and what they cannot hold is refused by name."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import rasterio

from tilepipe.errors import OutputError, RecipeError
from tilepipe.formats.jpeg import JPEG
from tilepipe.formats.png import PNG
from tilepipe.formats.protocol import Format
from tilepipe.formats.webp import WebP
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels, Raster
from tilepipe.recipe import build

Image = pytest.importorskip("PIL.Image", reason="Pillow says what other programs see")

GRID = Grid(crs="EPSG:3857", left=1000.0, top=2000.0, resolution=0.3, height=48, width=64)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def raster(pixels: Pixels, nodata: float | None = None) -> Raster:
    return Raster(pixels=pixels, grid=GRID, nodata=nodata)


def seen(payload: bytes, mode: str) -> Pixels:
    """`(band, row, col)` as Pillow shows it."""
    with Image.open(io.BytesIO(payload)) as image:
        return np.atleast_3d(np.asarray(image.convert(mode))).transpose(2, 0, 1)


@pytest.fixture
def noise() -> Pixels:
    """Four bands with all values, and a transparent corner of a colour of its own."""
    pixels = np.random.default_rng(5).integers(0, 256, (4, 48, 64)).astype("uint8")
    pixels[:3, :9, :7] = 17
    pixels[3, :9, :7] = 0
    return pixels


@pytest.fixture
def waves() -> Pixels:
    """Smooth colours, `(3, 48, 64)`."""
    rows, cols = np.mgrid[0:48, 0:64] / 20
    return np.stack([128 + 90 * np.sin(rows + shift) * np.cos(cols) for shift in (0, 1, 2)]).astype("uint8")


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_png_shows_the_bands_bit_by_bit(noise: Pixels, bands: int) -> None:
    pixels = noise[-bands:] if bands in (2, 4) else noise[:bands]

    payload = PNG(bands=bands, nodata=None).encode(raster(pixels))

    with Image.open(io.BytesIO(payload)) as image:
        assert (image.format, image.mode, image.size, image.info) == ("PNG", MODES[bands], (64, 48), {})
    np.testing.assert_array_equal(seen(payload, MODES[bands]), pixels)


@pytest.mark.parametrize(("bands", "nodata"), [(1, 17), (3, 17), (1, 0), (3, 255)])
def test_nodata_is_transparent_in_a_png_and_nothing_else_is(noise: Pixels, bands: int, nodata: int) -> None:
    noise[:, 30:, 40:] = nodata

    payload = PNG(bands=bands, nodata=nodata).encode(raster(noise[:bands], nodata))

    alpha = seen(payload, "RGBA")[3]
    np.testing.assert_array_equal(alpha == 0, (noise[:bands] == nodata).all(axis=0))
    assert set(np.unique(alpha)) == {0, 255}


@pytest.mark.parametrize("bands", [1, 3])
def test_nodata_of_sixteen_bits_is_transparent_too(bands: int) -> None:
    pixels = np.full((bands, 48, 64), 4660, "uint16")
    pixels[:, 5:9] = 40_000

    payload = PNG(dtype="uint16", bands=bands, nodata=40_000).encode(raster(pixels, 40_000))

    chunk = payload.index(b"tRNS")
    assert payload[chunk + 4 : chunk + 4 + 2 * bands] == (40_000).to_bytes(2) * bands
    assert payload[24:26] == bytes([16, 0 if bands == 1 else 2])


def test_a_jpeg_shows_nearly_the_same(waves: Pixels) -> None:
    payload = JPEG(quality=95).encode(raster(waves))

    with Image.open(io.BytesIO(payload)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 48))
    assert np.abs(seen(payload, "RGB").astype(int) - waves).max() < 16


@pytest.mark.parametrize("bands", [3, 4])
def test_a_webp_without_loss_shows_the_bands_bit_by_bit(noise: Pixels, bands: int) -> None:
    payload = WebP(bands=bands, lossless=True).encode(raster(noise[:bands]))

    np.testing.assert_array_equal(seen(payload, MODES[bands]), noise[:bands])


def test_a_webp_with_loss_keeps_transparency_as_it_is(waves: Pixels, noise: Pixels) -> None:
    pixels = np.concatenate([waves, noise[3:]])

    payload = WebP(bands=4, quality=90).encode(raster(pixels))

    found = seen(payload, "RGBA")
    np.testing.assert_array_equal(found[3], pixels[3])
    opaque = pixels[3] == 255
    assert np.abs(found[:3].astype(int) - waves)[:, opaque].max() < 40


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_is_opaque_everywhere_comes_back_with_its_alpha(waves: Pixels, *, lossless: bool) -> None:
    form = WebP(bands=4, lossless=lossless)
    pixels = np.concatenate([waves, np.full((1, 48, 64), 255, "uint8")])

    back = form.decode(form.encode(raster(pixels)), GRID).pixels

    assert back.shape == pixels.shape
    assert (back[3] == 255).all()


@pytest.mark.parametrize("form", [JPEG, WebP])
def test_less_quality_makes_smaller_files(waves: Pixels, form: type[JPEG] | type[WebP]) -> None:
    sizes = [len(form(quality=quality).encode(raster(waves))) for quality in (20, 60, 95)]

    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("form", [PNG(bands=3, nodata=0), JPEG(), WebP(), WebP(lossless=True)])
def test_bytes_depend_neither_on_threads_nor_on_settings_of_gdal(waves: Pixels, form: Format) -> None:
    wanted = form.encode(raster(waves, form.nodata))

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: form.encode(raster(waves, form.nodata)), range(8)))
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_CACHEMAX=1):
        found.add(form.encode(raster(waves, form.nodata)))

    assert found == {wanted}


def test_a_png_with_another_nodata_is_refused() -> None:
    pixels = np.ones((1, 48, 64), "uint8")
    payload = PNG(nodata=5).encode(raster(pixels, 5))

    with pytest.raises(OutputError, match=r"the PNG's nodata is 5.0, not 0"):
        PNG(nodata=0).decode(payload, GRID)


def test_an_image_of_another_dtype_is_refused() -> None:
    payload = PNG(dtype="uint16", nodata=None).encode(raster(np.ones((1, 48, 64), "uint16")))

    with pytest.raises(OutputError, match="the PNG has uint16 pixels, not uint8"):
        PNG(nodata=None).decode(payload, GRID)


def test_a_file_of_another_kind_is_refused() -> None:
    payload = JPEG(bands=1).encode(raster(np.ones((1, 48, 64), "uint8"))) + PNG(nodata=None).encode(
        raster(np.ones((1, 48, 64), "uint8"))
    )

    with pytest.raises(OutputError, match="not a whole PNG"):
        PNG(nodata=None).decode(payload, GRID)


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        (
            PNG,
            {"dtype": "float32", "nodata": 0},
            "'float32' cannot be stored in PNG, which has uint8 and uint16; scale",
        ),
        (PNG, {"dtype": "uint32", "nodata": 0}, "or use format gtiff"),
        (PNG, {"bands": 5, "nodata": 0}, "bands is 5; PNG has 1, 2, 3 or 4, so return that many or use format gtiff"),
        (PNG, {}, "nodata is not said; for uint8: a whole number from 0 to 255, or null"),
        (PNG, {"bands": 3, "nodata": 256}, "nodata 256.0 does not fit; for uint8"),
        (PNG, {"bands": 4, "nodata": 0}, "nodata is 0.*, but band 4 of 4 is alpha.*leave nodata away, or make it 3"),
        (PNG, {"nodata": 0, "zlevel": 0}, "zlevel is 0; it goes from 1 .fast. to 9 .small."),
        (PNG, {"nodata": 0, "zlevels": 5}, "unknown key; did you mean 'zlevel'"),
        (PNG, {"nodata": 0, "quality": 5}, "unknown key; known: .*zlevel"),
        (JPEG, {"dtype": "uint16"}, "'uint16' cannot be stored in JPEG, which has uint8; scale"),
        (JPEG, {"bands": 4}, "bands is 4; JPEG has 1 or 3"),
        (JPEG, {"nodata": 0}, "nodata is 0.*JPEG changes values and has no transparency; use format png or webp where"),
        (JPEG, {"quality": 101}, "quality is 101; it goes from 1"),
        (JPEG, {"qualty": 80}, "unknown key; did you mean 'quality'"),
        (JPEG, {"lossless": True}, "output.lossless: unknown key; known: "),
        (WebP, {"dtype": "uint16"}, "'uint16' cannot be stored in WebP, which has uint8"),
        (WebP, {"bands": 1}, "bands is 1; WebP has 3 or 4"),
        (WebP, {"nodata": 0}, "nodata is 0.*WebP shows missing pixels by alpha alone; make it 4 bands"),
        (WebP, {"quality": 0}, "quality is 0; it goes from 1"),
        (WebP, {"lossless": "perhaps"}, "output.lossless: is text; it takes"),
        (WebP, {"losless": True}, "unknown key; did you mean 'lossless'"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_its_key(form: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(form, options, where="output")
