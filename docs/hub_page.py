"""Writes the settings into docs/hub.md, from the words under their keys; run it after changing them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from tilepipe_hub.settings import Settings

PAGE = Path(__file__).with_name("hub.md")
START, END = "<!-- settings: written by docs/hub_page.py -->\n", "<!-- end of settings -->"


def rows(model: type[BaseModel], place: str = "") -> Iterator[str]:
    """A row of the table for each key."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        words = re.sub(r"\s+", " ", field.description or "").strip().replace("|", "\\|")
        if section is not None and not place:
            yield from rows(section, f"{name}.")
            continue
        yield f"| `{place}{name}` | {_default(field)} | {words} |"
        item = section or _section((get_args(field.annotation) or (None,))[0])
        if item is not None:
            yield from rows(item, f"{place}{name}." if section else f"{place}{name}[].")


def page(text: str) -> str:
    """The page with the settings as they are now."""
    before, _, rest = text.partition(START)
    table = "\n".join(["| key | default | |", "|---|---|---|", *rows(Settings)])
    return f"{before}{START}\n{table}\n\n{END}{rest.partition(END)[2]}"


def _section(hint: Any) -> type[BaseModel] | None:
    found = [item for item in (hint, *get_args(hint)) if isinstance(item, type) and issubclass(item, BaseModel)]
    return found[0] if found else None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
