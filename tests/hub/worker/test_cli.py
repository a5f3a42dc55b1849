"""`tilepipe-hub` from the outside."""

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from tilepipe_hub.errors import SettingsError
from tilepipe_hub.listening import listen
from tilepipe_hub.settings import Settings


def hub(*arguments, **options):
    command = [sys.executable, "-m", "tilepipe_hub", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, **options)


def test_a_token_fits_the_line_for_the_settings():
    told = hub("token", "ann", "--role", "deploy").stdout

    token = re.search(r"now: (\S+)", told)[1]
    line = json.loads(re.search(r"- (\{.*\})", told)[1])
    assert line == {"sha256": hashlib.sha256(token.encode()).hexdigest(), "owner": "ann", "role": "deploy"}
    assert Settings.model_validate({"auth": {"tokens": [line]}}).auth.tokens[0].owner == "ann"
    assert len(token) >= 32


def test_nobody_is_served_at_another_address_without_tokens(tmp_path):
    refused = hub("serve", "--host", "0.0.0.0", cwd=tmp_path)

    assert refused.returncode == 2
    assert "the service would answer anybody at 0.0.0.0" in refused.stderr


def test_a_wrong_setting_is_told_in_one_line(tmp_path):
    (tmp_path / "hub.yaml").write_text("worker: {concurency: 2}\n")

    refused = hub("work", "--config", "hub.yaml", cwd=tmp_path)

    assert refused.returncode == 2
    assert "worker.concurency: unknown key; did you mean 'concurrency'?" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_memory_that_is_no_size_is_told_before_the_first_job(tmp_path):
    (tmp_path / "hub.yaml").write_text("worker: {memory: much}\n")

    refused = hub("work", "--config", "hub.yaml", cwd=tmp_path)

    assert refused.returncode == 2
    assert "'much' is no size" in refused.stderr


@pytest.mark.parametrize("worker", ["--worker", "--no-worker"])
def test_a_taken_port_is_told_before_anything_starts(tmp_path, worker):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        refused = hub("serve", "--port", port, worker, cwd=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: port {port} of 127.0.0.1 is taken by another program; end that, or name another one with server.port\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["192.0.2.1", "nosuch.invalid"])
def test_an_address_of_another_machine_is_refused(tmp_path, host):
    token = {"sha256": "0" * 64, "owner": "ann"}
    (tmp_path / "hub.yaml").write_text(json.dumps({"auth": {"tokens": [token]}}))

    refused = hub("serve", "--host", host, "--port", "0", "--config", "hub.yaml", cwd=tmp_path)

    assert refused.returncode == 2
    assert f"error: the service cannot listen at {host}, port 0: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_all_addresses_of_a_name_hear_at_the_same_port():
    sockets = listen("localhost", 0)
    try:
        ports = {each.getsockname()[1] for each in sockets}
        assert len(ports) == 1
        with socket.create_connection(("localhost", *ports), timeout=5):
            pass
        with pytest.raises(SettingsError, match="is taken by another program"):
            listen("localhost", *ports)
    finally:
        for each in sockets:
            each.close()


@pytest.mark.slow
def test_a_worker_ends_with_the_server_beside_it(local):
    worker = subprocess.Popen(
        [sys.executable, "-m", "tilepipe_hub", "work", "--beside", "--config", str(local.config())],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    local.workers.append(worker)
    assert local.ended(local.echo()).status == "successful"

    worker.stdin.close()

    assert worker.wait(timeout=5) == 0


@pytest.mark.slow
def test_serve_answers_works_and_ends_as_one(local):
    pytest.importorskip("tilepipe_hub.app")
    config = local.config(server={"port": 0})
    with open(local.folder / "worker-serve.log", "w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tilepipe_hub", "serve", "--config", str(config)], stderr=log, stdout=log
        )
        local.workers.append(server)
        port = local.until(
            lambda: re.search(r"http://127.0.0.1:(\d+)", (local.folder / "worker-serve.log").read_text())
        )
        answer = httpx.post(
            f"http://127.0.0.1:{port[1]}/processes/echo/execution",
            json={"inputs": {"text": "hello"}, "response": "document"},
            timeout=20,
        )

    server.send_signal(signal.SIGTERM)
    server.wait(timeout=15)
    waiting = local.echo()
    time.sleep(0.5)

    assert "hello" in answer.text
    assert local.store.get(waiting).status == "accepted"


@pytest.mark.slow
def test_a_server_that_is_told_to_end_ends_after_its_worker(local):
    config = local.config(server={"port": 0}, worker={"drain_s": 0.5})
    told = local.folder / "worker-serve.log"
    with open(told, "w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tilepipe_hub", "serve", "--config", str(config)], stderr=log, stdout=log
        )
    local.workers.append(server)
    local.until(lambda: "waits for jobs" in told.read_text() and "the service is at" in told.read_text())
    (worker,) = (each for each in psutil.Process(server.pid).children() if "work" in each.cmdline())
    job = local.submit(pause=30)
    local.until(lambda: local.store.get(job).status == "running")

    server.send_signal(signal.SIGTERM)

    assert server.wait(timeout=15) == 0
    assert not worker.is_running()
    assert "Traceback" not in told.read_text()
    assert local.store.get(job).status == "accepted"


@pytest.mark.slow
def test_the_worker_beside_a_server_hears_of_a_job_at_once(local):
    pytest.importorskip("tilepipe_hub.app")
    config = local.config(server={"port": 0}, worker={"poll_s": 60})
    with open(local.folder / "worker-serve.log", "w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tilepipe_hub", "serve", "--config", str(config)], stderr=log, stdout=log
        )
        local.workers.append(server)
        told = local.folder / "worker-serve.log"
        port = local.until(lambda: re.search(r"http://127.0.0.1:(\d+)", told.read_text()))
        local.until(lambda: "waits for jobs" in told.read_text())
        time.sleep(0.5)
        answer = httpx.post(
            f"http://127.0.0.1:{port[1]}/processes/echo/execution",
            json={"inputs": {"text": "hello"}},
            headers={"Prefer": "respond-async"},
        )

    assert local.ended(answer.json()["jobID"]).status == "successful"
