import math
import subprocess
from fractions import Fraction

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.warp import reproject

from tilepipe.errors import RecipeError
from tilepipe.geo.halve import CASCADE, halve

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
BY_ADDO = ("nearest", "average", "mode", "rms")
BY_WARP = ("min", "max", "med", "q1", "q3", "sum")
KINDS = ("none", "zero", "inside", "odd", "lowest", "highest")
# At the ends of 64-bit dtypes GDAL is no oracle: in float64 the nodata value is rounded, or the sum infinite.
FEASIBLE = [
    (dtype, kind)
    for dtype in DTYPES
    for kind in KINDS
    if np.dtype(dtype).itemsize < 8 or kind not in ("lowest", "highest")
]
SIZE = 64
FINE = Affine(1, 0, 0, 0, -1, SIZE)
COARSE = Affine(2, 0, 0, 0, -2, SIZE)


def ends(dtype):
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return info.min, info.max


def strewn(dtype, nodata, *, seed=0, shape=(2, SIZE, SIZE)):
    """Few values (many ties) on the left, many on the right; holes of all shapes and an empty corner."""
    random = np.random.default_rng(seed)
    lowest, highest = ends(dtype)
    if np.dtype(dtype).kind == "f":
        wide = random.normal(100, 1000, shape).astype(dtype)
    else:
        # GDAL works 64-bit integers out in float64; beyond 2**51 it is no oracle.
        wide = random.integers(max(lowest, -(2**51)), min(highest, 2**51), shape, dtype=dtype, endpoint=True)
    few = random.integers(max(lowest, -3), 4, shape).astype(dtype)
    pixels = np.where(np.arange(shape[2]) < shape[2] // 2, few, wide)
    if nodata is not None:
        pixels[random.random(shape) < 0.3] = nodata
        pixels[:, : shape[1] // 4, : shape[2] // 4] = nodata
    return pixels


def nodata_of(dtype, kind):
    lowest, highest = ends(dtype)
    odd = math.nan if np.dtype(dtype).kind == "f" else 101
    return {"none": None, "zero": 0, "inside": 2, "odd": odd, "lowest": lowest, "highest": highest}[kind]


def plain(nodata):
    return nodata.item() if isinstance(nodata, np.generic) else nodata


def missing(pixels, nodata):
    lost = np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
    return lost if nodata is None else lost | (pixels == nodata)


def quads(pixels):
    return np.stack([pixels[:, row::2, col::2] for row in (0, 1) for col in (0, 1)])


def overviews(pixels, nodata, method, *, factors=(2,)):
    bands, height, width = pixels.shape
    with MemoryFile() as memory:
        profile = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype, "nodata": nodata}
        with memory.open(driver="GTiff", transform=FINE, crs="EPSG:3857", **profile) as dataset:
            dataset.write(pixels)
        with rasterio.open(memory.name, "r+") as dataset:
            dataset.build_overviews(factors, Resampling[method])
        for level in range(len(factors)):
            with rasterio.open(memory.name, OVERVIEW_LEVEL=level) as dataset:
                yield dataset.read()


def warped(pixels, nodata, method):
    bands, height, width = pixels.shape
    result = np.zeros((bands, height // 2, width // 2), pixels.dtype)
    # One band at a time: several at once are missing only where all of them are.
    for source, target in zip(pixels, result, strict=True):
        reproject(
            source,
            target,
            src_transform=FINE,
            dst_transform=COARSE,
            src_crs="EPSG:3857",
            dst_crs="EPSG:3857",
            src_nodata=nodata,
            dst_nodata=nodata,
            resampling=Resampling[method],
        )
    return result


def assert_equal(ours, theirs, pixels, *, where=True):
    """Within one unit of rounding, or a millionth of the largest of the four."""
    assert ours.dtype == pixels.dtype
    assert ours.shape == theirs.shape
    if pixels.dtype.kind == "f":
        four = quads(pixels)
        largest = np.abs(np.where(np.isfinite(four), four, 0)).max(axis=0)
        near = np.isclose(ours, theirs, rtol=1e-6, atol=0, equal_nan=True)
        near |= np.abs(ours.astype(float) - theirs) <= 1e-6 * largest.astype(float)
    else:
        near = np.where(ours > theirs, ours - theirs, theirs - ours) <= 1
    assert np.all(near | ~np.asarray(where))


def trusted(pixels, nodata, method):
    """Where GDAL is right."""
    four = quads(pixels)
    if method == "mode":
        # GDAL's mode of nothing is 0 where nodata is negative or NaN.
        return ~missing(four, nodata).all(axis=0)
    if method == "rms" and nodata is None:
        # GDAL's vectorised rms looks twice at the lower left and never at the lower right.
        return (four[:3] != 0).any(axis=0)
    return np.ones(four.shape[1:], bool)


@pytest.mark.parametrize(("dtype", "kind"), FEASIBLE)
@pytest.mark.parametrize("method", BY_ADDO)
def test_a_level_equals_the_overview_of_gdal(dtype, method, kind):
    nodata = plain(nodata_of(dtype, kind))
    pixels = strewn(dtype, nodata)

    ours = halve(pixels, nodata=nodata, method=method)

    (theirs,) = overviews(pixels, nodata, method)
    assert_equal(ours, theirs, pixels, where=trusted(pixels, nodata, method))


@pytest.mark.parametrize(("dtype", "kind"), FEASIBLE)
@pytest.mark.parametrize("method", BY_WARP)
def test_a_level_equals_the_warp_of_gdal(dtype, method, kind):
    nodata = plain(nodata_of(dtype, kind))
    pixels = strewn(dtype, nodata)

    ours = halve(pixels, nodata=nodata, method=method)

    assert_equal(ours, warped(pixels, nodata, method), pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("method", ["nearest", "average", "mode"])
def test_level_upon_level_equals_the_overviews_of_gdal(dtype, method):
    pixels = strewn(dtype, 101)

    second = halve(pixels, nodata=101, method=method)
    fourth = halve(second, nodata=101, method=method)

    gdal_second, gdal_fourth = overviews(pixels, 101, method, factors=(2, 4))
    assert_equal(second, gdal_second, pixels)
    assert_equal(fourth, gdal_fourth, second)


# Without int32, which GDAL 3.6 puts through float32.
@pytest.mark.gdal
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("method", BY_ADDO)
def test_a_level_equals_the_overview_of_the_systems_gdaladdo(dtype, method, tmp_path):
    nodata = 2
    pixels = strewn(dtype, nodata)
    path = tmp_path / "pixels.tif"
    profile = {"count": 2, "height": SIZE, "width": SIZE, "dtype": dtype, "nodata": nodata, "crs": "EPSG:3857"}
    with rasterio.open(path, "w", driver="GTiff", transform=FINE, **profile) as dataset:
        dataset.write(pixels)

    subprocess.run(["gdaladdo", "-q", "-r", method, path, "2"], check=True)
    with rasterio.open(path, OVERVIEW_LEVEL=0) as dataset:
        theirs = dataset.read()

    assert_equal(halve(pixels, nodata=nodata, method=method), theirs, pixels)


@pytest.mark.gdal
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("method", BY_WARP)
def test_a_level_equals_the_warp_of_the_systems_gdalwarp(dtype, method, tmp_path):
    nodata = 2
    pixels = strewn(dtype, nodata, shape=(1, SIZE, SIZE))
    fine, coarse = tmp_path / "fine.tif", tmp_path / "coarse.tif"
    profile = {"count": 1, "height": SIZE, "width": SIZE, "dtype": dtype, "nodata": nodata, "crs": "EPSG:3857"}
    with rasterio.open(fine, "w", driver="GTiff", transform=FINE, **profile) as dataset:
        dataset.write(pixels)

    subprocess.run(["gdalwarp", "-q", "-r", method, "-tr", "2", "2", fine, coarse], check=True)
    with rasterio.open(coarse) as dataset:
        theirs = dataset.read()

    assert_equal(halve(pixels, nodata=nodata, method=method), theirs, pixels)


def test_nearest_is_the_upper_left_pixel():
    pixels = np.array([[[1, 2], [3, 4]]], np.uint8)

    assert halve(pixels, nodata=None, method="nearest").item() == 1


@pytest.mark.parametrize(
    ("four", "winner"),
    [
        ((1, 2, 3, 4), 1),
        ((1, 2, 2, 1), 2),
        ((1, 2, 1, 2), 1),
        ((1, 1, 2, 2), 1),
        ((1, 2, 3, 2), 2),
        ((1, 2, 3, 3), 3),
        ((1, 2, 3, 1), 1),
        ((0, 2, 1, 1), 1),
        ((0, 2, 1, 2), 2),
        ((0, 2, 1, 0), 2),
        ((1, 0, 0, 2), 1),
        ((0, 0, 0, 2), 2),
    ],
)
def test_mode_is_the_value_that_first_reaches_the_highest_number(four, winner):
    pixels = np.tile(np.array(four, np.uint8).reshape(1, 2, 2), (1, 4, 4))

    ours = halve(pixels, nodata=0, method="mode")

    (theirs,) = overviews(pixels, 0, "mode")
    assert np.array_equal(ours, theirs)
    assert (ours == winner).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["average", "rms", "sum"])
def test_valid_pixels_never_become_nodata(dtype, method):
    four = (1, 2, 0, 0) if method == "sum" else (3, 3, 3, 3)
    for nodata in (3, 2, 4):
        pixels = np.array([[[four[0], four[1]], [four[2], four[3]]]], dtype)
        pixels[pixels == nodata] = nodata + 1

        assert halve(pixels, nodata=nodata, method=method).item() != nodata


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_average_that_would_be_nodata_moves_up(dtype):
    pixels = np.array([[[1, 1], [5, 5]]], dtype)

    result = halve(pixels, nodata=3, method="average")

    expected = np.nextafter(np.array(3, dtype), np.inf, dtype=dtype) if np.dtype(dtype).kind == "f" else 4
    assert result.item() == expected


@pytest.mark.parametrize("dtype", DTYPES[:8])
def test_an_average_moves_down_from_a_nodata_value_at_the_upper_end(dtype):
    highest = np.iinfo(dtype).max
    pixels = np.array([[[1, 3], [highest, highest]]], dtype)

    assert halve(pixels, nodata=2, method="sum").item() == highest
    assert halve(pixels, nodata=int(highest), method="sum").item() == 4
    assert halve(pixels[:, :, ::-1] - np.array(1, dtype), nodata=int(highest), method="sum").item() == highest - 1


@pytest.mark.parametrize("dtype", DTYPES[:8])
def test_a_sum_beyond_the_dtype_is_its_end(dtype):
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max

    assert halve(np.full((1, 2, 2), highest, dtype), nodata=None, method="sum").item() == highest
    assert halve(np.full((1, 2, 2), lowest, dtype), nodata=None, method="sum").item() == lowest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["average", "rms"])
def test_the_largest_floats_do_not_overflow(dtype, method):
    pixels = np.full((1, 2, 2), np.finfo(dtype).max, dtype)

    assert halve(pixels, nodata=None, method=method).item() == np.finfo(dtype).max


@pytest.mark.parametrize("method", CASCADE)
@pytest.mark.parametrize("nodata", [None, -9999, math.nan])
def test_nan_is_missing_whatever_the_nodata_value_is(method, nodata):
    pixels = np.full((1, 2, 4), np.nan, np.float32)
    pixels[0, 0, 0] = 5

    some, none = halve(pixels, nodata=nodata, method=method)[0, 0]

    assert some == 5
    assert np.array_equal(none, np.float32(np.nan if nodata is None else nodata), equal_nan=True)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_pixels_are_averaged(dtype):
    pixels = np.array([[[1 + 1j, 2], [0, np.nan]]], dtype)

    assert halve(pixels, nodata=0, method="average").item() == 1.5 + 0.5j
    assert halve(pixels, nodata=0, method="nearest").item() == 1 + 1j


def test_the_given_pixels_stay_as_they_are():
    for method in CASCADE:
        pixels = strewn("float32", -9999)
        before = pixels.copy()
        pixels.flags.writeable = False

        halve(pixels, nodata=-9999, method=method)

        assert np.array_equal(pixels, before)


def test_no_pixels_have_no_overview():
    for method in CASCADE:
        assert halve(np.zeros((0, 4, 4), np.uint8), nodata=None, method=method).shape == (0, 2, 2)
        assert halve(np.zeros((1, 0, 4), np.uint8), nodata=None, method=method).shape == (1, 0, 2)


def test_an_unknown_method_is_refused_with_the_nearest_one():
    with pytest.raises(RecipeError, match="did you mean 'average'"):
        halve(np.zeros((1, 2, 2)), nodata=None, method="averge")


def test_a_dtype_without_overviews_is_refused():
    with pytest.raises(RecipeError, match=r"overviews of complex64 cannot be made by mode, only of uint8, .*float64"):
        halve(np.zeros((1, 2, 2), np.complex64), nodata=None, method="mode")


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", -1), ("uint8", 256), ("int16", 0.5), ("int32", math.nan), ("float32", 1e39)]
)
def test_a_nodata_value_outside_the_dtype_is_refused(dtype, nodata):
    with pytest.raises(RecipeError, match=f"is no value of {dtype}; choose"):
        halve(np.zeros((1, 2, 2), dtype), nodata=nodata, method="average")


@pytest.mark.parametrize("shape", [(1, 3, 2), (1, 2, 3), (2, 2)])
def test_odd_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="can be halved, not"):
        halve(np.zeros(shape, np.uint8), nodata=None, method="min")


