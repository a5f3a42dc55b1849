"""Clusters of the real Dask operator on a stand-in for Kubernetes: its refusals, and nothing left there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from executors.kubernetes import running_kubernetes
from executors.projects import TILES, Project, ended
from executors.servers import HERE, free_port, until
from tilepipe.errors import ClusterError, RecipeError
from tilepipe.executors.cluster import cluster_spec, open_cluster
from tilepipe.executors.cluster_kinds import IDLE_S
from tilepipe.executors.dask import Dask

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    # The library keeps its connections to the API server and never closes them.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def kubernetes(kubernetes_server, monkeypatch):
    """A Kubernetes on which nothing runs, before the test and after it."""
    monkeypatch.setenv("KUBECONFIG", kubernetes_server.kubeconfig)
    yield kubernetes_server
    assert until(kubernetes_server.empty, timeout_s=10), kubernetes_server.left()


@pytest.fixture
def opened(opened, kubernetes):
    """Opens clusters of it, as it says by itself but for what a test changes."""
    return lambda **changes: opened({**kubernetes.spec, **changes})


@pytest.fixture
def project(tmp_path, kubernetes):
    project = Project(tmp_path)
    project.document["cluster"] = kubernetes.spec
    return project


def test_a_cluster_is_started_sized_used_and_ended(kubernetes, opened):
    cluster = opened()
    cluster.size(10)
    cluster.client.wait_for_workers(2, timeout=60)

    assert cluster.client.submit(sum, [1, 2]).result(timeout=60) == 3
    assert (cluster.owned, cluster.threads, cluster.threads_max) == (True, 2, 2)
    assert cluster.dashboard.startswith("http://localhost:")
    (item,) = kubernetes.clusters()
    assert item["spec"]["idleTimeout"] == IDLE_S
    assert [container["image"] for container in item["spec"]["worker"]["spec"]["containers"]] == ["here"]
    cluster.close()
    assert until(kubernetes.empty)


def test_no_more_workers_are_kept_than_there_is_work(kubernetes, opened):
    cluster = opened(workers={"min": 1, "max": 4})
    cluster.size(1)
    cluster.client.wait_for_workers(1, timeout=60)

    assert kubernetes.autoscalers() == []
    assert len(kubernetes.pods("worker")) == 1


def test_workers_come_with_the_work_up_to_the_most_and_leave_to_the_least(kubernetes, opened):
    cluster = opened(workers={"min": 0, "max": 2})
    cluster.size(10)
    assert [(item["minimum"], item["maximum"]) for item in kubernetes.autoscalers()] == [(0, 2)]

    futures = [cluster.client.submit(time.sleep, 600, pure=False) for _ in range(20)]

    assert until(lambda: cluster.threads == 2, timeout_s=60)
    assert len(kubernetes.pods("worker")) == 2
    cluster.client.cancel(futures, force=True)
    assert until(lambda: len(kubernetes.pods("worker")) < 2, timeout_s=60)


def test_a_worker_has_as_many_threads_as_its_container_has_cores(kubernetes, opened):
    limits = {"cpu": "2", "memory": "1Gi"}
    cluster = opened(resources={"limits": limits}, workers={"min": 0, "max": 4})
    cluster.size(3)

    assert cluster.threads_max == 8
    assert kubernetes.autoscalers()[0]["maximum"] == 2


def test_a_manifest_of_ones_own_is_taken_as_it_is(kubernetes, opened):
    from dask_kubernetes.operator import make_cluster_spec

    manifest = make_cluster_spec("mine", image="here", worker_command="dask worker")
    manifest["spec"]["scheduler"]["spec"]["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
    spec = dict.fromkeys(("image", "resources"))
    cluster = opened(**spec, custom_cluster_spec=manifest, workers=1)

    cluster.client.wait_for_workers(1, timeout=60)
    (item,) = kubernetes.clusters()
    assert (item["metadata"]["name"], item["spec"]["idleTimeout"]) == ("mine", 0)


def test_the_bytes_are_those_of_a_run_in_sequence(project, kubernetes):
    reference = project.reference()
    (project.folder / "away").mkdir()

    for _ in project.outcomes(Dask(cluster=kubernetes.spec)):
        pass

    assert project.tiles() == reference
    assert project.calls() == TILES


def test_nothing_is_left_after_a_run(project, kubernetes):
    reference = project.reference()

    out = ended(project.command("-e", "dask"))

    assert "0 failed" in out
    assert project.tiles() == reference
    assert until(kubernetes.empty)


def test_nothing_is_left_after_a_run_that_failed(project, kubernetes):
    project.document["parameters"]["raises"] = [5, 3, 3]

    process = project.command("-e", "dask")

    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "asked for" in err
    assert until(kubernetes.empty)


def test_nothing_is_left_after_an_interrupt(project, kubernetes):
    process = project.command("-e", "dask")
    project.await_calls(20)

    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert until(kubernetes.empty)


def test_nothing_is_left_after_an_interrupt_while_it_starts(project, kubernetes):
    process = project.command("-e", "dask")
    assert until(kubernetes.clusters)

    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert until(kubernetes.empty)


@pytest.mark.parametrize("way", ["kill", "evict"])
def test_a_worker_pod_that_ends_is_replaced_and_the_run_goes_on(project, kubernetes, way):
    reference = project.reference()
    process = project.command("-e", "dask")
    project.await_calls(20)

    getattr(kubernetes, way)(kubernetes.pods("worker")[0])

    assert until(lambda: len(kubernetes.pods("worker")) == 2)
    ended(process)
    assert project.tiles() == reference
    assert project.calls() <= TILES + 2 * 16


@pytest.mark.parametrize("way", ["kill", "evict"])
def test_a_scheduler_pod_that_ends_costs_what_was_under_way(project, kubernetes, way):
    reference = project.reference()
    process = project.command("-e", "dask")
    project.await_calls(20)

    getattr(kubernetes, way)(kubernetes.pods("scheduler")[0])

    ended(process)
    assert project.tiles() == reference


SCRIPT = """
import sys, time, json
sys.path.insert(0, {here!r})
from tilepipe.executors.cluster import cluster_spec, open_cluster
if __name__ == "__main__":
    cluster = open_cluster(cluster_spec(json.loads(sys.argv[1])))
    cluster.size(1)
    future = cluster.client.submit(time.sleep, 600)
    print(cluster.client.scheduler.address, flush=True)
    {then}
