"""What it costs to forget one turn of many, beside the FTS5 index that memkit had until 0.10.

The baseline deletes the same text from an FTS5 table and merges the table, which is what removed
the words from the file. It has nothing else to delete.
"""

import sqlite3
import time
from contextlib import closing

import memkit
from evals import USER
from evals.bench import Setup
from evals.bench.measure import interleave, time_claim
from evals.data import corpus
from evals.data.corpus import DrawnEmbedder
from evals.tables import Claim, Result, Target
from memkit import Memory

_TARGET = Target(bound="≤", value=0.5, on="ratio")


def run(setup: Setup) -> Result:
    """Time deletions with and without the search of the files, in CPU time."""
    claims: list[Claim] = []
    rounds = 3 if setup.quick else 21
    for size in setup.choose((50_000,), (300,)):
        path = corpus.make_memory_file(setup.folder, size, setup.seed, real=False)
        settings = memkit.Settings(background=False)
        with (
            memkit.open(path, embedder=DrawnEmbedder(), settings=settings) as memory,
            closing(_make_fts5(corpus.make_texts(size, setup.seed))) as fts5,
        ):
            steps = {
                "purge": lambda n, memory=memory: _forget(memory, 2 * n + 2, scan=False),
                "search": lambda n, memory=memory: _forget(memory, 2 * n + 3, scan=True),
                "fts5": lambda n, fts5=fts5: _delete(fts5, n + 1),
            }
            times = interleave(steps, rounds, clock=time.process_time)
        claims += [
            time_claim(
                f"forget one of {size:,} turns, {what}", times[step], times["fts5"],
                seed=setup.seed, against="FTS5, delete and optimize",
                target=_TARGET if step == "purge" else None,
            )
            for step, what in (("purge", "purged"), ("search", "and all files searched"))
        ]  # fmt: skip
    return Result(
        name="purge", about="one turn of a large memory", settings={"rounds": rounds},
        claims=claims,
    )  # fmt: skip


def _forget(memory: Memory, turn: int, *, scan: bool) -> None:
    receipt = memory.forget(user_id=USER, turn_ids=[f"t{turn}"], scan=scan)
    if not receipt.purged or len(receipt.turn_ids) != 1:
        raise RuntimeError(f"turn {turn} was not forgotten: {receipt}")


def _make_fts5(texts: list[str]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize='porter ascii')")
    db.executemany("INSERT INTO texts (text) VALUES (?)", [(text,) for text in texts])
    return db


def _delete(db: sqlite3.Connection, rowid: int) -> None:
    db.execute("DELETE FROM texts WHERE rowid = ?", (rowid,))
    db.execute("INSERT INTO texts (texts) VALUES ('optimize')")
