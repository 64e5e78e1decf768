"""Sets made from a seed keep their promises: what is asked was said, once, and before."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from evals import ROOT
from evals.data.haystack import PUBLISHED, DataSet, Haystack, Question
from evals.data.synthetic import PROBES
from memkit import Turn
from memkit.errors import InvalidInput

# asked by an order, or by a date that nobody said: no text holds the answer
NOT_SAID = ("order of events", "order of steps", "relative date")

some_probe = st.sampled_from(list(PROBES))
some_seed = st.integers(0, 10_000)


def made(probe: str, seed: int = 0) -> DataSet:
    """Return one conversation of full size, or as many as belong together."""
    return PROBES[probe](seed, conversations=5 if probe == "position" else 1)


def asked(data: DataSet) -> Iterator[tuple[Haystack, Question]]:
    for haystack in data.haystacks:
        for question in haystack.questions:
            yield haystack, question


def gold(haystack: Haystack, question: Question) -> list[Turn]:
    ids = question.golds[PUBLISHED].turns
    return [turn for turn in haystack.turns if turn.id in ids]


def says(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


@given(some_probe, some_seed, st.sampled_from(["small", "default"]))
@examples(max_examples=25)
def test_ids_are_unique_and_time_goes_forward(probe: str, seed: int, size: str) -> None:
    data = PROBES[probe](seed, conversations=2, size=size)
    questions = [question.id for _, question in asked(data)]

    assert len(set(questions)) == len(questions)
    assert len({haystack.name for haystack in data.haystacks}) == 2
    for haystack in data.haystacks:
        assert [turn.id for turn in haystack.turns] == [f"t{n}" for n in range(len(haystack.turns))]
        times = [turn.said_at for turn in haystack.turns]
        assert all(a and b and a < b for a, b in pairwise(times))


@given(some_probe, some_seed)
@examples(max_examples=25)
def test_sessions_are_days_apart_and_come_one_after_another(probe: str, seed: int) -> None:
    for haystack in made(probe, seed).haystacks:
        for before, after in pairwise(haystack.turns):
            assert before.said_at
            assert after.said_at
            gap = after.said_at - before.said_at
            assert (gap > timedelta(days=1)) == (before.session_id != after.session_id)


@given(some_probe, some_seed, st.sampled_from(["small", "default"]))
@examples(max_examples=40)
def test_evidence_is_the_users_and_was_said_before_the_question(
    probe: str, seed: int, size: str
) -> None:
    for haystack, question in asked(PROBES[probe](seed, conversations=1, size=size)):
        known = haystack.turns[: question.after]
        evidence = gold(haystack, question)
        assert len(evidence) == len(question.golds[PUBLISHED].turns)
        assert all(turn in known and turn.role == "user" for turn in evidence)
        assert bool(evidence) == question.answerable
        assert set(question.golds[PUBLISHED].sessions) == {turn.session_id for turn in evidence}


@given(some_probe, some_seed)
@examples(max_examples=25)
def test_what_is_known_by_time_is_what_is_known_by_turns(probe: str, seed: int) -> None:
    for haystack, question in asked(made(probe, seed)):
        at = question.asked_at
        assert at is not None
        by_time = [turn for turn in haystack.turns if turn.said_at and turn.said_at <= at]
        assert by_time == list(haystack.turns[: question.after])


@given(some_probe, some_seed)
@examples(max_examples=60)
def test_an_answer_occurs_in_its_evidence_and_nowhere_else(probe: str, seed: int) -> None:
    for haystack, question in asked(made(probe, seed)):
        evidence = gold(haystack, question)
        answers = question.expected.answers[: len(evidence)]  # of dates, the form that was told
        if question.kind in NOT_SAID or not answers:
            continue
        for answer, turn in zip(answers, evidence, strict=True):
            others = "\n".join(one.text for one in haystack.turns if one != turn)
            assert says(turn.text, answer)
            assert not says(others, answer)
        assert not any(says(question.text, answer) for answer in question.expected.answers)


@given(some_probe, some_seed)
@examples(max_examples=60)
def test_three_foils_that_nobody_ever_said(probe: str, seed: int) -> None:
    for haystack, question in asked(made(probe, seed)):
        foils = question.expected.foils
        assert len(set(foils)) == (0 if question.kind.startswith("order") else 3)
        assert not set(foils) & set(question.expected.answers)
        text = "\n".join([question.text, *(turn.text for turn in haystack.turns)])
        assert not any(says(text, foil) for foil in foils)


def test_a_date_to_work_out_stands_in_no_turn() -> None:
    relative = [one for one in asked(made("ordering")) if one[1].kind == "relative date"]

    assert len(relative) == 2
    for haystack, question in relative:
        answers = question.expected.answers
        assert not any(says(turn.text, one) for turn in haystack.turns for one in answers)


def hashes(seed: int) -> list[str]:
    return [make(seed, size="small").sha256 for make in PROBES.values()]


def test_the_same_seed_makes_the_same_sets_in_another_process() -> None:
    code = (
        "from evals.data.synthetic import PROBES\n"
        "print(*[make(7, size='small').sha256 for make in PROBES.values()])"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1"}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert other.stdout.split() == hashes(7)


def test_another_seed_makes_other_sets() -> None:
    assert not set(hashes(7)) & set(hashes(8))


@pytest.mark.parametrize("probe", PROBES)
def test_the_small_size_is_small(probe: str) -> None:
    data = PROBES[probe](size="small")

    assert len(data.haystacks) == 3
    assert all(len(haystack.turns) <= 30 for haystack in data.haystacks)
    # `forgetting` has three kept facts, and three questions to each of three deleted ones
    n = 12 if probe == "forgetting" else 3
    assert all(len(haystack.questions) == n for haystack in data.haystacks)


def test_nothing_made_from_a_seed_is_for_tuning() -> None:
    data = PROBES["updates"](conversations=7, size="small")
    assert {haystack.split for haystack in data.haystacks} == {"report"}


def test_more_conversations_begin_with_the_same() -> None:
    few, many = (PROBES["deletions"](3, conversations=n, size="small") for n in (2, 4))

    assert list(many.haystacks[:2]) == list(few.haystacks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": "huge"}, "default, small"), ({"conversations": 0}, "at least 1, got 0")],
)
def test_what_cannot_be_made_names_the_fix(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        PROBES["distance"](**arguments)  # type: ignore[arg-type]
