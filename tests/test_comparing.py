"""How the default thinker asks its network about thoughts: each pair gets its own answer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memkit import Turn
from memkit.protocols import ThoughtPair, Vectors
from memkit.records import Source, Thought
from memkit.thoughts import LearnedThinker
from memkit.thoughts.reader import Reading, TalkReader

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
MOST_TURN = 560  # characters that the network reads of a turn


class Matching(TalkReader):
    """Says that a clause replaces the older thought that holds the same number, and only that."""

    def pairs(self, readings: Sequence[Reading]) -> list[Vectors]:
        """Answer by the words of each reading."""
        self.readings = list(readings)
        return [self._table(reading) for reading in readings]

    def _table(self, reading: Reading) -> Vectors:
        table = np.zeros((len(reading.earlier), len(reading.spans), 4), dtype=np.float32)
        for row, older in enumerate(reading.earlier):
            for column, (start, end) in enumerate(reading.spans):
                clause = reading.text[start:end]
                same = older.text[slice(*older.span)].split()[-1] == clause.split()[-1]
                table[row, column, 2 if same else 0] = 1
        return table


def thought(number: int, turn_id: str, source: Source | None = None) -> Thought:
    return Thought(
        id=f"{turn_id}-{number}", text=f"I own number {number}",
        sources=(source or Source(turn_id=turn_id, start=0, end=5),), said_by="user", role="user",
        said_at=NOON, repeated_at=NOON, valid_from=NOON, recorded_at=NOON,
    )  # fmt: skip


def pair_of(old: Thought, new: Thought, turn: Turn) -> ThoughtPair:
    older_turn = Turn(text=old.text, id=old.turn_ids[0], said_at=NOON)
    return ThoughtPair(older=old, newer=new, older_turn=older_turn, turn=turn)


def turn_with(numbers: Sequence[int], id: str) -> tuple[Turn, list[Thought]]:
    """Return a turn that states its numbers far apart, and what it states as thoughts."""
    text, newer = "", []
    for number in numbers:
        clause = f"I own number {number}"
        newer.append(
            thought(number, id, Source(turn_id=id, start=len(text), end=len(text) + len(clause)))
        )
        text += clause + ". " + "Well. " * 20
    return Turn(text=text, id=id, said_at=NOON), newer


@given(
    st.lists(st.integers(0, 9), max_size=14, unique=True),
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True), max_size=3),
)
def test_every_pair_gets_the_answer_on_its_own_two_thoughts(
    older: list[int], turns: list[list[int]]
) -> None:
    stored = [thought(number, f"before{number}") for number in older]
    pairs = [
        pair_of(old, new, turn)
        for n, numbers in enumerate(turns)
        for turn, newer in [turn_with(numbers, f"turn{n}")]
        for new in newer
        for old in stored
    ]
    relations = LearnedThinker(reader=Matching()).compare(pairs)
    expected = ["closes" if pair.older.text == pair.newer.text else "keeps" for pair in pairs]
    assert relations == expected


def test_a_turn_is_read_once_with_six_older_thoughts() -> None:
    reader = Matching()
    turn, newer = turn_with([1, 2], "turn")
    stored = [thought(number, f"before{number}") for number in range(13)]
    pairs = [pair_of(old, new, turn) for new in newer for old in stored]
    LearnedThinker(reader=reader).compare(pairs)
    assert [len(reading.earlier) for reading in reader.readings] == [6, 6, 1]
    assert all(len(reading.text) <= MOST_TURN + len("user: ") for reading in reader.readings)


def test_an_older_thought_is_read_in_the_words_around_it() -> None:
    reader = Matching()
    text = "The plumber came about the boiler. Done by Friday. He wants 80 for it."
    start = text.index("Done")
    source = Source(turn_id="before", start=start, end=start + len("Done by Friday."))
    old = replace(thought(1, "before"), text="Done by Friday (2026-03-06).", sources=(source,))
    turn, (new,) = turn_with([2], "turn")
    before = Turn(text=text, id="before", said_at=NOON)
    pair = ThoughtPair(older=old, newer=new, older_turn=before, turn=turn)
    LearnedThinker(reader=reader).compare([pair])
    (excerpt,) = reader.readings[0].earlier
    assert excerpt.text == f"user: {text}"
    assert excerpt.text[slice(*excerpt.span)] == "Done by Friday."


def test_only_the_question_of_an_answer_is_read_with_it() -> None:
    reader = Matching()
    turn, (new,) = turn_with([2], "turn")
    old = replace(thought(1, "before"), head="Which one?", relation="answers")
    for stored, prefix in ((old, "Which one? user: "), (replace(old, relation="owns"), "user: ")):
        source = replace(stored.sources[0], end=len(stored.text))
        LearnedThinker(reader=reader).compare(
            [pair_of(replace(stored, sources=(source,)), new, turn)]
        )
        (excerpt,) = reader.readings[0].earlier
        assert excerpt.text == prefix + stored.text
