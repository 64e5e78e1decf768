"""What a memory survives: kills, other processes, threads, bad files, full and read-only disks."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Timer

import pytest
from memkit_sqlite import connection
from memkit_sqlite.sqlite import SQLiteStore
from on_disk import memory, remembered

import memkit
from memkit.background.maintenance import Settings
from memkit.errors import (
    StoreError,
    StoreLocked,
)
from memkit.memory import Memory
from memkit.testing import HashEmbedder

CHILD = """
import os, sys, time
import memkit
from memkit.keep import Settings
from memkit.testing import HashEmbedder

def memory(path, **rest):
    return memkit.open(path, embedder=HashEmbedder(), **rest)

def at_once(path):  # both processes leave here at the same moment
    print("ready", flush=True)
    sys.stdin.readline()

"""


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + script, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def together(*children: subprocess.Popen[str]) -> list[str]:
    """Let the children go at the same moment; return what each printed, in the end "done"."""
    for one in children:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in children:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    printed = [one.communicate(timeout=120)[0] for one in children]
    assert [one.returncode for one in children] == [0] * len(children)
    return printed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.db"


# ---- killed

# forks a fresh process for each line it reads, which is quicker than starting Python each time
WRITES = """
def write(path, round):
    for batch in range(10_000):
        if batch % 7 == 0:
            opened = memory(path)
        texts = [f"fact {round} {batch} {n}" for n in range(4)]
        turns = [memkit.Turn(id=text[5:].replace(" ", "-"), text=text) for text in texts]
        opened.remember(turns, user_id="ann")
        print(f"{round}-{batch}", flush=True)
        if batch % 3 == 0:
            opened.recall(f"fact {batch}", user_id="ann")
        if batch % 7 == 6:
            opened.close()

