"""Cut single rows out of an FTS5 index, so that nothing of them stays in its segments.

FTS5's own delete writes a marker, and the words stay in older segments until these are merged,
which costs as much as the whole index is large. Its option `secure-delete` (SQLite 3.42) does what
`erase` does, but SQLite before 3.42 cannot read the file afterwards. The format of a segment is
described in https://sqlite.org/src/file/ext/fts5/fts5_index.c, "SQLite FTS5 on-disk format".
"""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

_TABLE = "searchable_fts"
_TOTALS, _STRUCTURE = 1, 10  # ids of two records in the data table
_SEGMENT_BITS, _DOCLIST_INDEX = 37, 1 << 36  # of the id of a page: segment, kind, page number
_MAIN = b"0"  # the first byte of every term
_MARKER = b"\x01"  # an empty list of positions, marked as deleted
_MERGED_FROM = 0.05  # share of the rows from which merging the whole index costs less

_Postings = list[tuple[int, bytes]]  # rowids, each with the bytes of its positions on this page


def erase(db: sqlite3.Connection, rowids: Sequence[int]) -> None:
    """Remove rows and all their words from the full-text index, inside the caller's transaction.

    Cost: grows with the words of these rows, not with the index, unless they are more than 5 % of
    its rows; then all segments are merged. Call it before anything else changes the index in the
    same transaction, because FTS5 keeps pending changes to itself.
    """
    rows = [row for rowid in rowids if (row := _read_row(db, rowid)) is not None]
    if len(rows) > 100 and len(rows) > _MERGED_FROM * _read_totals(db)[0]:
        _delete_and_merge(db, rows)
        return
    words: dict[bytes, set[int]] = defaultdict(set)
    for rowid, text, scope, _ in rows:
        for term in _terms(text, scope):
            words[term].add(rowid)
    structure = db.execute(f"SELECT block FROM {_TABLE}_data WHERE id = ?", (_STRUCTURE,))
    for segment in _segments(db, structure.fetchone()[0]):
        for term, erased in words.items():
            segment.remove(term, erased)
        segment.write()
    _subtract_totals(db, [rowid for rowid, *_, visible in rows if visible])


def _read_row(db: sqlite3.Connection, rowid: int) -> tuple[int, str, str, bool] | None:
    row = db.execute("SELECT words, scope, hidden FROM chunks WHERE seq = ?", (rowid,)).fetchone()
    return None if row is None else (rowid, row[0], row[1], not row[2])


def _delete_and_merge(db: sqlite3.Connection, rows: Iterable[tuple[int, str, str, bool]]) -> None:
    db.executemany(
        f"INSERT INTO {_TABLE} ({_TABLE}, rowid, words, scope) VALUES ('delete', ?, ?, ?)",
        [(rowid, text, scope) for rowid, text, scope, visible in rows if visible],
    )
    db.execute(f"INSERT INTO {_TABLE} ({_TABLE}) VALUES ('optimize')")


def _terms(text: str, scope: str) -> list[bytes]:
    """Return the terms of a row as FTS5 cuts and stems them."""
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute("CREATE VIRTUAL TABLE t USING fts5 (a, b, tokenize='porter ascii')")
        scratch.execute("CREATE VIRTUAL TABLE v USING fts5vocab ('t', 'row')")
        scratch.execute("INSERT INTO t VALUES (?, ?)", (text, scope))
        scratch.text_factory = bytes
        return [row[0] for row in scratch.execute("SELECT term FROM v")]


def _read_totals(db: sqlite3.Connection) -> list[int]:
    """Return the number of rows, and of words per column."""
    record = db.execute(f"SELECT block FROM {_TABLE}_data WHERE id = ?", (_TOTALS,)).fetchone()
    return _read_integers(record[0]) if record and record[0] else [0]


