"""Open the file or archive of an export, with bounds on what is read from it."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from memkit.errors import ArchiveTooLarge, InvalidInput

BOM = b"\xef\xbb\xbf"  # byte-order mark of UTF-8
MOST_LINE = 32 * 2**20  # bytes of a line
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MOST_UNZIPPED = 8 * 2**30  # bytes of an archive's files together
# the files of an archive that are read, wherever in it they are; all others are ignored
_MEMBERS = (
    re.compile(r"conversations(-\d+)?\.json"),  # ChatGPT, Claude
    re.compile(r"_chat\.txt|.*WhatsApp.*\.txt"),  # iOS; Android, "WhatsApp Chat with Bob.txt"
    re.compile(r"result\.json"),  # Telegram
)

Kind = TypeVar("Kind")


class _CountedFile(io.RawIOBase):
    """A file, or a file in an archive, that counts the bytes read from it."""

    def __init__(self, file: IO[bytes], export: "ExportFile") -> None:
        self._file, self._export = file, export

    def readable(self) -> bool:
        """Return that it can be read; `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes."""
        export = self._export
        try:
            data = self._file.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InvalidInput(
                f"{export.path} cannot be unpacked ({error}); download it again"
            ) from error
        buffer[: len(data)] = data
        export.position += len(data)
        return len(data)


@dataclass(slots=True)
class ExportFile:
    """The file of an export, or the known files in its archive, and how much of it was read."""

    path: Path
    members: tuple[str, ...] = ()  # names in a zip archive; empty: the file itself is read
    size: int = 0  # bytes
    position: int = 0  # bytes read until now
    notes: list[str] = field(default_factory=list)  # remarks for people

    @contextmanager
    def open(self, member: str | None = None) -> Iterator[BinaryIO]:
        """Open the file, or a member of the archive, for the block.

        Raises InvalidInput if it cannot be read.
        """
        with open_file(self.path) as file:
            if member is None:
                yield self._count(file)
                return
            with zipfile.ZipFile(file) as archive:
                try:
                    unzipped = archive.open(member)
                except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                    raise InvalidInput(
                        f"{self.path} cannot be unpacked ({error}); download it again"
                    ) from error
                with unzipped:
                    yield self._count(unzipped)

    def _count(self, file: IO[bytes]) -> BinaryIO:
        return io.BufferedReader(_CountedFile(file, self), 2**16)

    @contextmanager
    def peek(self, member: str | None = None) -> Iterator[BinaryIO]:
        """Open a member, or the first file, for the block; do not count what is read from it."""
        position = self.position
        with self.open(member or next(iter(self.members), None)) as file:
            yield file
        self.position = position

    def files(self) -> Iterator[tuple[str, BinaryIO]]:
        """Yield every file with its location, "export.zip" or "export.zip, conversations.json"."""
        for member in self.members or (None,):
            location = str(self.path) if member is None else f"{self.path}, {member}"
            with self.open(member) as file:
                yield location, file


def find_export(path: Path) -> ExportFile:
    """Return the file of an export, or the known files in a zip archive.

    Raises:
        ArchiveTooLarge: the archive has more than `MOST_UNZIPPED` bytes.
        InvalidInput: the file cannot be read, or the archive has no file of an export.
    """
    with open_file(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if file.read(4) != b"PK\x03\x04":
            return ExportFile(path, size=size)
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except zipfile.BadZipFile as error:
            raise InvalidInput(
                f"{path} is a damaged zip archive ({error}); download it again"
            ) from error
    for pattern in _MEMBERS:
        members = [
            info for info in infos
            if pattern.fullmatch(name := info.filename.rsplit("/", 1)[-1])
            and not name.startswith("._")  # what macOS notes of a file
        ]  # fmt: skip
        if members:
            return _check_members(path, members)
    raise InvalidInput(
        f"{path} has none of the files that can be imported: conversations.json, result.json, "
        "_chat.txt; unpack it and import a file of it"
    )


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> ExportFile:
    # `zipfile` unpacks no more of a member than the size that the archive states for it
    size = sum(info.file_size for info in members)
    if size > MOST_UNZIPPED:
        raise ArchiveTooLarge(str(path), MOST_UNZIPPED)
    for info in members:
        if info.flag_bits & 1 or info.compress_type not in _COMPRESSIONS:
            raise InvalidInput(
                f"{path}: {info.filename} is encrypted or packed in a rare way; unpack the archive "
                "and import that file"
            )
    return ExportFile(path, tuple(sorted(info.filename for info in members)), size)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        InvalidInput: it cannot be read, or not twice.
    """
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} cannot be read twice; pass a file, not a folder or a pipe")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}; pass the path of a file"
        ) from error


def split_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; of a line longer than `MOST_LINE` one byte more than that."""
    while line := file.readline(MOST_LINE + 1):
        end = line
        while not end.endswith(b"\n") and (end := file.readline(MOST_LINE)):
            pass
        yield line


def parse_json(data: bytes) -> Any:
    """Return the value of JSON text; raise InvalidInput with the place of an error."""
    if len(data) > MOST_LINE:
        raise InvalidInput(f"longer than {MOST_LINE // 2**20} MiB")
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"not JSON at {at}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number too long, or nested too deep
        raise InvalidInput(f"JSON that cannot be read: {error}") from error


def require_field(record: object, key: str, kind: type[Kind], where: str) -> Kind:
    """Return a field of a JSON object; raise InvalidInput if it is missing or of another type."""
    if not isinstance(record, dict):
        raise InvalidInput(f"{where} is no JSON object")
    value = record.get(key)
    if not isinstance(value, kind):
        raise InvalidInput(f"{where} has no {key!r}" if value is None else f"{where}: bad {key!r}")
    return value
