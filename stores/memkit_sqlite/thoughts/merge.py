"""What came of thinking, into the tables: merged, inserted, closed. Inside one transaction."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from memkit.protocols import ReflectionResult, Vectors
from memkit.records import Source, Thought
from memkit.thoughts import merging as organise
from memkit.thoughts.near_duplicates import bands
from memkit_sqlite.thoughts import queue
from memkit_sqlite.thoughts.rows import from_thought, select, to_thought, validity
from memkit_sqlite.thoughts.transaction import ThoughtTransaction
from memkit_sqlite.turns import microseconds, to_turn


def apply(transaction: ThoughtTransaction, thinking: ReflectionResult) -> None:
    """Write what became of turns that were thought about, unless somebody else was first."""
    if thinking.failure is not None:
        queue.put_off(transaction.db, transaction.user, thinking)
        return
    if not queue.take(transaction.db, transaction.user, tuple(thinking.turns)):
        return
    transaction.db.execute(
        "UPDATE users SET rejected = rejected + ? WHERE user_id = ?",
        (thinking.rejected, transaction.user),
    )
    if not thinking.thoughts:
        return
    vectors = _checked(thinking, transaction.hashed.dimension)
    before = transaction.concluded(thinking.turns)
    for thought, vector in zip(thinking.thoughts, vectors, strict=True):
        if not _is_known(thought, vector, before):
            place(transaction, thought, vector)
    transaction.hashed.grow(transaction.db, transaction.user)


def _is_known(thought: Thought, vector: Vectors, before: Sequence[tuple[Thought, Vectors]]) -> bool:
    """Return whether the same was concluded from the same place before, and maybe taken back."""
    here = [place.start for place in thought.sources], thought.turn_ids
    return any(
        ([place.start for place in old.sources], old.turn_ids) == here
        and organise.repeats(thought, old, float(other @ vector))
        for old, other in before
    )


def _checked(thinking: ReflectionResult, dimension: int) -> Vectors:
    shape = (len(thinking.thoughts), dimension)
    vectors = thinking.vectors
    if vectors is None or vectors.shape != shape or not np.isfinite(vectors).all():
        given = None if vectors is None else vectors.shape
        raise ValueError(f"vectors must have the shape {shape} and be finite, got {given}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def place(transaction: ThoughtTransaction, thought: Thought, vector: Vectors) -> None:
    """Merge a thought into one that says the same, or insert it; then close what it replaces."""
    if thought.slot is not None:
        cut = _cut(transaction, thought)
        for one, own in [(thought, vector), *cut]:
            twin = organise.twin(one, transaction.of_slot(thought.slot))
            _merge_or_insert(transaction, one, own, twin)
        rechain(transaction, transaction.of_slot(thought.slot))
        return
    beside = transaction.like(thought, vector)
    twin = next((old for old, cosine in beside if organise.same(thought, old, cosine)), None)
    _merge_or_insert(transaction, thought, vector, twin)
    if twin is None:
        rivals = [old for old, cosine in beside if organise.may_contradict(thought, old, cosine)]
        _mark(transaction, thought, rivals)


def _cut(transaction: ThoughtTransaction, thought: Thought) -> list[tuple[Thought, Vectors]]:
    """Take out of its slot what was said again only after `thought` said otherwise; return it."""
    assert thought.slot is not None
    cut: list[tuple[Thought, Vectors]] = []
    for one in organise.interrupted(thought, transaction.of_slot(thought.slot)):
        later = transaction.fetch(
            'SELECT s.thought_seq, s.turn_seq, s.start, s."end", v.vector, turns.*'
            " FROM thoughts t CROSS JOIN thought_sources s ON s.thought_seq = t.seq"
            " CROSS JOIN turns ON turns.seq = s.turn_seq"
            " CROSS JOIN thought_vectors v ON v.thought_seq = t.seq AND v.embedder = ?"
            " WHERE t.user_id = ? AND t.id = ? AND turns.said_us > ?"
            " ORDER BY turns.said_us, turns.position",
            (transaction.hashed.embedder, transaction.user, one.id, microseconds(thought.said_at)),
        )
        transaction.db.executemany(
            "DELETE FROM thought_sources WHERE thought_seq = ? AND turn_seq = ?",
            [(row["thought_seq"], row["turn_seq"]) for row in later],
        )
        transaction.db.execute(
            "UPDATE thoughts SET repeated_at = (SELECT said_at FROM thought_sources s JOIN turns"
            " ON turns.seq = s.turn_seq WHERE s.thought_seq = thoughts.seq"
            " ORDER BY said_us DESC LIMIT 1) WHERE user_id = ? AND id = ?",
            (transaction.user, one.id),
        )
        cut += [(_again(one, row), np.frombuffer(row["vector"], np.float32)) for row in later]
    return cut


def _again(thought: Thought, said: sqlite3.Row) -> Thought:
    """Return a thought as it was said in one of its turns."""
    turn = to_turn(said)
    assert turn.said_at is not None
    return replace(
        thought,
        id=uuid.uuid4().hex,
        sources=(Source(turn_id=said["id"], start=said["start"], end=said["end"]),),
        said_by=turn.name or turn.role,
        role=turn.role,
        said_at=turn.said_at,
        repeated_at=turn.said_at,
        valid_from=max(thought.valid_from, turn.said_at),
    )


def _merge_or_insert(
    transaction: ThoughtTransaction, thought: Thought, vector: Vectors, twin: Thought | None
) -> None:
    if twin is None:
        transaction.new.append((_insert(transaction, thought, vector), vector))
        return
    one = organise.merged(twin, thought)
    columns = from_thought(transaction.user, one)
    transaction.db.execute(
        f"UPDATE thoughts SET {', '.join(f'{name} = :{name}' for name in columns)}"
        " WHERE user_id = :user_id AND id = :id",
        columns,
    )
    if one.text != twin.text:
        _reword(transaction, one, vector)
    same = organise.plain(one.text) == organise.plain(thought.text)
    _insert_sources(transaction, replace(one, sources=thought.sources), worded=same)


def _reword(transaction: ThoughtTransaction, thought: Thought, vector: Vectors) -> None:
    """Have a thought found by another text of it, which its sources do not have."""
    own = "thought_seq = (SELECT seq FROM thoughts WHERE user_id = ? AND id = ?)"
    transaction.db.execute(
        f"UPDATE thought_vectors SET vector = ?, groups = ? WHERE {own}",
        (vector.tobytes(), transaction.hashed.groups_of(vector), transaction.user, thought.id),
    )
    transaction.db.execute(
        f"UPDATE thought_sources SET worded = 0 WHERE {own}", (transaction.user, thought.id)
    )
    transaction.db.execute(f"DELETE FROM thought_bands WHERE {own}", (transaction.user, thought.id))
    _insert_bands(transaction, thought)
    transaction.db.execute(
        "UPDATE users SET layout = random() WHERE user_id = ?", (transaction.user,)
    )


def _insert(transaction: ThoughtTransaction, thought: Thought, vector: Vectors) -> int:
    row = from_thought(transaction.user, thought)
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    sql = f"INSERT INTO thoughts ({names}) VALUES ({marks}) RETURNING seq"
    seq = int(transaction.db.execute(sql, row).fetchone()[0])
    transaction.db.execute(
        "INSERT INTO thought_vectors (thought_seq, embedder, vector, groups) VALUES (?, ?, ?, ?)",
        (seq, transaction.hashed.embedder, vector.tobytes(), transaction.hashed.groups_of(vector)),
    )
    _insert_bands(transaction, thought)
    _insert_sources(transaction, thought)
    return seq


def _insert_bands(transaction: ThoughtTransaction, thought: Thought) -> None:
    if thought.slot is None:
        transaction.db.executemany(
            "INSERT OR IGNORE INTO thought_bands SELECT user_id, ?, seq FROM thoughts"
            " WHERE user_id = ? AND id = ?",
            [(band, transaction.user, thought.id) for band in bands(thought.text)],
        )


def _insert_sources(
    transaction: ThoughtTransaction, thought: Thought, *, worded: bool = True
) -> None:
    transaction.db.executemany(
        'INSERT OR IGNORE INTO thought_sources (thought_seq, turn_seq, start, "end", worded)'
        " SELECT t.seq, turns.seq, ?1, ?2, ?6 FROM thoughts t JOIN turns"
        " ON turns.user_id = t.user_id WHERE t.user_id = ?3 AND t.id = ?4 AND turns.id = ?5",
        [
            (source.start, source.end, transaction.user, thought.id, source.turn_id, worded)
            for source in thought.sources
        ],
    )


def _mark(transaction: ThoughtTransaction, thought: Thought, rivals: Sequence[Thought]) -> None:
    """Write down that a thought may contradict others, the one said earlier first."""
    pairs = [sorted((thought, rival), key=lambda one: one.said_at) for rival in rivals]
    transaction.db.executemany(
        "INSERT OR IGNORE INTO conflicts SELECT o.seq, n.seq FROM thoughts o JOIN thoughts n"
        " ON n.user_id = o.user_id WHERE o.user_id = ? AND o.id = ? AND n.id = ?",
        [(transaction.user, older.id, newer.id) for older, newer in pairs],
    )


def rechain(transaction: ThoughtTransaction, slot: Sequence[Thought]) -> None:
    """Write down which closes which of thoughts that cannot hold at once."""
    _close(transaction, organise.chain(slot), slot)


def resolve_conflict(
    transaction: ThoughtTransaction, older: str, newer: str, *, contradict: bool
) -> None:
    """Write down what a judge said of two thoughts: the newer closes the older, or both hold."""
    rows = select(transaction.fetch, transaction.scope, "AND t.id IN (?, ?)", [older, newer])
    known = {row["id"]: row for row in rows}
    if len(known) < 2:
        return  # one was forgotten meanwhile
    transaction.db.execute(
        "DELETE FROM conflicts WHERE older_seq = ? AND newer_seq = ?",
        (known[older]["seq"], known[newer]["seq"]),
    )
    pair = [to_thought(known[older]), to_thought(known[newer])]
    if contradict and all(one.closed_by is None for one in pair):
        rechain(transaction, pair)


def _close(
    transaction: ThoughtTransaction, now: Sequence[Thought], before: Sequence[Thought]
) -> None:
    changed = [
        validity(one) | {"user": transaction.user, "id": one.id} for one in now if one not in before
    ]
    transaction.db.executemany(
        "UPDATE thoughts SET valid_from = :valid_from, valid_from_us = :valid_from_us,"
        " valid_to = :valid_to, valid_to_us = :valid_to_us, closed_at = :closed_at,"
        " closed_us = :closed_us, closed_by = :closed_by WHERE user_id = :user AND id = :id",
        changed,
    )


def retract(transaction: ThoughtTransaction, thought: str, at: datetime) -> None:
    """Stop believing a thought; what it had closed holds again."""
    rows = select(transaction.fetch, transaction.scope, "AND t.id = ?", [thought])
    for row in rows:
        transaction.db.execute(
            "UPDATE thoughts SET retracted_at = ? WHERE seq = ?", (at.isoformat(), row["seq"])
        )
        transaction.db.execute(
            "DELETE FROM conflicts WHERE ? IN (older_seq, newer_seq)", (row["seq"],)
        )
        _reopen(transaction, [(row["id"], row["slot"])])


def forget(transaction: ThoughtTransaction, turns: Sequence[int]) -> None:
    """Delete what hangs on these turn rows; what was also said elsewhere is thought about anew."""
    wanted = json.dumps(turns)
    derived = transaction.fetch(
        "SELECT DISTINCT t.seq, t.id, t.slot, t.retracted_at FROM thought_sources s JOIN thoughts t"
        " ON t.seq = s.thought_seq WHERE s.turn_seq IN (SELECT value FROM json_each(?))",
        (wanted,),
    )
    transaction.db.executemany(
        "INSERT OR IGNORE INTO thinking (turn_seq, user_id)"
        " SELECT DISTINCT turn_seq, ? FROM thought_sources WHERE thought_seq = ?",
        [(transaction.user, row["seq"]) for row in derived if row["retracted_at"] is None],
    )
    # what a batch failed with may quote any turn of it
    transaction.db.execute(
        "UPDATE thinking SET failure = NULL WHERE user_id = ? AND again_us IS NOT NULL",
        (transaction.user,),
    )
    transaction.db.executemany(
        "DELETE FROM thoughts WHERE seq = ?", [(row["seq"],) for row in derived]
    )
    _reopen(transaction, [(row["id"], row["slot"]) for row in derived])


def _reopen(transaction: ThoughtTransaction, gone: Sequence[tuple[str, str | None]]) -> None:
    """Take back what thoughts did that are gone: what they closed holds again."""
    transaction.db.executemany(
        "UPDATE thoughts SET valid_to = NULL, valid_to_us = NULL, closed_at = NULL,"
        " closed_us = NULL, closed_by = NULL WHERE user_id = ? AND closed_by = ?",
        [(transaction.user, thought) for thought, _ in gone],
    )
    for slot in {slot for _, slot in gone if slot is not None}:
        rechain(transaction, transaction.of_slot(slot))
