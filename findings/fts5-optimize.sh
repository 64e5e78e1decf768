#!/bin/sh
# SQLite 3.51.1 (pysqlite3-binary, PyPI), FTS5: deleted words stay in the index until segments are merged,
# and `optimize` is the documented way to merge them. Run after every deletion, it adds levels to FTS5's
# record of its segments that are never removed; the count stops at 65, and from then on a deleted word
# stays in the index, also after a further `optimize`. `rebuild` starts the record again. SQLite 3.40.1
# instead goes on counting, and after about 1,000 calls it raises "database disk image is malformed".
# Prints the first deletion whose word stays, and what a `rebuild` leaves of it; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet pysqlite3-binary==0.5.4.post2
"$folder/env/bin/python" - <<'PYTHON'
import random

import pysqlite3 as sqlite3

db = sqlite3.connect(":memory:", isolation_level=None)
rng = random.Random(0)
words = [f"word{n}" for n in range(40)]
texts = [
    " ".join(rng.choices(words, k=30)) + f" secret{rng.getrandbits(64):016x}" for _ in range(1500)
]
db.execute("CREATE TABLE c (a)")
db.executemany("INSERT INTO c (rowid, a) VALUES (?, ?)", enumerate(texts))
db.execute("CREATE VIRTUAL TABLE t USING fts5 (a, content='c')")
db.execute("INSERT INTO t (t) VALUES ('rebuild')")


def stays(text):
    word = text[-12:].encode()
    return any(word in block for (block,) in db.execute("SELECT block FROM t_data"))


first = None
for number, text in enumerate(texts):
    db.execute("INSERT INTO t (t, rowid, a) VALUES ('delete', ?, ?)", (number, text))
    db.execute("DELETE FROM c WHERE rowid = ?", (number,))
    db.execute("INSERT INTO t (t) VALUES ('optimize')")
    if stays(text):
        first = number
        break
db.execute("INSERT INTO t (t) VALUES ('optimize')")
after_optimize = first is not None and stays(texts[first])
db.execute("INSERT INTO t (t) VALUES ('rebuild')")
after_rebuild = first is not None and stays(texts[first])
print(f"SQLite {sqlite3.sqlite_version}: the word of deletion {first} stays;", end=" ")
print(f"after another optimize: {after_optimize}, after a rebuild: {after_rebuild}")
assert first is not None and after_optimize and not after_rebuild
PYTHON
