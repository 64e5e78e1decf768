"""A thought that gets other words while a memory moves to another embedder."""

from pathlib import Path

import pytest
from memkit_sqlite.sqlite import SQLiteStore
from thinkers import known, opened, says, tell

import memkit
from memkit.testing import HashEmbedder


class Interrupted(Exception):
    """Ends an embedding run."""


def stop_at_the_end(done: int, total: int) -> None:
    if done == total:
        raise Interrupted


def test_its_vector_is_of_the_new_words_and_the_new_embedder(tmp_path: Path) -> None:
    path, new = tmp_path / "ann.db", HashEmbedder(64, name="another")
    with opened(path) as memory:
        tell(memory, says("I like the red boat", 2))
        with pytest.raises(Interrupted):
            memkit.reembed(path, new, stop_at_the_end)
        tell(memory, says("I like red boat", 1))  # said earlier: the thought takes these words
        assert known(memory) == ["I like red boat"]
    memkit.reembed(path, new)

    store = SQLiteStore(str(path), new.fingerprint)
    rows = store._connection.fetch("SELECT vector FROM thought_vectors")
    assert [row[0] for row in rows] == [new.embed(["I like red boat"])[0].tobytes()]
    store.close()
