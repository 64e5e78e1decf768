"""Files of a memory are readable by their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
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
