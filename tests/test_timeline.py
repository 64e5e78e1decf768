"""The timeline: in order, the same however it came about, and of its scope alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, groupby, permutations
from typing import Any

import numpy as np
import pytest
from contract import ANN, BOB, EMBEDDER, NOON, adding, nearest, told, turn, users, worded
from hypothesis import given, settings
from hypothesis import strategies as st
from memkit_sqlite import faiss_index as vectors_module
from memkit_sqlite import timeline as module
from memkit_sqlite.postings import term_keys
from memkit_sqlite.sqlite import SQLiteStore

from memkit.protocols import Backend, WriteBatch
from memkit.records import Chunk, Scope, Turn


def later(minutes: int, **rest: Any) -> Any:
    return {"said_at": NOON + timedelta(minutes=minutes), **rest}


def in_pieces(one: Turn, *lengths: int, backwards: bool = False) -> WriteBatch:
    """A turn as several chunks of these lengths."""
    ends = np.cumsum(lengths).tolist()
    chunks = [
        Chunk(
            id=f"{one.id}/{n}", turn_id=str(one.id), start=end - length, end=end,
            text=one.text[end - length : end], said_at=NOON, tokens=length,
        )
        for n, (length, end) in enumerate(zip(lengths, ends, strict=True))
    ]  # fmt: skip
    chunks = chunks[::-1] if backwards else chunks
    vectors = EMBEDDER.embed([chunk.text for chunk in chunks])
    return WriteBatch(turns=[one], chunks=chunks, vectors=vectors)


# ---- order


def test_sessions_follow_one_another_by_their_first_turn_however_they_interleave(
    store: Backend,
) -> None:
    said = [(3, "b"), (1, None), (2, "a"), (5, None), (4, "a"), (0, "c"), (9, "b"), (6, "c")]
    for minute, session in said:
        one = turn(str(minute), f"{session} {minute}", **later(minute, session_id=session))
        store.write(ANN, adding(one))
        told(store)

    assert told(store) == [["c 0", "c 6"], ["None 1", "None 5"], ["a 2", "a 4"], ["b 3", "b 9"]]


def test_turns_of_one_time_are_in_the_order_stored(store: Backend) -> None:
    for n in range(3):
        store.write(ANN, adding(turn(f"a{n}", f"a{n}", session_id="a")))
        store.write(ANN, adding(turn(f"b{n}", f"b{n}", session_id="b")))

    assert told(store) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_chunks_of_a_turn_are_adjacent_and_share_it(store: Backend, backwards: bool) -> None:
    store.write(ANN, in_pieces(turn("2", "onetwothree", **later(2)), 3, 3, 5, backwards=backwards))
    store.write(ANN, adding(turn("1", "zero", **later(1))))

    assert told(store) == [["zero", "one", "two", "three"]]
    with store.snapshot(ANN) as snapshot:
        turns = snapshot.timeline.turns.tolist()
        assert snapshot.timeline.tokens.tolist() == [1, 3, 3, 5]
    assert [len(list(same)) for _, same in groupby(turns)] == [1, 3]
    assert len(set(turns)) == 2


def test_turns_of_one_time_do_not_mix_their_chunks(store: Backend) -> None:
    store.write(ANN, in_pieces(turn("1", "aabb"), 2, 2))
    store.write(ANN, in_pieces(turn("2", "ccdd"), 2, 2))

    assert told(store) == [["aa", "bb", "cc", "dd"]]


def test_a_timeline_says_when_and_by_whom(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "a", **later(1, name="Ann")), turn("2", "b", **later(2))))
    store.write(ANN, adding(turn("3", "c", **later(3, name="Ann", role="assistant"))))
    store.write(ANN, adding(turn("4", "d", **later(-4, name="user", session_id="s"))))

    with store.snapshot(ANN) as snapshot:
        line = snapshot.timeline
        assert [line.names[code] for code in line.speakers] == ["user", "Ann", "user", "Ann"]
        assert list(line.names) == ["user", "Ann"]
        assert len(line) == 4
    since = NOON.timestamp() * 1e6
    assert [(us - since) / 60e6 for us in line.said_us.tolist()] == [-4, 1, 2, 3]


def test_times_before_1970_are_in_order(store: Backend) -> None:
    ancient = turn("1", "ancient", said_at=datetime(1, 1, 2, tzinfo=NOON.tzinfo))
    store.write(ANN, adding(turn("2", "now"), ancient))

    assert told(store) == [["ancient", "now"]]


# ---- the same, however it came about


@dataclass
class Model:
    """What should be there, kept in the plainest way."""

    turns: dict[str, Turn] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    stored: Iterator[int] = field(default_factory=count)

    def told(self, scope: Scope, until: datetime | None) -> list[list[str]]:
        order = {id: n for n, id in enumerate(self.turns)}
        seen = [
            turn
            for turn in self.turns.values()
            if turn.id not in self.hidden
            and scope.session_id in (None, turn.session_id)
            and scope.agent_id in (None, turn.agent_id)
            and (until is None or turn.said_at <= until)
        ]
        seen.sort(key=lambda one: (one.said_at, order[one.id]))
        sessions: dict[str | None, list[str]] = {}
        for one in seen:
            sessions.setdefault(one.session_id, []).append(one.text)
        return list(sessions.values())


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"), st.sampled_from([None, "r", "s", "t"]), st.sampled_from([None, "a"]),
            st.integers(0, 5),
        ),
        st.tuples(st.sampled_from(["hide", "show", "forget"]), st.integers(0, 9)),
        st.just(("read",)),
    ),
    max_size=14,
)  # fmt: skip


def step(store: SQLiteStore, user: str, model: Model, what: tuple[Any, ...]) -> None:
    if what[0] == "say":
        n = next(model.stored)
        one = turn(str(n), f"tea {n}", **later(what[3], session_id=what[1], agent_id=what[2]))
        store.write(Scope(user_id=user), adding(one))
        model.turns[str(n)] = one
    elif what[0] == "read":
        told(store, Scope(user_id=user))
    else:
        id = str(what[1])
        names = [id] if what[0] == "forget" else [f"{id}/0"]
        store.write(Scope(user_id=user), WriteBatch(**{what[0]: names}))
        if what[0] == "forget":
            model.turns.pop(id, None)
        if id in model.turns:
            (model.hidden.add if what[0] == "hide" else model.hidden.discard)(id)


@settings(max_examples=120)
@given(steps=STEPS, turn_by_turn=st.booleans())
def test_any_writes_by_two_connections_leave_the_same_timeline(
    stores: list[SQLiteStore], steps: list[tuple[Any, ...]], turn_by_turn: bool
) -> None:
    user, model = next(users), Model()
    for n, what in enumerate(steps):
        step(stores[n % 2], user, model, what)
        if turn_by_turn:
            told(stores[0], Scope(user_id=user))

    for scope in (
        Scope(user_id=user),
        Scope(user_id=user, session_id="s"),
        Scope(user_id=user, agent_id="a"),
        Scope(user_id=user, agent_id="a", session_id="s"),
    ):
        for until in (None, NOON + timedelta(minutes=2)):
            assert told(stores[0], scope, until) == told(stores[1], scope, until)
            assert told(stores[0], scope, until) == model.told(scope, until)
    scope = Scope(user_id=user)
    kept = everything(stores[0], scope)
    stores[0]._cache._users.clear()
    assert everything(stores[0], scope) == kept


ARRIVING = [(0, "a"), (2, "b"), (4, "a"), (4, "c"), (6, "b")]


@pytest.mark.parametrize("first", range(1, 5))
def test_chunks_added_after_the_first_snapshot_are_in_order(
    stores: list[SQLiteStore], first: int
) -> None:
    right = [["0 a", "4 a"], ["2 b", "6 b"], ["4 c"]]
    for order in permutations(ARRIVING):
        user = Scope(user_id=next(users))
        said = [turn(f"{m}{s}", f"{m} {s}", **later(m, session_id=s)) for m, s in order]
        stores[0].write(user, adding(*said[:first]))
        told(stores[0], user)
        stores[0].write(user, adding(*said[first:]))
        assert told(stores[0], user) == right


def everything(store: Backend, scope: Scope, until: datetime | None = None) -> tuple[Any, ...]:
    """Return all that a reading tells."""
    with store.snapshot(scope, until) as snapshot:
        line = snapshot.timeline
        places = np.arange(len(line))
        found, cosines = snapshot.nearest(EMBEDDER.embed(["tea 1"])[0], 99)
        return (
            [(match.chunk_id, match.turn.text) for match in snapshot.chunks(places)],
            [array.tolist() for array in (line.sessions, line.tokens, line.said_us, line.speakers)],
            list(line.names),
            [len(list(same)) for _, same in groupby(line.turns.tolist())],
            snapshot.vectors(places).tolist(),
            sorted(zip(found.tolist(), cosines.round(5).tolist(), strict=True)),
            [snapshot.postings(word).tolist() for word in ("tea", "1", "may", "bob", "s", "猫")],
        )


READS: dict[str, tuple[WriteBatch, int]] = {
    "append": (adding(turn("5", "tea 5")), 1),
    "late arrival": (adding(turn("6", "early", **later(-1))), 1),
    "hide": (WriteBatch(hide=["3/0"]), 0),
    "forget": (WriteBatch(forget=["2"]), 0),
    "show again": (WriteBatch(show=["3/0"]), 4),  # from the key on: 3, 4, 5, 6
}


def test_no_change_reads_the_old_chunks_again(
    stores: list[SQLiteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = stores
    user = Scope(user_id=next(users))
    mine.write(user, adding(*(turn(str(n), f"tea {n}") for n in range(5))))
    told(mine, user)
    counts: list[int] = []
    read = module.UserTimeline._read

    def count_read(self: module.UserTimeline, *arguments: Any) -> Any:
        table = read(self, *arguments)
        counts.append(table.shape[1])
        return table

    monkeypatch.setattr(module.UserTimeline, "_read", count_read)
    for change, _ in READS.values():
        other.write(user, change)
        told(mine, user)
    assert counts == [n for _, n in READS.values()]
    assert told(mine, user) == [["early", *(f"tea {n}" for n in (0, 1, 3, 4, 5))]]


def test_names_of_forgotten_turns_leave_the_cache(store: Backend) -> None:
    named = {"session_id": "secret session", "agent_id": "secret agent", "name": "Secret Name"}
    store.write(ANN, adding(turn("1", "tea", **named), turn("2", "milk", name="Bo")))
    told(store)
    store.write(ANN, WriteBatch(forget=["1"]))
    told(store)

    assert isinstance(store, SQLiteStore)
    timeline = store._cache._users["ann"].timeline
    assert timeline is not None
    assert "ecret" not in repr(timeline._codes)


# ---- places


SCOPES = {
    "all": (ANN, None),
    "session": (Scope(user_id="ann", session_id="s0"), None),
    "agent": (Scope(user_id="ann", agent_id="a1"), None),
    "until": (ANN, NOON + timedelta(minutes=21)),
    "session of an agent until": (
        Scope(user_id="ann", agent_id="a1", session_id="s2"), NOON + timedelta(minutes=33)
    ),
    "nothing": (Scope(user_id="ann", session_id="unknown"), None),
}  # fmt: skip


def mixed(n: int) -> list[Turn]:
    """Turns of four sessions and two agents, said and stored in different orders."""
    return [
        turn(
            str(n), f"tea number{n}",
            **later((n * 17) % 41, session_id=f"s{n % 4}", agent_id=f"a{n % 3 % 2}", name=f"N{n}"),
        )
        for n in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "inverted lists"])
@pytest.mark.parametrize("name", SCOPES)
def test_every_method_of_a_snapshot_numbers_the_same_rows(
    store: Backend, name: str, flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "FLAT_UP_TO", 1000 if flat else 20)
    store.write(ANN, adding(*mixed(40)))
    store.write(BOB, adding(*mixed(9)))
    store.write(ANN, WriteBatch(hide=["7/0", "11/0"], forget=["13"]))
    store.write(ANN, WriteBatch(show=["7/0"]))

    with store.snapshot(*SCOPES[name]) as snapshot:
        places = np.arange(len(snapshot.timeline))
        said = [match.turn.text for match in snapshot.chunks(places)]
        assert len(said) == {"all": 38, "nothing": 0}.get(name, len(said))
        assert np.array_equal(snapshot.vectors(places), EMBEDDER.embed(said))
        assert snapshot.postings("tea").tolist() == places.tolist()
        for place, text in enumerate(said):
            assert snapshot.postings(text.split()[1]).tolist() == [place]
            found, cosines = snapshot.nearest(EMBEDDER.embed([text])[0], 3)
            assert cosines[found == place] == pytest.approx([1])
        found, _ = snapshot.nearest(EMBEDDER.embed(["tea"])[0], 99)
        assert sorted(found.tolist()) == places.tolist()


def test_vectors_and_chunks_come_in_the_order_of_the_rows_even_twice(store: Backend) -> None:
    store.write(ANN, adding(*mixed(10)))

    with store.snapshot(ANN) as snapshot:
        asked = np.array([7, 2, 7, 0])
        said = [match.turn.text for match in snapshot.chunks(asked)]
        assert len(set(said)) == 3
        assert np.array_equal(snapshot.vectors(asked), EMBEDDER.embed(said))
        assert snapshot.vectors(asked[:0]).shape == (0, EMBEDDER.fingerprint.dimension)
        assert snapshot.chunks(asked[:0]) == []


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "inverted lists"])
def test_the_k_nearest_of_a_scope_are_full_whatever_else_is_nearer(
    store: Backend, flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "FLAT_UP_TO", 1000 if flat else 20)
    store.write(ANN, adding(*(turn(str(n), "tea", session_id="s") for n in range(60))))
    mine = [turn(f"m{n}", f"milk {n}", **later(-1, session_id="m")) for n in range(5)]
    store.write(ANN, adding(*mine))

    assert len(nearest(store, "tea", Scope(user_id="ann", session_id="m"), k=5)) == 5
    assert len(nearest(store, "tea", until=NOON - timedelta(minutes=1), k=5)) == 5


def test_full_text_reads_the_postings_of_its_user_alone(store: Backend) -> None:
    assert isinstance(store, SQLiteStore)
    store.write(ANN, adding(turn("1", "tea", session_id="s", agent_id="a")))
    asked: list[str] = []
    store._connection._raw.set_trace_callback(asked.append)

    assert worded(store, "tea", Scope(user_id="ann", session_id="s", agent_id="a")) == ["tea"]
    (searched,) = [sql for sql in asked if "FROM postings" in sql]
    anns, bobs = (term_keys(store._connection._raw, user).key("tea") for user in ("ann", "bob"))
    assert str(anns) in searched
    assert anns != bobs


@pytest.mark.parametrize("name", SCOPES)
def test_a_scope_looks_as_if_nothing_else_were_stored(stores: list[SQLiteStore], name: str) -> None:
    mine, user, alone = stores[0], next(users), next(users)
    scope, until = SCOPES[name]
    inside = [
        one
        for one in mixed(40)
        if scope.session_id in (None, one.session_id)
        and scope.agent_id in (None, one.agent_id)
        and (until is None or one.said_at <= until)
    ]
    mine.write(Scope(user_id=user), adding(*mixed(40)))
    mine.write(Scope(user_id=alone), adding(*inside))

    part = everything(mine, Scope(**{**fields(scope), "user_id": user}), until)
    assert part == everything(mine, Scope(user_id=alone))


def fields(scope: Scope) -> dict[str, str | None]:
    return {name: getattr(scope, name) for name in Scope.__slots__}


# ---- words


def test_what_is_written_without_spaces_is_found_by_its_parts(store: Backend) -> None:
    said = [
        "我住在东京",
        "the 猫 sat",
        "我用iPhone手机",
        "ฉันอยู่ที่กรุงเทพ",
        "서울에 살아요",
        "カタカナ語です",
        "tea",
    ]
    store.write(ANN, adding(*(turn(str(n), text) for n, text in enumerate(said))))

    for word, n in {"东京": 0, "京": 0, "猫": 1, "iphone": 2, "กรุงเทพ": 3, "서울": 4, "살": 4,
                    "カタカナ": 5, "語": 5, "teas": 6}.items():  # fmt: skip
        assert worded(store, word) == [said[n]], word
    assert worded(store, "東京") == worded(store, "京都") == worded(store, "犬") == []
    assert store.check() == []


def test_a_single_character_is_no_prefix_in_other_scripts(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "tea"), turn("2", "t")))

    assert worded(store, "t") == ["t"]


def test_a_word_is_found_in_its_forms_and_in_the_date(store: Backend) -> None:
    store.write(ANN, adding(turn("1", "two cats"), turn("2", "in march")))

    assert (worded(store, "cat"), worded(store, "marching")) == (["two cats"], ["in march"])
    assert worded(store, "2024") == worded(store, "May") == ["two cats", "in march"]


def test_shared_arrays_are_read_only(store: Backend) -> None:
    store.write(ANN, adding(*mixed(10)))

    for scope in (ANN, Scope(user_id="ann", session_id="s1")):
        with store.snapshot(scope) as snapshot:
            for name in ("sessions", "turns", "tokens", "said_us", "speakers"):
                with pytest.raises(ValueError, match="read-only"):
                    getattr(snapshot.timeline, name)[0] = 7
            snapshot.vectors(np.array([0, 1]))[0] = 7  # these are the caller's
            assert np.array_equal(*(snapshot.vectors(np.array([0])) for _ in "12"))
