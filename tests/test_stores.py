"""What every store promises. A new store joins by adding its factory to STORES."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memkit.errors import EmbeddingMismatch, StoreClosed, TurnConflict
from memkit.protocols import Backend, Changes, Fingerprint, Query, Window
from memkit.records import Chunk, Scope, Summary, Turn
from memkit.testing import HashEmbedder
from stores.sqlite import SQLiteStore

Open = Callable[[Fingerprint | None], Backend]

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANN, BOB = Scope(user_id="ann"), Scope(user_id="bob")
EMBEDDER = HashEmbedder()


def sqlite_file(folder: Path) -> Open:
    return lambda fingerprint: SQLiteStore(str(folder / "ann.db"), fingerprint)


def sqlite_in_ram(_: Path) -> Open:
    return lambda fingerprint: SQLiteStore(":memory:", fingerprint)


ON_DISK: list[Callable[[Path], Open]] = [sqlite_file]
STORES: list[Callable[[Path], Open]] = [*ON_DISK, sqlite_in_ram]

every_store = pytest.fixture(params=STORES, ids=lambda make: make.__name__)


@every_store
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend = request.param(tmp_path)(EMBEDDER.fingerprint)
    yield made
    made.close()


@pytest.fixture(params=ON_DISK, ids=lambda make: make.__name__)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    made: Open = request.param(tmp_path)
    return made


def turn(id: str, text: str, **rest: Any) -> Turn:
    return Turn(**{"id": id, "text": text, "said_at": NOON, "stored_at": NOON, **rest})


def adding(*turns: Turn, **rest: Any) -> Changes:
    """One chunk per turn, with the turn's own text."""
    chunks = [
        Chunk(
            id=f"{one.id}/0", turn_id=str(one.id), start=0, end=len(one.text), text=one.text,
            said_at=NOON,
        )
        for one in turns
    ]  # fmt: skip
    vectors = EMBEDDER.embed([one.text for one in turns])
    return Changes(turns=turns, chunks=chunks, vectors=vectors, **rest)


def texts(store: Backend, scope: Scope = ANN, **window: Any) -> list[str]:
    return [one.text for one in store.turns(scope, Window(**window))]


def near(store: Backend, text: str, scope: Scope = ANN, k: int = 10, **rest: Any) -> list[str]:
    query = Query(k=k, vector=EMBEDDER.embed([text])[0], **rest)
    return [match.turn.text for match in store.search(scope, query)]


def worded(store: Backend, text: str, scope: Scope = ANN, k: int = 10, **rest: Any) -> list[str]:
    query = Query(k=k, words=text.split(), **rest)
    return [match.turn.text for match in store.search(scope, query)]


ARMS = pytest.mark.parametrize("arm", [near, worded])
Arm = Callable[..., list[str]]


def summary(through: int, sources: Sequence[str], level: Any = 1) -> Summary:
    return Summary(
        id=f"S{level}/{through}", text=f"the first {through}", level=level, through=through,
        tokens=3, sources=tuple(sources), created_at=NOON,
    )  # fmt: skip


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
    store.write(user, Changes(forget=[key]))
    assert texts(store, user) == []


@pytest.mark.parametrize("text", ["a\0b", "🎉👩‍👩‍👧", "a\r\nb\n", "語" * 300_000, " padded "])
def test_odd_texts_come_back_as_they_were(store: Backend, text: str) -> None:
    store.write(ANN, adding(turn("1", text)))

    assert texts(store) == near(store, text) == [text]
    assert store.check() == []


def test_a_turn_comes_back_with_all_it_was_given(store: Backend) -> None:
    given = turn(
        "1", "hi", role="tool", name="Ann", session_id="s", agent_id="a",
        said_at=datetime(2023, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5.5))),
    )  # fmt: skip
    store.write(ANN, adding(given))

    (stored,) = store.turns(ANN, Window())
    assert {**_fields(stored), "position": None} == _fields(given)
    assert stored.position == 1


def _fields(turn: Turn) -> dict[str, object]:
    return {name: getattr(turn, name) for name in Turn.__slots__}


def test_writing_returns_how_many_turns_the_user_has(store: Backend) -> None:
    assert store.write(ANN, adding(turn("1", "a"), turn("2", "b"))) == 2
    assert store.write(BOB, adding(turn("1", "a"))) == 1
    assert store.write(ANN, adding(turn("3", "c"))) == 3


