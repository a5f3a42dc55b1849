"""Imported by the server of worker processes: what any of them needs. Nothing breaks if a run needs other plug-ins."""

from tilepipe.imports import bring

for module in ("tilepipe.worker", "tilepipe.formats.gtiff", "tilepipe.inputs.raster_file"):
    bring(module)
