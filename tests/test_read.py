"""What `recall` promises: the scope's best, best first, explained, whatever its age."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memkit
from memkit import Turn, rank
from memkit.errors import InvalidInput, NaiveDatetime, ScopeRequired
from memkit.read import words
from memkit.testing import HashEmbedder

QUIET = memkit.Settings(background=False)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TOLD = ["oslo", "bees", "jazz", "tea", "cat", "moon", "rain", "sister", "key", "red"]
WORDS = st.lists(st.sampled_from(TOLD), min_size=1, max_size=6).map(" ".join)


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


def test_nobody_elses_turns_are_recalled(memory: memkit.Memory) -> None:
    memory.remember("the key is red", user_id="bob")
    assert memory.recall("key", user_id="ann") == []


@pytest.mark.parametrize("user_id", ["", None, 3, b"ann"])
def test_there_is_no_recall_without_a_user(memory: memkit.Memory, user_id: Any) -> None:
    with pytest.raises(ScopeRequired, match='user_id="ann"'):
        memory.recall("key", user_id=user_id)


@pytest.mark.parametrize("k", [1, 2, 3, 99])
def test_k_is_a_limit_not_a_demand(memory: memkit.Memory, k: int) -> None:
    memory.remember(["red key", "red cat", "red tea"], user_id="ann")
    assert len(memory.recall("red", user_id="ann", k=k)) == min(k, 3)


def test_a_turn_of_many_pieces_is_one_hit_and_hides_no_other(memory: memkit.Memory) -> None:
    memory.remember("jazz " * 64 * 300, user_id="ann")
    memory.remember([f"jazz and {word}" for word in ("tea", "rain", "bees")], user_id="ann")
    hits = memory.recall("jazz", user_id="ann", k=4)
    assert len({hit.turn_ids for hit in hits}) == len(hits) == 4


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


def test_min_relevance_can_leave_nothing(memory: memkit.Memory) -> None:
    memory.remember(["I moved to Oslo", "tea is fine"], user_id="ann")
    hits = memory.recall("Oslo", user_id="ann")
    cut = memory.recall("Oslo", user_id="ann", min_relevance=hits[0].relevance)
    assert cut == hits[:1]
    assert memory.recall("zebra crossing", user_id="ann", min_relevance=0.9) == []


def test_turns_the_caller_has_already_are_left_out(memory: memkit.Memory) -> None:
    ids = memory.remember([f"red fact {n}" for n in range(80)], user_id="ann")
    hits = memory.recall("red fact", user_id="ann", k=5, without=ids[:75])
    assert {hit.turn_ids[0] for hit in hits} == set(ids[75:])


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        ({"query": ""}, InvalidInput, "empty"),
        ({"query": " \n"}, InvalidInput, "empty"),
        ({"query": None}, InvalidInput, "empty"),
        ({"query": "\ud800"}, InvalidInput, "surrogate"),
        ({"k": 0}, InvalidInput, "at least 1"),
        ({"k": 2.5}, InvalidInput, "2.5"),
        ({"min_relevance": "high"}, InvalidInput, "'high'"),
        ({"as_of": datetime(2024, 5, 1)}, NaiveDatetime, "as_of"),  # noqa: DTZ001
        ({"as_of": "2024-05-01"}, NaiveDatetime, "datetime"),
    ],
)
def test_a_wrong_argument_is_a_typed_error(
    memory: memkit.Memory, options: dict[str, Any], error: type[Exception], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        memory.recall(**({"query": "tea", "user_id": "ann"} | options))


@settings(max_examples=25)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS)
def test_relevance_is_sorted_explained_and_between_0_and_1(said: list[str], query: str) -> None:
    with memkit.open(":memory:", embedder=HashEmbedder(), settings=QUIET) as memory:
        memory.remember(said, user_id="ann")
        hits = memory.recall(query, user_id="ann", k=20)
    assert len(hits) == len(said)
    relevances = [hit.relevance for hit in hits]
    assert relevances == sorted(relevances, reverse=True)
    assert all(0 <= hit.relevance <= 1 for hit in hits)
    assert all(hit.relevance == pytest.approx(sum(hit.explain.values())) for hit in hits)
    assert all(set(hit.explain) == {"dense", "lexical"} for hit in hits)


@settings(max_examples=25)
@given(st.lists(WORDS, min_size=2, max_size=8, unique=True), WORDS, st.randoms())
def test_age_decides_nothing_but_ties(said: list[str], query: str, random: Any) -> None:
    def ranked(times: list[datetime]) -> list[tuple[str, float]]:
        with memkit.open(":memory:", embedder=WordsOnly(), settings=QUIET) as memory:
            turns = [Turn(text=text, said_at=at) for text, at in zip(said, times, strict=True)]
            memory.remember(turns, user_id="ann")
            return [(h.text, round(h.relevance, 6)) for h in memory.recall(query, user_id="ann")]

    times = [NOON - timedelta(days=400 * n) for n in range(len(said))]
    first = ranked(times)
    random.shuffle(times)
    second = ranked(times)
    assert sorted(first) == sorted(second)
    assert [relevance for _, relevance in first] == [relevance for _, relevance in second]


class WordsOnly(HashEmbedder):
    """Embeds what was said without the date in front, which tells two days apart."""

    def embed(self, texts: Any) -> Any:
        return super().embed([text.rpartition(": ")[2] for text in texts])


def test_of_equally_relevant_turns_the_newest_comes_first(memory: memkit.Memory) -> None:
    times = [NOON.replace(hour=hour) for hour in (9, 11, 10)]
    memory.remember([Turn(text="red key", said_at=at) for at in times], user_id="ann")
    hits = memory.recall("red key", user_id="ann")
    assert [hit.said_at.hour for hit in hits] == [11, 10, 9]


def test_speaker_and_date_can_be_searched_for(memory: memkit.Memory) -> None:
    june = datetime(2023, 6, 7, tzinfo=UTC)
    memory.remember([Turn(text="fine", name="Ingrid", said_at=june), "fine"], user_id="ann")
    assert memory.recall("Ingrid in June 2023", user_id="ann")[0].name == "Ingrid"


def test_function_words_are_not_searched_for_unless_there_is_nothing_else() -> None:
    assert words("Where is the key?") == ["key"]
    assert words("Where is it?") == ["where", "is", "it"]
    assert words("?!") == []


@pytest.mark.parametrize(
    "query", ['"', "' OR 1=1", "a AND NOT (b", "text:x*", "NEAR(a b)", "\0", "🎷"]
)
def test_search_syntax_in_a_question_is_only_text(memory: memkit.Memory, query: str) -> None:
    memory.remember("tea", user_id="ann")
    assert [hit.text for hit in memory.recall(query, user_id="ann")] == ["tea"]


# ---- rank.fuse

SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1))
BM25 = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 50))


@given(SCORES, BM25, st.floats(0, 1))
def test_fused_shares_are_bounded_and_cover_both_arms(
    cosine: dict[str, float], bm25: dict[str, float], dense_share: float
) -> None:
    fused = rank.fuse(cosine, bm25, dense_share=dense_share)
    assert set(fused) == set(cosine) | set(bm25)
    assert all(0 <= sum(shares.values()) <= 1 + 1e-9 for shares in fused.values())


def test_an_arm_without_weight_says_nothing() -> None:
    fused = rank.fuse({"a": 0.9, "b": 0.1}, {"b": 7.0}, dense_share=0.0)
    assert {item: sum(shares.values()) for item, shares in fused.items()} == {"a": 0.0, "b": 1.0}


def test_what_the_dense_arm_did_not_return_counts_as_its_lowest() -> None:
    fused = rank.fuse({"a": 0.8, "b": 0.4}, {"c": 2.0}, dense_share=0.5)
    assert fused["c"] == {"dense": 0.2, "lexical": 0.5}


@pytest.mark.parametrize("dense_share", [-0.1, 1.1])
def test_a_weight_outside_0_and_1_is_refused(dense_share: float) -> None:
    with pytest.raises(ValueError, match="dense_share"):
        rank.fuse({}, {}, dense_share=dense_share)
