"""The SQLite schema, as numbered migrations that run once each and in order.

Turns are the truth. Chunks, vectors and full text are derived from them: foreign keys and triggers
delete them with their turn.
"""

import sqlite3

from sqlite_utils import Database, Migrations

from memkit.errors import NewerSchema, NotAMemory
from memkit.text.words import pairs
from memkit_sqlite.turns import extra_search_terms

APPLICATION_ID = 0x6D656D6B  # "memk": distinguishes a memory from other SQLite files

migrations = Migrations("memkit")


@migrations(name="0001_turns_chunks_summaries")
def _turns_chunks_summaries(db: Database) -> None:
    for statement in _FIRST:
        db.execute(statement)


@migrations(name="0002_tokens_pairs")
def _tokens_pairs(db: Database) -> None:
    for statement in _SECOND:
        db.execute(statement)
    rows = "SELECT seq FROM chunks ORDER BY seq"
    for (seq,) in db.execute(rows).fetchall():
        text, said, hidden = db.execute(
            "SELECT text, said, hidden FROM chunks WHERE seq = ?", (seq,)
        ).fetchone()
        if not pairs(text):
            continue
        if not hidden:  # FTS5 needs the old values to delete an entry
            db.execute(
                "INSERT INTO searchable_fts (searchable_fts, rowid, text, said, scope)"
                " SELECT 'delete', seq, text, said, scope FROM chunks WHERE seq = ?",
                (seq,),
            )
        db.execute(
            "UPDATE chunks SET said = ? WHERE seq = ?", (extra_search_terms(text, said), seq)
        )
        if not hidden:
            db.execute(
                "INSERT INTO searchable_fts (rowid, text, said, scope)"
                " SELECT seq, text, said, scope FROM chunks WHERE seq = ?",
                (seq,),
            )


@migrations(name="0003_thoughts")
def _thoughts(db: Database) -> None:
    for statement in _THIRD:
        db.execute(statement)


@migrations(name="0004_metadata")
def _metadata(db: Database) -> None:
    db.execute("ALTER TABLE turns ADD COLUMN metadata TEXT")  # JSON; NULL: none


