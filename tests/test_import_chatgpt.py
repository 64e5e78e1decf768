"""Promises of the importer of ChatGPT's export, on conversations of our own."""

import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exports import fill, left_of, texts_of, turns_of, write_json
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import ArchiveTooLarge, InvalidInput
from memkit.importers import files, sniff
from memkit.testing import open_memory

NOON = 1_700_000_000.5


def message(id: str, role: str, *parts: object, kind: str = "text", **more: Any) -> dict[str, Any]:
    content = {"content_type": kind, "parts": list(parts)} | more.pop("content", {})
    return {
        "id": id,
        "author": {"role": role, "name": more.pop("name", None)},
        "weight": 1.0,
        "create_time": NOON,
        "recipient": "all",
        "content": content,
        "metadata": {},
    } | more


def chain(*messages: object, id: str = "c1", **more: Any) -> dict[str, Any]:
    """Return a conversation in which each message answers the one before it."""
    nodes: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None}}
    parent = "root"
    for n, entry in enumerate(messages):
        nodes[f"n{n}"] = {"id": f"n{n}", "message": entry, "parent": parent}
        parent = f"n{n}"
    return {"conversation_id": id, "title": "Garden", "create_time": NOON, "current_node": parent,
            "mapping": nodes} | more  # fmt: skip


def texts(memory: memkit.Memory, tmp_path: Path, *messages: object) -> list[str]:
    fill(memory, write_json(tmp_path / "c.json", [chain(*messages)]))
    return texts_of(memory)


