"""What a backup promises: all that was committed, one whole file, and nothing replaced."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from contract import ANN, EMBEDDER, adding, nearest, texts, turn
from hypothesis import given, settings
from hypothesis import strategies as st
from memkit_sqlite.sqlite import SQLiteStore
from on_disk import memory

from memkit.errors import InvalidInput, StoreClosed, StoreReadOnly
from memkit.govern.keys import KeyStore
from memkit.protocols import Backend, Window, WriteBatch

# another process that writes turns until it is killed; it says when the first one is stored
WRITER = """
import sys
from memkit.testing import open_memory
memory = open_memory(sys.argv[1])
for n in range(10_000):
    memory.remember([f"left {n}", f"right {n}"], user_id="ann")
    print(n, flush=True)
"""


@settings(max_examples=20)
@given(steps=st.lists(st.sampled_from(["add", "forget"]), max_size=8))
def test_a_backup_has_exactly_what_was_committed(
    store: Backend, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    copy = tmp_path_factory.mktemp("backup") / "copy.db"
    for n, step in enumerate(steps):
        stored = texts(store)
        if step == "add":
            store.write(ANN, adding(turn(f"{copy}{n}", f"tea {copy}{n}")))
        elif stored:
            (first, *_) = store.turns(ANN, Window())
            store.write(ANN, WriteBatch(forget=[first.id or ""]))
    store.backup(str(copy))
    keys = Path(f"{store.path}.keys")  # of an encrypted memory
    key = KeyStore(keys, bytes(32)) if keys.exists() else None
    again = SQLiteStore(str(copy), EMBEDDER.fingerprint, key=key)
    assert (texts(again), again.check()) == (texts(store), [])
    assert sorted(nearest(again, "tea", k=50)) == sorted(texts(store)[:50])
    again.close()


def test_a_backup_is_one_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    with memory(tmp_path / "ann.db") as opened:
        opened.remember("tea", user_id="ann")
        opened.backup(tmp_path / "copies" / "ann.db")
    (copy,) = (tmp_path / "copies").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with memory(copy) as opened:
        assert opened.recall("tea", user_id="ann")[0].text == "tea"


def test_a_backup_while_another_process_writes_has_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for n in range(5):
            with memory(path) as opened:
                opened.backup(tmp_path / f"{n}.db")
        writer.kill()
    sizes = []
    for n in range(5):
        with memory(tmp_path / f"{n}.db") as opened:
            turns = [turn.text for turn in opened.turns(user_id="ann")]
            assert opened.doctor() == []
        assert turns == [
            f"{side} {n}" for n in range(len(turns) // 2) for side in ("left", "right")
        ]
        sizes.append(len(turns))
    assert sizes == sorted(sizes)
    assert sizes[0] > 0


def test_other_threads_do_not_wait_for_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying, written = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        copying.set()
        assert written.wait(20)

    monkeypatch.setattr("memkit_sqlite.backup.copy_database", wait)
    with memory(tmp_path / "ann.db") as opened:
        thread = threading.Thread(target=opened.backup, args=[tmp_path / "copy.db"])
        thread.start()
        assert copying.wait(20)
        opened.remember("tea", user_id="ann")
        written.set()
        thread.join()


@pytest.mark.parametrize("kind", ["a file", "the memory itself", "a folder", "a broken link"])
def test_a_backup_replaces_nothing(tmp_path: Path, kind: str) -> None:
    target = tmp_path / ("ann.db" if kind == "the memory itself" else "target")
    if kind == "a file":
        target.write_text("notes")
    elif kind == "a folder":
        target.mkdir()
    elif kind == "a broken link":
        target.symlink_to("nowhere")
    with memory(tmp_path / "ann.db") as opened:
        opened.remember("tea", user_id="ann")
        before = sorted(tmp_path.iterdir())
        with pytest.raises(InvalidInput, match="replaces nothing"):
            opened.backup(target)
        assert sorted(tmp_path.iterdir()) == before
        assert [turn.text for turn in opened.turns(user_id="ann")] == ["tea"]
    assert kind != "a file" or target.read_text() == "notes"


def test_a_backup_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    (tmp_path / "copies").mkdir()
    with memory(tmp_path / "ann.db") as opened, pytest.raises(StoreReadOnly, match="No space left"):
        opened.backup(tmp_path / "copies" / "ann.db")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_folder_that_is_not_there_is_a_typed_error(store: Backend, tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnly, match="No such file"):
        store.backup(str(tmp_path / "no" / "copy.db"))


def test_a_closed_store_cannot_be_backed_up(store: Backend, tmp_path: Path) -> None:
    store.close()
    with pytest.raises(StoreClosed):
        store.backup(str(tmp_path / "copy.db"))
