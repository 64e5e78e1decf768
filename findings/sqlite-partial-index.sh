#!/bin/sh
# SQLite 3.51.1 (pysqlite3-binary, PyPI), before ANALYZE: a partial index whose WHERE is part of the query is
# not used on a WITHOUT ROWID table if the first column of the primary key has an equality too, although the
# index has three equalities and the primary key only one. On the same table with rowids it is used, and so it
# is after ANALYZE. INDEXED BY makes SQLite use it. Prints the three plans; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet pysqlite3-binary==0.5.4.post2
"$folder/env/bin/python" - <<'PYTHON'
import pysqlite3 as sqlite3

QUERY = "SELECT key FROM u {} WHERE user = 'a' AND item = 't' AND key = 5 AND image IS NOT NULL"


def plan(suffix, hint=""):
    db = sqlite3.connect(":memory:")
    db.execute(
        "CREATE TABLE u (user TEXT, event INT, item TEXT, key INT, image TEXT,"
        f" PRIMARY KEY (user, event, item, key)) {suffix}"
    )
    db.execute("CREATE INDEX i ON u (user, item, key) WHERE image IS NOT NULL")
    rows = [(n, n, "x" if n % 100 == 0 else None) for n in range(9999)]
    db.executemany("INSERT INTO u VALUES ('a', ?, 't', ?, ?)", rows)
    return db.execute("EXPLAIN QUERY PLAN " + QUERY.format(hint)).fetchall()[0][3]


plans = plan("WITHOUT ROWID"), plan(""), plan("WITHOUT ROWID", "INDEXED BY i")
print(f"SQLite {sqlite3.sqlite_version}:", *plans, sep="\n")
assert "PRIMARY KEY" in plans[0] and "INDEX i " in plans[1] and "INDEX i " in plans[2]
PYTHON
