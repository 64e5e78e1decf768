"""Full text: which chunks contain a word, as a table of keyed hashes without any words.

A term's key is a keyed hash of the user and of the term's stem. So a search reads the postings of
its user alone, and neither a copy of the index nor a deleted page of it shows what was said. A
chunk's row has its keys in the order of its terms, for phrases and for an exact deletion.

Not FTS5: it keeps the words of deleted rows until it merges its segments, and after a thousand
merges SQLite 3.40 calls the file malformed.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np

from memkit.protocols import Integers
from memkit.text.words import pairs, search_terms, stem, word_terms
from memkit_sqlite.turns import parse_integers

_BYTES = 8  # of a key
_END = 0  # behind the keys of a chunk's terms; no phrase has it
_FIND = "SELECT group_concat(chunk_seq) FROM postings WHERE term = ?"


class TermKeys:
    """Makes the keys of one user's terms. `secret` is the memory's."""

    def __init__(self, secret: bytes, user_id: str) -> None:
        memory = hashlib.blake2b(secret, digest_size=32).digest()
        user = hashlib.blake2b(user_id.encode(), key=memory, digest_size=32).digest()
        self._hash = hashlib.blake2b(key=user, digest_size=_BYTES)

    def key(self, term: str) -> int:
        """Return the key of a term and of all its forms with the same stem."""
        keyed = self._hash.copy()
        keyed.update(stem(term).encode())
        return int.from_bytes(keyed.digest(), signed=True)

    def keys(self, text: str, date: str) -> list[int]:
        """Return the keys under which a chunk is found, in the order of its terms.

        Behind them are the keys of the first characters of pairs, for questions that have only one
        character of a script without spaces.
        """
        terms = [*search_terms(date), *search_terms(text)]
        characters = sorted({_beginning(term[0]) for term in terms if pairs(term)})
        return [*map(self.key, terms), _END, *map(self.key, characters)]

    def phrase(self, word: str) -> list[int]:
        """Return the keys of the terms of a word: "e-mail" has two, "東京都" is "東京 京都"."""
        split = pairs(word)
        if split and len(split) == len(word):
            return [self.key(term) for term in split[:-1] or [_beginning(word)]]
        return [self.key(term) for term in word_terms(word)]


def _beginning(character: str) -> str:
    """Return the term of all pairs that begin with a character; no text has this term."""
    return f"{character}*"


def term_keys(db: sqlite3.Connection, user_id: str) -> TermKeys:
    """Return the maker of a user's keys, which depend on the user's secret, or the memory's id."""
    row = db.execute(
        "SELECT coalesce(user_secret(?), value) FROM meta WHERE key = 'store_id'", (user_id,)
    ).fetchone()
    return TermKeys(str(row[0]).encode(), user_id)


def pack(keys: Sequence[int]) -> bytes:
    """Return a chunk's keys as the value of its column `terms`."""
    return np.array(keys, dtype="<i8").tobytes()


def unpack(terms: bytes) -> Integers:
    """Return a chunk's keys."""
    return np.frombuffer(terms, dtype="<i8")


def insert(db: sqlite3.Connection, chunks: Iterable[tuple[int, Sequence[int]]]) -> None:
    """Index chunks, by their numbers, under their keys."""
    rows = sorted({(key, seq) for seq, keys in chunks for key in keys if key != _END})
    db.executemany("INSERT INTO postings (term, chunk_seq) VALUES (?, ?)", rows)


def delete(db: sqlite3.Connection, chunk_seqs: Iterable[int]) -> None:
    """Take chunks out of the index; to be called before their rows are deleted."""
    for seq in chunk_seqs:
        (terms,) = db.execute("SELECT terms FROM chunks WHERE seq = ?", (seq,)).fetchone()
        rows = [(key, seq) for key in sorted(set(unpack(terms).tolist()))]
        db.executemany("DELETE FROM postings WHERE term = ? AND chunk_seq = ?", rows)


def find(db: sqlite3.Connection, phrase: Sequence[int]) -> Integers:
    """Return the chunks in which these terms follow each other, by their numbers, ascending."""
    if not phrase:
        return np.empty(0, dtype=np.int64)
    postings = [parse_integers(db.execute(_FIND, (key,)).fetchone()[0]) for key in set(phrase)]
    chunks = reduce(np.intersect1d, sorted(postings, key=len))
    if len(phrase) == 1:
        return chunks
    return np.array([seq for seq in chunks.tolist() if _contains(db, seq, phrase)], dtype=np.int64)


def _contains(db: sqlite3.Connection, chunk_seq: int, phrase: Sequence[int]) -> bool:
    (terms,) = db.execute("SELECT terms FROM chunks WHERE seq = ?", (chunk_seq,)).fetchone()
    keys = unpack(terms)
    starts = np.flatnonzero(keys[: len(keys) - len(phrase) + 1] == phrase[0])
    return any(np.array_equal(keys[start : start + len(phrase)], phrase) for start in starts)


# ---- health

_PAGE = 4096  # rows read at a time


def find_faults(db: sqlite3.Connection) -> list[str]:
    """Return a sentence if the index has other rows than the chunks say. Reads all of both."""
    expected, stored = _Checksum(), _Checksum()
    cursor = db.execute("SELECT seq, terms FROM chunks")
    while page := cursor.fetchmany(_PAGE):
        pairs_of_chunks = [(key, seq) for seq, terms in page for key in set(unpack(terms).tolist())]
        expected.add([row for row in pairs_of_chunks if row[0] != _END])
    cursor = db.execute("SELECT term, chunk_seq FROM postings")
    while rows := cursor.fetchmany(_PAGE):
        stored.add(rows)
    if expected == stored:
        return []
    return [
        f"full text disagrees with the chunks: it has {stored.count} entries, and they have "
        f"{expected.count}"
    ]


class _Checksum:
    """The number and a sum of hashes of rows, whatever their order."""

    def __init__(self) -> None:
        self.count, self._sum = 0, 0

    def add(self, rows: Sequence[tuple[int, int]]) -> None:
        """Add rows of a key and a chunk."""
        self.count += len(rows)
        self._sum += sum(hash((row[0], row[1])) for row in rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Checksum) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes
