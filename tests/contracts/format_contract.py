"""What every format of rasters promises; a plug-in inherits the tests and says what is tested."""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype

from tilepipe.errors import OutputError
from tilepipe.formats.protocol import Format
from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Pixels, Raster


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatCase:
    """A format, and the rasters it is made for."""

    format: Format
    dtype: str
    bands: int
    nodata: float | None


def grid_of(height: int, width: int) -> Grid:
    return Grid(crs="EPSG:3857", left=1_000_000.5, top=-20.25, resolution=152.8740565703525, height=height, width=width)


def raster_of(case: FormatCase, pixels: Pixels) -> Raster:
    return Raster(pixels=pixels, grid=grid_of(*pixels.shape[1:]), nodata=case.nodata)


def values_of(case: FormatCase) -> st.SearchStrategy[Any]:
    """Any value of the dtype, and nodata much more often than chance has it."""
    dtype = np.dtype(case.dtype)
    values = from_dtype(dtype)
    return values if case.nodata is None else values | st.just(dtype.type(case.nodata))


def noise(case: FormatCase, *, height: int = 48, width: int = 32) -> Pixels:
    bits = np.random.default_rng(7).integers(1, 100, size=(case.bands, height, width))
    return bits.astype(case.dtype)


class FormatContract:
    """Needs a fixture `case` of scope `class`."""

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_what_was_encoded_comes_back_bit_by_bit(self, case: FormatCase, data: st.DataObject) -> None:
        height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
        pixels = data.draw(
            arrays(case.dtype, (case.bands, height, width), elements=values_of(case), fill=values_of(case))
        )

        back = case.format.decode(case.format.encode(raster_of(case, pixels)), grid_of(height, width))

        np.testing.assert_array_equal(back.pixels, pixels, strict=True)
        assert back.grid == grid_of(height, width)
        np.testing.assert_equal(back.nodata, case.nodata)

    def test_pixels_that_are_a_view_of_others_come_back_too(self, case: FormatCase) -> None:
        pixels = noise(case, height=96, width=64)[:, 7:87:2, 5:37]

        back = case.format.decode(case.format.encode(raster_of(case, pixels)), grid_of(40, 32))

        np.testing.assert_array_equal(back.pixels, pixels, strict=True)

    def test_encoding_leaves_the_pixels_alone(self, case: FormatCase) -> None:
        pixels = noise(case)
        pixels.setflags(write=False)

        case.format.encode(raster_of(case, pixels))

        np.testing.assert_array_equal(pixels, noise(case), strict=True)

    def test_decoded_pixels_may_be_changed(self, case: FormatCase) -> None:
        back = case.format.decode(case.format.encode(raster_of(case, noise(case))), grid_of(48, 32))

        back.pixels[:] = 0

        assert not back.pixels.any()

    def test_a_copy_of_the_format_writes_equal_bytes(self, case: FormatCase) -> None:
        copy: Format = pickle.loads(pickle.dumps(case.format))

        assert copy.encode(raster_of(case, noise(case))) == case.format.encode(raster_of(case, noise(case)))

    @settings(max_examples=15, deadline=None)
    @given(share=st.floats(0, 1, exclude_max=True))
    def test_truncated_bytes_are_refused(self, case: FormatCase, share: float) -> None:
        payload = case.format.encode(raster_of(case, noise(case)))

        with pytest.raises(OutputError, match="not "):
            case.format.decode(payload[: int(share * len(payload))], grid_of(48, 32))

    @pytest.mark.parametrize("payload", [b"\x00" * 5000, b"<html>404 not found</html>" * 20, b"\x89PNG\r\n\x1a\n" * 50])
    def test_bytes_of_something_else_are_refused(self, case: FormatCase, payload: bytes) -> None:
        with pytest.raises(OutputError, match="not a"):
            case.format.decode(payload, grid_of(48, 32))

    @pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 33), (47, 32), (96, 64)])
    def test_a_file_of_another_size_is_refused(self, case: FormatCase, height: int, width: int) -> None:
        payload = case.format.encode(raster_of(case, noise(case)))

        with pytest.raises(OutputError, match="48, 32"):
            case.format.decode(payload, grid_of(height, width))

    def test_pixels_of_another_dtype_are_refused(self, case: FormatCase) -> None:
        other = "float64" if case.dtype != "float64" else "uint8"

        with pytest.raises(OutputError, match=case.dtype):
            case.format.encode(raster_of(case, np.ones((case.bands, 48, 32), other)))

    def test_pixels_with_another_number_of_bands_are_refused(self, case: FormatCase) -> None:
        more = np.concatenate([noise(case), noise(case)])

        with pytest.raises(OutputError, match="shape"):
            case.format.encode(raster_of(case, more))

    def test_the_extension_is_the_end_of_a_name_and_the_media_type_has_two_parts(self, case: FormatCase) -> None:
        assert case.format.extension.isalnum()
        assert case.format.media_type.partition("/")[2]
