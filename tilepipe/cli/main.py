"""The command line: which commands there are, what each exit code means.

0: done; 1: some tiles failed, or could not be kept, or a cluster was lost; 2: the recipe or an argument is wrong;
130: interrupted.
"""

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from tilepipe.errors import ClusterError, RunFailed, StorageError, TilepipeError, nearest
from tilepipe.imports import bring

__all__ = ["main"]

COMMANDS = {
    "execute": ("tilepipe.cli.execute", "Make the tiles of a recipe that are not there yet."),
    "finish": ("tilepipe.cli.execute", "Make what parts of a run left: overviews and index."),
    "plan": ("tilepipe.cli.plan", "Show what a recipe would make, and the memory it would take."),
    "validate": ("tilepipe.cli.recipe", "Check a recipe, its process, its inputs and its area."),
    "info": ("tilepipe.cli.info", "Show what a Dask scheduler has."),
    "schema": ("tilepipe.cli.recipe", "Print the JSON Schema of recipes, for editors."),
    "hub": ("tilepipe_hub.commands", "Send jobs to a hub, or to any server of OGC API - Processes."),
}


class Commands(click.Group):
    """Commands that are imported when they are called, so that help comes at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        if cmd_name not in COMMANDS:
            raise click.UsageError(f"there is no command {cmd_name!r}; {nearest(cmd_name, COMMANDS)}", ctx)
        module, _ = COMMANDS[cmd_name]
        try:
            command = getattr(bring(module), cmd_name)
        except ModuleNotFoundError as error:
            if module.startswith("tilepipe."):
                raise
            raise click.ClickException(
                f"{cmd_name} is an extra: {error}; pip install -e '.[{cmd_name}]' in a checkout"
            ) from error
        assert isinstance(command, click.Command)  # noqa: S101 - the table above says so
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, and its arguments; a look at these tells what may start before the command is imported."""
        is_run = args[0] in {"execute", "finish"} and not ctx.resilient_parsing
        if is_run and "dask" in args and not {"--scheduler", "--cluster"} & set(args):
            server = bring("tilepipe.executors.forkserver")
            server.start(server.DASK)
            with suppress(ImportError):
                # Whoever needs it will say what is missing.
                bring("tilepipe.executors.dask")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line for each command, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tilepipe", prog_name="tilepipe")
def cli() -> None:
    """Run a Python function over the tiles of a pyramid."""


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Tell our own warnings without the line of code they come from; those of the user's process keep theirs."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with warnings.catch_warnings():
        as_ever = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if filename.startswith(ours):
                click.echo(f"warning: {message}", err=True)
            else:
                as_ever(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        _run(arguments)
    finally:
        # The process ends and takes all with it; nothing has to be sorted out before.
        gc.freeze()


def _run(arguments: Sequence[str] | None) -> None:
    try:
        with _plain_warnings():
            cli.main(args=arguments, prog_name="tilepipe", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.exit(130)
    except RunFailed as error:
        click.echo(f"error: {error}\nwhat was made is kept; mend the cause and run again", err=True)
        sys.exit(1)
    except (ClusterError, StorageError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except TilepipeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read our lines has enough of them.
        sys.stderr.close()
        sys.exit(1)
