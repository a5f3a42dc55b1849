"""`tilepipe hub`: what can be asked of a server from the command line."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tilepipe.recipe import load_mapping
from tilepipe_hub.client import JobStatus, open_client
from tilepipe_hub.client.describing import description_of
from tilepipe_hub.client.telling import line_of, row_of, table_of
from tilepipe_hub.client.words import inputs_of, package_in, recipe_inputs
from tilepipe_hub.printing import say, show_values, show_watched

__all__ = ["hub"]

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """Which server, and how it is told."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print what the server says, as JSON."),
        click.option("--token", help="Better left to TILEPIPE_HUB_TOKEN, which others cannot see."),
        click.option("--url", metavar="URL", help="Landing page; otherwise TILEPIPE_HUB_URL."),
    ):
        command = option(command)
    return command


@click.group()
def hub() -> None:
    """Send jobs to a hub, or to any server of OGC API - Processes."""


@hub.command()
@click.argument("process", required=False)
@click.option("-i", "--input", "words", multiple=True, metavar="NAME=VALUE", help="Also NAME=@FILE; may be repeated.")
@click.option("--recipe", metavar="FILE", help="Run this recipe; its process is the one of that name at the server.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="ID", help="Only this output; may be repeated.")
@click.option("--title", help="What to call the job.")
@click.option("--label", "labels", multiple=True, metavar="WORD", help="To find the job by; may be repeated.")
@click.option("--callback", metavar="URL", help="Where the server posts the results, or why the job failed.")
@click.option("--callback-progress", metavar="URL", help="Where it posts now and then how far the job is.")
@click.option("--key", help="The same key means the same job: what is sent twice is done once.")
@click.option("--sync", is_flag=True, help="Wait for the server to answer with the results.")
@click.option("--wait", is_flag=True, help="Watch the job until it has ended.")
@server_options
def submit(
    *,
    process: str | None,
    words: tuple[str, ...],
    recipe: str | None,
    outputs: tuple[str, ...],
    title: str | None,
    labels: tuple[str, ...],
    callback: str | None,
    callback_progress: str | None,
    key: str | None,
    sync: bool,
    wait: bool,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Execute PROCESS; print the id of the job, or what came of it."""
    if (process is None) == (recipe is None):
        raise click.UsageError("name a process, or a recipe with --recipe")
    with open_client(url, token=token) as client:
        if recipe is not None:
            name, inputs = "recipe", recipe_inputs(load_mapping(recipe))
        else:
            name = str(process)
            inputs = inputs_of(words, client.process(name))
        called = {"successUri": callback, "failedUri": callback, "inProgressUri": callback_progress}
        answer = client.submit(
            name,
            inputs,
            outputs={output: {} for output in outputs} or None,
            prefer=None if sync else "respond-async",
            subscriber={key: address for key, address in called.items() if address} or None,
            title=title,
            labels=labels,
            idempotency_key=key,
        )
        if not isinstance(answer, JobStatus):
            show_values(answer, as_json=as_json)
        elif wait:
            show_watched(client, answer, as_json=as_json)
        else:
            click.echo(json.dumps(answer.document) if as_json else answer.id)


@hub.command("list")
@click.option("--status", multiple=True, help="Only of this state; may be repeated.")
@click.option("--process", multiple=True, metavar="ID", help="Only of this process; may be repeated.")
@click.option("--search", "text", metavar="TEXT", help="Only with these words in id, process, title or labels.")
@click.option("--since", metavar="TIME", help="Only made since then, as 2030-01-31T00:00:00Z.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@server_options
def list_jobs(
    *,
    status: tuple[str, ...],
    process: tuple[str, ...],
    text: str | None,
    since: str | None,
    limit: int,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List jobs, in the order of the server."""
    when = None if since is None else f"{since}/.."
    with open_client(url, token=token) as client:
        jobs = list(client.jobs(status=status, process=process, datetime=when, text=text, limit=limit))
    if as_json:
        click.echo(json.dumps([job.document for job in jobs]))
    else:
        say(table_of(map(row_of, jobs)))


@hub.command()
@click.argument("job")
@server_options
def status(*, job: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Show where JOB stands."""
    with open_client(url, token=token) as client:
        found = client.job(job)
    if as_json:
        click.echo(json.dumps(found.document))
        return
    click.echo(line_of(found))
    say("\n".join(f"  {line}" for line in found.message.splitlines()[1:]))


@hub.command()
@click.argument("job")
@click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Leave after this time.")
@server_options
def watch(*, job: str, timeout_s: float | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Follow JOB until it has ended; exit code 1 if it did not succeed."""
    with open_client(url, token=token) as client:
        show_watched(client, job, as_json=as_json, timeout_s=timeout_s)


@hub.command()
@click.argument("job")
@click.option("--remove", is_flag=True, help="Also if it has ended, by which many servers forget it.")
@server_options
def cancel(*, job: str, remove: bool, url: str | None, token: str | None, as_json: bool) -> None:
    """Stop JOB."""
    with open_client(url, token=token) as client:
        found = client.job(job)
        if not found.ended or remove:
            found = client.dismiss(found)
    click.echo(json.dumps(found.document) if as_json else line_of(found))


@hub.command()
@click.argument("job")
@click.option("--wait", is_flag=True, help="Watch it until it has ended.")
@server_options
def retry(*, job: str, wait: bool, url: str | None, token: str | None, as_json: bool) -> None:
    """Go on where JOB left off; only a tilepipe hub can."""
    with open_client(url, token=token) as client:
        found = client.retry(job)
        if wait:
            show_watched(client, found, as_json=as_json)
        else:
            click.echo(json.dumps(found.document) if as_json else found.id)


@hub.command()
@click.argument("job")
@click.option("--folder", metavar="FOLDER", help="Keep them in files here.")
@click.option("--raw", is_flag=True, help="The job was sent for a raw answer.")
@server_options
def results(*, job: str, folder: str | None, raw: bool, url: str | None, token: str | None, as_json: bool) -> None:
    """Show what came of JOB."""
    with open_client(url, token=token) as client:
        values = client.results(job, raw=raw)
        if folder is None:
            show_values(values, as_json=as_json)
            return
        paths = client.save(values, folder)
    say(json.dumps(paths) if as_json else "\n".join(paths.values()))


@hub.command()
@click.argument("job")
@server_options
def logs(*, job: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Print what JOB wrote down; only a tilepipe hub keeps that."""
    with open_client(url, token=token) as client:
        lines = client.logs(job)
        if as_json:
            click.echo(json.dumps(list(lines)))
            return
        for line in lines:
            click.echo(line)


@hub.command()
@click.argument("process", required=False)
@server_options
def processes(*, process: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """List the processes, or describe PROCESS."""
    with open_client(url, token=token) as client:
        if process is None:
            found = list(client.processes())
            listed = table_of((item.id, item.version, item.title) for item in found)
            say(json.dumps([item.document for item in found]) if as_json else listed)
            return
        about = client.process(process)
    if as_json:
        click.echo(json.dumps(about.document))
        return
    say(description_of(about))


@hub.command()
@click.argument("file")
@click.option("--id", "process_id", help="Of the process; otherwise that of the package, or the file's name.")
@click.option("--replace", is_flag=True, help="Put it in the place of the one that is there.")
@server_options
def deploy(
    *, file: str, process_id: str | None, replace: bool, url: str | None, token: str | None, as_json: bool
) -> None:
    """Deploy FILE: a process of tilepipe in Python, or an application package in JSON."""
    name, package = package_in(file, process_id)
    with open_client(url, token=token) as client:
        if replace:
            client.replace(name, package)
            found = client.process(name)
        else:
            found = client.deploy(package)
    click.echo(json.dumps(found.document) if as_json else found.id)


@hub.command()
@click.argument("process")
@server_options
def undeploy(*, process: str, url: str | None, token: str | None, as_json: bool) -> None:
    """Remove PROCESS, which was deployed."""
    with open_client(url, token=token) as client:
        client.undeploy(process)
    if as_json:
        click.echo(json.dumps({"id": process}))