for round in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write(sys.argv[1], round.strip())
    print(pid, flush=True)
    print("ended by", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
"""


def kill_while_writing(writer: subprocess.Popen[str], round: int, after: float) -> list[str]:
    """Return the batches that were acknowledged before the kill."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(f"{round}\n")
    writer.stdin.flush()
    pid = int(writer.stdout.readline())
    lines = [writer.stdout.readline().strip()]
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    while not lines[-1].startswith("ended by"):
        lines.append(writer.stdout.readline().strip())
    assert lines.pop() == f"ended by {signal.SIGKILL:d}"
    return lines


@pytest.mark.slow
def test_twenty_kills_lose_nothing_acknowledged_and_leave_no_half_batch(path: Path) -> None:
    moments = random.Random(20).choices([0.003, 0.01, 0.03, 0.1, 0.3], k=20)
    writer = child(WRITES, path)
    acknowledged: list[str] = []
    for round, moment in enumerate(moments):
        acknowledged += kill_while_writing(writer, round, moment * (0.5 + round / 20))
    writer.communicate(timeout=30)

    with memory(path) as opened:
        batches: dict[str, list[str]] = {}
        for turn in opened.turns(user_id="ann"):
            batches.setdefault(str(turn.id).rpartition("-")[0], []).append(turn.text)
        assert set(acknowledged) <= set(batches)
        assert {len(batch) for batch in batches.values()} == {4}
        assert len(batches) <= len(acknowledged) + 20  # committed, and killed before saying so
        assert opened.doctor() == []


@pytest.mark.slow
def test_a_kill_while_a_memory_is_made_leaves_a_usable_file(tmp_path: Path) -> None:
    script = "for n in range(9999): print(n, flush=True); memory(f'{sys.argv[1]}/{n}.db').close()"
    process = child(script, tmp_path)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    time.sleep(0.007)
    process.kill()
    process.communicate()

    for file in sorted(tmp_path.glob("*.db")):
        with memory(file) as opened:
            opened.remember("tea", user_id="ann")
            assert opened.doctor() == []


# ---- other processes

SHARES = """
path, me = sys.argv[1:]
opened = memory(path)
at_once(path)
for n in range(60):
    text = f"{me} says number{n}"
    (id,) = opened.remember(text, user_id="both")
    opened.remember(memkit.Turn(id=f"{n}", text=text), user_id=me)
    near = [hit.text for hit in opened.recall(text, user_id="both", k=10)]
    assert text in near, "own write not found"  # which of such equal turns is first is not asked
    assert [hit.text for hit in opened.recall(f"number{n}", user_id=me, k=1)] == [text]
    ids = [turn.id for turn in opened.turns(user_id="both")]
    assert id in ids and len(ids) == len(set(ids))
    if n % 20 == 0:
        assert opened.doctor() == [], opened.doctor()
assert opened.doctor() == [], opened.doctor()
opened.close()
print("done")
"""


@pytest.mark.slow
def test_two_processes_share_one_file_and_lose_nothing(path: Path) -> None:
    memory(path).close()

    printed = together(*(child(SHARES, path, me) for me in ("ann", "bob")))

    assert printed == ["done\n", "done\n"]
    with memory(path) as opened:
        assert len(list(opened.turns(user_id="both"))) == 120
        texts = [turn.text for turn in opened.turns(user_id="ann")]
        assert texts == [f"ann says number{n}" for n in range(60)]
        opened.recall("number", user_id="both")
        assert opened.doctor() == []


MAKES = """
folder, me = sys.argv[1:]
at_once(folder)
for n in range(25):
    opened = memory(f"{folder}/{n}.db", settings=Settings(background=False))
    opened.remember(f"{me} was here", user_id="ann")
    assert len(list(opened.turns(user_id="ann"))) >= 1
    opened.close()
    while len(os.listdir(folder)) and not os.path.exists(f"{folder}/{n}.{me}"):
        open(f"{folder}/{n}.{me}", "w").close()
    other = "bob" if me == "ann" else "ann"
    while not os.path.exists(f"{folder}/{n}.{other}"):
        time.sleep(0.0005)
print("done")
"""


@pytest.mark.slow
def test_two_processes_may_make_the_same_file_at_the_same_moment(tmp_path: Path) -> None:
    printed = together(*(child(MAKES, tmp_path, me) for me in ("ann", "bob")))

    assert printed == ["done\n", "done\n"]
    for n in range(25):
        assert len(remembered(tmp_path / f"{n}.db")) == 2


def test_opening_waits_for_a_writer_that_stands_in_the_way_of_the_log(path: Path) -> None:
    memory(path).close()
    raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode = DELETE")  # as it is before the first process sets WAL
    raw.execute("BEGIN IMMEDIATE")
    letting_go = Timer(0.2, raw.rollback)
    letting_go.start()

    with memory(path) as opened:
        assert opened.remember("tea", user_id="ann")
    letting_go.join()
    raw.close()


HOLDS = """
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def holder(path: Path) -> Iterator[Callable[[], None]]:
    """Another process that holds the file until it is told to let go."""
    memory(path).close()
    process = child(HOLDS, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"

    def let_go() -> None:
        process.communicate("\n", timeout=30)

    yield let_go
    process.kill()
    process.communicate()


def test_a_file_held_too_long_is_locked_and_works_when_let_go(
    path: Path, holder: Callable[[], None]
) -> None:
    embedder = HashEmbedder()
    store = SQLiteStore(str(path), embedder.fingerprint, busy_s=0.1)
    with Memory(store, embedder, settings=Settings(background=False)) as opened:
        with pytest.raises(StoreLocked, match="locked by another process"):
            opened.remember("tea", user_id="ann")
        assert list(opened.turns(user_id="ann")) == []  # reading is not held up

        holder()
        opened.remember("tea", user_id="ann")
        assert opened.recall("tea", user_id="ann")[0].text == "tea"


def test_a_writer_that_waits_for_another_process_holds_up_no_reader(
    path: Path, holder: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, pause = Event(), time.sleep

    def note_the_pause(seconds: float) -> None:
        waits.set()
        pause(seconds)

    monkeypatch.setattr(connection.time, "sleep", note_the_pause)
    with memory(path) as opened, ThreadPoolExecutor() as threads:
        writing = threads.submit(opened.remember, "tea", user_id="ann")
        assert waits.wait(timeout=20)
        assert opened.recall("tea", user_id="ann") == []  # while the file is still locked
        assert not writing.done()

        holder()
        assert len(writing.result(timeout=20)) == 1
        assert opened.recall("tea", user_id="ann")[0].text == "tea"


def test_a_memory_taken_through_a_fork_says_so(path: Path) -> None:
    with memory(path) as opened:
        opened.remember("tea", user_id="ann")
        if (process := os.fork()) == 0:
            try:
                opened.remember("milk", user_id="ann")
            except StoreError as error:
                os._exit(7 if "forked" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7
        assert opened.doctor() == []


# ---- threads


def test_eight_threads_share_one_memory(path: Path) -> None:
    with memkit.open(str(path), embedder=HashEmbedder(256)) as opened:

        def work(me: int) -> None:
            for n in range(25):
                text = f"thread{me} fact{n}"
                (id,) = opened.remember(text, user_id=f"user{me % 3}")
                found = opened.recall(text, user_id=f"user{me % 3}", k=99)
                assert text in [hit.text for hit in found]
                assert id in [turn.id for turn in opened.turns(user_id=f"user{me % 3}")]
                opened.context("fact", user_id=f"user{me % 3}", budget_tokens=100)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        opened.flush()
        assert opened.stats()["turns"] == 200
        assert opened.doctor() == []


def test_a_memory_closed_while_threads_read_raises_nothing_but_its_own_errors(path: Path) -> None:
    opened = memory(path)
    opened.remember([f"tea {n}" for n in range(50)], user_id="ann")

    def read(_: int) -> None:
        try:
            for _ in range(200):
                opened.recall("tea", user_id="ann")
        except StoreError:
            return

    with ThreadPoolExecutor(4) as pool:
        snapshot = [pool.submit(read, n) for n in range(4)]
        time.sleep(0.05)
        opened.close()
        assert [one.result() for one in snapshot] == [None] * 4
