"""Files that are encrypted with a passphrase in the format of age: age-encryption.org/v1.

`age -d`, rage and every other tool for the format open them. The work factor is fixed, because a
library that measures the machine for it makes weak keys on a busy one and cannot open its own files
on a slower one.
"""

import binascii
import os
import re
from base64 import b64decode, b64encode
from types import ModuleType
from typing import Any, BinaryIO

from memkit.errors import InvalidInput, MissingExtra

MAGIC = b"age-encryption.org/v1\n"
_LABEL = b"age-encryption.org/v1/scrypt"
_LOG_N, _MOST_LOG_N = 18, 22  # scrypt needs 2^(10 + log N) bytes: 256 MiB, and at most 4 GiB
_CHUNK, _TAG = 64 * 1024, 16  # bytes of text encrypted together, and what that adds
_NO_NONCE = bytes(12)  # of the file key: its key is used once
# one stanza of scrypt with salt and work factor, the wrapped key, and the header's code
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n-> scrypt ([\w+/]{22}) (\d{1,2})\n([\w+/]{43})\n--- ([\w+/]{43})\n",
    re.ASCII,
)


class EncryptedWriter:
    """Encrypts what is written to it into `file`; nothing can be read back before `finish`.

    Raises MissingExtra. Cost: .7 s and 256 MiB for the key, and then 64 KiB of memory.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
        wrapped = _cipher(_derive_key(passphrase, salt, _LOG_N)).encrypt(_NO_NONCE, file_key, None)
        stanza = b"-> scrypt %s %d\n%s\n" % (_encode(salt), _LOG_N, _encode(wrapped))
        header = MAGIC + stanza + b"---"
        file.write(header + b" " + _encode(_header_code(file_key, header)) + b"\n" + nonce)
        self._file, self._buffer, self._count = file, bytearray(), 0
        self._cipher = _cipher(_expand(file_key, nonce, b"payload"))

    def write(self, data: bytes, /) -> int:
        """Encrypt data."""
        self._buffer += data
        while len(self._buffer) > _CHUNK:  # the last chunk is marked, so one is always left
            self._write_chunk(is_last=False)
        return len(data)

    def finish(self) -> None:
        """Write the last chunk."""
        self._write_chunk(is_last=True)

    def _write_chunk(self, *, is_last: bool) -> None:
        chunk = bytes(self._buffer[:_CHUNK])
        del self._buffer[:_CHUNK]
        self._file.write(self._cipher.encrypt(_nonce(self._count, is_last), chunk, None))
        self._count += 1


def decrypt(data: bytes, passphrase: str) -> bytes:
    """Return the content of an encrypted file.

    Raises:
        InvalidInput: the passphrase is wrong, the file was changed or cut off, or it is encrypted
            for keys and not with a passphrase.
        MissingExtra: cryptography is not installed.
    """
    header = _HEADER.match(data)
    if header is None:
        raise InvalidInput("the file is not encrypted with a passphrase in the format of age")
    log_n = int(header[2])
    if log_n > _MOST_LOG_N:
        raise InvalidInput(
            f"the file's work factor of {log_n} needs {2 ** (log_n - 20)} GiB of memory; encrypt "
            f"it again with at most {_MOST_LOG_N}"
        )
    invalid_tag, _ = _import_cryptography()
    try:
        wrap_key = _derive_key(passphrase, _decode(header[1]), log_n)
        file_key = _cipher(wrap_key).decrypt(_NO_NONCE, _decode(header[3]), None)
        covered = data[: data.index(b"\n--- ") + 4]
        if _encode(_header_code(file_key, covered)) != header[4]:
            raise InvalidInput("the header of the encrypted file was changed")
        return b"".join(_decrypt_chunks(file_key, data[header.end() :]))
    except (invalid_tag, binascii.Error) as error:
        raise InvalidInput(
            "the file cannot be decrypted: the passphrase is wrong, or the file was changed or cut "
            "off"
        ) from error


def _decrypt_chunks(file_key: bytes, payload: bytes) -> list[bytes]:
    nonce, body = payload[:16], payload[16:]
    cipher = _cipher(_expand(file_key, nonce, b"payload"))
    starts = range(0, max(len(body), 1), _CHUNK + _TAG)
    return [
        cipher.decrypt(_nonce(n, start == starts[-1]), body[start : start + _CHUNK + _TAG], None)
        for n, start in enumerate(starts)
    ]


def _nonce(count: int, is_last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([is_last])


def _encode(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4), validate=True)


# ---- cryptography


def _derive_key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    _, primitives = _import_cryptography()
    scrypt = primitives.kdf.scrypt.Scrypt(salt=_LABEL + salt, length=32, n=1 << log_n, r=8, p=1)
    return bytes(scrypt.derive(passphrase.encode()))


def _expand(key: bytes, salt: bytes | None, info: bytes) -> bytes:
    _, primitives = _import_cryptography()
    sha256 = primitives.hashes.SHA256()
    hkdf = primitives.kdf.hkdf.HKDF(algorithm=sha256, length=32, salt=salt, info=info)
    return bytes(hkdf.derive(key))


def _header_code(file_key: bytes, header: bytes) -> bytes:
    _, primitives = _import_cryptography()
    code = primitives.hmac.HMAC(_expand(file_key, None, b"header"), primitives.hashes.SHA256())
    code.update(header)
    return bytes(code.finalize())


def _cipher(key: bytes) -> Any:
    _, primitives = _import_cryptography()
    return primitives.ciphers.aead.ChaCha20Poly1305(key)


def _import_cryptography() -> tuple[type[Exception], ModuleType]:
    try:
        import cryptography.hazmat.primitives.ciphers.aead
        import cryptography.hazmat.primitives.hashes
        import cryptography.hazmat.primitives.hmac
        import cryptography.hazmat.primitives.kdf.hkdf
        import cryptography.hazmat.primitives.kdf.scrypt
        from cryptography.exceptions import InvalidTag
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "encrypted exports need cryptography: pip install 'memkit-llm[govern]'"
        ) from error
    return InvalidTag, cryptography.hazmat.primitives
