"""Two implementations of `memkit.thoughts.rows.ThoughtRows` behind one face."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

import numpy as np
from contract import ANN, EMBEDDER, adding
from memkit_sqlite.sqlite import SQLiteStore
from memkit_sqlite.thoughts.rows import SQLiteThoughtRows

from memkit.protocols import ReflectionResult, Vectors, WriteBatch
from memkit.records import Source, Thought, Turn
from memkit.thoughts.merging import ThoughtTransaction

_T = TypeVar("_T")


def _said_at(turn: Turn) -> datetime:
    assert turn.said_at is not None
    return turn.said_at


def _changed(stored: Sequence[_T], before: Sequence[_T], after: Sequence[_T]) -> tuple[_T, ...]:
    """Apply the difference between two versions to what is stored."""
    lost = set(before) - set(after)
    gained = [item for item in after if item not in before and item not in stored]
    return tuple(item for item in (*stored, *gained) if item not in lost)


class ThoughtMemory(Protocol):
    """What a test does with either implementation."""

    def remember(self, *turns: Turn) -> None: ...

    def write(self, batch: WriteBatch) -> None: ...

    def thoughts(self) -> list[Thought]:
        """Return all thoughts in the order recorded, closed and retracted ones too."""

    def queue(self) -> list[str]: ...


class InSQLite:
    """The rows of the SQLite store."""

    def __init__(self) -> None:
        self._store = SQLiteStore(":memory:", EMBEDDER.fingerprint)

    def remember(self, *turns: Turn) -> None:
        self._store.write(ANN, adding(*turns))

    def write(self, batch: WriteBatch) -> None:
        self._store.write(ANN, batch)

    def thoughts(self) -> list[Thought]:
        with self._store._connection.snapshot() as db:
            ids = [row[0] for row in db.execute("SELECT id FROM thoughts")]
            rows = SQLiteThoughtRows(db, "ann", lambda: self._store._lsh_index(db, "ann"))
            sources = rows.sources(ids)
            return [
                replace(thought, sources=tuple(source for source, _ in sources[thought.id]))
                for thought in rows.find(ids=ids)
            ]

    def queue(self) -> list[str]:
        return sorted(str(queued.turn.id) for queued in self._store.next_batch(ANN, 999))


class InDictionaries:
    """Rows in dictionaries: Think-in-Memory needs no SQL."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._queue: set[str] = set()
        self._thoughts: dict[str, Thought] = {}
        self._vectors: dict[str, Vectors] = {}

    def remember(self, *turns: Turn) -> None:
        self._turns |= {str(turn.id): turn for turn in turns}
        self._queue |= {str(turn.id) for turn in turns}

    def write(self, batch: WriteBatch) -> None:
        ThoughtTransaction(self).write(batch)
        self._queue -= set(batch.forget)
        for turn_id in batch.forget:
            self._turns.pop(turn_id, None)

    def thoughts(self) -> list[Thought]:
        return [
            replace(self._found(thought), sources=self._ordered(thought))
            for thought in self._thoughts.values()
        ]

    def queue(self) -> list[str]:
        return sorted(self._queue)

    def _ordered(self, thought: Thought) -> tuple[Source, ...]:
        stored = list(self._turns)
        return tuple(
            sorted(
                thought.sources,
                key=lambda source: (
                    _said_at(self._turns[source.turn_id]), stored.index(source.turn_id),
                    source.start,
                ),
            )
        )  # fmt: skip

    def _found(self, thought: Thought) -> Thought:
        """Return a thought as `find` does: without sources, with the conflicts of both sides."""
        conflicts = [
            rival.id
            for rival in self._thoughts.values()
            if rival.id in thought.conflicts or thought.id in rival.conflicts
        ]
        return replace(thought, sources=(), conflicts=tuple(conflicts))

    # ---- memkit.thoughts.rows.ThoughtRows

    def carriers(self) -> list[Thought]:
        return [self._found(thought) for thought in self._thoughts.values()]

    def turns(self, ids: Sequence[str]) -> list[Turn]:
        return [self._turns[id] for id in ids if id in self._turns]

    def take(self, reflection: ReflectionResult) -> bool:
        if not self._queue.issuperset(reflection.turns):
            return False
        self._queue -= set(reflection.turns)
        return True

    def find(
        self,
        *,
        ids: Sequence[str] = (),
        turn_ids: Sequence[str] = (),
        closed_by: Sequence[str] = (),
    ) -> list[Thought]:
        return [
            self._found(thought)
            for thought in self._thoughts.values()
            if thought.id in ids
            or set(turn_ids) & set(thought.turn_ids)
            or thought.closed_by in closed_by
        ]

    def nearest(self, text: str, vector: Vectors, k: int) -> list[tuple[Thought, float]]:  # noqa: ARG002
        pairs = [
            (self._found(thought), float(self._vectors[thought.id] @ vector))
            for thought in self._thoughts.values()
            if thought.closed_by is None and thought.retracted_at is None
        ]
        return sorted(pairs, key=lambda pair: -pair[1])[:k]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        empty = np.empty((0, EMBEDDER.fingerprint.dimension), dtype=np.float32)
        return np.concatenate([empty, *(self._vectors[id][None] for id in ids)])

    def sources(self, ids: Sequence[str]) -> dict[str, list[tuple[Source, Turn]]]:
        return {
            id: [
                (source, self._turns[source.turn_id])
                for source in self._ordered(self._thoughts[id])
            ]
            for id in ids
        }

    def insert(self, thought: Thought, vector: Vectors) -> None:
        self._thoughts[thought.id] = thought
        self._vectors[thought.id] = vector

    def update(
        self, before: Thought, after: Thought, *, vector: Vectors | None = None, **_: Any
    ) -> None:
        stored = self._thoughts[after.id]
        self._thoughts[after.id] = replace(
            after,
            sources=_changed(stored.sources, before.sources, after.sources),
            conflicts=_changed(stored.conflicts, before.conflicts, after.conflicts),
        )
        if vector is not None:
            self._vectors[after.id] = vector
        for rival in set(before.conflicts) - set(after.conflicts):
            conflicts = self._thoughts[rival].conflicts
            remaining = _changed(conflicts, (after.id,), ())
            self._thoughts[rival] = replace(self._thoughts[rival], conflicts=remaining)

    def delete(self, ids: Sequence[str], *, requeue: Sequence[str]) -> None:
        self._queue |= set(requeue)
        for id in ids:
            self._thoughts.pop(id, None)
        for thought in self._thoughts.values():
            remaining = tuple(id for id in thought.conflicts if id not in ids)
            self._thoughts[thought.id] = replace(thought, conflicts=remaining)
