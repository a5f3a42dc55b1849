"""The options of executors in a command line that is not ours."""

import sys

import click
import pytest
from click.testing import CliRunner

from contracts.calls import multiply
from tilepipe.cli.options import executor_options, open_executor
from tilepipe.errors import RecipeError


@click.command()
@executor_options
def squares(**options):
    with open_executor(**options) as executor:
        executor.share(3, calls=5)
        futures = [executor.submit(multiply, number) for number in range(5)]
        pending = set(futures)
        while pending:
            pending -= executor.wait(pending)
        click.echo([future.result() for future in futures])
        click.echo(f"{executor.workers} workers", err=True)


def said(*arguments):
    return CliRunner().invoke(squares, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("executor", ["sequential", "threads", "processes"])
def test_every_executor_of_this_machine_can_be_chosen(executor):
    assert said("-e", executor).stdout == "[0, 3, 6, 9, 12]\n"


def test_without_a_choice_processes_are_taken():
    assert said("-w", 3).stderr == "3 workers\n"


@pytest.mark.slow
def test_a_cluster_is_described_by_a_file(tmp_path, monkeypatch):
    (tmp_path / "cluster.yaml").write_text("{kind: local, workers: 1, memory_limit: '${LIMIT}'}")
    monkeypatch.setenv("LIMIT", "1GiB")

    found = said("--cluster", tmp_path / "cluster.yaml")

    assert found.stdout == "[0, 3, 6, 9, 12]\n"
    assert found.stderr == "1 workers\n"


def test_a_cluster_for_an_executor_that_has_none_is_refused():
    found = said("-e", "threads", "--scheduler", "tcp://127.0.0.1:1")

    assert found.exit_code == 2
    assert "'threads' runs on this machine; leave out --scheduler and --cluster" in found.stderr


def test_an_unknown_executor_is_told_with_the_known_ones():
    with pytest.raises(RecipeError, match="no executor 'dusk'; did you mean 'dask'"):
        said("-e", "dusk")


def test_a_file_that_describes_nothing_is_refused(tmp_path):
    (tmp_path / "cluster.yaml").write_text("- one\n")

    with pytest.raises(RecipeError, match="expected keys with values"):
        said("--cluster", tmp_path / "cluster.yaml")


def test_a_variable_that_is_not_set_is_named(tmp_path):
    (tmp_path / "cluster.yaml").write_text("{kind: gateway, address: '${NO_SUCH_GATEWAY}', workers: 1}")

    with pytest.raises(RecipeError, match="NO_SUCH_GATEWAY"):
        said("--cluster", tmp_path / "cluster.yaml")


def test_what_was_opened_is_closed_when_the_block_fails():
    with pytest.raises(KeyError), open_executor("processes", workers=1) as executor:
        executor.share(None, calls=1)
        raise KeyError

    assert executor._workers == []


def test_dask_is_not_imported_where_it_is_not_asked_for():
    import subprocess

    script = "import sys, tilepipe.cli.options, tilepipe.cli.execute; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
