"""How jobs are told to people on a terminal: a row each, whatever the server says of them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator

from tilepipe_hub.client.records import JobStatus, Tiles

__all__ = ["line_of", "row_of", "state_of", "table_of", "worth_telling"]

LONGEST = 120
"""Letters of a message within a row."""
EVERY_S = 10.0
"""Between two lines of which only the tiles differ."""


def row_of(job: JobStatus) -> tuple[str, ...]:
    """A job in the columns of a table: id, status, per cent, process, when it was made, and words."""
    return job.id, job.status, _share(job), job.process, job.created or "", _words(job)


def line_of(job: JobStatus) -> str:
    """A job in one line."""
    name, status, share, *rest = row_of(job)
    return "  ".join([name, f"{status:<10}", f"{share:>5}", *filter(None, rest)]).rstrip()


def state_of(job: JobStatus) -> str:
    """Where a job stands, without what never changes of it."""
    return "  ".join([job.status, _share(job), _words(job)]).rstrip()


def table_of(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows with their columns below each other, without empty ones; the last one is as long as it likes."""
    lines = list(rows)
    columns = [column for column in zip(*lines, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns[:-1]]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in zip(*columns, strict=True)
    )


def worth_telling(jobs: Iterable[JobStatus], *, clock: Callable[[], float] = time.monotonic) -> Iterator[JobStatus]:
    """Of a job that is watched, what makes a line: each new state, and now and then how its tiles get on."""
    told, told_at = None, -math.inf
    for job in jobs:
        facts = job.status, job.progress, job.message
        if facts != told or clock() - told_at >= EVERY_S:
            told, told_at = facts, clock()
            yield job


def _share(job: JobStatus) -> str:
    return "" if job.progress is None else f"{job.progress:d} %"


def _words(job: JobStatus) -> str:
    tiles = "" if job.tiles is None or job.ended else _tile_words(job.tiles)
    words = "; ".join(filter(None, [tiles, _one_line(job.message)]))
    return f"{_one_line(job.title)}{': ' if words else ''}{words}" if job.title else words


def _tile_words(tiles: Tiles) -> str:
    return ", ".join(
        filter(
            None,
            [
                f"{tiles.done} of {tiles.total} tiles",
                f"{tiles.failed} failed" if tiles.failed else "",
                f"{tiles.rate:.2g} a second" if tiles.rate and tiles.rate < 10 else "",
                f"{tiles.rate:.0f} a second" if tiles.rate and tiles.rate >= 10 else "",
                f"about {_span(tiles.eta_s)} to go" if tiles.eta_s else "",
            ],
        )
    )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} ..."
