"""Which turns a filter finds: inside the search, in the same language everywhere."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rollout_embedder import new_embedder

import memkit
from memkit import Turn
from memkit.errors import InvalidInput, NaiveDatetime
from memkit.filters import parse_filter
from memkit.memory import Memory
from memkit.policy import RetentionRule, from_json, to_json
from memkit.protocols import Searchable
from memkit.records import Scope
from memkit.retrieval.recall import RecallQuery, recall
from memkit.testing import NOON, HashEmbedder, open_memory

Where = dict[str, Any]


def matches(where: Where, **fields: Any) -> bool:
    return parse_filter(where).matches(Turn(**{"text": "tea", "said_at": NOON, **fields}))


# ---- the language


@pytest.mark.parametrize(
    ("where", "fields", "expected"),
    [
        ({"n": 1}, {"metadata": {"n": 1}}, True),
        ({"n": 1}, {"metadata": {"n": 1.0}}, True),
        ({"n": 1}, {"metadata": {"n": True}}, False),
        ({"n": 1}, {"metadata": {"n": "1"}}, False),
        ({"n": None}, {"metadata": {"n": None}}, True),
        ({"n": None}, {"metadata": {}}, False),
        ({"n": [1, "a"]}, {"metadata": {"n": "a"}}, True),
        ({"n": {"eq": [1, 2]}}, {"metadata": {"n": [1, 2]}}, True),
        ({"n": [1, 2]}, {"metadata": {"n": [1, 2]}}, False),
        ({"n": {"ne": 1}}, {"metadata": {}}, True),
        ({"n": {"nin": [1, 2]}}, {"metadata": {"n": 2}}, False),
        ({"n": {"gt": 1, "lte": 3}}, {"metadata": {"n": 3}}, True),
        ({"n": {"gt": 1}}, {"metadata": {"n": "9"}}, False),
        ({"n": {"lt": 1}}, {"metadata": {"n": None}}, False),
        ({"n": {"gte": "2027-01"}}, {"metadata": {"n": "2027-02-01"}}, True),
        ({"n": {"contains": "ell"}}, {"metadata": {"n": "hello"}}, True),
        ({"n": {"contains": "ELL"}}, {"metadata": {"n": "hello"}}, False),
        ({"n": {"icontains": "ELL"}}, {"metadata": {"n": "hello"}}, True),
        ({"n": {"contains": 2}}, {"metadata": {"n": [1, 2]}}, True),
        ({"n": {"contains": 2}}, {"metadata": {"n": 2}}, False),
        ({"n": {"icontains": "B"}}, {"metadata": {"n": ["a", "b"]}}, True),
        ({"n": {"exists": True}}, {"metadata": {"n": None}}, True),
        ({"n": {"exists": False}}, {"metadata": {}}, True),
        ({"tag": "work"}, {"tags": ["home", "work"]}, True),
        ({"tag": ["work", "trip"]}, {"tags": ["trip"]}, True),
        ({"tag": {"ne": "work"}}, {"tags": ["home", "work"]}, False),
        ({"tag": {"exists": False}}, {}, True),
        ({"tag": "work"}, {"metadata": {"tag": "work"}}, True),  # as before there were tags
        ({"role": "tool"}, {"role": "tool"}, True),
        ({"metadata.role": "tool"}, {"role": "tool"}, False),
        ({"metadata.role": "boss"}, {"metadata": {"role": "boss"}}, True),
        ({"name": {"icontains": "ann"}}, {"name": "Joanna"}, True),
        ({"session_id": {"exists": False}}, {}, True),
        ({"agent_id": {"ne": "a"}}, {"agent_id": "b"}, True),
        ({"said_at": {"gte": NOON}}, {}, True),
        ({"said_at": {"lt": "2027-05-01T12:00:00+02:00"}}, {"said_at": NOON}, True),
        ({"stored_at": {"gt": NOON}}, {}, False),
        ({"AND": [{"n": 1}, {"role": "user"}]}, {"metadata": {"n": 1}}, True),
        ({"OR": [{"n": 1}, {"role": "user"}]}, {}, True),
        ({"NOT": {"n": 1}}, {"metadata": {"n": 1}}, False),
        ({"NOT": [{"n": 1}, {"n": 2}]}, {"metadata": {"n": 2}}, False),
        ({"n": 1, "role": "tool"}, {"metadata": {"n": 1}}, False),
    ],
)  # fmt: skip
def test_a_filter_matches_by_its_operators(where: Where, fields: Where, expected: bool) -> None:
    assert matches(where, **fields) is expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "where is empty"),
        ([], "where must be a mapping"),
        ({"n": {}}, "'n' has no operator"),
        ({"n": {"gte ": 1}}, "unknown operator 'gte ' of 'n'"),
        ({"n": {"gt": [1]}}, "'gt' of 'n' must be a number or a string"),
        ({"n": {"gt": True}}, "'gt' of 'n'"),
        ({"n": {"in": 1}}, "'in' of 'n' must be a list"),
        ({"n": []}, "'in' of 'n' must be a list"),
        ({"n": {"exists": 1}}, '"exists" of \'n\' must be true or false'),
        ({"n": {"icontains": 1}}, '"icontains" of \'n\' must be a string'),
        ({"n": {1, 2}}, "where must be JSON data"),
        ({"n": NOON}, "the times of a turn are said_at and stored_at"),
        ({"tags": "work"}, "where has no key 'tags'; use 'tag'"),
        ({"session": "s"}, "use 'session_id' for that field"),
        ({"user_id": "bob"}, "pass it as the argument user_id"),
        ({"role": "boss"}, "no role is 'boss'; there are user"),
        ({"name": None}, 'use {"exists": false}'),
        ({"said_at": {"gte": "yesterday"}}, "'said_at' is compared with a datetime"),
        ({"said_at": {"contains": "2027"}}, "'contains' is for texts and lists"),
        ({"OR": []}, "OR must have a list of conditions"),
        ({"AND": [{"n": 1}, {}]}, "where is empty"),
        ({1: 1}, "a key of where must be a string"),
        ({"OR": [{"n": n} for n in range(101)]}, "more than 100 conditions"),
        ({"n": "x" * 100_001}, "at most 100,000"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_used_is_an_error_that_names_what_is_wrong(
    where: Any, message: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_filter(where)
    assert message in str(error.value)


def test_a_filter_has_a_limited_depth_and_its_times_a_timezone() -> None:
    where: Where = {"n": 1}
    for _ in range(10):
        where = {"NOT": where}
    with pytest.raises(InvalidInput, match="nested more than 8 deep"):
        parse_filter(where)
    for _ in range(100_000):
        where = {"NOT": where}
    with pytest.raises(InvalidInput):
        parse_filter(where)
    with pytest.raises(NaiveDatetime):
        parse_filter({"said_at": {"gte": "2027-01-01"}})


# ---- inside the search

a_value = st.sampled_from([None, True, 0, 1, 2.0, "1", "Tea", "tea time", ["tea"], {"a": 1}])
a_key = st.sampled_from(["n", "m"])
a_turn = st.fixed_dictionaries({
    "role": st.sampled_from(["user", "assistant", "tool"]),
    "content": st.sampled_from(["green tea", "black tea", "jazz", "a boat", "tea and jazz"]),
    "name": st.sampled_from([None, "Ann", "Joanna"]),
    "session_id": st.sampled_from([None, "s1", "s2"]),
    "tags": st.lists(st.sampled_from(["work", "home"]), unique=True),
    "metadata": st.dictionaries(a_key, a_value),
    "timestamp": st.integers(0, 9).map(lambda n: NOON + timedelta(days=n)),
})  # fmt: skip
an_operand = st.sampled_from([0, 1, "1", "tea", "Tea"])
a_condition = st.one_of(
    st.tuples(a_key, st.one_of(
        a_value.filter(lambda value: not isinstance(value, (dict, list))),
        st.tuples(st.sampled_from(["eq", "ne"]), a_value).map(lambda pair: dict([pair])),
        st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), an_operand).map(
            lambda pair: dict([pair])
        ),
        st.tuples(st.sampled_from(["in", "nin"]), st.lists(a_value, min_size=1)).map(
            lambda pair: dict([pair])
        ),
        st.sampled_from([{"contains": "ea"}, {"icontains": "TEA"}, {"exists": True}]),
    )),
    st.tuples(st.just("tag"), st.sampled_from(["work", ["work", "x"], {"exists": False}])),
    st.tuples(st.just("role"), st.sampled_from(["user", {"ne": "tool"}])),
    st.tuples(st.just("name"), st.sampled_from([{"contains": "nn"}, {"gt": "B"}])),
    st.tuples(st.just("session_id"), st.sampled_from(["s1", {"nin": ["s1"]}])),
    st.tuples(st.just("said_at"), st.integers(0, 9).map(
        lambda n: {"lt": (NOON + timedelta(days=n)).isoformat()}
    )),
).map(lambda pair: dict([pair]))  # fmt: skip
a_where = st.recursive(
    a_condition,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda some: {"AND": some}),
        st.lists(parts, min_size=1, max_size=3).map(lambda some: {"OR": some}),
        parts.map(lambda part: {"NOT": part}),
    ),
    max_leaves=4,
)


def naive_compare(value: Any, operator: str, operand: Any) -> bool:
    """Compare as the documentation says, without the code under test."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    both = (number and isinstance(operand, (int, float)) and not isinstance(operand, bool)) or (
        type(value) is type(operand)
    )
    if operator == "contains":
        return isinstance(value, (str, list)) and operand in value
    if operator == "icontains":
        texts = [value] if isinstance(value, str) else []
        items = value if isinstance(value, list) else []
        return any(operand.lower() in text.lower() for text in texts) or operand.lower() in items
    if operator == "in":
        return any(naive_compare(value, "eq", item) for item in operand)
    if operator == "eq":
        return both and bool(value == operand)
    signs = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}
    return both and getattr(float(value) if number else value, signs[operator])(
        float(operand) if number else operand
    )


