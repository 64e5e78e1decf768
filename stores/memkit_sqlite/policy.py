"""The rules of retention as rows of `meta`."""

import sqlite3
from collections.abc import Sequence

from memkit.policy import RetentionRule, from_json, to_json
from memkit_sqlite import ledger

_READ = "SELECT value FROM meta WHERE key = 'retention'"
# rules have values of metadata; they are of no user, and "" is no user's id
_WRITE = """INSERT INTO meta VALUES ('retention', seal('', ?1))
    ON CONFLICT DO UPDATE SET value = excluded.value"""
_NEXT_VERSION = """INSERT INTO meta VALUES ('policy_version', 1)
    ON CONFLICT DO UPDATE SET value = value + 1"""


def read_retention(db: sqlite3.Connection) -> tuple[RetentionRule, ...]:
    """Return the rules of the memory."""
    row = db.execute(_READ).fetchone()
    return from_json(row[0]) if row else ()


def write_retention(db: sqlite3.Connection, rules: Sequence[RetentionRule], source: str) -> None:
    """Replace the rules, and note the new version of the policy in the ledger."""
    db.execute(_WRITE, (to_json(rules),))
    db.execute(_NEXT_VERSION)
    ledger.append(db, "policy", source=source, counts={"rules": len(rules)})
