"""Export a memory as JSON lines, and import it into another one.

An export has all that cannot be computed again: turns, thoughts, summaries, what pruning hid, and
the queue of thinking. Chunks, vectors and indexes are computed at the import.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from memkit.embedders import embed_checked
from memkit.errors import InvalidInput, StoreReadOnly, TurnConflict
from memkit.govern import age, export_format
from memkit.govern.export_reader import Export, UserItems, read_export
from memkit.govern.ledger import Anchor
from memkit.ingest import build_write_batch
from memkit.portable import StoredThought, UserImport, UserState
from memkit.protocols import Backend, Embedder, Vectors, Window, WriteBatch
from memkit.records import Scope, Turn

File = str | PathLike[str] | BinaryIO
Progress = Callable[[int, int], None]
_EMBEDDED = 256  # turns or thoughts embedded together
_SHOWN_HASH = 16  # digits of the exported ledger's hash in the ledger of the import


class Writable(Protocol):
    """An open binary file, as far as an export needs it."""

    def write(self, data: bytes, /) -> int:
        """Write data; return how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCounts:
    """How much an export has."""

    users: int
    turns: int
    thoughts: int
    summaries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import stored, and what it did not."""

    users: int  # restored as a whole
    turns: int  # new ones
    thoughts: int
    summaries: int
    skipped: int = 0  # turns that were stored before
    user_ids: tuple[str, ...] = ()  # users with new turns
    problems: tuple[str, ...] = ()  # for each line that was not stored: where, and why


# ---- out


def export_to(
    store: Backend,
    target: File,
    *,
    user_id: str | None = None,
    passphrase: str | None = None,
) -> ExportCounts:
    """Write an export to a new file or to an open one; encrypt it if there is a passphrase."""
    if isinstance(target, (str, PathLike)):
        with _create_file(Path(target)) as file:
            return export_to(store, file, user_id=user_id, passphrase=passphrase)
    if passphrase is None:
        return _write_lines(store, target, user_id)
    writer = age.EncryptedWriter(target, passphrase)
    counts = _write_lines(store, writer, user_id)
    writer.finish()
    return counts


def _write_lines(store: Backend, file: Writable, user_id: str | None) -> ExportCounts:
    counts: Counter[str] = Counter()
    anchor = None
    for event in store.events():
        anchor = Anchor(seq=event.seq, hash=event.hash)
    with store.dump(user_id) as items:
        file.write(export_format.to_json(export_format.header(anchor)))
        for owner, item in items:
            line = export_format.to_line(owner, item)
            counts[line["type"]] += 1
            file.write(export_format.to_json(line))
    file.write(export_format.to_json(export_format.footer(counts.total() + 1)))
    return ExportCounts(
        users=counts["user"], turns=counts["turn"], thoughts=counts["thought"],
        summaries=counts["summary"],
    )  # fmt: skip


@contextmanager
def _create_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for the block. It appears complete or not at all, and replaces nothing."""
    if os.path.lexists(path):
        raise InvalidInput(f"{path} exists, and an export replaces nothing; give another path")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    except OSError as error:
        raise StoreReadOnly(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        path.touch(mode=0o600, exist_ok=False)  # takes the name, or fails if somebody was faster
        Path(name).replace(path)
    except FileExistsError as error:
        raise InvalidInput(f"{path} exists now; give another path") from error
    except OSError as error:
        raise StoreReadOnly(f"{path} cannot be written: {error.strerror}") from error
    finally:
        Path(name).unlink(missing_ok=True)


# ---- in


def import_from(
    store: Backend,
    embedder: Embedder,
    source: File,
    *,
    user_id: str | None = None,
    passphrase: str | None = None,
    progress: Progress = lambda _, __: None,
) -> ImportReport:
    """Read an export, and write one user after the other, each in one transaction.

    A user whom the memory lacks is restored as a whole. Where it has turns of the user, missing
    turns are added after them, and what is derived is drawn anew. `progress` is called with the
    turns done and their total.
    """
    name, lines = _read(source, passphrase)
    export = read_export(lines, user_id)
    run = _Import(store, embedder, export, progress)
    for owner, items in export.users.items():
        if items.turns:
            run.add_user(owner, items)
    run.show_progress(0)
    return ImportReport(
        users=run.counts["users"], turns=run.counts["turns"], thoughts=run.counts["thoughts"],
        summaries=run.counts["summaries"], skipped=run.counts["skipped"],
        user_ids=tuple(run.changed),
        problems=tuple(
            f"{name}, line {number}: {problem}"
            for number, problem in sorted(export.problems.items())
        ),
    )  # fmt: skip


def is_export(path: Path) -> bool:
    """Return whether a file begins as an export does, encrypted or not."""
    with _open(path) as file:
        first = file.readline().removeprefix(b"\xef\xbb\xbf")
    return first == age.MAGIC or export_format.is_header(first)


def is_encrypted(path: Path) -> bool:
    """Return whether a file was encrypted with age."""
    with _open(path) as file:
        return file.read(len(age.MAGIC)) == age.MAGIC


def _read(source: File, passphrase: str | None) -> tuple[str, list[bytes]]:
    """Return the name and the lines of an export, decrypted."""
    if isinstance(source, (str, PathLike)):
        with _open(Path(source)) as file:
            name, data = os.fspath(source), file.read()
    else:
        name, data = str(getattr(source, "name", "the export")), source.read()
    if data.startswith(age.MAGIC):
        if passphrase is None:
            raise InvalidInput("the export is encrypted; pass its passphrase")
        data = age.decrypt(data, passphrase)
    return name, data.split(b"\n")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; pass a file") from error


class _Import:
    """One run of an import: what is written where, and how far it is."""

    def __init__(
        self, store: Backend, embedder: Embedder, export: Export, progress: Progress
    ) -> None:
        self._store, self._embedder, self._export = store, embedder, export
        self._progress = progress
        self._total = sum(len(items.turns) for items in export.users.values())
        self._done = 0  # turns of the users before
        anchor = export.anchor
        self._source = "import" if anchor is None else f"import:{anchor.hash[:_SHOWN_HASH]}"
        self.counts: Counter[str] = Counter()
        self.changed: list[str] = []  # users with new turns

    def add_user(self, user_id: str, items: UserItems) -> None:
        """Restore a user, or add the missing turns of one whom the memory has."""
        scope = Scope(user_id=user_id)
        is_new = next(self._store.turns(scope, Window(last=1)), None) is None
        before = self.counts["turns"]
        if not (is_new and self._restore(user_id, items)):
            self._add_missing(scope, items)
        self.changed += [user_id] if self.counts["turns"] > before else []
        self._done += len(items.turns)

    def show_progress(self, turns: int) -> None:
        """Report how many turns of the current user are done."""
        self._progress(self._done + turns, self._total)

    def _restore(self, user_id: str, items: UserItems) -> bool:
        """Write a user with all that was derived; return False if it has turns by now."""
        turns = [item for _, item in items.turns]
        thoughts = [item for _, item in items.thoughts]
        summaries = [summary for _, summary in items.summaries]
        batch = self._embed_turns([item.turn for item in turns])
        is_stored = self._store.load(
            UserImport(
                user_id=user_id, state=items.state or UserState(turns=len(turns)), turns=turns,
                chunks=batch.chunks, vectors=batch.vectors, thoughts=thoughts,
                thought_vectors=self._embed_thoughts(thoughts), summaries=summaries,
                source=self._source,
            )
        )  # fmt: skip
        if is_stored:
            self.counts += Counter(
                users=1, turns=len(turns), thoughts=len(thoughts), summaries=len(summaries)
            )
        return is_stored

    def _add_missing(self, scope: Scope, items: UserItems) -> None:
        """Store the turns that the memory lacks; they are thought about as all new turns."""
        turns = [item.turn for _, item in items.turns]
        stored = self._store.turns(scope, Window(ids=[turn.id or "" for turn in turns]))
        texts = {turn.id: turn.text for turn in stored}
        new = [turn for turn in turns if turn.id not in texts]
        if new:
            self._store.write(scope, replace(self._embed_turns(new), source=self._source))
        for number, item in items.turns:
            id, text = item.turn.id or "", item.turn.text
            if texts.get(id, text) != text and not self._was_said(scope, id, text):
                self._export.problems[number] = str(TurnConflict(item.turn.id or ""))
        self.counts += Counter(turns=len(new), skipped=len(turns) - len(new))

    def _was_said(self, scope: Scope, id: str, text: str) -> bool:
        """Return whether a stored turn had this text before an update."""
        return any(former.text == text for former in self._store.wordings(scope, id))

    def _embed_turns(self, turns: Sequence[Turn]) -> WriteBatch:
        """Return turns with their chunks and vectors for one transaction."""
        batches: list[WriteBatch] = []
        for start in range(0, len(turns), _EMBEDDED):
            self.show_progress(start)
            batches.append(build_write_batch(turns[start : start + _EMBEDDED], self._embedder))
        vectors = [batch.vectors for batch in batches if batch.vectors is not None]
        chunks = [chunk for batch in batches for chunk in batch.chunks]
        return WriteBatch(turns=turns, chunks=chunks, vectors=self._stack(vectors))

    def _embed_thoughts(self, thoughts: Sequence[StoredThought]) -> Vectors:
        texts = [item.thought.text for item in thoughts]
        starts = range(0, len(texts), _EMBEDDED)
        return self._stack(
            [embed_checked(self._embedder, texts[start : start + _EMBEDDED]) for start in starts]
        )

    def _stack(self, vectors: Sequence[Vectors]) -> Vectors:
        dimension = self._embedder.fingerprint.dimension
        return np.concatenate([np.empty((0, dimension), dtype=np.float32), *vectors])
