"""Where jobs are kept."""

from tilepipe_hub.store.opening import open_store
from tilepipe_hub.store.protocol import Call, Cursor, Line, Page, Query, Signal, Store

__all__ = ["Call", "Cursor", "Line", "Page", "Query", "Signal", "Store", "open_store"]
