"""The chart: what Helm and Kubernetes say of it, and what the hub says of the settings it makes."""

import json
import os
import posixpath
import re
import signal
import subprocess
import sys
import time

import helm_python
import kubernetes_validate
import pytest
import yaml

from tilepipe_hub.settings import load_settings
from tilepipe_hub.store.mongo import LONGEST_S, SHORTEST_S
from tilepipe_hub.worker import OPENING_S

VERSIONS = ["1.27", "1.30", "1.33", "1.37"]


def validate(documents, version):
    for document in documents.values():
        kubernetes_validate.validate(document, version, strict=True)


def pods(documents):
    return {
        name: document["spec"]["template"]["spec"]
        for (kind, name), document in documents.items()
        if kind in {"Deployment", "StatefulSet"}
    }


def alive_file(container):
    """What the worker touches."""
    return container["args"][container["args"].index("--alive-file") + 1]


def is_passed(container, path):
    """Whether the worker's probe is, were its file another one."""
    probe, path = container["livenessProbe"]["exec"]["command"], str(path)
    command = [word.replace(alive_file(container), path) for word in probe]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def until(condition, within_s=20):
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_helm_finds_nothing_to_mend(chart, values):
    assert chart.lint(values) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_all_of_it(chart, values, version):
    documents = chart.render(values)

    validate(documents, version)
    assert {"Deployment", "Service", "PersistentVolumeClaim", "ConfigMap", "NetworkPolicy"} <= {
        key[0] for key in documents
    }


def test_a_misspelt_key_is_found(own_chart, values):
    template = own_chart.folder / "templates" / "hub.yaml"
    template.write_text(template.read_text().replace("containerPort:", "containerPrt:"))

    with pytest.raises(kubernetes_validate.ValidationError, match="containerPrt"):
        validate(own_chart.render(values), "1.30")


def test_a_broken_template_is_found(own_chart, values):
    (own_chart.folder / "templates" / "broken.yaml").write_text("kind: {{ .Values.hub.replicas | nosuch }}\n")

    assert [message["severity"] for message in own_chart.lint(values)] == [3]
    with pytest.raises(helm_python.HelmError, match="nosuch"):
        own_chart.render(values)


