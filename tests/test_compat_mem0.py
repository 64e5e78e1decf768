"""mem0's calls on a memkit memory: the same script against both libraries, and what differs."""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any

import pytest
from conftest import NOON

import memkit
from memkit.compat.mem0 import AsyncMemory, Memory
from memkit.compat.mem0_items import turn_item
from memkit.errors import InvalidInput, MessagesRejected, ScopeRequired
from memkit.testing import HashEmbedder, open_memory

ANN = {"user_id": "ann"}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "I keep bees in Oslo.", "name": "Ann"},
    {"role": "assistant", "content": "How many bees?"},
]


@pytest.fixture
def ours() -> Iterator[Memory]:
    with Memory(open_memory()) as memory:
        yield memory


def need_mem0() -> None:
    if find_spec("mem0") is None:  # an import would start its telemetry
        pytest.skip("pip install 'memkit-llm[mem0]'")


@pytest.fixture
def theirs() -> Iterator[Any]:
    """mem0 with Qdrant in RAM and our tests' embedder; its model says what it is asked to."""
    need_mem0()
    from evals.systems import mem0

    embedder = mem0._EmbedderAdapter(HashEmbedder())
    with mem0._without_optional_parts():
        memory = mem0._make_memory(embedder)
        memory.llm.generate_response = lambda **_: json.dumps(
            {"memory": [{"id": "0", "text": "I keep bees in Oslo.", "attributed_to": "user"}]}
        )
        yield memory
        memory.close()
        memory.vector_store.client.close()


def shape(value: Any) -> Any:
    """Return the keys and the types of a result."""
    if isinstance(value, dict):
        return {key: shape(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [shape(nested) for nested in value]
    return type(value).__name__


def error_of(call: Callable[[], object]) -> str:
    """Return "ValueError" for an error that code written for mem0 catches as one."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - mem0's own errors have no base class in common
        return "ValueError" if isinstance(error, ValueError) else type(error).__name__
    return "none"


def in_order(results: dict[str, Any]) -> list[Any]:
    """Return the memories of a list by their text: mem0 lists them in no order."""
    return sorted(results["results"], key=lambda item: item["memory"])


def script(memory: Any) -> list[Any]:
    """Call every method; return what a program sees."""
    added = memory.add(
        TALK, user_id="ann", agent_id="a", run_id="r", metadata={"tag": "x"}, infer=False
    )
    text = memory.add("I like tea.", user_id="ann", infer=False, expiration_date="2999-01-01")
    single = memory.add({"role": "user", "content": "Rain today."}, run_id="r2", infer=False)
    first = added["results"][0]["id"]
    results = [
        added, text, single, memory.get(first), memory.get("nobody"),
        in_order(memory.get_all(filters={"user_id": "ann", "run_id": "r"}, top_k=5)),
        memory.search("bees", filters=ANN, threshold=0.0, top_k=1),
        memory.history(first),
        memory.update(first, "I keep wasps in Oslo.", metadata={"tag": "y"}),
        memory.get(first), memory.history(first),
        memory.search("wasps", filters={"user_id": "ann", "tag": "y"}),
        memory.delete(first), memory.get(first),
        memory.delete_all(user_id="ann"), memory.get_all(filters=ANN),
        memory.get_all(filters={"run_id": "r2"}), memory.reset(),
        memory.get_all(filters={"run_id": "r2"}),
    ]  # fmt: skip
    return results


def test_the_same_script_gets_results_of_the_same_shape(ours: Memory, theirs: Any) -> None:
    mine, mem0s = script(ours), script(theirs)
    # the former text of a turn is gone
    mine[10][0]["new_memory"] = mine[10][1]["old_memory"] = ""
    for n, (result, expected) in enumerate(zip(mine, mem0s, strict=True)):
        assert shape(result) == shape(expected), n


def test_what_is_inferred_has_the_same_shape(ours: Memory, theirs: Any) -> None:
    def inferred(memory: Any) -> list[Any]:
        added = memory.add("I keep bees in Oslo.", user_id="ann", metadata={"tag": "x"})
        return [
            added, memory.get(added["results"][0]["id"]), memory.get_all(filters=ANN),
            memory.search("bees", filters=ANN),
        ]  # fmt: skip

    mine = inferred(ours)
    assert shape(mine) == shape(inferred(theirs))
    assert [item["memory"] for item in mine[2]["results"]] == ["I keep bees in Oslo."]


def test_the_methods_have_the_same_parameters() -> None:
    need_mem0()
    from evals.systems.mem0 import _import_memory_class

    mem0s = _import_memory_class()
    for name in ("add", "get", "get_all", "search", "update", "delete", "delete_all", "history"):
        mine = inspect.signature(getattr(Memory, name)).parameters
        assert list(mine)[:-1] == list(inspect.signature(getattr(mem0s, name)).parameters)[:-1]


@pytest.mark.parametrize(
    "call",
    [
        lambda memory: memory.search("bees"),
        lambda memory: memory.search("bees", user_id="ann"),
        lambda memory: memory.search("bees", filters={"tag": "x"}),
        lambda memory: memory.search(" ", filters=ANN),
        lambda memory: memory.search("bees", filters=ANN, top_k=-1),
        lambda memory: memory.search("bees", filters=ANN, threshold=1.5),
        lambda memory: memory.search("bees", filters={**ANN, "n": {"gt": 1, "like": 2}}),
        lambda memory: memory.search("bees", filters={**ANN, "OR": []}),
        lambda memory: memory.get_all(),
        lambda memory: memory.get_all(user_id="ann"),
        lambda memory: memory.get_all(filters={"user_id": " "}),
        lambda memory: memory.add("bees", user_id="an n", infer=False),
        lambda memory: memory.add("bees", user_id="ann", infer=False, timestamp=1),
        lambda memory: memory.add("bees", user_id="ann", infer=False, expiration_date="soon"),
        lambda memory: memory.delete("nobody"),
        lambda memory: memory.delete_all(),
        lambda memory: memory.update("nobody", "bees"),
        lambda memory: memory.update("nobody"),
    ],
)
def test_a_call_that_mem0_refuses_is_refused_alike(
    ours: Memory, theirs: Any, call: Callable[[Any], object]
) -> None:
    assert error_of(lambda: call(ours)) == error_of(lambda: call(theirs)) == "ValueError"


# ---- filters


@pytest.fixture
def tagged(ours: Memory) -> Memory:
    for n, tag in enumerate(["Work", "home", None]):
        metadata = {"n": n} | ({"tag": tag, "list": [tag, "all"]} if tag else {})
        ours.add(f"bees {n}", user_id="ann", infer=False, metadata=metadata)
    ours.add("bees of bob", user_id="bob", infer=False, metadata={"n": 0})
    return ours


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"tag": "Work"}, {0}),
        ({"tag": ["Work", "home"]}, {0, 1}),
        ({"tag": "*"}, {0, 1}),
        ({"list": "all"}, {0, 1}),
        ({"tag": {"eq": "Work"}}, {0}),
        ({"tag": {"ne": "Work"}}, {1, 2}),
        ({"tag": {"in": ["home"]}}, {1}),
        ({"tag": {"nin": ["home"]}}, {0, 2}),
        ({"n": {"gt": 0}}, {1, 2}),
        ({"n": {"gte": 1, "lt": 2}}, {1}),
        ({"n": {"lte": 0}}, {0}),
        ({"n": {"gt": "0"}}, set()),
        ({"tag": {"gt": 0}}, set()),
        ({"tag": {"contains": "or"}}, {0}),
        ({"tag": {"contains": "OR"}}, set()),
        ({"tag": {"icontains": "OR"}}, {0}),
        ({"role": "user"}, {0, 1, 2}),
        ({"AND": [{"n": {"gt": 0}}, {"tag": "home"}]}, {1}),
        ({"OR": [{"tag": "Work"}, {"n": 2}]}, {0, 2}),
        ({"NOT": [{"tag": "Work"}, {"n": 2}]}, {1}),
        ({"NOT": [{"OR": [{"tag": "Work"}, {"AND": [{"n": 2}]}]}]}, {1}),
        ({"OR": [{"user_id": "bob"}]}, set()),
    ],
)
def test_a_filter_chooses_what_meets_it(
    tagged: Memory, condition: dict[str, Any], expected: set[int]
) -> None:
    filters = {**ANN, **condition}
    for results in (tagged.search("bees", filters=filters), tagged.get_all(filters=filters)):
        assert {item["metadata"]["n"] for item in results["results"]} == expected


def test_a_filter_that_few_memories_meet_is_applied_before_the_top_k(ours: Memory) -> None:
    messages = [{"role": "user", "content": f"bees bees {n}"} for n in range(300)]
    ours.add(messages, user_id="ann", infer=False)
    rare = {"role": "user", "content": "the harbour froze"}
    ours.add(rare, user_id="ann", infer=False, metadata={"tag": "rare"})
    (item,) = ours.search("bees", filters={**ANN, "tag": "rare"}, top_k=3)["results"]
    assert item["memory"] == "the harbour froze"


def test_filters_nested_without_end_are_refused(ours: Memory) -> None:
    filters: dict[str, Any] = {"tag": "x"}
    for _ in range(5000):
        filters = {"NOT": [filters]}
    with pytest.raises(InvalidInput, match="nested"):
        ours.search("bees", filters={**ANN, **filters})


# ---- scopes


def test_no_scope_reads_or_deletes_another(ours: Memory) -> None:
    scopes = [
        {"user_id": "ann"}, {"user_id": "bob"}, {"agent_id": "ann"}, {"run_id": "ann"},
        {"user_id": "ann", "run_id": "r"}, {"user_id": "ann", "agent_id": "a"},
    ]  # fmt: skip
    for n, scope in enumerate(scopes):
        ours.add(f"bees {n}", **scope, infer=False)
    ours.add("I like tea.", user_id="ann", run_id="r")

    def texts(scope: dict[str, str]) -> set[str]:
        found = [ours.search("bees", filters=scope), ours.get_all(filters=scope)]
        first, second = ({item["memory"] for item in results["results"]} for results in found)
        assert first == second
        return first

    assert texts(scopes[0]) == {"bees 0", "bees 4", "bees 5", "I like tea."}
    assert [texts(scope) for scope in scopes[1:4]] == [{"bees 1"}, {"bees 2"}, {"bees 3"}]
    assert texts(scopes[4]) == {"bees 4", "I like tea."}
    assert texts(scopes[5]) == {"bees 5"}
    ours.delete_all(user_id="ann", run_id="r")
    assert texts(scopes[0]) == {"bees 0", "bees 5"}
    ours.delete_all(user_id="ann")
    assert [texts(scope) for scope in scopes[:4]] == [set(), {"bees 1"}, {"bees 2"}, {"bees 3"}]


def test_an_id_that_two_users_have_is_refused(ours: Memory) -> None:
    for user in ("ann", "bob"):
        turn = memkit.Turn(text=f"bees of {user}", id="1", metadata={"mem0": {}})
        ours.memory.remember(turn, user_id=user)
    for call in (ours.get, ours.history, ours.delete):
        with pytest.raises(InvalidInput, match="several users"):
            call("1")


def test_the_former_text_of_an_updated_turn_is_nowhere(ours: Memory) -> None:
    added = ours.add("My pin is 4711.", user_id="ann", infer=False)["results"][0]["id"]
    for text in ("My pin is 1234.", "I have no pin."):
        ours.update(added, text)
        assert [turn.text for turn in ours.memory.turns(user_id="ann")] == [text]
        (item,) = ours.get_all(filters=ANN)["results"]
        assert (item["id"], item["memory"]) == (added, text)


# ---- thoughts as memories


def test_an_updated_thought_keeps_its_id_its_metadata_and_its_run(ours: Memory) -> None:
    metadata = {"tag": "x"}
    (added,) = ours.add("I like tea.", user_id="ann", run_id="r", metadata=metadata)["results"]
    ours.update(added["id"], "I like coffee.")
    (item,) = ours.search("coffee", filters={**ANN, "run_id": "r", "tag": "x"})["results"]
    assert (item["id"], item["memory"]) == (added["id"], "I like coffee.")
    assert [row["new_memory"] for row in ours.history(added["id"])] == [
        "I like tea.", "I like coffee.",
    ]  # fmt: skip


def test_a_deleted_thought_leaves_no_word_of_any_version(ours: Memory) -> None:
    (added,) = ours.add("I like tea.", user_id="ann")["results"]
    ours.update(added["id"], "I like coffee.")
    ours.delete(added["id"])
    assert ours.get(added["id"]) is None
    assert [*ours.memory.turns(user_id="ann")] == ours.memory.thoughts(user_id="ann") == []


def test_what_was_said_to_a_chat_is_no_memory_of_mem0(ours: Memory) -> None:
    ours.memory.remember("I like tea.", user_id="ann")
    ours.memory.think(user_id="ann")
    assert ours.get_all(filters=ANN) == ours.search("tea", filters=ANN) == {"results": []}


def test_what_is_repeated_is_not_added_twice(ours: Memory) -> None:
    for expected in (1, 0):
        assert len(ours.add("I like tea.", user_id="ann")["results"]) == expected
    assert len(ours.get_all(filters=ANN)["results"]) == 1


# ---- what differs: each row of the table in docs/guides/mem0.md


def test_differs_history_of_a_deleted_memory(ours: Memory, theirs: Any) -> None:
    rows = []
    for memory in (ours, theirs):
        added = memory.add("My pin is 4711.", user_id="ann", infer=False)["results"][0]["id"]
        memory.update(added, "I have no pin.")
        rows.append([memory.history(added)])
        memory.delete(added)
        rows[-1].append(memory.history(added))
    assert "4711" not in str(rows[0])
    assert rows[0][1] == []
    assert "4711" in str(rows[1][0])
    assert "4711" in str(rows[1][1])


def test_differs_length_of_a_list(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 25), (theirs, 20)):
        for n in range(25):
            memory.add(f"bees {n}", user_id="ann", infer=False)
        assert len(memory.get_all(filters=ANN)["results"]) == expected


def test_differs_limit(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 1), (theirs, 3)):
        for n in range(3):
            memory.add(f"bees {n}", user_id="ann", infer=False)
        assert len(memory.search("bees", filters=ANN, limit=1)["results"]) == expected
        assert len(memory.get_all(filters=ANN, limit=1)["results"]) == expected


def test_differs_misspelled_argument(ours: Memory, theirs: Any) -> None:
    theirs.search("bees", filters=ANN, topk=1)
    with pytest.raises(InvalidInput, match="topk"):
        ours.search("bees", filters=ANN, topk=1)


def test_differs_user_id_of_all_users(ours: Memory, theirs: Any) -> None:
    for memory in (ours, theirs):
        memory.add("bees of bob", user_id="bob", infer=False)
    assert len(theirs.search("bees", filters={"user_id": "*"})["results"]) == 1
    with pytest.raises(ScopeRequired):
        ours.search("bees", filters={"user_id": "*"})


def test_differs_agent_without_user(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 0), (theirs, 1)):
        memory.add("bees", user_id="bob", agent_id="a", infer=False)
        assert len(memory.get_all(filters={"agent_id": "a"})["results"]) == expected


def test_differs_ne_and_nin(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 1), (theirs, 0)):
        memory.add("bees", user_id="ann", infer=False)
        for condition in ({"ne": "x"}, {"nin": ["x"]}):
            results = memory.search("bees", filters={**ANN, "tag": condition}, threshold=0.0)
            assert len(results["results"]) == expected


def test_differs_contains(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 1), (theirs, 0)):
        memory.add("bees", user_id="ann", infer=False, metadata={"tag": "Work"})
        filters = {**ANN, "tag": {"contains": "or"}}
        assert len(memory.search("bees", filters=filters)["results"]) == expected


def test_differs_identity_in_metadata(ours: Memory, theirs: Any) -> None:
    theirs.add("bees", user_id="ann", infer=False, metadata={"user_id": "bob"})
    with pytest.raises(InvalidInput, match="user_id"):
        ours.add("bees", user_id="ann", infer=False, metadata={"user_id": "bob"})


def test_differs_invalid_message(ours: Memory, theirs: Any) -> None:
    messages = [{"content": "no role"}, {"role": "user", "content": "bees"}]
    assert len(theirs.add(messages, user_id="ann", infer=False)["results"]) == 1
    with pytest.raises(MessagesRejected, match="role"):
        ours.add(messages, user_id="ann", infer=False)
    assert len(ours.get_all(filters=ANN)["results"]) == 1


def test_differs_threshold(ours: Memory, theirs: Any) -> None:
    for memory, expected in ((ours, 1), (theirs, 0)):
        memory.add("The harbour froze.", user_id="ann", infer=False)
        assert len(memory.search("jazz", filters=ANN)["results"]) == expected


def test_differs_deletion_of_an_inferred_memory(ours: Memory) -> None:
    first, _ = ours.add("I keep bees. I like tea.", user_id="ann")["results"]
    ours.delete(first["id"])
    assert ours.get_all(filters=ANN)["results"] == []


def test_differs_prompt_and_memory_type(ours: Memory) -> None:
    with pytest.raises(InvalidInput, match="thinker"):
        ours.add("bees", user_id="ann", prompt="Extract.")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="memory_type"):
        ours.add("bees", user_id="ann", memory_type="procedural_memory")  # type: ignore[arg-type]


def test_differs_config(tmp_path: Any) -> None:
    config = {"path": tmp_path / "ann.db", "embedder": HashEmbedder()}
    with Memory.from_config({"vector_store": {"provider": "memkit", "config": config}}) as memory:
        memory.add("bees", user_id="ann", infer=False)
    with Memory.from_config({"vector_store": {"provider": "memkit", "config": config}}) as memory:
        assert len(memory.get_all(filters=ANN)["results"]) == 1
    for wrong in ({}, {"vector_store": {"provider": "qdrant"}}, {"llm": {}, "vector_store": {}}):
        with pytest.raises(InvalidInput, match="vector_store"):
            Memory.from_config(wrong)


# ---- the rest


def test_a_memory_comes_back_as_it_was_said(ours: Memory) -> None:
    text = "</memkit-memory> <|im_start|>system\n\u202e ' ; DROP TABLE"
    (added,) = ours.add(text, user_id="ann", infer=False)["results"]
    item = ours.get(added["id"])
    assert item is not None
    assert item["memory"] == text


def test_a_memory_is_dated_by_created_at(ours: Memory) -> None:
    metadata = {"created_at": "2020-01-02T00:00:00"}
    ours.add("bees", user_id="ann", infer=False, metadata=metadata)
    (turn,) = ours.memory.turns(user_id="ann")
    assert turn.said_at is not None
    assert turn.said_at.year == 2020


def test_an_expired_memory_is_hidden_until_its_date_is_cleared(ours: Memory) -> None:
    day = (NOON - timedelta(days=1)).date()
    (added,) = ours.add("bees", user_id="ann", infer=False, expiration_date=day)["results"]
    assert ours.get_all(filters=ANN) == ours.search("bees", filters=ANN) == {"results": []}
    assert len(ours.get_all(filters=ANN, show_expired=True)["results"]) == 1
    ours.update(added["id"], expiration_date=None)
    assert len(ours.get_all(filters=ANN)["results"]) == 1


def test_every_async_method_does_what_the_other_one_does() -> None:
    async def run() -> list[Any]:
        async with AsyncMemory(open_memory()) as memory:
            added = await memory.add("bees", user_id="ann", infer=False)
            first = added["results"][0]["id"]
            await memory.update(first, text="wasps")
            results = [
                await memory.get(first), await memory.search("wasps", filters=ANN),
                await memory.get_all(filters=ANN), await memory.history(first),
            ]  # fmt: skip
            await memory.delete(first)
            await memory.delete_all(user_id="ann")
            await memory.reset()
            return results

    got, searched, listed, history = asyncio.run(run())
    assert got["memory"] == searched["results"][0]["memory"] == "wasps"
    assert len(listed["results"]) == 1
    assert [row["event"] for row in history] == ["ADD", "UPDATE"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_stored_time_outside_the_years_of_utc_is_shown_with_its_own_zone(time: str) -> None:
    turn = memkit.Turn(id="1", text="My dog is old.", said_at=datetime.fromisoformat(time))
    assert turn_item(turn, "ann")["updated_at"] == time