def naive(where: Where, turn: Turn) -> bool:
    """Evaluate a filter on one turn, without the code under test."""
    results = []
    for key, value in where.items():
        if key in ("AND", "OR", "NOT"):
            parts = [naive(part, turn) for part in (value if isinstance(value, list) else [value])]
            results.append({"AND": all(parts), "OR": any(parts), "NOT": not any(parts)}[key])
            continue
        if key == "tag":
            values: list[Any] = list(turn.tags)
        elif key in ("n", "m"):
            values = [turn.metadata[key]] if key in turn.metadata else []
        else:
            values = [item for item in [getattr(turn, key)] if item is not None]
        bare = "in" if isinstance(value, list) else "eq"
        for operator, operand in (value if isinstance(value, dict) else {bare: value}).items():
            if key == "said_at":
                values = [values[0].isoformat()]  # all in UTC
            if operator == "exists":
                results.append(bool(values) == operand)
            elif operator in ("ne", "nin"):
                positive = {"ne": "eq", "nin": "in"}[operator]
                results.append(not any(naive_compare(item, positive, operand) for item in values))
            else:
                results.append(any(naive_compare(item, operator, operand) for item in values))
    return all(results)


@settings(max_examples=150)
@given(st.lists(a_turn, max_size=12), a_where, st.sampled_from([None, "s1"]))
def test_recall_finds_exactly_the_matching_turns_of_the_scope(
    messages: list[Where], where: Where, session: str | None
) -> None:
    with open_memory() as memory:
        memory.remember([*messages, {"role": "user", "content": "tea"}], user_id="ann")
        scope = {"user_id": "ann", "session_id": session}
        turns = [turn for turn in memory.turns(**scope) if naive(where, turn)]

        hits = memory.recall("green tea", **scope, k=100, where=where)
        assert sorted(hit.turn_ids[0] for hit in hits) == sorted(str(turn.id) for turn in turns)
        assert [turn.id for turn in memory.turns(**scope, where=where)] == [t.id for t in turns]
        few = memory.recall("green tea", **scope, k=2, where=where)
        assert [hit.turn_ids for hit in few] == [hit.turn_ids for hit in hits[:2]]


