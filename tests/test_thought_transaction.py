"""Think-in-Memory gives the same thoughts over SQLite and over dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from contract import reflection, turn
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import day
from thought_rows import InDictionaries, InSQLite, ThoughtMemory

from memkit.protocols import WriteBatch
from memkit.records import Role, Source, Thought

IMPLEMENTATIONS: list[type[InSQLite] | type[InDictionaries]] = [InSQLite, InDictionaries]
LATER = day(99)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda implementation: implementation.__name__)
def memory(request: pytest.FixtureRequest) -> ThoughtMemory:
    implementation: ThoughtMemory = request.param()
    return implementation


def claim(text: str, n: float, start: int = 0, role: Role = "user", **fields: Any) -> Thought:
    """Return a claim of the n-th day's turn."""
    return Thought(
        id=f"{text}@{n}", text=text, sources=(Source(turn_id=f"{n}", start=start, end=start + 1),),
        said_by="Ann", role=role, said_at=day(n), repeated_at=day(n), valid_from=day(n), head="Ann",
        recorded_at=day(9), **fields,
    )  # fmt: skip


def home(city: str, n: float, role: Role = "user") -> Thought:
    return claim(f"Ann lives in {city}.", n, role=role, slot="home", tail=city)


def think(memory: ThoughtMemory, *claims: Thought) -> None:
    """Have turns remembered that make these claims, and write the claims one turn at a time."""
    for thought in claims:
        turn_id = thought.turn_ids[0]
        memory.remember(turn(turn_id, turn_id, said_at=thought.said_at, role=thought.role))
        memory.write(reflection([turn_id], thought))


def believed(memory: ThoughtMemory) -> dict[str, Thought]:
    return {thought.id: thought for thought in memory.thoughts() if thought.retracted_at is None}


def chain(memory: ThoughtMemory) -> list[tuple[str | None, tuple[str, ...], bool]]:
    """Return value, turns and whether it holds, of all thoughts in the order said."""
    ordered = sorted(believed(memory).values(), key=lambda thought: thought.said_at)
    return [(thought.tail, thought.turn_ids, thought.closed_by is None) for thought in ordered]


# ---- statements


def test_a_paraphrase_is_merged_into_the_words_said_first(memory: ThoughtMemory) -> None:
    think(memory, claim("Ann likes the green tea.", 1), claim("ann likes green tea", 2))
    (thought,) = memory.thoughts()

    assert (thought.text, thought.turn_ids) == ("Ann likes the green tea.", ("1", "2"))
    assert (thought.said_at, thought.repeated_at) == (day(1), day(2))


def test_words_that_were_said_earlier_but_arrive_later_replace_the_text(
    memory: ThoughtMemory,
) -> None:
    think(memory, claim("ann likes green tea", 2), claim("Ann likes the green tea.", 1))
    (thought,) = memory.thoughts()

    assert (thought.text, thought.turn_ids) == ("Ann likes the green tea.", ("1", "2"))
    assert thought.id == "ann likes green tea@2"


FISH = claim("Ann will eat fish on the boat.", 1), claim("Ann will not eat fish on the boat.", 2)


@pytest.mark.parametrize("claims", [FISH, FISH[::-1]], ids=["in order", "late"])
def test_statements_that_may_contradict_each_other_both_hold_and_are_marked(
    memory: ThoughtMemory, claims: Sequence[Thought]
) -> None:
    think(memory, *claims)
    first, second = (believed(memory)[thought.id] for thought in FISH)

    assert (first.conflicts, second.conflicts) == ((second.id,), (first.id,))
    assert first.closed_by is second.closed_by is None


@pytest.mark.parametrize("contradict", [True, False])
def test_a_verdict_clears_the_conflict_and_closes_the_older_if_they_contradict(
    memory: ThoughtMemory, contradict: bool
) -> None:
    think(memory, *FISH)
    older, newer = (thought.id for thought in FISH)
    memory.write(WriteBatch(resolved_conflicts=[(older, newer, contradict)]))

    assert [thought.conflicts for thought in memory.thoughts()] == [(), ()]
    assert believed(memory)[older].closed_by == (newer if contradict else None)


def test_a_verdict_on_a_deleted_thought_changes_nothing(memory: ThoughtMemory) -> None:
    think(memory, *FISH)
    older, newer = (thought.id for thought in FISH)
    memory.write(WriteBatch(forget=["1"]))
    memory.write(WriteBatch(resolved_conflicts=[(older, newer, True)]))

    (thought,) = memory.thoughts()
    assert (thought.id, thought.conflicts, thought.closed_by) == (newer, (), None)


# ---- values of a single-valued attribute


def test_a_new_value_closes_the_old_one_when_it_begins(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2))
    oslo, rome = memory.thoughts()

    assert (oslo.closed_by, oslo.valid_to, oslo.closed_at) == (rome.id, day(2), day(2))
    assert rome.closed_by is None


def test_an_older_value_that_arrives_late_takes_its_place_in_the_chain(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), home("Bonn", 3), home("Rome", 2))
    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("2",), False), ("Bonn", ("3",), True),
    ]  # fmt: skip


def test_a_value_that_arrives_late_splits_one_that_was_said_before_and_after_it(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), home("Oslo", 4), home("Oslo", 5), home("Rome", 3))
    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("3",), False), ("Oslo", ("4", "5"), True),
    ]  # fmt: skip
    oslo = believed(memory)["Ann lives in Oslo.@1"]
    assert (oslo.repeated_at, oslo.valid_to) == (day(1), day(3))


def test_an_assistants_value_never_replaces_a_users(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2, role="assistant"))
    assert chain(memory) == [("Oslo", ("1",), True), ("Rome", ("2",), False)]


