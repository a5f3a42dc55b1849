import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilepipe.errors import StorageError
from tilepipe.storage import LocalStorage

WRITE_FOR_EVER = """
import itertools, sys
from tilepipe.storage import LocalStorage
storage = LocalStorage(sys.argv[1])
payload = bytes(int(sys.argv[2]))
print("ready", flush=True)
for number in itertools.count():
    storage.put(f"5/0/{number % 3}.tif", payload)
"""
WRITE_TOO_MUCH = """
import resource, sys
from tilepipe.errors import StorageError
from tilepipe.storage import LocalStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
storage = LocalStorage(sys.argv[1])
storage.put("1/small", bytes(1000))
try:
    storage.put("1/large", bytes(200_000))
except StorageError as error:
    print(error)
"""
WRITE_SHARED = """
import sys
from tilepipe.storage import LocalStorage
storage = LocalStorage(sys.argv[1])
for _ in range(100):
    storage.put("one/key", sys.argv[2].encode() * 50_000)
"""


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "out"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def files_under(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_no_part_of_an_object(storage: LocalStorage) -> None:
    size, killed_while_writing = 60_000_000, 0
    for round_ in range(6):
        command = [sys.executable, "-c", WRITE_FOR_EVER, storage.root, str(size)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.013 * round_)
            writer.kill()

        sizes = {entry.size for entry in storage.list("5/0")}
        assert sizes <= {size}
        killed_while_writing += bool(list(storage.list(".tilepipe/part")))
        storage.sweep()
        assert not list(storage.list(".tilepipe/part"))

    assert killed_while_writing, "no kill met a writer at work, so nothing was shown"


@pytest.mark.slow
def test_processes_that_write_one_key_leave_one_whole_object(storage: LocalStorage) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITE_SHARED, storage.root, letter]) for letter in "abc"]

    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(storage.get("one/key"))

    assert {writer.wait() for writer in writers} == {0}
    assert seen <= {None, *(letter.encode() * 50_000 for letter in "abc")}
    assert files_under(storage.root) == ["one/key"]


def test_after_a_put_nothing_else_is_left(storage: LocalStorage) -> None:
    storage.put("1/2/3.tif", b"x")
    storage.put("1/2/3.tif", b"y")

    assert files_under(storage.root) == ["1/2/3.tif"]


def test_a_full_disk_is_named_and_what_is_finished_stays(tiny_disk: Path) -> None:
    storage = LocalStorage(str(tiny_disk))
    storage.put("1/0/0.tif", bytes(600_000))

    with pytest.raises(StorageError, match=r"1/0/0.tif cannot be written: No space left on device; free some space"):
        storage.put("1/0/0.tif", bytes(800_000))

    assert storage.get("1/0/0.tif") == bytes(600_000)
    assert files_under(storage.root) == ["1/0/0.tif"]


def test_a_file_over_the_limit_of_the_system_leaves_nothing(storage: LocalStorage) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, storage.root], capture_output=True, check=True, text=True
    ).stdout

    assert "1/large cannot be written: File too large; the limit for file sizes is lower" in told
    assert files_under(storage.root) == ["1/small"]


def test_a_file_where_a_folder_should_be_is_named(storage: LocalStorage) -> None:
    storage.put("1/2", b"a file")

    with pytest.raises(StorageError, match=r"1/2/3.tif cannot be written: .* a part of this path is a file"):
        storage.put("1/2/3.tif", b"x")

    assert files_under(storage.root) == ["1/2"]


def test_a_folder_where_a_file_should_be_is_named(storage: LocalStorage) -> None:
    storage.put("1/2/3", b"x")

    with pytest.raises(StorageError, match=r"1/2 cannot be written: .* there is a folder of this name"):
        storage.put("1/2", b"x")
    with pytest.raises(StorageError, match=r"1/2 cannot be read: .* there is a folder of this name"):
        storage.get("1/2")
    with pytest.raises(StorageError, match=r"1/2 cannot be deleted: .* there is a folder of this name"):
        storage.delete("1/2")


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file")

    with pytest.raises(StorageError, match=r"out/1/2 cannot be written: .* a part of this path is a file"):
        LocalStorage(str(tmp_path / "out")).put("1/2", b"x")


def test_the_folder_for_parts_that_is_a_file_is_an_error_of_the_storage(storage: LocalStorage) -> None:
    storage.put(".tilepipe/x", b"x")
    os.rmdir(f"{storage.root}/.tilepipe/part")
    storage.put(".tilepipe/../.tilepipe/x", b"x")
    storage.sweep()
    Path(f"{storage.root}/.tilepipe/part").write_bytes(b"a file")

    with pytest.raises(StorageError, match=r"1/2 cannot be written: .* a part of this path is a file"):
        storage.put("1/2", b"x")


def test_a_name_that_is_too_long_is_named(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match="cannot be written: File name too long; choose a shorter path"):
        storage.put("n" * 300, b"x")
    with pytest.raises(StorageError, match="cannot be read: File name too long"):
        storage.get("n" * 300)
    with pytest.raises(StorageError, match="cannot be listed: File name too long"):
        list(storage.list("n" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(storage: LocalStorage) -> None:
    os.makedirs(storage.root, mode=0o500)

    with pytest.raises(StorageError, match="1/2 cannot be written: Permission denied; check who owns the folder"):
        storage.put("1/2", b"x")


def test_files_that_vanish_during_a_listing_are_left_out(storage: LocalStorage) -> None:
    for name in "abc":
        storage.put(f"1/{name}", b"x")

    listing = storage.list("1")
    first = next(listing)
    storage.delete("1/b")

    assert [first.key, *(entry.key for entry in listing)] == ["1/a", "1/c"]


def test_sweeping_removes_only_what_was_left_half_written(storage: LocalStorage) -> None:
    storage.put("1/2", b"x")
    Path(f"{storage.root}/.tilepipe/part/99-1").write_bytes(b"half")
    Path(f"{storage.root}/.tilepipe/journal").write_bytes(b"kept")

    storage.sweep()

    assert files_under(storage.root) == [".tilepipe/journal", "1/2"]


def test_a_folder_is_removed_with_all_in_it(storage: LocalStorage) -> None:
    for key in ("1/2/3", "1/4", "5"):
        storage.put(key, b"x")

    storage.remove("1")
    storage.remove("no/such/folder")

    assert files_under(storage.root) == ["5"]


def test_removing_what_is_a_file_is_an_error_of_the_storage(storage: LocalStorage) -> None:
    storage.put("1", b"x")

    with pytest.raises(StorageError, match="1 cannot be removed: Not a directory"):
        storage.remove("1")


def test_a_put_survives_the_removal_of_all_folders(storage: LocalStorage) -> None:
    storage.put("1/2", b"x")
    storage.remove(".tilepipe")
    storage.remove("1")

    storage.put("1/2", b"y")

    assert storage.get("1/2") == b"y"
