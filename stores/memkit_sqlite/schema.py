"""The SQLite schema, as numbered migrations that run once each and in order.

Turns are the truth. Chunks, vectors and full text are derived from them: foreign keys and triggers
delete them with their turn.
"""

import sqlite3
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from memkit.errors import NewerSchema, NotAMemory
from memkit.text.codes import codes
from memkit_sqlite import ledger
from memkit_sqlite.thoughts.lsh_index import LSHIndex
from memkit_sqlite.turns import indexed_words

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
    for (seq,) in db.execute("SELECT seq FROM chunks").fetchall():
        chunk = "SELECT text, said FROM chunks WHERE seq = ?"
        text, said = db.execute(chunk, (seq,)).fetchone()
        date = " ".join(said.split()[:3])  # "1 May 2024", before other terms
        db.execute("UPDATE chunks SET said = ? WHERE seq = ?", (indexed_words(text, date), seq))
    _execute(db, "words")


@_migration(name="0007_codes")
def _codes(db: "Database") -> None:
    for (seq,) in db.execute("SELECT seq FROM chunks").fetchall():
        chunk = "SELECT text, words FROM chunks WHERE seq = ?"
        text, words = db.execute(chunk, (seq,)).fetchone()
        if codes(text):
            date = " ".join(words.split()[:3])  # "1 may 2024", before other terms
            db.execute(
                "UPDATE chunks SET words = ? WHERE seq = ?", (indexed_words(text, date), seq)
            )
    db.execute("INSERT INTO searchable_fts (searchable_fts) VALUES ('rebuild')")


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


@_migration(name="0011_gate")
def _gate(db: "Database") -> None:
    _execute(db, "gate")


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