def test_the_same_turn_again_is_a_no_op(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    assert store.write(ANN, adding(turn("1", "tea"), turn("2", "milk"))) == 2
    assert (texts(store), near(store, "tea")[0]) == (["tea", "milk"], "tea")
    assert store.stats()["chunks"] == 2


def test_the_same_turn_twice_in_a_batch_is_stored_once(store: Backend) -> None:
    assert store.write(ANN, adding(turn("1", "tea"), turn("1", "tea"), turn("2", "milk"))) == 2
    assert near(store, "tea") == ["tea", "milk"]
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


class Midway(Exception):
    pass


class Fails(dict[str, int]):
    def items(self) -> Any:
        raise Midway


def test_a_change_that_fails_midway_leaves_nothing(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    broken = adding(turn("2", "milk"), summaries=[summary(2, ["2"])], hide=["1/0"])
    broken = Changes(**{**{n: getattr(broken, n) for n in Changes.__slots__}, "retrieved": Fails()})
    with pytest.raises(Midway):
        store.write(ANN, broken)
    assert texts(store) == near(store, "tea milk") == worded(store, "tea milk") == ["tea"]
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
        store.write(ANN, Changes(turns=whole.turns, chunks=whole.chunks, vectors=vectors))
    assert texts(store) == []


@ARMS
def test_own_writes_are_found_at_once(store: Backend, arm: Arm) -> None:
    for n in range(30):
        store.write(ANN, adding(turn(str(n), f"fact number{n}")))
        assert f"fact number{n}" in arm(store, f"number{n}", k=30)


# ---- search stays in scope


@ARMS
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
def test_search_stays_in_its_scope(store: Backend, arm: Arm, scope: Scope, found: set[str]) -> None:
    store.write(BOB, adding(turn("1", "tea of bob", session_id="s1", agent_id="a1")))
    one = turn("1", "tea one", session_id="s1", agent_id="a1")
    two = turn("2", "tea two", session_id="s1", agent_id="a2")
    store.write(ANN, adding(one, two, turn("3", "tea three", session_id="s2")))

    assert set(arm(store, "tea", scope)) == found
    assert {one.text for one in store.turns(scope, Window())} == found
    assert len(store.chunks(scope)) == len(found)


@ARMS
def test_search_until_leaves_out_what_was_said_later(store: Backend, arm: Arm) -> None:
    for n in range(4):
        said = NOON + timedelta(days=n)
        store.write(ANN, adding(turn(str(n), f"tea on day {n}", said_at=said)))

    until = NOON + timedelta(days=1)
    assert set(arm(store, "tea", until=until)) == {"tea on day 0", "tea on day 1"}
    assert len(arm(store, "tea", until=until.astimezone(timezone(timedelta(hours=9))))) == 2
    assert arm(store, "tea", until=NOON - timedelta(microseconds=1)) == []


@ARMS
@pytest.mark.parametrize("k", [0, 1, 2, 99])
def test_k_is_a_limit_not_a_demand(store: Backend, arm: Arm, k: int) -> None:
    store.write(ANN, adding(turn("1", "likes tea"), turn("2", "likes jazz")))

    assert len(arm(store, "likes", k=k)) == min(k, 2)


@ARMS
def test_a_users_k_results_are_full_whatever_200_others_said(store: Backend, arm: Arm) -> None:
    alike = [turn(str(n), "we live in Oslo") for n in range(15)]
    for n in range(200):
        store.write(Scope(user_id=f"user{n}"), adding(*alike))
    mine = [turn(str(n), f"I live in Oslo {n}") for n in range(10)]
    store.write(ANN, adding(*mine))

    assert sorted(arm(store, "live Oslo", k=10)) == sorted(one.text for one in mine)


@pytest.mark.parametrize("text", ["tea", "milk"])
def test_matches_are_best_first_and_name_their_place(store: Backend, text: str) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "tea milk"), turn("3", "milk")))

    found = store.search(ANN, Query(k=3, vector=EMBEDDER.embed([text])[0]))
    assert [match.score for match in found] == sorted((m.score for m in found), reverse=True)
    assert found[0].turn.text == text
    assert found[0].score == pytest.approx(1)
    assert (found[0].start, found[0].end, found[0].searched) == (0, len(text), text)


