"""The values for the chart of Dask Gateway, as its server would take them."""

import pytest
import yaml
from dask_gateway_server.backends.base import Backend, ClusterConfig
from traitlets.config import Config


@pytest.fixture
def config(deploy):
    values = yaml.safe_load((deploy / "helm" / "examples" / "dask-gateway.yaml").read_text())
    found = Config()
    for text in values["gateway"]["extraConfig"].values():
        # The server does the same with it.
        exec(compile(text, "extraConfig", "exec"), {"c": found})  # noqa: S102
    return found


def test_clusters_are_started_by_commands_that_there_are(config):
    started = ClusterConfig(config=config)

    assert started.scheduler_cmd == ["dask", "scheduler"]
    assert started.worker_cmd == ["dask", "worker"]


def test_every_name_is_one_that_the_gateway_knows(config):
    known = {"ClusterConfig": ClusterConfig, "Backend": Backend}

    for section, values in config.items():
        assert values.keys() <= set(known[section].class_trait_names())


def test_options_become_the_settings_of_a_cluster(config):
    options = config.Backend.cluster_options

    found = options.get_configuration(options.parse_options({"worker_cores": 2, "worker_memory": 8}), None)

    assert found == {"image": "registry.example/tilepipe:0.1.0", "worker_cores": 2, "worker_memory": "8.0G"}


def test_the_example_of_the_hub_asks_for_options_that_there_are(config, deploy):
    hub = yaml.safe_load((deploy / "helm" / "examples" / "gateway.yaml").read_text())

    assert config.Backend.cluster_options.parse_options(hub["gateway"]["options"])


def test_more_than_a_cluster_may_have_is_refused(config):
    with pytest.raises(ValueError, match="worker_cores"):
        config.Backend.cluster_options.parse_options({"worker_cores": 99})
