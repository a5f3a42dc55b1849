import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tilepipe.errors import ProcessError
from tilepipe.result import fit

SHAPE = (6, 5)
WHOLE = (slice(None), slice(None))
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def fitted(result, *, dtype="uint8", nodata=0, bands=1, clamp=False, kept=WHOLE):
    return fit(result, shape=SHAPE, kept=kept, bands=bands, dtype=dtype, nodata=nodata, clamp=clamp)


def test_none_stays_none():
    assert fitted(None) is None


def test_a_wholly_masked_array_is_none():
    assert fitted(np.ma.masked_all(SHAPE)) is None


def test_an_array_of_nan_is_none():
    assert fitted(np.full(SHAPE, np.nan), dtype="float32", nodata=-1) is None


def test_data_in_the_buffer_only_is_none():
    array = np.ma.masked_all(SHAPE)
    array[0, :] = 7

    assert fitted(array, kept=(slice(1, None), slice(None))) is None


def test_two_dimensions_become_one_band():
    assert fitted(np.ones(SHAPE, "uint8")).shape == (1, *SHAPE)


def test_the_buffer_is_cut_off():
    array = np.arange(30, dtype="uint8").reshape(SHAPE)

    assert (fitted(array, kept=(slice(1, 5), slice(2, 4)))[0] == array[1:5, 2:4]).all()


def test_masked_pixels_become_nodata_whatever_lies_under_the_mask():
    array = np.ma.array(np.full(SHAPE, 7.0), mask=False)
    array.data[2, 3] = 1e9
    array[2, 3] = np.ma.masked
    expected = np.full(SHAPE, 7)
    expected[2, 3] = 255

    assert (fitted(array, nodata=255)[0] == expected).all()


def test_nan_becomes_nodata():
    array = np.ones(SHAPE)
    array[0, 0] = np.nan

    assert fitted(array, dtype="int16", nodata=-32768)[0, 0, 0] == -32768


def test_masked_pixels_are_zero_where_there_is_no_nodata():
    array = np.ma.array(np.ones(SHAPE), mask=False)
    array[1, 1] = np.ma.masked

    assert fitted(array, nodata=None)[0, 1, 1] == 0


def test_floats_are_rounded_to_the_nearest_whole_number():
    array = np.full(SHAPE, 12.7)

    assert (fitted(array) == 13).all()


def test_booleans_are_zero_and_one():
    assert (fitted(np.ones(SHAPE, bool)) == 1).all()


def test_the_result_of_the_process_is_not_changed():
    array = np.ma.array(np.ones(SHAPE, "uint8"), mask=np.eye(*SHAPE, dtype=bool))

    fitted(array, nodata=9)

    assert (array.data == 1).all()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_values_beyond_the_dtype_are_refused_with_their_range(dtype):
    array = np.full(SHAPE, 1.0)
    array[0, 0] = float(np.iinfo(dtype).max) * 2

    with pytest.raises(ProcessError, match=r"values from 1\.0 to .* which u?int\d+ .* cannot hold; .*clamp"):
        fitted(array, dtype=dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_clamped_values_are_the_ends_of_the_dtype(dtype):
    array = np.full(SHAPE, 1.0)
    array[0, 0], array[0, 1] = -1e30, 1e30
    limits = np.iinfo(dtype)

    pixels = fitted(array, dtype=dtype, clamp=True)

    assert (int(pixels[0, 0, 0]), int(pixels[0, 0, 1])) == (limits.min, limits.max)


def test_infinite_values_do_not_fit_whole_numbers():
    with pytest.raises(ProcessError, match="to inf, which uint8"):
        fitted(np.full(SHAPE, np.inf))


def test_values_beyond_a_smaller_float_are_refused():
    with pytest.raises(ProcessError, match=r"values up to 1e\+300, which float32 cannot hold"):
        fitted(np.full(SHAPE, 1e300), dtype="float32")


@given(
    array=hnp.arrays(st.sampled_from(INTEGERS), SHAPE),
    dtype=st.sampled_from(INTEGERS),
)
def test_whole_numbers_come_through_exactly_or_not_at_all(array, dtype):
    limits = np.iinfo(dtype)
    if limits.min <= int(array.min()) and int(array.max()) <= limits.max:
        assert fitted(array, dtype=dtype, nodata=None)[0].tolist() == array.tolist()
    else:
        with pytest.raises(ProcessError, match="cannot hold"):
            fitted(array, dtype=dtype, nodata=None)


@given(array=hnp.arrays(st.sampled_from(INTEGERS), SHAPE), dtype=st.sampled_from(INTEGERS))
def test_clamping_whole_numbers_agrees_with_python(array, dtype):
    limits = np.iinfo(dtype)
    expected = [[min(max(value, limits.min), limits.max) for value in row] for row in array.tolist()]

    assert fitted(array, dtype=dtype, nodata=None, clamp=True)[0].tolist() == expected


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1, 2], "returned list; it must return an array or None"),
        (np.ones((4, 4)), r"shape \(4, 4\); the tile with its buffer has 6 rows and 5 columns"),
        (np.ones((2, *SHAPE)), r"returned 2 bands; output.bands is 1"),
        (np.full(SHAPE, "a"), "an array of <U1; it must hold numbers"),
        (np.ones(SHAPE, complex), "complex numbers; output.dtype is uint8"),
        (np.ones((1, 1, *SHAPE)), r"shape \(1, 1, 6, 5\)"),
    ],
)
def test_what_does_not_fit_is_refused(result, message):
    with pytest.raises(ProcessError, match=message):
        fitted(result)
