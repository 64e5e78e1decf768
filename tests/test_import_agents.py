"""Promises of the importers of what agents and chat programs keep, on files of our own.

The SQLite files are written by the real packages where these are installed.
"""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exports import fill, left_of, texts_of, turns_of, write_json
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import InvalidInput
from memkit.importers import FORMATS, sniff
from memkit.testing import open_memory


def write_lines(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# ---- OpenAI's messages

CALL = {"type": "function", "id": "c", "function": {"name": "add", "arguments": "[1, 2]"}}
TALK: list[Any] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "1 + 2?"},
                                 {"type": "image_url", "image_url": {"url": "data:"}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "3"},
    {"role": "assistant", "content": "Three."},
    {"role": "assistant", "content": None},
]  # fmt: skip
SAID = ["Be brief.", "1 + 2?\n[image]", "add([1, 2])", "3", "Three."]


@pytest.mark.parametrize("shape", ["list", "object", "lines", "list of conversations"])
def test_a_list_of_openai_messages_is_read_in_every_shape(
    memory: memkit.Memory, tmp_path: Path, shape: str
) -> None:
    path = tmp_path / "talk"
    shapes = {
        "list": TALK,
        "object": {"messages": TALK},
        "list of conversations": [{"messages": TALK}],
    }
    if shape == "lines":
        write_lines(path, {"messages": TALK}, {"messages": TALK})
    else:
        write_json(path, shapes[shape])
    assert sniff(path) == "openai"
    counts = fill(memory, path)
    assert texts_of(memory)[:5] == SAID
    assert [turn.role for turn in turns_of(memory)[:5]] == [
        "system", "user", "assistant", "tool", "assistant"]  # fmt: skip
    assert counts.empty == (2 if shape == "lines" else 1)
    assert len({turn.session_id for turn in turns_of(memory)}) == (2 if shape == "lines" else 1)


def test_a_conversation_that_has_grown_adds_only_what_is_new(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "t", {"messages": TALK[:3]})
    assert [fill(memory, path).new for _ in range(2)] == [3, 0]
    path = write_lines(path, {"messages": TALK}, {"messages": TALK, "id": "c2"})
    assert [fill(memory, path).new for _ in range(2)] == [7, 0]
    assert turns_of(memory)[-1].session_id == "openai:c2"


def test_bad_openai_messages_cost_themselves_only(memory: memkit.Memory, tmp_path: Path) -> None:
    bad = [{"role": "robot", "content": "x"}, {"role": "user", "content": 7}, "x",
           {"role": "assistant", "tool_calls": [{"x": 1}]}]  # fmt: skip
    path = write_lines(tmp_path / "t", {"messages": [*bad, {"role": "user", "content": "ok"}]}, 7)
    counts = fill(memory, path, format="openai")
    assert (texts_of(memory), counts.failed) == (["ok"], 5)


# ---- times


def lines_of(times: list[object], session_ids: list[str | None] | None = None) -> list[Any]:
    """Return messages of JSON lines, "0", "1", …, with these times and sessions."""
    sessions = session_ids or [None] * len(times)
    return [
        {"role": "user", "content": str(n)} | ({"timestamp": time} if time else {})
        | ({"session_id": session} if session else {})
        for n, (time, session) in enumerate(zip(times, sessions, strict=True))
    ]  # fmt: skip


def seconds_of(memory: memkit.Memory) -> dict[str, float]:
    return {turn.text: turn.said_at.timestamp() for turn in turns_of(memory) if turn.said_at}


@pytest.mark.parametrize("format", ["openai", "jsonl"])
def test_a_message_without_a_time_has_that_of_the_message_before(
    memory: memkit.Memory, tmp_path: Path, format: str
) -> None:
    lines = lines_of([1714570800, None, 1714571000, None])
    path = tmp_path / "talk"
    write_json(path, lines) if format == "openai" else write_lines(path, *lines)
    assert sniff(path) == format
    fill(memory, path)
    assert list(seconds_of(memory).values()) == [1714570800, 1714570800, 1714571000, 1714571000]
    assert fill(memory, path).new == 0


