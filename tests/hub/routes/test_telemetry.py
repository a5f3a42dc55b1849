"""What a collector and a reader of logs hear of a job."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest
import yaml

from tilepipe_hub.telemetry import Traces


@pytest.fixture
def collector():
    """Takes OTLP over HTTP; `spans` are those that came, by service and name."""
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

    class Taken(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = messages.ExportTraceServiceRequest.FromString(body)
            self.server.paths.add(self.path)
            for sent in request.resource_spans:
                (service,) = [
                    item.value.string_value for item in sent.resource.attributes if item.key == "service.name"
                ]
                self.server.spans += [(service, span) for part in sent.scope_spans for span in part.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taken)
    server.spans, server.paths = [], set()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def facts(span):
    return {
        item.key: item.value.string_value or item.value.int_value
        for item in span.attributes
        if item.key != "tilepipe.lease"
    }


@pytest.mark.slow
def test_a_request_and_its_job_are_one_trace_and_logs_name_the_job(tmp_path, collector):
    settings = {
        "store": {"url": f"{tmp_path}/jobs.db"},
        "server": {"port": 0},
        "folders": {"outputs": f"{tmp_path}/outputs", "uploads": f"{tmp_path}/uploads"},
        "log": {"format": "json"},
        "otlp_endpoint": collector.url,
    }
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "tilepipe_hub", "serve", "--config", str(tmp_path / "hub.yaml")]
    log = tmp_path / "log"
    with open(log, "wb") as to:
        hub = subprocess.Popen(command, stderr=to, env={**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "100"})
    try:
        url = _until(lambda: _address(log.read_text()))
        body = {"inputs": {"text": "x"}}
        answer = httpx.post(f"{url}/processes/echo/execution", json=body, headers={"Prefer": "respond-async"})
        job = answer.json()["jobID"]
        _until(lambda: any(span.name == "run" for _, span in collector.spans))
    finally:
        hub.terminate()
        hub.wait(20)

    found = {span.name: (service, span) for service, span in collector.spans}
    request = found["POST /processes/{process_id}/execution"][1]
    assert collector.paths == {"/v1/traces"}
    assert {name: found[name][0] for name in ("submit", "claim", "run")} == {
        "submit": "tilepipe-hub",
        "claim": "tilepipe-hub-worker",
        "run": "tilepipe-hub-worker",
    }
    for name in ("submit", "claim", "run"):
        assert found[name][1].trace_id == request.trace_id
        assert facts(found[name][1])["tilepipe.job"] == job
    assert facts(found["run"][1])["tilepipe.status"] == "successful"
    assert facts(request)["http.response.status_code"] == 201
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    about = [line for line in lines if line.get("job") == job]
    assert {"tilepipe_hub.audit", "tilepipe_hub.worker"} <= {line["logger"] for line in about}


def test_without_a_collector_nothing_is_traced():
    traces = Traces(None, service="x")

    with traces.span("a", job="b") as more:
        more["status"] = "c"
    traces.past("d", 1.0)
    traces.close()

    assert traces.here() == ""


def _address(text):
    """Where the hub says it listens."""
    for line in text.splitlines():
        words = json.loads(line)["message"] if line.startswith("{") else ""
        if "the service is at http" in words:
            return words.split()[-1]
    return None


def _until(condition, within_s=30):
    ends = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return found