HOSTILE = [
    'say "hi', '"', '""', "NEAR", "NEAR(tea", "AND", "OR", "NOT", "*", "tea*", "^tea", "text:tea",
    "scope", "-tea", "(tea", "tea)", "{tea}", "a\0b", "'; DROP TABLE turns; --", "語", "🎉", "",
]  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_is_an_operator(store: Backend, word: str) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", f"odd {word} end"), turn("3", "milk")))

    found = store.search(ANN, Query(k=10, words=[word, "odd"]))
    assert found[0].turn.id == "2"
    assert "3" not in {match.turn.id for match in found}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_words_can_be_searched_for(store: Backend, words: list[str]) -> None:
    store.write(ANN, adding(turn("1", "tea")))

    assert len(store.search(ANN, Query(k=5, words=words))) <= 1


# ---- hide, show, forget


@ARMS
def test_hiding_is_reversible(store: Backend, arm: Arm) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(5))))
    assert len(arm(store, "tea")) == 5

    store.write(ANN, Changes(hide=["1/0", "4/0"]))
    assert set(arm(store, "tea")) == {"tea 0", "tea 2", "tea 3"}
    assert [chunk.id for chunk in store.chunks(ANN) if chunk.hidden] == ["1/0", "4/0"]

    store.write(ANN, adding(turn("5", "tea 5"), show=["1/0", "4/0"]))
    assert len(arm(store, "tea")) == 6
    assert store.check() == []


def test_hiding_does_not_reach_another_user(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(BOB, adding(turn("1", "tea")))

    store.write(BOB, Changes(hide=["1/0"], forget=["1"]))

    assert near(store, "tea") == worded(store, "tea") == texts(store) == ["tea"]


def test_forgetting_takes_all_that_was_derived(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(1, 7))))
    for through, sources in [(2, ["1", "2"]), (4, ["S1/2", "3", "4"]), (6, ["S1/4", "5", "6"])]:
        store.write(ANN, Changes(summaries=[summary(through, sources)]))
    assert len(near(store, "tea")) == 6

    store.write(ANN, Changes(forget=["3", "5", "unknown"]))

    left = ["tea 1", "tea 2", "tea 4", "tea 6"]
    assert texts(store) == sorted(near(store, "tea")) == sorted(worded(store, "tea")) == left
    assert [one.id for one in store.summaries(ANN, 1)] == ["S1/2"]
    assert (store.pending(), store.check()) == (["ann"], [])
    assert store.stats()["chunks"] == 4


def test_after_everything_was_forgotten_nothing_of_the_user_is_left(store: Backend) -> None:
    store.write(BOB, adding(turn("1", "milk")))
    store.write(ANN, adding(turn("1", "tea")))
    near(store, "tea")

    assert store.write(ANN, Changes(forget=["1"])) == 0
    assert texts(store) == near(store, "tea") == worded(store, "tea") == []
    assert store.chunks(ANN) == []
    assert store.stats()["users"] == 1
    assert store.write(ANN, adding(turn("1", "coffee"))) == 1
    assert near(store, "tea") == texts(store) == ["coffee"]


def test_positions_of_forgotten_turns_are_not_given_again(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, Changes(forget=["2"]))
    store.write(ANN, adding(turn("3", "jazz")))

    assert [one.position for one in store.turns(ANN, Window())] == [1, 3]


# ---- summaries


def test_summaries_come_newest_first_with_their_sources(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), "tea") for n in range(1, 4))))
    store.write(ANN, Changes(summaries=[summary(1, ["1"])]))
    store.write(ANN, Changes(summaries=[summary(3, ["S1/1", "3", "2"]), summary(3, ["S1/3"], 2)]))

    assert list(store.summaries(ANN, 1)) == [summary(3, ["S1/1", "3", "2"]), summary(1, ["1"])]
    assert list(store.summaries(ANN, 2)) == [summary(3, ["S1/3"], 2)]
    assert not list(store.summaries(BOB, 1))
    assert store.pending() == []


def test_a_summary_that_comes_late_does_not_become_the_newest(store: Backend) -> None:
    store.write(ANN, adding(*(turn(str(n), "tea") for n in range(1, 4))))
    store.write(ANN, Changes(summaries=[summary(3, ["1", "2", "3"])]))
    store.write(ANN, Changes(summaries=[summary(2, ["1", "2"])]))

    assert next(store.summaries(ANN, 1)).through == 3


def test_the_first_of_two_summaries_of_one_version_stays(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, Changes(summaries=[summary(2, ["1", "2"])]))
    store.write(ANN, Changes(summaries=[summary(2, ["2"])]))

    assert [one.sources for one in store.summaries(ANN, 1)] == [("1", "2")]


