"""Think-in-Memory gives the same thoughts over SQLite and over dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from contract import reflection, turn, verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from thinkers import day
from thought_rows import InDictionaries, InSQLite, ThoughtMemory

from memkit.protocols import Relation, Verdict, WriteBatch
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
    return claim(f"I live in {city}.", n, role=role, tail=city)


def leaving(n: float) -> Thought:
    return claim("I moved away.", n, kind="denial")


def relation(older: Thought, newer: Thought) -> Relation:
    """Return what newer words do to older ones: nobody lives in two cities or eats no fish."""
    if older.tail and (newer.tail or newer.kind == "denial"):
        return "same" if newer.tail == older.tail else "closes"
    texts = {older.text, newer.text}
    return "doubts" if texts == {thought.text for thought in FISH} else "keeps"


def compare(stored: Sequence[Thought], new: Sequence[Thought]) -> list[Verdict]:
    """Return the verdicts on all pairs of thoughts of which at least one is new."""
    pairs = [(old, thought) for n, thought in enumerate(new) for old in (*stored, *new[:n])]
    ordered = [tuple(sorted(pair, key=lambda thought: thought.said_at)) for pair in pairs]
    verdicts = [verdict(older.id, newer.id, relation(older, newer)) for older, newer in ordered]
    return [verdict for verdict in verdicts if verdict.relation != "keeps"]


def think(memory: ThoughtMemory, *claims: Thought) -> None:
    """Have turns remembered that make these claims, and write the claims one turn at a time."""
    for thought in claims:
        turn_id = thought.turn_ids[0]
        memory.remember(turn(turn_id, turn_id, said_at=thought.said_at, role=thought.role))
        verdicts = compare(memory.thoughts(), [thought])
        memory.write(reflection([turn_id], thought, verdicts=verdicts))


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
def test_a_doubted_thought_and_the_later_words_both_hold_and_are_marked(
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


# ---- one after the other

ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def test_newer_words_close_the_older_thought_when_they_begin(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2))
    oslo, rome = memory.thoughts()

    assert (oslo.closed_by, oslo.valid_to, oslo.closed_at) == (rome.id, day(2), day(2))
    assert rome.closed_by is None


@pytest.mark.parametrize("order", ORDERS)
def test_thoughts_close_each_other_in_the_order_said_whatever_order_they_arrive_in(
    memory: ThoughtMemory, order: Sequence[int]
) -> None:
    said = home("Oslo", 1), home("Rome", 2), home("Bonn", 3)
    think(memory, *[said[n] for n in order])
    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("2",), False), ("Bonn", ("3",), True),
    ]  # fmt: skip
    by_id = believed(memory)
    assert [by_id[thought.id].valid_to for thought in said] == [day(2), day(3), None]


@pytest.mark.parametrize("order", ORDERS)
def test_who_comes_back_has_lived_there_twice_whatever_order_the_words_arrive_in(
    memory: ThoughtMemory, order: Sequence[int]
) -> None:
    said = home("Oslo", 1), home("Rome", 3), home("Oslo", 5)
    think(memory, *[said[n] for n in order])
    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("3",), False), ("Oslo", ("5",), True),
    ]  # fmt: skip


def test_words_that_arrive_late_split_a_thought_said_before_and_after_them(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), home("Oslo", 4), home("Oslo", 5), home("Rome", 3))
    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("3",), False), ("Oslo", ("4", "5"), True),
    ]  # fmt: skip
    oslo = believed(memory)["I live in Oslo.@1"]
    assert (oslo.repeated_at, oslo.valid_to) == (day(1), day(3))


@pytest.mark.parametrize("order", ORDERS)
def test_who_says_it_again_after_a_doubt_is_believed_from_then_on(
    memory: ThoughtMemory, order: Sequence[int]
) -> None:
    said = FISH[0], FISH[1], claim(FISH[0].text, 3)
    think(memory, *[said[n] for n in order])
    open_thoughts = [t for t in believed(memory).values() if t.closed_by is None]

    again = next(thought for thought in open_thoughts if thought.text == FISH[0].text)
    assert (again.said_at, again.turn_ids) == (day(3), ("3",))


def test_verdicts_inside_one_batch_apply_in_the_order_of_its_thoughts(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1))
    memory.remember(*(turn(f"{n}", f"{n}", said_at=day(n)) for n in (2, 3)))
    batch = home("Rome", 2), home("Oslo", 3)
    verdicts = compare(memory.thoughts(), batch)
    memory.write(reflection(["2", "3"], *batch, verdicts=verdicts))

    assert chain(memory) == [
        ("Oslo", ("1",), False), ("Rome", ("2",), False), ("Oslo", ("3",), True),
    ]  # fmt: skip


def test_a_verdict_of_sameness_merges_words_that_have_nothing_in_common(
    memory: ThoughtMemory,
) -> None:
    think(memory, claim("Ann likes tea.", 1))
    memory.remember(turn("2", "2", said_at=day(2)))
    new = claim("A fine oolong suits me", 2)
    verdicts = [verdict("Ann likes tea.@1", new.id, "same")]
    memory.write(reflection(["2"], new, verdicts=verdicts))

    (thought,) = memory.thoughts()
    assert (thought.text, thought.turn_ids) == ("Ann likes tea.", ("1", "2"))


def test_an_assistants_words_never_close_a_users(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), home("Rome", 2, role="assistant"))
    assert chain(memory) == [("Oslo", ("1",), True), ("Rome", ("2",), True)]


def test_a_users_words_close_an_assistants_and_are_not_merged_into_them(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Rome", 1, role="assistant"), home("Oslo", 2))
    think(memory, home("Oslo", 3, role="assistant"))
    assert chain(memory) == [
        ("Rome", ("1",), False),
        ("Oslo", ("2",), True),
        ("Oslo", ("3",), True),
    ]


def test_a_user_who_says_it_again_closes_what_an_assistant_said_in_between(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), home("Oslo", 5), home("Rome", 3, role="assistant"))
    assert chain(memory) == [
        ("Oslo", ("1",), False),
        ("Rome", ("3",), False),
        ("Oslo", ("5",), True),
    ]


def test_a_denial_closes_and_what_follows_it_holds(memory: ThoughtMemory) -> None:
    think(memory, home("Oslo", 1), leaving(2), home("Oslo", 3))
    oslo, denial, again = memory.thoughts()

    assert (oslo.closed_by, denial.kind, again.closed_by) == (denial.id, "denial", None)


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
    memory.write(WriteBatch(retract={"I live in Bonn.@3": LATER}))

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
    assert memory.queue() == ["1", "3"]  # "1" holds again


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


def test_what_holds_again_is_queued_to_be_compared_with_what_was_said_since(
    memory: ThoughtMemory,
) -> None:
    think(memory, home("Oslo", 1), leaving(2), home("Bonn", 3))
    memory.write(WriteBatch(retract={leaving(2).id: LATER}))
    assert memory.queue() == ["1"]

    again = replace(home("Oslo", 1), id="again")
    memory.write(reflection(["1"], again, verdicts=compare(memory.thoughts(), [again])))
    assert chain(memory) == [("Oslo", ("1",), False), ("Bonn", ("3",), True)]


def test_a_doubt_outlives_the_thought_that_closed_the_doubted_one(memory: ThoughtMemory) -> None:
    think(memory, *FISH)
    memory.remember(turn("3", "3", said_at=day(3)))
    meat = claim("Ann eats meat only.", 3)
    memory.write(reflection(["3"], meat, verdicts=[verdict(FISH[0].id, meat.id, "closes")]))
    memory.write(WriteBatch(retract={meat.id: LATER}))

    doubted = believed(memory)[FISH[0].id]
    assert (doubted.closed_by, doubted.conflicts) == (None, (FISH[1].id,))


# ---- any sequence of writes

TEXTS = [
    "Ann likes green tea.", "ann likes the green tea", "Ann will eat fish on the boat.",
    "Ann will not eat fish on the boat.", "The harbour froze.",
]  # fmt: skip
VALUES = st.tuples(st.sampled_from(["Oslo", "Rome"]), st.integers(1, 9)).map(lambda v: ("home", *v))
STATEMENTS = st.tuples(st.sampled_from(TEXTS), st.integers(1, 9)).map(lambda v: ("say", *v))
REMOVALS = st.tuples(
    st.sampled_from(["forget", "retract", "resolve", "leave", "think"]), st.integers(0, 9)
)


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
    """Apply writes; return what is stored, without ids, which differ where a thought is split."""
    numbers = count(100)
    claims: dict[str, Thought] = {}
    for kind, *details in writes:
        stored = [thought.id for thought in memory.thoughts()]
        if kind in {"home", "say", "leave"}:
            number, on = next(numbers), int(details[-1])
            text = str(details[0])
            made = {"home": home(text, number), "say": claim(text, number)}
            new = made.get(kind, leaving(number))
            times = dict.fromkeys(("said_at", "repeated_at", "valid_from"), day(on))
            claims[f"{number}"] = replace(new, **times)
            think(memory, claims[f"{number}"])
        elif kind == "think":  # about the turns that were queued again
            for turn_id in memory.queue():
                new = replace(claims[turn_id], id=f"{turn_id}, again {next(numbers)}")
                verdicts = compare(memory.thoughts(), [new])
                memory.write(reflection([turn_id], new, verdicts=verdicts))
        elif kind == "forget":
            memory.write(WriteBatch(forget=[str(100 + int(details[0]))]))
        elif kind == "retract" and stored:
            memory.write(WriteBatch(retract={stored[int(details[0]) % len(stored)]: LATER}))
        elif kind == "resolve":
            pairs = [
                (thought.id, rival) for thought in memory.thoughts() for rival in thought.conflicts
            ]
            memory.write(WriteBatch(resolved_conflicts=[(*pair, True) for pair in pairs[:1]]))
        check(memory)
    return summary(memory)


def check(memory: ThoughtMemory) -> None:
    """Assert what holds after every write."""
    thoughts = believed(memory)
    for thought in thoughts.values():
        assert thought.sources
        assert thought.id not in thought.conflicts
        closers, at = 0, thought
        while at.closed_by is not None:
            closers += 1
            assert closers <= len(thoughts)  # no circle
            closer = thoughts[at.closed_by]  # it is stored, and believed
            assert at.closed_at is not None
            assert at.closed_at >= at.said_at
            at = closer


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
