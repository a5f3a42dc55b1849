"""Which store an address means."""

from urllib.parse import urlsplit

from tilepipe_hub.errors import StoreError
from tilepipe_hub.store.mongo import MongoStore
from tilepipe_hub.store.protocol import Store
from tilepipe_hub.store.sqlite import SqliteStore

__all__ = ["open_store"]


def open_store(url: str, *, keep_s: float | None = None, patience_s: float = 90.0) -> Store:
    """The store at an address, ready for use; what it needs is made there where it is missing.

    Args:
        url: `mongodb://...` or `mongodb+srv://...` (its path names the database, `tilepipe` if it has none),
            `sqlite:///relative.db`, `sqlite:////absolute.db`, or the path of a file.
        keep_s: how long ended jobs are kept, in seconds; None: for ever.
        patience_s: how long a call waits for a store that is away. Who answers people wants some seconds, who computes
            for hours wants minutes.

    Raises:
        StoreError: if the address means no store, or the store does not answer.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in {"mongodb", "mongodb+srv"}:
        return MongoStore(url, keep_s=keep_s, patience_s=patience_s).prepare()
    path = url.removeprefix("sqlite:///")
    if not path or "://" in path or (scheme and scheme != "sqlite"):
        shown = f"{scheme}://..." if scheme else repr(url)
        raise StoreError(f"{shown} is no store of jobs; use mongodb://HOST/NAME, sqlite:///FILE or the path of a file")
    return SqliteStore(path, keep_s=keep_s, patience_s=patience_s).prepare()
