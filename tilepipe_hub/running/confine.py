"""What the process of a job can reach: GDAL's drivers are few, and the kernel guards this machine's files and ports.

A name was judged before GDAL got it, but what lies under the name may lead on: a mosaic names files, a GeoTIFF its
overviews. No option of GDAL follows them all, so the process gives up every file but those that it needs (Landlock,
from Linux 5.19 on), and every connection but to its proxy (from Linux 6.7 on), for itself and all that it starts.
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

from tilepipe_hub.running import seccomp
from tilepipe_hub.running.sockets import only_tcp

__all__ = [
    "DRIVERS",
    "enclose",
    "gdal_options",
    "guards_ports",
    "guards_signals",
    "is_possible",
    "lacking",
    "passing_ports",
    "place_of",
]

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
CONNECT = 1 << 1
"""With TCP, to a port."""
FILES, PORTS = 1, 2
"""Kinds of rules."""
LEAST = 2
"""The first version that lets files be renamed into another folder."""
LEAST_PORTS = 4
"""The first version that knows ports."""
LEAST_SCOPES = 6
"""The first version that keeps signals in."""
ALONE = 1 << 0 | 1 << 1
"""No sockets of names that stand in no file, and no signals, but among those that are confined together."""
PASSING = "/proc/sys/net/ipv4/ip_local_port_range"

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


def guards_ports() -> bool:
    """Whether the kernel guards connections too."""
    return _version() >= LEAST_PORTS and seccomp.is_possible()


def guards_signals() -> bool:
    """Whether the kernel keeps signals from others, too."""
    return _version() >= LEAST_SCOPES


def lacking(*, files: bool, ports: bool) -> str | None:
    """What the kernel does not keep jobs from, in words for the operator; None: nothing.

    Args:
        files: whether it guards files.
        ports: whether it guards connections.
    """
    if files and ports:
        return None
    hosts = "other hosts only by settings of GDAL and Python, which code can change"
    return f"{hosts}: it takes Linux 6.7" if files else f"other files of this machine by nothing, from {hosts}"


def passing_ports() -> range:
    """Those that a program is given that asks for any, as the schedulers and workers of a local Dask cluster do."""
    with open(PASSING, encoding="ascii") as file:
        least, most = map(int, file.read().split())
    return range(least, most + 1)


def enclose(*, readable: Iterable[str], writable: Iterable[str], ports: Iterable[int] | None = None) -> None:
    """Give up all files but these, and what Python and GDAL are made of, and signals to others (from Linux 6.12 on).

    That holds for this thread and all it starts.

    Args:
        readable: files and folders; what is not there is left out.
        writable: likewise.
        ports: those that TCP may go to, at whatever address, where the kernel guards that; None: any.

    Raises:
        OSError: the kernel did not do it.
    """
    version = _version()
    if version < LEAST:
        raise OSError("this kernel guards no files")
    rights = (1 << (15 if version >= 3 else 14)) - 1
    guarded = struct.pack("Q", rights)
    if version >= LEAST_PORTS:
        guarded += struct.pack("Q", CONNECT if ports is not None else 0)
    if version >= LEAST_SCOPES:
        guarded += struct.pack("Q", ALONE)
    libc = ctypes.CDLL(None, use_errno=True)
    rules = _checked(libc.syscall(CREATE, ctypes.c_char_p(guarded), ctypes.c_size_t(len(guarded)), 0))
    try:
        for path in {*SYSTEM, *_python(), *readable}:
            _allow(libc, rules, path, READ)
        for path in {"/dev", *writable}:
            _allow(libc, rules, path, rights)
        for port in (ports or ()) if version >= LEAST_PORTS else ():
            _add(libc, rules, PORTS, struct.pack("=QQ", CONNECT, port))
        _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(RESTRICT, rules, 0))
    finally:
        os.close(rules)
    if ports is not None and guards_ports():
        only_tcp()


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
            _add(libc, rules, FILES, struct.pack("=Qi", allowed, place))
        finally:
            os.close(place)


def _add(libc: ctypes.CDLL, rules: int, kind: int, rule: bytes) -> None:
    _checked(libc.syscall(ADD_RULE, rules, kind, ctypes.c_char_p(rule), 0))


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