def test_a_users_value_is_not_merged_into_an_assistants(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1, role="assistant"), home("Oslo", 2))
    assert chain(memory) == [("Oslo", ("1",), False), ("Oslo", ("2",), True)]


# ---- the queue


def test_thoughts_are_written_only_while_all_their_turns_are_queued(memory: ThoughtMemory) -> None:
    memory.remember(turn("1", "1", said_at=day(1)), turn("2", "2", said_at=day(2)))
    memory.write(reflection(["1"], home("Oslo", 1)))
    memory.write(reflection(["1", "2"], home("Rome", 2)))

    assert [thought.tail for thought in memory.thoughts()] == ["Oslo"]
    assert memory.queue() == ["2"]


# ---- retracted and forgotten


def test_what_a_retracted_thought_closed_holds_again(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2), home("Bonn", 3))
    memory.write(WriteBatch(retract={"Ann lives in Bonn.@3": LATER}))

    assert chain(memory) == [("Oslo", ("1",), False), ("Rome", ("2",), True)]


def test_a_retracted_thought_has_no_conflicts(memory: ThoughtMemory) -> None:
    think(memory, *FISH)
    memory.write(WriteBatch(retract={FISH[1].id: LATER}))

    assert [thought.conflicts for thought in memory.thoughts()] == [(), ()]


def test_a_retracted_claim_is_not_drawn_from_the_same_place_again(memory: ThoughtMemory) -> None:
    shared = claim("Ann likes tea.", 1, start=5), claim("Ann likes tea.", 2, start=5)
    memory.remember(turn("1", "1", said_at=day(1)), turn("2", "2", said_at=day(2)))
    memory.write(reflection(["1"], home("Oslo", 1), shared[0]))
    memory.write(reflection(["2"], shared[1]))
    memory.write(WriteBatch(retract={home("Oslo", 1).id: LATER}))
    memory.write(WriteBatch(forget=["2"]))
    assert memory.queue() == ["1"]  # it supported a thought that is deleted

    memory.write(reflection(["1"], home("Oslo", 1), shared[0]))
    assert [thought.text for thought in believed(memory).values()] == ["Ann likes tea."]


def test_forgetting_deletes_what_was_drawn_and_queues_the_turns_that_support_it(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2), home("Rome", 3))
    memory.write(WriteBatch(forget=["2"]))

    assert chain(memory) == [("Oslo", ("1",), True)]
    assert memory.queue() == ["3"]


def test_forgetting_joins_the_chain_over_the_gap(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2), home("Bonn", 3))
    memory.write(WriteBatch(forget=["2"]))

    oslo, bonn = memory.thoughts()
    assert (oslo.closed_by, oslo.valid_to, bonn.closed_by) == (bonn.id, day(3), None)


def test_forgetting_reopens_what_a_verdict_closed(memory: ThoughtMemory) -> None:
    think(memory, *FISH)
    memory.write(WriteBatch(resolved_conflicts=[(FISH[0].id, FISH[1].id, True)]))
    memory.write(WriteBatch(forget=["2"]))

    (thought,) = memory.thoughts()
    assert (thought.id, thought.closed_by, thought.valid_to) == (FISH[0].id, None, None)


# ---- any sequence of writes

TEXTS = [
    "Ann likes green tea.", "ann likes the green tea", "Ann will eat fish on the boat.",
    "Ann will not eat fish on the boat.", "The harbour froze.",
]  # fmt: skip
VALUES = st.tuples(st.sampled_from(["Oslo", "Rome"]), st.integers(1, 9)).map(lambda v: ("home", *v))
STATEMENTS = st.tuples(st.sampled_from(TEXTS), st.integers(1, 9)).map(lambda v: ("say", *v))
REMOVALS = st.tuples(st.sampled_from(["forget", "retract", "resolve"]), st.integers(0, 9))


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES | STATEMENTS | REMOVALS, min_size=3, max_size=14))
def test_any_sequence_of_writes_gives_the_same_thoughts_in_both(
    writes: list[tuple[str, int] | tuple[str, str, int]],
) -> None:
    summaries = [apply(implementation(), writes) for implementation in IMPLEMENTATIONS]
    assert summaries[0] == summaries[1]


def apply(
    memory: ThoughtMemory, writes: Sequence[tuple[str, int] | tuple[str, str, int]]
) -> list[object]:
    """Apply writes; return what is stored, without ids, which differ where a value is split."""
    numbers = count(100)
    for kind, *details in writes:
        stored = [thought.id for thought in memory.thoughts()]
        if kind in {"home", "say"}:
            text, on = details
            number = next(numbers)
            made = home(str(text), number) if kind == "home" else claim(str(text), number)
            times = dict.fromkeys(("said_at", "repeated_at", "valid_from"), day(int(on)))
            think(memory, replace(made, **times))
        elif kind == "forget":
            memory.write(WriteBatch(forget=[str(100 + int(details[0]))]))
        elif kind == "retract" and stored:
            memory.write(WriteBatch(retract={stored[int(details[0]) % len(stored)]: LATER}))
        elif kind == "resolve":
            pairs = [
                (thought.id, rival) for thought in memory.thoughts() for rival in thought.conflicts
            ]
            memory.write(WriteBatch(resolved_conflicts=[(*pair, True) for pair in pairs[:1]]))
    return summary(memory)


def summary(memory: ThoughtMemory) -> list[object]:
    named = {thought.id: (thought.text, thought.sources) for thought in memory.thoughts()}
    return [
        (
            thought.text, thought.sources, thought.said_at, thought.repeated_at, thought.valid_to,
            thought.retracted_at, named.get(thought.closed_by or ""),
            sorted(str(named[rival]) for rival in thought.conflicts),
        )
        for thought in memory.thoughts()
    ] + [memory.queue()]  # fmt: skip