def test_a_time_is_not_that_of_another_session(memory: memkit.Memory, tmp_path: Path) -> None:
    lines = lines_of([1000, 2000, None, None, None], ["a", "b", "a", "b", "c"])
    fill(memory, write_lines(tmp_path / "talk", *lines))
    times = seconds_of(memory)
    assert [times[text] for text in "0123"] == [1000, 2000, 1000, 2000]
    assert times["4"] > 2000  # when it was imported


@pytest.mark.parametrize("stored", [0, 1, 250, 257])
def test_the_time_before_counts_across_batches_and_if_it_was_stored_before(
    memory: memkit.Memory, tmp_path: Path, stored: int
) -> None:
    lines = lines_of([1714570800, *[None] * 299])
    path = tmp_path / "talk"
    if stored:
        fill(memory, write_lines(path, *lines[:stored]))
    assert fill(memory, write_lines(path, *lines)).new == 300 - stored
    assert set(seconds_of(memory).values()) == {1714570800}


def test_a_time_may_be_in_milliseconds(memory: memkit.Memory, tmp_path: Path) -> None:
    lines = lines_of([1714570800000, 1714570800500.0])
    fill(memory, write_json(tmp_path / "talk", lines))
    assert list(seconds_of(memory).values()) == [1714570800, 1714570800.5]


# ---- OpenAI's Agents SDK

ITEMS: list[Any] = [
    {"role": "user", "content": "1 + 2?"},
    {"type": "reasoning", "id": "r", "summary": []},
    {"type": "function_call", "call_id": "c", "name": "add", "arguments": "[1, 2]"},
    {"type": "function_call_output", "call_id": "c", "output": "3"},
    {"type": "message", "role": "assistant", "id": "m", "status": "completed",
     "content": [{"type": "output_text", "text": "Three.", "annotations": []}]},
    {"type": "web_search_call", "id": "w", "status": "completed"},
]  # fmt: skip


def write_sessions(path: Path, session_id: str, items: list[Any]) -> None:
    session = pytest.importorskip(
        "agents", reason="pip install openai-agents==0.24.0; make test-agents"
    ).SQLiteSession(session_id, path)
    asyncio.run(session.add_items(items))
    session.close()


