"""What the commands of `tilepipe hub` print of a job that is watched, and of results."""

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Any

import click

from tilepipe_hub.client import Client, JobStatus, StillRunning, Value
from tilepipe_hub.client.telling import line_of, state_of, table_of, worth_telling

__all__ = ["say", "show_values", "show_watched"]

LONGEST = 160
"""Characters of a value that are shown."""


def show_watched(client: Client, job: str | JobStatus, *, as_json: bool, timeout_s: float | None = None) -> None:
    """Show a job until it has ended, and leave with 1 unless it succeeded."""
    job_id = job.id if isinstance(job, JobStatus) else job
    last = None
    try:
        jobs = client.watch(job, timeout_s=timeout_s)
        last = _show_json(jobs) if as_json else _show_live(jobs) if sys.stdout.isatty() else _show_lines(jobs)
    except StillRunning as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo(f"the job goes on; look again with: tilepipe hub watch {job_id}", err=True)
        sys.exit(130)
    if last is None or last.status != "successful":
        sys.exit(1)


def _show_json(jobs: Iterable[JobStatus]) -> JobStatus | None:
    job = None
    for job in jobs:
        click.echo(json.dumps(job.document))
    return job


def _show_lines(jobs: Iterable[JobStatus]) -> JobStatus | None:
    job = None
    for job in worth_telling(jobs):
        click.echo(line_of(job))
    return job


def _show_live(jobs: Iterable[JobStatus]) -> JobStatus | None:
    """On a terminal: one line that changes, and the whole of it at the end, however that comes."""
    job = None
    try:
        for job in jobs:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r{state_of(job)[:width]:<{width}}", nl=False)
    finally:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{'':<{width}}\r{line_of(job) if job else ''}")
    return job


def show_values(values: dict[str, Value], *, as_json: bool) -> None:
    """Results, each in a row."""
    if as_json:
        click.echo(json.dumps({name: _plain(value) for name, value in values.items()}))
        return
    say(table_of((name or "result", _short(_plain(value))) for name, value in values.items()))


def _plain(value: Value) -> Any:
    if value.href is not None:
        return value.href
    return f"{len(value.data)} bytes, {value.media_type}" if isinstance(value.data, bytes) else value.data


def _short(value: Any) -> str:
    """A value in one line, cut where it is long; `--json` and `--folder` give all of it."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def say(text: str) -> None:
    """A text, unless there is none."""
    if text:
        click.echo(text)
