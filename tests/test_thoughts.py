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
from memkit.protocols import Relation, ThoughtPair
from memkit.records import Claim, ClaimKind, Role, Thought

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


def test_a_doubted_thought_names_the_later_words_and_those_name_nothing(memory: Memory) -> None:
    _, later = tell(memory, *FISH)
    old, new = memory.thoughts(user_id="ann")

    assert (old.doubt, new.doubt) == ((later,), ())
    (quote,) = old.later
    assert (quote.text, quote.said_at, quote.turn_id) == (FISH[1].text, day(1), later)
    block = memory.context("Ann will eat fish?", user_id="ann").text
    assert f"> [in doubt] Ann: {FISH[0].text} · 2 May 2024: {FISH[1].text}" in block


def test_a_doubt_is_not_known_before_it_was_said(memory: Memory) -> None:
    tell(memory, *FISH)
    block = memory.context("Ann will eat fish?", user_id="ann", as_of=day(0.5)).text
    assert FISH[0].text in block
    assert "in doubt" not in block


@pytest.mark.parametrize("removed", ["retracted", "forgotten"])
def test_a_doubt_ends_with_the_words_that_raised_it(memory: Memory, removed: str) -> None:
    _, later = tell(memory, *FISH)
    if removed == "forgotten":
        memory.forget(user_id="ann", turn_ids=[later])
    else:
        memory.retract(memory.thoughts(user_id="ann")[1].id, user_id="ann")

    (thought,) = memory.thoughts(user_id="ann")
    assert (thought.text, thought.later, thought.conflicts) == (FISH[0].text, (), ())


def test_a_closed_thought_that_holds_again_is_still_in_doubt(memory: Memory) -> None:
    _, doubt, moved = tell(memory, lives("Oslo", 0), says("I might move", 1), lives("Rome", 2))
    memory.forget(user_id="ann", turn_ids=[moved])

    oslo = memory.thoughts(user_id="ann")[0]
    assert (oslo.text, oslo.doubt) == ("I live in Oslo now", (doubt,))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_who_says_it_again_after_a_doubt_is_believed_again(
    memory: Memory, order: tuple[int, ...]
) -> None:
    turns = lives("Oslo", 0), says("I might move", 1), lives("Oslo", 2)
    tell(memory, *[turns[n] for n in order])

    now = next(t for t in memory.thoughts(user_id="ann") if t.text == "I live in Oslo now")
    assert (now.said_at, now.doubt) == (day(2), ())
    assert [t.said_at for t in memory.history(now.id, user_id="ann")] == [day(0), day(2)]
    doubted = memory.context("I live in Oslo", user_id="ann", as_of=day(1.5)).text
    assert "> [in doubt] Ann: I live in Oslo now" in doubted


def test_a_doubt_of_words_from_another_session_is_not_shown_in_this_one(memory: Memory) -> None:
    memory.remember(FISH[0], user_id="ann", session_id="s1")
    memory.remember(FISH[1], user_id="ann", session_id="s2")
    memory.flush()

    assert [thought.later for thought in memory.thoughts(user_id="ann", session_id="s1")] == [()]


def test_a_session_sees_a_doubt_only_in_its_own_words() -> None:
    secret = "Ann will surely not ever eat any fish on the white boat zanzibar"

    def compare(pairs: list[ThoughtPair]) -> list[Relation]:
        return [
            "same" if "surely" in pair.older.text and "surely" in pair.newer.text else "doubts"
            for pair in pairs
        ]

    with opened() as memory:
        memory._maintenance._reflection.thinker.compare = compare  # type: ignore[attr-defined]
        for n, (text, session) in enumerate(
            [(FISH[0].text, "s1"), (secret, "s2"), ("Surely, as I said: surely not", "s1")]
        ):
            memory.remember(says(text, n), user_id="ann", session_id=session)
            memory.think(user_id="ann")
        assert secret in str(memory.thoughts(user_id="ann")[0].later)
        assert secret not in str(memory.thoughts(user_id="ann", session_id="s1"))


