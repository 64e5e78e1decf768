"""The SQLite schema, as numbered migrations that run once each and in order.

Turns are the truth. Chunks and vectors are derived from them: foreign keys delete them with their
turn. `postings.delete` is called before, for the full text.
"""

import sqlite3
import tomllib
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from memkit.errors import NewerSchema, NotAMemory
from memkit.records import day
from memkit_sqlite import ledger, postings
from memkit_sqlite.thoughts.lsh_index import LSHIndex

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x6D656D6B  # "memk": distinguishes a memory from other SQLite files

_LOG = "_sqlite_migrations"  # sqlite-utils' table of the migrations that were applied
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_APPLIED = f"SELECT name FROM {_LOG} WHERE migration_set = 'memkit'"

_Migration = Callable[["Database"], None]
_MIGRATIONS: dict[str, _Migration] = {}  # by name, in their order


def _migration(*, name: str) -> Callable[[_Migration], _Migration]:
    """Return a decorator that adds a migration under this name."""

    def add(migration: _Migration) -> _Migration:
        _MIGRATIONS[name] = migration
        return migration

    return add


@cache
def migrations() -> "Migrations":
    """Return the migrations as sqlite-utils runs them."""
    # here, because sqlite-utils imports pandas where it is installed, and most files are current
    from sqlite_utils import Migrations

    registered = Migrations("memkit")
    for name, migration in _MIGRATIONS.items():
        registered(name=name)(migration)
    return registered


def _execute(db: "Database", migration: str) -> None:
    """Run the statements of a migration, which are in schema.toml."""
    statements = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    for statement in tomllib.loads(statements)[migration]:
        db.execute(statement)


@_migration(name="0001_turns_chunks_summaries")
def _turns_chunks_summaries(db: "Database") -> None:
    _execute(db, "turns")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@_migration(name="0002_tokens_pairs")
def _tokens_pairs(db: "Database") -> None:
    _execute(db, "tokens")


@_migration(name="0003_thoughts")
def _thoughts(db: "Database") -> None:
    _execute(db, "thoughts")


@_migration(name="0004_metadata")
def _metadata(db: "Database") -> None:
    db.execute("ALTER TABLE turns ADD COLUMN metadata TEXT")  # JSON; NULL: none


@_migration(name="0005_thought_kinds")
def _thought_kinds(db: "Database") -> None:
    db.execute("ALTER TABLE thoughts ADD COLUMN kind TEXT NOT NULL DEFAULT 'fact'")
    # 0.4.0 marked a user's and an assistant's thoughts as conflicting; now only users' words count
    db.execute(
        "DELETE FROM conflicts WHERE 'user' = (SELECT role FROM thoughts WHERE seq = older_seq)"
        " AND 'user' != (SELECT role FROM thoughts WHERE seq = newer_seq)"
    )


@_migration(name="0006_words")
def _words(db: "Database") -> None:
    """Once changed what full text had of a chunk; 0010 makes it anew."""


@_migration(name="0007_codes")
def _codes(db: "Database") -> None:
    """Once added codes to full text; 0010 makes it anew."""


@_migration(name="0008_forgetting")
def _forgetting(db: "Database") -> None:
    _execute(db, "forgetting")
    row = db.execute("SELECT id, dimension FROM embedders WHERE current").fetchone()
    for (user_id,) in db.execute("SELECT DISTINCT user_id FROM thoughts").fetchall() if row else ():
        LSHIndex(*row).grow(db.conn, user_id)


@_migration(name="0009_ledger")
def _ledger(db: "Database") -> None:
    _execute(db, "ledger")
    counts = {
        table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("users", "turns", "thoughts", "summaries")
    }
    ledger.append(db.conn, "genesis", source="memkit", counts=counts)


@_migration(name="0010_postings")
def _postings(db: "Database") -> None:
    _drop_fts5_table(db.conn)
    _execute(db, "postings")
    for column in {"said", "words", "scope"} & db["chunks"].columns_dict.keys():
        db.execute(f"ALTER TABLE chunks DROP COLUMN {column}")
    chunks = db.execute(
        "SELECT c.seq, c.user_id, c.text, turns.said_at FROM chunks c"
        " JOIN turns ON turns.seq = c.turn_seq ORDER BY c.seq"
    ).fetchall()
    for seq, user_id, text, said_at in chunks:
        date = day(datetime.fromisoformat(said_at))
        keys = postings.term_keys(db.conn, user_id).keys(text, date)
        db.execute("UPDATE chunks SET terms = ? WHERE seq = ?", (postings.pack(keys), seq))
        postings.insert(db.conn, [(seq, keys)])


def _drop_fts5_table(connection: sqlite3.Connection) -> None:
    """Drop full text as it was until 0.10, even if SQLite cannot read it any more.

    A thousand deletions before 0.10 made its record of segments too long for SQLite 3.40.
    """
    try:
        connection.execute("DROP TABLE searchable_fts")
    except sqlite3.DatabaseError:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'searchable_fts'")
        connection.execute("PRAGMA writable_schema = RESET")  # reads the schema again
        for part in ("data", "idx", "docsize", "config"):
            connection.execute(f"DROP TABLE searchable_fts_{part}")


@_migration(name="0011_gate")
def _gate(db: "Database") -> None:
    _execute(db, "gate")


@_migration(name="0012_undo")
def _undo(db: "Database") -> None:
    _execute(db, "undo")


@_migration(name="0013_privacy")
def _privacy(db: "Database") -> None:
    db.execute("ALTER TABLE turns ADD COLUMN flags TEXT")  # kinds, with spaces; NULL: none
    db.execute("ALTER TABLE turns ADD COLUMN origin TEXT")  # NULL: the role says it


@_migration(name="0015_tags_wordings")
def _tags_wordings(db: "Database") -> None:
    _execute(db, "tags")


def is_current(connection: sqlite3.Connection, url: str) -> bool:
    """Return whether every migration has been applied. Reads only; raises for files of others."""
    tables = {name for (name,) in connection.execute(_TABLES)}
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise NotAMemory(
            f"{url} is an SQLite database of another program ({len(tables)} tables, none of them "
            "memkit's); nothing was changed, give another path"
        )
    applied = {name for (name,) in connection.execute(_APPLIED)} if _LOG in tables else set()
    unknown = sorted(applied - _MIGRATIONS.keys())
    if unknown:
        raise NewerSchema(
            f"{url} was written by a newer memkit (it has {', '.join(unknown)}); nothing was "
            "changed, upgrade memkit to open it"
        )
    return applied == _MIGRATIONS.keys()


def prepare(connection: sqlite3.Connection, url: str) -> None:
    """Bring a new or older file up to date, inside the caller's transaction."""
    if not is_current(connection, url):  # another process may have been first
        from sqlite_utils import Database

        migrations().apply(Database(connection))
