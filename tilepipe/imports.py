"""How modules come in that stay to the end of a process."""

import gc
from importlib import import_module
from types import ModuleType

__all__ = ["bring"]


def bring(module: str) -> ModuleType:
    """Import for good: looking for garbage takes a tenth of the time, and what it leaves alone all forks share."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()