# `position` counts a user's turns from 1 in the order stored; `said_us` orders them in time.
# `layout` gets a new random value whenever searchable rows are removed, hidden, shown or replaced,
# so that a cache knows when appending is not enough. It is not a counter, because a restored copy
# would count up to the same value with other rows.
_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(16))))",
    """CREATE TABLE embedders (
        id INTEGER PRIMARY KEY, model TEXT NOT NULL, revision TEXT NOT NULL,
        dimension INTEGER NOT NULL, current INTEGER NOT NULL DEFAULT 0,
        UNIQUE (model, revision, dimension))""",
    """CREATE TABLE users (
        user_id TEXT PRIMARY KEY, turns INTEGER NOT NULL DEFAULT 0,
        summarised INTEGER NOT NULL DEFAULT 0, layout INTEGER NOT NULL DEFAULT 0,
        failure TEXT)""",
    """CREATE TABLE turns (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, id TEXT NOT NULL,
        position INTEGER NOT NULL, session_id TEXT, agent_id TEXT, role TEXT NOT NULL,
        name TEXT, text TEXT NOT NULL, said_at TEXT NOT NULL, said_us INTEGER NOT NULL,
        stored_at TEXT NOT NULL, UNIQUE (user_id, id), UNIQUE (user_id, position))""",
    "CREATE INDEX turns_in_time ON turns (user_id, said_us, position)",
    "CREATE INDEX turns_in_session ON turns (user_id, session_id, said_us, position)",
    """CREATE TABLE chunks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, id TEXT NOT NULL,
        turn_seq INTEGER NOT NULL REFERENCES turns (seq) ON DELETE CASCADE,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL,
        said TEXT NOT NULL, scope TEXT NOT NULL,
        retrieved INTEGER, hidden INTEGER NOT NULL DEFAULT 0, UNIQUE (user_id, id))""",
    "CREATE INDEX chunks_of_turn ON chunks (turn_seq)",
    "CREATE INDEX chunks_visible ON chunks (user_id, hidden, seq)",
    """CREATE TABLE vectors (
        chunk_seq INTEGER NOT NULL REFERENCES chunks (seq) ON DELETE CASCADE,
        embedder INTEGER NOT NULL REFERENCES embedders (id) ON DELETE CASCADE,
        vector BLOB NOT NULL, PRIMARY KEY (chunk_seq, embedder))""",
    "CREATE INDEX vectors_of_embedder ON vectors (embedder)",
    """CREATE TABLE summaries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, id TEXT NOT NULL,
        level INTEGER NOT NULL, through INTEGER NOT NULL, tokens INTEGER NOT NULL,
        text TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE (user_id, id))""",
    "CREATE INDEX summaries_newest ON summaries (user_id, level, through)",
    """CREATE TABLE summary_sources (
        summary_seq INTEGER NOT NULL REFERENCES summaries (seq) ON DELETE CASCADE,
        n INTEGER NOT NULL, source_id TEXT NOT NULL, PRIMARY KEY (summary_seq, n))
        WITHOUT ROWID""",
    "CREATE VIEW searchable AS SELECT seq, text, said, scope FROM chunks WHERE hidden = 0",
    # scope tokens are in the index, so that a search reads only the postings of its user
    """CREATE VIRTUAL TABLE searchable_fts USING fts5 (
        text, said, scope, content='searchable', content_rowid='seq',
        tokenize='porter unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER chunk_in AFTER INSERT ON chunks WHEN new.hidden = 0 BEGIN
        INSERT INTO searchable_fts (rowid, text, said, scope)
        VALUES (new.seq, new.text, new.said, new.scope);
        END""",
    """CREATE TRIGGER chunk_out AFTER DELETE ON chunks WHEN old.hidden = 0 BEGIN
        INSERT INTO searchable_fts (searchable_fts, rowid, text, said, scope)
        VALUES ('delete', old.seq, old.text, old.said, old.scope); END""",
    """CREATE TRIGGER chunk_hidden AFTER UPDATE OF hidden ON chunks
        WHEN old.hidden = 0 AND new.hidden = 1 BEGIN
        INSERT INTO searchable_fts (searchable_fts, rowid, text, said, scope)
        VALUES ('delete', old.seq, old.text, old.said, old.scope); END""",
    """CREATE TRIGGER chunk_shown AFTER UPDATE OF hidden ON chunks
        WHEN old.hidden = 1 AND new.hidden = 0 BEGIN
        INSERT INTO searchable_fts (rowid, text, said, scope)
        VALUES (new.seq, new.text, new.said, new.scope);
        END""",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

# `tokens` is the length of a chunk; for older rows it is estimated as four bytes a token.
# `said` has the date and what `turns.extra_search_terms` adds for scripts without spaces.
_SECOND = (
    "ALTER TABLE chunks ADD COLUMN tokens INTEGER NOT NULL DEFAULT 1",
    "UPDATE chunks SET tokens = max(1, length(CAST(text AS BLOB)) / 4)",
)

