"""A stored turn gets other words, metadata or tags: what is left of the former ones, and where."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from thinkers import lives, opened, says, tell, texts

from memkit import Chat, importers, revision
from memkit.errors import InvalidInput, MessageBlocked
from memkit.memory import Memory
from memkit.protocols import WriteBatch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.db"


def recalled(memory: Memory, query: str) -> list[str]:
    return [hit.text for hit in memory.recall(query, user_id="ann")]


def test_former_words_are_not_recalled_and_not_believed() -> None:
    with opened() as memory:
        first, second = tell(memory, lives("Oslo"), says("I like tea", 1))
        assert set(texts(memory.thoughts(user_id="ann"))) == {"I live in Oslo now", "I like tea"}
        turn = memory.update(first, user_id="ann", text="I live in Rome now")
        assert (turn.id, turn.position, turn.said_at) == (first, 1, lives("Oslo").said_at)
        memory.think(user_id="ann")
        assert set(texts(memory.thoughts(user_id="ann"))) == {"I live in Rome now", "I like tea"}
        assert sorted(recalled(memory, "Oslo Rome")) == ["I like tea", "I live in Rome now"]
        assert "Oslo" not in memory.context("Where do I live?", user_id="ann").text
        assert [turn.text for turn in memory.turns(user_id="ann")] == [
            "I live in Rome now", "I like tea",
        ]  # fmt: skip
        assert memory.doctor() == []
        assert second in {hit.turn_ids[0] for hit in memory.recall("tea", user_id="ann")}


def test_all_wordings_stay_with_when_each_was_stored() -> None:
    with opened() as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        for city in ("Rome", "Bergen"):
            memory.update(turn_id, user_id="ann", text=f"I live in {city} now")
        wordings = memory.wordings(turn_id, user_id="ann")
        assert [turn.text.split()[3] for turn in wordings] == ["Oslo", "Rome", "Bergen"]
        stored = [turn.stored_at for turn in wordings if turn.stored_at]
        assert stored == sorted(stored)
        assert wordings[-1] == next(memory.turns(user_id="ann"))
        with pytest.raises(InvalidInput, match="'bob' has no turn"):
            memory.wordings(turn_id, user_id="bob")


def test_a_thought_that_another_turn_supports_is_drawn_from_that_one() -> None:
    with opened() as memory:
        first, second = tell(memory, lives("Oslo"), lives("Oslo", 1))
        memory.update(first, user_id="ann", text="I like jazz")
        memory.think(user_id="ann")
        turn_ids = {thought.text: thought.turn_ids for thought in memory.thoughts(user_id="ann")}
        assert turn_ids == {"I live in Oslo now": (second,), "I like jazz": (first,)}


def test_a_rollback_does_not_bring_former_words_back() -> None:
    with opened() as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        before = memory.checkpoint()
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        memory.think(user_id="ann")
        memory.rollback(user_id="ann", to=before)
        memory.think(user_id="ann")
        assert texts(memory.thoughts(user_id="ann")) == ["I live in Rome now"]
        memory.restore(user_id="ann")
        assert recalled(memory, "Oslo") == ["I live in Rome now"]


def test_metadata_and_tags_are_replaced_in_place_and_thoughts_stay() -> None:
    with opened() as memory:
        (turn_id,) = tell(memory, lives("Oslo", metadata={"n": 1}, tags=("a",)))
        before = memory.thoughts(user_id="ann")
        memory.recall("Oslo", user_id="ann", where={"tag": "b"})
        memory.update(turn_id, user_id="ann", tags=["b"])
        memory.update(turn_id, user_id="ann", metadata={})
        (turn,) = memory.turns(user_id="ann")
        assert (turn.tags, turn.metadata, turn.text) == (("b",), {}, "I live in Oslo now")
        assert memory.thoughts(user_id="ann") == before
        assert len(memory.wordings(turn_id, user_id="ann")) == 1
        assert memory.recall("Oslo", user_id="ann", where={"tag": "a"}) == []
        assert len(memory.recall("Oslo", user_id="ann", where={"tag": "b"})) == 1


def test_every_update_is_an_event_of_the_ledger() -> None:
    with opened() as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        memory.update(turn_id, user_id="ann", tags=["home"])
        kinds = [event.kind for event in memory.store.events()]
        assert kinds[-2:] == ["update", "update"]


def test_forgetting_a_turn_leaves_no_byte_of_any_wording(path: Path) -> None:
    with opened(path) as memory:
        (turn_id, _) = tell(memory, says("My boat is the Windward Lady"), says("I like tea", 1))
        memory.update(turn_id, user_id="ann", text="My boat is the Leeward Queen")
        memory.think(user_id="ann")
        assert b"Windward" in content(path)
        receipt = memory.forget(user_id="ann", turn_ids=[turn_id])
        assert (receipt.residue, receipt.recalled, receipt.purged) == (0, 0, True)
        assert b"Windward" not in content(path)
        assert b"Leeward" not in content(path)


def content(path: Path) -> bytes:
    files = (file for file in path.parent.rglob("*") if file.is_file())
    return b"".join(file.read_bytes() for file in files)


def test_an_encrypted_memory_seals_former_words(path: Path) -> None:
    pytest.importorskip("cryptography")
    with opened(path, key=bytes(32)) as memory:
        (turn_id,) = tell(memory, says("My boat is the Windward Lady"))
        memory.update(turn_id, user_id="ann", text="My boat is the Leeward Queen", tags=["Kampen"])
    with opened(path, key=bytes(32)) as memory:
        wordings = memory.wordings(turn_id, user_id="ann")
        assert wordings[0].text == "My boat is the Windward Lady"
        assert not {word for word in (b"Windward", b"Kampen") if word in content(path)}


def test_an_export_has_all_wordings_and_an_import_restores_them() -> None:
    with opened() as memory, opened() as copy:
        (turn_id,) = tell(memory, lives("Oslo", tags=("home",)))
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        memory.think(user_id="ann")
        file, again = BytesIO(), BytesIO()
        memory.export(file)
        assert copy.import_(BytesIO(file.getvalue())).problems == ()
        copy.export(again)
        assert again.getvalue().splitlines()[1:] == file.getvalue().splitlines()[1:]
        assert copy.wordings(turn_id, user_id="ann") == memory.wordings(turn_id, user_id="ann")


def test_former_words_that_come_again_are_no_new_turn(path: Path) -> None:
    with opened() as memory:
        (turn_id,) = tell(memory, lives("Oslo", id="t1"))
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        memory.remember(lives("Oslo", id="t1"), user_id="ann")
        path.write_text('{"role": "user", "content": "I live in Oslo now", "id": "t1"}\n')
        source = importers.read_lines(path, user_id="ann")
        counts = importers.import_turns(
            memory, source, user_id="ann", progress=lambda *_: None, new_versions=True
        )
        assert (counts.new, counts.problems) == (0, ())
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["I live in Rome now"]


def test_an_open_chat_shows_the_new_words() -> None:
    with opened() as memory:
        chat = Chat(lambda _: "Nice.", memory=memory, user_id="ann")
        chat.reply("I live in Oslo now")
        (turn_id, _) = [str(turn.id) for turn in memory.turns(user_id="ann")]
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        assert [message["content"] for message in chat.history] == ["I live in Rome now", "Nice."]


def test_updates_of_words_and_tags_at_the_same_time_keep_both(path: Path) -> None:
    with opened(path) as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        start = threading.Barrier(4)

        def reword(n: int) -> None:
            start.wait()
            for k in range(5):
                memory.update(turn_id, user_id="ann", text=f"I live in city {n} {k}")

        def tag(n: int) -> None:
            start.wait()
            for k in range(5):
                memory.update(turn_id, user_id="ann", tags=[f"tag {n} {k}"])

        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(update, n) for update in (reword, tag) for n in range(2)]
            for run in runs:
                run.result()
        (turn,) = memory.turns(user_id="ann")
        assert turn.text in {"I live in city 0 4", "I live in city 1 4"}
        assert turn.tags[0] in {"tag 0 4", "tag 1 4"}
        texts = [wording.text for wording in memory.wordings(turn_id, user_id="ann")]
        assert sorted(texts) == sorted(
            ["I live in Oslo now", *(f"I live in city {n} {k}" for n in range(2) for k in range(5))]
        )
        assert memory.doctor() == []


@pytest.mark.parametrize("first", ["text", "tags"])
def test_an_update_that_comes_between_is_not_overwritten(
    path: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "text": {"text": "I live in Rome now"}, "tags": {"tags": ["home"]},
    }  # fmt: skip
    (second,) = changes.keys() - {first}
    with opened(path) as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        build, others = revision.build_update, []

        def build_while_another_updates(*arguments: Any) -> WriteBatch:
            monkeypatch.undo()
            others.append(pool.submit(memory.update, turn_id, user_id="ann", **changes[second]))
            return build(*arguments)

        monkeypatch.setattr(revision, "build_update", build_while_another_updates)
        with ThreadPoolExecutor(1) as pool:
            memory.update(turn_id, user_id="ann", **changes[first])
            others[0].result()
        (turn,) = memory.turns(user_id="ann")
        assert (turn.text, turn.tags) == ("I live in Rome now", ("home",))
        assert len(memory.wordings(turn_id, user_id="ann")) == 2
        assert memory.doctor() == []


def test_an_update_passes_the_privacy_policy_and_says_what_is_wrong() -> None:
    with opened(privacy="block") as memory:
        (turn_id,) = tell(memory, lives("Oslo"))
        with pytest.raises(MessageBlocked):
            memory.update(turn_id, user_id="ann", text="Call +49 30 901820")
        with pytest.raises(InvalidInput, match="pass text, metadata or tags"):
            memory.update(turn_id, user_id="ann")
        with pytest.raises(InvalidInput, match="text is empty"):
            memory.update(turn_id, user_id="ann", text=" ")
        with pytest.raises(InvalidInput, match="'bob' has no turn"):
            memory.update(turn_id, user_id="bob", text="I live in Rome now")
        assert [turn.text for turn in memory.turns(user_id="ann")] == ["I live in Oslo now"]


def test_another_process_sees_the_new_words(path: Path) -> None:
    with opened(path) as memory, opened(path) as another:
        (turn_id,) = tell(memory, lives("Oslo"))
        assert recalled(another, "Oslo") == ["I live in Oslo now"]
        memory.update(turn_id, user_id="ann", text="I live in Rome now")
        assert recalled(another, "Oslo") == ["I live in Rome now"]
