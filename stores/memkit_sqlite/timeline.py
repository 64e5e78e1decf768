"""A user's searchable chunks in order, as arrays: a cache in memory.

Sessions follow one another in the order of their first turns; within a session, chunks are in the
order they were said. The rows are read once; later only new ones are read, and the arrays lose
those that are gone.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

import numpy as np

from memkit.protocols import Integers, Timeline
from memkit.records import Scope
from memkit_sqlite import cipher
from memkit_sqlite.turns import lenient_text, microseconds, parse_integers, read_seqs, read_version

# A table is one array, so that its columns are cut and joined together: the first axis is what is
# known of a chunk, the second has a chunk per timeline row.
_SEQ, _SESSION, _AGENT, _SPEAKER, _SAID, _POSITION, _START, _TOKENS = range(8)
_INTEGERS = {
    _SEQ: "c.seq", _SAID: "t.said_us", _POSITION: "t.position", _START: "c.start",
    _TOKENS: "c.tokens",
}  # fmt: skip
_NAMES = {
    _SESSION: "coalesce(t.session_id, '')",
    _AGENT: "coalesce(t.agent_id, '')",
    _SPEAKER: f"coalesce({cipher.unsealed('t.name')}, t.role)",
}
# Each column comes as one string, which is faster than many rows. Names never contain NUL.
_NEW = (
    f"SELECT {', '.join(f'group_concat({sql})' for sql in _INTEGERS.values())},"
    f" {', '.join(f'group_concat({sql}, char(0))' for sql in _NAMES.values())}"
    " FROM chunks c CROSS JOIN turns t ON t.seq = c.turn_seq"
    " WHERE c.user_id = ?1 AND c.hidden = 0 AND c.seq > ?2 AND t.user_id = ?1"
)

Codes = dict[str, int]  # numbers the distinct values of a column of names


class ScopeView:
    """The chunks of one scope: a timeline, and the key of each of its rows.

    Names and numbers are those of this scope alone, so that nothing reveals what else is stored.
    """

    def __init__(self, table: Integers, names: Sequence[str], *, whole: bool) -> None:
        speakers, used = _renumber(table[_SPEAKER], len(names))
        # the runs of equal sessions, numbered from 0
        sessions = np.cumsum(np.diff(table[_SESSION], prepend=table[_SESSION, :1]) != 0)
        for array in (table, sessions, speakers):
            array.flags.writeable = False  # shared by all readers
        self.whole = whole  # whether it has all of the user's searchable chunks
        self.seqs = table[_SEQ]
        self.timeline = Timeline(
            sessions=sessions,
            turns=table[_POSITION],
            tokens=table[_TOKENS],
            said_us=table[_SAID],
            speakers=speakers,
            names=tuple(names[code] for code in used),
        )

    @cached_property
    def _by_seq(self) -> tuple[Integers, Integers]:
        """Return the keys in ascending order, and the row of each."""
        rows = np.argsort(self.seqs, kind="stable")
        return self.seqs[rows], rows

    def rows_of(self, seqs: Integers) -> Integers:
        """Return the timeline rows of chunks by their keys, -1 for those outside the scope."""
        ascending, rows = self._by_seq
        if not len(ascending):
            return np.full(len(seqs), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(ascending, seqs), len(ascending) - 1)
        return np.where(ascending[at] == seqs, rows[at], -1)


class UserTimeline:
    """All searchable chunks of one user, as of one state of the rows."""

    def __init__(self) -> None:
        self._version = (0, 0)  # the user's layout, and the newest key read
        self._codes: dict[int, Codes] = {column: {} for column in _NAMES}
        self._table = np.empty((8, 0), dtype=np.int64)
        self._whole = ScopeView(self._table, (), whole=True)

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        return 12 * 8 * self._table.shape[1]

    @property
    def newest(self) -> int:
        """Return the newest key that was read."""
        return self._version[1]

    @property
    def seqs(self) -> Integers:
        """Return the keys of all chunks, in the order of the timeline."""
        return np.asarray(self._table[_SEQ])

    def refresh(self, db: sqlite3.Connection, user_id: str) -> None:
        """Read the chunks added since, and drop those that were removed or hidden."""
        version = layout, _ = read_version(db, user_id)
        if version == self._version:
            return
        table, after = self._table, self._version[1]
        if table.size and layout != self._version[0]:
            live = read_seqs(db, user_id)
            table = self._drop_names(table[:, np.isin(table[_SEQ], live)])
            shown_again = live[(live <= after) & ~np.isin(live, table[_SEQ])]
            after = int(shown_again.min(initial=after + 1)) - 1
        sessions_before = len(self._codes[_SESSION])
        new = self._read(db, user_id, after)
        new = new[:, ~np.isin(new[_SEQ], table[_SEQ])]
        new = new[:, _order(new)]
        appendable = _comes_after(table, new, sessions_before)
        table = np.concatenate([table, new], axis=1)
        self._table = table if appendable else table[:, _order(table)]
        self._whole = ScopeView(self._table, tuple(self._codes[_SPEAKER]), whole=True)
        self._version = version

    def _drop_names(self, table: Integers) -> Integers:
        """Forget the names that no chunk has any more; return the table with their new codes."""
        for n, codes in self._codes.items():
            is_used = np.bincount(table[n], minlength=len(codes)) > 0
            if not is_used.all():
                names = [name for name, used in zip(codes, is_used, strict=True) if used]
                table[n] = (np.cumsum(is_used) - 1)[table[n]]
                self._codes[n] = {name: code for code, name in enumerate(names)}
        return table

    def _read(self, db: sqlite3.Connection, user_id: str, after: int) -> Integers:
        """Return the table of the chunks with keys above `after`, in any order."""
        with lenient_text(db):  # one damaged name must not end every search
            columns = db.execute(_NEW, (user_id, after)).fetchone()
        table = np.empty((8, columns[0].count(",") + 1 if columns[0] else 0), dtype=np.int64)
        if table.size:
            for n, column in zip(_INTEGERS, columns, strict=False):
                table[n] = parse_integers(column)
            for n, column in zip(_NAMES, columns[len(_INTEGERS) :], strict=True):
                codes = self._codes[n]  # a new name gets the next code
                table[n] = [codes.setdefault(name, len(codes)) for name in column.split("\0")]
        return table

    def view(self, scope: Scope, until: datetime | None) -> ScopeView:
        """Return the chunks inside the scope that were said by `until`."""
        inside = np.ones(self._table.shape[1], dtype=bool)
        if scope.session_id is not None:
            inside &= self._table[_SESSION] == self._codes[_SESSION].get(scope.session_id, -1)
        if scope.agent_id is not None:
            inside &= self._table[_AGENT] == self._codes[_AGENT].get(scope.agent_id, -1)
        if until is not None:
            inside &= self._table[_SAID] <= microseconds(until)
        if inside.all():
            return self._whole
        table = self._table[:, inside]
        if scope.agent_id is not None:  # another agent's turn may have been the first of a session
            table = table[:, _order(table)]
        return ScopeView(table, tuple(self._codes[_SPEAKER]), whole=False)


def _first_indexes(codes: Integers, n: int) -> Integers:
    """Return the first index of each code below `n`, or `len(codes)` if it does not occur."""
    first = np.full(n, len(codes), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of equal indexes the last one counts
    return first


def _renumber(codes: Integers, n: int) -> tuple[Integers, list[int]]:
    """Number codes below `n` in the order they first occur; return also the old code of each."""
    first = _first_indexes(codes, n)
    order = np.argsort(first, kind="stable")
    used = order[: int((first < len(codes)).sum())]
    new = np.zeros(n, dtype=np.int64)
    new[used] = np.arange(len(used))
    return new[codes], used.tolist()


def _order(table: Integers) -> Integers:
    """Return the order in which a table's chunks form a timeline."""
    by_time = np.lexsort((table[_START], table[_POSITION], table[_SAID]))
    sessions = table[_SESSION][by_time]
    first = _first_indexes(sessions, int(sessions.max(initial=-1)) + 1)
    return by_time[np.argsort(first[sessions], kind="stable")]


def _comes_after(old: Integers, new: Integers, sessions: int) -> bool:
    """Return whether all of `new` certainly belongs after `old`, which has this many sessions."""
    if not old.shape[1] or not new.shape[1]:
        return True
    last = old[:, -1]
    elsewhere = new[_SESSION] != last[_SESSION]
    if (new[_SESSION, elsewhere] < sessions).any() or (elsewhere[0] and not elsewhere.all()):
        return False
    keys = (_SAID, _POSITION, _START)
    return [last[key] for key in keys] < [new[key, 0] for key in keys]
