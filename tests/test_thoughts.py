"""Thoughts: what is concluded from turns, what replaces it, and what is left when turns go."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import (
    FISH,
    Reader,
    Says,
    claim,
    day,
    everything,
    known,
    lives,
    opened,
    says,
    tell,
    texts,
    texts_of,
)

from memkit import Turn
from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.records import Claim, Role, Thought

users = map("user{}".format, count())


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Memory]:
    """One memory for many examples, each with a user of its own."""
    with opened() as made:
        yield made


# ---- said again


def test_a_repeat_joins_what_it_repeats_with_the_sources_of_both(memory: Memory) -> None:
    ids = tell(memory, says("Ann likes tea.", 0), says("Ann likes tea.", 3))
    (thought,) = memory.thoughts(user_id="ann")

    assert (thought.turn_ids, thought.support) == (tuple(ids), 2)
    assert (thought.said_at, thought.repeated_at) == (day(0), day(3))


def test_near_duplicates_join_and_keep_the_words_said_first(memory: Memory) -> None:
    text = "Ann went for a long walk around the old harbour with her greyhound"
    ids = tell(memory, says(f"{text}.", 5), says(f"{text} slowly.", 1))
    (thought,) = memory.thoughts(user_id="ann")

    assert (thought.text, set(thought.turn_ids)) == (f"{text} slowly.", set(ids))
    (hit,) = memory.recall(thought.text, user_id="ann", kind="thought")
    assert hit.relevance == pytest.approx(1)  # it is found by the words it has now
    assert memory.doctor() == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann ran 5 km around the old harbour.", "Ann ran 10 km around the old harbour."),
        ("Ann went to the harbour with Bob.", "Ann went to the harbour with Eve."),
        ("Ann likes the old harbour.", "Ann does not like the old harbour."),
    ],
)
def test_numbers_names_and_denials_keep_thoughts_apart(
    memory: Memory, one: str, other: str
) -> None:
    tell(memory, says(one, 0), says(other, 1))
    assert known(memory) == [one, other]


def test_turns_of_one_batch_join_too(memory: Memory) -> None:
    memory.remember([says("Ann likes tea.", n) for n in range(3)], user_id="ann")
    memory.think(user_id="ann")
    assert [thought.support for thought in memory.thoughts(user_id="ann")] == [3]


def test_a_fact_closed_many_times_over_is_still_joined_by_its_repeats() -> None:
    with opened(judge=Says(True)) as memory:
        for n in range(0, 40, 2):
            tell(memory, says(FISH[0].text, n), says(FISH[1].text, n + 1))
        tell(memory, says(FISH[1].text, 50))

        (thought,) = memory.thoughts(user_id="ann")
        assert (thought.text, thought.support) == (FISH[1].text, 2)


# ---- at odds


def test_thoughts_that_may_contradict_each_other_are_both_marked(memory: Memory) -> None:
    tell(memory, *FISH)
    old, new = memory.thoughts(user_id="ann")
    assert (old.conflicts, new.conflicts) == ((new.id,), (old.id,))


@pytest.mark.parametrize("turns", [FISH, FISH[::-1]], ids=["in order", "late"])
def test_a_judge_that_says_yes_closes_what_was_said_earlier(turns: tuple[Turn, ...]) -> None:
    judge = Says(True)
    with opened(judge=judge) as memory:
        tell(memory, *turns)
        (thought,) = memory.thoughts(user_id="ann")

        assert (thought.text, thought.conflicts) == (FISH[1].text, ())
        assert judge.asked == [(FISH[0].text, FISH[1].text)]
        assert texts(memory.history(thought.id, user_id="ann")) == [turn.text for turn in FISH]
        assert known(memory, as_of=day(0.5)) == [FISH[0].text]


def test_a_judge_that_says_no_clears_the_mark_and_is_not_asked_again() -> None:
    judge = Says(False)
    with opened(judge=judge) as memory:
        tell(memory, *FISH)
        memory.think(user_id="ann")

        assert [thought.conflicts for thought in memory.thoughts(user_id="ann")] == [(), ()]
        assert len(judge.asked) == 1


def test_a_judge_does_not_close_a_users_claim_for_an_assistants() -> None:
    with opened(judge=Says(True)) as memory:
        tell(memory, FISH[0], says(FISH[1].text, 1, "assistant"))
        assert known(memory) == [FISH[0].text]


def test_a_judge_that_raises_loses_nothing_and_is_asked_again() -> None:
    judge = Says(RuntimeError("out of memory"))
    with opened(judge=judge) as memory:
        memory.remember(FISH, user_id="ann")
        memory.flush()
        assert known(memory) == [turn.text for turn in FISH]
        with pytest.raises(RuntimeError, match="out of memory"):
            memory.think(user_id="ann")

        judge.verdict = True
        memory.think(user_id="ann")
        assert known(memory) == [FISH[1].text]


def test_a_marked_thought_that_is_retracted_marks_nothing(memory: Memory) -> None:
    tell(memory, *FISH)
    memory.retract(memory.thoughts(user_id="ann")[0].id, user_id="ann")
    assert [thought.conflicts for thought in memory.thoughts(user_id="ann")] == [()]


# ---- one after the other


def test_who_moves_away_and_comes_back_lives_there_twice(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 1), lives("Oslo", 2))
    (now,) = memory.thoughts(user_id="ann")

    chain = memory.history(now.id, user_id="ann")
    assert [thought.tail for thought in chain] == ["Oslo", "Rome", "Oslo"]
    assert [(thought.valid_from, thought.valid_to) for thought in chain] == [
        (day(0), day(1)), (day(1), day(2)), (day(2), None),
    ]  # fmt: skip


def test_the_order_of_turns_said_at_the_same_moment_counts(memory: Memory) -> None:
    memory.remember([lives(city, 0) for city in ("Oslo", "Rome", "Oslo")], user_id="ann")
    memory.think(user_id="ann")

    (now,) = memory.thoughts(user_id="ann")
    assert [thought.tail for thought in memory.history(now.id, user_id="ann")] == [
        "Oslo",
        "Rome",
        "Oslo",
    ]


def test_history_of_any_member_shows_the_whole_chain_oldest_first(memory: Memory) -> None:
    tell(
        memory, lives("Rome", 1), lives("Bonn", 3, "assistant"), lives("Oslo", 0), lives("Kyiv", 2)
    )
    chain = everything(memory)

    assert [thought.tail for thought in chain] == ["Oslo", "Rome", "Kyiv", "Bonn"]
    for thought in chain:
        assert memory.history(thought.id, user_id="ann") == chain


def test_history_of_what_replaced_nothing_is_the_thought_alone(memory: Memory) -> None:
    tell(memory, says("Ann likes tea."), lives("Oslo"))
    for thought in memory.thoughts(user_id="ann"):
        assert memory.history(thought.id, user_id="ann") == [thought]


@pytest.mark.parametrize("call", ["history", "retract"])
def test_a_strangers_thought_is_not_there(memory: Memory, call: str) -> None:
    tell(memory, lives("Oslo"))
    (thought,) = memory.thoughts(user_id="ann")

    with pytest.raises(InvalidInput, match="has no thought"):
        getattr(memory, call)(thought.id, user_id="bob")
    assert memory.thoughts(user_id="ann") == [thought]


def test_a_claim_that_comes_late_interrupts_what_was_said_around_it(memory: Memory) -> None:
    ids = tell(memory, lives("Oslo", 1), lives("Oslo", 5), lives("Oslo", 7), lives("Rome", 3))
    chain = sorted(everything(memory), key=lambda thought: thought.said_at)

    assert [(thought.tail, thought.turn_ids) for thought in chain] == [
        ("Oslo", (ids[0],)), ("Rome", (ids[3],)), ("Oslo", (ids[1], ids[2])),
    ]  # fmt: skip
    assert (known(memory), memory.doctor()) == (["Ann lives in Oslo."], [])


def test_an_assistants_echo_keeps_no_claim_of_the_user_alive(memory: Memory) -> None:
    tell(memory, lives("Oslo", 1), lives("Oslo", 5, "assistant"), lives("Rome", 3))
    assert known(memory) == ["Ann lives in Rome."]


def test_thoughts_as_of_a_time_are_those_that_held_then(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 2), says("Ann likes tea.", 3))

    assert known(memory, as_of=day(-1)) == []
    assert known(memory, as_of=day(0)) == known(memory, as_of=day(1)) == ["Ann lives in Oslo."]
    assert known(memory, as_of=day(2)) == ["Ann lives in Rome."]
    assert known(memory, as_of=day(9)) == known(memory)


def test_what_is_said_of_its_beginning_counts_for_what_held_then() -> None:
    def read(turn: Turn) -> list[Claim]:
        city = turn.text.split()[3]
        since = day(1) if city == "Rome" else None
        about: dict[str, Any] = {"slot": "home", "tail": city, "valid_from": since}
        return [claim(turn, f"Ann lives in {city}.", **about)]

    with opened(thinker=Reader(read)) as memory:
        tell(memory, lives("Oslo", 0), lives("Rome", 5))
        assert known(memory, as_of=day(2)) == ["Ann lives in Rome."]
        found = memory.recall("where", user_id="ann", kind="thought", as_of=day(2))
        assert texts_of(found) == ["Ann lives in Oslo."]  # nobody had said so


def test_what_replaced_a_fact_stands_before_it(memory: Memory) -> None:
    turns = [lives("Oslo", 0), lives("Rome", 400), says("I live in fear of the dentist", 1)]
    turns[1] = says("I live in Rome since the winter, and the light here is a joy every day", 400)
    tell(memory, *turns)

    for asked in ("Does Ann live in Oslo now?", "I live in Oslo now", "Oslo"):
        hits = texts_of(memory.recall(asked, user_id="ann"))
        assert hits.index(turns[1].text) < hits.index(turns[0].text)


def test_the_block_says_since_when_what_holds_holds(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 2))
    context = memory.context("Ann lives where?", user_id="ann")

    assert [thought.text for thought in context.thoughts] == ["Ann lives in Rome."]
    assert [line for line in context.text.splitlines() if "[since" in line] == [
        "> [since 3 May 2024] Ann lives in Rome."
    ]


# ---- whatever is said, in whatever order it arrives

CITIES = ("Oslo", "Rome", "Bonn")
ROLES: tuple[Role, ...] = ("user", "user", "assistant")
some_claims = st.lists(
    st.tuples(st.sampled_from(CITIES), st.sampled_from(ROLES)),
    min_size=1,
    max_size=7,
)


@st.composite
def tellings(draw: st.DrawFn) -> list[Turn]:
    """Turns of distinct days, in the order they arrive."""
    told = [
        lives(city, n, role, id=f"t{n}") if draw(st.integers(0, 3)) else drinks(city, n, role)
        for n, (city, role) in enumerate(draw(some_claims))
    ]
    return list(draw(st.permutations(told)))


def drinks(city: str, n: float, role: Role) -> Turn:
    return says(f"Ann likes {city} water.", n, role, id=f"t{n}")


def current(turns: list[Turn]) -> set[str]:
    """Return what holds of a slot: the last claim of a user, or of anybody."""
    told = [turn for turn in turns if turn.text.startswith("I live")]
    told = [turn for turn in told if turn.role == "user"] or told
    last = sorted(told, key=lambda turn: turn.said_at or day(0))[-1:]
    return {f"Ann lives in {turn.text.split()[3]}." for turn in last}


def homes(found: list[str]) -> set[str]:
    return {text for text in found if "lives in" in text}


def shown(memory: Memory, user: str, as_of: datetime | None = None) -> dict[str, set[str]]:
    """Return where Ann lives, by all that says so."""
    asked: dict[str, Any] = {"user_id": user, "as_of": as_of}
    context = memory.context("Ann lives in Oslo Rome Bonn.", **asked)
    since = [line for line in context.text.splitlines() if line.startswith("> [since")]
    return {
        "recall": homes(texts_of(memory.recall("Ann lives in Oslo.", kind="thought", **asked))),
        "context": homes(texts(context.thoughts)),
        "block": homes([line.split("] ")[1] for line in since]),
    }


@settings(max_examples=60)
@given(turns=tellings(), data=st.data())
def test_a_closed_fact_is_never_shown_as_current(
    shared: Memory, turns: list[Turn], data: st.DataObject
) -> None:
    user = next(users)
    tell(shared, *turns, user_id=user)
    gone = data.draw(st.sets(st.sampled_from([str(turn.id) for turn in turns])))
    for one in (set(), gone):
        shared.forget(user_id=user, turn_ids=one)
        shared.think(user_id=user)
        left = [turn for turn in turns if turn.id not in one]

        assert homes(known(shared, user)) == current(left)
        assert all(found == current(left) for found in shown(shared, user).values())


@settings(max_examples=60)
@given(turns=tellings())
def test_every_claim_is_a_source_of_exactly_one_thought(shared: Memory, turns: list[Turn]) -> None:
    user = next(users)
    tell(shared, *turns, user_id=user)

    sources = [id for thought in everything(shared, user) for id in thought.turn_ids]
    assert sorted(sources) == sorted(str(turn.id) for turn in turns)


@settings(max_examples=60)
@given(turns=tellings(), until=st.integers(0, 6))
def test_nothing_said_later_changes_what_was_believed(
    shared: Memory, turns: list[Turn], until: int
) -> None:
    whole, part = next(users), next(users)
    tell(shared, *turns, user_id=whole)
    then = [turn for turn in turns if turn.said_at and turn.said_at <= day(until)]
    tell(shared, *then, user_id=part)

    def found(user: str) -> Any:
        asked: dict[str, Any] = {"user_id": user, "as_of": day(until)}
        hits = shared.recall("Ann lives in Oslo.", kind="thought", **asked)
        block = shared.context("Ann lives in Oslo Rome.", **asked).text
        return sorted((hit.text, hit.turn_ids) for hit in hits), block

    assert found(whole) == found(part)
    assert shown(shared, whole, day(until)) == shown(shared, part)


@settings(max_examples=30)
@given(turns=tellings())
def test_whatever_arrives_in_whatever_order_leaves_the_memory_in_order(turns: list[Turn]) -> None:
    with opened() as memory:
        tell(memory, *turns)
        assert memory.doctor() == []
        memory.forget(user_id="ann", turn_ids=[str(turns[0].id)])
        assert memory.doctor() == []
        memory.flush()
        assert memory.doctor() == []


# ---- odd texts


@pytest.mark.parametrize(
    "text",
    ["Ann likes a\0b tea.", "Ann likes 🎉👩‍👩‍👧 tea.", "安喜欢绿茶。", "Ann likes tea. " * 7_000],
)
def test_odd_texts_are_thought_about(memory: Memory, text: str) -> None:
    def read(turn: Turn) -> list[Claim]:
        end = min(len(turn.text), 28)
        return [claim(turn, turn.text[:end].strip(), 0, end)]

    memory._maintenance._reflection.thinker._read = read  # type: ignore[attr-defined]
    tell(memory, says(text))

    (thought,) = memory.thoughts(user_id="ann")
    assert thought.text == text[:28].strip()
    assert memory.recall("Ann", user_id="ann", kind="thought")[0].text == thought.text
    assert memory.doctor() == []


def test_a_favourite_written_in_signs_is_replaced_by_another(memory: Memory) -> None:
    def read(turn: Turn) -> list[Claim]:
        return [claim(turn, turn.text, slot="language", tail=turn.text.split()[-1].rstrip("."))]

    memory._maintenance._reflection.thinker._read = read  # type: ignore[attr-defined]
    tell(memory, says("Ann likes C.", 0), says("Ann likes C++.", 1), says("Ann likes C#.", 2))
    assert (known(memory), len(everything(memory))) == (["Ann likes C#."], 3)


def test_one_thought_may_have_thousands_of_sources(memory: Memory) -> None:
    memory.remember([lives("Oslo", n, id=f"t{n}") for n in range(2_000)], user_id="ann")
    memory.think(user_id="ann")
    (thought,) = memory.thoughts(user_id="ann")
    assert (thought.support, thought.repeated_at) == (2_000, day(1_999))

    memory.remember(lives("Rome", 1_000.5), user_id="ann")
    memory.think(user_id="ann")
    (now,) = memory.thoughts(user_id="ann")
    assert [thought.support for thought in memory.history(now.id, user_id="ann")] == [1_001, 1, 999]
    assert memory.recall("Ann lives", user_id="ann", kind="thought")[0].turn_ids == now.turn_ids


@pytest.mark.slow
def test_one_turn_may_make_a_thousand_claims(memory: Memory) -> None:
    names = [f"word{n}x" for n in range(1_000)]
    tell(memory, says("\n".join(f"Ann likes {name} {name[::-1]}." for name in names)))

    assert memory.stats()["thoughts"] == 1_000
    assert memory.doctor() == []


# ---- counted


def test_stats_count_thoughts_of_one_user_and_of_all(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 1))
    tell(memory, says("Ann likes tea."), user_id="bob")

    assert [memory.stats(user_id=user)["thoughts"] for user in ("ann", "bob", "eve")] == [2, 1, 0]
    assert memory.stats()["thoughts"] == 3


# ---- scopes

a_place = st.tuples(
    st.sampled_from(["ann", "Ann", "%"]),
    st.sampled_from([None, "s1", "s2"]),
    st.sampled_from([None, "a1"]),
    st.sampled_from([*CITIES, "tea", "milk"]),
)


@settings(max_examples=30)
@given(told=st.lists(a_place, min_size=1, max_size=10))
def test_a_scope_shows_its_own_thoughts_and_of_them_its_own_sources(
    shared: Memory, told: list[tuple[str, str | None, str | None, str]]
) -> None:
    suffix = next(users)
    for n, (who, session, agent, what) in enumerate(told):
        one = lives(what, n) if what in CITIES else says(f"Ann has {what}.", n)
        shared.remember(one, user_id=who + suffix, session_id=session, agent_id=agent)
    shared.flush()
    for user in {who + suffix for who, *_ in told}:
        everyones = shared.thoughts(user_id=user)
        for session, agent in product((None, "s1", "s2"), (None, "a1")):
            asked: dict[str, Any] = {"user_id": user, "session_id": session, "agent_id": agent}
            own = {turn.id for turn in shared.turns(**asked)}
            context = shared.context("Ann lives in Oslo and has tea", **asked)
            hits = shared.recall("Ann lives Oslo tea", kind="thought", **asked)
            thoughts = shared.thoughts(**asked)
            seen = [thought.turn_ids for thought in (*thoughts, *context.thoughts)]
            for turn_ids in seen + [hit.turn_ids for hit in hits]:
                assert turn_ids
                assert set(turn_ids) <= own
            assert texts(thoughts) == [one.text for one in everyones if own & set(one.turn_ids)]


def test_one_session_does_not_show_what_another_replaced(memory: Memory) -> None:
    memory.remember(lives("Oslo", 0), user_id="ann", session_id="s1")
    memory.remember(lives("Rome", 1), user_id="ann", session_id="s2")
    memory.flush()

    assert known(memory, session_id="s1") == []
    assert memory.recall("Oslo", user_id="ann", session_id="s1", kind="thought") == []
    assert known(memory, session_id="s2") == ["Ann lives in Rome."]


def support_of(thoughts: list[Thought]) -> list[int]:
    return [thought.support for thought in thoughts]


def test_support_counts_what_the_scope_sees(memory: Memory) -> None:
    for n, session in enumerate(["s1", "s2", "s2"]):
        memory.remember(says("Ann likes tea.", n), user_id="ann", session_id=session)
    memory.flush()

    assert support_of(memory.thoughts(user_id="ann")) == [3]
    assert support_of(memory.thoughts(user_id="ann", session_id="s2")) == [2]
