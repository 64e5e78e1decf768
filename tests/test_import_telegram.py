"""Promises of the importer of Telegram's export, on chats of our own."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exports import fill, left_of, texts_of, turns_of, write_json
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import InvalidInput
from memkit.importers import sniff
from memkit.testing import open_memory


def message(id: int, text: object, sender: str | None = "Ann", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "message", "date": "2024-05-01T12:00:00",
            "date_unixtime": str(1714564800 + id), "from": sender, "from_id": f"user{id}",
            "text": text} | more  # fmt: skip


def chat(*messages: object, id: int = 42, name: str = "Garden club") -> dict[str, Any]:
    return {"name": name, "type": "private_group", "id": id, "messages": list(messages)}


def whole_export(*chats: object, left: tuple[object, ...] = ()) -> dict[str, Any]:
    return {"about": "All my data", "personal_information": {"user_id": 1},
            "chats": {"about": "…", "list": list(chats)},
            "left_chats": {"list": list(left)}, "stories": []}  # fmt: skip


def test_a_message_has_speaker_time_chat_and_title(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(tmp_path / "r.json", chat(message(7, "Plant garlic now")))
    assert sniff(path) == "telegram"
    fill(memory, path)
    (turn,) = turns_of(memory)
    assert (turn.id, turn.session_id, turn.name) == ("telegram:42:7", "telegram:42", "Ann")
    assert turn.said_at == datetime.fromtimestamp(1714564807, tz=UTC)
    assert (turn.role, turn.origin) == ("user", "imported")
    assert turn.metadata == {"title": "Garden club"}


def test_all_chats_of_a_whole_export_are_read(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "r.json",
        whole_export(
            chat(message(1, "a")),
            "?",
            chat(message(1, "b"), id=43),
            left=(chat(message(1, "c"), id=44),),
        ),
    )
    assert sniff(path) == "telegram"
    assert [fill(memory, path).new for _ in range(2)] == [3, 0]
    assert [turn.session_id for turn in turns_of(memory)] == [
        "telegram:42", "telegram:43", "telegram:44"]  # fmt: skip


def test_a_text_of_entities_is_joined(memory: memkit.Memory, tmp_path: Path) -> None:
    parts = ["See ", {"type": "link", "text": "example.org"}, 7, " today"]
    path = write_json(
        tmp_path / "r.json",
        chat(message(1, parts), message(2, None, text_entities=[{"type": "bold", "text": "Now"}])),
    )
    fill(memory, path)
    assert texts_of(memory) == ["See example.org today", "Now"]


def test_forwarded_words_are_somebody_elses(memory: memkit.Memory, tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "r.json",
        chat(
            message(1, "I live in Rome", forwarded_from="News"),
            message(2, "x", forwarded_from=None),
        ),
    )
    fill(memory, path)
    assert [turn.origin for turn in turns_of(memory)] == ["pasted", "pasted"]
    assert turns_of(memory)[0].metadata["forwarded_from"] == "News"


def test_answers_and_edits_are_in_the_metadata(memory: memkit.Memory, tmp_path: Path) -> None:
    entry = message(2, "Yes", reply_to_message_id=1, edited="2024-05-01T12:10:00")
    fill(memory, write_json(tmp_path / "r.json", chat(entry)))
    metadata = turns_of(memory)[0].metadata
    assert (metadata["reply_to"], metadata["edited"]) == ("telegram:42:1", "2024-05-01T12:10:00")


def test_service_messages_and_media_without_words_are_left_out_and_captions_taken(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    service = {"id": 1, "type": "service", "action": "invite_members", "text": ""}
    path = write_json(
        tmp_path / "r.json",
        chat(
            service,
            message(2, "", media_type="sticker", file="s.webp"),
            message(3, "", photo="p.jpg"),
            message(4, "Our house", photo="p.jpg"),
            message(5, "", location_information={"latitude": 1}),
            message(6, "Listen", media_type="voice_message", file="v.ogg"),
            message(7, ""),
        ),
    )
    counts = fill(memory, path)
    assert texts_of(memory) == ["[photo]\nOur house", "[voice message]\nListen"]
    assert left_of(counts) == {"media without words": 3, "service message": 1}
    assert counts.empty == 1


def test_without_seconds_the_date_is_read_in_the_timezone_given(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    fill(memory, write_json(tmp_path / "r.json", chat(message(1, "a", date_unixtime=None))))
    assert turns_of(memory)[0].said_at == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_deleted_account_is_named_by_its_id(memory: memkit.Memory, tmp_path: Path) -> None:
    fill(memory, write_json(tmp_path / "r.json", chat(message(5, "a", sender=None))))
    assert turns_of(memory)[0].name == "user5"


def test_the_user_has_no_name_and_without_one_the_report_asks(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "r.json", chat(message(1, "a"), message(2, "b", sender="Bob")))
    with pytest.raises(InvalidInput, match="people: Ann, Bob"):
        fill(memory, path, me="Eve")
    fill(memory, path, me="Ann")
    assert [turn.name for turn in turns_of(memory)] == [None, "Bob"]
    assert "pass --me NAME" in fill(memory, path).notes[0]


def test_each_result_of_an_archive_is_a_session_and_all_its_speakers_are_known(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, id, sender in (("Bob", 1, "Bob"), ("Cara", 2, "Ann")):
            result = write_json(
                tmp_path / "r.json", chat(message(1, "hi", sender), id=id, name=name)
            )
            archive.write(result, f"{name}/result.json")
    counts = fill(memory, path, me="Ann")  # who speaks in the second chat only
    assert (counts.new, counts.notes) == (2, ())
    assert {turn.session_id: turn.name for turn in turns_of(memory)} == {
        "telegram:1": "Bob", "telegram:2": None}  # fmt: skip


def test_an_edited_message_is_reported_and_a_longer_file_adds_the_new_ones(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "r.json", chat(message(1, "a")))
    fill(memory, path)
    counts = fill(memory, write_json(path, chat(message(1, "A"), message(2, "b"))))
    assert (counts.new, counts.failed) == (1, 1)
    assert "turn id 'telegram:42:1' already has another text" in counts.problems[0]


def test_a_bad_message_costs_itself_only_and_a_cut_file_its_end(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_json(
        tmp_path / "r.json",
        whole_export(
            chat(message(1, "a"), "BAD", 7, message(2, "b")), chat(message(3, "c"), id=43)
        ),
    )
    path.write_text(path.read_text().replace('"BAD"', '{"text": nope}')[:-90])
    counts = fill(memory, path)
    assert texts_of(memory) == ["a", "b"]
    assert len(counts.problems) == 3
    assert "was not read" in counts.problems[-1]


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "chats", "list", "id", "name", "type", "text", "from",
                         "date_unixtime", "text_entities", "forwarded_from", "edited"]), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(export=anything, entry=anything)
def test_any_json_is_read_or_refused_in_our_words(
    export: object, entry: object, tmp_path: Path
) -> None:
    for value in (export, whole_export(export, chat(entry, message(1, entry)))):
        with open_memory() as memory:
            try:
                fill(memory, write_json(tmp_path / "r.json", value), format="telegram")
            except InvalidInput:
                continue
