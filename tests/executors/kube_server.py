"""A stand-in for the API server of Kubernetes: objects in memory, watched, patched, owned and deleted as there.

It knows what dask-kubernetes asks for and no more. Its pods are run by `kubelet`. Of the namespaces `default` takes
all, `readonly` takes nothing.
"""

import asyncio
import copy
import itertools
import json
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import jsonschema
import yaml
from aiohttp import ClientError, WSMsgType, web

from executors.kubelet import Kubelet

NAMESPACES = ("default", "readonly")

KINDS = {
    "v1": [
        ("namespaces", "Namespace", {"status"}),
        ("nodes", "Node", {"status"}),
        ("pods", "Pod", {"status"}),
        ("services", "Service", {"status"}),
        ("events", "Event", set()),
    ],
    "apps/v1": [("deployments", "Deployment", {"status", "scale"})],
    "apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition", {"status"})],
}

GLOBAL = {"namespaces", "nodes", "customresourcedefinitions"}


class Refused(Exception):
    """What the API server answers instead."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.reason = code, reason


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(old, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def pruned(item):
    """Without what is null, as custom resources are kept."""
    if isinstance(item, dict):
        return {key: pruned(value) for key, value in item.items() if value is not None}
    return [pruned(value) for value in item] if isinstance(item, list) else item


def operated(document, operations):
    """RFC 6902, as far as finalizers need it."""
    new = copy.deepcopy(document)
    for operation in operations:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place = new
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list) and last != "-":
            last = int(last)
        match operation["op"]:
            case "test":
                if place[last] != operation["value"]:
                    raise Refused(422, "Invalid", f"the test of {operation['path']} failed")
            case "remove":
                del place[last]
            case "add" if isinstance(place, list):
                place.insert(len(place) if last == "-" else last, operation["value"])
            case _:
                place[last] = operation["value"]
    return new


def selected(item, labels, fields):
    """Whether an object is one that selectors mean."""
    have = item["metadata"].get("labels", {})
    for term in filter(None, labels.split(",")):
        key, _, value = term.replace("==", "=").partition("=")
        if (have.get(key) != value) if "=" in term else (key not in have):
            return False
    for term in filter(None, fields.split(",")):
        path, _, value = term.replace("==", "=").partition("=")
        found = item
        for part in path.split("."):
            found = found.get(part, {})
        if found != value:
            return False
    return True


class Store:
    """All objects, by (plural, namespace, name), and what became of them."""

    def __init__(self, definitions):
        self.objects = {}
        self.log = []
        self.watchers = set()
        self.version = itertools.count(1)
        self.kinds = {version: list(kinds) for version, kinds in KINDS.items()}
        self.schemas = {}
        for name in NAMESPACES:
            self.create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for definition in definitions:
            spec = definition["spec"]
            (version,) = spec["versions"]
            names = spec["names"]
            kinds = self.kinds.setdefault(f"{spec['group']}/{version['name']}", [])
            kinds.append((names["plural"], names["kind"], set(version.get("subresources", {}))))
            self.schemas[names["plural"]] = version["schema"]["openAPIV3Schema"]
            self.create("customresourcedefinitions", "", definition)

    def kind(self, version, plural):
        for name, kind, parts in self.kinds.get(version, []):
            if name == plural:
                return kind, parts
        return None

    def tell(self, what, plural, item):
        item["metadata"]["resourceVersion"] = str(next(self.version))
        event = (int(item["metadata"]["resourceVersion"]), what, plural, copy.deepcopy(item))
        self.log.append(event)
        for watcher in self.watchers:
            watcher.put_nowait(event)

    def create(self, plural, namespace, item):
        meta = item["metadata"]
        if "name" not in meta:
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        if not re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", meta["name"]):
            raise Refused(422, "Invalid", f'{plural} "{meta["name"]}" is invalid: metadata.name: Invalid value')
        if plural not in GLOBAL:
            meta["namespace"] = namespace
        key = (plural, meta.get("namespace", ""), meta["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{meta["name"]}" already exists')
        if plural in self.schemas:
            item = pruned(item)
            self.check(plural, item)
        meta = item["metadata"]
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        if plural == "services":
            item["spec"].setdefault("type", "ClusterIP")
            item["status"] = {"loadBalancer": {}}
        self.objects[key] = item
        self.tell("ADDED", plural, item)
        self.collect()
        return item

    def check(self, plural, item):
        faults = list(jsonschema.Draft202012Validator(self.schemas[plural]).iter_errors(item))
        if faults:
            raise Refused(422, "Invalid", f"{plural}: {faults[0].json_path}: {faults[0].message[:200]}")

    def replace(self, key, new, part=None):
        """Put a changed object; of one with a status of its own only what this way changes."""
        old = self.objects[key]
        parts = next(kind[2] for kinds in self.kinds.values() for kind in kinds if kind[0] == key[0])
        if part == "status":
            new = {**old, "status": new.get("status")}
        elif "status" in parts:
            new = {**new, "status": old.get("status")}
        new = {name: value for name, value in new.items() if value is not None}
        if key[0] in self.schemas:
            new = pruned(new)
            self.check(key[0], new)
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self.objects[key] = new
        self.tell("MODIFIED", key[0], new)
        self.finish(key)
        return new

    def delete(self, key):
        meta = self.objects[key]["metadata"]
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = now()
            self.tell("MODIFIED", key[0], self.objects[key])
        self.finish(key)

    def finish(self, key):
        """Let go of what is deleted and held by nobody; of a pod this is the kubelet's to do."""
        meta = self.objects[key]["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers") and key[0] != "pods":
            self.remove(key)

    def remove(self, key):
        self.tell("DELETED", key[0], self.objects.pop(key))
        self.collect()

    def collect(self):
        """Delete what is owned by nobody any more."""
        alive = {item["metadata"].get("uid") for item in self.objects.values()}
        for key, item in list(self.objects.items()):
            owners = {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}
            if owners and not owners & alive and key in self.objects and "deletionTimestamp" not in item["metadata"]:
                self.delete(key)

    def found(self, plural, namespace=None, labels="", fields=""):
        return [
            item
            for (kind, place, _), item in self.objects.items()
            if kind == plural and namespace in {None, place} and selected(item, labels, fields)
        ]


