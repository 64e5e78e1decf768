"""What every store promises. A new store joins by adding its factory to STORES."""

import re
import unicodedata
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from contract import (
    ANN,
    BOB,
    EMBEDDER,
    NOON,
    SIGNALS,
    Midway,
    Open,
    Signal,
    adding,
    nearest,
    sqlite_file,
    summary,
    texts,
    turn,
    worded,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memkit.errors import TurnConflict
from memkit.protocols import Backend, Window, WriteBatch
from memkit.records import Scope, Turn
from memkit.testing import HashEmbedder
from memkit.text.words import words

# ---- what goes in comes out


anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    str.strip
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=anything)
def test_any_text_comes_back_as_it_was(store: Backend, text: str) -> None:
    key = text.replace("\0", "nul")
    user = Scope(user_id=key)
    store.write(user, adding(turn(key, text, name=key, session_id=key, agent_id=key)))

    (stored,) = store.turns(user, Window(ids=[key]))
    assert (stored.text, stored.name, stored.session_id, stored.agent_id) == (text, key, key, key)
    store.write(user, WriteBatch(forget=[key]))
    assert texts(store, user) == []


@pytest.mark.parametrize("text", ["a\0b", "🎉👩‍👩‍👧", "a\r\nb\n", "語" * 300_000, " padded "])
def test_odd_texts_come_back_as_they_were(store: Backend, text: str) -> None:
    store.write(ANN, adding(turn("1", text)))

    assert texts(store) == nearest(store, text) == [text]
    assert store.check() == []


def test_a_turn_comes_back_with_all_it_was_given(store: Backend) -> None:
    given = turn(
        "1", "hi", role="tool", name="Ann", session_id="s", agent_id="a",
        said_at=datetime(2023, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5.5))),
        metadata={"langchain": {"ids": ["\0", None, 0.5], "half": "\ud800"}},
    )  # fmt: skip
    store.write(ANN, adding(given))

    (stored,) = store.turns(ANN, Window())
    assert {**_fields(stored), "position": None} == _fields(given)
    assert stored.position == 1


def _fields(turn: Turn) -> dict[str, object]:
    return {name: getattr(turn, name) for name in Turn.__slots__}


def test_a_store_has_a_secret_of_its_own_which_stays(reopen: Open, tmp_path: Path) -> None:
    secrets = []
    for _ in range(2):
        store = reopen(EMBEDDER.fingerprint)
        secrets.append(store.secret)
        store.close()
    (tmp_path / "other").mkdir()
    other = sqlite_file(tmp_path / "other")
    store = other(EMBEDDER.fingerprint)
    assert secrets[0] == secrets[1] != store.secret
    assert min(map(len, secrets)) >= 16
    store.close()


def test_writing_returns_how_many_turns_the_user_has(store: Backend) -> None:
    assert store.write(ANN, adding(turn("1", "a"), turn("2", "b"))) == 2
    assert store.write(BOB, adding(turn("1", "a"))) == 1
    assert store.write(ANN, adding(turn("3", "c"))) == 3


