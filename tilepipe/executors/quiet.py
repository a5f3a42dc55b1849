"""What Dask says while a cluster is ours: kept, not shown, for it would run through a progress bar."""

import logging
from collections import deque

__all__ = ["Quiet"]

TALKERS = ("distributed", "distributed.client", "distributed.scheduler", "bokeh", "tornado", "tornado.application")
"""The loggers that Dask gives a channel of their own."""


class Quiet(logging.Filter):
    """Lets nothing but what is critical through to the terminal; other handlers, as of a log file, hear all.

    Each is taken away by itself, so that clusters may be opened and closed in any order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: deque[str] = deque(maxlen=5)
        """The last that went wrong, for a message that says why no worker came."""
        self._handlers = [
            handler
            for name in TALKERS
            for handler in logging.getLogger(name).handlers
            if type(handler) is logging.StreamHandler
        ]
        for handler in self._handlers:
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show it."""
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())
        return record.levelno >= logging.CRITICAL

    def end(self) -> None:
        """Let all through again."""
        for handler in self._handlers:
            handler.removeFilter(self)
        self._handlers.clear()
