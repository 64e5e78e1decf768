"""What two thoughts are to one another: the same, at odds, or one after the other."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from thinkers import day

from memkit.records import Source, Thought
from memkit.thoughts import merging
from memkit.thoughts.lsh import minhash_bands


def thought(text: str = "", n: float = 0, *, until: float | None = None, **rest: Any) -> Thought:
    """Return a thought of the n-th day, said again `until` another."""
    made = Thought(
        id=f"{text}@{n}", text=text, sources=(Source(turn_id=f"{n}", start=0, end=1),),
        said_by="Ann", role=rest.pop("role", "user"), said_at=day(n),
        repeated_at=day(n if until is None else until), valid_from=day(n), head="Ann",
    )  # fmt: skip
    return replace(made, **rest)


def home(city: str, n: float = 0, **rest: Any) -> Thought:
    return thought(f"Ann lives in {city}.", n, **{"slot": "home", "tail": city, **rest})


# ---- the same


@pytest.mark.parametrize(
    ("new", "old", "cosine"),
    [
        ("Ann likes the tea.", "ann likes tea", 0.5),
        ("Ann has a cat, Bo.", "Ann has a cat Bo", 0.0),
        ("Ann really likes green tea.", "Ann likes green tea.", 0.93),
        ("Ann went to see Åsa in 2020.", "Ann went to see Åsa in 2020 again.", 0.95),
    ],
)
def test_repetitions_and_paraphrases_say_the_same(new: str, old: str, cosine: float) -> None:
    assert merging.says_the_same(thought(new), thought(old), cosine)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("Ann ran 5 km in the big park.", "Ann ran 10 km in the big park."),
        ("Ann has two dogs and a big garden.", "Ann has three dogs and a big garden."),
        ("Ann went to the party with Bob.", "Ann went to the party with Eve."),
        ("Ann went to the party with Åsa.", "Ann went to the party with Émile."),
        ("Ann read 'Emma' in the garden.", "Ann read 'Persuasion' in the garden."),
        ("Ann likes the green tea.", "Ann does not like the green tea."),
        ("Ann likes the green tea.", "Ann doesn’t like the green tea."),
        ("Ann likes C.", "Ann likes C++."),
        ("It was -5 outside.", "It was 5 outside."),
        ("Ann sent 🎉.", "Ann sent 🎂."),
        ("Ann likes tea.", "Ann met a neighbour at the harbour."),
    ],
)
def test_numbers_names_quotes_negations_and_signs_keep_thoughts_apart(new: str, old: str) -> None:
    cosine = 0.99 if new.split()[:2] == old.split()[:2] else 0.95
    assert not merging.says_the_same(thought(new), thought(old), cosine)


def test_thoughts_about_two_heads_or_with_a_low_cosine_do_not_say_the_same() -> None:
    new, old = thought("Ann really likes tea."), thought("Ann likes tea.")

    assert merging.says_the_same(new, old, merging.SAME)
    assert not merging.says_the_same(new, old, merging.SAME - 0.01)
    assert not merging.says_the_same(new, replace(old, head="Bob"), merging.SAME)


@pytest.mark.parametrize(
    ("new", "old", "at_odds"),
    [
        ("Ann does not like fish.", "Ann likes fish.", True),
        ("Ann ran 5 km.", "Ann ran 10 km.", True),
        ("Ann likes fish.", "Ann likes fish a lot.", False),
        ("Ann does not like fish.", "Ann bought a new red bicycle.", False),
    ],
)
def test_thoughts_that_differ_in_a_negation_or_a_number_may_contradict(
    new: str, old: str, at_odds: bool
) -> None:
    assert merging.may_contradict(thought(new), thought(old), 0.8) is at_odds
    assert not merging.may_contradict(thought(new), thought(old), merging.RELATED - 0.01)


def test_thoughts_of_two_heads_do_not_contradict() -> None:
    bob = thought("Ann likes fish.", head="Bob")
    assert not merging.may_contradict(thought("Ann does not like fish."), bob, 0.9)


# ---- joined


@pytest.mark.parametrize("late", [False, True])
def test_a_merged_thought_has_the_words_said_first_and_all_sources(late: bool) -> None:
    first, then = thought("Ann likes tea.", 1), thought("Ann really likes tea.", 5)
    old, new = (then, first) if late else (first, then)
    merged = merging.merge(old, new)

    assert (merged.id, merged.text) == (old.id, "Ann likes tea.")
    assert (merged.said_at, merged.valid_from, merged.repeated_at) == (day(1), day(1), day(5))
    assert (set(merged.turn_ids), merged.support) == ({"1", "5"}, 2)


def test_a_source_merged_twice_counts_once() -> None:
    merged = thought("Ann likes tea.")
    assert merging.merge(merged, merged).support == 1


def test_a_users_claim_outranks_an_assistants_when_merged() -> None:
    guess = thought("Ann likes tea.", 1, role="assistant", said_by="Bot")
    merged = merging.merge(guess, thought("Ann likes tea.", 2))

    assert (merged.role, merged.said_by) == ("user", "Ann")
    assert merging.merge(merged, replace(guess, said_at=day(3))).role == "user"


# ---- duplicates


@pytest.mark.parametrize(
    ("values", "new", "duplicate"),
    [
        ([home("Oslo", 1)], home("OSLO!", 2), 0),
        ([home("Oslo", 1), home("Rome", 2)], home("Oslo", 3), None),
        ([home("Oslo", 1), home("Rome", 1)], home("Oslo", 1), None),
        ([home("Oslo", 1), home("Rome", 3)], home("Rome", 2), 1),
        ([home("Oslo", 1, until=5)], home("Oslo", 3), 0),
        ([home("Oslo", 1), home("Rome", 2, role="assistant")], home("Oslo", 3), 0),
        ([home("Oslo", 1, role="assistant")], home("Oslo", 2), None),
        ([home("Oslo", 1)], home("Oslo", 2, role="assistant"), 0),
        ([home("Oslo", 2)], home("Oslo", 1, role="assistant"), None),
        ([home("Oslo", 1)], home("Oslo", 2, relation="does not live in"), None),
        ([home("🎉", 1)], home("🎂", 2), None),
        ([], home("Oslo", 1), None),
    ],
)
def test_a_claim_repeats_its_neighbour_in_time_if_the_values_are_equal(
    values: list[Thought], new: Thought, duplicate: int | None
) -> None:
    assert merging.find_duplicate(new, values) == (None if duplicate is None else values[duplicate])


@pytest.mark.parametrize(
    ("old", "new", "interrupted"),
    [
        (home("Oslo", 1, until=5), home("Rome", 3), True),
        (home("Oslo", 1, until=5), home("Rome", 6), False),
        (home("Oslo", 1, until=5), home("Rome", 0), False),
        (home("Oslo", 1, until=5), home("Oslo", 3), False),
        (home("Oslo", 1, until=5), home("Rome", 3, role="assistant"), False),
        (home("Oslo", 1, until=5, role="assistant"), home("Rome", 3), True),
    ],
)
def test_a_value_said_before_and_after_another_is_interrupted_by_it(
    old: Thought, new: Thought, interrupted: bool
) -> None:
    assert merging.find_interrupted(new, [old]) == ([old] if interrupted else [])


# ---- one after the other

slots = st.lists(
    st.tuples(st.sampled_from(["Oslo", "Rome", "Bonn"]), st.sampled_from(["user", "assistant"])),
    min_size=1,
    max_size=8,
).map(lambda told: [home(city, n, role=role) for n, (city, role) in enumerate(told)])


def open_ones(slot: list[Thought]) -> list[Thought]:
    return [thought for thought in slot if thought.closed_by is None]


@given(slots, st.randoms())
def test_a_chain_is_independent_of_the_order_of_its_input(slot: list[Thought], luck: Any) -> None:
    expected = merging.chain(slot)
    luck.shuffle(slot)
    assert merging.chain(slot) == expected
    assert merging.chain(expected) == expected


@given(slots)
def test_of_an_attribute_only_the_users_last_value_holds(slot: list[Thought]) -> None:
    users = [thought for thought in slot if thought.role == "user"]
    assert [thought.id for thought in open_ones(merging.chain(slot))] == [(users or slot)[-1].id]


@given(slots)
def test_a_users_claim_is_never_closed_by_an_assistants(slot: list[Thought]) -> None:
    assistants = {thought.id for thought in slot if thought.role == "assistant"}
    users = [thought for thought in merging.chain(slot) if thought.role == "user"]
    assert not assistants & {thought.closed_by for thought in users}


@given(slots, st.integers(0, 7))
def test_an_older_claim_that_comes_late_never_becomes_the_current_one(
    slot: list[Thought], late: int
) -> None:
    assume(late < len(slot) - 1)
    newer = [
        thought
        for thought in slot[late + 1 :]
        if thought.role == "user" or slot[late].role != "user"
    ]
    assume(newer)
    assert slot[late].id not in {thought.id for thought in open_ones(merging.chain(slot))}


@given(slots)
def test_a_thought_is_closed_from_when_its_closer_was_said(
    slot: list[Thought],
) -> None:
    chained = {thought.id: thought for thought in merging.chain(slot)}
    for thought in chained.values():
        if thought.closed_by is not None:
            assert thought.closed_at == max(thought.said_at, chained[thought.closed_by].said_at)
            assert thought.valid_to is not None
            assert thought.valid_from <= thought.valid_to <= thought.closed_at


@given(slots)
def test_no_thought_is_closed_by_way_of_others_by_itself(slot: list[Thought]) -> None:
    closers = {thought.id: thought.closed_by for thought in merging.chain(slot)}
    for closer in closers.values():
        steps, at = 0, closer
        while at is not None:
            steps, at = steps + 1, closers[at]
            assert steps < len(closers)


def test_an_assistants_claim_after_a_users_was_never_believed() -> None:
    said, guess, again = home("Oslo", 1), home("Rome", 2, role="assistant"), home("Bonn", 3)
    _, closed, _ = merging.chain([said, guess, again])

    assert (closed.closed_by, closed.closed_at) == (said.id, day(2))
    assert closed.valid_from == closed.valid_to


def test_the_old_value_ends_when_the_new_one_begins() -> None:
    moved = replace(home("Rome", 9), valid_from=day(4))
    old, _ = merging.chain([home("Oslo", 1), moved])

    assert (old.valid_to, old.closed_at) == (day(4), day(9))


def test_a_thought_whose_closer_is_gone_holds_again() -> None:
    closed = merging.close(home("Oslo", 1), home("Rome", 2))
    assert merging.close(closed, None) == home("Oslo", 1)


# ---- bands


def test_texts_of_the_same_words_share_all_bands_and_others_none() -> None:
    assert minhash_bands("Ann likes green tea") == minhash_bands("ann likes, green tea!")
    assert not set(minhash_bands("Ann likes green tea")) & set(
        minhash_bands("The harbour froze last winter")
    )


def test_most_near_duplicates_share_a_band() -> None:
    words = [f"word{n}" for n in range(400)]
    pairs = [(words[n : n + 10], [*words[n : n + 9], "other"]) for n in range(0, 390, 5)]
    met = [
        bool(set(minhash_bands(" ".join(a))) & set(minhash_bands(" ".join(b)))) for a, b in pairs
    ]
    assert sum(met) > 0.9 * len(met)


@given(st.text(max_size=50))
def test_every_text_has_eight_bands(text: str) -> None:
    assume(text.isprintable())
    found = minhash_bands(text)
    assert len(found) == 8
    assert all(0 <= band < 2**63 for band in found)
