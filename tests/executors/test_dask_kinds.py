"""The same bytes from every kind of cluster."""

import pytest

from executors.projects import Project, ended
from tilepipe.executors.dask import Dask

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, seconds=0.0)


def same_bytes(project, cluster):
    """Run on a cluster and in sequence."""
    reference = project.reference()

    for _ in project.outcomes(Dask(cluster=cluster)):
        pass

    assert project.tiles() == reference


def test_local_workers_that_come_and_go_with_the_work(project):
    same_bytes(project, {"kind": "local", "workers": {"min": 0, "max": 2}, "memory_limit": "1GiB"})


# dask-jobqueue leaves the processes that stand for its jobs unwaited for.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_class_by_its_name(project):
    place = {"scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}, "interface": "lo"}
    arguments = ["--dashboard-address", "127.0.0.1:0"]
    same_bytes(
        project,
        {
            "kind": "dask_jobqueue.local.LocalCluster",
            "workers": 2,
            "cores": 1,
            "memory": "1GiB",
            "worker_extra_args": arguments,
            **place,
        },
    )


@pytest.mark.gateway
def test_a_gateway(project, gateway):
    same_bytes(project, gateway.spec)

    assert gateway.clusters() == []


@pytest.mark.gateway
def test_a_gateway_named_by_the_recipe(project, gateway):
    reference = project.reference()
    project.document["cluster"] = gateway.spec

    ended(project.command())

    assert project.tiles() == reference
    assert gateway.clusters() == []


@pytest.mark.gateway
def test_a_gateway_keeps_no_cluster_of_a_run_that_fails(project, gateway):
    project.document["parameters"]["raises"] = [5, 7, 9]
    project.document["cluster"] = gateway.spec

    ended(project.command(), code=1)

    assert gateway.clusters() == []
