"""One hub for all tests of conformance, seen from outside only."""

import pytest

from hub.routes.serving import LOOPBACK, listening, serving, write_dem


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="package")
def dem(folder):
    return write_dem(folder / "dem.tif")


@pytest.fixture(scope="package")
def hub(folder, dem):
    fence = {**LOOPBACK, "input_roots": [str(folder)]}
    with serving(folder, fence=fence, server={"cors_origins": ["*"]}, callbacks={"attempts": 1}) as hub:
        yield hub


@pytest.fixture(scope="package")
def client(hub):
    return hub.client


@pytest.fixture
def listener():
    with listening() as listener:
        yield listener


@pytest.fixture(scope="package")
def done(hub):
    """Status of a job that was successful."""
    return hub.ended(hub.submit({"text": "done", "number": 4}, title="Alpine relief", labels=["alps"]))


@pytest.fixture(scope="package")
def failed(hub):
    return hub.ended(hub.submit({"text": "x", "fail": True}))


@pytest.fixture
def long_job(hub):
    """Address of a job that runs for as long as a test may need."""
    job = hub.submit({"text": "x", "pause": 60})
    yield job
    hub.client.delete(job)