# ---- denials


def test_a_denial_closes_what_it_denies_and_is_never_shown_as_a_thought(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), says("I moved away", 1), says("Ann likes tea.", 2))
    asked = "I live in Oslo? I moved away"

    assert known(memory) == known(memory, as_of=day(3)) == ["Ann likes tea."]
    assert known(memory, as_of=day(0.5)) == ["I live in Oslo now"]
    assert texts_of(memory.recall(asked, user_id="ann", kind="thought")) == ["Ann likes tea."]
    assert not {"I live in Oslo now", "I moved away"} & set(
        texts(memory.context(asked, user_id="ann").thoughts)
    )
    assert "I moved away" in texts_of(memory.recall(asked, user_id="ann"))  # turns are found


def test_history_explains_a_closed_thought_by_the_denial(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0))
    (oslo,) = memory.thoughts(user_id="ann")
    tell(memory, says("I moved away", 1))
    chain = memory.history(oslo.id, user_id="ann")
    assert [(thought.text, thought.kind) for thought in chain] == [
        ("I live in Oslo now", "fact"), ("I moved away", "denial"),
    ]  # fmt: skip


def test_a_denial_that_was_heard_first_closes_a_fact_of_before_it(memory: Memory) -> None:
    tell(memory, says("I moved away", 1), lives("Oslo", 0), lives("Rome", 2))
    assert known(memory) == ["I live in Rome now"]


def test_a_fact_is_never_merged_into_a_denial_in_the_same_words() -> None:
    kinds: Iterator[ClaimKind] = iter(("denial", "fact"))

    def read(turn: Turn) -> list[Claim]:
        return [claim(turn, turn.text, kind=next(kinds))]

    with opened(thinker=Reader(read)) as memory:
        tell(memory, says("Ann eats no fish.", 0), says("Ann eats no fish.", 1))
        assert known(memory) == ["Ann eats no fish."]


# ---- corrected


def test_a_corrected_thought_is_closed_and_stays_in_the_history(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0))
    (old,) = memory.thoughts(user_id="ann")
    new = memory.correct(old.id, "I live in Rome.", user_id="ann")

    assert memory.thoughts(user_id="ann") == [new]
    assert (new.text, new.said_by, new.role) == ("I live in Rome.", "Ann", "user")
    assert texts(memory.history(old.id, user_id="ann")) == [old.text, new.text]
    assert [turn.text for turn in memory.turns(user_id="ann")][-1] == "I live in Rome."
    memory.think(user_id="ann")  # the correcting turn is not thought about
    assert (known(memory), memory.doctor()) == (["I live in Rome."], [])


@pytest.mark.parametrize("text", ["I live in Oslo, now!", "Ann likes tea."])
def test_a_correction_in_words_that_are_known_returns_what_holds(memory: Memory, text: str) -> None:
    tell(memory, lives("Oslo", 0), says("Ann likes tea.", 1))
    old = memory.thoughts(user_id="ann")[0]
    new = memory.correct(old.id, text, user_id="ann")

    assert new.closed_by is None
    assert new in memory.thoughts(user_id="ann")
    assert ("I live in Oslo now" in known(memory)) == text.startswith("I live")


def test_a_thought_that_is_dated_in_the_future_can_be_corrected(memory: Memory) -> None:
    tell(memory, lives("Oslo", 36_500))
    (old,) = memory.thoughts(user_id="ann")
    new = memory.correct(old.id, "I live in Rome.", user_id="ann")
    assert memory.thoughts(user_id="ann") == [new]


def test_a_correction_ends_a_doubt(memory: Memory) -> None:
    tell(memory, *FISH)
    old = memory.thoughts(user_id="ann")[0]
    memory.correct(old.id, "Ann eats fish on Sundays.", user_id="ann")
    assert [(t.text, t.doubt) for t in memory.thoughts(user_id="ann")] == [
        (FISH[1].text, ()), ("Ann eats fish on Sundays.", ()),
    ]  # fmt: skip


