"""What is answered to operators while a part of the store is slow."""

import asyncio
import threading

import httpx
import pytest

from tilepipe_hub.app import create_app
from tilepipe_hub.routes.operation import LOOK_S
from tilepipe_hub.settings import Settings
from tilepipe_hub.store.sqlite import SqliteStore


class Crowded(SqliteStore):
    """Has so many jobs that it takes long to count them."""

    def __init__(self, path):
        super().__init__(path, keep_s=None, patience_s=1)
        self.counting, self.counted = threading.Event(), threading.Event()

    def counts(self, owner=None):
        self.counting.set()
        self.counted.wait(30)
        return super().counts(owner)


@pytest.fixture
def crowded(tmp_path):
    with Crowded(str(tmp_path / "jobs.db")).prepare() as store:
        yield store
        store.counted.set()


@pytest.mark.slow
def test_a_server_is_ready_while_its_jobs_are_counted(crowded, tmp_path):
    folders = {"outputs": str(tmp_path / "outputs"), "uploads": str(tmp_path / "uploads")}
    app = create_app(Settings.model_validate({"folders": folders}), crowded)

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            metrics = asyncio.ensure_future(client.get("/metrics"))
            await asyncio.to_thread(crowded.counting.wait, 10)
            ready = await asyncio.wait_for(client.get("/ready"), LOOK_S / 2)
            return ready, await metrics

    ready, metrics = asyncio.run(ask())

    assert ready.status_code == 200
    assert metrics.status_code == 200
    assert "tilepipe_hub_jobs{" not in metrics.text
