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
from evals.stats import bootstrap as statistics

PROBES = ("updates", "conflicts", "distance", "deletions")
SMALL = {"format": "synthetic", "size": "small", "conversations": 3}
SETS = {f"synthetic {probe}": SMALL | {"probe": probe} for probe in PROBES}
UPDATES, DELETIONS = "synthetic updates", "synthetic deletions"
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
            {"question": question, "answers": [answer], "evidence": [f"t{n}"]}
            for n, (_, question, answer) in enumerate(TEXTS)
        ],
    }
)
LEAK = "answer leaked: no answer in what was never said"


def system(broken: str) -> str:
    return f"broken_memories:{broken}"


def haystacks(*names: str, **options: int) -> Sequence[Haystack]:
    specs = given(data=[SETS[name] | options for name in names]).data
    return [haystack for spec in specs for haystack in run.data.read(spec).haystacks]


def answers() -> dict[object, str]:
    return {
        question.query: question.expected.answers[-1]
        for haystack in haystacks(*SETS, conversations=6)
        for question in haystack.questions
        if question.expected.answers
    }


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """One card of memkit and of everything that is broken, on four data sets."""
    systems = ["memkit", *map(system, ("Leaking", "Stale", "Prophet", "Hoarder"))]
    folder = tmp_path_factory.mktemp("broken") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "SLOW_RESAMPLES", 20)
        patch.setattr(Leaking, "answers", answers())
        patch.setattr(Prophet, "conversations", [one.turns for one in haystacks(*SETS)])
        return made(given(systems=systems, data=[*SETS.values()], regimes=["replay"]), folder)


def failed(card: Card, system: str, *names: str) -> set[str]:
    return {
        audit.name for audit in audits(card, system)
        if not audit.passed and audit.data in (names or SETS)
    }  # fmt: skip


def audits(card: Card, system: str) -> Iterator[Audit]:
    return (audit for audit in card.audits if audit.system == system)


def value(card: Card, metric: str, system: str) -> float:
    key = (UPDATES, metric, system, "all")
    (figure,) = [
        figure
        for figure in card.figures
        if (figure.data, figure.metric, figure.system, figure.group) == key
    ]
    return figure.value


def leaks(card: Card) -> list[bool]:
    return [
        record.audit["answer leaked"] > 0 for record in card.records
        if record.system == system("Leaking") and record.answerable
    ]  # fmt: skip


def test_memkit_is_accused_of_nothing(card: Card) -> None:
    assert failed(card, "memkit") == set()


def test_shuffled_results_are_significantly_worse_and_miss_the_thresholds(tmp_path: Path) -> None:
    sets = [SETS[DELETIONS] | {"conversations": 12}]
    systems = ["memkit", system("Shuffled")]
    card = made(given(systems=systems, data=sets, regimes=["replay"]), tmp_path / "out")
    (difference,) = [one for one in card.compared if one.metric == "turn recall@10"]
    assert difference.difference > 0
    assert difference.p_holm is not None
    assert difference.p_holm < 0.05

    (tmp_path / "bounds.toml").write_text(
        f'[[threshold]]\nmetric = "turn recall@5"\nsystem = "{system("Shuffled")}"\nmin = 0.85\n'
    )
    verdict = compare.compare_cards(card, card, thresholds.read(tmp_path / "bounds.toml"))
    assert not verdict.passed
    assert [check.state for check in verdict.checks] == ["failed"]


def test_answers_that_nobody_said_are_found_in_the_prompt(card: Card) -> None:
    assert all(failed(card, system("Leaking"), name) == {LEAK} for name in SETS)
    caught = leaks(card)
    assert sum(caught) >= 0.85 * len(caught)  # somebody may have said that very clause


@pytest.mark.parametrize("wording", ["{question}: {answer}", "The answer is {answer}."])
def test_an_answer_is_found_in_whatever_wording(
    wording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Leaking, "answers", answers())
    monkeypatch.setattr(Leaking, "wording", wording)
    alone = {"systems": [system("Leaking")], "ours": system("Leaking"), "regimes": ["replay"]}
    card = made(given(**alone, data=[SETS[UPDATES] | {"conversations": 6}]), tmp_path / "out")
    caught = leaks(card)
    assert sum(caught) >= 0.85 * len(caught)


def test_memkit_is_accused_of_nothing_where_only_texts_are_given(tmp_path: Path) -> None:
    """Without dates, memkit gives turns one of its own, which nobody said."""
    (tmp_path / "plain.jsonl").write_text(PLAIN)
    card = made(
        given(
            systems=["memkit", "BM25"],
            data=[{"format": "jsonl", "path": str(tmp_path / "plain.jsonl")}],
            regimes=["replay", "online"],
        ),
        tmp_path / "out",
    )
    assert failed(card, "memkit", "jsonl") == set()
    checked = [audit.checked for audit in audits(card, "memkit") if "leaked" in audit.name]
    assert sum(checked) > 0


def test_stale_values_first_are_out_of_date_use(card: Card) -> None:
    stale = system("Stale")
    assert value(card, "out-of-date use", stale) > value(card, "out-of-date use", "memkit") + 0.2
    assert value(card, "freshness hit", stale) < value(card, "freshness hit", "memkit") - 0.2
    assert value(card, "turn recall@50", stale) == value(card, "turn recall@50", "memkit")


def test_what_was_said_later_is_found_by_the_temporal_audit(card: Card) -> None:
    assert failed(card, system("Prophet"), UPDATES) == {
        "temporal: nothing from the future of a question"
    }


def test_what_should_be_deleted_and_is_not_is_found(card: Card) -> None:
    # a thought may quote what was forgotten, and then no turn that it serves says that
    assert failed(card, system("Hoarder")) - {LEAK} == {"deletion: nothing that was forgotten"}
