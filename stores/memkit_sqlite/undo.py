"""Undo what events changed in derived rows, and erase images of rows with forgotten words.

Triggers in schema.toml write the images, whoever changes a row. The state after an event is, for
every row that has changed since, its first image after the event; all other rows are as they were.
A restoration changes rows too, so it can be undone in the same way.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import NamedTuple

from memkit.errors import InvalidInput
from memkit.govern.residue import text_pieces
from memkit.records import Rollback, Thought
from memkit_sqlite import ledger, summaries
from memkit_sqlite.cipher import parse_image
from memkit_sqlite.thoughts import bands
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.turns import change_layout


class _Image(NamedTuple):
    """What a row was: `image` is JSON, None for a row that was not there, "false" if erased."""

    key: int
    key_2: int
    key_3: int
    image: str | None
    data: bytes | None


_Images = Mapping[str, Sequence[_Image]]  # by item

_FIRST_IMAGES = """SELECT item, key, key_2, key_3, image, data, min(event) FROM undo
    WHERE user_id = ? AND event > ? GROUP BY item, key, key_2, key_3"""
_EVENTS = "SELECT count(DISTINCT event) FROM undo WHERE user_id = ? AND event > ?"
_KEYS = "(SELECT value FROM json_each(?))"
# the images that a deletion looks at, and how they are found: SQLite prefers the primary key
_IMAGES_ONLY = "undo INDEXED BY undo_images"
_OF_USER = "image IS NOT NULL AND item != 'queued' AND user_id = ?"
_OLDEST = """SELECT u.event, l.at FROM undo u JOIN ledger l ON l.seq = u.event
    WHERE u.user_id = ? ORDER BY u.event LIMIT 1"""
# of thoughts that are no longer stored, or in other words
_OTHER_TEXTS = f"""SELECT key, concat AS text FROM (SELECT key, image ->> 'text' AS words,
    (image ->> 'text') || char(10) || coalesce(image ->> 'head', '') || char(10)
    || coalesce(image ->> 'relation', '') || char(10) || coalesce(image ->> 'tail', '') AS concat
    FROM (SELECT key, unseal_image(image) AS image
          FROM {_IMAGES_ONLY} WHERE {_OF_USER} AND item = 'thought'))
    WHERE words IS NOT NULL
    AND words NOT IN (SELECT unseal(text) FROM thoughts t WHERE t.seq = key)"""


def rollback(
    db: sqlite3.Connection,
    user_id: str,
    event: int,
    open_index: Callable[[], LSHIndex],
    source: str,
) -> Rollback:
    """Undo what changed in a user's derived rows after an event, and record that as an event.

    Raises InvalidInput if images of what changed are no longer stored.
    """
    row = db.execute("SELECT undo_from FROM users WHERE user_id = ?", (user_id,)).fetchone()
    if row is not None and event < row[0]:
        raise InvalidInput(
            f"what event {event + 1} changed of {user_id!r} can no longer be undone: images are "
            "stored for `Settings.undo_days`, and since the last change of the embedder; roll "
            f"back to event {row[0]} or a later one"
        )
    undone = int(db.execute(_EVENTS, (user_id, event)).fetchone()[0])
    if not undone:
        return Rollback(user_id=user_id, to_event=event)
    counts, ids = _restore(db, user_id, event, open_index())
    name = ledger.append(
        db, "rollback", user_id=user_id, source=source, ids=ids,
        counts={"to_event": event, "undone": undone} | counts,
    )  # fmt: skip
    return Rollback(user_id=user_id, to_event=event, event=name, undone=undone, **counts)


# ---- restore


def _restore(
    db: sqlite3.Connection, user_id: str, event: int, index: LSHIndex
) -> tuple[Counter[str], list[str]]:
    """Give a user's derived rows the state they had after an event.

    Returns what changed: counts, and the ids of thoughts. Turns stay. Those stored since are
    queued, and so are those of a thought that does not come back, because another of its turns
    was forgotten.
    """
    images: dict[str, list[_Image]] = defaultdict(list)
    for row in db.execute(_FIRST_IMAGES, (user_id, event)).fetchall():
        images[row["item"]].append(_Image(*row[1:6]))
    incomplete = _turns_of_erased(db, images)
    ids = _restore_thoughts(db, user_id, images["thought"])
    _restore_links(db, images)
    _restore_hash(db, user_id, images["hash"], index)
    incomplete += _reopen(db, user_id)
    _restore_summaries(db, user_id, images["summary"])
    summaries.delete_outdated(db, user_id)
    summaries.set_summarised(db, user_id)
    changed = db.executemany(
        "UPDATE chunks SET hidden = ?1 WHERE seq = ?2 AND hidden != ?1",
        [(*json.loads(row.image or "[0]"), row.key) for row in images["hidden"]],
    )
    queued = _restore_queue(db, user_id, images, incomplete)
    change_layout(db, user_id)
    db.execute("UPDATE users SET generation = random() WHERE user_id = ?", (user_id,))
    counts = Counter(
        thoughts=len(ids), summaries=len(images["summary"]), chunks=max(changed.rowcount, 0),
        queued=queued,
    )  # fmt: skip
    return counts, ids


def _turns_of_erased(db: sqlite3.Connection, images: _Images) -> list[int]:
    """Return the keys of the turns of thoughts that were erased with another of their turns."""
    erased = {row.key for row in images["thought"] if row.image == "false"}
    sql = f"SELECT turn_seq FROM thought_sources WHERE thought_seq IN {_KEYS}"
    turns = [row[0] for row in db.execute(sql, (json.dumps(list(erased)),))]
    return turns + [row.key_2 for row in images["source"] if row.image and row.key in erased]


def _restore_thoughts(db: sqlite3.Connection, user_id: str, images: Sequence[_Image]) -> list[str]:
    """Restore the rows of thoughts and their bands; return the ids of all that changed."""
    stored = [row for row in images if row.image not in (None, "false")]
    keys = json.dumps([row.key for row in images])
    ids = dict.fromkeys(
        row[0] for row in db.execute(f"SELECT id FROM thoughts WHERE seq IN {_KEYS}", (keys,))
    )
    db.executemany(
        "DELETE FROM thoughts WHERE seq = ?",
        [(row.key,) for row in images if row.image in (None, "false")],
    )
    for row in stored:
        columns = parse_image(row.image or "") | {"seq": row.key, "user_id": user_id}
        ids[columns["id"]] = None
        names = ", ".join(columns)
        marks = ", ".join(f":{name}" for name in columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
        restored = db.execute(
            f"INSERT INTO thoughts ({names}) VALUES ({marks})"
            f" ON CONFLICT (seq) DO UPDATE SET {changes} RETURNING text",
            columns,
        ).fetchone()
        bands.replace(db, user_id, row.key, restored["text"])
    return list(ids)


def _restore_links(db: sqlite3.Connection, images: _Images) -> None:
    """Restore sources, conflicts and vectors of the thoughts and turns that are stored."""
    for table, columns, item in (
        ("thought_sources", ("thought_seq", "turn_seq", "start"), "source"),
        ("conflicts", ("older_seq", "newer_seq"), "conflict"),
    ):
        condition = " AND ".join(f"{column} = ?" for column in columns)
        keys = [row[: len(columns)] for row in images[item] if row.image is None]
        db.executemany(f"DELETE FROM {table} WHERE {condition}", keys)
    db.executemany(
        'INSERT INTO thought_sources (thought_seq, turn_seq, start, "end", worded)'
        " SELECT t.seq, turns.seq, ?3, ?4, ?5 FROM thoughts t, turns"
        ' WHERE t.seq = ?1 AND turns.seq = ?2 ON CONFLICT DO UPDATE SET "end" = ?4, worded = ?5',
        [(*row[:3], *json.loads(row.image)) for row in images["source"] if row.image],
    )
    db.executemany(
        "INSERT OR IGNORE INTO conflicts SELECT o.seq, n.seq FROM thoughts o, thoughts n"
        " WHERE o.seq = ? AND n.seq = ?",
        [row[:2] for row in images["conflict"] if row.image],
    )
    db.executemany(
        "INSERT INTO thought_vectors (thought_seq, embedder, vector)"
        " SELECT seq, ?2, seal(user_id, ?3) FROM thoughts WHERE seq = ?1"
        " ON CONFLICT DO UPDATE SET vector = excluded.vector, groups = NULL",
        [(*row[:2], row.data) for row in images["vector"]],
    )


def _restore_hash(
    db: sqlite3.Connection, user_id: str, images: Sequence[_Image], index: LSHIndex
) -> None:
    """Restore the hash of the thoughts, and compute the groups that follow from it."""
    for row in images:
        db.execute("DELETE FROM hashes WHERE user_id = ?", (user_id,))
        if row.image:
            columns = json.loads(row.image) | {"user_id": user_id}
            names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            db.execute(
                f"INSERT INTO hashes ({names}, centre) VALUES ({marks}, seal(:user_id, :centre))",
                columns | {"centre": row.data},
            )
        db.execute(
            "UPDATE thought_vectors SET groups = NULL WHERE thought_seq IN"
            " (SELECT seq FROM thoughts WHERE user_id = ?)",
            (user_id,),
        )
    index.regroup(db, user_id)


def _reopen(db: sqlite3.Connection, user_id: str) -> list[int]:
    """Open the thoughts that an erased one closed; return the keys of the turns to think about."""
    reopened = db.execute(
        "UPDATE thoughts SET valid_to = NULL, valid_to_us = NULL, closed_at = NULL,"
        " closed_us = NULL, closed_by = NULL WHERE user_id = ?1 AND closed_by IS NOT NULL"
        " AND closed_by NOT IN (SELECT id FROM thoughts WHERE user_id = ?1) RETURNING seq",
        (user_id,),
    ).fetchall()
    sql = f"SELECT turn_seq FROM thought_sources WHERE thought_seq IN {_KEYS}"
    return [row[0] for row in db.execute(sql, (json.dumps([seq for (seq,) in reopened]),))]


def _restore_summaries(db: sqlite3.Connection, user_id: str, images: Sequence[_Image]) -> None:
    db.executemany("DELETE FROM summaries WHERE seq = ?", [(row.key,) for row in images])
    for row in images:
        columns = parse_image(row.image or "false")
        if not columns:
            continue
        sources = columns.pop("sources")
        columns |= {"seq": row.key, "user_id": user_id}
        names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        db.execute(f"INSERT INTO summaries ({names}) VALUES ({marks})", columns)
        db.executemany(
            "INSERT INTO summary_sources VALUES (?, ?, ?)",
            [(row.key, n, source) for n, source in enumerate(sources)],
        )


def _restore_queue(
    db: sqlite3.Connection, user_id: str, images: _Images, incomplete: Sequence[int]
) -> int:
    """Restore the queue, and queue the turns stored since; return how many were added."""
    before = db.execute(
        "SELECT turns, rejected FROM users WHERE user_id = ?", (user_id,)
    ).fetchone()
    for row in images["user"]:
        before = json.loads(row.image or "")
    if before is None:
        return 0
    db.execute("UPDATE users SET rejected = ? WHERE user_id = ?", (before[1], user_id))
    db.executemany(
        "DELETE FROM thinking WHERE turn_seq = ?",
        [(row.key,) for row in images["queued"] if row.image is None],
    )
    keys = [*incomplete, *(row.key for row in images["queued"] if row.image)]
    added = db.execute(
        "INSERT OR IGNORE INTO thinking (turn_seq, user_id) SELECT seq, user_id FROM turns"
        f" WHERE user_id = ? AND (position > ? OR seq IN {_KEYS})",
        (user_id, before[0], json.dumps(keys)),
    )
    return max(added.rowcount, 0)


# ---- forget


class Forgotten(NamedTuple):
    """Turns that are being deleted."""

    keys: Sequence[int]
    texts: Sequence[str]
    first: int  # the least of their positions


def start_forgetting(db: sqlite3.Connection, user_id: str, turn_ids: Sequence[str]) -> Forgotten:
    """Return the turns to be deleted; until `erase`, deleted rows leave no words in images."""
    db.execute("UPDATE users SET forgetting = 1 WHERE user_id = ?", (user_id,))
    rows = db.execute(
        f"SELECT seq, text, position FROM turns WHERE user_id = ? AND id IN {_KEYS}",
        (user_id, json.dumps(list(turn_ids))),
    ).fetchall()
    return Forgotten(
        keys=[row[0] for row in rows],
        texts=[str(row[1]) for row in rows],  # bytes only in a damaged row
        first=min((row[2] for row in rows), default=2**62),
    )


def erase(
    db: sqlite3.Connection, user_id: str, forgotten: Forgotten, deleted: Iterable[Thought]
) -> None:
    """Erase the images of thoughts and summaries with words of deleted turns.

    `deleted` are the thoughts that went with these turns. An image goes too if one of the turns was
    a source of its thought, or if it has 12 characters of one that the stored row does not have.
    """
    if not db.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone():
        db.execute("DELETE FROM undo WHERE user_id = ?", (user_id,))  # nothing is left of them
        return
    db.execute("UPDATE users SET forgetting = 0 WHERE user_id = ?", (user_id,))
    if not forgotten.keys:
        return
    ids = {thought.id for thought in deleted}
    seqs = _find_tainted(db, user_id, forgotten, ids)
    ids |= _ids_of(db, user_id, seqs)
    keys = (user_id, json.dumps(sorted(seqs)))
    db.execute(
        f"UPDATE {_IMAGES_ONLY} SET image = 'false'"
        f" WHERE {_OF_USER} AND item = 'thought' AND key IN {_KEYS}",
        keys,
    )
    db.execute(
        f"DELETE FROM {_IMAGES_ONLY} WHERE {_OF_USER} AND item = 'vector' AND key IN {_KEYS}", keys
    )
    db.execute(
        f"UPDATE {_IMAGES_ONLY} SET image = 'false'"
        f" WHERE {_OF_USER} AND item = 'summary' AND image ->> 'through' >= ?",
        (user_id, forgotten.first),
    )
    # what they closed is closed by what closes it now
    names = ("valid_to", "valid_to_us", "closed_at", "closed_us", "closed_by")
    changes = ", ".join(f"'$.{name}', t.{name}" for name in names)
    db.execute(
        f"UPDATE {_IMAGES_ONLY} SET image = json_set(image, {changes}) FROM thoughts t"
        f" WHERE {_OF_USER.replace('user_id', 'undo.user_id')} AND item = 'thought'"
        f" AND t.seq = undo.key AND image ->> 'closed_by' IN {_KEYS}",
        (user_id, json.dumps(sorted(ids))),
    )
    db.execute(f"DELETE FROM {_IMAGES_ONLY} WHERE {_OF_USER} AND item = 'hash'", (user_id,))
    # turns that were queued because of the deletion stay queued
    db.execute(
        "DELETE FROM undo INDEXED BY undo_requeued WHERE user_id = ?1 AND item = 'queued'"
        " AND image IS NULL AND key IN (SELECT turn_seq FROM thinking WHERE user_id = ?1)",
        (user_id,),
    )


def _find_tainted(
    db: sqlite3.Connection, user_id: str, forgotten: Forgotten, ids: AbstractSet[str]
) -> set[int]:
    """Return the keys of thoughts with images that have words of deleted turns."""
    rows = db.execute(
        f"SELECT key FROM {_IMAGES_ONLY} WHERE {_OF_USER} AND item IN ('thought', 'source')"
        f" AND iif(item = 'thought', image ->> 'id' IN {_KEYS}, key_2 IN {_KEYS})",
        (user_id, json.dumps(sorted(ids)), json.dumps(forgotten.keys)),
    )
    seqs = {row[0] for row in rows}
    pieces = text_pieces(forgotten.texts)
    for row in db.execute(_OTHER_TEXTS, (user_id,)):
        if pieces & text_pieces([row["text"]]):
            seqs.add(row["key"])
    return seqs


def _ids_of(db: sqlite3.Connection, user_id: str, seqs: Iterable[int]) -> set[str]:
    """Return the ids of thoughts by their images."""
    rows = db.execute(
        f"SELECT DISTINCT image ->> 'id' FROM {_IMAGES_ONLY} WHERE {_OF_USER}"
        f" AND item = 'thought' AND image != 'false' AND key IN {_KEYS}",
        (user_id, json.dumps(sorted(seqs))),
    )
    return {row[0] for row in rows}


# ---- the length of the journal


def is_due(db: sqlite3.Connection, user_id: str, before: datetime) -> bool:
    """Return whether a user has images of events from before a time."""
    oldest = db.execute(_OLDEST, (user_id,)).fetchone()
    return oldest is not None and oldest["at"] < _to_text(before)


def trim(db: sqlite3.Connection, user_id: str, before: datetime) -> None:
    """Delete a user's images of events from before a time; these can then not be undone."""
    if not is_due(db, user_id, before):
        return  # another process was first
    oldest = db.execute(_OLDEST, (user_id,)).fetchone()
    (last,) = db.execute(
        "SELECT max(seq) FROM ledger WHERE seq >= ? AND at < ?",
        (oldest["event"], _to_text(before)),
    ).fetchone()
    db.execute("DELETE FROM undo WHERE user_id = ? AND event <= ?", (user_id, last))
    db.execute("UPDATE users SET undo_from = ? WHERE user_id = ?", (last, user_id))


def _to_text(time: datetime) -> str:
    """Return a time as events of the ledger have it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def clear(db: sqlite3.Connection) -> None:
    """Delete the images of all users: no event up to now can be undone."""
    db.execute("DELETE FROM undo")
    db.execute("UPDATE users SET undo_from = (SELECT max(seq) FROM ledger)")
