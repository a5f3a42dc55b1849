"""What tests ask of a queue of jobs, and each queue that can be had here.

`def test_x(queue)` runs once on each, with the marker of its kind.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from sge import Sge
from slurm import Slurm

__all__ = ["Queue", "queue"]


class Queue(Protocol):
    """A queueing system of one host that runs some jobs at once."""

    kind: ClassVar[str]
    """As under `cluster` of a recipe."""
    name: ClassVar[str]
    """Of the queue that jobs go to."""
    refusal: ClassVar[str]
    """A part of what is said where a job is sent to a queue that is not there."""
    task: ClassVar[str]
    """The number of a task of an array, as its script sees it."""
    tasks: ClassVar[str]
    """How many tasks an array from 1 has, as its script sees it."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Variables of the environment by which the commands find this queue."""
        ...

    def jobs(self) -> list[str]:
        """The jobs that wait or run."""
        ...

    def cancel(self, job: str, *, task: int | None = None) -> None:
        """End a job, or a task of an array."""
        ...

    def submit(self, script: str, *, cwd: Path, tasks: str = "", after: str = "") -> str:
        """The id of the job that runs *script*, a text.

        Args:
            script: what the shell runs.
            cwd: where it runs, and leaves what it says in `*.o*`.
            tasks: the first and the last of an array, as `1-3`, or the one that is to run.
            after: the job that has to end first.
        """
        ...

    def wait(self, job: str) -> list[bool]:
        """Whether a job, or each task of an array that has begun, ended well, once they all have ended."""
        ...


@pytest.fixture(
    scope="session",
    params=[pytest.param("slurm", marks=pytest.mark.slurm), pytest.param("sge", marks=pytest.mark.sge)],
)
def queue(request: pytest.FixtureRequest) -> Queue:
    """A queue that ends with the tests."""
    found: Queue = request.getfixturevalue(request.param)
    return found


_: tuple[type[Queue], ...] = (Slurm, Sge)