"""


@pytest.fixture
def script(kubernetes, tmp_path):
    """Starts a client of its own; it prints the address of its scheduler once it has one."""

    def start(then, *, paths=(), **changes):
        (tmp_path / "client.py").write_text(SCRIPT.format(here=HERE, then=then))
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "client.py"), json.dumps({**kubernetes.spec, **changes})],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])},
        )

    return start


def test_a_cluster_whose_client_is_killed_ends_after_its_idle_timeout(kubernetes, script):
    client = script("time.sleep(600)", idle_timeout=2)
    assert client.stdout.readline().startswith("tcp://")
    client.kill()
    client.communicate(timeout=30)
    assert not kubernetes.empty()

    assert until(kubernetes.empty, timeout_s=60)


def test_a_client_that_fails_leaves_nothing(kubernetes, script):
    client = script("raise KeyError(3)")
    client.communicate(timeout=60)

    assert until(kubernetes.empty)


def test_within_kubernetes_the_scheduler_is_reached_by_its_name(kubernetes, script):
    client = script("cluster.close()", paths=[str(kubernetes.folder / "inside")])

    out, _ = client.communicate(timeout=60)
    assert out.startswith("tcp://tilepipe-")
    assert out.endswith("-scheduler.default:8786\n")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"namespace": "readonly"},
            ClusterError,
            'refuses: .*cannot create resource "daskclusters".* ask for the right',
        ),
        ({"namespace": "away"}, RecipeError, 'namespaces "away" not found'),
        ({"imige": "mine"}, RecipeError, "cluster.imige: the kind kubernetes has no such key; did you mean 'image'"),
        (
            {"image": "missing:1", "resource_timeout": 1},
            ClusterError,
            "ImagePullBackOff: .*missing:1.*see cluster.image",
        ),
        ({"name": "Mine_1"}, RecipeError, 'Kubernetes refuses: .*"Mine_1" is invalid'),
        ({"name": "x" * 60}, RecipeError, "the Dask operator takes no 'xxx"),
        ({"env": [{"value": "1"}]}, RecipeError, "Kubernetes refuses: .*'name' is a required property"),
    ],
)
def test_what_cannot_be_is_told_in_seconds(opened, changes, error, words):
    began = time.monotonic()
    with pytest.raises(error, match=words):
        opened(**changes)

    assert time.monotonic() - began < 10


def test_a_scheduler_that_crashes_is_told_with_its_last_words(kubernetes, opened):
    from dask_kubernetes.operator import make_cluster_spec

    manifest = make_cluster_spec("mine", image="here")
    spec = {"custom_cluster_spec": manifest, "resource_timeout": 1}

    with pytest.raises(ClusterError, match=r"CrashLoopBackOff.*'dask-scheduler': executable file not found"):
        opened(**spec)


def test_a_name_that_is_taken_is_told_and_its_cluster_left_alone(kubernetes, opened):
    first = opened(name="mine")

    with pytest.raises(RecipeError, match="there is a mine in namespace default already"):
        opened(name="mine")

    first.client.wait_for_workers(1, timeout=60)
    assert len(kubernetes.clusters()) == 1


def test_no_number_of_workers_is_told():
    with pytest.raises(RecipeError, match="a kubernetes cluster starts without workers"):
        open_cluster(cluster_spec({"kind": "kubernetes"}))


def refused(spec, words):
    """Be refused in seconds."""
    began = time.monotonic()
    with pytest.raises(ClusterError, match=words):
        open_cluster(cluster_spec(spec))
    assert time.monotonic() - began < 10


SPEC = {"kind": "kubernetes", "image": "here", "workers": 1}


@pytest.mark.parametrize("text", [None, "", "apiVersion: v1\nkind: Config\n", "{", "contexts: 3"])
def test_where_no_kubernetes_is_known_it_is_told(monkeypatch, tmp_path, text):
    if text is not None:
        (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    refused(SPEC, "no Kubernetes is known here: .*KUBECONFIG")


def test_an_api_server_that_is_away_is_told(monkeypatch, tmp_path, kubernetes):
    text = Path(kubernetes.kubeconfig).read_text().replace(str(kubernetes.port), str(free_port()))
    (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    refused(SPEC, "Kubernetes does not answer .*kubectl get pods")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bare"], "the operator is not installed; helm install"),
        ([], "no Dask operator takes up the cluster in namespace default within 1 s"),
    ],
)
def test_an_operator_that_is_not_there_is_told(monkeypatch, tmp_path, options, words):
    with running_kubernetes(tmp_path, *options, operated=False) as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)

        refused({**SPEC, "resource_timeout": 1}, words)

        assert until(lambda: server.clusters() == [])


def test_a_command_tells_it_without_a_traceback(project, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(project.folder / "none"))

    process = project.command("-e", "dask")

    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no Kubernetes is known here" in err
    assert "Traceback" not in err
