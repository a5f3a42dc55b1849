"""What may stand under `cluster`."""

import subprocess
import sys

import pytest

from tilepipe.errors import RecipeError
from tilepipe.executors.cluster_spec import ClusterSpec, cluster_spec


def test_an_address_means_a_scheduler_that_is_there():
    assert cluster_spec("tcp://host:8786") == ClusterSpec(kind="scheduler", scheduler="tcp://host:8786")
    assert cluster_spec({"kind": "scheduler", "address": "tls://host:1"}).scheduler == "tls://host:1"


def test_without_a_kind_this_machine_is_meant():
    assert cluster_spec({}) == ClusterSpec()
    assert cluster_spec("local") == ClusterSpec()


def test_one_number_of_workers_is_least_and_most():
    assert cluster_spec({"workers": 3}).workers == (3, 3)
    assert cluster_spec({"workers": {"max": 8}}).workers == (0, 8)
    assert cluster_spec({"workers": {"min": 2, "max": 8}}).workers == (2, 8)


def test_other_keys_are_keywords_of_the_class():
    spec = cluster_spec({"kind": "slurm", "queue": "main", "cores": 2, "workers": 4})

    assert (spec.kind, spec.options, spec.workers) == ("slurm", {"queue": "main", "cores": 2}, (4, 4))


def test_another_number_of_workers_leaves_the_rest():
    spec = cluster_spec({"kind": "my.Cluster", "n": 3}).with_workers(5)

    assert (spec.options, spec.workers) == ({"n": 3}, (5, 5))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (7, "expected an address or keys"),
        ("slrum", "no kind 'slrum'; did you mean 'slurm'"),
        ({"kind": "slrum"}, "did you mean 'slurm'"),
        ({"kind": 3}, "no kind 3"),
        ({"kind": "."}, "no kind '.'"),
        ({"workers": "many"}, "cluster.workers: 'many'"),
        ({"workers": True}, "cluster.workers: True"),
        ({"workers": 0}, "cluster.workers: 0"),
        ({"workers": {"min": 3, "max": 2}}, "is no number of workers"),
        ({"workers": {"min": 3}}, "is no number of workers"),
        ({"workers": {"most": 3}}, "unknown key 'most'; known: max, min"),
        ({"n_workers": 3}, "cluster.n_workers: write it as `workers`"),
        ({"kind": "slurm", "asynchronous": True}, "cluster.asynchronous"),
        ({"kind": "scheduler"}, "cluster.address: expected an address"),
        ({"kind": "scheduler", "adress": "tcp://host:1"}, "did you mean 'address'"),
        ({"kind": "scheduler", "address": "tcp://host:1", "workers": 2}, "has workers of its own"),
        ({"kind": "gateway"}, "cluster.address"),
        ({"kind": "gateway", "address": "http://host", "auth": "bsic"}, "did you mean 'basic'"),
        ({"kind": "gateway", "address": "http://host", "auth": {"kind": 1}}, "cluster.auth"),
        ({"kind": "gateway", "address": "http://host", "worker_cores": 1}, "cluster.worker_cores"),
        ({"kind": "gateway", "address": "http://host", "options": 3}, "cluster.options"),
    ],
)
def test_what_is_wrong_is_named(document, message):
    with pytest.raises(RecipeError, match=message):
        cluster_spec(document)


def test_a_scheduler_that_is_there_is_not_given_workers():
    with pytest.raises(RecipeError, match="workers of its own"):
        cluster_spec("tcp://host:8786").with_workers(2)


def test_a_spec_is_checked_without_dask():
    code = (
        "import sys, tilepipe.executors.cluster_spec as spec; spec.cluster_spec({'kind': 'slurm'}); "
        "print({'dask', 'distributed'} & set(sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
