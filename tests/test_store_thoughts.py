"""What every store promises of thoughts: their queue, their groups, what hangs on what."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from contract import (
    ANN,
    BOB,
    EMBEDDER,
    NOON,
    Open,
    adding,
    concluded,
    reflection,
    thought,
    turn,
    verdict,
)

from memkit.errors import EmbeddingMismatch
from memkit.protocols import Backend, Vectors, WriteBatch
from memkit.records import Scope
from memkit.testing import HashEmbedder

DIMENSION = EMBEDDER.fingerprint.dimension


def next_batch(store: Backend, scope: Scope = ANN) -> list[str]:
    return [str(queued.turn.id) for queued in store.next_batch(scope, 99)]


def texts_of(store: Backend, text: str, k: int = 10) -> list[str]:
    return [recalled.thought.text for recalled in concluded(store, text, k=k)]


# ---- the queue


def test_a_turn_is_queued_from_when_it_is_stored_until_its_thoughts_are_written(
    store: Backend,
) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    assert (next_batch(store), next_batch(store, BOB), store.pending()) == (["1", "2"], [], ["ann"])

    store.write(ANN, reflection(["1"], thought("a", "tea", "1")))
    assert next_batch(store) == ["2"]


def test_of_two_reflections_on_the_same_turns_the_first_is_written(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, reflection(["1"], thought("a", "tea", "1")))
    store.write(ANN, reflection(["1", "2"], thought("b", "milk", "2"), rejected=3))

    assert [thought.text for thought in store.thoughts(ANN)] == ["tea"]
    assert (next_batch(store), store.stats()["rejected_claims"]) == (["2"], 0)


def test_thoughts_of_a_turn_that_was_forgotten_meanwhile_are_not_written(
    store: Backend,
) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, WriteBatch(forget=["1"]))
    store.write(ANN, reflection(["1", "2"], thought("a", "tea", "1")))

    assert (list(store.thoughts(ANN)), next_batch(store)) == ([], ["2"])


def test_a_failed_turn_is_returned_alone_last_and_not_before_it_is_due(store: Backend) -> None:
    later = NOON + timedelta(minutes=1)
    store.write(ANN, adding(turn("1", "a"), turn("2", "b"), turn("3", "c")))
    store.write(ANN, reflection(["1", "2"], failure="no", again_at=later))

    assert (
        [queued.turn.id for queued in store.next_batch(ANN, 9, NOON)] == next_batch(store) == ["3"]
    )
    store.write(ANN, reflection(["3"]))
    assert store.next_batch(ANN, 9, NOON) == []
    (queued,) = store.next_batch(ANN, 9, later)
    assert (queued.turn.id, queued.attempts) == ("1", 1)


def test_a_parked_turn_is_queued_again_only_by_unpark(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "a")))
    store.write(ANN, reflection(["1"], failure="no", again_at=None))
    assert store.next_batch(ANN, 9) == []
    assert [store.stats()[name] for name in ("waiting_turns", "parked_turns")] == [0, 1]

    store.write(BOB, WriteBatch(unpark=True))
    assert store.next_batch(ANN, 9) == []
    store.write(ANN, WriteBatch(unpark=True))
    assert [(queued.turn.id, queued.attempts) for queued in store.next_batch(ANN, 9)] == [("1", 0)]


@pytest.mark.parametrize("spoiled", ["none", "too few", "too long", "not a number"])
def test_thoughts_with_bad_vectors_are_refused_as_a_whole(store: Backend, spoiled: str) -> None:
    vectors = {
        "none": None,
        "too few": EMBEDDER.embed([]),
        "too long": np.zeros((1, DIMENSION + 1), np.float32),
        "not a number": np.full((1, DIMENSION), np.nan, np.float32),
    }[spoiled]
    store.write(ANN, adding(turn("1", "tea")))

    with pytest.raises(ValueError, match="vectors must"):
        store.write(ANN, reflection(["1"], thought("a", "tea", "1"), vectors=vectors))
    assert (next_batch(store), list(store.thoughts(ANN))) == (["1"], [])


# ---- the groups of the hash


def many(n: int, first: int = 0) -> WriteBatch:
    """Thoughts of one turn, with vectors that are anywhere."""
    ids = range(first, first + n)
    made = [thought(f"{i}", f"t{i}", f"{first}", start=i) for i in ids]
    return reflection([f"{first}"], *made, vectors=unit(n, seed=first))


def unit(n: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, DIMENSION))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def nearest(store: Backend, vector: Vectors, k: int) -> list[str]:
    with store.snapshot(ANN) as snapshot:
        return [recalled.thought.id for recalled in snapshot.thoughts(vector, k)]


def found_of(store: Backend, known: Vectors) -> float:
    """Return how many of the five nearest to noisy vectors are found, of those that there are."""
    noisy = known[::40] + 0.5 * unit(len(known[::40]), seed=7)
    hits = 0
    for vector in noisy:
        exact = {f"{n}" for n in np.argsort(-(known @ vector))[:5]}
        hits += len(exact & set(nearest(store, vector / np.linalg.norm(vector), 5)))
    return hits / (5 * len(noisy))


def test_growing_past_doublings_keeps_every_thought_findable(store: Backend) -> None:
    known = np.empty((0, DIMENSION), dtype=np.float32)
    for first in range(0, 1_200, 120):
        store.write(ANN, adding(turn(f"{first}", f"turn {first}")))
        store.write(ANN, many(120, first))
        known = np.concatenate([known, unit(120, seed=first)])
        assert nearest(store, known[-1], 1) == [f"{first + 119}"]

    assert nearest(store, known[0], 1) == ["0"]
    assert found_of(store, known) > 0.85
    assert store.check() == []


def test_reopening_finds_the_same_thoughts_by_the_same_groups(reopen: Open) -> None:
    store = reopen(EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("0", "turn")))
    store.write(ANN, many(400))
    asked = unit(20, seed=9)
    before = [nearest(store, vector, 5) for vector in asked]
    store.close()

    store = reopen(EMBEDDER.fingerprint)
    assert [nearest(store, vector, 5) for vector in asked] == before
    store.write(ANN, adding(turn("400", "turn")))
    store.write(ANN, many(1, 400))
    assert nearest(store, unit(1, seed=400)[0], 1) == ["400"]
    assert store.check() == []
    store.close()


def test_a_forgotten_thought_leaves_its_group_and_the_others_stay(store: Backend) -> None:
    for first in (0, 100):
        store.write(ANN, adding(turn(f"{first}", "turn")))
        store.write(ANN, many(100, first))
    store.write(ANN, WriteBatch(forget=["0"]))

    assert all(int(id) >= 100 for vector in unit(20, seed=3) for id in nearest(store, vector, 9))
    assert [nearest(store, vector, 1) for vector in unit(100, seed=100)[:9]] == [
        [f"{n}"] for n in range(100, 109)
    ]
    assert store.check() == []


def test_all_thoughts_are_found_if_there_are_at_most_k(store: Backend) -> None:
    store.write(ANN, adding(turn("0", "turn")))
    store.write(ANN, many(50))
    assert len(nearest(store, unit(1, seed=5)[0], 50)) == 50


def test_reembed_embeds_thoughts_too(reopen: Open) -> None:
    other = HashEmbedder(32, name="other")
    store = reopen(EMBEDDER.fingerprint)
    for scope in (ANN, BOB):
        store.write(scope, adding(turn("1", "tea"), turn("2", "milk")))
        made = [thought("a", "likes tea", "1"), thought("b", "buys fresh milk", "2")]
        store.write(scope, reflection(["1", "2"], *made))
    seen: list[tuple[int, int]] = []
    assert store.reembed(other, lambda done, total: seen.append((done, total))) == 4
    assert (seen[0], seen[-1]) == ((0, 8), (8, 8))
    assert store.check() == []
    store.close()

    with pytest.raises(EmbeddingMismatch):
        reopen(EMBEDDER.fingerprint)
    store = reopen(other.fingerprint)
    with store.snapshot(BOB) as snapshot:
        assert snapshot.thoughts(other.embed(["fresh milk"])[0], 1)[0].thought.id == "b"
    store.write(ANN, replace(adding(turn("3", "jam")), vectors=other.embed(["jam"])))
    store.write(ANN, reflection(["3"], thought("c", "jam", "3"), vectors=other.embed(["jam"])))
    assert len(list(store.thoughts(ANN))) == 3
    assert store.check() == []
    store.close()


def store_is_free(writer: Backend) -> None:
    writer.write(BOB, WriteBatch(unpark=True))


def test_thoughts_written_during_reembed_are_embedded_too(reopen: Open) -> None:
    store, writer = reopen(EMBEDDER.fingerprint), reopen(EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea")))

    class Slow(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            if writer.stats()["thoughts"] == 0:
                writer.write(ANN, reflection(["1"], thought("a", "likes tea", "1")))
            return super().embed(texts)

    other = Slow(32, name="other")
    store.reembed(other, lambda *_: store_is_free(writer))
    with store.snapshot(ANN) as snapshot:
        assert [
            recalled.thought.id for recalled in snapshot.thoughts(other.embed(["tea"])[0], 1)
        ] == ["a"]
    assert store.check() == []
    with pytest.raises(EmbeddingMismatch):
        concluded(writer, "tea")
    writer.close()
    store.close()


def test_forgetting_needs_no_embedder(reopen: Open) -> None:
    store = reopen(EMBEDDER.fingerprint)
    store.write(ANN, adding(turn("1", "tea")))
    store.write(ANN, reflection(["1"], thought("a", "tea", "1")))
    store.close()

    store = reopen(None)
    store.write(ANN, WriteBatch(forget=["1"]))
    assert (list(store.thoughts(ANN)), store.stats()["turns"]) == ([], 0)
    store.close()


# ---- what hangs on what


def test_a_recalled_thought_has_its_rows_and_what_holds_in_its_place(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "Oslo"), turn("2", "Rome")))
    oslo, rome = thought("a", "lives in Oslo", "1"), thought("b", "lives in Rome", "2")
    store.write(ANN, reflection(["1", "2"], oslo, rome, verdicts=[verdict("a", "b", "closes")]))

    by_id = {recalled.thought.id: recalled for recalled in concluded(store, "lives in Oslo")}
    old, new = by_id["a"], by_id["b"]
    assert old.current is not None
    assert (old.current.id, old.rows.tolist(), old.current_rows.tolist()) == ("b", [0], [1])
    assert new.current is new.thought
    assert texts_of(store, "lives in Oslo", k=1) == ["lives in Oslo"]


def test_a_doubt_names_the_later_turn_and_goes_with_it(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "Oslo"), turn("2", "may move")))
    made = thought("a", "lives in Oslo", "1"), thought("b", "may move", "2")
    store.write(ANN, reflection(["1", "2"], *made, verdicts=[verdict("a", "b", "doubts")]))

    assert [(t.text, t.doubt) for t in store.thoughts(ANN)] == [
        ("lives in Oslo", ("2",)), ("may move", ()),
    ]  # fmt: skip
    assert [(old.id, new.id) for old, new in store.conflicts(ANN)] == [("a", "b")]

    store.write(ANN, WriteBatch(forget=["2"]))
    assert [t.later for t in store.thoughts(ANN)] == [()]
    assert (store.conflicts(ANN), store.check()) == ([], [])


def test_a_denial_is_stored_and_never_listed(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "Oslo"), turn("2", "moved away")))
    made = thought("a", "lives in Oslo", "1"), thought("b", "moved away", "2", kind="denial")
    store.write(ANN, reflection(["1", "2"], *made, verdicts=[verdict("a", "b", "closes")]))

    assert list(store.thoughts(ANN)) == list(store.thoughts(ANN, NOON)) == []
    assert [(t.id, t.kind) for t in store.history(ANN, "a")] == [("a", "fact"), ("b", "denial")]
    store.write(ANN, WriteBatch(forget=["2"]))
    assert [t.id for t in store.thoughts(ANN)] == ["a"]


def test_verdicts_in_a_circle_close_no_thought_by_itself(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "x"), turn("2", "y")))
    made = thought("a", "red lamp", "1"), thought("b", "old boat", "2")
    circle = [verdict("a", "b", "closes"), verdict("b", "a", "closes")]
    store.write(ANN, reflection(["1", "2"], *made, verdicts=circle))

    assert [t.id for t in store.thoughts(ANN)] == ["b"]
    assert {recalled.current.id for recalled in concluded(store, "lamp") if recalled.current} == {
        "b"
    }


def test_only_thoughts_of_these_turns_of_this_user_are_counted(store: Backend) -> None:
    for scope in (ANN, BOB):
        store.write(scope, adding(turn("1", "tea"), turn("2", "milk")))
        made = [
            thought("a", "tea", "1"),
            thought("b", "milk", "2"),
            thought("c", "jam", "2", start=2),
        ]
        store.write(scope, reflection(["1", "2"], *made))

    assert [store.count_derived(ANN, ids) for ids in (["1"], ["2"], ["1", "2"], ["3"], [])] == [
        1, 2, 3, 0, 0,
    ]  # fmt: skip
    assert store.count_derived(Scope(user_id="eve"), ["1"]) == 0


def test_a_verdict_on_a_thought_that_was_closed_meanwhile_changes_nothing(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "x"), turn("2", "y"), turn("3", "z")))
    far = ["red lamp", "old boat", "warm bread"]
    made = [thought(id, text, n) for id, text, n in zip("abc", far, "123", strict=True)]
    store.write(ANN, reflection(["1", "2", "3"], *made))
    store.write(
        ANN, WriteBatch(resolved_conflicts=[("a", "b", True), ("b", "c", True), ("a", "c", True)])
    )
    store.write(ANN, WriteBatch(resolved_conflicts=[("c", "gone", True), ("a", "b", False)]))

    assert [thought.id for thought in store.thoughts(ANN)] == ["c"]
    chain = [(thought.id, thought.closed_by) for thought in store.history(ANN, "a")]
    assert chain == [("a", "b"), ("b", "c"), ("c", None)]
    assert store.check() == []
