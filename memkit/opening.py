"""Check what a memory is opened with, and find the store that its URL means."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import entry_points
from os import PathLike, fspath

from memkit.errors import InvalidInput, StoreError
from memkit.govern.keys import Key
from memkit.protocols import Backend, Fingerprint
from memkit.records import check_utf8, shorten, zoned

Location = str | PathLike[str]  # a path, ":memory:" or a store's URL


def open_store(url: Location, fingerprint: Fingerprint | None, key: Key | None = None) -> Backend:
    """Open the store that the scheme of `url` names; a plain path is SQLite."""
    url = check_path(url)
    scheme = url.split("://", 1)[0] if "://" in url else "sqlite"
    installed = entry_points(group="memkit.stores")
    if scheme not in installed.names:
        raise StoreError(
            f"no store for {scheme}://; installed are {', '.join(sorted(installed.names))}"
        )
    options = {} if key is None else {"key": key}  # of stores that can encrypt
    store: Backend = installed[scheme].load()(url, fingerprint, **options)
    return store


def check_path(path: object) -> str:
    """Return a path or a URL as text; raise InvalidInput if it can be none."""
    text = fspath(path) if isinstance(path, PathLike) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInput(f'give a path, ":memory:" or a store URL, got {shorten(text)}')
    return check_utf8(text, "the path")


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def check_clock(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """Return a clock that raises NaiveDatetime if `clock` returns no time with a timezone."""
    return lambda: zoned(clock(), "the time of the memory's clock")