def any_case(test):
    case = st.tuples(*(st.sampled_from(names) for names in (DTYPES, CASCADE, KINDS)), st.integers(0, 1000))
    return settings(deadline=None)(given(case=case)(test))


@any_case
def test_halved_pieces_put_together_are_the_halved_whole(case):
    dtype, method, kind, seed = case
    nodata = nodata_of(dtype, kind)
    pixels = strewn(dtype, nodata, seed=seed, shape=(1, 16, 24))
    row, col = 2 * (seed % 9), 2 * (seed % 13)

    pieces = [
        [halve(piece, nodata=nodata, method=method) for piece in np.split(half, [col], axis=2)]
        for half in np.split(pixels, [row], axis=1)
    ]

    assert np.array_equal(np.block(pieces), halve(pixels, nodata=nodata, method=method), equal_nan=True)


@pytest.mark.parametrize("method", CASCADE)
def test_a_raster_of_many_blocks_is_the_same_as_its_rows(method):
    pixels = strewn("uint16", 0, shape=(1, 512, 512))

    rows = [halve(pixels[:, row : row + 2], nodata=0, method=method) for row in range(0, 512, 2)]

    assert np.array_equal(np.concatenate(rows, axis=1), halve(pixels, nodata=0, method=method))


@any_case
def test_the_layout_in_memory_does_not_matter(case):
    dtype, method, kind, seed = case
    nodata = nodata_of(dtype, kind)
    pixels = strewn(dtype, nodata, seed=seed, shape=(2, 8, 12))
    odd_rows = np.zeros((2, 8, 15), dtype)[:, :, 1:13]
    odd_rows[...] = pixels
    spread = np.repeat(np.repeat(pixels, 2, axis=1), 3, axis=2)[:, ::2, ::3]
    mirrored = pixels[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    interleaved = np.ascontiguousarray(pixels.transpose(1, 2, 0)).transpose(2, 0, 1)
    swapped = pixels.astype(pixels.dtype.newbyteorder())

    expected = halve(pixels, nodata=nodata, method=method)

    for other in (odd_rows, spread, mirrored, interleaved, swapped, np.asfortranarray(pixels)):
        assert np.array_equal(halve(other, nodata=nodata, method=method), expected, equal_nan=True)


@any_case
def test_a_pixel_is_missing_exactly_where_all_four_are(case):
    dtype, method, kind, seed = case
    nodata = nodata_of(dtype, kind)
    pixels = strewn(dtype, nodata, seed=seed, shape=(1, 16, 16))
    four = missing(quads(pixels), nodata)

    result = halve(pixels, nodata=nodata, method=method)

    lost = four[0] if method == "nearest" else four.all(axis=0)
    assert np.array_equal(missing(result, nodata), lost)


@any_case
def test_constant_pixels_stay_constant(case):
    dtype, method, kind, seed = case
    if method == "sum":
        method = "average"
    nodata = nodata_of(dtype, kind)
    pixels = strewn(dtype, nodata, seed=seed, shape=(1, 16, 16))
    value = pixels.flat[seed % pixels.size]
    lost = missing(pixels, nodata)
    constant = np.where(lost, pixels, np.abs(value) if method == "rms" else value)

    result = halve(constant, nodata=nodata, method=method)

    kept = result[~missing(result, nodata)]
    expected = constant[~lost][:1]
    if method == "nearest":
        expected = constant[:, ::2, ::2][~lost[:, ::2, ::2]][:1]
    assert np.allclose(kept.astype(float), expected.astype(float), rtol=1e-15 if dtype != "float32" else 1e-7, atol=0)


@settings(deadline=None)
@given(dtype=st.sampled_from(DTYPES), seed=st.integers(0, 1000), nodata=st.sampled_from([None, 101]))
def test_the_methods_lie_in_their_order(dtype, seed, nodata):
    pixels = strewn(dtype, nodata, seed=seed, shape=(1, 16, 16))

    least, lower, middle, upper, most, mean = (
        halve(pixels, nodata=nodata, method=method) for method in ("min", "q1", "med", "q3", "max", "average")
    )

    assert (least <= lower).all()
    assert (lower <= middle).all()
    assert (middle <= upper).all()
    assert (upper <= most).all()
    inside = np.ones(mean.shape, bool) if nodata is None else ~np.isin(mean, [nodata, nodata + 1])
    slack = 2 * np.spacing(np.abs(mean)) if mean.dtype.kind == "f" else mean.dtype.type(0)
    assert (least <= mean + slack)[inside].all()
    assert (mean <= most + slack)[inside].all()


@settings(deadline=None)
@given(
    dtype=st.sampled_from(["uint64", "int64"]),
    four=st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4),
    present=st.integers(1, 4),
)
def test_long_integers_are_averaged_and_summed_exactly(dtype, four, present):
    lowest, highest = (int(end) for end in ends(dtype))
    values = [lowest + value for value in four]
    nodata = next(value for value in (5, 6, 7, 8, 9) if value not in values)
    values[present:] = [nodata] * (4 - present)
    pixels = np.array(values, dtype).reshape(1, 2, 2)

    mean = halve(pixels, nodata=nodata, method="average").item()
    total = halve(pixels, nodata=nodata, method="sum").item()

    exact = Fraction(sum(values[:present]), present)
    away = math.floor(abs(exact) + Fraction(1, 2)) * (-1 if exact < 0 else 1)
    assert mean == (away if away != nodata else nodata + 1)
    clamped = min(max(sum(values[:present]), lowest), highest)
    assert total == (clamped if clamped != nodata else nodata - 1)
