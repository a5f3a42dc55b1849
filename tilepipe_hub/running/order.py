"""What the process of one job is told when it starts: all that it may know."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Order", "order_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One attempt at one job."""

    job: str
    recipe: Mapping[str, Any]
    """The document for `make_recipe`."""
    folder: str
    """Where the tiles go; absolute."""
    executor: str = "processes"
    workers: int | None = None
    cluster: Any = None
    """Of the executor dask, filled in."""
    memory_bytes: int | None = None
    """Of the whole job."""
    tiles: int | None = None
    """The most process tiles it may have."""
    on_error: Literal["stop", "skip"] = "stop"
    secrets: Mapping[str, str] = field(default_factory=dict)
    """What is not to be told, by the name it has instead."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """What paths are called in words for the owner."""

    confined: bool = False
    """Whether it may reach no other files than these two say, and its own."""
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    ports: tuple[int, ...] | None = None
    """What it may speak TCP to; None: whatever it likes."""

    def line(self) -> str:
        """As it travels."""
        return json.dumps(asdict(self)) + "\n"


def order_of(line: str) -> Order:
    """The order that `Order.line` wrote."""
    return Order(**json.loads(line))
