"""Take the words of deleted rows out of the segments of the full-text index."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

_STEP = 256  # pages of about 4 kB that a transaction writes; other writers wait for one step

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


def merge(transaction: Transaction) -> None:
    """Merge all segments into one, in many short transactions.

    FTS5's delete only writes a marker. The words stay in older segments until these are merged with
    it. A merge that was interrupted continues with the next call.

    Cost: reads and writes the index of all users, unless nothing has changed since the last merge.
    Source: https://sqlite.org/fts5.html#the_merge_command
    """
    pages = -_STEP  # negative: begin to merge all segments; positive: continue
    while _merges(transaction, pages):
        pages = _STEP


def _merges(transaction: Transaction, pages: int) -> bool:
    """Merge about this many pages; return whether there was anything to merge."""
    with transaction() as db:
        before = db.total_changes
        db.execute(
            "INSERT INTO searchable_fts (searchable_fts, rank) VALUES ('merge', ?)", (pages,)
        )
        return db.total_changes - before >= 2  # the INSERT itself counts as one
