"""The service against its own definition, by requests that nobody thought of."""

import json
import subprocess
import sys

import pytest

from hub.routes.serving import serving

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def known(definition, **values):
    """The definition with names in its paths that mean something, and one that does not."""
    for operations in definition["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"]["enum"] = values[parameter["name"]]
    return definition


@pytest.mark.slow
@pytest.mark.parametrize(("names", "version"), [("known", "3.0"), ("any", "3.1")])
def test_no_request_makes_it_fail_or_answer_otherwise_than_defined(tmp_path, names, version):
    folders = {"processes": str(tmp_path)}
    auth = {"anonymous": "admin"}
    with serving(tmp_path, sync_s=0.05, quotas={"jobs": 30}, deploy=True, auth=auth, folders=folders) as hub:
        jobs = [hub.submit({"text": "x", "pause": pause}).rpartition("/")[2] for pause in (0, 60)]
        definition = hub.client.get("/api", params={"version": version}).json()
        if names == "known":
            values = {"jobId": [*jobs, "nothing"], "outputID": ["text", "list"], "path": ["stac.json", "a/b"]}
            definition = known(definition, processID=["echo", "recipe", "hillshade"], **values)
        (tmp_path / "api.json").write_text(json.dumps(definition))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", "api.json", "--url", hub.url),
            *(
                "--checks",
                CHECKS,
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples",
                "6" if names == "known" else "15",
                "--seed",
                "1",
            ),
            *("--exclude-operation-id", "events", "--max-failures", "20", "--no-color"),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path, check=False)

        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