def test_sessions_of_the_real_agents_sdk_are_read(memory: memkit.Memory, tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    write_sessions(path, "monday", ITEMS[:1])
    assert sniff(path) == "openai-agents"
    before = path.read_bytes()
    assert [fill(memory, path).new for _ in range(2)] == [1, 0]
    assert path.read_bytes() == before
    write_sessions(path, "monday", ITEMS[1:])
    write_sessions(path, "tuesday", ITEMS[:1])
    counts = fill(memory, path)
    assert (counts.new, left_of(counts)) == (4, {"reasoning": 1, "activity of a tool": 1})
    assert texts_of(memory) == ["1 + 2?", "add([1, 2])", "3", "Three.", "1 + 2?"]
    assert {turn.session_id for turn in turns_of(memory)} == {"agents:monday", "agents:tuesday"}
    said_at = turns_of(memory)[0].said_at
    assert said_at is not None
    assert abs((datetime.now(UTC) - said_at).total_seconds()) < 3600


def test_sessions_that_are_still_open_in_the_agents_sdk_are_read(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    agents = pytest.importorskip(
        "agents", reason="pip install openai-agents==0.24.0; make test-agents"
    )
    session = agents.SQLiteSession("monday", tmp_path / "s.db")
    asyncio.run(session.add_items(ITEMS[:1]))
    assert fill(memory, tmp_path / "s.db").new == 1
    session.close()


def write_agent_table(path: Path, *texts: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE agent_messages (id INTEGER PRIMARY KEY, session_id TEXT,"
                           " message_data TEXT, created_at TEXT)")  # fmt: skip
        connection.executemany(
            "INSERT INTO agent_messages VALUES (NULL, 'default', ?, '2024-05-01 12:00:00')",
            [[json.dumps({"role": "user", "content": text})] for text in texts],
        )
        connection.commit()
    return path


def test_databases_with_one_session_name_do_not_hide_each_other(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    paths = [write_agent_table(tmp_path / "a.db", "tea", "yes"),
             write_agent_table(tmp_path / "b.db", "jazz", "yes")]  # fmt: skip
    for path in paths:
        assert fill(memory, path).problems == ()
    assert set(texts_of(memory)) == {"tea", "jazz", "yes"}
    assert [fill(memory, path).new for path in paths] == [0, 0]


# ---- LangChain


@pytest.mark.parametrize("tool_calls", [{}, {"tool_calls": []}])
def test_a_message_of_langchain_that_only_calls_in_the_older_way_is_kept(
    memory: memkit.Memory, tmp_path: Path, tool_calls: dict[str, Any]
) -> None:
    data = {"content": "", "additional_kwargs": {"tool_calls": [CALL, 7]}} | tool_calls
    path = write_json(tmp_path / "m", [{"type": "human", "data": {"content": "1 + 2?"}},
                                       {"type": "ai", "data": data}])  # fmt: skip
    assert sniff(path) == "langchain"
    fill(memory, path)
    assert texts_of(memory) == ["1 + 2?", "add([1, 2])"]


def test_a_call_that_langchain_has_twice_is_kept_once(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    data = {"content": "", "additional_kwargs": {"tool_calls": [CALL]},
            "tool_calls": [{"name": "add", "args": [1, 2]}]}  # fmt: skip
    fill(memory, write_json(tmp_path / "m", [{"type": "ai", "data": data}]))
    assert texts_of(memory) == ["add([1, 2])"]


def test_a_list_of_openai_messages_with_data_is_not_langchains(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    entry = {"type": "message", "role": "user", "content": "hello", "data": {"a": 1}}
    path = write_json(tmp_path / "m", [entry])
    assert sniff(path) == "openai"
    fill(memory, path)
    assert texts_of(memory) == ["hello"]


def langchain_messages() -> list[Any]:
    messages = pytest.importorskip("langchain_core.messages")
    call = {"name": "add", "args": {"a": 1}, "id": "c"}
    return [
        messages.SystemMessage("Be brief."),
        messages.HumanMessage("1 + 2?", name="Ann", id="h1"),
        messages.AIMessage("", tool_calls=[call]),
        messages.ToolMessage("3", tool_call_id="c"),
        messages.AIMessage([{"type": "text", "text": "Three."}]),
        messages.ChatMessage("hm", role="critic"),
    ]


LANGCHAIN_SAID = ["Be brief.", "1 + 2?", 'add({"a": 1})', "3", "Three.", "hm"]


def test_messages_of_the_real_langchain_are_read(memory: memkit.Memory, tmp_path: Path) -> None:
    messages = langchain_messages()
    to_dict = pytest.importorskip("langchain_core.messages").messages_to_dict
    path = write_json(tmp_path / "m", to_dict(messages[:4]))
    assert sniff(path) == "langchain"
    assert [fill(memory, path).new for _ in range(2)] == [4, 0]
    assert fill(memory, write_json(path, to_dict(messages))).new == 2
    assert texts_of(memory) == LANGCHAIN_SAID
    assert [turn.role for turn in turns_of(memory)] == [
        "system", "user", "assistant", "tool", "assistant", "assistant"]  # fmt: skip
    assert (turns_of(memory)[1].id, turns_of(memory)[1].name) == ("langchain:h1", "Ann")


def test_the_table_of_the_real_langchain_history_is_read(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    histories = pytest.importorskip(
        "langchain_community.chat_message_histories",
        reason="pip install -c constraints.txt langchain-community",
    )
    path = tmp_path / "h.db"
    for session_id in ("monday", "tuesday"):
        history = histories.SQLChatMessageHistory(session_id, connection=f"sqlite:///{path}")
        history.add_messages(langchain_messages())
        history.engine.dispose()
    assert sniff(path) == "langchain-sqlite"
    assert [fill(memory, path).new for _ in range(2)] == [12, 0]
    assert texts_of(memory) == LANGCHAIN_SAID * 2


# ---- SQLite files of anybody


def make_table(path: Path, statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
    return path


def test_a_bad_row_costs_itself_only(memory: memkit.Memory, tmp_path: Path) -> None:
    path = make_table(tmp_path / "h.db", """
        CREATE TABLE message_store (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT);
        INSERT INTO message_store (session_id, message) VALUES
          ('s', 'no JSON'), ('s', NULL), (NULL, x'ff'), ('s', '{"type": "human"}'),
          ('s', '{"type": "remove", "data": {}}'),
          ('s', '{"type": "human", "data": {"content": "ok"}}')
    """)  # fmt: skip
    counts = fill(memory, path)
    assert (texts_of(memory), counts.failed) == (["ok"], 4)
    assert left_of(counts) == {"message that removes another": 1}


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_reading_leaves_the_file_and_its_folder_as_they_are(
    memory: memkit.Memory, tmp_path: Path, journal: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = make_table(folder / "s.db", f"""
        PRAGMA journal_mode = {journal};
        CREATE TABLE agent_messages (id INTEGER PRIMARY KEY, session_id, message_data, created_at);
        INSERT INTO agent_messages VALUES
          (1, 's', '{{"role": "user", "content": "hello"}}', '2024-05-01 12:00:00')
    """)  # fmt: skip
    before = path.read_bytes()
    fill(memory, path)
    assert texts_of(memory) == ["hello"]
    assert turns_of(memory)[0].said_at == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert [file.name for file in folder.iterdir()] == ["s.db"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_what_another_process_has_just_written_is_read(
    memory: memkit.Memory, tmp_path: Path, journal: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(
            "CREATE TABLE message_store (id INTEGER PRIMARY KEY, session_id, message)"
        )
        message = '{"type": "human", "data": {"content": "hello"}}'
        connection.execute("INSERT INTO message_store VALUES (1, 's', ?)", [message])
        connection.commit()
        assert fill(memory, tmp_path / "s.db").new == 1


def test_tables_with_other_columns_and_damaged_files_are_refused_in_our_words(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    path = make_table(tmp_path / "a.db", "CREATE TABLE agent_messages (id)")
    with pytest.raises(InvalidInput, match="cannot be read as an SQLite file"):
        fill(memory, path)
    path.write_bytes(path.read_bytes()[:20] + b"x" * 4000)
    with pytest.raises(InvalidInput, match="cannot be read as an SQLite file"):
        fill(memory, path)


# ---- mem0

MEMORIES: list[Any] = [
    {"id": "a1", "memory": "Lives in Oslo", "hash": "h", "metadata": {"category": "home"},
     "created_at": "2024-05-01T12:00:00+02:00", "updated_at": None, "user_id": "ann",
     "run_id": "r", "agent_id": "helper"},
    {"id": "a2", "memory": "Has a dog", "created_at": "2024-05-01T12:00:00",
     "updated_at": "2024-06-01T12:00:00", "user_id": "ann"},
    {"id": "b1", "memory": "Lives in Rome", "user_id": "bob"}, "?", {"id": "c", "memory": None},
]  # fmt: skip


@pytest.mark.parametrize("key", ["results", "memories", None])
def test_a_memory_of_mem0_is_a_turn_of_the_user_and_others_memories_are_left_out(
    memory: memkit.Memory, tmp_path: Path, key: str | None
) -> None:
    path = write_json(tmp_path / "m", {key: MEMORIES} if key else MEMORIES)
    assert sniff(path) == "mem0"
    counts = fill(memory, path)
    first, second = turns_of(memory)
    assert (first.text, first.role, first.origin) == ("Lives in Oslo", "user", "imported")
    assert (first.id, first.session_id, first.agent_id) == ("mem0:a1", "mem0:r", "helper")
    assert first.metadata == {"category": "home", "memory_of": "mem0"}
    assert first.said_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert second.said_at == datetime(2024, 6, 1, 12, tzinfo=UTC)
    assert left_of(counts) == {"memory of another user": 1}
    assert "users in mem0: bob; pass --me NAME" in counts.notes[0]
    assert (counts.failed, counts.empty, fill(memory, path).new) == (1, 1, 0)


@pytest.mark.parametrize("key", ["results", "memories"])
def test_lines_with_a_key_of_mem0_that_has_no_list_are_not_of_mem0(
    tmp_path: Path, key: str
) -> None:
    path = write_lines(tmp_path / "m", {key: "good", "role": "user", "content": "hello"})
    assert sniff(path) == "jsonl"


def test_the_users_name_in_mem0_may_be_another(memory: memkit.Memory, tmp_path: Path) -> None:
    fill(memory, write_json(tmp_path / "m", MEMORIES), me="bob")
    assert texts_of(memory) == ["Lives in Rome"]


def test_a_memory_that_mem0_has_changed_is_reported(memory: memkit.Memory, tmp_path: Path) -> None:
    fill(memory, write_json(tmp_path / "m", MEMORIES))
    changed = [MEMORIES[0] | {"memory": "Lives in Bergen"}]
    assert "'mem0:a1' already has another text" in fill(
        memory, write_json(tmp_path / "m", changed)).problems[0]  # fmt: skip


# ---- Letta


def letta_message(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": "message-0", "role": role, "content": [{"type": "text", "text": text}],
            "created_at": "2024-05-01T12:00:00+00:00", "model": "gpt-x"} | more  # fmt: skip


SEND = {"function": {"name": "send_message", "arguments": '{"message": "Hello Ann"}'}}
LETTA = [
    letta_message("system", "You are Letta."),
    letta_message("user", '{"type": "login", "last_login": "never"}'),
    letta_message("user", '{"type": "user_message", "message": "I moved to Oslo", "time": "…"}'),
    letta_message("assistant", "They moved.", tool_calls=[SEND]),
    letta_message("tool", '{"status": "OK", "message": "None", "time": "…"}'),
    letta_message("user", "plain words"),
]
BLOCKS = [{"id": "block-0", "label": "human", "value": "Ann is a nurse."},
          {"id": "block-1", "label": "persona", "value": "I am kind."}]  # fmt: skip


@pytest.mark.parametrize("version", ["new", "old"])
def test_agent_files_of_letta_are_read(memory: memkit.Memory, tmp_path: Path, version: str) -> None:
    new = {"agents": [{"id": "agent-0", "name": "Sam", "messages": LETTA}], "groups": [],
           "blocks": BLOCKS, "files": [], "sources": [], "tools": []}  # fmt: skip
    old = {"agent_type": "memgpt_agent", "core_memory": BLOCKS, "name": "Sam", "messages": LETTA}
    path = write_json(tmp_path / "sam.af", new if version == "new" else old)
    assert sniff(path) == "letta"
    counts = fill(memory, path)
    assert [(turn.role, turn.text) for turn in turns_of(memory)] == [
        ("user", "Ann is a nurse."), ("system", "I am kind."), ("user", "I moved to Oslo"),
        ("assistant", "Hello Ann"), ("user", "plain words")]  # fmt: skip
    assert left_of(counts) == {"system message": 1, "event of Letta": 1, "result without words": 1}
    assert turns_of(memory)[2].session_id == "letta:Sam"


def test_blocks_of_one_label_are_turns_of_their_own(memory: memkit.Memory, tmp_path: Path) -> None:
    blocks = [{"label": "human", "value": "Ann is a nurse."},
              {"label": "human", "value": "Ann has a dog."}]  # fmt: skip
    agents = [{"name": name, "messages": []} for name in ("Sam", "Kim")]
    path = write_json(tmp_path / "a", {"agents": agents, "blocks": blocks})
    counts = fill(memory, path)
    assert (texts_of(memory), counts.problems) == (["Ann is a nurse.", "Ann has a dog."], ())
    assert fill(memory, path).new == 0


def test_all_that_an_agent_of_letta_sends_in_one_message_is_kept(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    second = {"function": {"name": "send_message", "arguments": '{"message": "How are you?"}'}}
    search = {"function": {"name": "search", "arguments": "{}"}}
    entry = letta_message("assistant", "They are new.", tool_calls=[SEND, search, second])
    fill(
        memory, write_json(tmp_path / "a", {"name": "Sam", "core_memory": [], "messages": [entry]})
    )
    assert texts_of(memory) == ["Hello Ann\nHow are you?"]


def test_messages_that_letta_numbers_anew_are_known(memory: memkit.Memory, tmp_path: Path) -> None:
    agent = {"name": "Sam", "core_memory": [], "messages": LETTA[2:4]}
    fill(memory, write_json(tmp_path / "a", agent))
    more = [*LETTA[3:4], letta_message("user", "new", id="message-9")]
    assert fill(memory, write_json(tmp_path / "a", agent | {"messages": more})).new == 1


# ---- SillyTavern

HEADER = {"user_name": "Ann", "character_name": "Seraphina", "create_date": "2024-5-1@12h00m00s",
          "chat_metadata": {"integrity": "x-1"}}  # fmt: skip


def tavern(name: str, text: str, date: object, **more: Any) -> dict[str, Any]:
    return {"name": name, "is_user": name == "Ann", "is_system": False, "mes": text,
            "send_date": date, "extra": {}} | more  # fmt: skip


def test_a_chat_of_sillytavern_is_read_and_of_several_replies_the_shown_one(
    memory: memkit.Memory, tmp_path: Path
) -> None:
    replies = {"swipes": ["Hm.", "Hello!"], "swipe_id": 1, "extra": {"model": "gpt-x"}}
    path = write_lines(
        tmp_path / "c", HEADER, tavern("Ann", "Hi", "2024-05-01T12:00:00.000Z"),
        tavern("Seraphina", "Hello!", "2024-05-01T12:00:05.000Z", **replies),
        tavern("Seraphina", "", 1714564810000, swipes=["a", "b"], swipe_id=0),
        tavern("Note", "hidden", "", is_system=True))  # fmt: skip
    assert sniff(path) == "sillytavern"
    counts = fill(memory, path)
    assert [(turn.role, turn.name, turn.text) for turn in turns_of(memory)] == [
        ("user", None, "Hi"),
        ("assistant", "Seraphina", "Hello!"),
        ("assistant", "Seraphina", "a"),
    ]
    assert left_of(counts) == {
        "reply that is not shown": 2,
        "hidden message, or one of the system": 1,
    }
    assert turns_of(memory)[1].session_id == "sillytavern:x-1"
    assert turns_of(memory)[1].metadata == {"title": "Seraphina", "model": "gpt-x"}
    assert fill(memory, path).new == 0


@pytest.mark.parametrize(
    "date",
    ["2024-05-01T14:05:12Z", "1714572312000", 1714572312000, "2024-5-1 @14h 05m 12s 345ms",
     "2024-05-01@14h05m12s", "May 1, 2024 2:05pm"],
)  # fmt: skip
def test_every_way_of_sillytavern_to_write_a_time_is_read(
    memory: memkit.Memory, tmp_path: Path, date: object
) -> None:
    fill(memory, write_lines(tmp_path / "c", HEADER, tavern("Ann", "Hi", date)))
    said_at = turns_of(memory)[0].said_at
    assert said_at is not None
    assert said_at.replace(second=0) == datetime(2024, 5, 1, 14, 5, tzinfo=UTC)


# ---- any of them

KEYS = [
    "messages", "results", "memory", "agents", "blocks", "core_memory", "type", "data", "content",
    "role", "mes", "swipes", "name", "swipe_id", "send_date", "tool_calls", "function", "text",
    "id", "is_user", "metadata", "created_at",
]  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(KEYS), inner),
    max_leaves=15,
)  # fmt: skip
JSON_FORMATS = ["openai", "mem0", "letta", "langchain", "sillytavern"]


@settings(max_examples=60, deadline=None)
@given(values=st.lists(anything, max_size=3), as_lines=st.booleans())
def test_any_json_is_read_or_refused_in_our_words(
    values: list[object], as_lines: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write_lines(path, *values) if as_lines else write_json(path, values)
    with open_memory() as memory:
        for name in JSON_FORMATS:
            try:
                fill(memory, path, format=name)
            except InvalidInput:
                continue


def test_every_format_is_a_choice_of_the_command_line() -> None:
    from memkit.cli.transfer import Format

    assert {format.name for format in FORMATS} == set(Format) - {"auto", "export"}
