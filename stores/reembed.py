"""Move a memory to another embedder: new vectors beside the old ones, then one switch."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from memkit.protocols import Embedder, Vectors

_BATCH = 128
_MISSING = (
    "SELECT seq, text FROM chunks WHERE seq > ? AND NOT EXISTS"
    " (SELECT 1 FROM vectors WHERE chunk_seq = chunks.seq AND embedder = ?) ORDER BY seq LIMIT ?"
)

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


def run(transaction: Transaction, embedder: Embedder, progress: Callable[[int, int], None]) -> int:
    """Embed every chunk with `embedder`, then make it the current one; return how many.

    Committed batch by batch: after an interruption the next run goes on where it stopped, and
    until the switch everybody reads the old vectors.
    """
    number = _register(transaction, embedder)
    with transaction() as db:
        total = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
        query = "SELECT count(*) FROM vectors WHERE embedder = ?"
        done = db.execute(query, (number,)).fetchone()[0]
    last = 0
    while True:
        progress(done, total)
        with transaction() as db:
            batch = db.execute(_MISSING, (last, number, _BATCH)).fetchall()
            if not batch:  # new turns come at the end, so nothing is missing now
                _switch(db, number)
                return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
        vectors = embed_whole(embedder, [row["text"] for row in batch])
        with transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO vectors (chunk_seq, embedder, vector)"
                " SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM chunks WHERE seq = ?1)",
                [(row["seq"], number, vectors[n].tobytes()) for n, row in enumerate(batch)],
            )
        done, last = done + len(batch), batch[-1]["seq"]


def embed_whole(embedder: Embedder, texts: list[str]) -> Vectors:
    """Embed texts that may be longer than this embedder reads at once.

    Such a text's vector is the mean of its pieces', so that its end counts too.
    """
    pieces = [
        (n, text[start:end]) for n, text in enumerate(texts) for start, end in embedder.split(text)
    ]
    vectors = embedder.embed([piece for _, piece in pieces])
    sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, [n for n, _ in pieces], vectors)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(norms, 1e-12), dtype=np.float32)


def _register(transaction: Transaction, embedder: Embedder) -> int:
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


def _switch(db: sqlite3.Connection, number: int) -> None:
    db.execute("UPDATE embedders SET current = (id = ?)", (number,))
    db.execute("DELETE FROM vectors WHERE embedder != ?", (number,))
    db.execute("DELETE FROM embedders WHERE id != ?", (number,))
    db.execute("UPDATE users SET layout = random()")