def test_a_closed_thought_cannot_be_corrected(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 1))
    (rome,) = memory.thoughts(user_id="ann")
    oslo = memory.history(rome.id, user_id="ann")[0]
    with pytest.raises(InvalidInput, match="no longer holds"):
        memory.correct(oslo.id, "I live in Bonn.", user_id="ann")
    assert known(memory) == ["I live in Rome now"]


def test_a_retracted_correction_makes_the_old_thought_hold_again(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0))
    (old,) = memory.thoughts(user_id="ann")
    new = memory.correct(old.id, "I live in Rome.", user_id="ann")
    memory.retract(new.id, user_id="ann")
    assert memory.thoughts(user_id="ann") == [old]


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


@pytest.mark.parametrize(
    "turns",
    [
        (FISH[0], says(FISH[1].text, 1, "assistant")),
        (lives("Oslo", 0), lives("Rome", 1, "assistant")),
        (lives("Oslo", 0), says("I moved away", 1, "assistant")),
        (lives("Oslo", 0), says("I might move", 1, "assistant")),
    ],
    ids=["judged", "another", "denied", "doubted"],
)
def test_an_assistants_words_never_close_or_doubt_a_users(turns: tuple[Turn, ...]) -> None:
    judge = Says(True)
    with opened(judge=judge) as memory:
        for order in (turns, turns[::-1]):
            user = next(users)
            tell(memory, *order, user_id=user)
            (thought,) = (t for t in memory.thoughts(user_id=user) if t.text == turns[0].text)
            assert (thought.closed_by, thought.doubt, thought.conflicts) == (None, (), ())
    assert judge.asked == []


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
    tell(memory, lives("Rome", 1), lives("Bonn", 3), lives("Oslo", 0), lives("Kyiv", 2))
    chain = everything(memory)

    assert [thought.tail for thought in chain] == ["Oslo", "Rome", "Kyiv", "Bonn"]
    assert [thought.valid_to for thought in chain] == [day(1), day(2), day(3), None]
    for thought in chain:
        assert memory.history(thought.id, user_id="ann") == chain


def test_history_of_what_replaced_nothing_is_the_thought_alone(memory: Memory) -> None:
    tell(memory, says("Ann likes tea."), lives("Oslo"))
    for thought in memory.thoughts(user_id="ann"):
        assert memory.history(thought.id, user_id="ann") == [thought]


@pytest.mark.parametrize("call", ["history", "retract", "correct"])
def test_a_strangers_thought_is_not_there(memory: Memory, call: str) -> None:
    arguments = {"text": "Ann likes milk."} if call == "correct" else {}
    tell(memory, lives("Oslo"))
    (thought,) = memory.thoughts(user_id="ann")

    with pytest.raises(InvalidInput, match="has no thought"):
        getattr(memory, call)(thought.id, user_id="bob", **arguments)
    assert memory.thoughts(user_id="ann") == [thought]


def test_a_claim_that_comes_late_interrupts_what_was_said_around_it(memory: Memory) -> None:
    ids = tell(memory, lives("Oslo", 1), lives("Oslo", 5), lives("Oslo", 7), lives("Rome", 3))
    chain = sorted(everything(memory), key=lambda thought: thought.said_at)

    assert [(thought.tail, thought.turn_ids) for thought in chain] == [
        ("Oslo", (ids[0],)), ("Rome", (ids[3],)), ("Oslo", (ids[1], ids[2])),
    ]  # fmt: skip
    assert (known(memory), memory.doctor()) == (["I live in Oslo now"], [])


