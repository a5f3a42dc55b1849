"""What the process of a job can reach of this machine's files: GDAL's drivers are few, and the kernel guards the rest.

A name was judged before GDAL got it, but what lies under the name may lead on: a mosaic names files, a GeoTIFF its
overviews. No option of GDAL follows them all, so the process gives up every file but those that it needs (Landlock,
from Linux 5.19 on), for itself and all that it starts.
"""

import ctypes
import os
import re
import struct
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import resources

import rasterio

__all__ = ["DRIVERS", "enclose", "gdal_options", "is_possible", "place_of"]

DRIVERS = frozenset(
    {
        # The last two stand for nothing in a file: memory, and what the engine warps with.
        *("GTiff", "COG", "JP2OpenJPEG", "netCDF", "HDF5", "HDF5Image", "PNG", "JPEG", "WEBP", "MEM", "VRT"),
        # What the tiles of a job are opened by.
        "STACTA",
        # Areas.
        *("GeoJSON", "GeoJSONSeq", "FlatGeobuf", "GPKG", "ESRI Shapefile", "Memory"),
    }
)
"""Those that a job may use; most of the others lead elsewhere (WMS, WMTS, GTI, HTTP), or are hardly ever wanted."""

CREATE, RESTRICT, ADD_RULE = 444, 446, 445
"""Numbers of the system calls, which are the same on all machines that are younger than they."""

PR_SET_NO_NEW_PRIVS = 38
READ = 1 << 0 | 1 << 2 | 1 << 3
"""Execute, read files, list folders."""
FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
"""What may be done with a file, where a rule names one."""
VSI = re.compile(r"^(/vsi(zip|tar|gzip|7z|rar)/)+")
LEAST = 2
"""The first version that lets files be renamed into another folder."""

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix", "/proc", "/sys"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf.d"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/localtime"),
    *("/run/systemd/resolve", "/etc/mime.types"),
)
"""What programs and libraries need, and what holds nobody's secrets."""


@cache
def gdal_options() -> Mapping[str, str]:
    """Variables that GDAL has to find before it is loaded; they hold for all processes started from there."""
    with rasterio.Env() as here:
        others = ",".join(sorted(set(here.drivers()) - DRIVERS))
    return {
        "GDAL_SKIP": others,
        "OGR_SKIP": others,
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        # Bytes of any file, seen as pixels: GDAL from 3.12 on lets that be turned off.
        "GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE": "NONE",
        "OGR_SQLITE_STATIC_VIRTUAL_OGR": "NO",
        "GDAL_HTTP_NETRC": "NO",
    }


def is_possible() -> bool:
    """Whether the kernel guards files."""
    return _version() >= LEAST


def enclose(*, readable: Iterable[str], writable: Iterable[str]) -> None:
    """Give up all files but these, and what Python and GDAL are made of; for this thread and all it starts.

    Args:
        readable: files and folders; what is not there is left out.
        writable: likewise.

    Raises:
        OSError: the kernel did not do it.
    """
    version = _version()
    if version < LEAST:
        raise OSError("this kernel guards no files")
    rights = (1 << (15 if version >= 3 else 14)) - 1
    libc = ctypes.CDLL(None, use_errno=True)
    rules = _checked(libc.syscall(CREATE, ctypes.c_char_p(struct.pack("Q", rights)), ctypes.c_size_t(8), 0))
    try:
        for path in {*SYSTEM, *_python(), *readable}:
            _allow(libc, rules, path, READ)
        for path in {"/dev", *writable}:
            _allow(libc, rules, path, rights)
        _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(RESTRICT, rules, 0))
    finally:
        os.close(rules)


def place_of(name: str) -> str | None:
    """The file or folder of this machine that a name of GDAL leads to; None where it leads elsewhere."""
    inner = VSI.sub("", name)
    if not inner.startswith("/") or "://" in inner:
        return None
    path = os.path.realpath(inner)
    while inner != name and not os.path.exists(path):
        path = os.path.dirname(path)
    return path if path != "/" or inner == "/" else None


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if os.path.isdir(path) else rights & FILE
            rule = struct.pack("=Qi", allowed, place)
            _checked(libc.syscall(ADD_RULE, rules, 1, ctypes.c_char_p(rule), 0))
        finally:
            os.close(place)


def _python() -> set[str]:
    """Where the interpreter and its packages lie."""
    ours = {str(resources.files(name)) for name in ("tilepipe", "tilepipe_hub", "tilepipe.processes")}
    own = {*ours, *sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    return {os.path.realpath(path) for path in own if path}


def _version() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(CREATE, None, ctypes.c_size_t(0), 1)) if sys.platform == "linux" else 0


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
