"""Promises of the importers: what goes out comes in again, and bad files say where they are bad."""

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit import importers
from memkit.errors import InvalidInput, ModelError, UnknownFormat
from memkit.importers import ImportCounts, read_lines, read_locomo, to_line
from memkit.importers.ids import Repeats
from memkit.protocols import Vectors
from memkit.records import Turn
from memkit.testing import HashEmbedder, open_memory

LOCOMO = Path(__file__).parents[2] / "shared" / "data" / "locomo" / "locomo10.json"
WHEN = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)

NASTY = (
    "Ünï ☃ 👩‍👩‍👧 \u202eoppoz\u202c\r\n\ttab \x1b[31m \u2028 \x85 [bold]x[/bold] \\n \x00 \"{}'; --"
)


def fill(
    memory: memkit.Memory, path: Path, *, session_id: str | None = None, new_versions: bool = False
) -> ImportCounts:
    source = read_lines(path, user_id="ann", session_id=session_id)
    return importers.import_turns(
        memory, source, user_id="ann", progress=lambda _, __: None, new_versions=new_versions
    )


def lines_of(memory: memkit.Memory) -> list[dict[str, str]]:
    return [to_line(turn, user_id="ann") for turn in memory.turns(user_id="ann")]


def write(path: Path, lines: Sequence[object]) -> Path:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_bytes(text.encode())
    return path


def jsonl_record(n: int, **more: object) -> dict[str, object]:
    return {"role": "user", "content": f"fact {n}", "id": f"t{n}"} | more


# ---- JSON lines

words = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\0" not in text)
maybe = st.none() | words
turns = st.builds(
    Turn,
    text=words,
    role=st.sampled_from(["user", "assistant", "system", "tool"]),
    name=maybe,
    said_at=st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
    ),
    session_id=maybe,
    agent_id=maybe,
)


@settings(max_examples=30)
@given(spoken=st.lists(turns, max_size=8))
def test_what_was_exported_is_imported_as_it_was(spoken: list[Turn], tmp_path: Path) -> None:
    with (
        open_memory() as first,
        open_memory() as second,
    ):
        first.remember(spoken, user_id="ann")
        exported = lines_of(first)
        fill(second, write(tmp_path / "turns.jsonl", exported))
        assert lines_of(second) == exported


def test_nasty_text_comes_through_unchanged(memory: memkit.Memory, tmp_path: Path) -> None:
    fill(memory, write(tmp_path / "turns.jsonl", [jsonl_record(1, content=NASTY)]))
    assert next(memory.turns(user_id="ann")).text == NASTY


def test_every_field_of_a_line_is_kept(memory: memkit.Memory, tmp_path: Path) -> None:
    line = {
        "role": "assistant", "content": "hello", "name": "Eve", "timestamp": WHEN.isoformat(),
        "id": "t1", "session_id": "s", "agent_id": "a", "user_id": "ann",
        "metadata": {"mood": ["fine", 1]},
    }  # fmt: skip
    fill(memory, write(tmp_path / "turns.jsonl", [line]))
    assert lines_of(memory) == [line]


def test_the_session_given_is_for_lines_that_name_none(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write(tmp_path / "turns.jsonl", [jsonl_record(1), jsonl_record(2, session_id="own")])
    fill(memory, path, session_id="given")
    assert [turn.session_id for turn in memory.turns(user_id="ann")] == ["given", "own"]


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_fine(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"role": "user", "content": "a"}\r\n\r\n  \n')
    assert fill(memory, path) == ImportCounts(read=1, new=1)


def test_a_file_imported_again_adds_nothing_and_embeds_nothing(
    memory: memkit.Memory, embedder: HashEmbedder, tmp_path: Path
) -> None:
    path = write(tmp_path / "turns.jsonl", [jsonl_record(n) for n in range(300)])
    assert fill(memory, path) == ImportCounts(read=300, new=300)
    calls = embedder.calls
    assert fill(memory, path) == ImportCounts(read=300, new=0)
    assert embedder.calls == calls


plain = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    "grown",
    [
        [plain, jsonl_record(1), plain, {"role": "user", "content": "new"}],
        [{"role": "user", "content": "new"}, plain, jsonl_record(1), plain],
        [plain, jsonl_record(1), plain, plain],
        [plain, {"role": "user", "content": "new"}, jsonl_record(1), plain],
        [plain, jsonl_record(1), plain, plain | {"timestamp": WHEN.isoformat()}],
        [plain, jsonl_record(1), plain, plain | {"name": "Ann"}],
        [plain, jsonl_record(1), plain, plain | {"session_id": "other"}],
    ],
)
def test_a_file_without_ids_adds_only_what_is_new_wherever_it_has_grown(
    memory: memkit.Memory, tmp_path: Path, grown: list[object]
) -> None:
    assert fill(memory, write(tmp_path / "a.jsonl", [plain, jsonl_record(1), plain])).new == 3
    path = write(tmp_path / "b.jsonl", grown)
    assert [fill(memory, path).new for _ in range(2)] == [1, 0]


said = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.sampled_from("abc")},
    optional={"timestamp": st.sampled_from([0, 60]), "session_id": st.sampled_from("st")},
)


@settings(max_examples=30)
@given(first=st.lists(said, max_size=6), added=st.lists(said, max_size=4), data=st.data())
def test_after_any_growth_the_memory_has_each_line_once(
    first: list[dict[str, Any]], added: list[dict[str, Any]], data: st.DataObject, tmp_path: Path
) -> None:
    grown = list(first)
    for line in added:
        grown.insert(data.draw(st.integers(0, len(grown))), line)
    with open_memory() as memory:
        fill(memory, write(tmp_path / "talk.jsonl", first))
        assert fill(memory, write(tmp_path / "talk.jsonl", grown)).new == len(added)
        stored = sorted((turn.role, turn.text, turn.session_id or "") for turn in
                        memory.turns(user_id="ann"))  # fmt: skip
        assert stored == sorted(
            (line["role"], line["content"], line.get("session_id", "")) for line in grown
        )


def test_turns_that_an_older_memkit_imported_without_ids_are_known(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write(tmp_path / "talk.jsonl", [plain, plain | {"content": "second"}])
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    memory.remember(
        [Turn(id=f"{prefix}:1", text="hello"), Turn(id=f"{prefix}:2", text="second")],
        user_id="ann",
    )
    assert fill(memory, path) == ImportCounts(read=2, new=0)


def test_a_line_may_be_any_message_that_remember_takes(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    call = {"function": {"name": "add", "arguments": "[1]"}}
    lines = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "thanks"}]},
    ]
    path = write(tmp_path / "turns.jsonl", lines)
    assert fill(memory, path) == ImportCounts(read=2, new=2, empty=1)
    assert fill(memory, path) == ImportCounts(read=2, new=0, empty=1)
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["add([1])", "thanks"]


@pytest.mark.parametrize("new_versions", [False, True])
def test_an_edited_turn_is_reported_or_becomes_a_version_and_new_lines_arrive(
    memory: memkit.Memory, tmp_path: Path, new_versions: bool
) -> None:
    fill(memory, write(tmp_path / "talk.jsonl", [jsonl_record(1), jsonl_record(2)]))
    edited = [jsonl_record(1, content="edited"), jsonl_record(2), jsonl_record(3)]
    path = write(tmp_path / "talk.jsonl", edited)
    counts = fill(memory, path, new_versions=new_versions)
    again = fill(memory, path, new_versions=new_versions)
    assert (counts.new, again.new) == ((2, 0) if new_versions else (1, 0))
    stored = {turn.text: turn for turn in memory.turns(user_id="ann")}
    assert {"fact 1", "fact 2", "fact 3"} <= set(stored)
    if new_versions:
        assert counts.problems == again.problems == ()
        assert stored["edited"].metadata == {"version_of": "t1"}
    else:
        assert counts.problems == again.problems
        (problem,) = counts.problems
        assert "talk.jsonl, line 1: turn id 't1' already has another text" in problem
        assert "edited" not in stored


