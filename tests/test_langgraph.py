"""A memory as LangGraph's store."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from conftest import NOON
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit.errors import InvalidInput, InvalidTurn, ScopeRequired
from memkit.testing import HashEmbedder, open_memory

pytest.importorskip("langgraph")

from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore, GetOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from memkit.integrations.langgraph import MemkitStore

NOTES = ("ann", "notes")


@pytest.fixture
def store(memory: memkit.Memory) -> MemkitStore:
    return MemkitStore(memory)


# ---- the store


def test_what_is_put_is_got_until_it_is_deleted(store: MemkitStore) -> None:
    value = {"text": "Ann likes tea.", "n": 1, "deep": {"list": [1, None]}}
    store.put(NOTES, "food", value)
    item = store.get(NOTES, "food")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (NOTES, "food", value)
    assert item.created_at == item.updated_at == NOON

    store.delete(NOTES, "food")
    store.delete(NOTES, "food")
    assert store.get(NOTES, "food") is None
    assert store.search(NOTES) == store.search(NOTES, query="tea") == []


def test_a_new_value_takes_the_place_of_the_old_one(
    store: MemkitStore, memory: memkit.Memory
) -> None:
    for n, text in enumerate(["tea", "coffee", "coffee", "milk"]):
        memory.clock = lambda n=n: NOON + timedelta(hours=n)  # type: ignore[misc]
        store.put(NOTES, "drink", {"text": text})
    item = store.get(NOTES, "drink")
    assert item is not None
    assert item.value == {"text": "milk"}
    assert (item.created_at, item.updated_at) == (NOON, NOON + timedelta(hours=3))
    assert [one.text for one in memory.turns(user_id="ann")] == ["milk"]
    assert memory.doctor() == []


def test_a_crash_between_two_versions_loses_neither(
    store: MemkitStore, memory: memkit.Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(**_: Any) -> None:
        raise KeyboardInterrupt

    store.put(NOTES, "drink", {"text": "tea"})
    with monkeypatch.context() as patch:
        patch.setattr(memory, "forget", crash)
        with pytest.raises(KeyboardInterrupt):
            store.put(NOTES, "drink", {"text": "coffee"})
    got = store.get(NOTES, "drink")
    assert got is not None
    assert got.value == {"text": "coffee"}
    store.put(NOTES, "drink", {"text": "milk"})
    assert [one.text for one in memory.turns(user_id="ann")] == ["milk"]


def test_search_finds_by_words_inside_a_namespace_best_first(store: MemkitStore) -> None:
    store.put(("ann", "notes", "work"), "1", {"text": "The bees need a new hive."})
    store.put(("ann", "notes"), "2", {"text": "Tea at noon."})
    store.put(("ann", "other"), "3", {"text": "Bees again."})
    store.put(("bob", "notes"), "4", {"text": "Bob's bees."})

    found = store.search(NOTES, query="bees in a hive")
    assert [one.key for one in found] == ["1", "2"]
    assert found[0].score is not None
    assert found[0].score >= (found[1].score or 0)
    assert [one.key for one in store.search(("ann",), query="bees")][:2] == ["3", "1"]


def test_a_namespace_gets_its_items_however_many_others_match_better(
    store: MemkitStore, memory: memkit.Memory
) -> None:
    memory.remember(["bees and bees"] * 300, user_id="ann")
    store.put(NOTES, "1", {"text": "A book I read, where someone mentions bees."})
    assert [one.key for one in store.search(NOTES, query="bees and bees")] == ["1"]


def test_search_reads_no_chats(store: MemkitStore, memory: memkit.Memory) -> None:
    memory.remember(["bees and bees"] * 60, user_id="ann")
    store.put(NOTES, "1", {"text": "Ann keeps bees."})
    asked: list[int] = []
    recall = memory.recall

    def count(*args: Any, **options: Any) -> Any:
        asked.append(options["k"])
        return recall(*args, **options)

    memory.recall = count  # type: ignore[method-assign]
    assert [one.key for one in store.search(NOTES, query="bees")] == ["1"]
    assert store.search(("ann", "empty"), query="bees") == []
    assert asked == [50, 50]
    assert "Ann keeps bees." in [hit.text for hit in recall("Who keeps bees?", user_id="ann")]


def test_of_two_stores_that_write_at_once_the_newest_value_stays(memory: memkit.Memory) -> None:
    def write(store: MemkitStore) -> None:
        for n in range(15):
            store.put(NOTES, "drink", {"text": f"tea {n}"})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, [MemkitStore(memory), MemkitStore(memory)]))
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["tea 14"]


def test_what_is_indexed_is_the_callers_choice(store: MemkitStore, memory: memkit.Memory) -> None:
    store.put(NOTES, "1", {"a": {"b": "tea"}, "c": "milk"}, index=["a.b"])
    store.put(NOTES, "2", {"a": "secret"}, index=False)
    store.put(NOTES, "3", {})
    assert [turn.text for turn in memory.turns(user_id="ann")] == ["tea", "2", "3"]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"n": 2}, "2"), ({"n": {"$gt": 1}}, "32"), ({"n": {"$gte": 1, "$lt": 3}}, "21"),
        ({"n": {"$ne": 1}}, "432"), ({"tag": {"name": "x"}}, "1"), ({"n": {"$eq": 9}}, ""),
        (None, "4321"),
    ],
)  # fmt: skip
def test_filters_compare_values(
    store: MemkitStore, memory: memkit.Memory, wanted: Any, keys: str
) -> None:
    for n, value in enumerate([{"n": 1, "tag": {"name": "x"}}, {"n": 2}, {"n": 3}, {}], start=1):
        memory.clock = lambda n=n: NOON + timedelta(hours=n)  # type: ignore[misc]
        store.put(NOTES, str(n), value)
    assert "".join(one.key for one in store.search(NOTES, filter=wanted)) == keys
    assert "".join(one.key for one in store.search(NOTES, filter=wanted, limit=1)) == keys[:1]
    assert {one.key for one in store.search(NOTES, query="n", filter=wanted)} == set(keys)


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"n": {"$gt": 5}}, "1"), ({"n": {"$lt": "2026-01-01"}}, "6"), ({"n": {"$gte": None}}, ""),
        ({"n": {"$lte": [1]}}, ""), ({"n": {"$lt": 10**400}}, "1"), ({"n": [1, {"a": 2}]}, "5"),
        ({"n": {"a": {"$gt": 1}}}, "3"), ({"n": {"$ne": 7}}, "23456"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_compared_do_not_match(
    store: MemkitStore, wanted: Any, keys: str
) -> None:
    values = [7, "high", {"a": 2}, None, [1, {"a": 2}], "2025-12-24"]
    for n, value in enumerate(values, start=1):
        store.put(NOTES, str(n), {"n": value})
    assert {item.key for item in store.search(NOTES, filter=wanted)} == set(keys)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["5", "x", ""])
operands = scalars | st.lists(scalars, max_size=2)
patterns = (
    operands
    | st.dictionaries(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), operands)
    | st.dictionaries(st.sampled_from("ab"), operands)
)
values = operands | st.dictionaries(st.sampled_from("ab"), operands)


@settings(max_examples=60)
@given(value=values, pattern=patterns)
def test_a_filter_matches_what_langgraphs_own_store_matches(value: Any, pattern: Any) -> None:
    def found(store: BaseStore) -> bool:
        store.put(NOTES, "1", {"n": value})
        return bool(store.search(NOTES, filter={"n": pattern}))

    with open_memory() as memory:
        ours = found(MemkitStore(memory))
    try:
        assert ours == found(InMemoryStore())
    except (TypeError, ValueError, OverflowError):  # theirs raises for mixed types
        return


def test_an_unknown_operator_is_named(store: MemkitStore) -> None:
    store.put(NOTES, "1", {"n": 1})
    with pytest.raises(InvalidInput, match=r"\$in.*\$gte"):
        store.search(NOTES, filter={"n": {"$in": [1]}})


namespaces = st.tuples(
    st.sampled_from(["ann", "bob"]), st.sampled_from("xy"), st.sampled_from("xyz")
)
paths = st.lists(st.sampled_from(["x", "y", "*"]), max_size=2).map(tuple)


@settings(max_examples=25)
@given(
    put=st.lists(namespaces.flatmap(lambda n: st.sampled_from([n, n[:2], n[:1]])), max_size=5),
    prefix=paths, suffix=paths, depth=st.none() | st.integers(1, 3),
)  # fmt: skip
def test_namespaces_are_listed_as_langgraphs_own_store_lists_them(
    put: list[tuple[str, ...]], prefix: tuple[str, ...], suffix: tuple[str, ...], depth: int | None
) -> None:
    ours = memkit.Settings(background=False)
    with memkit.open(":memory:", embedder=HashEmbedder(), settings=ours) as memory:
        stores: list[BaseStore] = [MemkitStore(memory), InMemoryStore()]
        for namespace in put:
            for store in stores:
                store.put(namespace, "key", {"text": "x"})
        ours_, theirs = (
            store.list_namespaces(prefix=("ann", *prefix), suffix=suffix or None, max_depth=depth)
            for store in stores
        )
        assert ours_ == theirs


def test_there_is_no_search_across_users(store: MemkitStore, memory: memkit.Memory) -> None:
    with pytest.raises(ScopeRequired, match="names no user"):
        store.search(())
    with pytest.raises(ScopeRequired):
        store.list_namespaces()
    with pytest.raises(ScopeRequired):
        store.list_namespaces(prefix=("*", "notes"))
    second = MemkitStore(memory, user_label=1)
    with pytest.raises(ScopeRequired, match="label 1"):
        second.put(("notes",), "1", {"text": "x"})
    second.put(("notes", "bob"), "1", {"text": "x"})
    assert memory.stats(user_id="bob")["turns"] == 1


def test_what_cannot_be_kept_is_refused(store: MemkitStore) -> None:
    with pytest.raises(InvalidTurn, match="JSON"):
        store.put(NOTES, "1", {"text": "x", "when": NOON})
    with pytest.raises(NotImplementedError, match="TTL"):
        store.put(NOTES, "1", {"text": "x"}, ttl=1)
    assert store.get(NOTES, "1") is None


def test_a_batch_and_its_async_twin_do_one_after_another(store: MemkitStore) -> None:
    ops = [
        PutOp(NOTES, "1", {"text": "tea"}), GetOp(NOTES, "1"), SearchOp(NOTES, query="tea"),
        PutOp(NOTES, "1", None), GetOp(NOTES, "1"),
    ]  # fmt: skip
    for results in (store.batch(ops), asyncio.run(store.abatch(ops))):
        assert isinstance(results[1], object)
        assert getattr(results[1], "key") == "1"  # noqa: B009
        assert isinstance(results[2], list)
        assert len(results[2]) == 1
        assert results[4] is None


def test_a_graph_keeps_and_finds_things_in_it(store: MemkitStore, memory: memkit.Memory) -> None:
    def note(state: dict[str, str], *, store: BaseStore) -> dict[str, str]:
        store.put(NOTES, "1", {"text": state["text"]})
        return {"text": store.search(NOTES, query="bees")[0].value["text"]}

    graph = StateGraph(dict).add_node("note", note).add_edge(START, "note").compile(store=store)
    assert graph.invoke({"text": "Ann keeps bees."}) == {"text": "Ann keeps bees."}
    assert "Ann keeps bees." in memory.context("bees?", user_id="ann").text
