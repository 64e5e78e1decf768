"""Files that are no memory, damaged ones, and disks that are full or read-only."""

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from memkit_sqlite.sqlite import SQLiteStore
from test_faults import memory, remembered

from memkit.errors import (
    IncompleteCopyWarning,
    NewerSchema,
    NotAMemory,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from memkit.memory import Memory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.db"


# ---- files that are no memory


def foreign_database(path: Path, *, wal: bool) -> None:
    raw = sqlite3.connect(path)
    if wal:
        raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE turns (id)")
    raw.execute("INSERT INTO turns VALUES (1)")
    raw.commit()
    raw.close()


NOT_OURS: dict[str, Callable[[Path], object]] = {
    "random bytes": lambda path: path.write_bytes(random.Random(2).randbytes(10_000)),
    "one byte": lambda path: path.write_bytes(b"x"),
    "a text": lambda path: path.write_text("Dear diary, " * 1000),
    "another program's": lambda path: foreign_database(path, wal=False),
    "another program's, WAL": lambda path: foreign_database(path, wal=True),
    "half a header": lambda path: path.write_bytes(b"SQLite format 3\0" + b"\0" * 40),
}


@pytest.mark.parametrize("kind", NOT_OURS)
def test_a_file_that_is_no_memory_is_refused_and_untouched(path: Path, kind: str) -> None:
    NOT_OURS[kind](path)
    before = (path.read_bytes(), path.stat().st_mtime_ns)

    with pytest.raises(NotAMemory, match="not a memkit memory"):
        memory(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(path.parent.iterdir()) == [path]


def test_another_programs_database_with_an_open_log_is_untouched(path: Path) -> None:
    foreign_database(path, wal=True)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("INSERT INTO turns VALUES (2)")
    for file in sorted(path.parent.iterdir()):  # as a crash leaves it
        shutil.copy(
            file, f"{file}.crashed".replace("ann.db", "crashed.db").removesuffix(".crashed")
        )
    raw.close()
    crashed = path.with_name("crashed.db")
    before = {file: file.read_bytes() for file in path.parent.glob("crashed.db*")}

    with pytest.raises(NotAMemory):
        memory(crashed)
    assert {file: file.read_bytes() for file in path.parent.glob("crashed.db*")} == before


def test_an_empty_file_becomes_a_memory(path: Path) -> None:
    path.touch()

    with memory(path) as opened:
        opened.remember("tea", user_id="ann")
    assert len(remembered(path)) == 1


def test_a_file_of_a_newer_memkit_is_refused_and_untouched(path: Path) -> None:
    memory(path).close()
    raw = sqlite3.connect(path)
    raw.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('memkit', '9999_from_the_future', '2099')"
    )
    raw.commit()
    raw.close()
    before = path.read_bytes()

    with pytest.raises(NewerSchema, match=r"9999_from_the_future.*upgrade memkit"):
        memory(path)
    assert path.read_bytes() == before


def test_a_damaged_memory_says_so_and_names_the_way_out(path: Path) -> None:
    with memory(path) as opened:
        opened.remember([f"tea number{n}" for n in range(200)], user_id="ann")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)

    with pytest.raises(NotAMemory, match=r"damaged.*\.recover"):
        memory(path)


@pytest.mark.parametrize("name", ["nowhere/ann.db", ".", "file/ann.db"])
def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreReadOnly, match=str(tmp_path)):
        memory(tmp_path / name)


def test_a_memory_deleted_while_open_is_no_silent_loss(path: Path) -> None:
    opened = memory(path)
    opened.remember("tea", user_id="ann")
    path.unlink()

    with pytest.raises(StoreError, match="moved, deleted or replaced"):
        opened.remember("milk", user_id="ann")
    opened.close()


# ---- disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 2 MiB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:  # noqa: PLW1510
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(opened: Memory) -> list[str]:
    """Remember until there is no space; return the ids that were acknowledged."""
    acknowledged: list[str] = []
    for n in range(3000):
        batch = [f"fact {n} {m} " + "long " * 50 for m in range(3)]
        try:
            acknowledged += opened.remember(batch, user_id="ann")
        except StoreFull:
            return acknowledged
    raise AssertionError("the disk never was full")


def test_a_full_disk_loses_nothing_acknowledged_and_works_when_freed(disk: Path) -> None:
    path, filler = disk / "ann.db", disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    with memory(path) as opened:
        acknowledged = fill_up(opened)
        assert [turn.id for turn in opened.turns(user_id="ann")] == acknowledged
        assert opened.recall("fact 3 1", user_id="ann")
        filler.unlink()
        acknowledged += opened.remember("after all", user_id="ann")
        assert opened.recall("after all", user_id="ann", k=1)[0].text == "after all"
        assert opened.doctor() == []
    assert sorted(remembered(path)) == sorted(acknowledged)


