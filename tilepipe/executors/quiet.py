"""What Dask says while a cluster is ours: kept, not shown, for it would run through a progress bar."""

import logging
from collections import deque

__all__ = ["Quiet"]

TALKERS = (
    *("distributed", "distributed.client", "distributed.scheduler", "bokeh", "tornado", "tornado.application"),
    "asyncio",
)
"""The loggers that Dask gives channels of their own, and that of its loops: forwarded ports break as a pod goes."""


class Quiet(logging.Handler):
    """Lets nothing but what is critical through to the terminal; other handlers, as of a log file, hear all.

    Each is taken away by itself, so that clusters may be opened and closed in any order.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: deque[str] = deque(maxlen=5)
        """The last that went wrong, for a message that says why no worker came."""
        talkers = [logging.getLogger(name) for name in TALKERS]
        self._channels = [
            channel for logger in talkers for channel in logger.handlers if type(channel) is logging.StreamHandler
        ]
        # What one passes on to another is heard there.
        self._loggers = [logger for logger in talkers if not (logger.propagate and logger.parent in talkers)]
        for channel in self._channels:
            channel.addFilter(self._lets_through)
        for logger in self._loggers:
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what went wrong."""
        reason = record.exc_info[1] if record.exc_info else None
        self.errors.append(" ".join(str(reason or record.getMessage()).split()))

    def end(self) -> None:
        """Let all through again."""
        for channel in self._channels:
            channel.removeFilter(self._lets_through)
        for logger in self._loggers:
            logger.removeHandler(self)

    def _lets_through(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL
