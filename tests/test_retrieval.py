"""Every system ranks and packs by the same rules, and vectors are embedded once."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import SAID

from evals.data.haystack import Query
from evals.systems import baselines
from evals.systems.cache import CachedEmbedder
from evals.systems.memkit import Memkit
from evals.systems.protocol import System
from evals.systems.registry import SYSTEMS
from memkit import Turn
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def turns(*texts: str, **rest: Any) -> list[Turn]:
    return [
        Turn(text=text, id=f"t{n}", said_at=NOON + timedelta(days=n), session_id=f"s{n}", **rest)
        for n, text in enumerate(texts)
    ]


def asked(text: str, *, asked_at: datetime | None = None) -> Query:
    return Query(text=text, asked_at=asked_at)


@pytest.fixture(params=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    made = SYSTEMS[request.param](HashEmbedder())
    made.remember(turns(*SAID, *(f"Small talk number {n}." for n in range(20))))
    yield made
    made.close()


def test_a_system_returns_at_most_k_turns_best_first(system: System) -> None:
    found = system.ask(asked("the vacuum cleaner in small talk"), 3)

    assert len(found) == 3
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert len({hit.turn_id for hit in found}) == 3


def test_no_system_finds_or_packs_what_was_said_after_the_question(system: System) -> None:
    late = asked("tulips and small talk", asked_at=NOON + timedelta(days=2))

    found = {hit.turn_id for hit in system.ask(late, 99)} | set(system.pack(late, 900).turns)

    assert found <= {"t0", "t1", "t2"}
    assert "t2" in found


def test_a_larger_budget_holds_more_and_a_tiny_one_nothing(system: System) -> None:
    question = asked("the vacuum and small talk")

    sizes = [len(set(system.pack(question, budget).turns)) for budget in (1, 120, 900)]

    assert sizes[0] == 0 < sizes[1] < sizes[2]


def test_every_system_but_the_last_turns_finds_a_turn_by_its_words(
    system: System, request: pytest.FixtureRequest
) -> None:
    best = system.ask(asked("Biscuit the greyhound fears the vacuum cleaner"), 1)[0]

    assert best.turn_id == ("t23" if "last turns" in request.node.name else "t0")


def test_packing_passes_over_a_turn_that_is_too_long() -> None:
    made = baselines.RankingSystem(baselines.NewestScorer(), lambda text: len(text.split()))
    made.remember(turns("one two", "a " * 50, "three"))

    packed = made.pack(asked("x"), 11)  # "[1 May 2024] User: one two" has six words

    assert packed.turns == ("t0", "t2")
    assert packed.text == "[1 May 2024] User: one two\n[3 May 2024] User: three"


def test_dense_search_takes_a_turn_by_its_nearest_piece() -> None:
    long = "filler words that say nothing at all " * 3 + "the vacuum cleaner"
    made = baselines.RankingSystem(baselines.DenseScorer(HashEmbedder(reads=8)), len)
    made.remember(turns("vacuum something else here", long, "more filler words"))

    assert made.ask(asked("the vacuum cleaner"), 1)[0].turn_id == "t1"


def test_bm25_finds_other_forms_of_a_word_the_speaker_and_the_date() -> None:
    made = baselines.RankingSystem(baselines.Bm25Scorer(), len)
    zoe = Turn(text="Me too.", id="z", name="Zoe", said_at=datetime(2024, 12, 1, tzinfo=UTC))
    made.remember([*turns("I was running late."), zoe])

    for words, expected in (("runs", "t0"), ("Zoe", "z"), ("December", "z")):
        assert [hit.turn_id for hit in made.ask(asked(words), 9)] == [expected]
    assert made.ask(asked("the"), 9) == made.ask(asked("zebra"), 9) == []


class Given:
    """A scorer of prepared scores."""

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores)

    def index(self, turns: Sequence[Turn]) -> None:
        pass

    def scores(self, question: str) -> Any:  # noqa: ARG002
        return self._scores

    def size(self) -> int:
        return 0


def test_fusion_adds_reciprocal_ranks_of_what_was_found() -> None:
    fused = baselines.FusionScorer([Given(0.9, 0.5, 0.1), Given(-np.inf, 2.0, 7.0)])

    assert fused.scores("x") == pytest.approx([1 / 61, 1 / 62 + 1 / 62, 1 / 63 + 1 / 61])


# ---- vectors on disk


def test_vectors_are_embedded_once_whoever_asks(tmp_path: Path) -> None:
    inner = HashEmbedder()
    texts = ["one", "two two", "one", "three"]
    with CachedEmbedder(inner, tmp_path) as first:
        vectors = first.embed(texts)
        assert first.embedded == 3
    with CachedEmbedder(inner, tmp_path) as second:
        again = second.embed([*texts, "four"])
        assert second.embedded == 1

    assert np.array_equal(vectors, inner.embed(texts))
    assert np.array_equal(again, inner.embed([*texts, "four"]))


def test_another_embedder_does_not_get_these_vectors(tmp_path: Path) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as first:
        first.embed(["one"])
    with CachedEmbedder(HashEmbedder(name="other"), tmp_path) as second:
        second.embed(["one"])
        assert second.embedded == 1


def test_a_vector_cut_short_is_embedded_anew(tmp_path: Path) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as first:
        whole = first.embed(["one"])
        first._db.execute("update vectors set vector = x'00'")
        first._db.commit()
    with CachedEmbedder(HashEmbedder(), tmp_path) as second:
        assert np.array_equal(second.embed(["one"]), whole)
        assert second.embedded == 1


def test_preparing_tells_how_far_it_is_and_embeds_in_batches(tmp_path: Path) -> None:
    inner = HashEmbedder()
    told: list[tuple[int, int]] = []
    with CachedEmbedder(inner, tmp_path) as cached:
        cached.prepare((f"text {n % 700}" for n in range(900)), lambda *at: told.append(at))
        cached.embed(["text 3"])

    assert told == [(0, 700), (512, 700), (700, 700)]
    assert inner.calls == 2


@pytest.mark.slow
def test_memkits_own_threshold_is_a_rule_of_its_own(minilm: Any) -> None:
    made = Memkit(minilm)
    made.remember(turns(*SAID))
    refused = [made.refuses(asked(text)) for text in (SAID[0], "quantum chromodynamics")]
    made.close()

    assert refused == [False, True]
