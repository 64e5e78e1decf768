"""What is forgotten is in no file any more, however it was named and whatever happens."""

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from on_disk import memory
from thinkers import FISH, NOON

from memkit import Turn
from memkit.govern.residue import find, text_pieces
from memkit.memory import Memory
from memkit.records import Receipt
from memkit.testing import open_memory

AGENTS = ("a0", "a1", "a2")
WORDS = ["red", "green", "tea", "books", "boats", "rain", "likes", "lot"]


def files_of(path: Path) -> Iterator[bytes]:
    return (file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


def traces(path: Path, texts: Iterable[str]) -> set[bytes]:
    """Return the pieces of texts that are in any file, found without memkit's search."""
    files = list(files_of(path))
    pieces = text_pieces(texts)
    return {piece for piece in pieces if any(piece in file for file in files)}


def plant(rng: random.Random, n: int, every: int = 10) -> dict[str, Turn]:
    """Return turns; one in ten has a string of its own in it."""
    turns = {}
    for k in range(n):
        secret = f" Its mark is q{rng.getrandbits(96):024x}." if k % every == 0 else ""
        words = " ".join(rng.choices(WORDS, k=8))
        turns[f"t{k}"] = Turn(
            id=f"t{k}", text=f"{words} number {k}.{secret}", said_at=NOON + timedelta(minutes=k),
            session_id=f"s{k // 20}", agent_id=AGENTS[k % 3], metadata={"tag": k // 10},
        )  # fmt: skip
    return turns


def mark(turn: Turn) -> str:
    return turn.text.split(" Its mark is ")[1]


def is_found(memory: Memory, text: str) -> bool:
    return any(text in hit.text for hit in memory.recall(text, user_id="ann"))


def forget_each_way(memory: Memory, turns: dict[str, Turn]) -> list[Receipt]:
    """Forget 50 of 100 marks: by ids, by thoughts, by questions and by conditions."""
    forget = [memory.forget(user_id="ann", turn_ids=[f"t{k}" for k in range(0, 100, 10)])]
    thoughts = {id: item.id for item in memory.thoughts(user_id="ann") for id in item.turn_ids}
    forget += [
        memory.forget(user_id="ann", thought_id=thoughts[f"t{k}"]) for k in range(100, 150, 10)
    ]
    for k in (150, 160, 170):
        query = turns[f"t{k}"].text
        forget.append(memory.forget(user_id="ann", query=query, session_id=f"s{k // 20}"))
        forget.append(memory.forget(user_id="ann", turn_ids=[f"t{k}"]))  # if it was not recalled
    ways: list[dict[str, Any]] = [
        *({"session_id": f"s{n}"} for n in range(9, 14)),  # t180 to t279
        {"since": NOON + timedelta(minutes=280), "until": NOON + timedelta(minutes=399)},
        *({"where": {"tag": n}} for n in range(40, 45)),  # t400 to t449
        {"agent_id": "a0", "until": NOON + timedelta(minutes=599)},  # t450, t480, …
    ]
    forget += [memory.forget(user_id="ann", **way) for way in ways]
    left = [f"t{k}" for k in range(450, 500, 10)]
    return [*forget, memory.forget(user_id="ann", turn_ids=left)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_way_of_naming_leaves_a_piece_in_any_file(tmp_path: Path, seed: int) -> None:
    turns = plant(random.Random(seed), 1000)
    with open_memory(str(tmp_path / "ann.db")) as opened:
        opened.remember(turns.values(), user_id="ann")
        opened.remember(plant(random.Random(seed + 99), 50).values(), user_id="bob")
        opened.flush()
        marks = [mark(turn) for turn in turns.values() if "mark" in turn.text]
        before = {text for text in marks[50:] if is_found(opened, text)}
        receipts = forget_each_way(opened, turns)
        opened.forget(user_id="bob", everything=True)
        stored = {turn.id for turn in opened.turns(user_id="ann")}
        marked = [turn for turn in turns.values() if "mark" in turn.text]
        forgotten = [mark(turn) for turn in marked if turn.id not in stored]
        kept = [mark(turn) for turn in marked if turn.id in stored]
        opened.flush()

        assert (len(forgotten) >= 50, len(kept) >= 40) == (True, True)
        assert traces(tmp_path / "ann.db", forgotten) == set()
        assert [r.residue for r in receipts if r.turn_ids and not r.purged] == []
        assert [text for text in kept if text in before and not is_found(opened, text)] == []
        assert opened.doctor() == []
    assert traces(tmp_path / "ann.db", forgotten) == set()
    assert len(traces(tmp_path / "ann.db", kept)) > 12 * len(kept)


FORGET_IN_A_LOOP = """
import sys
from memkit.testing import open_memory
with open_memory(sys.argv[1]) as memory:
    print("open", flush=True)
    for k in range(0, 300, 10):
        memory.forget(user_id="ann", turn_ids=[f"t{k}"])
        memory.think(user_id="ann")
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_after_a_kill_at_any_moment_nothing_forgotten_is_left(tmp_path: Path, seed: int) -> None:
    path, turns = tmp_path / "ann.db", plant(random.Random(seed), 300)
    with open_memory(str(path)) as opened:
        opened.remember(turns.values(), user_id="ann")
        opened.flush()
    command = [sys.executable, "-c", FORGET_IN_A_LOOP, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)

    with open_memory(str(path)) as opened:
        stored = {turn.id for turn in opened.turns(user_id="ann")}
        marked = [turn for turn in turns.values() if "mark" in turn.text]
        forgotten = [mark(turn) for turn in marked if turn.id not in stored]
        assert traces(path, forgotten) == set()
        assert opened.doctor() == []
    assert traces(path, forgotten) == set()


# ---- the search itself


def test_the_search_finds_a_piece_at_any_offset_and_across_blocks() -> None:
    text = "The xylophone is in Zanzibar."
    for offset in range(40):
        data = bytes(offset) + text.encode()[5:17] + bytes(50)
        blocks = [data[n : n + 7] for n in range(0, len(data), 7)]
        assert find([data], text_pieces([text])) == {text.encode()[5:17]}
        assert find(blocks, text_pieces([text])) == {text.encode()[5:17]}


def test_the_search_finds_other_cases_and_short_texts_and_nothing_else() -> None:
    pieces = text_pieces(["Pin 4417", "The Zanzibar Xylophone", "東京の図書館で本を借りました"])

    assert find([b"...Pin 4417..."], pieces) == {b"Pin 4417"}
    assert find([b"the zanzibar xylo"], pieces)
    assert find(["の図書館で本を借りましたよ".encode()], pieces)
    assert find([b"the zanzibaX xylo pin 4418"], pieces) == set()


def test_a_piece_that_is_also_in_what_remains_does_not_count(tmp_path: Path) -> None:
    with memory(tmp_path / "ann.db") as opened:
        opened.remember("I like the red boat in the harbour", user_id="bob")
        ids = opened.remember("I like the red boat in Zanzibar", user_id="ann")
        receipt = opened.forget(user_id="ann", turn_ids=ids)
        assert (receipt.purged, receipt.residue, receipt.searched > 0) == (True, 0, True)


def test_what_is_left_in_unused_bytes_is_found_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        ids = opened.remember(["The xylophone is in Zanzibar", "tea"], user_id="ann")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:  # as SQLite does by default
        raw.execute("PRAGMA secure_delete = OFF")
        raw.execute("CREATE TABLE copy AS SELECT text FROM turns")
        raw.execute("DROP TABLE copy")
    assert path.read_bytes().count(b"The xylophone is in Zanzibar") > 2

    with memory(path) as opened:
        receipt = opened.forget(user_id="ann", turn_ids=ids[:1])
        assert (receipt.purged, receipt.residue) == (True, 0)
        assert traces(path, ["The xylophone is in Zanzibar"]) == set()


# ---- readers, late writers


def test_a_reader_keeps_the_bytes_and_the_receipt_says_so_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        ids = opened.remember(["The xylophone is in Zanzibar", "tea"], user_id="ann")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM turns").fetchone()
            receipt = opened.forget(user_id="ann", turn_ids=ids[:1])
            assert not receipt.purged
            assert traces(path, ["The xylophone is in Zanzibar"])
        opened.remember("milk", user_id="ann")  # any later write tries again
        assert traces(path, ["The xylophone is in Zanzibar"]) == set()


def test_a_deletion_that_a_kill_left_unfinished_is_finished_at_the_next_opening(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        ids = opened.remember(
            ["The xylophone is in Zanzibar", *(t.text for t in FISH)], user_id="ann"
        )
        opened.recall("xylophone", user_id="ann")
    command = [sys.executable, "-c", KILLED_BEFORE_THE_PURGE, str(path), ids[0]]
    subprocess.run(command, check=False)
    assert traces(path, ["The xylophone is in Zanzibar"])
    assert list(path.parent.glob("ann.db.index/*"))

    with memory(path):
        assert traces(path, ["The xylophone is in Zanzibar"]) == set()
        assert not list(path.parent.glob("ann.db.index/*"))


KILLED_BEFORE_THE_PURGE = """
import os, sys
from memkit_sqlite.sqlite import SQLiteStore
from memkit.testing import open_memory
SQLiteStore.purge = lambda self: os._exit(9)
open_memory(sys.argv[1]).forget(user_id="ann", turn_ids=[sys.argv[2]])
"""


def test_a_summary_that_was_begun_before_a_deletion_is_dropped(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        """Repeats all it was given, once the other memory has deleted the first turn."""

        def count(self, text: str) -> int:
            return len(text) // 100

        def summarise(self, previous: str, new: list[str], *, max_tokens: int) -> str:  # noqa: ARG002
            begun.set()
            go_on.wait(60)
            return " ".join([previous, *new])

    path = tmp_path / "ann.db"
    with memory(path, summariser=Slow()) as slow, memory(path) as quick:
        slow.remember([Turn(text="The xylophone", id="1"), Turn(text="tea", id="2")], user_id="ann")
        thread = threading.Thread(target=slow.think, kwargs={"user_id": "ann"})
        thread.start()
        assert begun.wait(60)
        quick.forget(user_id="ann", turn_ids=["1"])
        quick.remember(Turn(text="milk", id="1"), user_id="ann")  # the same id again
        go_on.set()
        thread.join(60)
        summary = slow.summary(user_id="ann")
        assert summary is not None
        assert "xylophone" not in summary.text