def test_a_turn_that_quotes_a_memory_block_is_known_again(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    memory.remember("I live in Oslo.", user_id="zoe")
    block = memory.context("Where is Oslo?", user_id="zoe").text
    path = write(tmp_path / "talk.jsonl", [jsonl_record(1, content=f"{block}\nWhere do I live?")])
    assert [fill(memory, path) for _ in range(2)] == [
        ImportCounts(read=1, new=1), ImportCounts(read=1, new=0)]  # fmt: skip


class Interrupted(HashEmbedder):
    """Fails once, when the second batch is embedded."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.calls == 1:
            self.calls += 1
            raise ModelError("interrupted")
        return super().embed(texts)


def test_an_import_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = write(tmp_path / "turns.jsonl", [jsonl_record(n) for n in range(600)])
    with open_memory(embedder=Interrupted()) as memory:
        with pytest.raises(ModelError):
            fill(memory, path)
        assert memory.stats(user_id="ann")["turns"] == 256
        assert fill(memory, path) == ImportCounts(read=600, new=344)
        assert [turn.id for turn in memory.turns(user_id="ann")] == [f"t{n}" for n in range(600)]


BAD_LINES = {
    "not JSON": b'{"role": "user", "content": ',
    "no object": b'["user", "hello"]',
    "a string": b'"hello"',
    "no content": b'{"role": "user"}',
    "no role": b'{"content": "hello"}',
    "unknown key": b'{"role": "user", "content": "hello", "colour": "red"}',
    "unknown role": b'{"role": "robot", "content": "hello"}',
    "role of another type": b'{"role": ["user"], "content": "hello"}',
    "content of another type": b'{"role": "user", "content": 7}',
    "empty id": b'{"role": "user", "content": "hello", "id": ""}',
    "number as id": b'{"role": "user", "content": "hello", "id": 7}',
    "another user": b'{"role": "user", "content": "hello", "user_id": "bob"}',
    "no time": b'{"role": "user", "content": "hello", "timestamp": "yesterday"}',
    "time without a zone": b'{"role": "user", "content": "hello", "timestamp": "2023-05-08"}',
    "infinite time": b'{"role": "user", "content": "hello", "timestamp": 1e999}',
    "far future": b'{"role": "user", "content": "hello", "timestamp": 1e20}',
    "half a surrogate pair": b'{"role": "user", "content": "\\ud800"}',
    "not UTF-8": b'{"role": "user", "content": "\xff"}',
    "nested too deeply": b"[" * 100_000,
    "a number too long": b"1" * 10_000,
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_stored(
    bad: bytes, memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "turns.jsonl"
    good = b'{"role": "user", "content": "good"}\n'
    path.write_bytes(good + bad + b"\n" + good)
    counts = fill(memory, path)
    assert (counts.read, counts.new, len(counts.problems)) == (2, 2, 1)
    assert "turns.jsonl, line 2: " in counts.problems[0]


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_file_without_a_good_line_is_an_error(
    bad: bytes, memory: memkit.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_bytes(bad + b"\n")
    with pytest.raises(InvalidInput, match=r"turns\.jsonl, line 1: .*nothing was stored"):
        fill(memory, path)


def test_an_id_used_twice_for_different_texts_is_named_with_its_line(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "turns.jsonl",
        [jsonl_record(1), jsonl_record(2), jsonl_record(1, content="other")],
    )
    (problem,) = fill(memory, path).problems
    assert "line 3: turn id 't1' already has another text" in problem


@given(data=st.binary(max_size=60) | st.from_regex(rb'\{"role": "user", .{0,40}\}', fullmatch=True))
def test_any_bytes_are_read_or_refused_in_our_words(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_bytes(data)
    try:
        list(read_lines(path, user_id="ann").turns)
    except InvalidInput:
        return


def test_a_folder_or_a_missing_file_is_refused_in_our_words(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_lines(path, user_id="ann")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_line_that_is_too_long_is_named_with_and_without_storing(
    tmp_path: Path, dry_run: bool
) -> None:
    path = write(tmp_path / "talk.jsonl", [jsonl_record(1, content="x" * 11), jsonl_record(2)])
    with open_memory(settings=memkit.Settings(max_turn_characters=10)) as memory:
        source = read_lines(path, user_id="ann")
        counts = importers.import_turns(
            memory, source, user_id="ann", progress=lambda *_: None, dry_run=dry_run
        )
        assert (counts.new, counts.failed) == (1, 1)
        assert "talk.jsonl, line 1: a turn's text has 11 characters" in counts.problems[0]


def read_in_bounded_memory(read: Callable[[], Iterator[object]]) -> int:
    """Return the most bytes that Python had at once while everything was read."""
    tracemalloc.start()
    try:
        for _ in read():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [100_000])
def test_counting_equal_messages_takes_bounded_memory(count: int) -> None:
    repeats = Repeats()
    assert (
        read_in_bounded_memory(lambda: (repeats.number(f"{n:064}") for n in range(count))) < 2**20
    )
    assert repeats.number("0" * 64) == f"{'0' * 64}:2"


@pytest.mark.parametrize("format", ["jsonl", "openai"])
def test_a_file_of_many_messages_is_read_in_bounded_memory(tmp_path: Path, format: str) -> None:
    path = tmp_path / "talk"
    with path.open("w") as file:
        for n in range(20_000):
            start = ("[" if n == 0 else ",") if format == "openai" else ""
            file.write(f'{start}{{"role": "user", "content": "message {n}"}}\n')
        file.write("]" if format == "openai" else "")
    options = importers.ReadOptions(user_id="ann")
    source = importers.read_file(path, options)
    assert source.format == format
    assert read_in_bounded_memory(lambda: iter(source.turns)) < 2**21


# ---- LoCoMo


@pytest.mark.parametrize("text", ["[]", "[[]]", '["a"]', '[{"colour": "red"}]'])
def test_a_list_without_a_conversation_is_not_of_locomo(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(UnknownFormat):
        importers.sniff(tmp_path / "l.json")


def test_a_list_of_conversations_with_questions_is_of_locomo(tmp_path: Path) -> None:
    locomo(tmp_path / "l.json", locomo_record())
    assert importers.sniff(tmp_path / "l.json") == "locomo"


def locomo_record(**more: Any) -> dict[str, Any]:
    """Return a small conversation in LoCoMo's format; sessions stand in no order."""
    return {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bob",
            "session_10_date_time": "12:09 am on 13 September, 2023",
            "session_10": [{"speaker": "Ann", "dia_id": "D10:1", "text": "Late."}],
            "session_2_date_time": "1:56 pm on 8 May, 2023",
            "session_2": [
                {"speaker": "Ann", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a dog"},
                {"speaker": "Bob", "dia_id": "D2:2", "text": "", "blip_caption": "a cat"},
                {"speaker": "Ann", "dia_id": "D2:3", "text": "Nice."},
            ],
        }
        | more,
        "qa": [
            {"question": "Which year?", "answer": 2023, "evidence": ["D2:1"], "category": 2},
            {"question": "Who left?", "evidence": [], "category": 5},
        ],
    }


def locomo(path: Path, *conversations: object) -> list[importers.LocomoConversation]:
    path.write_text(json.dumps(conversations), encoding="utf-8")
    return read_locomo(path)


def test_locomo_turns_come_in_the_order_they_were_said(tmp_path: Path) -> None:
    (conversation,) = locomo(tmp_path / "l.json", locomo_record())
    assert [turn.id for turn in conversation.turns] == ["D2:1", "D2:2", "D2:3", "D10:1"]
    assert [turn.said_at for turn in conversation.turns] == [
        WHEN,
        WHEN + timedelta(seconds=1),
        WHEN + timedelta(seconds=2),
        datetime(2023, 9, 13, 0, 9, tzinfo=UTC),
    ]
    assert (conversation.turns[0].name, conversation.turns[0].session_id) == ("Ann", "session_2")


def test_a_shared_photo_is_part_of_the_text(tmp_path: Path) -> None:
    (conversation,) = locomo(tmp_path / "l.json", locomo_record())
    assert [turn.text for turn in conversation.turns[:3]] == [
        "Look! [shared a photo: a dog]",
        "[shared a photo: a cat]",
        "Nice.",
    ]


def test_answers_are_text_or_absent(tmp_path: Path) -> None:
    (conversation,) = locomo(tmp_path / "l.json", locomo_record())
    assert [question.answer for question in conversation.questions] == ["2023", None]


@pytest.mark.parametrize(
    ("written", "evidence", "dropped"),
    [
        (["D2:1", "D2:3"], ("D2:1", "D2:3"), 0),
        (["D2:1; D2:3"], ("D2:1", "D2:3"), 0),
        (["D2:1 D2:3 D10:1"], ("D2:1", "D2:3", "D10:1"), 0),
        (["D:10:1"], ("D10:1",), 0),
        (["D10:01"], ("D10:1",), 0),
        (["D2:1", "D2:1"], ("D2:1",), 0),
        (["D2:1", "D9:9"], ("D2:1",), 1),
        (["D"], (), 1),
        ([], (), 0),
    ],
)
def test_evidence_is_read_where_it_can_be_and_counted_where_not(
    written: list[str], evidence: tuple[str, ...], dropped: int, tmp_path: Path
) -> None:
    record = locomo_record()
    record["qa"][0]["evidence"] = written
    question = locomo(tmp_path / "l.json", record)[0].questions[0]
    assert (question.evidence, question.dropped) == (evidence, dropped)


BAD_CONVERSATIONS = {
    "a message": ({"role": "user", "content": "hello"}, "conversation 1 has no 'conversation'"),
    "a string": ("hello", "conversation 1 is no JSON object"),
    "a session without a time": (
        locomo_record(session_3=[]),
        "conversation 1 has no 'session_3_date_time'",
    ),
    "a strange time": (
        locomo_record(session_2_date_time="2023-05-08"),
        "session_2: time '2023-05-08' is not like",
    ),
    "a turn without text": (locomo_record(session_2=[{}]), "session_2, turn 1 has no 'text'"),
    "an empty turn": (
        locomo_record(session_2=[{"text": " ", "dia_id": "D2:1", "speaker": "Ann"}]),
        "session_2, turn 1: a turn's text is empty",
    ),
    "a session that is no list": (locomo_record(session_2="hello"), "bad 'session_2'"),
}


@pytest.mark.parametrize(("record", "message"), BAD_CONVERSATIONS.values(), ids=BAD_CONVERSATIONS)
def test_a_file_that_is_not_locomo_says_where_and_what_to_do(
    record: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=f"{message}.*--format jsonl"):
        locomo(tmp_path / "l.json", record)


@pytest.mark.parametrize("data", [b"", b"[", b"{}", b"\xff", b"[" * 100_000, b'[{"a": 1,]'])
def test_a_file_that_is_not_json_is_refused_in_our_words(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="is not a LoCoMo file"):
        read_locomo(path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    changed=st.dictionaries(
        st.sampled_from(
            ["session_2", "session_2_date_time", "session_02", "session_10", "speaker_a"]
        ),
        anything,
    ),
    questions=anything,
)
def test_any_json_is_read_as_locomo_or_refused_in_our_words(
    changed: dict[str, Any], questions: object, tmp_path: Path
) -> None:
    try:
        locomo(tmp_path / "l.json", locomo_record(**changed) | {"qa": questions})
    except InvalidInput:
        return


def test_a_conversation_is_chosen_by_its_id_or_by_being_the_only_one(tmp_path: Path) -> None:
    both = locomo(tmp_path / "l.json", locomo_record(), locomo_record() | {"sample_id": "conv-2"})
    assert importers.select_conversation(both, "conv-2").sample_id == "conv-2"
    assert importers.select_conversation(both[:1], None).sample_id == "conv-1"
    with pytest.raises(InvalidInput, match=r"2 conversations \(conv-1, conv-2\).*--conversation"):
        importers.select_conversation(both, None)
    with pytest.raises(InvalidInput, match="no conversation 'conv-3'"):
        importers.select_conversation(both, "conv-3")


@pytest.mark.parametrize(
    ("start", "format_"),
    [(b"  [\n", "locomo"), (b"\xef\xbb\xbf[", "locomo"), (b'{"role"', "jsonl"), (b"", "jsonl")],
)
def test_the_format_is_told_by_the_first_character(
    start: bytes, format_: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(start)
    assert importers.guess_format(path) == format_


@pytest.mark.skipif(not LOCOMO.exists(), reason=f"the LoCoMo data set is not at {LOCOMO}")
def test_the_published_locomo_file_is_read_whole() -> None:
    conversations = read_locomo(LOCOMO)
    questions = [question for conversation in conversations for question in conversation.questions]
    assert len(conversations) == 10
    assert sum(len(conversation.turns) for conversation in conversations) == 5882
    assert len(questions) == 1986
    assert sum(question.dropped for question in questions) == 3
    for conversation in conversations:
        times = [turn.said_at for turn in conversation.turns if turn.said_at]
        assert times == sorted(set(times))
        ids = {turn.id for turn in conversation.turns}
        assert all(ids.issuperset(question.evidence) for question in conversation.questions)