class Server:
    """The HTTP side."""

    def __init__(self, store, folder):
        self.store = store
        self.folder = folder

    def app(self):
        app = web.Application(middlewares=[answered], client_max_size=1 << 24)
        app.router.add_get("/version{_:/?}", self.about)
        app.router.add_get("/api{_:/?}", self.core)
        app.router.add_get("/apis{_:/?}", self.groups)
        for base in ("/api/{version:v1}", "/apis/{version:[^/]+/[^/]+}"):
            app.router.add_get(base, self.resources)
            for place in (base + "/namespaces/{namespace}", base):
                app.router.add_route("*", place + "/{plural}", self.many)
                app.router.add_route("*", place + "/{plural}/{name}", self.one)
                app.router.add_route("*", place + "/{plural}/{name}/{part}", self.one)
        return app

    async def about(self, request):
        return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64"})

    async def core(self, request):
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def groups(self, request):
        groups = []
        for whole in self.store.kinds:
            group, _, version = whole.rpartition("/")
            if group:
                place = {"groupVersion": whole, "version": version}
                groups.append({"name": group, "versions": [place], "preferredVersion": place})
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    async def resources(self, request):
        version = request.match_info["version"]
        if version not in self.store.kinds:
            raise web.HTTPNotFound(text="404 page not found\n")
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        rows = []
        for plural, kind, parts in self.store.kinds[version]:
            row = {"singularName": kind.lower(), "namespaced": plural not in GLOBAL, "kind": kind, "verbs": verbs}
            rows += [{"name": plural, **row}, *({"name": f"{plural}/{part}", **row} for part in parts)]
        return web.json_response({"kind": "APIResourceList", "groupVersion": version, "resources": rows})

    def asked(self, request):
        """The kind that is meant; the API server knows no words for one that is not there."""
        info = request.match_info
        kind = self.store.kind(info["version"], info["plural"])
        if kind is None:
            raise web.HTTPNotFound(text="404 page not found\n")
        namespace = info.get("namespace")
        if request.method != "GET" and namespace == "readonly":
            group = info["version"].partition("/")[0]
            raise Refused(
                403,
                "Forbidden",
                f'{info["plural"]}.{group} is forbidden: User "alice" cannot create resource "{info["plural"]}" '
                f'in API group "{group}" in the namespace "readonly"',
            )
        if request.method == "POST" and namespace not in {None, *NAMESPACES}:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        return kind[0], info["plural"], namespace

    async def many(self, request):
        kind, plural, namespace = self.asked(request)
        if request.method == "POST":
            return web.json_response(self.store.create(plural, namespace or "", await request.json()), status=201)
        if request.query.get("watch") in {"true", "1"}:
            return await self.watch(request, plural, namespace)
        items = self.store.found(plural, namespace, *selectors(request))
        version = str(self.store.log[-1][0])
        meta = {"resourceVersion": version}
        version = request.match_info["version"]
        return web.json_response({"kind": f"{kind}List", "apiVersion": version, "metadata": meta, "items": items})

    async def watch(self, request, plural, namespace):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or self.store.log[-1][0])
        queue = asyncio.Queue()
        for event in self.store.log:
            if event[0] > since:
                queue.put_nowait(event)
        self.store.watchers.add(queue)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", 300))):
                while True:
                    _, what, kind, item = await queue.get()
                    mine = kind == plural and namespace in {None, item["metadata"].get("namespace", "")}
                    if mine and selected(item, *selectors(request)):
                        await response.write(json.dumps({"type": what, "object": item}).encode() + b"\n")
        except (TimeoutError, ConnectionError, ClientError):
            pass
        finally:
            self.store.watchers.discard(queue)
        return response

    async def one(self, request):
        _, plural, namespace = self.asked(request)
        info = request.match_info
        key = (plural, namespace or "", info["name"])
        if key not in self.store.objects:
            raise Refused(404, "NotFound", f'{plural} "{info["name"]}" not found')
        if info.get("part") == "portforward":
            return await forwarded(request, self.store.objects[key])
        if info.get("part") == "log":
            return web.Response(text=self.logs(info["name"], int(request.query.get("tailLines", 100))))
        if request.method == "DELETE":
            self.store.delete(key)
            return web.json_response({"kind": "Status", "status": "Success"})
        if request.method == "PATCH":
            change = operated if "json-patch" in request.content_type else merged
            new = change(self.store.objects[key], await request.json())
            return web.json_response(self.store.replace(key, new, info.get("part")))
        return web.json_response(self.store.objects[key])

    def logs(self, name, lines):
        file = self.folder / "pods" / name / "log"
        return "\n".join(file.read_text().splitlines()[-lines:]) if file.exists() else ""


