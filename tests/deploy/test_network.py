"""Who may speak to whom: the chart's network policies, read as Kubernetes reads them."""

import ipaddress

import pytest

OWN = "tiles"
"""The namespace of the release."""
ADDRESSES = {
    "the internet": "93.184.215.14",
    "the cloud's metadata": "169.254.169.254",
    "a machine of the network": "192.168.7.7",
    "a node": "10.0.0.4",
    "IPv6": "2001:db8::1",
}


class Place:
    """A pod, or an address outside of the cluster."""

    def __init__(self, *, labels=None, namespace=None, address="10.244.3.9"):
        self.labels, self.namespace, self.address = labels or {}, namespace, address
        self.around = {"kubernetes.io/metadata.name": namespace}


def selects(selector, labels):
    """Whether a label selector means something with these labels."""
    asked = selector.get("matchExpressions", [])
    assert {item["operator"] for item in asked} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(item["key"]) in item["values"] for item in asked
    )


def means(peer, place):
    """Whether a peer of a rule is a place."""
    if block := peer.get("ipBlock"):
        assert peer.keys() == {"ipBlock"}
        address = ipaddress.ip_address(place.address)
        inside = [address in ipaddress.ip_network(net) for net in (block["cidr"], *block.get("except", []))]
        return inside[0] and not any(inside[1:])
    if place.namespace is None:
        return False
    around = selects(peer["namespaceSelector"], place.around) if "namespaceSelector" in peer else place.namespace == OWN
    return around and selects(peer.get("podSelector", {}), place.labels)


def lets(rules, side, place, port, protocol):
    def fits(item):
        return item.get("protocol", "TCP") == protocol and item.get("port", port) == port

    return any(
        (not rule.get(side) or any(means(peer, place) for peer in rule[side]))
        and (not rule.get("ports") or any(map(fits, rule["ports"])))
        for rule in rules
    )


def passes(policies, at, direction, place, port, protocol):
    """Whether a pod's own side lets a connection through: all are let through where no policy is meant for it."""
    if at.namespace != OWN:
        return True
    meant = [
        spec
        for spec in policies
        if direction.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], at.labels)
    ]
    side = {"ingress": "from", "egress": "to"}[direction]
    return not meant or any(lets(spec.get(direction) or [], side, place, port, protocol) for spec in meant)


class Network:
    """What the policies of a rendered chart let through."""

    def __init__(self, documents):
        self.policies = [document["spec"] for (kind, _), document in documents.items() if kind == "NetworkPolicy"]
        self.pods = {
            name.removeprefix("tilepipe-"): Place(
                labels=document["spec"]["template"]["metadata"]["labels"], namespace=OWN
            )
            for (kind, name), document in documents.items()
            if kind in {"Deployment", "StatefulSet"}
        }
        self.pods["stranger"] = Place(labels={"app": "stranger"}, namespace=OWN)
        self.pods["impostor"] = Place(labels={"app.kubernetes.io/component": "worker"}, namespace=OWN)

    def __call__(self, source, target, port, protocol="TCP"):
        source, target = self.pods.get(source, source), self.pods.get(target, target)
        return passes(self.policies, source, "egress", target, port, protocol) and passes(
            self.policies, target, "ingress", source, port, protocol
        )


@pytest.fixture
def network(chart, trial):
    return lambda changes=(): Network(chart.render(trial(dict(changes))))


def outside(namespace):
    return Place(labels={"app": "any"}, namespace=namespace)


def test_the_hub_is_called_at_its_port_and_at_no_other(network):
    may = network({"hub.port": 8123})

    for caller in ("stranger", outside("ingress-nginx")):
        assert may(caller, "hub", 8123)
        assert not any(may(caller, "hub", port) for port in (22, 80, 8000, 27017))
        assert not may(caller, "hub", 8123, "UDP")


def test_the_hub_is_called_only_from_the_namespaces_that_are_named(network):
    may = network({"networkPolicy.fromNamespaces": {"kubernetes.io/metadata.name": "ingress-nginx"}})

    assert may(outside("ingress-nginx"), "hub", 8000)
    assert not may(outside("default"), "hub", 8000)
    assert not may("stranger", "hub", 8000)
    assert not may("worker", "hub", 8000)


def test_nobody_calls_a_worker(network):
    may = network()

    callers = ("hub", "worker", "mongodb", "stranger", "impostor", outside("default"))
    assert not any(may(caller, "worker", port) for caller in callers for port in (80, 8000, 8786, 27017))


def test_only_hub_and_workers_reach_the_store_and_only_at_its_port(network):
    may = network()

    for caller in ("hub", "worker"):
        assert may(caller, "mongodb", 27017)
        assert not any(may(caller, "mongodb", port) for port in (22, 27018, 28017))
    for caller in ("stranger", "impostor", "mongodb", outside("default")):
        assert not may(caller, "mongodb", 27017)


def test_the_store_goes_nowhere(network):
    may = network()

    assert not may("mongodb", outside("kube-system"), 53, "UDP")
    for address in ADDRESSES.values():
        assert not any(may("mongodb", Place(address=address), port) for port in (53, 80, 443))


@pytest.mark.parametrize("source", ["hub", "worker"])
def test_names_can_be_looked_up(network, source):
    assert all(network()(source, outside("kube-system"), 53, protocol) for protocol in ("UDP", "TCP"))


@pytest.mark.parametrize("source", ["hub", "worker"])
def test_only_the_internet_is_reached_and_only_at_the_ports_that_are_named(network, source):
    may = network({"networkPolicy.egressPorts": [443, 5432]})

    reached = {name for name, address in ADDRESSES.items() if may(source, Place(address=address), 443)}
    assert reached == {"the internet"}
    assert may(source, Place(address=ADDRESSES["the internet"]), 5432)
    assert not any(may(source, Place(address=ADDRESSES["the internet"]), port) for port in (22, 25, 80, 8080))
    assert not may(source, Place(address=ADDRESSES["the internet"]), 443, "UDP")
    assert not any(may(source, target, 443) for target in ("stranger", outside("default"), outside("kube-system")))


@pytest.mark.parametrize("source", ["hub", "worker"])
def test_a_gateway_is_reached_in_its_namespace_only(network, source):
    plain = network()
    may = network({"gateway.address": "http://traefik-dask-gateway.dask", "gateway.namespace": "dask"})

    assert all(may(source, outside("dask"), port) for port in (80, 8786))
    assert not plain(source, outside("dask"), 8786)
    assert not may(source, outside("default"), 8786)


@pytest.mark.parametrize("source", ["hub", "worker"])
def test_a_store_of_another_namespace_is_reached_there_and_at_its_port(network, source):
    other = {"mongodb.enabled": False, "store.url": "mongodb://a:b@mongodb.databases/tilepipe"}
    may = network({**other, "store.namespace": "databases"})

    assert may(source, outside("databases"), 27017)
    assert not may(source, outside("databases"), 5432)
    assert not may(source, outside("default"), 27017)
    assert not network(other)(source, outside("databases"), 27017)


def test_each_example_reaches_its_store(chart, values):
    may = Network(chart.render(values))
    within = values.get("store", {}).get("namespace")
    store = "mongodb" if "mongodb" in may.pods else outside(within) if within else Place(address="93.184.215.14")

    assert within or ".databases" not in values.get("store", {}).get("url", "")
    assert all(may(source, store, 27017) for source in ("hub", "worker"))


def test_a_network_that_is_guarded_otherwise_has_no_policies(network):
    assert network({"networkPolicy.enabled": False}).policies == []
