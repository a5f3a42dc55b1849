"""What only SQLite has to show, and which address means which store."""

import itertools
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tilepipe_hub.errors import StoreError
from tilepipe_hub.job import Job, Request
from tilepipe_hub.store import Cursor, Query, open_store
from tilepipe_hub.store.rows import SCHEMAS, row_of, select
from tilepipe_hub.store.sqlite import DUE, NEXT, SILENT, SqliteStore

FILTERS = {
    "processes": [["a"], ["a", "b"]],
    "owner": ["ann"],
    "text": ["alps", "alps dem"],
    "created_from": [0.0],
    "min_duration_s": [1.0],
    "after": [Cursor(1e9, "x")],
}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "jobs.db")


@pytest.fixture
def tables(path):
    open_store(path).close()
    with sqlite3.connect(path) as db:
        yield db
    db.close()


def plan(db, statement, values):
    return " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))


@pytest.mark.parametrize("status", [None, "failed"])
@pytest.mark.parametrize("size", range(5))
def test_every_list_follows_an_index_and_sorts_nothing(tables, size, status):
    for names in itertools.combinations(FILTERS, size):
        for values in itertools.product(*(FILTERS[name] for name in names)):
            used = plan(tables, *select(Query(**dict(zip(names, values, strict=True))), status, now=0.0))

            assert "INDEX" in used or "PRIMARY KEY" in used, names
            assert "TEMP B-TREE" not in used, names


def test_every_claim_follows_an_index(tables):
    assert "SCAN jobs" not in plan(tables, NEXT, ())
    assert "INDEX jobs_lease" in plan(tables, SILENT, (0.0,))
    assert "TEMP B-TREE" not in plan(tables, SILENT, (0.0,))
    assert "INDEX calls_due" in plan(tables, DUE, (0.0,))
    assert "TEMP B-TREE" not in plan(tables, DUE, (0.0,))


def opened(path):
    with open_store(path) as store:
        return store.add(Job(id="one", process="p", owner="o", key="k")).id


@pytest.mark.slow
def test_several_processes_make_the_file_at_once(path):
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(opened, [path] * 3)) == ["one"] * 3


def test_a_clock_may_be_handed_in(path):
    with SqliteStore(path, keep_s=None, patience_s=1.0, clock=lambda: 1.23456).prepare() as store:
        assert store.add(Job(id="one", process="p", owner="o")).created == 1.235


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "text").write_text("no database" * 100)
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE other (a)")
    db.close()

    with pytest.raises(StoreError, match="text: the jobs cannot be read or kept: file is not a database"):
        open_store(str(tmp_path / "text"), patience_s=0.1)
    with pytest.raises(StoreError, match="holds tables of version 0, this hub writes version 2; name another file"):
        open_store(str(tmp_path / "other.db"))


def test_a_file_of_a_later_hub_is_refused(path):
    open_store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 3")
    db.close()

    with pytest.raises(StoreError, match="holds tables of version 3, this hub writes version 2; name another file"):
        open_store(path)


def test_a_file_of_an_earlier_hub_gets_what_it_lacks_and_keeps_its_jobs(path):
    with sqlite3.connect(path) as db:
        db.executescript(f"{SCHEMAS[0]} PRAGMA user_version = 1")
        row = row_of(Job(id="old", process="p", owner="o", request=Request(subscriber={"failedUri": "https://e.org"})))
        db.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)  # noqa: S608
    db.close()

    with open_store(path) as store:
        store.move("old", "dismissed", expect=["accepted"])

    with open_store(path) as store:
        assert store.take_call(lease_s=10).job.id == "old"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot make the folder"):
        open_store(str(tmp_path / "file" / "jobs.db"))


def test_a_locked_file_is_an_error_after_a_while(path):
    with open_store(path, patience_s=0.1) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="locked; check that"):
            store.add(Job(id="one", process="p", owner="o"))

        other.close()
        assert store.add(Job(id="one", process="p", owner="o")).id == "one"


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_path_is_a_file_of_sqlite(path, form):
    with open_store(form.format(path)) as store:
        assert isinstance(store, SqliteStore)
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("url", ["", "postgresql://u:geheim@host/db", "sqlite://", "sqlite:///"])
def test_other_addresses_are_refused(url):
    with pytest.raises(StoreError, match="is no store of jobs; use mongodb://HOST/NAME") as caught:
        open_store(url)
    assert "geheim" not in str(caught.value)


def test_an_odd_address_of_mongodb_is_refused_without_its_password():
    with pytest.raises(StoreError, match="no address of a MongoDB") as caught:
        open_store("mongodb://user:ge/heim@host:port/db?x=1")
    assert "heim" not in str(caught.value)
