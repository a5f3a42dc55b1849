"""The storages of this package keep the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.storage_contract import StorageContract
from tilepipe.storage import LocalStorage, Storage

_: type[Storage] = LocalStorage

STORAGES: dict[str, Callable[[Path], Storage]] = {"local": lambda folder: LocalStorage(str(folder / "out"))}


class TestStorages(StorageContract):
    @pytest.fixture(params=STORAGES.values(), ids=STORAGES.keys())
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
        made: Storage = request.param(tmp_path)
        return made
