"""Which versions have to agree for a worker elsewhere to make the same bytes."""

import platform
from collections.abc import Mapping
from importlib.metadata import version

import rasterio

__all__ = ["differences", "versions"]


def versions() -> dict[str, str]:
    """What this interpreter has."""
    return {
        "tilepipe": version("tilepipe"),
        "python": platform.python_version(),
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
    }


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """In words, what differs in more than its last number; nothing where all agree."""
    pairs = ((name, mine[name], theirs.get(name, "none")) for name in mine)
    return ", ".join(f"{name} {other} (here {own})" for name, own, other in pairs if _series(own) != _series(other))


def _series(number: str) -> list[str]:
    return number.split(".")[:2]