def test_a_message_has_role_time_session_title_and_model(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    reply = message("m2", "assistant", "Plant garlic.", metadata={"model_slug": "gpt-x"})
    path = write_json(tmp_path / "any.name", [chain(message("m1", "user", "What now?"), reply)])
    assert sniff(path) == "chatgpt"
    assert (counts := fill(memory, path)).new == 2
    assert (counts.left, counts.problems) == ((), ())
    first, second = turns_of(memory)
    assert (first.id, first.role, first.origin) == ("chatgpt:m1", "user", "imported")
    assert first.said_at == datetime.fromtimestamp(NOON, tz=UTC)
    assert first.session_id == second.session_id == "chatgpt:c1"
    assert second.metadata == {"title": "Garden", "model": "gpt-x"}


def test_only_the_current_branch_is_taken_and_the_others_are_counted(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    talk = chain(message("m1", "user", "Hello"), message("m2", "assistant", "Second reply"))
    regenerated = {"message": message("m3", "assistant", "First reply"), "parent": "n0"}
    edited = {"message": message("m4", "user", "Helo"), "parent": "root"}
    talk["mapping"] = {"old": regenerated, "typo": edited} | talk["mapping"]
    counts = fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == ["Hello", "Second reply"]
    ((reason, count),) = left_of(counts).items()
    assert (reason.partition(":")[0], count) == ("not on the current branch", 2)
    assert "conversation 1 (Garden), message old" in counts.left[0].first[0]


@pytest.mark.parametrize("current", [None, "nowhere", ["n1"]])
def test_without_a_current_node_the_last_branch_counts(
    memory: memkit.Memory, tmp_path: Path, current: object
) -> None:
    talk = chain(message("m1", "user", "a"), message("m2", "assistant", "b"), current_node=current)
    fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == ["a", "b"]


def test_a_circle_of_nodes_ends(memory: memkit.Memory, tmp_path: Path) -> None:
    talk = chain(message("m1", "user", "a"), message("m2", "assistant", "b"))
    talk["mapping"]["n0"]["parent"] = "n1"
    fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == ["a", "b"]


def damage_node(nodes: dict[str, Any], n: int) -> None:
    nodes[f"n{n}"] = "damaged"


def remove_node(nodes: dict[str, Any], n: int) -> None:
    del nodes[f"n{n}"]


def damage_message(nodes: dict[str, Any], n: int) -> None:
    nodes[f"n{n}"]["message"] = "damaged"


def damage_parent(nodes: dict[str, Any], n: int) -> None:
    nodes[f"n{n}"]["parent"] = 7


def chain_of_five() -> dict[str, Any]:
    """Return a conversation whose nodes name their children, as those of ChatGPT do."""
    talk = chain(*[message(f"m{n}", "user" if n % 2 == 0 else "assistant", f"said {n}")
                   for n in range(5)])  # fmt: skip
    for id, node in talk["mapping"].items():
        node["children"] = [
            child for child, other in talk["mapping"].items() if other["parent"] == id
        ]
    return talk


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("damage", [damage_node, damage_message])
def test_a_damaged_message_costs_itself_only_wherever_it_is(
    memory: memkit.Memory, tmp_path: Path, damage: Callable[[dict[str, Any], int], None], n: int
) -> None:
    talk = chain_of_five()
    damage(talk["mapping"], n)
    counts = fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == [f"said {m}" for m in range(5) if m != n]
    assert counts.failed == 1


@pytest.mark.parametrize("n", range(5))
def test_a_missing_message_costs_itself_only_wherever_it_is(
    memory: memkit.Memory, tmp_path: Path, n: int
) -> None:
    talk = chain_of_five()
    remove_node(talk["mapping"], n)
    fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == [f"said {m}" for m in range(5) if m != n]


@pytest.mark.parametrize("n", range(5))
def test_a_damaged_parent_costs_no_message(memory: memkit.Memory, tmp_path: Path, n: int) -> None:
    talk = chain_of_five()
    damage_parent(talk["mapping"], n)
    fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == [f"said {m}" for m in range(5)]


def test_after_an_edited_first_message_the_current_branch_counts(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    talk = chain_of_five()
    old = {"n9": {"message": message("m9", "user", "typo"), "parent": "root", "children": ["n8"]},
           "n8": {"message": message("m8", "assistant", "What?"), "parent": "n9"}}  # fmt: skip
    talk["mapping"] = old | talk["mapping"]
    talk["mapping"]["root"]["children"] = ["n9", "n0"]
    talk["mapping"]["n2"] = "damaged"
    counts = fill(memory, write_json(tmp_path / "c.json", [talk]))
    assert texts_of(memory) == ["said 0", "said 1", "said 3", "said 4"]
    assert sum(left_of(counts).values()) == 2


INVISIBLE = {"is_visually_hidden_from_conversation": True}
HIDDEN = {
    "hidden message": message("h", "user", "x", metadata=INVISIBLE),
    "hidden message, by weight": message("h", "user", "x", weight=0),
    "system message": message("h", "system", "You are ChatGPT."),
    "reasoning": message("h", "assistant", kind="thoughts", content={"thoughts": []}),
    "page read by a tool": message("h", "tool", "A page.", kind="tether_quote"),
    "ChatGPT's own memory": message("h", "system", kind="model_editable_context"),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "hidden"), HIDDEN.items(), ids=HIDDEN)
def test_what_nobody_saw_is_left_out_with_its_reason(
    memory: memkit.Memory, tmp_path: Path, reason: str, hidden: object
) -> None:
    path = write_json(tmp_path / "c.json", [chain(hidden, message("m", "user", "seen"))])
    counts = fill(memory, path)
    assert texts_of(memory) == ["seen"]
    assert left_of(counts) == {reason.partition(",")[0]: 1}


def test_pictures_voices_and_files_have_placeholders_or_their_words(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://f"}
    voice = {"content_type": "real_time_user_audio_video_asset_pointer"}
    words = {"content_type": "audio_transcription", "text": "Good morning"}
    pdf = {"attachments": [{"name": "a.pdf", "mime_type": "application/pdf"}]}
    assert texts(
        memory,
        tmp_path,
        message("m1", "user", picture, "Which plant?", kind="multimodal_text"),
        message("m2", "user", words, voice, kind="multimodal_text"),
        message("m3", "user", voice, kind="multimodal_text"),
        message("m4", "user", "Read this", metadata=pdf),
        message("m5", "user", None, 7, {"content_type": ["?"]}),
    ) == ["[image]\nWhich plant?", "Good morning", "[audio]", "Read this\n[file: a.pdf]", "[part]"]


def test_marks_of_citations_are_no_words(memory: memkit.Memory, tmp_path: Path) -> None:
    written = (
        "Plant garlic. \ue200cite\ue202turn0search3\ue202turn0search4\ue201\n"
        "Water it\ue200filecite\ue202turn1file0\ue201."
    )
    assert texts(memory, tmp_path, message("m1", "assistant", written)) == [
        "Plant garlic.\nWater it."]  # fmt: skip


def test_calls_of_tools_and_their_results_are_turns(memory: memkit.Memory, tmp_path: Path) -> None:
    code = {"content_type": "code", "text": "1 + 1"}
    output = {"content_type": "execution_output", "text": "2"}
    assert texts(
        memory, tmp_path,
        message("m1", "assistant", content=code, recipient="python"),
        message("m2", "tool", content=output, name="python"),
        message("m3", "assistant", "User has a dog.", recipient="bio"),
    ) == ["python(1 + 1)", "2", "bio(User has a dog.)"]  # fmt: skip
    assert [turn.role for turn in turns_of(memory)] == ["assistant", "tool", "assistant"]
    assert turns_of(memory)[1].name == "python"


def test_a_canvas_document_is_its_name_and_words_and_then_its_changes(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    create = '{"name": "Letter", "type": "document", "content": "Dear Bob"}'
    update = '{"updates": [{"pattern": ".*", "replacement": "Dear Eve"}]}'
    assert texts(
        memory, tmp_path,
        message("m1", "assistant", create, recipient="canmore.create_textdoc"),
        message("m2", "assistant", update, recipient="canmore.update_textdoc"),
        message("m3", "assistant", "no JSON", recipient="canmore.update_textdoc"),
    ) == ["Letter\nDear Bob", "Dear Eve", "no JSON"]  # fmt: skip


def test_custom_instructions_are_one_turn_of_the_user_however_often_they_come(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    context = {"user_profile": "The user says:\n```I am a nurse.```", "user_instructions": ""}
    fields = {"kind": "user_editable_context", "content": context, "metadata": INVISIBLE}
    about = [message(f"m{n}", "user", **fields) for n in range(2)]
    talks = [chain(entry, id=f"c{n}") for n, entry in enumerate(about)]
    path = write_json(tmp_path / "c.json", talks)
    fill(memory, path)
    assert [(turn.text, turn.role) for turn in turns_of(memory)] == [("I am a nurse.", "user")]


def test_a_message_without_a_time_has_that_of_the_message_before(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    later = message("m2", "assistant", "b", create_time=NOON + 60)
    bad_times = [message(f"m{n}", "user", "c", create_time=time)
                 for n, time in enumerate([None, "noon", 1e300, True], start=3)]  # fmt: skip
    texts(memory, tmp_path, message("m1", "user", "a", create_time=None), later, *bad_times)
    times = [turn.said_at.timestamp() for turn in turns_of(memory) if turn.said_at]
    assert times == [NOON, *[NOON + 60] * 5]


def test_a_bad_conversation_costs_itself_only(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(tmp_path / "c.json", ["?", chain(message("m1", "user", "a")), "BAD", chain(
        "no object", message("m2", "user", "b"), id="c2")])  # fmt: skip
    path.write_text(path.read_text().replace('"BAD"', '{"mapping": tru}'))
    counts = fill(memory, path)
    assert texts_of(memory) == ["a", "b"]
    assert [problem.partition(": ")[0].partition(", ")[2] for problem in counts.problems] == [
        "conversation 1", "conversation 3", "conversation 4 (Garden), message n0"]  # fmt: skip


def test_of_a_file_that_was_cut_off_the_beginning_is_imported(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "c.json", [chain(message(f"m{n}", "user", f"{n}"), id=f"c{n}")
                                            for n in range(3)])  # fmt: skip
    path.write_bytes(path.read_bytes()[:-40])
    (problem,) = fill(memory, path).problems
    assert texts_of(memory) == ["0", "1"]
    assert "the file ends in the middle" in problem


def test_the_same_file_adds_nothing_and_a_longer_one_only_what_is_new(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    talk = [message("m1", "user", "a"), message("m2", "assistant", "b")]
    path = write_json(tmp_path / "c.json", [chain(*talk)])
    assert [fill(memory, path).new for _ in range(2)] == [2, 0]
    write_json(
        path,
        [chain(message("m9", "user", "other"), id="c9"), chain(*talk, message("m3", "user", "c"))],
    )
    assert [fill(memory, path).new for _ in range(2)] == [2, 0]


def test_an_edited_message_is_reported_and_nothing_else_is_lost(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    fill(memory, write_json(tmp_path / "c.json", [chain(message("m1", "user", "a"))]))
    talk = chain(message("m1", "user", "A"), message("m2", "user", "b"))
    (problem,) = fill(memory, write_json(tmp_path / "c.json", [talk])).problems
    assert "turn id 'chatgpt:m1' already has another text" in problem
    assert texts_of(memory) == ["a", "b"]


# ---- archives


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return path


def conversations(tmp_path: Path, *names: str) -> bytes:
    talks = [chain(message(name, "user", name), id=name) for name in names]
    return write_json(tmp_path / "part.json", talks).read_bytes()


def test_of_an_archive_the_conversations_are_read_and_other_files_ignored(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = zip_of(tmp_path / "e.zip", **{
        "..__..__conversations-000.json": conversations(tmp_path, "a"),
        "conversations-001.json": conversations(tmp_path, "b"), "user.json": b"{",
        "chat.html": b"<html>"})  # fmt: skip
    assert sniff(path) == "chatgpt"
    assert [fill(memory, path).new for _ in range(2)] == [2, 0]
    assert sorted(texts_of(memory)) == ["a", "b"]


def test_an_archive_that_unpacks_to_too_much_is_refused(
    memory: memkit.Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_of(tmp_path / "e.zip", **{"conversations.json": b"[" + b" " * 2_000_000 + b"]"})
    monkeypatch.setattr(files, "MOST_UNZIPPED", 1_000_000)
    with pytest.raises(ArchiveTooLarge):
        fill(memory, path)


def test_an_archive_whose_sizes_are_lies_is_refused(memory: memkit.Memory, tmp_path: Path) -> None:
    path = zip_of(tmp_path / "e.zip", **{"conversations.json": conversations(tmp_path, "a")})
    size = len(conversations(tmp_path, "a")).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (9).to_bytes(4, "little")))
    with pytest.raises(InvalidInput):
        fill(memory, path, format="chatgpt")


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"PK\x03\x04" + b"x" * 100])
def test_a_damaged_archive_is_refused_in_our_words(
    memory: memkit.Memory, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "e.zip").write_bytes(data)
    with pytest.raises(InvalidInput, match="damaged zip archive"):
        fill(memory, tmp_path / "e.zip")


@pytest.mark.parametrize("offset", [26, 30])  # length of the name, name
def test_an_archive_with_a_damaged_header_before_a_file_is_refused_in_our_words(
    memory: memkit.Memory, tmp_path: Path, offset: int
) -> None:
    path = zip_of(tmp_path / "e.zip", **{"conversations.json": conversations(tmp_path, "a")})
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        fill(memory, path)
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        fill(memory, path, format="chatgpt")


def test_an_archive_without_a_known_file_says_what_it_looks_for(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"conversations\.json"):
        fill(memory, zip_of(tmp_path / "e.zip", **{"notes.txt": b"hello"}))


# ---- anything else

said = st.text(min_size=1, max_size=20).filter(lambda text: text.strip())


@settings(max_examples=25, deadline=None)
@given(first=st.lists(said, max_size=5), added=st.lists(said, max_size=4))
def test_words_come_through_unchanged_and_growth_adds_only_what_is_new(
    first: Sequence[str], added: Sequence[str], tmp_path: Path
) -> None:
    talk = [message(f"m{n}", "user", text) for n, text in enumerate([*first, *added])]
    with open_memory() as memory:
        path = write_json(tmp_path / "c.json", [chain(*talk[: len(first)])])
        assert fill(memory, path, format="chatgpt").new == len(first)
        assert fill(memory, write_json(path, [chain(*talk)])).new == len(added)
        assert texts_of(memory) == [*first, *added]


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["mapping", "message", "content", "parts", "metadata", "author", "parent",
                         "content_type", "role", "text", "id", "attachments", "updates"]), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(talk=anything, entry=anything)
def test_any_json_is_read_or_refused_in_our_words(
    talk: object, entry: object, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "c.json", [talk, chain(entry, message("m", "user", entry))])
    with open_memory() as memory:
        try:
            fill(memory, path, format="chatgpt")
        except InvalidInput:
            return
