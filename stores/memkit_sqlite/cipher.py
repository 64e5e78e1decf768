"""Encrypt columns with a key per user, in SQL by the functions `seal` and `unseal`.

Statements that write words or vectors call `seal(user_id, value)`; rows that are read are opened by
the connection's row factory, and SQL that computes with such a value calls `unseal(value)`. In a
memory without a key these functions change nothing.

A sealed value is a BLOB: a mark, the type, the name of the key, and the encrypted bytes. Readable
are still the ids of users, turns, sessions and agents, roles, times, lengths, flags, and keyed
hashes of terms.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

from memkit.errors import InvalidInput, WrongKey
from memkit.govern.keys import ID_BYTES, Key, KeyStore

_MARK = b"\xffmk1"  # begins no UTF-8, and no list of groups of the hash
_TEXT, _BYTES = b"t", b"b"
_HEAD = len(_MARK) + 1 + ID_BYTES

_META = "encrypted"  # key in the table `meta`

Value = str | bytes | int | float | None


def install(connection: sqlite3.Connection, keys: KeyStore | None) -> None:
    """Define the SQL functions, and open sealed values of all rows that are read."""
    if keys is None:
        connection.create_function("seal", 2, lambda _, value: value, deterministic=True)
        connection.create_function("unseal", 1, lambda value: value, deterministic=True)
        connection.create_function("unseal_image", 1, lambda image: image, deterministic=True)
        connection.create_function("user_secret", 1, lambda _: None, deterministic=True)
        connection.row_factory = sqlite3.Row
        return
    cipher = Cipher(keys)
    connection.create_function("seal", 2, cipher.seal)
    connection.create_function("unseal", 1, cipher.unseal_or_empty)
    connection.create_function("unseal_image", 1, cipher.unseal_image)
    connection.create_function("user_secret", 1, lambda user: keys.secret(user).hex())
    connection.row_factory = lambda cursor, row: sqlite3.Row(cursor, tuple(map(cipher.unseal, row)))


def open_keys(
    db: sqlite3.Connection, path: Path | None, key: Key | None
) -> tuple[KeyStore | None, bool]:
    """Return the keys of a memory, and whether it still has to be marked as encrypted.

    Raises:
        WrongKey: it is encrypted and the key is missing or another one.
        InvalidInput: it is not encrypted and has turns, or it is in RAM.
    """
    is_marked = db.execute("SELECT EXISTS (SELECT 1 FROM meta WHERE key = ?)", (_META,)).fetchone()
    folder = Path(f"{path}.keys")
    if key is None:
        if is_marked[0]:
            raise WrongKey(
                f"{path} is encrypted; open it with its key: memkit.open(path, key=…), or "
                "MEMKIT_KEY_FILE=FILE on the command line"
            )
        return None, False
    if path is None:
        raise InvalidInput("a memory in RAM leaves no bytes on disk; open it without a key")
    if not is_marked[0] and db.execute("SELECT EXISTS (SELECT 1 FROM turns)").fetchone()[0]:
        raise InvalidInput(
            f"{path} is not encrypted; `memkit export` its users, and `memkit import` them into a "
            "new memory that you open with the key"
        )
    if is_marked[0] and not isinstance(key, KeyStore) and not folder.exists():
        raise WrongKey(
            f"there are no keys at {folder}; a copy is opened with the keys of its original: "
            'memkit.open(path, key=KeyStore("ORIGINAL.keys", …)), from memkit.govern.keys'
        )
    keys = key if isinstance(key, KeyStore) else KeyStore(folder, key)
    return keys, not is_marked[0]


def mark(db: sqlite3.Connection) -> None:
    """Note in a new memory that it is encrypted."""
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, '1')", (_META,))


def unsealed(column: str) -> str:
    """Return the SQL of a column's value; without encryption it calls no Python."""
    return f"iif(substr({column}, 1, {len(_MARK)}) = x'{_MARK.hex()}', unseal({column}), {column})"


def parse_image(image: str) -> Any:
    """Return the JSON of what a row was, from the table `undo`; sealed texts stay sealed."""
    return json.loads(image, object_hook=_from_hex)


def _from_hex(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["hex"]) if value.keys() == {"hex"} else value


class Cipher:
    """Seals values with the key of a user, and opens them."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    def seal(self, user_id: str, value: Value) -> Value:
        """Return a text or bytes encrypted; other values as they are."""
        if not isinstance(value, (str, bytes)):
            return value
        kind, content = (_TEXT, value.encode()) if isinstance(value, str) else (_BYTES, value)
        head = _MARK + kind + self._keys.key_id(user_id)
        return head + self._keys.encrypt(user_id, content, head)

    def unseal_or_empty(self, value: Any) -> Any:
        """Return what was sealed, "" if its key is destroyed; for SQL, which loses error messages.

        A row of such a user has other sealed values too, and reading these raises WrongKey.
        """
        try:
            return self.unseal(value)
        except WrongKey:
            return ""

    def unseal_image(self, image: str | None) -> str | None:
        """Return the JSON of what a row was, with its texts opened; "" if the key is destroyed."""
        columns = parse_image(image or "null")
        if not isinstance(columns, dict):
            return image
        texts = {name: self.unseal_or_empty(value) for name, value in columns.items()}
        return json.dumps(texts, ensure_ascii=False)

    def unseal(self, value: Any) -> Any:
        """Return what was sealed; other values as they are. Raises WrongKey."""
        if not isinstance(value, bytes) or not value.startswith(_MARK):
            return value
        head = value[:_HEAD]
        content = self._keys.decrypt(head[-ID_BYTES:], value[_HEAD:], head)
        return content.decode() if head[len(_MARK) : len(_MARK) + 1] == _TEXT else content
