"""Which addresses and networks texts mean."""

import ipaddress
from collections.abc import Iterable
from typing import Any

__all__ = ["Network", "address_in", "is_within", "network_of"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED_BITS = 96
"""With which an address of IPv4 begins where it is written as one of IPv6."""


def network_of(text: Any) -> Network:
    """The network that is written so; an address is one of its own.

    Raises:
        ValueError: it is neither.
    """
    try:
        meant = ipaddress.ip_interface(str(text).strip())
    except ValueError:
        raise ValueError("is no address and no network; write them as 10.0.0.7, 10.0.0.0/8 or fd00::/8") from None
    found = meant.network
    if int(meant) != int(found.network_address):
        raise ValueError(f"is an address within a network; write the address alone, or {found} for all of them")
    inner = getattr(found.network_address, "ipv4_mapped", None)
    if inner is None or found.prefixlen < MAPPED_BITS:
        return found
    return ipaddress.IPv4Network((inner, found.prefixlen - MAPPED_BITS))


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether one of the networks has an address; none has what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(found, "ipv4_mapped", None) or found
    return any(plain in network for network in networks)


def address_in(entry: str) -> str | None:
    """The address that an entry of `X-Forwarded-For` means, spelled as all are: some proxies write the port too."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    plain = getattr(found, "ipv4_mapped", None) or found
    return None if "%" in text else str(plain)