def test_an_assistants_echo_keeps_no_claim_of_the_user_alive(memory: Memory) -> None:
    tell(memory, lives("Oslo", 1), lives("Oslo", 5, "assistant"), lives("Rome", 3))
    assert {(thought.tail, thought.role) for thought in memory.thoughts(user_id="ann")} == {
        ("Rome", "user"), ("Oslo", "assistant"),
    }  # fmt: skip


def test_who_leaves_and_comes_back_in_one_batch_lives_there_twice(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0))
    memory.remember([lives("Rome", 1), lives("Oslo", 2)], user_id="ann")
    memory.think(user_id="ann")
    (now,) = memory.thoughts(user_id="ann")
    chain = memory.history(now.id, user_id="ann")
    assert [thought.tail for thought in chain] == ["Oslo", "Rome", "Oslo"]
    assert [thought.closed_by for thought in chain] == [chain[1].id, chain[2].id, None]


def test_two_people_who_say_the_same_sentence_have_a_thought_each(memory: Memory) -> None:
    memory.remember(
        [Turn(text="I live in Ghent.", name=name, said_at=day(0)) for name in ("Ann", "Bob")],
        user_id="ann",
    )
    memory.think(user_id="ann")
    context = memory.context("I live in Ghent.", user_id="ann")
    for thoughts in (memory.thoughts(user_id="ann"), context.thoughts):
        assert sorted(thought.said_by for thought in thoughts) == ["Ann", "Bob"]


def test_a_verdict_of_sameness_never_merges_the_words_of_two_people() -> None:
    def compare(pairs: list[ThoughtPair]) -> list[Relation]:
        return ["same"] * len(pairs)

    with opened() as memory:
        memory._maintenance._reflection.thinker.compare = compare  # type: ignore[attr-defined]
        tell(memory, says("You like tea.", 0, "assistant"), says("Ann likes jam.", 1))
        tell(memory, Turn(text="Yes, I like tea.", name="Bob", said_at=day(2)))
        assert [(t.said_by, t.text) for t in memory.thoughts(user_id="ann")] == [
            ("Ann", "You like tea."), ("Ann", "Ann likes jam."), ("Bob", "Yes, I like tea."),
        ]  # fmt: skip


def test_thoughts_as_of_a_time_are_those_that_held_then(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 2), says("Ann likes tea.", 3))

    assert known(memory, as_of=day(-1)) == []
    assert known(memory, as_of=day(0)) == known(memory, as_of=day(1)) == ["I live in Oslo now"]
    assert known(memory, as_of=day(2)) == ["I live in Rome now"]
    assert known(memory, as_of=day(9)) == known(memory)


def test_what_is_said_of_its_beginning_counts_for_what_held_then() -> None:
    def read(turn: Turn) -> list[Claim]:
        since = day(1) if "Rome" in turn.text else None
        return [claim(turn, turn.text, valid_from=since)]

    with opened(thinker=Reader(read)) as memory:
        tell(memory, lives("Oslo", 0), lives("Rome", 5))
        assert known(memory, as_of=day(2)) == ["I live in Rome now"]
        found = memory.recall("where", user_id="ann", kind="thought", as_of=day(2))
        assert texts_of(found) == ["I live in Oslo now"]  # nobody had said so


def test_what_replaced_a_fact_stands_before_it(memory: Memory) -> None:
    turns = [lives("Oslo", 0), lives("Rome", 400), says("I live in fear of the dentist", 1)]
    turns[1] = says("I live in Rome since the winter, and the light here is a joy every day", 400)
    tell(memory, *turns)

    for asked in ("Does Ann live in Oslo now?", "I live in Oslo now", "Oslo"):
        hits = texts_of(memory.recall(asked, user_id="ann"))
        assert hits.index(turns[1].text) < hits.index(turns[0].text)


