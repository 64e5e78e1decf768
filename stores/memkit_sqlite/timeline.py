"""A user's searchable chunks in order, as arrays: a cache beside the vector index.

Sessions follow one another by when their first turn was said, and inside a session chunks stand as
they were said. Read from the rows once; later only what is new is read.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

import numpy as np

from memkit.protocols import Integers, Timeline
from memkit.records import Scope
from memkit_sqlite.turns import freshness, integers, microseconds

# the columns of a table: rows of one array, so that they are cut and joined together
_ROW, _SESSION, _AGENT, _SPEAKER, _SAID, _POSITION, _START, _TOKENS = range(8)
_INTEGERS = {
    _ROW: "c.seq", _SAID: "t.said_us", _POSITION: "t.position", _START: "c.start",
    _TOKENS: "c.tokens",
}  # fmt: skip
_NAMES = {
    _SESSION: "coalesce(t.session_id, '')",
    _AGENT: "coalesce(t.agent_id, '')",
    _SPEAKER: "coalesce(t.name, t.role)",
}
# a column comes as one string: quicker than as many rows. No name has a NUL, or is empty
_NEW = (
    f"SELECT {', '.join(f'group_concat({sql})' for sql in _INTEGERS.values())},"
    f" {', '.join(f'group_concat({sql}, char(0))' for sql in _NAMES.values())}"
    " FROM chunks c CROSS JOIN turns t ON t.seq = c.turn_seq"
    " WHERE c.user_id = ?1 AND c.hidden = 0 AND c.seq > ?2 AND t.user_id = ?1"
)

Codes = dict[str, int]


class ScopeView:
    """The chunks of one scope: a timeline, and which row stands at which place.

    The names are of this part alone: nothing tells of what else there is.
    """

    def __init__(self, table: Integers, names: Sequence[str], *, whole: bool) -> None:
        speakers, used = _renumbered(table[_SPEAKER], len(names))
        sessions = _runs(table[_SESSION])
        for array in (table, sessions, speakers):
            array.flags.writeable = False  # shared by all who read
        self.whole = whole  # nothing of the user's is left out
        self.rows = table[_ROW]
        self.timeline = Timeline(
            sessions=sessions,
            turns=table[_POSITION],
            tokens=table[_TOKENS],
            said_us=table[_SAID],
            speakers=speakers,
            names=tuple(names[code] for code in used),
        )

    @cached_property
    def _ascending(self) -> tuple[Integers, Integers]:
        """Return the rows in ascending order, and each one's place."""
        places = np.argsort(self.rows, kind="stable")
        return self.rows[places], places

    def places(self, rows: Integers) -> Integers:
        """Return the places of these rows, -1 where one is not of this part."""
        ascending, places = self._ascending
        if not len(ascending):
            return np.full(len(rows), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
        return np.where(ascending[at] == rows, places[at], -1)


class UserTimeline:
    """All that is searchable of one user, as one state of the rows has it."""

    def __init__(self) -> None:
        self._start(layout=0)

    def _start(self, layout: int) -> None:
        self._state = (layout, 0)  # and the newest row taken in
        self._sessions: Codes = {}
        self._agents: Codes = {}
        self._speakers: Codes = {}
        self._table = np.empty((8, 0), dtype=np.int64)
        self._whole = ScopeView(self._table, (), whole=True)

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes."""
        return 12 * 8 * self._table.shape[1]

    def refresh(self, db: sqlite3.Connection, user: str) -> None:
        """Take in what the rows have more, or all of them if other than new ones changed."""
        state = layout, _ = freshness(db, user)
        if state == self._state:
            return
        if layout != self._state[0]:
            self._start(layout)
        known = len(self._sessions)
        new = self._read(db, user)
        new = new[:, _in_order(new)]
        behind = _stands_behind(self._table, new, known)
        table = np.concatenate([self._table, new], axis=1)
        self._table = table if behind else table[:, _in_order(table)]
        self._whole = ScopeView(self._table, tuple(self._speakers), whole=True)
        self._state = state

    def _read(self, db: sqlite3.Connection, user: str) -> Integers:
        """Return the rows not taken in yet, in any order."""
        columns = db.execute(_NEW, (user, self._state[1])).fetchone()
        table = np.empty((8, columns[0].count(",") + 1 if columns[0] else 0), dtype=np.int64)
        if table.size:
            codes = self._sessions, self._agents, self._speakers
            for n, column in zip(_INTEGERS, columns, strict=False):
                table[n] = integers(column)
            for n, column, known in zip(_NAMES, columns[len(_INTEGERS) :], codes, strict=True):
                table[n] = _coded(column.split("\0"), known)
        return table

    def part(self, scope: Scope, until: datetime | None) -> ScopeView:
        """Return what is inside the scope and was said by `until`."""
        keep = np.ones(self._table.shape[1], dtype=bool)
        if scope.session_id is not None:
            keep &= self._table[_SESSION] == self._sessions.get(scope.session_id, -1)
        if scope.agent_id is not None:
            keep &= self._table[_AGENT] == self._agents.get(scope.agent_id, -1)
        if until is not None:
            keep &= self._table[_SAID] <= microseconds(until)
        if keep.all():
            return self._whole
        table = self._table[:, keep]
        if scope.agent_id is not None:  # another agent may have begun the session
            table = table[:, _in_order(table)]
        return ScopeView(table, tuple(self._speakers), whole=False)


def _coded(values: Sequence[str], codes: Codes) -> list[int]:
    for value in dict.fromkeys(values):
        codes.setdefault(value, len(codes))
    return [codes[value] for value in values]


def _first(codes: Integers, n: int) -> Integers:
    """Return where each of `n` codes comes first; where it does not, the number of them all."""
    first = np.full(n, len(codes), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of equal indexes the last one counts
    return first


def _renumbered(codes: Integers, n: int) -> tuple[Integers, list[int]]:
    """Return the codes numbered anew by when they come first, and which ones they were."""
    first = _first(codes, n)
    order = np.argsort(first, kind="stable")
    used = order[: int((first < len(codes)).sum())]
    new = np.zeros(n, dtype=np.int64)
    new[used] = np.arange(len(used))
    return new[codes], used.tolist()


def _runs(codes: Integers) -> Integers:
    """Number the runs of equal codes from 0."""
    runs = np.zeros(len(codes), dtype=np.int64)
    np.cumsum(codes[1:] != codes[:-1], out=runs[1:])
    return runs


def _in_order(table: Integers) -> Integers:
    """Return the order in which a table's columns are a timeline."""
    as_said = np.lexsort((table[_START], table[_POSITION], table[_SAID]))
    sessions = table[_SESSION][as_said]
    begun = _first(sessions, int(sessions.max(initial=-1)) + 1)
    return as_said[np.argsort(begun[sessions], kind="stable")]


def _stands_behind(old: Integers, new: Integers, known: int) -> bool:
    """Return whether all of `new` surely belongs after all of `old`; both are in order.

    `known` is how many sessions `old` has: theirs are the codes below.
    """
    if not old.shape[1] or not new.shape[1]:
        return True
    latest = old[:, -1]
    other = new[_SESSION] != latest[_SESSION]
    if (new[_SESSION, other] < known).any() or (other[0] and not other.all()):
        return False
    keys = (_SAID, _POSITION, _START)
    return [latest[key] for key in keys] < [new[key, 0] for key in keys]