def fill(memory: Memory, n: int) -> None:
    """Remember `n` turns about tea; every 250th of them is tagged, and the last is about a boat."""
    messages: list[Where] = [
        {"role": "user", "content": f"green tea number {i}", "tags": ["rare"] * (i % 250 == 0)}
        for i in range(n)
    ]
    boat = {"role": "user", "content": "a red boat", "tags": ["rare"], "metadata": {"n": 7}}
    memory.remember([*messages, boat], user_id="ann")


def test_a_filter_that_few_turns_meet_still_returns_k_of_them() -> None:
    with open_memory() as memory:
        fill(memory, 2000)
        hits = memory.recall("green tea number 3", user_id="ann", k=5, where={"tag": "rare"})
        assert len(hits) == 5
        assert all(hit.tags == ("rare",) for hit in hits)
        hits = memory.recall("green tea number 3", user_id="ann", where={"n": 7})
        assert [hit.text for hit in hits] == ["a red boat"]
        hits = memory.recall("yesterday's tea?", user_id="ann", where={"n": 7})
        assert [hit.text for hit in hits] == ["a red boat"]


def test_a_filter_follows_what_is_added_pruned_and_forgotten(tmp_path: Path) -> None:
    with open_memory(tmp_path / "ann.db") as memory:
        for n in range(3):
            memory.remember({"role": "user", "content": f"tea {n}", "tags": ["a"]}, user_id="ann")
            assert len(memory.recall("tea", user_id="ann", where={"tag": "a"})) == n + 1
        first, *_ = memory.turns(user_id="ann")
        memory.forget(user_id="ann", turn_ids=[str(first.id)])
        memory.remember({"role": "user", "content": "tea 9", "tags": ["b"]}, user_id="ann")
        hits = memory.recall("tea", user_id="ann", where={"tag": "a"})
        assert sorted(hit.text for hit in hits) == ["tea 1", "tea 2"]
        with open_memory(tmp_path / "ann.db") as another:  # as another process would
            another.remember({"role": "user", "content": "tea 3", "tags": ["a"]}, user_id="ann")
        assert len(memory.recall("tea", user_id="ann", where={"tag": "a"})) == 3


