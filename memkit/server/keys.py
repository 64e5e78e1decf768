"""API keys: a file of hashes, each with the users that its key may name.

A key is shown once, when it is made. The file has only SHA-256 hashes: a key has 256 random bits,
so a slow hash would add nothing.
"""

import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from memkit.errors import InvalidInput, StoreReadOnly
from memkit.records import Scope

_PREFIX = "mk_"  # by which people and scanners of leaked secrets recognise a key


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What a key may do: all of one user's memory, or that of all users with a prefix."""

    id: str  # names the key in lists and limits; no secret
    hash: str
    user: str | None = None
    prefix: str | None = None  # an application's: it names users that begin with this
    read_only: bool = False
    created_at: str = ""


class KeyFile:
    """The keys in a file, read again whenever the file changes. Any thread may use it.

    Raises:
        InvalidInput: there is no such file, it is no file of keys, or others may read it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self.read()

    def read(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        with self._lock:
            version = _version(self.path)
            if version != self._version:
                self._keys, self._version = _read(self.path), version
            return self._keys

    def find(self, token: str) -> ApiKey | None:
        """Return the key with this secret. The time says nothing about which keys exist."""
        digest = _hash(token)
        match = None
        for key in self.read():
            if hmac.compare_digest(key.hash, digest):
                match = key
        return match


def add(
    path: str | Path, *, user: str | None = None, prefix: str | None = None, read_only: bool = False
) -> tuple[ApiKey, str]:
    """Add a key to a file, which is created if there is none; return it and its secret.

    Pass either `user` or `prefix`; the empty prefix is all users.

    Raises:
        InvalidInput: both or none are given, or the file is no file of keys.
    """
    if (user is None) == (prefix is None):
        raise InvalidInput("a key needs either a user or a prefix of users: --user ann")
    Scope(user_id=user if user is not None else f"{prefix}x")  # checks it
    secret = _PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        id=secrets.token_hex(4), hash=_hash(secret), user=user, prefix=prefix,
        read_only=read_only, created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    path = Path(path)
    _write(path, [*(_read(path) if path.exists() else ()), key])
    return key, secret


def remove(path: str | Path, key_id: str) -> None:
    """Remove a key: running servers refuse it from the next request on."""
    keys = KeyFile(path).read()
    remaining = [key for key in keys if key.id != key_id]
    if len(remaining) == len(keys):
        raise InvalidInput(f"{path} has no key {key_id!r}; `memkit keys list` shows the ids")
    _write(Path(path), remaining)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _version(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read ({error.strerror}); make a key with `memkit keys add --keys "
            f"{path} --user ann`"
        ) from error
    if os.name == "posix" and status.st_mode & 0o077:
        raise InvalidInput(f"others may read the keys in {path}; run: chmod 600 {path}")
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> tuple[ApiKey, ...]:
    _version(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        keys = tuple(ApiKey(**fields) for fields in data["keys"])
        for key in keys:
            Scope(user_id=key.user if key.user is not None else f"{key.prefix}x")
            if (key.user is None) == (key.prefix is None) or len(key.hash) != 64:
                raise ValueError(f"key {key.id!r} needs a hash, and either a user or a prefix")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} is no file of keys ({error}); `memkit keys add` makes one"
        ) from error
    return keys


def _write(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the file as a whole; two processes never write at once."""
    unfinished = path.with_name(f"{path.name}.new")
    content = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1) + "\n"
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except FileExistsError as error:
        raise StoreReadOnly(
            f"another process changes {path}, or was stopped while it did; if none runs, delete "
            f"{unfinished}"
        ) from error
    except OSError as error:
        raise StoreReadOnly(f"{path} cannot be written: {error.strerror}") from error
