"""Find the store that a URL means."""

from importlib.metadata import entry_points
from os import PathLike, fspath

from memkit.errors import InvalidInput, StoreError
from memkit.govern.keys import Key
from memkit.protocols import Backend, Fingerprint

Location = str | PathLike[str]  # a path, ":memory:" or a store's URL


def open_store(url: Location, fingerprint: Fingerprint | None, key: Key | None = None) -> Backend:
    """Open the store that the scheme of `url` names; a plain path is SQLite."""
    if isinstance(url, PathLike):
        url = fspath(url)
    if not isinstance(url, str) or not url:
        raise InvalidInput(f'give a path, ":memory:" or a store URL, got {url!r}')
    scheme = url.split("://", 1)[0] if "://" in url else "sqlite"
    installed = entry_points(group="memkit.stores")
    if scheme not in installed.names:
        raise StoreError(
            f"no store for {scheme}://; installed are {', '.join(sorted(installed.names))}"
        )
    options = {} if key is None else {"key": key}  # of stores that can encrypt
    store: Backend = installed[scheme].load()(url, fingerprint, **options)
    return store