def test_a_filter_never_finds_another_users_turn() -> None:
    with open_memory() as memory:
        memory.remember({"role": "user", "content": "tea", "tags": ["a"]}, user_id="bob")
        memory.remember({"role": "user", "content": "tea", "tags": ["b"]}, user_id="ann")
        assert memory.recall("tea", user_id="ann", where={"tag": "a"}) == []
        assert list(memory.turns(user_id="ann", where={"tag": "a"})) == []


def test_an_encrypted_memory_filters_by_what_is_sealed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with memkit.open(tmp_path / "ann.db", embedder=HashEmbedder(), key=bytes(32)) as memory:
        fill(memory, 20)
        hits = memory.recall("tea", user_id="ann", where={"tag": "rare"})
        assert {hit.text for hit in hits} == {"green tea number 0", "a red boat"}
        (hit,) = memory.recall("tea", user_id="ann", where={"n": {"gt": 5}})
        assert hit.text == "a red boat"


def test_a_staged_embedder_filters_too() -> None:
    with open_memory() as memory:
        fill(memory, 300)
        staged: Searchable = memory.store.stage(new_embedder())
        query = RecallQuery(text="green tea", where=parse_filter({"tag": "rare"}))
        result = recall(staged, new_embedder(), Scope(user_id="ann"), query)
        assert len(result.hits) == 3


def test_a_thought_is_recalled_only_if_every_source_matches() -> None:
    with open_memory() as memory:
        told = [("I live in Oslo.", ["a"]), ("I live in Oslo.", ["b"]), ("I own a boat.", ["a"])]
        for text, tags in told:
            memory.remember({"role": "user", "content": text, "tags": tags}, user_id="ann")
        memory.think(user_id="ann")

        def thoughts(where: Where) -> set[str]:
            query = "Where do I live, do I own a boat?"
            hits = memory.recall(query, user_id="ann", kind="thought", where=where)
            return {hit.text for hit in hits}

        assert thoughts({"tag": ["a", "b"]}) == {"I live in Oslo.", "I own a boat."}
        assert thoughts({"tag": "a"}) == {"I own a boat."}
        assert thoughts({"tag": "b"}) == set()
        block = memory.context("Where do I live?", user_id="ann", where={"tag": "b"})
        assert block.thoughts == ()
        assert [hit.tags for hit in block.hits] == [("b",)]
        assert "boat" not in block.text


def test_the_last_turns_are_those_of_the_matching_ones() -> None:
    with open_memory() as memory:
        fill(memory, 600)
        turns = memory.turns(user_id="ann", where={"tag": "rare"}, last=2)
        assert [turn.text for turn in turns] == ["green tea number 500", "a red boat"]


# ---- the same language when turns are deleted


def test_forget_and_retention_speak_the_same_language() -> None:
    with open_memory() as memory:
        fill(memory, 600)
        where = {"tag": "rare", "NOT": {"n": {"exists": True}}}
        receipt = memory.forget(user_id="ann", where=where)
        assert len(receipt.turn_ids) == 3
        for n in (6, 8):
            said = {"content": f"boat {n}", "timestamp": NOON - timedelta(days=2)}
            memory.remember({"role": "user", "metadata": {"n": n}, **said}, user_id="ann")
        rule = RetentionRule(ttl=timedelta(days=1), where={"n": {"gte": 7}})
        (expiry,) = memory.set_retention([rule])
        assert expiry.receipt is not None
        assert len(expiry.receipt.turn_ids) == 1
    with pytest.raises(InvalidInput, match="unknown operator"):
        RetentionRule(ttl=timedelta(days=1), where={"n": {"around": 7}})
    with open_memory() as memory, pytest.raises(InvalidInput, match="where is empty"):
        memory.forget(user_id="ann", where={})


def test_a_rule_that_was_stored_before_there_were_filters_means_what_it_meant() -> None:
    (rule,) = from_json('[{"ttl_s": 60, "where": {"role": "boss", "n": [1, 2]}}]')
    matches = parse_filter(rule.where).matches
    assert matches(Turn(text="tea", metadata={"role": "boss", "n": [1, 2]}))
    assert not matches(Turn(text="tea", metadata={"role": "boss", "n": 1}))
    assert from_json(to_json([rule])) == (rule,)
