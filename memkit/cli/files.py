"""Files that commands write: whole or not at all, and never in place of something else."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from memkit.errors import InvalidInput

# SQLite's files beside a store's own, and the key that signs receipts
_COMPANIONS = ("", "-wal", "-shm", "-journal", ".key")
_OPEN_FILES = ("/dev/stdout", "/dev/stderr", "/dev/fd", "/proc")
_SQLITE = b"SQLite format 3\0"  # how a memory begins


@contextmanager
def open_target(path: Path | None, *, store: Path | None = None) -> Iterator[BinaryIO]:
    """Open an output for the block: stdout for None, otherwise a file, a pipe or a device.

    A file appears complete at the end of the block or not at all; a link is followed and stays.
    Pipes and devices are written to as they are. The file of the `store` and other databases are
    refused. Raises InvalidInput.
    """
    if path is None:
        stdout = typer.get_binary_stream("stdout")
        yield stdout
        stdout.flush()
        return
    target = Path(os.path.realpath(path))
    _refuse_databases(path, target, store)
    try:
        with _open_stream(path) if _is_stream(path) else _open_file(target) as file:
            yield file
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error


def _refuse_databases(path: Path, target: Path, store: Path | None) -> None:
    if store is not None:
        folders = [f"{os.path.realpath(store)}{suffix}" for suffix in (".index", ".keys")]
        own = {Path(f"{os.path.realpath(store)}{suffix}") for suffix in _COMPANIONS}
        if target in own or any(map(target.is_relative_to, folders)):
            raise InvalidInput(f"{path} belongs to the memory that is exported; give another path")
    if target.is_file():
        with target.open("rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                raise InvalidInput(f"{path} is a database; give another path, or delete it first")


def _is_stream(path: Path) -> bool:
    """Return whether a path is a pipe, a socket, a device, or an open file such as /dev/stdout."""
    if any(path.absolute().is_relative_to(name) for name in _OPEN_FILES):
        return True
    return path.exists() and not (path.is_file() or path.is_dir())


@contextmanager
def _open_stream(path: Path) -> Iterator[BinaryIO]:
    # os.open, because Python's "wb" would create a file where a device has been removed
    with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
        yield file


@contextmanager
def _open_file(target: Path) -> Iterator[BinaryIO]:
    """Write beside the target under a name that nobody has, then take its place."""
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory")
    descriptor, unfinished = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    finally:
        Path(unfinished).unlink(missing_ok=True)  # it is gone if it took the target's place
