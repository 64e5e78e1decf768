"""What came of thinking, into the tables: merged, inserted, closed. Inside one transaction."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from memkit.protocols import Thinking, Vectors
from memkit.records import Source, Thought
from memkit.thoughts import organise
from memkit.thoughts.bands import bands
from stores import queue
from stores.mind import Mind
from stores.rows import microseconds, to_turn
from stores.thoughts import from_thought, select, to_thought, validity


def apply(mind: Mind, thinking: Thinking) -> None:
    """Write what became of turns that were thought about, unless somebody else was first."""
    if thinking.failure is not None:
        queue.put_off(mind.db, mind.user, thinking)
        return
    if not queue.take(mind.db, mind.user, tuple(thinking.turns)):
        return
    mind.db.execute(
        "UPDATE users SET rejected = rejected + ? WHERE user_id = ?", (thinking.rejected, mind.user)
    )
    if not thinking.thoughts:
        return
    vectors = _checked(thinking, mind.hashed.dimension)
    before = mind.concluded(thinking.turns)
    for thought, vector in zip(thinking.thoughts, vectors, strict=True):
        if not _is_known(thought, vector, before):
            place(mind, thought, vector)
    mind.hashed.grow(mind.db, mind.user)


def _is_known(thought: Thought, vector: Vectors, before: Sequence[tuple[Thought, Vectors]]) -> bool:
    """Return whether the same was concluded from the same place before, and maybe taken back."""
    here = [place.start for place in thought.sources], thought.turn_ids
    return any(
        ([place.start for place in old.sources], old.turn_ids) == here
        and organise.repeats(thought, old, float(other @ vector))
        for old, other in before
    )


def _checked(thinking: Thinking, dimension: int) -> Vectors:
    shape = (len(thinking.thoughts), dimension)
    vectors = thinking.vectors
    if vectors is None or vectors.shape != shape or not np.isfinite(vectors).all():
        given = None if vectors is None else vectors.shape
        raise ValueError(f"vectors must have the shape {shape} and be finite, got {given}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def place(mind: Mind, thought: Thought, vector: Vectors) -> None:
    """Merge a thought into one that says the same, or insert it; then close what it replaces."""
    if thought.slot is not None:
        cut = _cut(mind, thought)
        for one, own in [(thought, vector), *cut]:
            twin = organise.twin(one, mind.of_slot(thought.slot))
            _merge_or_insert(mind, one, own, twin)
        rechain(mind, mind.of_slot(thought.slot))
        return
    beside = mind.like(thought, vector)
    twin = next((old for old, cosine in beside if organise.same(thought, old, cosine)), None)
    _merge_or_insert(mind, thought, vector, twin)
    if twin is None:
        rivals = [old for old, cosine in beside if organise.may_contradict(thought, old, cosine)]
        _mark(mind, thought, rivals)


def _cut(mind: Mind, thought: Thought) -> list[tuple[Thought, Vectors]]:
    """Take out of its slot what was said again only after `thought` said otherwise; return it."""
    assert thought.slot is not None
    cut: list[tuple[Thought, Vectors]] = []
    for one in organise.interrupted(thought, mind.of_slot(thought.slot)):
        later = mind.fetch(
            'SELECT s.thought_seq, s.turn_seq, s.start, s."end", v.vector, turns.*'
            " FROM thoughts t CROSS JOIN thought_sources s ON s.thought_seq = t.seq"
            " CROSS JOIN turns ON turns.seq = s.turn_seq"
            " CROSS JOIN thought_vectors v ON v.thought_seq = t.seq AND v.embedder = ?"
            " WHERE t.user_id = ? AND t.id = ? AND turns.said_us > ?"
            " ORDER BY turns.said_us, turns.position",
            (mind.hashed.embedder, mind.user, one.id, microseconds(thought.said_at)),
        )
        mind.db.executemany(
            "DELETE FROM thought_sources WHERE thought_seq = ? AND turn_seq = ?",
            [(row["thought_seq"], row["turn_seq"]) for row in later],
        )
        mind.db.execute(
            "UPDATE thoughts SET repeated_at = (SELECT said_at FROM thought_sources s JOIN turns"
            " ON turns.seq = s.turn_seq WHERE s.thought_seq = thoughts.seq"
            " ORDER BY said_us DESC LIMIT 1) WHERE user_id = ? AND id = ?",
            (mind.user, one.id),
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


def _merge_or_insert(mind: Mind, thought: Thought, vector: Vectors, twin: Thought | None) -> None:
    if twin is None:
        mind.new.append((_insert(mind, thought, vector), vector))
        return
    one = organise.merged(twin, thought)
    columns = from_thought(mind.user, one)
    mind.db.execute(
        f"UPDATE thoughts SET {', '.join(f'{name} = :{name}' for name in columns)}"
        " WHERE user_id = :user_id AND id = :id",
        columns,
    )
    if one.text != twin.text:
        _reword(mind, one, vector)
    same = organise.plain(one.text) == organise.plain(thought.text)
    _insert_sources(mind, replace(one, sources=thought.sources), worded=same)


def _reword(mind: Mind, thought: Thought, vector: Vectors) -> None:
    """Have a thought found by another text of it, which its sources do not have."""
    own = "thought_seq = (SELECT seq FROM thoughts WHERE user_id = ? AND id = ?)"
    mind.db.execute(
        f"UPDATE thought_vectors SET vector = ?, groups = ? WHERE {own}",
        (vector.tobytes(), mind.hashed.groups_of(vector), mind.user, thought.id),
    )
    mind.db.execute(f"UPDATE thought_sources SET worded = 0 WHERE {own}", (mind.user, thought.id))
    mind.db.execute(f"DELETE FROM thought_bands WHERE {own}", (mind.user, thought.id))
    _insert_bands(mind, thought)
    mind.db.execute("UPDATE users SET layout = random() WHERE user_id = ?", (mind.user,))


def _insert(mind: Mind, thought: Thought, vector: Vectors) -> int:
    row = from_thought(mind.user, thought)
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    sql = f"INSERT INTO thoughts ({names}) VALUES ({marks}) RETURNING seq"
    seq = int(mind.db.execute(sql, row).fetchone()[0])
    mind.db.execute(
        "INSERT INTO thought_vectors (thought_seq, embedder, vector, groups) VALUES (?, ?, ?, ?)",
        (seq, mind.hashed.embedder, vector.tobytes(), mind.hashed.groups_of(vector)),
    )
    _insert_bands(mind, thought)
    _insert_sources(mind, thought)
    return seq


def _insert_bands(mind: Mind, thought: Thought) -> None:
    if thought.slot is None:
        mind.db.executemany(
            "INSERT OR IGNORE INTO thought_bands SELECT user_id, ?, seq FROM thoughts"
            " WHERE user_id = ? AND id = ?",
            [(band, mind.user, thought.id) for band in bands(thought.text)],
        )


def _insert_sources(mind: Mind, thought: Thought, *, worded: bool = True) -> None:
    mind.db.executemany(
        'INSERT OR IGNORE INTO thought_sources (thought_seq, turn_seq, start, "end", worded)'
        " SELECT t.seq, turns.seq, ?1, ?2, ?6 FROM thoughts t JOIN turns"
        " ON turns.user_id = t.user_id WHERE t.user_id = ?3 AND t.id = ?4 AND turns.id = ?5",
        [
            (source.start, source.end, mind.user, thought.id, source.turn_id, worded)
            for source in thought.sources
        ],
    )


def _mark(mind: Mind, thought: Thought, rivals: Sequence[Thought]) -> None:
    """Write down that a thought may contradict others, the one said earlier first."""
    pairs = [sorted((thought, rival), key=lambda one: one.said_at) for rival in rivals]
    mind.db.executemany(
        "INSERT OR IGNORE INTO conflicts SELECT o.seq, n.seq FROM thoughts o JOIN thoughts n"
        " ON n.user_id = o.user_id WHERE o.user_id = ? AND o.id = ? AND n.id = ?",
        [(mind.user, older.id, newer.id) for older, newer in pairs],
    )


def rechain(mind: Mind, slot: Sequence[Thought]) -> None:
    """Write down which closes which of thoughts that cannot hold at once."""
    _close(mind, organise.chain(slot), slot)


def settle(mind: Mind, older: str, newer: str, *, contradict: bool) -> None:
    """Write down what a judge said of two thoughts: the newer closes the older, or both hold."""
    rows = select(mind.fetch, mind.scope, "AND t.id IN (?, ?)", [older, newer])
    known = {row["id"]: row for row in rows}
    if len(known) < 2:
        return  # one was forgotten meanwhile
    mind.db.execute(
        "DELETE FROM conflicts WHERE older_seq = ? AND newer_seq = ?",
        (known[older]["seq"], known[newer]["seq"]),
    )
    pair = [to_thought(known[older]), to_thought(known[newer])]
    if contradict and all(one.closed_by is None for one in pair):
        rechain(mind, pair)


def _close(mind: Mind, now: Sequence[Thought], before: Sequence[Thought]) -> None:
    changed = [
        validity(one) | {"user": mind.user, "id": one.id} for one in now if one not in before
    ]
    mind.db.executemany(
        "UPDATE thoughts SET valid_from = :valid_from, valid_from_us = :valid_from_us,"
        " valid_to = :valid_to, valid_to_us = :valid_to_us, closed_at = :closed_at,"
        " closed_us = :closed_us, closed_by = :closed_by WHERE user_id = :user AND id = :id",
        changed,
    )


def retract(mind: Mind, thought: str, at: datetime) -> None:
    """Stop believing a thought; what it had closed holds again."""
    rows = select(mind.fetch, mind.scope, "AND t.id = ?", [thought])
    for row in rows:
        mind.db.execute(
            "UPDATE thoughts SET retracted_at = ? WHERE seq = ?", (at.isoformat(), row["seq"])
        )
        mind.db.execute("DELETE FROM conflicts WHERE ? IN (older_seq, newer_seq)", (row["seq"],))
        _reopen(mind, [(row["id"], row["slot"])])


def forget(mind: Mind, turns: Sequence[int]) -> None:
    """Delete what hangs on these turn rows; what was also said elsewhere is thought about anew."""
    wanted = json.dumps(turns)
    hanging = mind.fetch(
        "SELECT DISTINCT t.seq, t.id, t.slot, t.retracted_at FROM thought_sources s JOIN thoughts t"
        " ON t.seq = s.thought_seq WHERE s.turn_seq IN (SELECT value FROM json_each(?))",
        (wanted,),
    )
    mind.db.executemany(
        "INSERT OR IGNORE INTO thinking (turn_seq, user_id)"
        " SELECT DISTINCT turn_seq, ? FROM thought_sources WHERE thought_seq = ?",
        [(mind.user, row["seq"]) for row in hanging if row["retracted_at"] is None],
    )
    # what a batch failed with may quote any turn of it
    mind.db.execute(
        "UPDATE thinking SET failure = NULL WHERE user_id = ? AND again_us IS NOT NULL",
        (mind.user,),
    )
    mind.db.executemany("DELETE FROM thoughts WHERE seq = ?", [(row["seq"],) for row in hanging])
    _reopen(mind, [(row["id"], row["slot"]) for row in hanging])


def _reopen(mind: Mind, gone: Sequence[tuple[str, str | None]]) -> None:
    """Take back what thoughts did that are gone: what they closed holds again."""
    mind.db.executemany(
        "UPDATE thoughts SET valid_to = NULL, valid_to_us = NULL, closed_at = NULL,"
        " closed_us = NULL, closed_by = NULL WHERE user_id = ? AND closed_by = ?",
        [(mind.user, thought) for thought, _ in gone],
    )
    for slot in {slot for _, slot in gone if slot is not None}:
        rechain(mind, mind.of_slot(slot))
