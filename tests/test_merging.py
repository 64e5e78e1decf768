"""Which thoughts say the same, how they are joined, and how one is closed."""

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


def test_thoughts_with_a_low_cosine_do_not_say_the_same() -> None:
    new, old = thought("Ann really likes tea."), thought("Ann likes tea.")

    assert merging.says_the_same(new, old, merging.SAME)
    assert not merging.says_the_same(new, old, merging.SAME - 0.01)


@pytest.mark.parametrize("fields", [{"said_by": "Bob"}, {"role": "assistant"}, {"kind": "denial"}])
def test_only_believed_thoughts_of_one_speaker_say_the_same(fields: dict[str, Any]) -> None:
    new = thought("Ann likes tea.")
    assert not merging.says_the_same(new, replace(new, **fields), 1.0)
    assert not merging.says_the_same(replace(new, **fields), new, 1.0)


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


# ---- closed

times = st.integers(0, 9)


@given(times, times, times)
def test_a_closed_thought_never_holds_at_the_same_time_as_the_one_that_closed_it(
    said: int, since: int, later: int
) -> None:
    old = thought("I live in Oslo.", said)
    new = thought("I live in Rome.", said + later, valid_from=day(since))
    closed = merging.close(old, new)

    assert closed.closed_by == new.id
    assert closed.closed_at == new.said_at
    assert closed.valid_to == max(old.valid_from, new.valid_from)
    assert merging.close(closed, None) == old


def test_a_thought_is_closed_from_when_its_closer_was_said() -> None:
    closed = merging.close(thought("I live in Oslo.", 1), thought("I live in Rome.", 4))
    assert [merging.held_at(closed, day(n)) for n in (2, 3.9, 4, 5)] == [True, True, False, False]


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
