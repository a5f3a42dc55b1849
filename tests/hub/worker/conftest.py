"""Workers that are real processes, on each kind of store."""

import pytest

from hub.worker.receiver import Receiver
from hub.worker.workplace import Workplace


@pytest.fixture
def receiver():
    """Somebody who is called, and hears."""
    heard = Receiver().open()
    yield heard
    heard.close()


@pytest.fixture
def workplace(tmp_path, store_url):
    """On each kind of store."""
    place = Workplace(tmp_path, store_url)
    yield place
    place.close()


@pytest.fixture
def local(tmp_path):
    """On SQLite, for what does not depend on the store."""
    place = Workplace(tmp_path, f"sqlite:///{tmp_path}/jobs.db")
    yield place
    place.close()


@pytest.fixture
def served(tmp_path, mongodb_url):
    """On MongoDB, where a worker is paused: one that is in the midst of a change would keep SQLite's lock."""
    place = Workplace(tmp_path, mongodb_url)
    yield place
    place.close()
