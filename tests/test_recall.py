"""What `recall` promises: the scope's best, best first, explained, whatever its age."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from fakes import VOCABULARY, BlindEmbedder, DenseEmbedder, apart, users
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit import Hit, Turn
from memkit.errors import InvalidInput, ModelError, NaiveDatetime, ScopeRequired
from memkit.retrieval import fusion
from memkit.testing import NOON, HashEmbedder, open_memory

WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6).map(" ".join)


@pytest.fixture(scope="module")
def shared() -> Iterator[memkit.Memory]:
    """A memory that many users share; each test takes users of its own."""
    with open_memory(embedder=HashEmbedder()) as memory:
        yield memory


def test_an_empty_memory_recalls_nothing(memory: memkit.Memory) -> None:
    assert memory.recall("anything?", user_id="ann") == []


def test_the_turn_that_answers_comes_first(memory: memkit.Memory) -> None:
    memory.remember(["I moved to Oslo", "my cat is called Tau", "I like tea"], user_id="ann")
    assert memory.recall("what is the cat called?", user_id="ann")[0].text == "my cat is called Tau"


def test_a_hit_says_who_when_where_and_from_which_turn(memory: memkit.Memory) -> None:
    turn = Turn(id="D1", role="assistant", name="Bo", text="tea at five", said_at=NOON)
    memory.remember(turn, user_id="ann", session_id="s1")
    (hit,) = memory.recall("tea", user_id="ann")
    assert (hit.text, hit.kind, hit.said_at, hit.turn_ids) == ("tea at five", "turn", NOON, ("D1",))
    assert (hit.role, hit.name, hit.session_id, hit.speaker) == ("assistant", "Bo", "s1", "Bo")


@pytest.mark.parametrize("k", [1, 2, 3, 99])
def test_k_is_a_limit_not_a_demand(memory: memkit.Memory, k: int) -> None:
    memory.remember(["red key", "red cat", "red tea"], user_id="ann")
    assert len(memory.recall("red", user_id="ann", k=k)) == min(k, 3)


@settings(max_examples=25)
@given(st.lists(WORDS, max_size=14), WORDS, st.integers(1, 14))
def test_k_cuts_and_changes_nothing_else(
    shared: memkit.Memory, texts: list[str], query: str, k: int
) -> None:
    user = next(users)
    shared.remember(apart(texts), user_id=user)
    every = shared.recall(query, user_id=user, k=99)
    assert shared.recall(query, user_id=user, k=k) == every[:k]


@pytest.mark.parametrize("k", [3, 60, 99])
def test_a_turn_of_many_pieces_is_one_hit_and_hides_no_other(memory: memkit.Memory, k: int) -> None:
    memory.remember("jazz " * 64 * 300, user_id="ann", session_id="long")
    memory.remember(apart([f"jazz and {n}" for n in range(70)]), user_id="ann")
    hits = memory.recall("jazz", user_id="ann", k=k)
    assert len({hit.turn_ids for hit in hits}) == len(hits) == min(k, 71)


def test_turns_the_caller_has_already_are_left_out(memory: memkit.Memory) -> None:
    ids = memory.remember([f"red fact {n}" for n in range(80)], user_id="ann")
    hits = memory.recall("red fact", user_id="ann", k=5, without=ids[:75])
    assert {hit.turn_ids[0] for hit in hits} == set(ids[75:])


def test_leaving_turns_out_changes_nothing_for_the_others(memory: memkit.Memory) -> None:
    ids = memory.remember([f"red fact {n}" for n in range(20)], user_id="ann")
    every = memory.recall("red fact 7", user_id="ann", k=20)
    some = memory.recall("red fact 7", user_id="ann", k=20, without=ids[::2])
    assert some == [hit for hit in every if hit.turn_ids[0] not in ids[::2]]


# ---- the scope


def test_nobody_elses_turns_are_recalled(memory: memkit.Memory) -> None:
    memory.remember("the key is red", user_id="bob")
    assert memory.recall("key", user_id="ann") == []


@pytest.mark.parametrize("user_id", ["", None, 3, b"ann"])
def test_there_is_no_recall_without_a_user(memory: memkit.Memory, user_id: Any) -> None:
    with pytest.raises(ScopeRequired, match='user_id="ann"'):
        memory.recall("key", user_id=user_id)


def test_session_and_agent_narrow_what_is_recalled(memory: memkit.Memory) -> None:
    memory.remember("red key", user_id="ann", session_id="s1", agent_id="a")
    memory.remember("red cat", user_id="ann", session_id="s2", agent_id="b")
    assert [h.text for h in memory.recall("red", user_id="ann", session_id="s1")] == ["red key"]
    assert [h.text for h in memory.recall("red", user_id="ann", agent_id="b")] == ["red cat"]
    assert memory.recall("red", user_id="ann", session_id="s1", agent_id="b") == []


def test_as_of_leaves_out_what_was_said_later(memory: memkit.Memory) -> None:
    for day, text in enumerate(["red key", "red cat", "red tea"]):
        memory.remember(Turn(text=text, said_at=NOON + timedelta(days=day)), user_id="ann")
    hits = memory.recall("red", user_id="ann", as_of=NOON + timedelta(days=1))
    assert {hit.text for hit in hits} == {"red key", "red cat"}


A_TURN = st.builds(
    Turn,
    text=WORDS | st.just("jazz " * 70),
    name=st.sampled_from([None, "Ann", "Bob"]),
    role=st.sampled_from(["user", "assistant"]),
    session_id=st.sampled_from(["s", "t"]),
    agent_id=st.sampled_from(["a", "b"]),
    said_at=st.integers(0, 3).map(lambda n: NOON + timedelta(hours=9 * n)),
)
ASKED = ["What did Ann say about jazz?", "my red key", "in May 2024", "What did I say yesterday?"]
SCOPES: list[dict[str, Any]] = [
    {},
    {"session_id": "s"},
    {"agent_id": "a"},
    {"as_of": NOON + timedelta(hours=9)},
    {"session_id": "s", "agent_id": "a", "as_of": NOON + timedelta(hours=18)},
]


def inside(turn: Turn, scope: dict[str, Any]) -> bool:
    """Return whether a turn is of the scope, in the plainest way."""
    return (
        scope.get("session_id") in (None, turn.session_id)
        and scope.get("agent_id") in (None, turn.agent_id)
        and ("as_of" not in scope or turn.said_at <= scope["as_of"])
    )


def unnumbered(hits: list[Hit]) -> list[Hit]:
    """Leave out the turns' numbers, which count all of the user's."""
    return [replace(hit, position=None) for hit in hits]


@settings(max_examples=60)
@given(
    turns=st.lists(A_TURN, max_size=12),
    other_turns=st.lists(A_TURN, max_size=4),
    query=WORDS | st.sampled_from(ASKED),
    scope=st.sampled_from(SCOPES),
)
def test_what_is_outside_the_scope_changes_nothing(
    shared: memkit.Memory,
    turns: list[Turn],
    other_turns: list[Turn],
    query: str,
    scope: dict[str, Any],
) -> None:
    user, other_user, alone = next(users), next(users), next(users)
    turns = [replace(turn, id=str(n)) for n, turn in enumerate(turns)]
    shared.remember([turn for turn in turns if inside(turn, scope)], user_id=alone)
    shared.remember(turns, user_id=user)
    shared.remember(other_turns, user_id=other_user)

    hits = shared.recall(query, user_id=user, k=20, **scope)
    hits_alone = shared.recall(query, user_id=alone, k=20, as_of=scope.get("as_of"))
    assert unnumbered(hits) == unnumbered(hits_alone)
    assert len(hits) == sum(inside(turn, scope) for turn in turns)


@pytest.mark.parametrize(
    ("their", "mine"),
    [
        ({"user_id": "bob"}, {"user_id": "ann"}),
        ({"user_id": "ann", "session_id": "t"}, {"user_id": "ann", "session_id": "s"}),
        ({"user_id": "ann", "agent_id": "b"}, {"user_id": "ann", "agent_id": "a"}),
    ],
    ids=["user", "session", "agent"],
)
def test_how_rare_a_word_is_and_how_long_turns_are_is_the_scopes_own_affair(
    memory: memkit.Memory, their: dict[str, str], mine: dict[str, str]
) -> None:
    memory.remember(["red key", "blue key", "red tea and a long walk"], **mine)
    before = memory.recall("the red key", **mine)

    memory.remember(["key " * (1 + n % 60) for n in range(200)], **their)
    assert memory.recall("the red key", **mine) == before


# ---- relevance


@settings(max_examples=40)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS, st.booleans())
def test_relevance_is_sorted_explained_and_between_0_and_1(
    shared: memkit.Memory, texts: list[str], query: str, together: bool
) -> None:
    user = next(users)
    shared.remember(texts if together else apart(texts), user_id=user)
    hits = shared.recall(query, user_id=user, k=20)
    assert len(hits) == len(texts)
    relevances = [hit.relevance for hit in hits]
    assert relevances == sorted(relevances, reverse=True)
    assert all(0 <= hit.relevance <= 1 for hit in hits)
    assert all(hit.relevance == pytest.approx(sum(hit.explain.values())) for hit in hits)
    assert all(set(hit.explain) == set(fusion.SIGNALS) for hit in hits)
    assert all(share >= 0 for hit in hits for share in hit.explain.values())


def test_min_relevance_can_leave_nothing(memory: memkit.Memory) -> None:
    memory.remember(["I moved to Oslo", "tea is fine"], user_id="ann")
    assert memory.recall("zebra crossing", user_id="ann", min_relevance=0.9) == []


@pytest.mark.parametrize("n", [1, 3, 7])
def test_a_hits_own_relevance_as_the_least_keeps_it_and_what_is_better(
    memory: memkit.Memory, n: int
) -> None:
    memory.remember(["red " * n + "key " * (9 - n) for n in range(9)], user_id="ann")
    hits = memory.recall("red key", user_id="ann")
    assert len({hit.relevance for hit in hits}) > n
    relevant_hits = memory.recall("red key", user_id="ann", min_relevance=hits[n].relevance)
    assert relevant_hits == [hit for hit in hits if hit.relevance >= hits[n].relevance]


def test_auto_keeps_a_clear_answer_and_leaves_out_what_is_beside_the_point(
    memory: memkit.Memory,
) -> None:
    memory.remember(apart([f"{word} again" for word in VOCABULARY]), user_id="ann")
    memory.remember("my bike is called Rocinante", user_id="ann", session_id="bike")
    hits = memory.recall("what is my bike called?", user_id="ann", min_relevance="auto")
    assert [hit.text for hit in hits] == ["my bike is called Rocinante"]
    assert hits == memory.recall("what is my bike called?", user_id="ann", k=1)


def test_auto_leaves_nothing_where_nothing_answers(memory: memkit.Memory) -> None:
    memory.remember(apart([f"{word} again" for word in VOCABULARY]), user_id="ann")
    assert memory.recall("zebra crossing?", user_id="ann", min_relevance="auto") == []


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        ({"query": ""}, InvalidInput, "empty"),
        ({"query": " \n"}, InvalidInput, "empty"),
        ({"query": None}, InvalidInput, "empty"),
        ({"query": "\ud800"}, InvalidInput, "surrogate"),
        ({"k": 0}, InvalidInput, "at least 1"),
        ({"k": 2.5}, InvalidInput, "2.5"),
        ({"k": "3"}, InvalidInput, "'3'"),
        ({"min_relevance": "high"}, InvalidInput, "'high'"),
        ({"min_relevance": "0.5"}, InvalidInput, "'0.5'"),
        ({"min_relevance": "AUTO"}, InvalidInput, "'AUTO'"),
        ({"min_relevance": None}, InvalidInput, "None"),
        ({"min_relevance": [0.5]}, InvalidInput, r"\[0.5\]"),
        pytest.param({"min_relevance": 80}, InvalidInput, "80"),
        pytest.param({"min_relevance": float("nan")}, InvalidInput, "nan"),
        ({"as_of": datetime(2024, 5, 1)}, NaiveDatetime, "as_of"),  # noqa: DTZ001
        ({"as_of": "2024-05-01"}, NaiveDatetime, "datetime"),
    ],
)
def test_a_wrong_argument_is_a_typed_error(
    memory: memkit.Memory, options: dict[str, Any], error: type[Exception], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        memory.recall(**({"query": "tea", "user_id": "ann"} | options))


# ---- age

LIMITS = [
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
]


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(VOCABULARY), min_size=2, max_size=8, unique=True), WORDS, st.randoms()
)
def test_age_decides_nothing_but_ties_among_turns_that_are_not_alike(
    shared: memkit.Memory, texts: list[str], query: str, random: Any
) -> None:
    def ranked(times: list[datetime]) -> list[tuple[str, float]]:
        user = next(users)
        turns = [replace(turn, said_at=at) for turn, at in zip(apart(texts), times, strict=True)]
        shared.remember(turns, user_id=user)
        return [(hit.text, round(hit.relevance, 4)) for hit in shared.recall(query, user_id=user)]

    times = [NOON - timedelta(days=400 * n) for n in range(len(texts))]
    first = ranked(times)
    random.shuffle(times)
    second = ranked(times)
    assert sorted(first) == sorted(second)
    assert [relevance for _, relevance in first] == [relevance for _, relevance in second]


@pytest.mark.parametrize("embedder", [HashEmbedder, DenseEmbedder, BlindEmbedder])
@pytest.mark.parametrize("n", [2, 5, 7])
def test_of_equally_relevant_turns_the_newest_comes_first(
    embedder: Callable[[], HashEmbedder], n: int
) -> None:
    turns = [
        replace(turn, said_at=NOON + timedelta(hours=(3 * hour) % n))
        for hour, turn in enumerate(apart(["the red key of Oslo"] * n))
    ]
    with open_memory(embedder=embedder()) as memory:
        memory.remember(turns, user_id="ann")
        for query in ["the red key", "is it raining in Oslo", "a cat", "tea and jazz", "my sister"]:
            hits = memory.recall(query, user_id="ann")
            assert len({hit.relevance for hit in hits}) == 1, query
            assert [(NOON - hit.said_at) // timedelta(hours=-1) for hit in hits] == [*range(n)][
                ::-1
            ]


@pytest.mark.parametrize("n", [30, 200])
def test_of_many_equally_relevant_turns_the_newest_comes_first(
    memory: memkit.Memory, n: int
) -> None:
    hours = [NOON + timedelta(hours=(7 * hour) % n) for hour in range(n)]
    turns = [replace(turn, said_at=at) for turn, at in zip(apart(["tea"] * n), hours, strict=True)]
    memory.remember(turns, user_id="ann")
    assert memory.recall("tea", user_id="ann", k=1)[0].said_at == max(hours)


@pytest.mark.parametrize("at", LIMITS, ids=str)
def test_a_turn_said_at_the_end_of_time_hinders_nothing(
    memory: memkit.Memory, at: datetime
) -> None:
    memory.remember([Turn(text="tea", said_at=at), "tea at noon"], user_id="ann")
    assert len(memory.recall("tea last week", user_id="ann")) == 2
    assert memory.recall("tea in 2024", user_id="ann", as_of=at) != []


@pytest.mark.parametrize(
    "vectors", [np.ones((1, 65)), np.ones((2, 64)), np.ones(64)], ids=["wide", "two", "flat"]
)
def test_a_question_that_cannot_be_embedded_is_a_typed_error(vectors: Any) -> None:
    class Broken(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Any:
            return vectors if texts == ["broken?"] else super().embed(texts)

    with open_memory(embedder=Broken()) as memory:
        memory.remember("tea", user_id="ann")
        with pytest.raises(ModelError, match="array of shape"):
            memory.recall("broken?", user_id="ann")


@pytest.mark.parametrize("form", ["float64", "read-only"])
def test_any_array_that_numpy_understands_will_do_for_a_question(form: str) -> None:
    class Other(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Any:
            vectors = super().embed(texts).astype("float64" if form == "float64" else "float32")
            vectors.flags.writeable = False
            return vectors

    with open_memory(embedder=Other()) as memory:
        memory.remember(apart(["red key", "blue moon"]), user_id="ann")
        assert memory.recall("which key?", user_id="ann")[0].text == "red key"