@pytest.mark.parametrize("level", [1, 2])
def test_a_summary_of_what_was_forgotten_meanwhile_is_not_stored(
    store: Backend, level: int
) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "secret")))
    store.write(ANN, Changes(forget=["2"]))

    store.write(ANN, Changes(summaries=[summary(2, ["1", "2"], level)]))
    store.write(ANN, Changes(summaries=[summary(2, ["S1/2"], level)]))

    assert (list(store.summaries(ANN, level)), store.pending()) == ([], ["ann"])


def test_a_failure_is_shown_until_the_next_summary(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.write(ANN, Changes(failure="the model is out"))
    (fault,) = store.check()
    assert "the model is out" in fault

    store.write(ANN, Changes(summaries=[summary(1, ["1"])]))
    assert store.check() == []


# ---- reading turns


def test_turns_come_in_the_order_they_were_said(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "second", said_at=NOON)))
    store.write(ANN, adding(turn("2", "first", said_at=NOON - timedelta(days=1))))
    store.write(ANN, adding(turn("3", "third", said_at=NOON)))

    assert texts(store) == ["first", "second", "third"]
    assert texts(store, last=2) == ["second", "third"]
    assert texts(store, ids=["3", "2", "4"]) == ["first", "third"]
    assert texts(store, ids=["3", "2"], last=1) == ["third"]


def test_turns_after_come_in_the_order_they_were_stored(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "a"), turn("2", "b", said_at=NOON - timedelta(days=1))))
    store.write(ANN, adding(turn("3", "c", said_at=NOON - timedelta(days=2))))

    assert texts(store, after=0) == ["a", "b", "c"]
    assert (texts(store, after=1), texts(store, after=3)) == (["b", "c"], [])


def test_turns_between_two_times_are_those_said_then(store: Backend) -> None:
    days = [NOON + timedelta(days=n) for n in range(5)]
    said = [turn(f"{n}", f"day {n}", said_at=day, session_id="s") for n, day in enumerate(days)]
    store.write(ANN, adding(*said, turn("9", "other", said_at=days[2])))

    session = Scope(user_id="ann", session_id="s")
    window: dict[str, Any] = {"since": days[1], "until": days[3]}
    assert texts(store, session, **window) == ["day 1", "day 2", "day 3"]
    assert len(texts(store, **window)) == 4


def test_times_sort_across_timezones_and_centuries(store: Backend) -> None:
    east, west = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))
    said = {
        "ancient": datetime(1, 1, 2, tzinfo=UTC),
        "1969": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "epoch": datetime(1970, 1, 1, 14, tzinfo=east),
        "early": datetime(2024, 5, 2, 1, tzinfo=east),  # 11 h on 1 May in UTC
        "late": datetime(2024, 5, 1, 0, tzinfo=west),  # 12 h
        "far": datetime(9999, 12, 30, tzinfo=UTC),
    }
    for text, time in reversed(said.items()):
        store.write(ANN, adding(turn(text, text, said_at=time)))

    assert texts(store) == list(said)
    assert texts(store, since=said["epoch"], until=said["late"]) == ["epoch", "early", "late"]


@pytest.mark.parametrize("window", [{}, {"after": 0}, {"since": NOON}, {"until": NOON}])
def test_long_histories_are_read_lazily_while_others_write(
    store: Backend, window: dict[str, Any]
) -> None:
    store.write(ANN, adding(*(turn(str(n), f"turn {n}") for n in range(1300))))

    reading = store.turns(ANN, Window(**window))
    first = next(reading)
    store.write(ANN, adding(turn("early", "early", said_at=NOON - timedelta(days=1))))
    store.write(ANN, Changes(forget=["700"]))
    read = [first.text, *(one.text for one in reading)]

    kept = [text for text in read if text != "early"]
    assert kept == [f"turn {n}" for n in range(1300) if n != 700]


# ---- upkeep


