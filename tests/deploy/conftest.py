"""The chart, rendered by Helm's own engine."""

import copy
import shutil
from pathlib import Path

import helm_python
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "tilepipe"
EXAMPLES = DEPLOY / "helm" / "examples"


def example(name):
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


def documents(rendered):
    """The manifests, by kind and name."""
    found = {}
    for name, text in rendered.items():
        for document in yaml.safe_load_all(text) if name.endswith(".yaml") else ():
            if document:
                key = (document["kind"], document["metadata"]["name"])
                assert key not in found
                found[key] = document
    return found


class Chart:
    """A copy of the chart that a test may break."""

    def __init__(self, folder):
        self.folder = folder

    def lint(self, values):
        return helm_python.lint(self.folder, values, strict=True)["messages"]

    def render(self, values):
        with helm_python.Chart.load(self.folder) as chart:
            return documents(chart.render(values, name="tilepipe", namespace="tiles"))


@pytest.fixture
def chart():
    return Chart(CHART)


@pytest.fixture
def own_chart(tmp_path):
    return Chart(shutil.copytree(CHART, tmp_path / "tilepipe"))


@pytest.fixture
def deploy():
    return DEPLOY


@pytest.fixture(params=["trial", "production", "gateway"])
def values(request):
    return example(request.param)


@pytest.fixture
def trial():
    """Values of the trial, with keys set under their dotted names."""

    def changed(changes):
        values = copy.deepcopy(example("trial"))
        for dotted, value in changes.items():
            *path, last = dotted.split(".")
            place = values
            for key in path:
                place = place.setdefault(key, {})
            place[last] = value
        return values

    return changed
