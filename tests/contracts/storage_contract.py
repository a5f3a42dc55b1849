"""What every storage promises; a plug-in inherits the tests and says what is tested."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from tilepipe.storage import Storage

ODD_KEYS = [
    "plain",
    "7/12/100.tif",
    "with space/and  two.tif",
    "ünï/тайл/瓦片.tif",
    "percent%20/hash#1/question?.tif",
    "a.b/.hidden",
    "quote'\"back\\slash",
    "star*[x]{y}",
    "-dash/--double",
]


class StorageContract:
    """Needs a fixture `storage`, empty for each test."""

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_what_is_put_can_be_had_whatever_the_key(self, storage: Storage, key: str) -> None:
        storage.put(key, b"bytes of " + key.encode())

        assert storage.get(key) == b"bytes of " + key.encode()

    @pytest.mark.parametrize("payload", [b"", b"\x00", bytes(range(256)) * 5000])
    def test_bytes_come_back_unchanged(self, storage: Storage, payload: bytes) -> None:
        storage.put("1/2/3.bin", payload)

        assert storage.get("1/2/3.bin") == payload

    def test_a_key_without_an_object_gives_nothing(self, storage: Storage) -> None:
        storage.put("1/2", b"a file, no folder")

        assert storage.get("5/6/7") is None
        assert storage.get("1/2/3") is None

    def test_a_second_put_replaces_the_first(self, storage: Storage) -> None:
        storage.put("a/b", b"a long first object")
        storage.put("a/b", b"second")

        assert storage.get("a/b") == b"second"

    def test_a_deleted_object_is_gone(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        storage.put("a/c", b"y")

        storage.delete("a/b")

        assert storage.get("a/b") is None
        assert [entry.key for entry in storage.list("a")] == ["a/c"]

    def test_deleting_nothing_is_no_error(self, storage: Storage) -> None:
        storage.put("a", b"x")

        storage.delete("nothing")
        storage.delete("no/such/folder")
        storage.delete("a/below/a/file")

        assert storage.get("a") == b"x"

    def test_a_listing_has_keys_in_order_and_sizes(self, storage: Storage) -> None:
        for size, name in enumerate(["10.tif", "9.tif", "B.tif", "a.tif", "é.tif", "1.tif"]):
            storage.put(f"4/2/{name}", b"." * size)

        entries = list(storage.list("4/2"))

        keys = [entry.key for entry in entries]
        assert keys == ["4/2/1.tif", "4/2/10.tif", "4/2/9.tif", "4/2/B.tif", "4/2/a.tif", "4/2/é.tif"]
        assert [entry.size for entry in entries] == [5, 0, 1, 2, 3, 4]

    def test_a_listing_holds_only_what_lies_directly_in_the_folder(self, storage: Storage) -> None:
        for key in ("top", "4/side", "4/2/in", "4/2/below/deep", "4/22/other"):
            storage.put(key, b"x")

        assert [entry.key for entry in storage.list("4/2")] == ["4/2/in"]
        assert [entry.key for entry in storage.list("")] == ["top"]

    def test_a_listing_of_no_folder_is_empty(self, storage: Storage) -> None:
        storage.put("a", b"x")

        assert list(storage.list("no/such/folder")) == []
        assert list(storage.list("a")) == []

    def test_a_listing_tells_when_an_object_was_put_last(self, storage: Storage) -> None:
        storage.put("a/b", b"x")
        (first,) = storage.list("a")
        storage.put("a/b", b"x")
        (second,) = storage.list("a")

        assert 0 < first.modified <= second.modified

    def test_writers_of_one_key_leave_one_of_their_objects_whole(self, storage: Storage) -> None:
        payloads = [bytes([number]) * 300_000 for number in range(8)]

        with ThreadPoolExecutor(8) as threads:
            for _ in range(5):
                list(threads.map(lambda payload: storage.put("one/key", payload), payloads))
                assert storage.get("one/key") in payloads

        assert [entry.key for entry in storage.list("one")] == ["one/key"]

    def test_a_reader_never_sees_half_an_object(self, storage: Storage) -> None:
        payloads = {bytes([number]) * 200_000 for number in range(6)}
        storage.put("key", min(payloads))

        with ThreadPoolExecutor(2) as threads:
            writer = threads.submit(lambda: [storage.put("key", payload) for payload in payloads for _ in range(5)])
            seen = [storage.get("key")]
            while not writer.done():
                seen.append(storage.get("key"))

        assert set(seen) <= payloads

    def test_a_storage_pickles_and_reaches_the_same_objects(self, storage: Storage) -> None:
        storage.put("a/b", b"x")

        assert pickle.loads(pickle.dumps(storage)).get("a/b") == b"x"
