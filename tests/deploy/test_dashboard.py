"""The dashboard asks only for what the server tells."""

import json
import re

import promql_parser
import pytest

from tilepipe_hub.routes.operation import Figures

OWN = re.compile(r"\btilepipe_hub_\w+")
PROMETHEUS = {"job", "instance", "le"}
"""Labels that Prometheus adds."""


@pytest.fixture
def dashboard(deploy):
    return json.loads((deploy / "grafana.json").read_text())


@pytest.fixture
def queries(dashboard):
    """What the panels ask, with Grafana's variables filled in."""
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$job", ".+") for query in asked]


@pytest.fixture
def told():
    """The names and labels that the server tells."""
    figures = Figures()
    figures.requests.labels("GET", "/", "200").inc()
    figures.seconds.labels("GET", "/").observe(1)
    figures.jobs.labels("running").set(1)
    samples = [sample for metric in figures.registry.collect() for sample in metric.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def test_every_query_is_one(queries):
    assert len(queries) > 8
    for query in queries:
        assert promql_parser.parse(query)


def test_a_query_that_is_none_is_found():
    with pytest.raises(ValueError, match="invalid"):
        promql_parser.parse("sum by (status (up))")


def test_only_what_the_server_tells_is_asked_for(queries, dashboard, told):
    asked = {name for text in [*queries, json.dumps(dashboard["templating"])] for name in OWN.findall(text)}

    assert asked
    assert asked <= told.keys()


def test_only_labels_that_there_are_are_used(queries, told):
    for query in queries:
        known = PROMETHEUS.union(*(told[name] for name in OWN.findall(query)))
        matched = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', query))
        grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
        assert matched | grouped <= known, query


def test_panels_lie_beside_each_other(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_panel_reads_the_chosen_source(dashboard):
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"]}

    assert sources == {"${source}"}
