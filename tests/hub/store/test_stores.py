"""The stores of this package keep the contract."""

import pytest

from hub.store.call_contract import CallContract
from hub.store.find_contract import FindContract
from hub.store.store_contract import StoreContract
from tilepipe_hub.store import Store, open_store
from tilepipe_hub.store.mongo import MongoStore
from tilepipe_hub.store.sqlite import SqliteStore

_: list[type[Store]] = [SqliteStore, MongoStore]


@pytest.fixture
def open_it(store_url):
    return lambda **options: open_store(store_url, patience_s=10, **options)


class TestStores(StoreContract):
    pass


class TestLists(FindContract):
    pass


class TestCalls(CallContract):
    pass
