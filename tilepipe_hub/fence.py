"""Which paths, links and addresses a request may lead to.

What is not plainly allowed is refused: a name has to be an absolute path below a root, or an http(s) address of a host
on the list. Names that GDAL reads otherwise - `/vsi...`, `DRIVER:...`, XML and JSON that describe a dataset - are
allowed only as roots spell them. Nothing is opened or asked here; addresses of hosts are looked up by the caller.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tilepipe_hub.settings import Fence

__all__ = [
    "Place",
    "address_refusal",
    "callback_refusal",
    "crs_refusal",
    "crs_texts",
    "data_refusal",
    "link_place",
    "place_refusal",
]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_+.-]*:")
CONTROL = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\ufeff]")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
PORTS = {"http": 80, "https": 443}

METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.0/24",
    )
)
"""Where clouds tell a machine its secrets; never spoken to, whatever else is allowed."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")

OUTSIDE = "lies outside of what jobs may read here; give a path from the root, or an address of a host on the list"

CRS_FORM = re.compile(r"\s*(\d+\s*$|[A-Za-z]+:\w+\s*$|\+\w|[A-Za-z0-9_]+\s*\[|\{)")
CRS_NAME = re.compile(r"(https?://www\.opengis\.net/def/crs/[\w.]+/[\w.]+/\w+|urn:ogc:def:crs:[\w.:]+)")
CRS_FILES = re.compile(r"grids|\+init|\+file|PARAMETERFILE|EXTENSION|IMPORT", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a link leads, as far as its text says."""

    scheme: str
    host: str
    """In small letters, without brackets or a dot at its end."""
    port: int


def link_place(link: str) -> Place | str:
    """Where an http or https address leads, or why it is none that is followed."""
    if len(link) > 4000 or CONTROL.search(link) or "\\" in link:
        return "is too long for an address, or has blanks, control characters or backslashes in it"
    try:
        parts = urlsplit(link)
        port, name = parts.port, parts.hostname or ""
    except ValueError:
        return "is no address"
    if parts.scheme not in PORTS or "@" in parts.netloc:
        return "is no http or https address without a name or password before its host"
    host = _host(name.removesuffix("."))
    if host is None:
        return "has a host that is written in an odd way; give its plain name"
    return Place(scheme=parts.scheme, host=host, port=PORTS[parts.scheme] if port is None else port)


def _host(name: str) -> str | None:
    """The host as it is compared; None for what is neither a name nor a plain address."""
    try:
        return str(ipaddress.ip_address(name)) if "%" not in name else None
    except ValueError:
        pass
    try:
        host = name.encode("idna").decode().lower()
    except UnicodeError:
        return None
    labels = host.split(".")
    if not all(LABEL.fullmatch(label) for label in labels):
        return None
    try:
        # What a resolver takes for a number (127.1, 0x7f000001, 2130706433) is a way round the list.
        socket.inet_aton(host)
    except OSError:
        return host
    return None


def data_refusal(name: str, fence: Fence, *, real: Callable[[str], str] = os.path.realpath) -> str | None:
    """Why a job may not read what *name* means to GDAL; None where it may, as far as the text says.

    Args:
        name: as it will be opened.
        fence: what is allowed.
        real: the path without symbolic links.
    """
    if name.startswith(("http://", "https://")):
        return _host_refusal(name, fence.input_hosts, fence)
    if (wrong := _odd_name(name)) is not None:
        return wrong
    if name.startswith("/vsi") or SCHEME.match(name):
        roots = [root for root in fence.input_roots if root.startswith("/vsi") or "://" in root]
        below = any(name.startswith(f"{root.rstrip('/')}/") for root in roots)
        return None if below and "?" not in name and "/vsi" not in name[1:] else OUTSIDE
    roots = [real(root) for root in fence.input_roots if not root.startswith("/vsi") and "://" not in root]
    return None if name.startswith("/") and _lies_below(real(name), roots) else OUTSIDE


def _odd_name(name: str) -> str | None:
    if name != name.strip() or any(ord(letter) < 32 for letter in name):
        return "has blanks around it or control characters; give a plain path or address"
    if "${" in name:
        return "has a secret in a path; a secret may stand only in an http or https address"
    if name.startswith(("<", "{", "[")):
        return "describes a dataset instead of naming one; give a path or an address"
    if "\\" in name or name.startswith("~") or ".." in re.split(r"[/|!?]", name):
        return "climbs out of its folder (.., ~ or \\); give the path from the root"
    return None


def _lies_below(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(f"{root.rstrip(os.sep)}{os.sep}") for root in roots)


def callback_refusal(link: str, fence: Fence) -> str | None:
    """Why *link* may not be called back; None where it may, as far as the text says."""
    return _host_refusal(link, fence.callback_hosts, fence)


def _host_refusal(link: str, allowed: Collection[str], fence: Fence) -> str | None:
    place = link_place(re.sub(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", "x", link) if "${" in link else link)
    if isinstance(place, str):
        return place
    if "${" in urlsplit(link).netloc:
        return "has a secret in its host; a secret may stand only behind it"
    return _listed_refusal(place, allowed, fence)


def place_refusal(place: Place, fence: Fence) -> str | None:
    """Why a job may not speak to *place*, wherever it got that from; None where it may, as far as the name says.

    Beside the hosts that data may be read from it is those that a root spells, as in `/vsicurl/https://example.com/`.
    """
    spelled = (f"http{rest}" for root in fence.input_roots for _, scheme, rest in [root.partition("http")] if scheme)
    return None if place in map(link_place, spelled) else _listed_refusal(place, fence.input_hosts, fence)


def _listed_refusal(place: Place, allowed: Collection[str], fence: Fence) -> str | None:
    if not _is_listed(place, allowed):
        return f"leads to the host {place.host}, port {place.port}, which is not on this service's list"
    if place.scheme == "http" and not _is_listed(place, fence.http_hosts):
        return f"leads to {place.host} without TLS; use https"
    return None


def _is_listed(place: Place, allowed: Collection[str]) -> bool:
    for entry in allowed:
        name, separator, port = entry.rpartition(":") if not entry.endswith("]") else (entry, "", "")
        name, port = (name, port) if separator else (entry, "")
        name = name.strip("[]").lower()
        fits = name in {"*", place.host} or (name.startswith("*.") and place.host.endswith(name[1:]))
        if fits and (port == "*" or place.port == (int(port) if port.isdigit() else PORTS[place.scheme])):
            return True
    return False


def address_refusal(address: str, host: str, fence: Fence) -> str | None:
    """Why nobody speaks to *address*, which *host* was found to have; None where one may."""
    for inner in _meant(ipaddress.ip_address(address.partition("%")[0])):
        if any(inner in network for network in METADATA if network.version == inner.version):
            return f"leads to {host}, which is an address that tells machines their secrets"
        if (not inner.is_global or inner.is_multicast) and host not in fence.private_hosts:
            return f"leads to {host}, which lies in a private network"
    return None


def _meant(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and those that are wrapped in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64 or int(address) >> 32 == 0:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        yield from (item for item in inner if item is not None)
        if address.ipv4_mapped is not None:
            return
    yield address


def crs_refusal(text: str) -> str | None:
    """Why *text* is no name of a crs that may be looked up; GDAL would also open a file or an address of that name."""
    bare = re.sub(r'"[^"]*"', '""', text)
    if CRS_NAME.fullmatch(text):
        return None
    if not CRS_FORM.match(text) or "/" in bare or "\\" in bare or CRS_FILES.search(text):
        return "is no crs that is taken here; give one like EPSG:3857, or its WKT"
    return None


def crs_texts(document: Any, *path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text below a key `crs` of a recipe, with the keys to it."""
    if isinstance(document, Mapping):
        for key, item in document.items():
            if key == "crs" and isinstance(item, str):
                yield (*path, "crs"), item
            else:
                yield from crs_texts(item, *path, key)
    elif isinstance(document, list):
        for place, item in enumerate(document):
            yield from crs_texts(item, *path, str(place))