def test_the_same_turn_again_is_a_no_op(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    assert store.write(ANN, adding(turn("1", "tea"), turn("2", "milk"))) == 2
    assert (texts(store), nearest(store, "tea")[0]) == (["tea", "milk"], "tea")
    assert store.stats()["chunks"] == 2


def test_the_same_turn_twice_in_a_batch_is_stored_once(store: Backend) -> None:
    assert store.write(ANN, adding(turn("1", "tea"), turn("1", "tea"), turn("2", "milk"))) == 2
    assert nearest(store, "tea") == ["tea", "milk"]
    assert store.check() == []


@pytest.mark.parametrize("first", [[], [turn("1", "tea")]], ids=["in the batch", "stored"])
def test_an_id_that_holds_another_text_conflicts(store: Backend, first: list[Turn]) -> None:
    batch = [turn("0", "new"), turn("1", "tea"), turn("1", "milk")]
    if first:
        store.write(ANN, adding(*first))

    with pytest.raises(TurnConflict, match="'1'"):
        store.write(ANN, adding(*batch))
    assert texts(store) == [one.text for one in first]


def test_users_may_use_the_same_ids(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(BOB, adding(turn("1", "milk")))

    assert (texts(store, ANN), texts(store, BOB)) == (["tea"], ["milk"])


class Fails(dict[str, int]):
    def items(self) -> Any:
        raise Midway


def test_a_change_that_fails_midway_leaves_nothing(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    broken = adding(turn("2", "milk"), summaries=[summary(2, ["2"])], hide=["1/0"])
    broken = WriteBatch(
        **{**{n: getattr(broken, n) for n in WriteBatch.__slots__}, "retrieved": Fails()}
    )
    with pytest.raises(Midway):
        store.write(ANN, broken)
    assert texts(store) == nearest(store, "tea milk") == worded(store, "tea milk") == ["tea"]
    assert not list(store.summaries(ANN, 1))
    assert store.check() == []


@pytest.mark.parametrize("spoiled", ["missing", "too few", "too long", "not a number"])
def test_vectors_that_do_not_fit_are_refused(store: Backend, spoiled: str) -> None:
    good = EMBEDDER.embed(["tea", "milk"])
    vectors = {
        "missing": None,
        "too few": good[:1],
        "too long": HashEmbedder(128).embed(["tea", "milk"]),
        "not a number": good * float("nan"),
    }[spoiled]
    whole = adding(turn("1", "tea"), turn("2", "milk"))

    with pytest.raises(ValueError, match="vectors must"):
        store.write(ANN, WriteBatch(turns=whole.turns, chunks=whole.chunks, vectors=vectors))
    assert texts(store) == []


@SIGNALS
def test_own_writes_are_found_at_once(store: Backend, signal: Signal) -> None:
    for n in range(30):
        store.write(ANN, adding(turn(str(n), f"fact number{n}")))
        assert f"fact number{n}" in signal(store, f"number{n}", k=30)


# ---- search stays in scope


@SIGNALS
@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (ANN, {"tea one", "tea two", "tea three"}),
        (Scope(user_id="ann", session_id="s1"), {"tea one", "tea two"}),
        (Scope(user_id="ann", agent_id="a1"), {"tea one"}),
        (Scope(user_id="ann", agent_id="a2", session_id="s1"), {"tea two"}),
        (Scope(user_id="ann", agent_id="a1", session_id="s2"), set()),
        (Scope(user_id="nobody"), set()),
    ],
)
def test_search_stays_in_its_scope(
    store: Backend, signal: Signal, scope: Scope, found: set[str]
) -> None:
    store.write(BOB, adding(turn("1", "tea of bob", session_id="s1", agent_id="a1")))
    one = turn("1", "tea one", session_id="s1", agent_id="a1")
    two = turn("2", "tea two", session_id="s1", agent_id="a2")
    store.write(ANN, adding(one, two, turn("3", "tea three", session_id="s2")))

    assert set(signal(store, "tea", scope)) == found
    assert {turn.text for turn in store.turns(scope, Window())} == found
    assert len(store.chunks(scope)) == len(found)


@SIGNALS
def test_search_until_leaves_out_what_was_said_later(store: Backend, signal: Signal) -> None:
    for n in range(4):
        said = NOON + timedelta(days=n)
        store.write(ANN, adding(turn(str(n), f"tea on day {n}", said_at=said)))

    until = NOON + timedelta(days=1)
    assert set(signal(store, "tea", until=until)) == {"tea on day 0", "tea on day 1"}
    assert len(signal(store, "tea", until=until.astimezone(timezone(timedelta(hours=9))))) == 2
    assert signal(store, "tea", until=NOON - timedelta(microseconds=1)) == []


@SIGNALS
@pytest.mark.parametrize("k", [0, 1, 2, 99])
def test_k_is_a_limit_not_a_demand(store: Backend, signal: Signal, k: int) -> None:
    store.write(ANN, adding(turn("1", "likes tea"), turn("2", "likes jazz")))

    assert len(signal(store, "likes", k=k)) == min(k, 2)


@SIGNALS
def test_a_users_k_results_are_full_whatever_200_others_said(
    store: Backend, signal: Signal
) -> None:
    alike = [turn(str(n), "we live in Oslo") for n in range(15)]
    for n in range(200):
        store.write(Scope(user_id=f"user{n}"), adding(*alike))
    mine = [turn(str(n), f"I live in Oslo {n}") for n in range(10)]
    store.write(ANN, adding(*mine))

    assert sorted(signal(store, "live Oslo", k=10)) == sorted(one.text for one in mine)


@pytest.mark.parametrize("text", ["tea", "milk"])
def test_chunks_are_best_first_and_name_their_span(store: Backend, text: str) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "tea milk"), turn("3", "milk")))

    with store.snapshot(ANN) as snapshot:
        places, cosines = snapshot.nearest(EMBEDDER.embed([text])[0], 3)
        best = snapshot.chunks(places)[0]
    assert cosines.tolist() == sorted(cosines, reverse=True)
    assert cosines[0] == pytest.approx(1)
    assert (best.turn.text, best.start, best.end) == (text, 0, len(text))
    assert best.chunk_id == f"{best.turn.id}/0"


HOSTILE = [
    'say "hi', '"', '""', "NEAR", "NEAR(tea", "AND", "OR", "NOT", "*", "tea*", "^tea", "text:tea",
    "scope", "-tea", "(tea", "tea)", "{tea}", "a\0b", "'; DROP TABLE turns; --", "語", "🎉", "",
]  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_is_an_operator(store: Backend, word: str) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", f"odd {word} end"), turn("3", "milk")))

    with store.snapshot(ANN) as snapshot:
        found = [match.turn.id for match in snapshot.chunks(snapshot.postings(word))]
    assert "3" not in found
    assert ("2" in found) == any(letter.isalnum() for letter in word)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_words_can_be_searched_for(store: Backend, words: list[str]) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    with store.snapshot(ANN) as snapshot:
        assert all(len(snapshot.postings(word)) <= 1 for word in words)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    "aéI'_1²ßŁđЁάςكُकि्\u0301\u0323\u200d𞤀𞤢東カ가กำี่ -", max_size=12
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS)
def test_every_word_of_a_text_finds_it(store: Backend, text: str) -> None:
    if not text.strip():
        return
    new = turn(uuid.uuid4().hex, text)
    store.write(ANN, adding(new))
    with store.snapshot(ANN) as snapshot:
        for word in (*words(text), *words(unicodedata.normalize("NFD", text))):
            chunks = snapshot.chunks(snapshot.postings(word))
            assert new.id in {chunk.turn.id for chunk in chunks}
        for run in re.findall(r"[東カ가กำี่]+", unicodedata.normalize("NFC", text)):
            chunks = snapshot.chunks(snapshot.postings(run))
            assert new.id in {chunk.turn.id for chunk in chunks}


# ---- hide, show, forget


@SIGNALS
def test_hiding_is_reversible(store: Backend, signal: Signal) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(5))))
    assert len(signal(store, "tea")) == 5

    store.write(ANN, WriteBatch(hide=["1/0", "4/0"]))
    assert set(signal(store, "tea")) == {"tea 0", "tea 2", "tea 3"}
    assert [chunk.id for chunk in store.chunks(ANN) if chunk.hidden] == ["1/0", "4/0"]

    store.write(ANN, adding(turn("5", "tea 5"), show=["1/0", "4/0"]))
    assert len(signal(store, "tea")) == 6
    assert store.check() == []


def test_hiding_does_not_reach_another_user(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(BOB, adding(turn("1", "tea")))

    store.write(BOB, WriteBatch(hide=["1/0"], forget=["1"]))

    assert nearest(store, "tea") == worded(store, "tea") == texts(store) == ["tea"]


def test_forgetting_takes_all_that_was_derived(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(1, 7))))
    for through, sources in [(2, ["1", "2"]), (4, ["S1/2", "3", "4"]), (6, ["S1/4", "5", "6"])]:
        store.write(ANN, WriteBatch(summaries=[summary(through, sources)]))
    assert len(nearest(store, "tea")) == 6

    store.write(ANN, WriteBatch(forget=["3", "5", "unknown"]))

    left = ["tea 1", "tea 2", "tea 4", "tea 6"]
    assert texts(store) == sorted(nearest(store, "tea")) == sorted(worded(store, "tea")) == left
    assert [summary.id for summary in store.summaries(ANN, 1)] == ["S1/2"]
    assert (store.pending(), store.check()) == (["ann"], [])
    assert store.stats()["chunks"] == 4


def test_after_everything_was_forgotten_nothing_of_the_user_is_left(store: Backend) -> None:
    store.write(BOB, adding(turn("1", "milk")))
    store.write(ANN, adding(turn("1", "tea")))
    nearest(store, "tea")

    assert store.write(ANN, WriteBatch(forget=["1"])) == 0
    assert texts(store) == nearest(store, "tea") == worded(store, "tea") == []
    assert store.chunks(ANN) == []
    assert store.stats()["users"] == 1
    assert store.write(ANN, adding(turn("1", "coffee"))) == 1
    assert nearest(store, "tea") == texts(store) == ["coffee"]


def test_positions_of_forgotten_turns_are_not_given_again(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, WriteBatch(forget=["2"]))
    store.write(ANN, adding(turn("3", "jazz")))

    assert [turn.position for turn in store.turns(ANN, Window())] == [1, 3]


# ---- summaries


def test_summaries_come_newest_first_with_their_sources(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), "tea") for n in range(1, 4))))
    store.write(ANN, WriteBatch(summaries=[summary(1, ["1"])]))
    store.write(
        ANN, WriteBatch(summaries=[summary(3, ["S1/1", "3", "2"]), summary(3, ["S1/3"], 2)])
    )

    assert list(store.summaries(ANN, 1)) == [summary(3, ["S1/1", "3", "2"]), summary(1, ["1"])]
    assert list(store.summaries(ANN, 2)) == [summary(3, ["S1/3"], 2)]
    assert not list(store.summaries(BOB, 1))


def test_a_summary_that_comes_late_does_not_become_the_newest(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), "tea") for n in range(1, 4))))
    store.write(ANN, WriteBatch(summaries=[summary(3, ["1", "2", "3"])]))
    store.write(ANN, WriteBatch(summaries=[summary(2, ["1", "2"])]))

    assert next(store.summaries(ANN, 1)).through == 3


def test_a_summary_replaces_the_one_with_its_id(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, WriteBatch(summaries=[summary(2, ["1", "2"])]))
    store.write(ANN, WriteBatch(summaries=[summary(2, ["2"])]))

    assert [summary.sources for summary in store.summaries(ANN, 1)] == [("2",)]


@pytest.mark.parametrize("level", [1, 2])
def test_a_summary_of_what_was_forgotten_meanwhile_is_not_stored(
    store: Backend, level: int
) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "secret")))
    store.write(ANN, WriteBatch(forget=["2"]))

    store.write(ANN, WriteBatch(summaries=[summary(2, ["1", "2"], level)]))
    store.write(ANN, WriteBatch(summaries=[summary(2, ["S1/2"], level)]))

    assert (list(store.summaries(ANN, level)), store.pending()) == ([], ["ann"])


def test_a_failure_is_shown_until_the_next_summary(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(ANN, WriteBatch(failure="the model is out"))
    (fault,) = store.check()
    assert "the model is out" in fault

    store.write(ANN, WriteBatch(summaries=[summary(1, ["1"])]))
    assert store.check() == []
