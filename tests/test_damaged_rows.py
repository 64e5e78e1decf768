"""A damaged row is named by a typed error and by `doctor`, and disturbs nothing else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from on_disk import memory

from memkit import Turn
from memkit.errors import DamagedRow, StoreError

TURN = {
    "a time": "UPDATE turns SET said_at = 'soon' WHERE id = 'bad'",
    "metadata": "UPDATE turns SET metadata = '{' WHERE id = 'bad'",
    "a role": "UPDATE turns SET role = 'nobody' WHERE id = 'bad'",
    "bytes for text": "UPDATE turns SET text = x'ff00' WHERE id = 'bad'",
    "a flipped byte": "UPDATE turns SET text = CAST(x'ff4142' AS TEXT) WHERE id = 'bad'",
}
THOUGHT = "UPDATE thoughts SET valid_from = 'soon' WHERE text LIKE '%zeppelin%'"
VECTOR = "UPDATE vectors SET vector = x'00' WHERE chunk_seq = 1"


def damage(path: Path, sql: str) -> None:
    with memory(path) as opened:
        opened.remember(
            [
                Turn(id="good", text="I like the boat in the harbour", session_id="s1"),
                Turn(id="bad", text="I own the zeppelin over Oslo", session_id="s2"),
            ],
            user_id="ann",
        )
        opened.remember("I like tea", user_id="bob")
        opened.flush()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        assert raw.execute(sql).rowcount == 1


@pytest.mark.parametrize("how", TURN)
def test_a_damaged_turn_is_named_and_the_others_are_read(tmp_path: Path, how: str) -> None:
    path = tmp_path / "ann.db"
    damage(path, TURN[how])
    with memory(path) as opened:
        with pytest.raises(DamagedRow, match="doctor" if how == "a flipped byte" else "'bad'"):
            list(opened.turns(user_id="ann"))
        assert any("turn 'bad' of 'ann' is damaged" in fault for fault in opened.doctor())
        (turn,) = opened.turns(user_id="ann", session_id="s1")
        assert turn.id == "good"
        assert opened.recall("boat harbour", user_id="ann", k=1)[0].turn_ids == ("good",)
        assert len(list(opened.turns(user_id="bob"))) == 1


FILTERED = {
    "metadata": ("metadata = '{'", {"n": 1}),
    "metadata that is a list": ("metadata = '[1]'", {"n": 1}),
    "metadata, by tag": ("metadata = '{'", {"tag": "sea"}),
    "tags": ("tags = 'nojson'", {"tag": "sea"}),
    "tags that are a number": ("tags = '5'", {"tag": "sea"}),
    "a time": ("said_at = 'soon'", {"said_at": {"gte": "2020-01-01T00:00:00Z"}}),
    "a flipped byte in a session": ("session_id = CAST(x'ff4142' AS TEXT)", {"session_id": "s"}),
    "a flipped byte in a name": ("name = CAST(x'ff4142' AS TEXT)", {"name": "Ann"}),
    "a flipped byte in metadata": ("metadata = CAST(x'7bff7d' AS TEXT)", {"n": 1}),
}


@pytest.mark.parametrize(("change", "where"), FILTERED.values(), ids=FILTERED)
def test_a_filtered_search_finds_the_others_beside_a_damaged_turn(
    tmp_path: Path, change: str, where: dict[str, object]
) -> None:
    path = tmp_path / "ann.db"
    with memory(path) as opened:
        for id, text in (("good", "I like the boat in the harbour"), ("bad", "I own a boat")):
            turn = Turn(
                id=id, text=text, name="Ann", session_id="s", metadata={"n": 1}, tags=("sea",)
            )
            opened.remember(turn, user_id="ann")
        opened.flush()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        assert raw.execute(f"UPDATE turns SET {change} WHERE id = 'bad'").rowcount == 1
    with memory(path) as opened:
        (hit, *others) = opened.recall("boat harbour", user_id="ann", where=where, k=1)
        assert (hit.turn_ids, others) == (("good",), [])
        assert any("turn 'bad' of 'ann' is damaged" in fault for fault in opened.doctor())


@pytest.mark.parametrize("how", TURN)
@pytest.mark.parametrize(
    "way", [{"turn_ids": ["bad"]}, {"turn_ids": ["good"]}, {"everything": True}], ids=str
)
def test_whatever_is_damaged_can_be_forgotten_and_so_can_the_rest(
    tmp_path: Path, how: str, way: dict[str, object]
) -> None:
    path = tmp_path / "ann.db"
    damage(path, TURN[how])
    with memory(path) as opened:
        receipt = opened.forget(user_id="ann", **way)  # type: ignore[arg-type]
        assert set(receipt.turn_ids) == set(way.get("turn_ids", ["good", "bad"]))  # type: ignore[call-overload]
        assert receipt.purged
        if "bad" in receipt.turn_ids:
            assert opened.doctor() == []
            assert b"zeppelin over Oslo" not in path.read_bytes()


def test_a_damaged_thought_is_named_and_keeps_nobody_from_forgetting(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    damage(path, THOUGHT)
    with memory(path) as opened:
        with pytest.raises(DamagedRow, match=r"thought .* of 'ann'"):
            opened.thoughts(user_id="ann")
        assert any("thought" in fault for fault in opened.doctor())
        opened.forget(user_id="ann", turn_ids=["bad"])
        assert opened.doctor() == []
        assert [thought.text for thought in opened.thoughts(user_id="ann")] == [
            "I like the boat in the harbour"
        ]
        assert b"zeppelin over Oslo" not in path.read_bytes()


def test_a_damaged_vector_is_a_typed_error_and_doctor_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    damage(path, VECTOR)
    with memory(path) as opened:
        with pytest.raises(StoreError, match="a vector of 'ann'"):
            opened.recall("boat", user_id="ann")
        assert any("a vector of 'ann'" in fault for fault in opened.doctor())
        assert opened.recall("tea", user_id="bob")
        assert opened.forget(user_id="ann", everything=True).purged


@pytest.mark.parametrize("metadata", ["text", {"type": "robot"}, {"tool_calls": 5}, [1]], ids=str)
def test_a_history_with_metadata_of_another_program_can_be_read(metadata: object) -> None:
    pytest.importorskip("langchain_core")
    from memkit.integrations.langchain import MemkitChatMessageHistory

    with memory(":memory:") as opened:
        turn = Turn(
            role="assistant", text="I like tea", session_id="s", metadata={"langchain": metadata}
        )
        opened.remember([turn, Turn(text="and boats", session_id="s")], user_id="ann")
        history = MemkitChatMessageHistory(memory=opened, user_id="ann", session_id="s")
        with pytest.warns(UserWarning, match="comes back with its text only"):
            messages = history.messages
        assert [message.content for message in messages] == ["I like tea", "and boats"]
