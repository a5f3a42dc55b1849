"""Clusters for tests: real servers on loopback, as processes of their own."""

import pytest

from executors.kubernetes import running_kubernetes
from executors.servers import running_gateway, running_scheduler
from tilepipe.executors.cluster import cluster_spec, open_cluster

__all__ = ["gateway", "kubernetes_server", "opened", "scheduler", "shared_scheduler"]


@pytest.fixture
def opened():
    """Opens clusters and closes them after the test."""
    clusters = []

    def open_one(document):
        clusters.append(open_cluster(cluster_spec(document)))
        return clusters[-1]

    yield open_one
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def scheduler(tmp_path):
    """A `dask scheduler` with two workers that a test may kill."""
    with running_scheduler(tmp_path) as scheduler:
        yield scheduler


@pytest.fixture(scope="session")
def shared_scheduler(tmp_path_factory):
    """The same for tests that leave it as it is."""
    with running_scheduler(tmp_path_factory.mktemp("scheduler")) as scheduler:
        yield scheduler


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """A Dask Gateway with workers of at most 2 cores and clusters that end after 5 s without work."""
    pytest.importorskip("dask_gateway_server", reason="dask-gateway-server is not installed")
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def kubernetes_server(tmp_path_factory):
    """A Kubernetes with the Dask operator, for all tests."""
    pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")
    with running_kubernetes(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server
