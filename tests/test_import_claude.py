"""Promises of the importer of Claude's export, on conversations of our own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exports import fill, left_of, texts_of, turns_of, write_json
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.importers import sniff
from memkit.testing import open_memory

NOON = "2024-05-01T12:00:00.000000Z"


def message(id: str, sender: str, text: str = "", *blocks: object, **more: Any) -> dict[str, Any]:
    content = blocks or ({"type": "text", "text": text},)
    return {"uuid": id, "sender": sender, "text": text, "content": list(content),
            "created_at": NOON, "attachments": [], "files": []} | more  # fmt: skip


def talk(*messages: object, id: str = "c1") -> dict[str, Any]:
    return {"uuid": id, "name": "Garden", "summary": "", "created_at": NOON, "account": {},
            "chat_messages": list(messages)}  # fmt: skip


def fill_talk(memory: memkit.Memory, tmp_path: Path, *messages: object) -> list[str]:
    fill(memory, write_json(tmp_path / "c.json", [talk(*messages)]))
    return texts_of(memory)


def test_a_message_has_role_time_session_and_title(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(tmp_path / "c.json", [talk(message("m1", "human", "Hello"),
                                                 message("m2", "assistant", "Hi"))])  # fmt: skip
    assert sniff(path) == "claude"
    fill(memory, path)
    first, second = turns_of(memory)
    assert (first.id, first.role, first.session_id) == ("claude:m1", "user", "claude:c1")
    assert (second.role, second.origin) == ("assistant", "imported")
    assert first.said_at is not None
    assert first.said_at.isoformat() == "2024-05-01T12:00:00+00:00"
    assert first.metadata == {"title": "Garden"}


def chain_of_five(is_tree: bool) -> dict[str, Any]:
    messages = [message(f"m{n}", "human" if n % 2 == 0 else "assistant", f"said {n}")
                for n in range(5)]  # fmt: skip
    parent = "00000000-0000-4000-8000-000000000000"
    for entry in messages if is_tree else ():
        entry["parent_message_uuid"], parent = parent, entry["uuid"]
    return talk(*messages)


def remove_id(messages: list[Any], n: int) -> None:
    del messages[n]["uuid"]


def damage_parent(messages: list[Any], n: int) -> None:
    messages[n]["parent_message_uuid"] = 7


def damage_message(messages: list[Any], n: int) -> None:
    messages[n] = "damaged"


def remove_message(messages: list[Any], n: int) -> None:
    del messages[n]


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("is_tree", [True, False])
@pytest.mark.parametrize("damage", [damage_message, remove_message])
def test_a_damaged_or_missing_message_costs_itself_only_wherever_it_is(
    memory: memkit.Memory, tmp_path: Path, is_tree: bool, n: int,
    damage: Callable[[list[Any], int], None],
) -> None:  # fmt: skip
    conversation = chain_of_five(is_tree)
    damage(conversation["chat_messages"], n)
    counts = fill(memory, write_json(tmp_path / "c.json", [conversation]))
    assert texts_of(memory) == [f"said {m}" for m in range(5) if m != n]
    assert (counts.failed, counts.left) == (int(damage is damage_message), ())


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("damage", [remove_id, damage_parent])
def test_a_message_without_its_id_or_parent_costs_no_message(
    memory: memkit.Memory, tmp_path: Path, n: int, damage: Callable[[list[Any], int], None]
) -> None:
    conversation = chain_of_five(is_tree=True)
    damage(conversation["chat_messages"], n)
    fill(memory, write_json(tmp_path / "c.json", [conversation]))
    assert texts_of(memory) == [f"said {m}" for m in range(5)]


@pytest.mark.parametrize("damaged", [None, 4, 5])
def test_after_an_edited_first_message_the_current_branch_counts(
    memory: memkit.Memory, tmp_path: Path, damaged: int | None
) -> None:
    conversation = chain_of_five(is_tree=True)
    root = conversation["chat_messages"][0]["parent_message_uuid"]
    conversation["chat_messages"][:0] = [
        message("old", "human", "typo", parent_message_uuid=root),
        message("answer", "assistant", "What?", parent_message_uuid="old"),
    ]
    if damaged:
        conversation["chat_messages"][damaged] = "damaged"
    counts = fill(memory, write_json(tmp_path / "c.json", [conversation]))
    assert texts_of(memory) == [f"said {m}" for m in range(5) if m + 2 != damaged]
    assert sum(left_of(counts).values()) == 2


def test_thinking_is_silent_and_calls_and_results_of_tools_are_turns(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look it up."},
        {"type": "tool_use", "name": "search", "input": {"q": "garlic"}},
        {"type": "tool_result", "content": [{"type": "text", "text": "Plant in autumn."}]},
        {"type": "token_budget"}, {"type": "text", "text": "In autumn."},
    ]  # fmt: skip
    assert fill_talk(memory, tmp_path, message("m1", "assistant", "", *blocks)) == [
        'I look it up.\nsearch({"q": "garlic"})\nIn autumn.', "Plant in autumn."]  # fmt: skip
    assert [turn.role for turn in turns_of(memory)] == ["assistant", "tool"]


def test_an_attached_text_is_a_turn_of_pasted_words(memory: memkit.Memory, tmp_path: Path) -> None:
    attached = {"file_name": "a.txt", "extracted_content": "Bob lives in Rome."}
    entry = message("m1", "human", "See this", attachments=[attached, "?"],
                    files=[{"file_name": "b.png"}])  # fmt: skip
    assert fill_talk(memory, tmp_path, entry) == [
        "See this\n[file: a.txt]\n[file: b.png]", "Bob lives in Rome."]  # fmt: skip
    assert [turn.origin for turn in turns_of(memory)] == ["imported", "pasted"]


def test_without_blocks_the_text_counts_and_without_both_the_message_is_empty(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_json(
        tmp_path / "c.json",
        [talk(message("m1", "human", "old", content=[]), message("m2", "human", "", content=None))],
    )
    counts = fill(memory, path)
    assert (texts_of(memory), counts.empty) == (["old"], 1)


def test_only_the_current_branch_is_taken(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(tmp_path / "c.json", [talk(
        message("m1", "human", "a", parent_message_uuid="00000000"),
        message("m2", "assistant", "old", parent_message_uuid="m1"),
        message("m3", "assistant", "new", parent_message_uuid="m1"))])  # fmt: skip
    counts = fill(memory, path)
    assert texts_of(memory) == ["a", "new"]
    assert sum(left_of(counts).values()) == 1


def test_bad_messages_cost_themselves_only(memory: memkit.Memory, tmp_path: Path) -> None:
    bad = message("m1", "human", "", {"type": "tool_use", "input": {}}, 7)
    strange = message("m2", "robot", "beep")
    path = write_json(
        tmp_path / "c.json", [7, talk("?", bad, strange, message("m3", "human", "a"))]
    )
    counts = fill(memory, path)
    assert "a" in texts_of(memory)
    assert len(counts.problems) == 2
    assert left_of(counts) == {"unknown sender": 1}


def test_the_same_file_adds_nothing_and_a_longer_one_only_what_is_new(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    messages = [message(f"m{n}", "human", str(n), attachments=[{"extracted_content": "x"}])
                for n in range(3)]  # fmt: skip
    path = write_json(tmp_path / "c.json", [talk(*messages[:2])])
    assert [fill(memory, path).new for _ in range(2)] == [4, 0]
    assert fill(memory, write_json(path, [talk(*messages)])).new == 2


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["chat_messages", "content", "text", "type", "sender", "uuid", "files",
                         "attachments", "name", "input", "parent_message_uuid"]), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(entry=anything, block=anything)
@pytest.mark.filterwarnings("error")
def test_any_json_is_read_or_refused_in_our_words(
    entry: object, block: object, tmp_path: Path
) -> None:
    path = write_json(
        tmp_path / "c.json",
        [entry, talk(entry, message("m", "human", "a", block), message("k", "human", "known"))],
    )
    with open_memory() as memory:
        fill(memory, path, format="claude")
        assert "known" in texts_of(memory)
