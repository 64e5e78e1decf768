"""Files of a memory are readable by their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run, run  # noqa: F401 - a fixture
from on_disk import memory


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_every_file_and_folder_of_a_memory_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        opened.remember("tea", user_id="ann")
        opened.recall("tea", user_id="ann")
        opened.backup(tmp_path / "copy.db")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*")}
        assert {"ann.db", "ann.db-wal", "copy.db"} <= modes.keys()
    modes |= {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*")}
    assert any(name.endswith(".faiss") for name in modes)
    assert [name for name, mode in modes.items() if mode & 0o077] == []


@pytest.mark.usefixtures("umask")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_every_file_that_a_command_writes_is_its_owners_alone(run: Run, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("cryptography")
    run("add", "tea", "--user", "ann", "--id", "a")
    run("export", "--user", "ann", "--output", "ann.jsonl")
    run("audit", "anchor", "--output", "anchor.json")
    run("forget", "a", "--user", "ann", "--receipt", "receipt.json", "--yes")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {"ann.jsonl", "anchor.json", "receipt.json", "memkit.db.key"} <= modes.keys()
    assert [name for name, mode in modes.items() if mode & 0o077] == []


@pytest.mark.parametrize("name", ["memkit.db.key", "memkit.db.keys/a.key"])
def test_no_command_overwrites_a_key(run: Run, tmp_path: Path, name: str) -> None:  # noqa: F811
    run("add", "tea", "--user", "ann")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"key")
    assert run("export", "--user", "ann", "--output", name).code == 2
    assert (tmp_path / name).read_bytes() == b"key"
