"""Imported by the server of worker processes: what those of a Dask cluster need."""

from tilepipe.executors.forkserver import ENGINE, bring

for module in ("distributed.http.worker", "tilepipe.executors.remote", ENGINE):
    bring(module)