def test_the_block_says_since_when_what_holds_holds(memory: Memory) -> None:
    tell(memory, lives("Oslo", 0), lives("Rome", 2))
    context = memory.context("I live where now?", user_id="ann")

    assert [thought.text for thought in context.thoughts] == ["I live in Rome now"]
    assert [line for line in context.text.splitlines() if "[since" in line] == [
        "> [since 3 May 2024] Ann: I live in Rome now"
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
    """Return where Ann lives: what a user said last, and what an assistant said after that."""
    told = [turn for turn in turns if turn.text.startswith("I live")]
    told.sort(key=lambda turn: turn.said_at or day(0))
    last_of_users = [turn for turn in told if turn.role == "user"][-1:]
    return {turn.text for turn in [*last_of_users, *told[-1:]]}


def homes(found: list[str]) -> set[str]:
    return {text for text in found if "live in" in text}


def shown(memory: Memory, user: str, as_of: datetime | None = None) -> dict[str, set[str]]:
    """Return where Ann lives, by all that says so."""
    asked: dict[str, Any] = {"user_id": user, "as_of": as_of}
    context = memory.context("I live in Oslo Rome Bonn now", **asked)
    since = [line for line in context.text.splitlines() if line.startswith("> [since")]
    return {
        "recall": homes(texts_of(memory.recall("I live in Oslo now", kind="thought", **asked))),
        "context": homes(texts(context.thoughts)),
        "block": homes([line.split("Ann: ")[1] for line in since]),
    }


@settings(max_examples=60)
@given(turns=tellings(), data=st.data())
def test_a_closed_fact_is_never_shown_as_current(
    shared: Memory, turns: list[Turn], data: st.DataObject
) -> None:
    user = next(users)
    tell(shared, *turns, user_id=user)
    forgotten = data.draw(st.sets(st.sampled_from([str(turn.id) for turn in turns])))
    for turn_ids in (set(), forgotten):
        shared.forget(user_id=user, turn_ids=turn_ids)
        shared.think(user_id=user)
        left = [turn for turn in turns if turn.id not in turn_ids]

        assert homes(known(shared, user)) == current(left)
        assert all(texts == current(left) for texts in shown(shared, user).values())


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
        hits = shared.recall("I live in Oslo now", kind="thought", **asked)
        _signed, *lines = shared.context("I live in Oslo Rome", **asked).text.splitlines() or [""]
        return sorted((hit.text, hit.turn_ids) for hit in hits), sorted(lines)

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
    def compare(pairs: list[ThoughtPair]) -> list[Relation]:
        return ["closes"] * len(pairs)

    memory._maintenance._reflection.thinker.compare = compare  # type: ignore[attr-defined]
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
    assert known(memory, session_id="s2") == ["I live in Rome now"]


def support_of(thoughts: list[Thought]) -> list[int]:
    return [thought.support for thought in thoughts]


def test_support_counts_what_the_scope_sees(memory: Memory) -> None:
    for n, session in enumerate(["s1", "s2", "s2"]):
        memory.remember(says("Ann likes tea.", n), user_id="ann", session_id=session)
    memory.flush()

    assert support_of(memory.thoughts(user_id="ann")) == [3]
    assert support_of(memory.thoughts(user_id="ann", session_id="s2")) == [2]


def test_two_people_of_one_name_in_different_company_change_nothing_of_each_other(
    memory: Memory,
) -> None:
    def said(session: str, text: str, n: int, *, beside: str) -> None:
        turns = [
            Turn(text="hello", name=beside, said_at=day(n)),
            Turn(text=text, name="Max", said_at=day(n)),
        ]
        memory.remember(turns, user_id="ann", session_id=session)
        memory.think(user_id="ann")

    said("football", "I live in Oslo", 0, beside="Ann")
    said("work", "I live in Rome", 1, beside="Bob")
    assert "I live in Oslo" in [t.text for t in memory.thoughts(user_id="ann") if not t.doubt]
    said("party", "I live in Bonn", 2, beside="Ann")
    assert "I live in Oslo" not in [t.text for t in memory.thoughts(user_id="ann") if not t.doubt]
