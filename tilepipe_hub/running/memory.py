"""How many bytes a size means that a person has written."""

import re

from tilepipe_hub.errors import SettingsError

__all__ = ["bytes_of"]

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?")


def bytes_of(text: str) -> int:
    """Bytes of `4GB`, `500M` or `2GiB`.

    Raises:
        SettingsError: it is no size.
    """
    found = SIZE.fullmatch(text.strip().upper())
    if not found:
        raise SettingsError(f"{text!r} is no size; write 4GB, 500M or 2GiB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit or " "))
