"""What a format must promise."""

from typing import Protocol

from tilepipe.geo.grid import Grid
from tilepipe.geo.raster import Raster

__all__ = ["Format"]


class Format(Protocol):
    """How pixels become bytes and bytes pixels again; it never sees a path.

    A format is its parameters: it pickles, and two formats with equal parameters write equal bytes.
    """

    extension: str
    """End of the file names, without the dot."""
    media_type: str
    """As STAC and HTTP have it."""

    @property
    def dtype(self) -> str:
        """NumPy's name of the type of each pixel."""
        ...

    @property
    def bands(self) -> int:
        """How many there are."""
        ...

    @property
    def nodata(self) -> float | None:
        """The value that marks missing pixels, or None where every pixel counts."""
        ...

    def encode(self, raster: Raster) -> bytes:
        """The bytes of a whole file.

        Raises:
            OutputError: the pixels do not fit the format.
        """
        ...

    def decode(self, payload: bytes, grid: Grid) -> Raster:
        """The raster that *payload* was made of; *grid* says where it lies.

        Raises:
            OutputError: the bytes are not such a file, or of another size, dtype or number of bands.
        """
        ...