def _subtract_totals(db: sqlite3.Connection, rowids: Sequence[int]) -> None:
    """Take rows out of the counts of rows and of words per column."""
    totals = _read_totals(db)
    for rowid in rowids:
        sizes = db.execute(f"SELECT sz FROM {_TABLE}_docsize WHERE id = ?", (rowid,)).fetchone()
        if sizes is not None:
            lost = (1, *_read_integers(sizes[0]))
            totals = [total - less for total, less in zip(totals, lost, strict=True)]
            db.execute(f"DELETE FROM {_TABLE}_docsize WHERE id = ?", (rowid,))
    block = b"".join(map(_varint, totals))
    db.execute(f"UPDATE {_TABLE}_data SET block = ? WHERE id = ?", (block, _TOTALS))


# ---- variable-length integers, most significant bits first


def _read(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at this offset, and the offset after it."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9


def _varint(value: int) -> bytes:
    if value >= 1 << 56:
        return bytes([value >> 57 - 7 * n & 0x7F | 0x80 for n in range(8)]) + bytes([value & 0xFF])
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def _read_integers(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = (data[at], at + 1) if data[at] < 0x80 else _read(data, at)
        values.append(value)
    return values


# ---- a page: what is left of the previous term's postings, then terms with theirs


@dataclass(slots=True)
class _Page:
    """A leaf of a segment. `continuation` ends the positions that the page before began.

    Postings stay as bytes until a term is changed, because a page has a thousand of them.
    """

    continuation: bytes = b""
    head: bytes = b""  # postings of the last term of an earlier page
    terms: list[tuple[bytes, bytes]] = field(default_factory=list)  # with their postings

    @classmethod
    def parse(cls, data: bytes) -> "_Page":
        """Read a page: where the first rowid is, where the terms end, then the content.

        The offsets of the terms are at the end, each counted from the one before.
        """
        first = int.from_bytes(data[:2])
        end = int.from_bytes(data[2:4])
        starts, at = list[int](), 0
        for step in _read_integers(data[end:]):
            at += step
            starts.append(at)
        ends = [*starts[1:], end]
        head_end = starts[0] if starts else end
        page = cls(continuation=data[4 : first or head_end])
        page.head = data[first:head_end] if first else b""
        before = b""
        for start, stop in zip(starts, ends, strict=False):
            shared, at = (0, start) if not page.terms else _read(data, start)
            length, at = _read(data, at)
            before = before[:shared] + data[at : at + length]
            page.terms.append((before, data[at + length : stop]))
        return page

    def dump(self) -> bytes:
        content = bytearray(4) + self.continuation
        if self.head:
            content[:2] = len(content).to_bytes(2)
            content += self.head
        index, before, last = b"", b"", 0
        for n, (term, postings) in enumerate(self.terms):
            index += _varint(len(content) - last)
            last = len(content)
            shared = _shared(before, term)
            content += (_varint(shared) if n else b"") + _varint(len(term) - shared)
            content += term[shared:] + postings
            before = term
        content[2:4] = len(content).to_bytes(2)
        return bytes(content) + index


def _shared(before: bytes, term: bytes) -> int:
    n = 0
    while n < min(len(before), len(term)) and before[n] == term[n]:
        n += 1
    return n


def _parse_postings(data: bytes) -> _Postings:
    """Read rowids, each after the first counted from the one before, with their positions."""
    postings: _Postings = []
    rowid, at = 0, 0
    while at < len(data):
        # most integers have one byte, and a call costs more than reading it
        step, at = (data[at], at + 1) if data[at] < 0x80 else _read(data, at)
        size, start = (data[at], at + 1) if data[at] < 0x80 else _read(data, at)
        rowid, stop = rowid + step, start + (size >> 1)
        postings.append((rowid, data[at:stop]))
        at = stop
    return postings


def _dump_postings(postings: _Postings) -> bytes:
    data, before = bytearray(), 0
    for rowid, positions in postings:
        data += _varint(rowid - before) + positions
        before = rowid
    return bytes(data)


def _missing(positions: bytes) -> int:
    """Return how many bytes of a row's positions are on the next pages."""
    size, start = _read(positions, 0)
    return start + (size >> 1) - len(positions)


# ---- a segment: pages in the order of their terms, and an index of the first term of each


class _Segment:
    """A segment that rows are cut out of. Changed pages are kept until `write`."""

    def __init__(self, db: sqlite3.Connection, number: int, first: int, last: int) -> None:
        self._db, self._number, self._first, self._last = db, number, first, last
        self._pages: dict[int, _Page] = {}
        self._changed: set[int] = set()

    def remove(self, term: bytes, rowids: set[int]) -> None:
        """Remove these rows from the postings of a term, and a term that has none left."""
        key = _MAIN + term
        start, has_doclist_index = self._find(key)
        page = self._page(start)
        n = next((n for n, (name, _) in enumerate(page.terms) if name == key), None)
        if n is None:
            return
        numbers = [start]
        if n == len(page.terms) - 1:
            numbers += self._continued(key, start)
        removed = [
            self._cut(number, n if number == start else None, rowids)
            for number in self._narrow_down(numbers, rowids)
        ]
        if not any(removed):
            return
        if not page.terms[n][1]:
            page.terms[n] = (key, self._take_first_posting(numbers[1:]))
        if has_doclist_index and n == len(page.terms) - 1:  # it is that of the last term
            self._rebuild_doclist_index(start, numbers[1:])
        if not page.terms[n][1]:
            del page.terms[n]
            self._index_first_term(start)

    def _narrow_down(self, numbers: Sequence[int], rowids: set[int]) -> list[int]:
        """Return those of a term's pages, in order, that may have these rows."""
        later = [number for number in numbers[1:] if self._page(number).head]
        first_rowids = [_read(self._page(number).head, 0)[0] for number in later]
        positions = {bisect_right(first_rowids, rowid) for rowid in rowids}
        return [later[at - 1] if at else numbers[0] for at in sorted(positions)]

    def write(self) -> None:
        """Write the pages that changed."""
        if self._first in self._changed and not self._page(self._first).terms:
            # the first page begins with a term: one without letters, of a row that is deleted
            self._pages[self._first].terms = [(_MAIN, _dump_postings([(1, _MARKER)]))]
            self._index_first_term(self._first)
        self._db.executemany(
            f"UPDATE {_TABLE}_data SET block = ? WHERE id = ?",
            [(self._pages[number].dump(), self._id(number)) for number in sorted(self._changed)],
        )

    def _id(self, number: int) -> int:
        return (self._number << _SEGMENT_BITS) + number

    def _page(self, number: int) -> _Page:
        if number not in self._pages:
            sql = f"SELECT block FROM {_TABLE}_data WHERE id = ?"
            self._pages[number] = _Page.parse(
                self._db.execute(sql, (self._id(number),)).fetchone()[0]
            )
        return self._pages[number]

    def _find(self, key: bytes) -> tuple[int, bool]:
        """Return the page that has a term if any has, and whether it has a doclist index."""
        row = self._db.execute(
            f"SELECT pgno FROM {_TABLE}_idx WHERE segid = ? AND term <= ?"
            " ORDER BY term DESC LIMIT 1",
            (self._number, key),
        ).fetchone()
        if row is None or row[0] >> 1 < self._first:
            return self._first, False
        return row[0] >> 1, bool(row[0] & 1)

    def _continued(self, key: bytes, start: int) -> list[int]:
        """Return the later pages that the postings of a page's last term may continue on."""
        row = self._db.execute(
            f"SELECT pgno >> 1 FROM {_TABLE}_idx WHERE segid = ? AND term > ? AND pgno >> 1 > ?"
            " ORDER BY term LIMIT 1",
            (self._number, key, start),
        ).fetchone()
        return list(range(start + 1, (row[0] if row else self._last) + 1))

    def _cut(self, number: int, n: int | None, rowids: set[int]) -> bool:
        """Remove rows from the postings of a page's n-th term, or of its head if `n` is None."""
        page = self._page(number)
        postings = _parse_postings(page.head if n is None else page.terms[n][1])
        remaining = [posting for posting in postings if posting[0] not in rowids]
        if len(remaining) == len(postings):
            return False
        if postings[-1][0] in rowids:
            self._take_continuation(number, postings[-1][1])
        if n is None:
            page.head = _dump_postings(remaining)
        else:
            page.terms[n] = (page.terms[n][0], _dump_postings(remaining))
        self._changed.add(number)
        return True

    def _take_continuation(self, number: int, positions: bytes) -> bytes:
        """Remove from the pages after this one what they have of a row's positions; return it."""
        taken = b""
        while _missing(positions + taken) > 0:
            number += 1
            later = self._page(number)
            taken += later.continuation
            later.continuation = b""
            self._changed.add(number)
        return taken

    def _take_first_posting(self, numbers: Sequence[int]) -> bytes:
        """Remove the first row from these pages' heads and return it, if there is one.

        SQLite 3.40 loses its way where a term has no row on its own page and the next one is empty.
        """
        for number in numbers:
            page = self._page(number)
            if page.head:
                (rowid, positions), *others = _parse_postings(page.head)
                page.head = _dump_postings(others)
                self._changed.add(number)
                if not others:
                    positions += self._take_continuation(number, positions)
                return _dump_postings([(rowid, positions)])
        return b""

    def _index_first_term(self, number: int) -> None:
        """Correct the index of first terms after a page has lost its first one."""
        terms = self._page(number).terms
        where = f"{_TABLE}_idx WHERE segid = ? AND pgno >> 1 = ?"
        row = self._db.execute(f"SELECT term, pgno FROM {where}", (self._number, number)).fetchone()
        if row is None:
            return
        if not terms and number != self._first:
            self._db.execute(f"DELETE FROM {where}", (self._number, number))
        elif terms and row[0]:  # the first page of a segment may be indexed under an empty term
            self._db.execute(
                f"UPDATE {_TABLE}_idx SET term = ? WHERE segid = ? AND term = ?",
                (terms[0][0], self._number, row[0]),
            )

    def _rebuild_doclist_index(self, start: int, later: Sequence[int]) -> None:
        """Write the index of a long list of postings again: the first rowid of each page."""
        index, before = b"", 0
        for number in later:
            head = self._page(number).head
            first = _read(head, 0)[0] if head else before
            if head and not index:
                index = bytes(1) + _varint(number) + _varint(first)
            elif index:
                index += _varint(first - before) if head else bytes(1)
            before = first
        place = self._id(start) + _DOCLIST_INDEX
        if index:
            sql = f"UPDATE {_TABLE}_data SET block = ? WHERE id = ?"
            self._db.execute(sql, (index, place))
            return
        self._db.execute(f"DELETE FROM {_TABLE}_data WHERE id = ?", (place,))
        self._db.execute(
            f"UPDATE {_TABLE}_idx SET pgno = pgno & ~1 WHERE segid = ? AND pgno >> 1 = ?",
            (self._number, start),
        )


def _segments(db: sqlite3.Connection, structure: bytes) -> list[_Segment]:
    """Read the structure record: a cookie, three counts, then each level with its segments."""
    levels, at = _read(structure, 4)
    for _ in range(2):
        _, at = _read(structure, at)
    segments = []
    for _ in range(levels):
        _, at = _read(structure, at)
        count, at = _read(structure, at)
        for _ in range(count):
            number, at = _read(structure, at)
            first, at = _read(structure, at)
            last, at = _read(structure, at)
            _delete_merged_pages(db, number, first)
            if first:
                segments.append(_Segment(db, number, first, last))
    return segments


def _delete_merged_pages(db: sqlite3.Connection, number: int, first: int) -> None:
    """Delete what a merge that is not complete has copied: all before page `first`; 0: all."""
    if first == 1:
        return
    start = number << _SEGMENT_BITS
    end = start + first if first else (number + 1) << _SEGMENT_BITS
    db.execute(f"DELETE FROM {_TABLE}_data WHERE id >= ? AND id < ?", (start, end))
    db.execute(
        f"DELETE FROM {_TABLE}_idx WHERE segid = ?1 AND (?2 = 0 OR pgno >> 1 < ?2)", (number, first)
    )
