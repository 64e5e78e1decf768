"""A memory that is broken, or that cheats, is caught by its card."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from broken_memories import Leaking, Prophet
from test_card_run import given, made

from evals.card import run
from evals.card.audit import compare, thresholds
from evals.card.records import Audit, Card
from evals.data.haystack import Haystack

UPDATES = {"format": "synthetic", "probe": "updates", "size": "small", "conversations": 6}
DELETIONS = {"format": "synthetic", "probe": "deletions", "size": "small", "conversations": 6}
TEXTS = (
    ("I play the cello.", "Which instrument do I play?", "cello"),
    ("My dog is called Biscuit.", "What is my dog called?", "Biscuit"),
    ("My sister Ada moved to Bergen.", "Where does my sister live?", "Bergen"),
    ("I am allergic to walnuts.", "What am I allergic to?", "walnuts"),
    ("I drive a green van.", "What do I drive?", "a green van"),
)
PLAIN = json.dumps(
    {
        "turns": [{"text": text} for text, _, _ in TEXTS],
        "questions": [
            {"question": asked, "answers": [answer], "evidence": [f"t{n}"]}
            for n, (_, asked, answer) in enumerate(TEXTS)
        ],
    }
)


def haystacks(chosen: dict[str, object]) -> Sequence[Haystack]:
    (spec,) = given(data=[chosen]).data
    return run.data.read(spec).haystacks


def card(broken: str, tmp_path: Path, data: dict[str, object]) -> Card:
    systems = ["memkit", f"broken_memories:{broken}"]
    return made(given(systems=systems, data=[data], regimes=["replay"]), tmp_path / "out")


def failed(found: Card, system: str) -> list[str]:
    return [one.name for one in audits(found, system) if not one.passed]


def audits(found: Card, system: str) -> Iterator[Audit]:
    return (one for one in found.audits if one.system == system)


def value(found: Card, metric: str, system: str) -> float:
    (one,) = [
        figure
        for figure in found.figures
        if (figure.metric, figure.system, figure.group) == (metric, system, "all")
    ]
    return one.value


def test_shuffled_results_are_significantly_worse_and_miss_the_thresholds(tmp_path: Path) -> None:
    found = card("Shuffled", tmp_path, DELETIONS | {"conversations": 12})
    (difference,) = [one for one in found.compared if one.metric == "turn recall@10"]
    assert difference.difference > 0
    assert difference.p_holm is not None
    assert difference.p_holm < 0.05

    (tmp_path / "held.toml").write_text(
        '[[threshold]]\nmetric = "turn recall@5"\nsystem = "broken_memories:Shuffled"\nmin = 0.85\n'
    )
    held = thresholds.read(tmp_path / "held.toml")
    verdict = compare.compare_cards(found, found, held)
    assert not verdict.passed
    assert [one.state for one in verdict.checks] == ["failed"]


@pytest.mark.parametrize(
    "wording", ["{answer}.", "{question}: {answer}", "The answer is {answer}."]
)
@pytest.mark.parametrize("probe", ["updates", "conflicts", "distance", "deletions"])
def test_answers_that_nobody_said_are_found_in_the_prompt(
    probe: str, wording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = UPDATES | {"probe": probe}
    told = {
        question.query: question.expected.answers[-1]
        for haystack in haystacks(chosen)
        for question in haystack.questions
        if question.expected.answers
    }
    monkeypatch.setattr(Leaking, "answers", told)
    monkeypatch.setattr(Leaking, "wording", wording)
    found = card("Leaking", tmp_path, chosen)
    assert failed(found, "memkit") == []
    assert failed(found, "broken_memories:Leaking") == [
        "answer leaked: no answer in what was never said"
    ]
    caught = [
        one.audit["answer leaked"] > 0 for one in found.records
        if one.system != "memkit" and one.answerable
    ]  # fmt: skip
    assert sum(caught) >= 0.85 * len(caught)  # somebody may have said that very clause


def test_memkit_is_accused_of_nothing_where_only_texts_are_given(tmp_path: Path) -> None:
    """Without dates, memkit gives turns one of its own, which nobody said."""
    (tmp_path / "plain.jsonl").write_text(PLAIN)
    found = made(
        given(
            systems=["memkit", "BM25"],
            data=[{"format": "jsonl", "path": str(tmp_path / "plain.jsonl")}],
            regimes=["replay", "online"],
        ),
        tmp_path / "out",
    )
    assert failed(found, "memkit") == []
    checked = [one.checked for one in audits(found, "memkit") if "leaked" in one.name]
    assert sum(checked) > 0


def test_stale_values_first_are_out_of_date_use(tmp_path: Path) -> None:
    found = card("Stale", tmp_path, UPDATES)
    stale = "broken_memories:Stale"
    assert value(found, "out-of-date use", stale) > value(found, "out-of-date use", "memkit") + 0.2
    assert value(found, "freshness hit", stale) < value(found, "freshness hit", "memkit") - 0.2
    assert value(found, "turn recall@50", stale) == value(found, "turn recall@50", "memkit")


def test_what_was_said_later_is_found_by_the_temporal_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Prophet, "conversations", [one.turns for one in haystacks(UPDATES)])
    found = card("Prophet", tmp_path, UPDATES)
    assert failed(found, "memkit") == []
    assert failed(found, "broken_memories:Prophet") == [
        "temporal: nothing from the future of a question"
    ]


def test_what_should_be_deleted_and_is_not_is_found(tmp_path: Path) -> None:
    found = card("Hoarder", tmp_path, DELETIONS)
    assert failed(found, "memkit") == []
    assert failed(found, "broken_memories:Hoarder") == ["deletion: nothing that was forgotten"]
