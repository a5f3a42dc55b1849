"""Imported by the server of worker processes: what those of a Dask cluster need."""

from tilepipe.executors.forkserver import ENGINE
from tilepipe.imports import bring

for module in ("distributed.http.worker", "tilepipe.executors.remote", ENGINE):
    bring(module)

# It looks up the version of each package only once, and each worker tells them.
bring("distributed.versions").get_versions()