@pytest.mark.parametrize(
    "changes",
    [
        {"hub.replicas": 0},
        {"worker.replicas": 0},
        {"worker.replicas": "two"},
        {"worker.replica": 2},
        {"workers": {}},
        {"worker.drainSeconds": 0},
        {"worker.resources": {"limits": None}},
        {"worker.resources": {"requests": {"memory": "1 GB"}, "limits": {"memory": "1Gi"}}},
        {"worker.autoscaling": {"enabled": True, "minReplicas": 0, "maxReplicas": 3, "cpuPercent": 70}},
        {"image.tag": "latest"},
        {"image.repository": ""},
        {"hub.port": 80},
        {"service.port": 70000},
        {"service.type": "Public"},
        {"auth.tokens": [{"sha256": "plain-token", "owner": "me"}]},
        {"settings.store": {"url": "mongodb://a:secret@b/c"}},
        {"settings.auth": {"tokens": []}},
        {"settings.server": {"host": "127.0.0.1"}},
        {"mongodb.password": "short"},
        {"mongodb.password": "with@a:sign/in?it"},
        {"gateway.address": "traefik"},
        {"inputs": [{"name": "data", "mountPath": "/etc", "claim": "data"}]},
        {"inputs": [{"name": "tmp", "mountPath": "/data", "claim": "data"}]},
        {"outputs.size": "much"},
        {"networkPolicy.egressPorts": []},
    ],
    ids=json.dumps,
)
def test_values_that_make_no_sense_are_refused(chart, trial, changes):
    with pytest.raises(helm_python.HelmError, match="at '"):
        chart.render(trial(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mongodb.enabled": False}, "no store is named"),
        ({"store.url": "mongodb://b/c"}, "two stores are named"),
        ({"mongodb.password": ""}, "needs mongodb.password"),
        ({"auth.tokens": []}, "nobody is known"),
        ({"ingress.enabled": True}, "needs ingress.host"),
        (
            {"worker.autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2, "cpuPercent": 70}},
            "minReplicas is more than maxReplicas",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(chart, trial, changes, message):
    with pytest.raises(helm_python.HelmError, match=message):
        chart.render(trial(changes))


def test_the_hub_takes_the_settings(chart, values):
    document = chart.render(values)["ConfigMap", "tilepipe"]["data"]["hub.yaml"]
    tokens = [{"sha256": "0" * 64, "owner": "me"}]
    environ = {
        "TILEPIPE_HUB_STORE__URL": "mongodb://a:b@c/d?authSource=admin",
        "TILEPIPE_HUB_AUTH__TOKENS": json.dumps(tokens),
    }

    settings = load_settings(environ=environ, over=yaml.safe_load(document))

    assert settings.server.host == "0.0.0.0"
    assert settings.worker.drain_s == values["worker"].get("drainSeconds", 120)


def test_a_gateway_becomes_the_workers_cluster(chart, trial):
    changes = {"gateway.address": "https://gateway.example", "gateway.options": {"worker_cores": 2}}

    document = chart.render(trial(changes))["ConfigMap", "tilepipe"]["data"]["hub.yaml"]

    worker = yaml.safe_load(document)["worker"]
    assert worker["executor"] == "dask"
    assert worker["cluster"]["kind"] == "gateway"
    assert worker["cluster"]["options"] == {"worker_cores": 2}


def test_mounted_data_may_be_read(chart, trial):
    changes = {
        "inputs": [{"name": "data", "mountPath": "/data/a", "claim": "a"}],
        "settings.fence": {"input_roots": ["/vsis3/b/"], "input_hosts": ["c.example"]},
    }

    document = chart.render(trial(changes))["ConfigMap", "tilepipe"]["data"]["hub.yaml"]

    assert yaml.safe_load(document)["fence"] == {"input_roots": ["/vsis3/b/", "/data/a"], "input_hosts": ["c.example"]}


def test_no_secret_stands_outside_of_secrets(chart, trial):
    secret, hashed = "s3cret-" * 3, "ab" * 32
    changes = {"mongodb.password": secret, "auth.tokens": [{"sha256": hashed, "owner": "me"}]}

    for (kind, name), document in chart.render(trial(changes)).items():
        text = json.dumps(document)
        assert kind == "Secret" or not any(word in text for word in (secret, hashed)), name


def test_pods_may_do_as_little_as_they_can(chart, values):
    for name, pod in pods(chart.render(values)).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"memory"} <= container["resources"]["limits"].keys(), name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name


def test_variables_of_services_are_not_taken_for_settings(chart, values):
    """Beside a service named tilepipe-hub every pod has a variable TILEPIPE_HUB_PORT, unless told otherwise."""
    assert all(pod["enableServiceLinks"] is False for pod in pods(chart.render(values)).values())


def test_a_worker_has_time_to_drain(chart, trial):
    pod = pods(chart.render(trial({"worker.drainSeconds": 600})))["tilepipe-worker"]

    assert pod["terminationGracePeriodSeconds"] > 600


def test_an_autoscaled_deployment_says_no_number(chart, trial):
    scaling = {"enabled": True, "minReplicas": 1, "maxReplicas": 2, "cpuPercent": 70}
    documents = chart.render(trial({"worker.autoscaling": scaling}))

    assert "replicas" not in documents["Deployment", "tilepipe-worker"]["spec"]
    assert documents["HorizontalPodAutoscaler", "tilepipe-worker"]["spec"]["maxReplicas"] == 2


def test_selectors_find_their_pods_and_no_others(chart, values):
    documents = chart.render(values)
    labels = {
        name: document["spec"]["template"]["metadata"]["labels"]
        for (kind, name), document in documents.items()
        if kind in {"Deployment", "StatefulSet"}
    }

    for (kind, name), document in documents.items():
        if kind in {"Service", "PodDisruptionBudget"}:
            selector = document["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            found = {pod for pod, own in labels.items() if wanted.items() <= own.items()}
            assert len(found) == 1, (kind, name)


def test_the_hub_is_probed_where_it_answers(chart, values):
    container = pods(chart.render(values))["tilepipe-hub"]["containers"][0]

    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/health"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_a_worker_is_probed_by_a_file_that_it_may_write(chart, values):
    pod = pods(chart.render(values))["tilepipe-worker"]
    container = pod["containers"][0]
    path = alive_file(container)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}

    mount = mounts[posixpath.dirname(path)]

    assert not mount.get("readOnly")
    assert {"name": mount["name"], "emptyDir": {}} in pod["volumes"]
    for probe in ("startupProbe", "livenessProbe"):
        assert path in container[probe]["exec"]["command"][-1], probe


@pytest.mark.parametrize(("age_s", "passes"), [(-60, True), (0, True), (150, True), (210, False), (None, False)])
def test_a_worker_that_is_silent_for_three_minutes_fails_its_probe(chart, trial, tmp_path, age_s, passes):
    container = pods(chart.render(trial({})))["tilepipe-worker"]["containers"][0]
    if age_s is not None:
        (tmp_path / "alive").touch()
        os.utime(tmp_path / "alive", (time.time() - age_s,) * 2)

    assert is_passed(container, tmp_path / "alive") is passes


def test_a_worker_may_open_its_store_before_it_is_judged(chart, trial):
    """It touches the file before, and not until the store is open or has not been for this long and a slow call."""
    probe = pods(chart.render(trial({})))["tilepipe-worker"]["containers"][0]["livenessProbe"]

    minutes = int(re.search(r"-mmin -(\d+)", probe["exec"]["command"][-1])[1])

    assert 60 * minutes > OPENING_S + LONGEST_S + SHORTEST_S


def test_a_worker_that_hangs_is_not_given_the_time_to_drain(chart, trial):
    pod = pods(chart.render(trial({"worker.drainSeconds": 600})))["tilepipe-worker"]

    assert pod["containers"][0]["livenessProbe"]["terminationGracePeriodSeconds"] < 60


@pytest.mark.slow
def test_a_worker_of_the_chart_passes_its_probe_until_it_hangs(chart, trial, tmp_path):
    container = pods(chart.render(trial({})))["tilepipe-worker"]["containers"][0]
    path = tmp_path / "alive"
    words = [str(path) if word == alive_file(container) else word for word in container["args"][1:]]
    worker = subprocess.Popen([sys.executable, "-m", "tilepipe_hub", *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_passed(container, path))
        os.utime(path, (0, 0))
        until(lambda: is_passed(container, path))

        worker.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
        os.utime(path, (0, 0))
        time.sleep(3)

        assert not is_passed(container, path)
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        assert worker.wait(timeout=20) == 0


def test_new_settings_start_new_pods(chart, trial):
    def stamp(title):
        documents = chart.render(trial({"settings.title": title}))
        return [
            documents["Deployment", f"tilepipe-{part}"]["spec"]["template"]["metadata"]["annotations"][
                "checksum/settings"
            ]
            for part in ("hub", "worker")
        ]

    assert stamp("one") != stamp("two")
    assert stamp("one") == stamp("one")
