"""`tilepipe-hub`: serve, work, and make tokens.

0: done; 1: the store or a process failed; 2: the settings or an argument are wrong.
"""

import gc
import hashlib
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, TypeVar

import click

from tilepipe.errors import TilepipeError
from tilepipe_hub.errors import SettingsError
from tilepipe_hub.settings import ROLES, Log, Settings, load_settings

__all__ = ["main"]

TOKEN_BYTES = 32
JOB = re.compile(r"\bjob '?([0-9a-f]{32})\b")
OWN_LOGGERS = ("tilepipe", "tilepipe_hub", "uvicorn")
RESTART_S = 1.0
"""After a worker beside the server has ended by itself."""

Command = TypeVar("Command", bound=Callable[..., Any])

config_option = click.option("--config", type=click.Path(dir_okay=False), help="YAML file of settings.")
store_option = click.option("--store", metavar="URL", help="mongodb://HOST/NAME or the path of a SQLite file.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tilepipe", prog_name="tilepipe-hub")
def hub() -> None:
    """Run recipes as jobs of a service that speaks OGC API - Processes."""


@hub.command()
@click.option("--host", help="Address to listen at; any but a loopback address needs `auth` in the settings.")
@click.option("--port", type=click.IntRange(0, 65_535), help="0: any free one.")
@store_option
@config_option
@click.option("--worker/--no-worker", default=True, help="Whether a worker runs beside the server.")
def serve(host: str | None, port: int | None, store: str | None, config: str | None, *, worker: bool) -> None:
    """Answer requests, with one worker beside unless told otherwise."""
    server = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = _settings(config, store=store, over={"server": server} if server else {})
    # Neither the worker nor `--help` has any use for what the server is made of.
    listening = import_module("tilepipe_hub.listening")
    sockets = listening.listen(settings.server.host, settings.server.port)
    # Whoever served hears the signal again in the end, and would die of it before the worker is told.
    signal.signal(signal.SIGTERM, _leave)
    beside = _Beside(config, store) if worker else None
    try:
        create_app = import_module("tilepipe_hub.app").create_app
        app = create_app(settings, submitted=beside.wake if beside is not None else None)
        # What is loaded by now stays to the end; to look through it for garbage would hold up every request at times.
        gc.freeze()
        if not listening.serve(app, sockets, host=settings.server.host):
            sys.exit(1)
    finally:
        if beside is not None:
            beside.end()


@hub.command()
@store_option
@config_option
@click.option("--alive-file", metavar="FILE", help="Touch it every second or so, while the worker does not hang.")
@click.option("--beside", is_flag=True, hidden=True, help="End when standard input does.")
def work(store: str | None, config: str | None, *, alive_file: str | None, beside: bool) -> None:
    """Take jobs and run them until SIGTERM; run as many as you like, on any host."""
    settings = _settings(config, store=store)
    stopping, news = threading.Event(), threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        news.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if beside:
        threading.Thread(target=_await_end, args=(stopping, news), daemon=True).start()
    worker, callback = import_module("tilepipe_hub.worker"), import_module("tilepipe_hub.callback")
    with callback.Callbacks(settings) as callbacks:
        worker.work(settings, stopping=stopping, followers=callbacks, news=news, alive_file=alive_file)


@hub.command()
@click.argument("owner")
@click.option("--role", type=click.Choice(ROLES), default="run", show_default=True, help="What may be done with it.")
def token(owner: str, role: str) -> None:
    """Make a token for OWNER, and print the line for the settings."""
    made = secrets.token_urlsafe(TOKEN_BYTES)
    line = json.dumps({"sha256": hashlib.sha256(made.encode()).hexdigest(), "owner": owner, "role": role})
    click.echo(f"token, for {owner} alone, shown only now: {made}")
    click.echo(f"for the settings, below auth.tokens:      - {line}")


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _await_end(stopping: threading.Event, news: threading.Event) -> None:
    """Hear of jobs; stop when the server is gone, however it went: then nobody holds the other end of the pipe."""
    while os.read(sys.stdin.fileno(), 1 << 16):
        news.set()
    stopping.set()
    news.set()


class _Beside:
    """The worker beside a server: a process of its own, started again when it ends, gone when the server is."""

    def __init__(self, config: str | None, store: str | None) -> None:
        self._ended = threading.Event()
        given = [("--config", config), ("--store", store)]
        self._command = [sys.executable, "-m", "tilepipe_hub", "work", "--beside"]
        self._command += [part for name, value in given if value is not None for part in (name, value)]
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep, name="worker", daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE)  # noqa: S603 - our own module
        assert process.stdin  # noqa: S101
        # A worker that is held up must not hold up the server.
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def wake(self) -> None:
        """Let it look for a job now; where it cannot be told, it will look by itself."""
        pipe = self._process.stdin
        with suppress(OSError, ValueError):
            if pipe is not None:
                os.write(pipe.fileno(), b"\n")

    def end(self) -> None:
        """Let it drain; it gives back what takes too long."""
        self._ended.set()
        self._process.terminate()
        self._thread.join()

    def _keep(self) -> None:
        while True:
            self._process.wait()
            if self._ended.wait(RESTART_S):
                return
            logging.getLogger(__name__).warning("the worker has ended, another one is started")
            self._process = self._start()
            if self._ended.is_set():
                self._process.terminate()


def _settings(config: str | None, *, store: str | None, over: dict[str, Any] | None = None) -> Settings:
    stored = {"store": {"url": store}} if store is not None else {}
    settings = load_settings(config, over={**(over or {}), **stored})
    _log_as(settings.log)
    return settings


def _log_as(wanted: Log) -> None:
    level = wanted.level.upper()
    # Libraries tell at lower levels what may be secret: httpx whole addresses, pymongo whole jobs.
    logging.basicConfig(
        level=max(logging.WARNING, logging.getLevelNamesMapping()[level]),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    if wanted.format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Json())


class _Json(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (job := JOB.search(facts["message"])) is not None:
            facts["job"] = job[1]
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        hub.main(arguments, prog_name="tilepipe-hub")
    except TilepipeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