def test_pending_names_the_users_whose_summary_is_behind(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(BOB, adding(turn("1", "tea")))
    store.write(BOB, Changes(summaries=[summary(1, ["1"])]))
    assert store.pending() == ["ann"]

    store.write(ANN, Changes(summaries=[summary(2, ["1", "2"])]))
    assert store.pending() == []


def test_stats_count_one_user_or_all(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, Changes(hide=["1/0"], summaries=[summary(2, ["1", "2"])]))
    store.write(BOB, adding(turn("1", "tea")))

    whole = {"users": 2, "turns": 3, "chunks": 3, "hidden_chunks": 1, "summaries": 1}
    assert whole.items() <= store.stats().items()
    assert {"users": 1, "turns": 1, "hidden_chunks": 0}.items() <= store.stats("bob").items()
    assert store.stats("nobody")["turns"] == 0


def test_what_was_retrieved_is_noted_at_its_newest(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    for at in (7, 3):
        store.write(ANN, Changes(retrieved={"1/0": at, "gone/0": at}))

    assert [chunk.retrieved for chunk in store.chunks(ANN)] == [7, None]
    assert [chunk.position for chunk in store.chunks(ANN)] == [1, 2]


USES: dict[str, Callable[[Backend], object]] = {
    "write": lambda store: store.write(ANN, adding(turn("9", "x"))),
    "turns": lambda store: list(store.turns(ANN, Window())),
    "chunks": lambda store: store.chunks(ANN),
    "summaries": lambda store: list(store.summaries(ANN, 1)),
    "search near": lambda store: near(store, "tea"),
    "search words": lambda store: worded(store, "tea"),
    "stats": lambda store: store.stats(),
    "check": lambda store: store.check(),
    "pending": lambda store: store.pending(),
    "reembed": lambda store: store.reembed(EMBEDDER, lambda *_: None),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_says_so(store: Backend, use: str) -> None:
    store.write(ANN, adding(turn("1", "tea")))
    store.close()
    store.close()

    with pytest.raises(StoreClosed, match=r"memkit\.open"):
        USES[use](store)


# ---- stores that last


def test_a_memory_lasts(reopen: Open) -> None:
    first = reopen(EMBEDDER.fingerprint)
    first.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    before = [list(first.turns(ANN, Window())), near(first, "tea"), first.chunks(ANN)]
    first.close()

    again = reopen(EMBEDDER.fingerprint)
    assert [list(again.turns(ANN, Window())), near(again, "tea"), again.chunks(ANN)] == before
    assert again.check() == []
    again.close()


def test_another_embedder_is_refused_with_the_way_out(reopen: Open) -> None:
    reopen(EMBEDDER.fingerprint).close()

    with pytest.raises(EmbeddingMismatch, match="memkit reembed"):
        reopen(HashEmbedder(32).fingerprint)


def test_reembedding_switches_to_the_new_vectors(reopen: Open) -> None:
    old, new = reopen(EMBEDDER.fingerprint), HashEmbedder(32, name="new")
    old.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(300))))
    near(old, "tea")
    seen: list[tuple[int, int]] = []
    assert old.reembed(new, lambda done, total: seen.append((done, total))) == 300
    old.close()

    store = reopen(new.fingerprint)
    (match,) = store.search(ANN, Query(k=1, vector=new.embed(["tea 7"])[0]))
    assert match.turn.text == "tea 7"
    assert match.score == pytest.approx(1)
    assert (seen[0], seen[-1], store.check()) == ((0, 300), (300, 300), [])
    store.close()


class Interrupted(HashEmbedder):
    """Stops at its second batch."""

    def embed(self, texts: Sequence[str]) -> Any:
        if self.calls == 1:
            raise Midway
        return super().embed(texts)


def test_reembedding_goes_on_where_it_stopped_and_old_vectors_serve_until_then(
    reopen: Open,
) -> None:
    store, new = reopen(EMBEDDER.fingerprint), HashEmbedder(32, name="new")
    store.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(300))))
    with pytest.raises(Midway):
        store.reembed(Interrupted(32, name="new"), lambda *_: None)

    assert near(store, "tea 7", k=1) == ["tea 7"]
    store.write(ANN, adding(turn("late", "late tea")))
    seen: list[int] = []
    assert store.reembed(new, lambda done, _: seen.append(done)) == 301
    assert (seen[0], store.check()) == (128, [])
    store.close()


def test_reembedding_an_empty_memory_is_fine(reopen: Open) -> None:
    store, new = reopen(None), HashEmbedder(32, name="new")
    assert store.reembed(new, lambda *_: None) == 0
    store.close()
    reopen(new.fingerprint).close()


def test_a_store_that_was_reembedded_by_another_process_says_so(reopen: Open) -> None:
    mine, theirs = reopen(EMBEDDER.fingerprint), reopen(None)
    mine.write(ANN, adding(turn("1", "tea")))
    near(mine, "tea")
    theirs.reembed(HashEmbedder(32), lambda *_: None)
    theirs.close()

    for use in ("search near", "write"):
        with pytest.raises(EmbeddingMismatch):
            USES[use](mine)
    assert (texts(mine), worded(mine, "tea")) == (["tea"], ["tea"])
    mine.close()
