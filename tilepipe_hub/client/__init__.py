"""A client of any server that speaks OGC API - Processes 1.0: which names are public."""

from tilepipe_hub.client.access import open_client
from tilepipe_hub.client.caller import Client
from tilepipe_hub.client.faults import (
    ClientError,
    NotAllowed,
    NotOffered,
    NotReached,
    NotReady,
    NotThere,
    Refused,
    StillRunning,
    Unexpected,
)
from tilepipe_hub.client.records import JobStatus, Process, Tiles, Value

__all__ = [
    "Client",
    "ClientError",
    "JobStatus",
    "NotAllowed",
    "NotOffered",
    "NotReached",
    "NotReady",
    "NotThere",
    "Process",
    "Refused",
    "StillRunning",
    "Tiles",
    "Unexpected",
    "Value",
    "open_client",
]