def selectors(request):
    return request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")


@web.middleware
async def answered(request, handler):
    try:
        return await handler(request)
    except Refused as error:
        words = {"status": "Failure", "message": str(error), "reason": error.reason, "code": error.code}
        return web.json_response({"kind": "Status", "apiVersion": "v1", **words}, status=error.code)


async def forwarded(request, pod):
    """Carry the bytes of one connection to a port of a pod."""
    port = int(request.query["ports"])
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for channel in (b"\x00", b"\x01"):
        await socket.send_bytes(channel + port.to_bytes(2, "little"))
    try:
        reader, writer = await asyncio.open_connection(pod["status"]["podIP"], port)
    except OSError as error:
        await socket.send_bytes(b"\x01" + str(error).encode())
        return socket

    async def down():
        while data := await reader.read(32768):
            await socket.send_bytes(b"\x00" + data)
        await socket.close()

    task = asyncio.create_task(down())
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                writer.write(message.data[1:])
                await writer.drain()
    finally:
        task.cancel()
        writer.close()
    return socket


async def serve(folder, port, definitions):
    store = Store(definitions)
    runner = web.AppRunner(Server(store, folder).app(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await Kubelet(store, folder).run()


def definitions():
    """What the operator's chart installs."""
    places = files("dask_kubernetes").joinpath("operator/deployment/helm/dask-kubernetes-operator/crds").iterdir()
    return [yaml.load(place.read_text(), yaml.CSafeLoader) for place in places if place.name.endswith(".yaml")]


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), definitions() if "--bare" not in sys.argv else []))