# `thinking` is the queue of turns for reflection: the transaction that writes the result deletes
# the row. `again_us` is the time of the next attempt after a failure, NULL for never (parked).
# Columns ending in `_us` repeat a time in microseconds since 1970, for comparisons.
# `slot` names the single-valued attribute that a thought is about, NULL for none.
# `worded` is 1 if a source has the thought's words and not only its meaning.
# `groups` of a vector are its groups of the hash, one per table.
_THIRD = (
    """CREATE TABLE thinking (
        turn_seq INTEGER PRIMARY KEY REFERENCES turns (seq) ON DELETE CASCADE,
        user_id TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        again_us INTEGER DEFAULT 0, failure TEXT)""",
    "CREATE INDEX thinking_of_user ON thinking (user_id, attempts, turn_seq)",
    """CREATE TRIGGER turn_in AFTER INSERT ON turns BEGIN
        INSERT INTO thinking (turn_seq, user_id) VALUES (new.seq, new.user_id); END""",
    "INSERT INTO thinking (turn_seq, user_id) SELECT seq, user_id FROM turns",
    "ALTER TABLE users ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE hashes (
        user_id TEXT PRIMARY KEY, embedder INTEGER NOT NULL
        REFERENCES embedders (id) ON DELETE CASCADE, seed INTEGER NOT NULL,
        groups INTEGER NOT NULL, tables INTEGER NOT NULL, probes INTEGER NOT NULL,
        centre BLOB NOT NULL)""",
    """CREATE TABLE thoughts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, id TEXT NOT NULL,
        text TEXT NOT NULL, head TEXT, relation TEXT, tail TEXT, slot TEXT,
        said_by TEXT NOT NULL, role TEXT NOT NULL,
        said_at TEXT NOT NULL, said_us INTEGER NOT NULL, repeated_at TEXT NOT NULL,
        valid_from TEXT NOT NULL, valid_from_us INTEGER NOT NULL,
        valid_to TEXT, valid_to_us INTEGER, closed_at TEXT, closed_us INTEGER, closed_by TEXT,
        recorded_at TEXT NOT NULL, retracted_at TEXT, UNIQUE (user_id, id))""",
    "CREATE INDEX thoughts_of_slot ON thoughts (user_id, slot)",
    "CREATE INDEX thoughts_closed_by ON thoughts (user_id, closed_by)",
    """CREATE TABLE thought_sources (
        thought_seq INTEGER NOT NULL REFERENCES thoughts (seq) ON DELETE CASCADE,
        turn_seq INTEGER NOT NULL REFERENCES turns (seq) ON DELETE CASCADE,
        start INTEGER NOT NULL, "end" INTEGER NOT NULL, worded INTEGER NOT NULL,
        PRIMARY KEY (thought_seq, turn_seq, start)) WITHOUT ROWID""",
    "CREATE INDEX thoughts_of_turn ON thought_sources (turn_seq)",
    """CREATE TABLE thought_vectors (
        thought_seq INTEGER NOT NULL REFERENCES thoughts (seq) ON DELETE CASCADE,
        embedder INTEGER NOT NULL REFERENCES embedders (id) ON DELETE CASCADE,
        vector BLOB NOT NULL, groups BLOB, PRIMARY KEY (thought_seq, embedder))""",
    "CREATE INDEX thought_vectors_of_embedder ON thought_vectors (embedder)",
    """CREATE TABLE thought_bands (
        user_id TEXT NOT NULL, band INTEGER NOT NULL,
        thought_seq INTEGER NOT NULL REFERENCES thoughts (seq) ON DELETE CASCADE,
        PRIMARY KEY (user_id, band, thought_seq)) WITHOUT ROWID""",
    "CREATE INDEX bands_of_thought ON thought_bands (thought_seq)",
    """CREATE TABLE conflicts (
        older_seq INTEGER NOT NULL REFERENCES thoughts (seq) ON DELETE CASCADE,
        newer_seq INTEGER NOT NULL REFERENCES thoughts (seq) ON DELETE CASCADE,
        PRIMARY KEY (older_seq, newer_seq)) WITHOUT ROWID""",
    "CREATE INDEX conflicts_of_newer ON conflicts (newer_seq)",
)


def is_ours(head: bytes) -> bool:
    """Return whether a file is a memory, given its first 72 bytes."""
    return head.startswith(b"SQLite format 3\0") and head[68:72] == APPLICATION_ID.to_bytes(4)


def is_current(connection: sqlite3.Connection, url: str) -> bool:
    """Return whether every migration has been applied. Reads only; raises for files of others."""
    db = Database(connection)
    tables = set(db.table_names())
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise NotAMemory(
            f"{url} is an SQLite database of another program ({len(tables)} tables, none of them "
            "memkit's); nothing was changed, give another path"
        )
    ours = {migration.name for migration in migrations._migrations}
    unknown = sorted({migration.name for migration in migrations.applied(db)} - ours)
    if unknown:
        raise NewerSchema(
            f"{url} was written by a newer memkit (it has {', '.join(unknown)}); nothing was "
            "changed, upgrade memkit to open it"
        )
    return not migrations.pending(db)


def prepare(connection: sqlite3.Connection, url: str) -> None:
    """Bring a new or older file up to date, inside the caller's transaction."""
    if not is_current(connection, url):  # another process may have been first
        migrations.apply(Database(connection))
