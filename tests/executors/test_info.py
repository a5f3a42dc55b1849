"""What a scheduler has, told to people and programs."""

import json
import os
import platform

import distributed
import pytest
import rasterio

from executors.servers import free_port
from tilepipe.cli.main import main
from tilepipe.executors import scheduler_facts
from tilepipe.executors.scheduler_facts import describe

pytestmark = pytest.mark.slow


@pytest.fixture
def said(capsys):
    def say(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["info", *arguments])
            raise SystemExit(0)
        return end.value.code, *capsys.readouterr()

    return say


def test_the_facts_are_those_of_the_workers(shared_scheduler):
    facts = describe(shared_scheduler.address)

    assert (len(facts["workers"]), facts["threads"]) == (2, 2)
    assert facts["scheduler"] == shared_scheduler.address
    assert facts["tasks"] == {}
    for worker in facts["workers"]:
        assert worker["versions"]["rasterio"] == rasterio.__version__
        assert worker["versions"]["gdal"] == rasterio.__gdal_version__
        assert worker["versions"]["python"] == platform.python_version()
        assert worker["versions"]["distributed"] == distributed.__version__
        assert worker["versions"]["tilepipe"]


def test_tasks_that_are_held_are_counted(shared_scheduler):
    with distributed.Client(shared_scheduler.address, set_as_default=False) as client:
        held = client.submit(os.getpid)
        held.result()

        assert describe(shared_scheduler.address)["tasks"] == {"memory": 1}


def test_the_command_tells_people_and_programs(shared_scheduler, said):
    code, out, _ = said("--scheduler", shared_scheduler.address)
    assert code == 0
    assert f"scheduler  {shared_scheduler.address}" in out
    assert "workers    2, 2 threads" in out

    code, out, _ = said("--scheduler", shared_scheduler.address, "--json")
    assert json.loads(out)["threads"] == 2


def test_a_scheduler_that_is_not_there_is_told(said, monkeypatch):
    monkeypatch.setattr(scheduler_facts, "ANSWER_S", 0.5)

    code, out, err = said("--scheduler", f"tcp://127.0.0.1:{free_port()}")

    assert (code, out) == (1, "")
    assert "error: no scheduler answers at" in err
