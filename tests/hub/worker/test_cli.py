"""`tilepipe-hub` from the outside."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

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
