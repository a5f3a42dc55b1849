"""Hubs with and without owners."""

import pytest

from hub.routes.serving import hash_of, listening, serving, write_dem

ROLES = {"ann": "run", "bob": "run", "vera": "view", "dora": "deploy", "root": "admin"}
"""Each owner's token is `token-` and the name."""


@pytest.fixture(scope="module")
def dem(tmp_path_factory):
    return write_dem(tmp_path_factory.mktemp("data") / "dem.tif")


@pytest.fixture(scope="module")
def hub(tmp_path_factory, dem):
    """Anybody may run jobs."""
    folder = tmp_path_factory.mktemp("hub")
    with serving(folder, fence={"input_roots": [dem.rpartition("/")[0]]}, sync_s=2) as hub:
        yield hub


@pytest.fixture(scope="module")
def town(tmp_path_factory, dem):
    """A hub with owners, who may deploy where their role says so."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "processes").mkdir()
    tokens = [{"sha256": hash_of(f"token-{name}"), "owner": name, "role": role} for name, role in ROLES.items()]
    with serving(
        folder,
        auth={"tokens": tokens, "failures": 1000},
        deploy=True,
        folders={"processes": str(folder / "processes")},
        fence={"input_roots": [dem.rpartition("/")[0]]},
    ) as hub:
        yield hub


@pytest.fixture
def people(town):
    """A client for each owner."""
    return {name: town.as_(f"token-{name}") for name in ROLES}


@pytest.fixture
def listener():
    with listening() as listener:
        yield listener
