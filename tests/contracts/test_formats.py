"""The formats of this package keep the contract."""

import pytest

from contracts.format_contract import FormatCase, FormatContract
from tilepipe.formats.gtiff import DTYPES, GTiff
from tilepipe.formats.protocol import Format

_: type[Format] = GTiff


def _gtiff(dtype: str, *, bands: int = 1, nodata: float | None, **options: str | float | bool) -> FormatCase:
    form = GTiff(dtype=dtype, bands=bands, nodata=nodata, options=options)
    return FormatCase(format=form, dtype=dtype, bands=bands, nodata=nodata)


FORMATS = {
    **{f"gtiff-{dtype}": _gtiff(dtype, nodata=0) for dtype in DTYPES},
    **{f"gtiff-{dtype}-all": _gtiff(dtype, nodata=None) for dtype in ("uint8", "uint64", "float32")},
    **{f"gtiff-{dtype}-nan": _gtiff(dtype, nodata=float("nan")) for dtype in ("float32", "float64", "complex64")},
    "gtiff-inf": _gtiff("float32", nodata=float("inf")),
    "gtiff-lowest": _gtiff("float32", nodata=-3.4028234663852886e38),
    "gtiff-int64-far": _gtiff("int64", nodata=-(2**53)),
    "gtiff-rgb": _gtiff("uint8", bands=3, nodata=0),
    "gtiff-rgba": _gtiff("uint8", bands=4, nodata=None),
    "gtiff-bands": _gtiff("int16", bands=7, nodata=-32768, interleave="band"),
    "gtiff-plain": _gtiff("uint16", nodata=65535, compress="none"),
    "gtiff-zstd": _gtiff("float32", bands=2, nodata=-9999, compress="ZSTD", zstd_level=1),
    "gtiff-lerc": _gtiff("int16", nodata=-1, compress="lerc_deflate"),
    "gtiff-sparse": _gtiff("float64", nodata=-1, sparse_ok=True, blockxsize=16, blockysize=16),
    "gtiff-webp": _gtiff("uint8", bands=3, nodata=None, compress="webp", webp_lossless=True),
}


class TestFormats(FormatContract):
    @pytest.fixture(scope="class", params=FORMATS.values(), ids=FORMATS.keys())
    @classmethod
    def case(cls, request: pytest.FixtureRequest) -> FormatCase:
        made: FormatCase = request.param
        return made
