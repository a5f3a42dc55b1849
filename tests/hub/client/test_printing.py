"""What a terminal shows of a job that is watched."""

import sys

import pytest

from tilepipe_hub.client.records import job_of
from tilepipe_hub.client.telling import worth_telling
from tilepipe_hub.printing import show_watched


def job(done, status="running"):
    return job_of(
        {"jobID": "j", "status": status, "progress": 0, "tiles": {"done": done, "total": 9}}, url="http://x.example/j"
    )


class Watched:
    """A client whose job gets on as told."""

    def __init__(self, *jobs):
        self.jobs = jobs

    def watch(self, _job, *, timeout_s):
        yield from self.jobs


@pytest.fixture
def watch(capsys, monkeypatch):
    """Show a job on a terminal of 50 columns."""
    monkeypatch.setenv("COLUMNS", "50")

    def shown(client):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        show_watched(client, "j", as_json=False)

    return shown


def test_lines_of_tiles_alone_come_now_and_then():
    times = iter([0.0, 3.0, 11.0, 11.0, 12.0])

    told = worth_telling(map(job, (1, 2, 3, 4)), clock=lambda: next(times))

    assert [item.tiles.done for item in told] == [1, 3]


def test_a_terminal_has_one_line_that_changes(watch, capsys):
    watch(Watched(job(1), job(2), job(9, "successful")))

    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert [part.strip() for part in said.split("\r")[1:3]] == [
        "running  0 %  1 of 9 tiles",
        "running  0 %  2 of 9 tiles",
    ]
    assert said.endswith("\rj  successful    0 %\n")
    assert all(len(part) < 50 for part in said.split("\r"))


def test_an_interrupted_line_is_ended(watch, capsys):
    class Interrupted(Watched):
        def watch(self, _job, *, timeout_s):
            yield job(1)
            raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        watch(Interrupted())

    said = capsys.readouterr()
    assert said.out.endswith("\n")
    assert said.err == "the job goes on; look again with: tilepipe hub watch j\n"
