"""MinHash bands of thoughts as rows: thoughts that share one may be duplicates."""

import hashlib
import sqlite3

from memkit.thoughts.lsh import minhash_bands, minhash_scheme


def insert(db: sqlite3.Connection, user_id: str, seq: int, text: str) -> None:
    """Insert the bands of a thought with this key and text."""
    db.executemany(
        "INSERT OR IGNORE INTO thought_bands VALUES (?, ?, ?)",
        [(user_id, band, seq) for band in bands_of(db, user_id, text)],
    )


def replace(db: sqlite3.Connection, user_id: str, seq: int, text: str) -> None:
    """Store the bands of a thought's new text in place of its old ones."""
    db.execute("DELETE FROM thought_bands WHERE thought_seq = ?", (seq,))
    insert(db, user_id, seq, text)


def bands_of(db: sqlite3.Connection, user_id: str, text: str) -> list[int]:
    """Return the MinHash bands of a text; keyed with the user's secret in an encrypted memory."""
    bands = list(minhash_bands(text))
    secret = db.execute("SELECT user_secret(?)", (user_id,)).fetchone()[0]
    if secret is None:
        return bands
    key = bytes.fromhex(secret)
    digests = [hashlib.blake2b(str(band).encode(), key=key, digest_size=8) for band in bands]
    return [int.from_bytes(digest.digest(), signed=True) for digest in digests]


def refresh(db: sqlite3.Connection) -> None:
    """Compute all bands again if the stored ones are of another scheme."""
    scheme = minhash_scheme()
    stored = db.execute("SELECT value FROM meta WHERE key = 'minhash_scheme'").fetchone()
    if stored is not None and stored[0] == scheme:
        return
    db.execute("DELETE FROM thought_bands")
    for row in db.execute("SELECT user_id, seq, text FROM thoughts"):
        insert(db, *row)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('minhash_scheme', ?)", (scheme,))
