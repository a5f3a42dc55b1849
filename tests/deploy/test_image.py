"""The image and the compose file, judged by hadolint and by Compose itself; nothing is built or started."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from tilepipe_hub.settings import load_settings

BIN = Path(sys.executable).parent
HUB = "TILEPIPE_HUB_"
TOKENS = '[{"sha256": "%s", "owner": "me", "role": "run"}]' % ("0" * 64)


def program(name):
    """A program that pip has put beside Python."""
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    assert found, f"there is no {name}"
    return found


def lint(path):
    return subprocess.run([program("hadolint"), "--format", "json", path], capture_output=True, text=True, check=False)


@pytest.fixture
def compose(deploy):
    """What Compose makes of the file."""

    def read(environment):
        command = [program("docker-compose"), "--file", deploy / "compose.yaml", "config", "--format", "json"]
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return read


@pytest.fixture
def services(compose):
    done = compose({"MONGODB_PASSWORD": "a-word", "HUB_TOKENS": TOKENS})
    assert done.stderr == ""
    return json.loads(done.stdout)["services"]


def test_hadolint_finds_nothing_to_mend(deploy):
    done = lint(deploy / "Dockerfile")

    assert json.loads(done.stdout) == []


def test_hadolint_finds_what_is_to_mend(deploy, tmp_path):
    (tmp_path / "Dockerfile").write_text((deploy / "Dockerfile").read_text().replace("--no-install-recommends ", ""))

    assert [item["code"] for item in json.loads(lint(tmp_path / "Dockerfile").stdout)] == ["DL3015"]


def test_the_last_stage_runs_as_nobody_special_and_compiles_nothing(deploy):
    stage = (deploy / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    assert "\nUSER 10001:10001\n" in stage
    assert "\nHEALTHCHECK " in stage
    assert not {"gcc", "g++", "make", "build-essential", "pip"} & set(stage.split())


def test_all_that_the_package_is_made_of_is_copied(deploy):
    text = (deploy / "Dockerfile").read_text()
    kept = (deploy / "Dockerfile.dockerignore").read_text()

    for name in ("pyproject.toml", "README.md", "LICENSE", "tilepipe", "tilepipe_hub", "processes", "recipes"):
        assert f" {name}" in text.partition("\nFROM ")[2]
        assert f"\n!{name}\n" in kept
        assert (deploy.parent / name).exists()


def test_compose_takes_the_file(services):
    assert services.keys() == {"hub", "worker", "dask-scheduler", "dask-worker", "mongodb"}


@pytest.mark.parametrize("missing", ["MONGODB_PASSWORD", "HUB_TOKENS"])
def test_nothing_starts_without_its_secrets(compose, missing):
    environment = {"MONGODB_PASSWORD": "a-word", "HUB_TOKENS": TOKENS}
    del environment[missing]

    done = compose(environment)

    assert done.stdout == ""
    assert f"required variable {missing} is missing a value: set it in deploy/.env" in done.stderr


def test_only_the_hub_is_published_and_only_on_this_machine(services):
    published = {name: [port["host_ip"] for port in item.get("ports", [])] for name, item in services.items()}

    assert {name: hosts for name, hosts in published.items() if hosts} == {"hub": ["127.0.0.1"]}


def test_what_asks_nobody_who_they_are_is_only_within(services):
    assert services["mongodb"]["networks"].keys() == {"back"}
    assert services["dask-scheduler"]["networks"].keys() == {"back"}


def test_each_waits_for_what_it_needs(services):
    assert services["hub"]["depends_on"]["mongodb"]["condition"] == "service_healthy"
    assert services["worker"]["depends_on"]["dask-scheduler"]["condition"] == "service_healthy"
    for name in ("mongodb", "dask-scheduler"):
        assert services[name]["healthcheck"]["test"]


def test_the_password_of_the_store_stands_in_no_file(services, deploy):
    assert "/run/secrets/mongodb_password" in services["mongodb"]["environment"].values()
    assert "a-word" not in json.dumps(services["mongodb"])
    text = (deploy / "example.env").read_text()
    assert "MONGODB_PASSWORD=\n" in text


def test_the_hub_takes_its_settings_from_both(services, deploy):
    environ = {name: value for name, value in services["hub"]["environment"].items() if name.startswith(HUB)}
    environ[f"{HUB}CONFIG"] = str(deploy / "hub.yaml")

    settings = load_settings(environ=environ)

    assert settings.store.url.get_secret_value() == "mongodb://tilepipe:a-word@mongodb/tilepipe?authSource=admin"
    assert settings.auth.tokens[0].owner == "me"
    assert settings.worker.cluster == "tcp://dask-scheduler:8786"


def test_compose_gives_a_worker_time_to_drain(services, deploy):
    drain_s = yaml.safe_load((deploy / "hub.yaml").read_text())["worker"]["drain_s"]

    assert services["worker"]["stop_grace_period"] == "1m30s"
    assert drain_s < 90


def test_compose_looks_at_a_worker_as_the_chart_does(services, chart, trial):
    pod = chart.render(trial({}))["Deployment", "tilepipe-worker"]["spec"]["template"]["spec"]
    worker = services["worker"]

    kind, line = worker["healthcheck"]["test"]

    assert worker["command"] == pod["containers"][0]["args"]
    # Compose writes the sign twice that begins its variables.
    assert ["sh", "-c", line.replace("$$", "$")] == pod["containers"][0]["livenessProbe"]["exec"]["command"]
    assert kind == "CMD-SHELL"
    assert worker["read_only"] is True
    assert "/tmp" in worker["tmpfs"]  # noqa: S108


def test_settings_and_tiles_lie_where_all_can_see_them(services):
    def mounts(name):
        return {(item["source"], item["target"]) for item in services[name]["volumes"]}

    assert mounts("hub") == mounts("worker") == mounts("dask-worker")
    assert ("outputs", "/var/lib/tilepipe") in mounts("hub")


def test_the_commands_are_commands(services):
    for name in ("hub", "worker"):
        first, *words = services[name]["command"]
        command = [sys.executable, "-m", "tilepipe_hub", *words, "--help"]
        assert first == "tilepipe-hub"
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "command"), [("dask-scheduler", dask_scheduler.main), ("dask-worker", dask_worker.main)]
)
def test_the_options_of_dask_are_options(services, name, command):
    first, second, *words = services[name]["command"]

    assert (first, f"dask-{second}") == ("dask", name)
    assert command.make_context(name, words).params
    assert {word for word in words if word.startswith("-")} <= {
        option for item in command.params for option in (*item.opts, *item.secondary_opts)
    }
