import numpy as np
import pytest

from tilepipe.algorithms.scaling import scaled


@pytest.fixture
def pixels():
    return np.ma.MaskedArray(
        np.arange(24, dtype="int16").reshape(2, 3, 4), mask=np.arange(24).reshape(2, 3, 4) % 5 == 0
    )


def test_values_are_multiplied_before_the_offset_is_added(pixels):
    changed = scaled(pixels, ratio=0.5, offset=-3)

    np.testing.assert_array_equal(changed.compressed(), pixels.compressed() * 0.5 - 3)
    np.testing.assert_array_equal(changed.mask, pixels.mask)


def test_pixels_are_handed_back_where_there_is_nothing_to_do(pixels):
    assert scaled(pixels) is pixels


def test_pixels_given_stay_as_they_are(pixels):
    before = pixels.copy()

    scaled(pixels, ratio=2)

    np.testing.assert_array_equal(pixels.data, before.data)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [("uint8", "float32"), ("int16", "float32"), ("float32", "float32"), ("int32", "float64"), ("float64", "float64")],
)
def test_the_result_holds_every_value_of_the_dtype(dtype, result):
    largest = np.finfo(dtype).max if dtype.startswith("f") else np.iinfo(dtype).max

    changed = scaled(np.ma.MaskedArray(np.array([largest], dtype=dtype)), ratio=0.5)

    assert changed.dtype == result
    assert float(changed[0]) == float(largest) / 2


@pytest.mark.parametrize("beneath", [np.inf, np.finfo("float32").max])
def test_what_lies_beneath_the_mask_does_not_matter(beneath):
    pixels = np.ma.MaskedArray(np.array([1, beneath], dtype="float32"), mask=[False, True])

    changed = scaled(pixels, ratio=10, offset=1)

    assert changed.tolist() == [11, None]
