"""Move a memory to another embedder: add new vectors next to the old ones, then switch."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from memkit.protocols import Embedder, Fingerprint, Vectors
from memkit_sqlite.thoughts.lsh_index import LSHIndex

_BATCH = 128
# tables with text to embed: the table, the table of its vectors, and the column that joins them
_EMBEDDED = (("chunks", "vectors", "chunk_seq"), ("thoughts", "thought_vectors", "thought_seq"))
_MISSING = (
    "SELECT seq, text FROM {0} WHERE seq > ? AND NOT EXISTS"
    " (SELECT 1 FROM {1} WHERE {2} = {0}.seq AND embedder = ?) ORDER BY seq LIMIT ?"
)
_TOTAL = "SELECT count(*) FROM {0}"
_DONE = "SELECT count(*) FROM {1} WHERE embedder = {3}"

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]
Progress = Callable[[int, int], None]


def run(
    transaction: Transaction,
    embedder: Embedder,
    progress: Progress,
    finish: Callable[[sqlite3.Connection, int], None],
) -> int:
    """Embed all rows with `embedder` and make it the current one; return the chunk count.

    `finish` is called with that count in the transaction that switches over, after the switch. If
    it fails, the memory keeps its embedder.

    Batches are committed one by one, so that an interrupted run is resumed. Until the switch,
    readers use the old vectors.
    """
    number = register(transaction, embedder)
    while True:
        embed_missing(transaction, embedder, number, progress)
        with transaction() as db:
            # rows written in the meantime are embedded by another round
            if not any(db.execute(_MISSING.format(*names), (0, number, 1)).fetchone()
                       for names in _EMBEDDED):  # fmt: skip
                _switch(db, number, embedder.fingerprint.dimension)
                count = _counts(db, _DONE, number)[0]
                finish(db, count)
                return count


def embed_missing(
    transaction: Transaction, embedder: Embedder, number: int, progress: Progress
) -> None:
    """Embed the rows that have no vector of this embedder yet."""
    for names in _EMBEDDED:
        _embed(transaction, embedder, number, names, progress)


def is_complete(db: sqlite3.Connection, number: int) -> bool:
    """Return whether every row has a vector of this embedder. Counts index entries only."""
    return _counts(db, _DONE, number) == _counts(db, _TOTAL)


def _embed(
    transaction: Transaction, embedder: Embedder, number: int, names: tuple[str, str, str],
    progress: Progress,
) -> None:  # fmt: skip
    """Embed the rows of one table that have no vector of this embedder yet."""
    _, vectors_of, key = names
    last = 0
    while True:
        with transaction() as db:
            done, total = _counts(db, _DONE, number), _counts(db, _TOTAL)
            batch = db.execute(_MISSING.format(*names), (last, number, _BATCH)).fetchall()
        # outside a transaction: the callback may take its time or write
        progress(sum(done), sum(total))
        if not batch:
            return
        vectors = embed_whole(embedder, [row["text"] for row in batch])
        with transaction() as db:
            db.executemany(
                f"INSERT OR IGNORE INTO {vectors_of} ({key}, embedder, vector)"
                f" SELECT ?1, ?2, seal(user_id, ?3) FROM {names[0]} WHERE seq = ?1",
                [(row["seq"], number, vectors[n].tobytes()) for n, row in enumerate(batch)],
            )
        last = batch[-1]["seq"]


def _counts(db: sqlite3.Connection, sql: str, number: int = 0) -> list[int]:
    """Run a query that counts rows, for each table with text to embed."""
    return [db.execute(sql.format(*names, number)).fetchone()[0] for names in _EMBEDDED]


def embed_whole(embedder: Embedder, texts: list[str]) -> Vectors:
    """Embed texts that may be too long for the embedder.

    The vector of such a text is the mean of its pieces' vectors, so that none of it is ignored.
    """
    pieces = [
        (n, text[start:end]) for n, text in enumerate(texts) for start, end in embedder.split(text)
    ]
    vectors = embedder.embed([piece for _, piece in pieces])
    sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, [n for n, _ in pieces], vectors)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(norms, 1e-12), dtype=np.float32)


def register(transaction: Transaction, embedder: Embedder) -> int:
    """Return the number of an embedder, which is not the current one if it is new."""
    new = embedder.fingerprint
    with transaction() as db:
        db.execute(
            "INSERT OR IGNORE INTO embedders (model, revision, dimension) VALUES (?, ?, ?)",
            (new.model, new.revision, new.dimension),
        )
        row = db.execute(
            "SELECT id FROM embedders WHERE model = ? AND revision = ? AND dimension = ?",
            (new.model, new.revision, new.dimension),
        ).fetchone()
    return int(row[0])


def drop(db: sqlite3.Connection, fingerprint: Fingerprint) -> None:
    """Delete an embedder that is not the current one, with its vectors."""
    db.execute(
        "DELETE FROM embedders WHERE model = ? AND revision = ? AND dimension = ? AND NOT current",
        (fingerprint.model, fingerprint.revision, fingerprint.dimension),
    )


def _switch(db: sqlite3.Connection, number: int, dimension: int) -> None:
    db.execute("UPDATE embedders SET current = (id = ?)", (number,))
    for _, vectors_of, _ in _EMBEDDED:
        db.execute(f"DELETE FROM {vectors_of} WHERE embedder != ?", (number,))
    db.execute("DELETE FROM embedders WHERE id != ?", (number,))
    db.execute("UPDATE users SET layout = random()")
    for (user,) in db.execute("SELECT DISTINCT user_id FROM thoughts").fetchall():
        LSHIndex(number, dimension).grow(db, user)


def read_embedder(db: sqlite3.Connection) -> tuple[int, Fingerprint] | None:
    """Return the key and the fingerprint of the current embedder, None for a new memory."""
    row = db.execute("SELECT * FROM embedders WHERE current").fetchone()
    if row is None:
        return None
    return row["id"], Fingerprint(
        model=row["model"], revision=row["revision"], dimension=row["dimension"]
    )
