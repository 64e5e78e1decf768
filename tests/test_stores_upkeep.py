"""What every store promises of reading in order, upkeep, and lasting."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from contract import (
    ANN,
    BOB,
    EMBEDDER,
    NOON,
    Midway,
    Open,
    adding,
    nearest,
    reflection,
    summary,
    texts,
    thought,
    told,
    turn,
    worded,
)
from hypothesis import given
from hypothesis import strategies as st

from memkit.errors import EmbeddingMismatch, StoreClosed
from memkit.protocols import Activity, Backend, ReflectionResult, Window, WriteBatch
from memkit.records import Scope
from memkit.testing import HashEmbedder

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

    snapshot = store.turns(ANN, Window(**window))
    first = next(snapshot)
    store.write(ANN, adding(turn("early", "early", said_at=NOON - timedelta(days=1))))
    store.write(ANN, WriteBatch(forget=["700"]))
    read = [first.text, *(one.text for one in snapshot)]

    kept = [text for text in read if text != "early"]
    assert kept == [f"turn {n}" for n in range(1300) if n != 700]


# ---- users, sessions, ids


def test_users_come_with_their_turns_the_one_who_spoke_last_first(store: Backend) -> None:
    assert store.users() == []
    later = NOON.astimezone(timezone(timedelta(hours=9))) + timedelta(days=1)
    store.write(BOB, adding(turn("1", "tea", said_at=later)))
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))

    assert store.users() == [
        Activity(id="bob", turns=1, last_said_at=later),
        Activity(id="ann", turns=2, last_said_at=NOON),
    ]


def test_sessions_are_those_of_the_scope_the_latest_first(store: Backend) -> None:
    days = [NOON + timedelta(days=n) for n in range(4)]
    store.write(BOB, adding(turn("1", "of bob", session_id="bobs")))
    store.write(ANN, adding(
        turn("1", "a", session_id="s1", said_at=days[0]),
        turn("2", "b", session_id="s2", said_at=days[3], agent_id="a1"),
        turn("3", "c", session_id="s1", said_at=days[1]),
        turn("4", "d", said_at=days[2]),
    ))  # fmt: skip

    assert [(session.id, session.turns) for session in store.sessions(ANN)] == [
        ("s2", 1), (None, 1), ("s1", 2)
    ]  # fmt: skip
    assert [session.last_said_at for session in store.sessions(ANN)] == [days[3], days[2], days[1]]
    (of_agent,) = store.sessions(Scope(user_id="ann", agent_id="a1"))
    assert of_agent.id == "s2"
    assert store.sessions(Scope(user_id="nobody")) == []


keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(ids=st.sets(keys, max_size=8), prefix=keys, limit=st.integers(0, 9), data=st.data())
def test_ids_match_by_their_beginning_and_by_nothing_else(
    store: Backend, ids: set[str], prefix: str, limit: int, data: st.DataObject
) -> None:
    user = Scope(user_id="-".join(sorted(ids)) + prefix + "-")
    if ids and data.draw(st.booleans()):
        longest = max(ids, key=len)
        prefix = longest[: data.draw(st.integers(1, len(longest)))]
    store.write(user, adding(*(turn(key, "tea") for key in ids)))
    store.write(BOB, adding(turn(f"{prefix}!", "tea")))

    matching = sorted((key for key in ids if key.startswith(prefix)), key=str.encode)
    assert store.match_ids(user, "turn", prefix, limit) == matching[:limit]
    store.write(user, WriteBatch(forget=list(ids)))


def test_ids_of_thoughts_match_until_they_are_retracted(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, reflection(["1"], thought("abc", "tea", "1")))
    store.write(ANN, reflection(["2"], thought("abd", "milk", "2")))

    assert store.match_ids(ANN, "thought", "ab", 9) == ["abc", "abd"]
    assert store.match_ids(ANN, "turn", "ab", 9) == store.match_ids(BOB, "thought", "ab", 9) == []
    store.write(ANN, WriteBatch(retract={"abc": NOON}))
    assert store.match_ids(ANN, "thought", "ab", 9) == ["abd"]


# ---- upkeep


def test_pending_names_the_users_whose_summary_is_behind(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(BOB, adding(turn("1", "tea")))
    for scope, turns in ((ANN, ["1", "2"]), (BOB, ["1"])):
        store.write(scope, WriteBatch(reflection=ReflectionResult(turns=turns)))
    store.write(BOB, WriteBatch(summaries=[summary(1, ["1"])]))
    assert store.pending() == ["ann"]

    store.write(ANN, WriteBatch(summaries=[summary(2, ["1", "2"])]))
    assert store.pending() == []


def test_stats_count_one_user_or_all(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    store.write(ANN, WriteBatch(hide=["1/0"], summaries=[summary(2, ["1", "2"])]))
    store.write(BOB, adding(turn("1", "tea")))

    whole = {"users": 2, "turns": 3, "chunks": 3, "hidden_chunks": 1, "summaries": 1}
    assert whole.items() <= store.stats().items()
    assert {"users": 1, "turns": 1, "hidden_chunks": 0}.items() <= store.stats("bob").items()
    assert store.stats("nobody")["turns"] == 0


def test_what_was_retrieved_is_noted_at_its_newest(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "milk")))
    for at in (7, 3):
        store.write(ANN, WriteBatch(retrieved={"1/0": at, "gone/0": at}))

    assert [chunk.retrieved for chunk in store.chunks(ANN)] == [7, None]
    assert [chunk.position for chunk in store.chunks(ANN)] == [1, 2]


USES: dict[str, Callable[[Backend], object]] = {
    "write": lambda store: store.write(ANN, adding(turn("9", "x"))),
    "turns": lambda store: list(store.turns(ANN, Window())),
    "chunks": lambda store: store.chunks(ANN),
    "summaries": lambda store: list(store.summaries(ANN, 1)),
    "timeline": told,
    "search near": lambda store: nearest(store, "tea"),
    "search words": lambda store: worded(store, "tea"),
    "users": lambda store: store.users(),
    "sessions": lambda store: store.sessions(ANN),
    "match ids": lambda store: store.match_ids(ANN, "turn", "1", 2),
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
    before = [list(first.turns(ANN, Window())), nearest(first, "tea"), first.chunks(ANN)]
    first.close()

    again = reopen(EMBEDDER.fingerprint)
    assert [list(again.turns(ANN, Window())), nearest(again, "tea"), again.chunks(ANN)] == before
    assert again.check() == []
    again.close()


def test_another_embedder_is_refused_with_the_way_out(reopen: Open) -> None:
    reopen(EMBEDDER.fingerprint).close()

    with pytest.raises(EmbeddingMismatch, match="memkit reembed"):
        reopen(HashEmbedder(32).fingerprint)


def test_reembedding_switches_to_the_new_vectors(reopen: Open) -> None:
    old, new = reopen(EMBEDDER.fingerprint), HashEmbedder(32, name="new")
    old.write(ANN, adding(*(turn(str(n), f"tea {n}") for n in range(300))))
    nearest(old, "tea")
    seen: list[tuple[int, int]] = []
    assert old.reembed(new, lambda done, total: seen.append((done, total))) == 300
    old.close()

    store = reopen(new.fingerprint)
    with store.snapshot(ANN) as snapshot:
        places, cosines = snapshot.nearest(new.embed(["tea 299"])[0], 1)
        assert snapshot.chunks(places)[0].turn.text == "tea 299"
    assert cosines == pytest.approx([1])
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

    assert nearest(store, "tea 299", k=1) == ["tea 299"]
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
    nearest(mine, "tea")
    theirs.reembed(HashEmbedder(32), lambda *_: None)
    theirs.close()

    for use in ("search near", "write"):
        with pytest.raises(EmbeddingMismatch):
            USES[use](mine)
    assert (texts(mine), worded(mine, "tea")) == (["tea"], ["tea"])
    mine.close()
