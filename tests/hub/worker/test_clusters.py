"""Jobs whose tiles are made by the workers of a Dask cluster."""

import time

import pytest

from executors.servers import running_gateway, running_scheduler, tasks
from executors.servers import until as so

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


@pytest.fixture
def scheduler(tmp_path):
    with running_scheduler(tmp_path) as scheduler:
        yield scheduler


@pytest.fixture
def gateway(tmp_path):
    pytest.importorskip("dask_gateway_server", reason="dask-gateway-server is not installed")
    with running_gateway(tmp_path) as gateway:
        yield gateway


def test_a_job_brings_its_own_cluster_and_takes_it_away(local):
    local.hire(worker={"executor": "dask", "cluster": {"kind": "local"}, "workers": 2})

    job = local.ended(local.submit(tiles=(4, 4)), within_s=40)

    assert job.status == "successful"
    assert local.tiles(local.outputs / job.id) == local.expected(tiles=(4, 4))


def test_the_cluster_of_a_confined_job_is_confined_too(local):
    local.hire(worker={"executor": "dask", "cluster": "local", "workers": 2})

    job = local.ended(local.submit(tiles=(4, 4)), within_s=40)

    assert job.status == "successful", job.message
    assert local.tiles(local.outputs / job.id) == local.expected(tiles=(4, 4))
    assert "hosts" not in local.told()


def test_a_dismissed_job_stops_on_a_shared_cluster(local, scheduler):
    local.hire(worker={"executor": "dask", "cluster": scheduler.address})
    job_id = local.submit(pause=0.5, tiles=(8, 8))
    local.until(lambda: len(local.begun(job_id)) > 2, within_s=30)

    local.store.move(job_id, "dismissed", expect=("running",))
    time.sleep(3)
    begun = len(local.begun(job_id))
    time.sleep(1.5)

    assert len(local.begun(job_id)) == begun
    other = local.submit(tiles=(2, 2))
    assert local.ended(other, within_s=30).status == "successful"


def test_a_killed_worker_leaves_no_task_on_a_shared_cluster(local, scheduler):
    worker = local.hire(worker={"executor": "dask", "cluster": scheduler.address, "lease_s": 3})
    job_id = local.submit(pause=0.3, tiles=(8, 8))
    local.until(lambda: len(local.begun(job_id)) > 2, within_s=30)

    worker.kill()
    local.hire(worker={"executor": "dask", "cluster": scheduler.address, "lease_s": 3})
    job = local.ended(job_id, within_s=60)

    assert (job.status, job.number) == ("successful", 2)
    assert local.tiles(local.outputs / job_id) == local.expected(tiles=(8, 8))
    with scheduler.client() as client:
        assert so(lambda: client.run_on_scheduler(tasks) == 0)


@pytest.mark.gateway
def test_a_dismissed_job_takes_its_cluster_of_a_gateway_away(local, gateway):
    local.hire(worker={"executor": "dask", "cluster": gateway.spec})
    job_id = local.submit(pause=0.5, tiles=(8, 8))
    local.until(lambda: len(local.begun(job_id)) > 2, within_s=60)

    local.store.move(job_id, "dismissed", expect=("running",))
    time.sleep(3)
    begun = len(local.begun(job_id))

    assert so(lambda: not gateway.clusters())
    assert len(local.begun(job_id)) == begun
