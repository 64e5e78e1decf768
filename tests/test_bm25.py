"""BM25 over windows and sessions: as the formula has it, between 0 and 1, of the scope alone."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import TIMELINES, integers, share, timeline

from memkit.protocols import Integers, Timeline
from memkit.retrieval import bm25
from memkit.retrieval.bm25 import LexicalScores
from memkit.retrieval.windows import Windows

K1, B = 1.2, 0.75
Postings = list[list[int]]


def postings(n: int) -> st.SearchStrategy[Postings]:
    """Draw the rows of up to four words in a timeline of n chunks."""
    rows = st.lists(st.integers(0, n - 1), unique=True).map(sorted) if n else st.just([])
    return st.lists(rows, max_size=4)


CASES = TIMELINES.flatmap(lambda line: st.tuples(st.just(line), postings(len(line))))


def score(line: Timeline, posting_lists: Postings) -> LexicalScores:
    return of_words(line, {f"{n} word": rows for n, rows in enumerate(posting_lists)})


def of_words(line: Timeline, posting_lists: dict[str, list[int]]) -> LexicalScores:
    rows = {word: integers(rows) for word, rows in posting_lists.items()}
    return bm25.score(line, Windows(line), rows)


def saturated(count: float, length: float, lengths: list[float]) -> float:
    mean = sum(lengths) / len(lengths)
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))


def rarity(line: Timeline, rows: list[int]) -> float:
    n, df = len(line), len(rows)
    return log(1 + (n - df + 0.5) / (df + 0.5))


# ---- equal to the formula, word by word


@given(CASES)
def test_windows_are_scored_as_the_formula_says(case: tuple[Timeline, Postings]) -> None:
    line, posting_lists = case
    lengths = Windows(line).lengths.tolist()
    maximum = sum(rarity(line, rows) for rows in posting_lists) * (K1 + 1)
    window, in_chunk = [0.0] * len(line), [0.0] * len(line)
    for here in range(len(line)):
        for rows in posting_lists:
            count = sum(share(line, here, there) for there in rows)
            share_of_word = rarity(line, rows) * saturated(count, lengths[here], lengths) / maximum
            window[here] += share_of_word
            in_chunk[here] += share_of_word / count if here in rows else 0

    lexical = score(line, posting_lists)
    assert lexical.window == pytest.approx(window)
    assert lexical.chunk == pytest.approx(in_chunk)


@given(CASES)
def test_sessions_are_scored_as_the_formula_says(case: tuple[Timeline, Postings]) -> None:
    line, posting_lists = case
    sessions = sorted(set(line.sessions.tolist()))
    lengths = [float(line.tokens[line.sessions == session].sum()) for session in sessions]
    scores = [
        sum(
            rarity(line, rows)
            * saturated((line.sessions[rows] == session).sum(), lengths[session], lengths)
            for rows in posting_lists
            if rows
        )
        for session in sessions
    ]
    best = max(scores, default=0) or 1

    expected = [scores[session] / best for session in line.sessions]
    assert score(line, posting_lists).session[line.sessions] == pytest.approx(expected)


@given(CASES)
def test_every_score_is_a_share_of_the_maximum(case: tuple[Timeline, Postings]) -> None:
    lexical = score(*case)
    assert lexical.chunk.shape == lexical.window.shape == (len(case[0]),)
    for scores in (lexical.chunk, lexical.window, lexical.session):
        assert ((scores >= 0) & (scores <= 1)).all()
    assert (lexical.chunk <= lexical.window + 1e-12).all()


# ---- consequences


def test_a_rare_word_tells_more_than_a_common_one() -> None:
    line = timeline([5] * 6, range(6))
    lexical = score(line, [[0], [1, 2, 3, 4]])
    assert lexical.chunk[0] > lexical.chunk[1] > lexical.chunk[5] == 0


def test_words_of_a_neighbour_count_but_are_not_its_own() -> None:
    lexical = score(timeline([5, 5, 5], [0, 0, 1]), [[0]])
    assert lexical.window[0] > lexical.window[1] > lexical.window[2] == 0
    assert lexical.chunk[0] == lexical.window[0]
    assert lexical.chunk[1] == 0


def test_a_long_chunk_needs_more_of_the_words() -> None:
    lexical = score(timeline([5, 500], [0, 1]), [[0, 1]])
    assert lexical.chunk[0] > lexical.chunk[1] > 0


def test_all_words_in_one_chunk_score_more_than_each_alone() -> None:
    lexical = score(timeline([5] * 4, range(4)), [[0, 1], [0, 2]])
    assert lexical.chunk[0] > lexical.chunk[1] == lexical.chunk[2] > 0


def test_another_form_of_a_word_counts_once() -> None:
    line = timeline([5] * 6, range(6))
    twice = of_words(line, {"camp": [0, 3], "camping": [0, 3], "tent": [1]})
    once = of_words(line, {"camp": [0, 3], "tent": [1]})
    assert twice.chunk.tolist() == once.chunk.tolist()
    assert twice.session.tolist() == once.session.tolist()


def test_two_different_words_with_the_same_rows_both_count() -> None:
    line = timeline([5] * 6, range(6))
    both = of_words(line, {"camp": [0], "tent": [0], "lake": [1]}).chunk
    assert both[0] == pytest.approx(2 * both[1])


def test_each_word_without_rows_lowers_all_scores() -> None:
    line = timeline([5] * 6, range(6))
    best = [float(score(line, [[0], *[[]] * n]).chunk[0]) for n in range(3)]
    assert best[0] > best[1] > best[2] > 0


def test_the_best_session_scores_one_and_the_others_a_part_of_that() -> None:
    scores = score(timeline([5] * 6, [0, 0, 1, 1, 2, 2]), [[0, 2], [1]]).session
    assert scores[0] == 1 > scores[1] > scores[2] == 0


@pytest.mark.parametrize(
    "posting_lists", [[], [[]], [[], []]], ids=["no word", "unknown", "two unknown"]
)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_nothing_to_find_scores_zero(n: int, posting_lists: Postings) -> None:
    lexical = score(timeline([5] * n), posting_lists)
    nothing: Integers = np.zeros(n, dtype=np.int64)
    assert lexical.chunk.tolist() == lexical.window.tolist() == nothing.tolist()
    assert not lexical.session.any()