def test_a_memory_on_a_full_disk_can_be_closed_and_opened_again_when_freed(disk: Path) -> None:
    path, filler = disk / "ann.db", disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    with memory(path) as opened:
        acknowledged = fill_up(opened)
        opened.recall("fact", user_id="ann")
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass

    with memory(path) as opened:
        acknowledged += fill_up(opened)
        assert len(list(opened.turns(user_id="ann"))) == len(acknowledged)
    filler.unlink()
    assert sorted(remembered(path)) == sorted(acknowledged)
    assert not list(disk.rglob("*.tmp"))


def test_a_database_that_may_not_grow_is_full_and_stays_whole(path: Path) -> None:
    with memory(path) as opened:
        store = opened.store
        assert isinstance(store, SQLiteStore)
        raw = store._connection._raw
        raw.execute("PRAGMA max_page_count = 120")
        acknowledged = fill_up(opened)
        assert [turn.id for turn in opened.turns(user_id="ann")] == acknowledged
        assert opened.doctor() == []

        raw.execute("PRAGMA max_page_count = 100000")
        opened.remember("after all", user_id="ann")
    assert len(remembered(path)) == len(acknowledged) + 1


def test_a_read_only_disk_says_so(disk: Path) -> None:
    path = disk / "ann.db"
    with memory(path) as opened:
        opened.remember("tea", user_id="ann")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    with pytest.raises(StoreReadOnly, match=r"writable"):
        memory(path).remember("milk", user_id="ann")
    with pytest.raises(StoreReadOnly, match=r"writable"):
        memory(disk / "new.db")


# ---- the log beside the file

# opens a memory, remembers, and closes it
REMEMBER = """
import sys
from memkit.testing import open_memory
with open_memory(sys.argv[1]) as memory:
    print([turn.text for turn in memory.turns(user_id="ann")])
    memory.remember(sys.argv[2], user_id="ann")
"""


def elsewhere(path: Path, text: str) -> str:
    """Remember in another process; return what it read before."""
    command = [sys.executable, "-c", REMEMBER, str(path), text]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_opening_a_memory_twice_does_not_let_another_process_delete_its_log(path: Path) -> None:
    with memory(path) as first, memory(path):
        first.remember("first", user_id="ann")
        elsewhere(path, "second")
        first.remember("third", user_id="ann")
        assert "third" in elsewhere(path, "fourth")
    assert len(remembered(path)) == 4


# a program that is in the middle of its work when its file is copied
OPEN = """
import sys
from memkit.testing import open_memory
memory = open_memory(sys.argv[1])
memory.remember("tea", user_id="ann")
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def used(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the memory open, until it gets a line; it ends without close()."""
    command = [sys.executable, "-c", OPEN, str(path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "open\n"  # type: ignore[union-attr]
        yield process
        process.kill()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


@pytest.mark.usefixtures("used")
def test_a_copy_of_an_open_memory_without_its_log_is_reported(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with pytest.warns(IncompleteCopyWarning, match="memkit backup"):
        opened = memory(copy)
    (fault,) = opened.doctor()
    assert "copy.db-wal: the newest turns may be missing" in fault
    opened.close()


@pytest.mark.usefixtures("used")
def test_a_copy_with_its_log_and_a_second_opening_are_whole(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    for file in (copy, path):  # a warning would be an error here
        with memory(file) as opened:
            assert [turn.text for turn in opened.turns(user_id="ann")] == ["tea"]
            assert opened.doctor() == []


@pytest.mark.parametrize("how", ["close", "end of the program", "kill"])
def test_a_memory_that_was_used_is_whole_however_the_program_ended(
    path: Path, used: subprocess.Popen[str], how: str
) -> None:
    if how == "close":
        memory(path).close()
    if how == "kill":
        used.kill()
        used.wait()
    else:
        end(used)
        assert sorted(path.parent.glob("ann.db-*")) == []  # one file has it all
        shutil.copy(path, path.with_name("copy.db"))
        assert remembered(path.with_name("copy.db"))
    assert len(remembered(path)) == 1


def test_many_programs_that_open_and_close_at_once_report_nothing(path: Path) -> None:
    memory(path).close()
    command = [sys.executable, "-W", "error", "-c", OPEN_OFTEN, str(path)]
    processes = [subprocess.Popen([*command, str(n)]) for n in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert len(remembered(path)) == 24


OPEN_OFTEN = """
import sys
from memkit.testing import open_memory
for n in range(8):
    with open_memory(sys.argv[1]) as memory:
        memory.remember(f"tea {sys.argv[2]} {n}", user_id="ann")
"""
