"""Keys of an encrypted memory: one per user, in a folder of its own, wrapped with a master key.

The folder is `FILE.keys` beside the memory and is no part of it: neither a copy nor a backup of the
memory has a key. So destroying a user's key makes that user's words unreadable in every copy. A key
is a file of its own, without a journal that would keep it.
"""

import hmac
import json
import os
import secrets
from hashlib import blake2b, scrypt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memkit.errors import InvalidInput, MissingExtra, StoreError, WrongKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ID_BYTES = 8  # of the name of a user's key, which says nothing about the user
_KEY_BYTES, _NONCE_BYTES = 32, 12
_MASTER = "master.json"
_FORMAT = "memkit keys 1"
# 32 MB and about a tenth of a second for each guess of a passphrase
_SCRYPT = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26, "dklen": _KEY_BYTES}
_Identity = tuple[int, int, int]  # of a file: inode, time, size


class KeyStore:
    """The keys of one memory's users, in a folder. Safe to share by threads and processes.

    Args:
        folder: made at the first use, readable by its owner only.
        master: 32 random bytes, or a passphrase. Whoever has it and the folder can read everything;
            without it nobody can.

    Raises:
        MissingExtra: cryptography is not installed.
        InvalidInput: the master key is neither 32 bytes nor a text.
        WrongKey: the folder was made with another master key.
    """

    def __init__(self, folder: Path | str, master: bytes | str) -> None:
        self.folder = Path(folder)
        self._aes = _import_aes()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._master = self._open_master(master)
        self._wrapper = self._aes(self._master)
        self._ciphers: dict[bytes, tuple[_Identity, bytes, AESGCM]] = {}

    def key_id(self, user_id: str) -> bytes:
        """Return the name of a user's key: a keyed digest of the user's id."""
        return blake2b(user_id.encode(), key=self._master, digest_size=ID_BYTES).digest()

    def encrypt(self, user_id: str, content: bytes, data: bytes) -> bytes:
        """Return `content` encrypted with the user's key, which is made if there is none.

        `data` is authenticated and not encrypted (AES-256-GCM, a random nonce in front).
        """
        key_id = self.key_id(user_id)
        cipher = self._cipher(key_id) or self._create(key_id)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, content, data)

    def decrypt(self, key_id: bytes, content: bytes, data: bytes) -> bytes:
        """Return what was encrypted. Raises WrongKey if the key is not there, or another one."""
        from cryptography.exceptions import InvalidTag

        try:
            cipher = self._cipher(key_id)
            if cipher is not None:
                return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], data)
        except InvalidTag:
            pass
        raise WrongKey(
            f"{self.folder} does not have the key {key_id.hex()} with which this was encrypted: it "
            "was destroyed when its user was forgotten, or the folder is another memory's"
        )

    def secret(self, user_id: str) -> bytes:
        """Return a secret of the user, for keyed hashes; without a key another one every time."""
        key_id = self.key_id(user_id)
        if self._cipher(key_id) is None:
            return os.urandom(_KEY_BYTES)
        return blake2b(b"memkit index", key=self._ciphers[key_id][1], digest_size=32).digest()

    def destroy(self, user_id: str) -> bool:
        """Destroy a user's key; return whether there was one. Its bytes are overwritten first."""
        key_id = self.key_id(user_id)
        self._ciphers.pop(key_id, None)
        try:
            with self._path(key_id).open("r+b") as file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return False
        self._path(key_id).unlink(missing_ok=True)
        return True

    # ---- files

    def _path(self, key_id: bytes) -> Path:
        return self.folder / f"{key_id.hex()}.key"

    def _cipher(self, key_id: bytes) -> "AESGCM | None":
        """Return the cipher of a key; None if there is none. Reads its file only if it changed."""
        path = self._path(key_id)
        cached = self._ciphers.get(key_id)
        try:
            status = path.stat()
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            is_fresh = cached is not None and cached[0] == identity
            wrapped = b"" if is_fresh else path.read_bytes()
        except FileNotFoundError:
            return None
        if cached is None or not is_fresh:
            key = self._wrapper.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], key_id)
            cached = (identity, key, self._aes(key))
            self._ciphers[key_id] = cached
        return cached[2]

    def _create(self, key_id: bytes) -> "AESGCM":
        nonce = os.urandom(_NONCE_BYTES)
        wrapped = nonce + self._wrapper.encrypt(nonce, os.urandom(_KEY_BYTES), key_id)
        _write_new(self._path(key_id), wrapped)
        cipher = self._cipher(key_id)
        if cipher is None:
            raise StoreError(f"the key {self._path(key_id)} vanished while it was made; try again")
        return cipher

    def _open_master(self, master: bytes | str) -> bytes:
        """Return the master key as bytes; the first call says in a file which one it is."""
        path = self.folder / _MASTER
        if not path.exists():
            salt = secrets.token_bytes(16)
            header = {"format": _FORMAT, "salt": salt.hex(), "check": _check(_derive(master, salt))}
            _write_new(path, json.dumps(header).encode())
        header = json.loads(path.read_bytes())
        if header.get("format") != _FORMAT:
            raise StoreError(f"{path} is no key store of memkit; give another folder")
        key = _derive(master, bytes.fromhex(header["salt"]))
        if not hmac.compare_digest(_check(key), header["check"]):
            raise WrongKey(f"this is not the key with which {self.folder} was made")
        return key


Key = bytes | str | KeyStore  # what `memkit.open` takes


def _derive(master: bytes | str, salt: bytes) -> bytes:
    if isinstance(master, str) and master:
        return scrypt(master.encode(), salt=salt, **_SCRYPT)
    if isinstance(master, bytes) and len(master) == _KEY_BYTES:
        return master
    raise InvalidInput(
        "a key is a passphrase or 32 random bytes, for example secrets.token_bytes(32)"
    )


def _check(key: bytes) -> str:
    """Return what says whether a master key is the right one, without saying the key."""
    return blake2b(b"memkit master", key=key, digest_size=16).hexdigest()


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that is complete as soon as it has its name; an existing one stays."""
    unfinished = path.with_name(f".{secrets.token_hex(8)}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        unfinished.unlink()


def _import_aes() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "an encrypted memory needs cryptography: pip install 'memkit-llm[govern]'"
        ) from error
    return AESGCM
