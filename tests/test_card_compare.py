"""Two cards: what was registered decides, and what does not compare is said, not intersected."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evals import ROOT
from evals.card.audit import thresholds
from evals.card.audit.compare import Verdict, compare_cards, show
from evals.card.audit.thresholds import Registration, Threshold
from evals.card.records import Card, Figure, Record
from memkit.errors import InvalidInput

CONVERSATIONS = 8


def card(
    score: float = 0.8,
    *,
    metric: str = "MRR",
    conversations: int = CONVERSATIONS,
    data: dict[str, Any] | None = None,
    **config: Any,
) -> Card:
    """Return a card of one system, with one question and this score in each conversation."""
    records = [
        Record(
            data="d", haystack=f"h{n}", question=f"q{n}", kind="fact", answerable=True,
            regime="replay", system="memkit", scores={metric: score},
        )
        for n in range(conversations)
    ]  # fmt: skip
    figure = Figure(
        layer="external", metric=metric, data="d", group="all", regime="replay", system="memkit",
        value=score, low=score, high=score, n=conversations,
    )  # fmt: skip
    return Card(
        name="c", config={"budget": 512} | config, stamp={}, disclosure={},
        data=[{"name": "d", "format": "made", "sha256": "0"} | (data or {})],
        figures=[figure], not_run=[], curves=[], funnels=[], compared=[], audits=[],
        records=records,
    )  # fmt: skip


def mixed(*scores: float) -> Card:
    """Return a card whose conversations have these scores."""
    base = card(conversations=len(scores))
    pairs = zip(base.records, scores, strict=True)
    return replace(base, records=[replace(item, scores={"MRR": score}) for item, score in pairs])


def registered(metric: str = "MRR", **bounds: Any) -> Registration:
    item = Threshold(metric=metric, system="memkit", **bounds)
    return Registration(thresholds=(item,), file="t.toml", sha256="f" * 64)


def verdict(a: Card, b: Card, metric: str = "MRR", **bounds: Any) -> Verdict:
    return compare_cards(a, b, registered(metric, **bounds))


def states(result: Verdict) -> list[str]:
    return [item.state for item in result.checks]


# ---- absolute bounds


@pytest.mark.parametrize(
    ("bounds", "passed"),
    [({"min": 0.8}, True), ({"min": 0.81}, False), ({"max": 0.8}, True), ({"max": 0.79}, False)],
)
def test_the_later_cards_figure_has_to_reach_an_absolute_bound(
    bounds: dict[str, float], passed: bool
) -> None:
    assert verdict(card(0.1), card(0.8), **bounds).passed is passed


def test_a_bound_on_what_was_not_measured_fails_unless_it_is_optional() -> None:
    required = verdict(card(), card(), "freshness hit", min=0.8)
    optional = verdict(card(), card(), "freshness hit", min=0.8, optional=True)

    assert (states(required), required.passed) == (["not run"], False)
    assert (states(optional), optional.passed) == (["not run"], True)


def test_a_figure_that_the_later_card_lost_is_not_passed_over() -> None:
    lost = replace(card(), figures=[])

    result = verdict(card(), lost, min=0.1)
    assert (states(result), result.passed) == (["not run"], False)
    assert "card A has this figure" in result.checks[0].reason


def test_another_data_set_is_no_business_of_a_threshold() -> None:
    result = verdict(card(), card(), data="other", min=0.1)

    assert (states(result), result.checks[0].data) == (["not run"], "other")


# ---- non-inferiority


def test_the_same_card_is_not_inferior_to_itself() -> None:
    assert verdict(card(), card(), max_drop=0.0).passed


def test_a_drop_beyond_what_is_borne_fails_and_within_it_passes() -> None:
    assert not verdict(card(0.8), card(0.7), max_drop=0.05).passed
    assert verdict(card(0.8), card(0.7), max_drop=0.11).passed


def test_where_lower_is_better_a_rise_is_the_drop() -> None:
    few, many = card(0.1, metric="unsupported claims"), card(0.3, metric="unsupported claims")

    assert not verdict(few, many, "unsupported claims", max_drop=0.05).passed
    assert verdict(many, few, "unsupported claims", max_drop=0.05).passed


def test_the_intervals_bound_decides_and_not_the_mean() -> None:
    # no difference on the whole, and conversations that differ by 1 either way
    a, b = mixed(0, 1, 0, 1, 0, 1), mixed(1, 0, 1, 0, 1, 0)

    result = verdict(a, b, max_drop=0.1)
    assert result.differences[0].difference == 0
    assert not result.passed


def test_one_conversation_is_not_enough_to_pass() -> None:
    item = card(conversations=1)

    result = verdict(item, item, max_drop=0.5)
    assert (states(result), result.passed) == (["not run"], False)
    assert "1 of the 5 conversations" in result.checks[0].reason


def test_a_few_conversations_that_agree_are_not_enough_either() -> None:
    four, five = card(conversations=4), card(conversations=5)

    assert states(verdict(four, four, max_drop=0.5)) == ["not run"]
    assert states(verdict(five, five, max_drop=0.5)) == ["passed"]


# ---- what does not compare


def test_other_questions_are_reported_and_not_intersected() -> None:
    result = verdict(card(), card(conversations=6), max_drop=0.5)

    assert (states(result), result.passed) == (["not run"], False)
    assert result.mismatches == [
        "d, replay, memkit: other questions were asked: 2 only in A, 0 only in B, 6 in both"
    ]


def test_another_file_of_the_same_name_is_never_paired() -> None:
    result = verdict(card(), card(data={"sha256": "1"}), max_drop=0.5)

    assert (result.differences, states(result)) == ([], ["not run"])
    assert result.mismatches == ["data d: sha256 is '0' in A and '1' in B"]
    assert "sha256" in result.checks[0].reason


def test_the_same_file_with_another_audit_is_never_paired() -> None:
    a, b = (card(data={"notes": [f"audited gold: errors.json, sha256 {n}"]}) for n in "01")

    assert states(verdict(a, b, max_drop=0.5)) == ["not run"]


def test_a_data_set_of_one_card_only_is_reported() -> None:
    result = verdict(card(), replace(card(), data=[], records=[], figures=[]), max_drop=0.5)

    assert result.mismatches == ["data d is in card A only"]
    assert not result.passed


MODEL = {"kind": "smollm2", "window": 512, "questions": 6}


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ({}, {"budget": 1024}, "budget is 512 in A and 1024 in B"),
        ({"embedder": "hash"}, {"embedder": "minilm"}, "embedder is 'hash'"),
        ({"prompt_sha256": "0"}, {"prompt_sha256": "1"}, "prompt_sha256 is '0'"),
        ({"model": MODEL}, {"model": MODEL | {"window": 1024}}, "model.window is 512"),
        ({"model": None}, {"model": MODEL}, "model.kind is None in A and 'smollm2' in B"),
    ],
)
def test_no_drop_is_checked_across_settings_that_a_score_rests_on(
    a: dict[str, Any], b: dict[str, Any], why: str
) -> None:
    result = verdict(card(**a), card(**b), max_drop=0.5)

    assert (states(result), result.passed) == (["not run"], False)
    assert why in result.checks[0].reason
    assert any(why in item for item in result.mismatches)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"code_sha256": "0"}, {"code_sha256": "1"}),  # it is what two cards compare
        ({"disclosure": {}}, {"disclosure": {"study_id": "x"}}),
        ({"judge": None}, {"judge": {"kind": "openai"}}),
        ({"model": MODEL}, {"model": MODEL | {"questions": 12}}),
        ({"model": MODEL}, {"model": MODEL | {"revision": None}}),
    ],
)
def test_other_settings_are_said_and_bar_nothing(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert verdict(card(**a), card(**b), max_drop=0.5).passed


def test_what_another_judge_says_is_not_compared() -> None:
    a, b = (card(metric="judged right", judge={"kind": kind}) for kind in ("openai", "smollm2"))

    result = verdict(a, b, "judged right", max_drop=0.5)
    assert (states(result), result.passed) == (["not run"], False)
    assert "judge.kind" in result.checks[0].reason


def test_a_bound_on_the_later_card_rests_on_nothing_of_the_earlier() -> None:
    assert verdict(card(), card(budget=1024), min=0.8).passed


@pytest.mark.parametrize("bare", ["A", "B", "AB"])
def test_a_card_without_records_is_checked_by_its_figures_and_by_no_drop(bare: str) -> None:
    whole, small = card(), replace(card(), records=[])
    a, b = (small if name in bare else whole for name in "AB")

    result = verdict(a, b, max_drop=0.5)
    why = f"card {bare[0]} was written without records; pass the card.json of the run"
    assert (states(result), result.passed) == (["not run"], False)
    assert why in result.checks[0].reason
    assert len(result.mismatches) == len(bare)
    assert verdict(a, b, min=0.8).passed


def test_questions_that_one_card_did_not_score_stand_in_the_reason() -> None:
    b = card()
    unscored = replace(b, records=[replace(b.records[0], scores={}), *b.records[1:]])

    assert "; 1 questions are scored in one card only" in (
        verdict(card(), unscored, max_drop=0.5).checks[0].reason
    )


def test_differences_are_b_less_a_and_corrected() -> None:
    (result,) = compare_cards(card(0.5), card(0.75)).differences

    assert (result.ours, result.theirs, result.n) == ("memkit, B", "memkit, A", CONVERSATIONS)
    assert (result.difference, result.effect) == (0.25, 1)
    assert result.p == result.p_holm == pytest.approx(2 / 2**CONVERSATIONS)


def test_a_verdict_is_printed_with_what_decided() -> None:
    out = StringIO()
    a, b = card(0.8), card(0.5, budget=[1])

    show(verdict(a, b, min=0.7), Console(file=out, width=200))
    text = out.getvalue()
    for part in ("memkit: MRR ≥ 0.7", "failed", "0.500", "budget is 512", "Card B failed", "-0.30"):
        assert part in text


# ---- the file


def read(tmp_path: Path, content: str) -> Registration:
    path = tmp_path / "thresholds.toml"
    path.write_text(content)
    return thresholds.read(path)


def test_the_example_has_the_papers_bounds() -> None:
    result = thresholds.read(ROOT / "evals/card/thresholds.toml")

    assert {item.metric: item.min or item.max for item in result.thresholds} == {
        "turn recall@5": 0.85, "freshness hit": 0.8, "conflict handled": 0.8,
        "citation coverage": 0.85, "unsupported claims": 0.05,
    }  # fmt: skip
    assert len(result.sha256) == 64


HEAD = '[[threshold]]\nmetric = "MRR"\nsystem = "memkit"\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"\[\[threshold\]\] tables"),
        ("x = ", "is no TOML"),
        (f"other = 1\n{HEAD}min = 0.5", "only those"),
        ("threshold = [1]", "threshold 1 is no table"),
        (HEAD, "threshold 1: 'MRR' has no bound"),
        (f"{HEAD}min = 0.5\nmim = 0.4", "no key 'mim'"),
        (f'{HEAD}min = "0.5"', "min: Input should be a valid number"),
        (f"{HEAD}min = true", "min: Input should be a valid number"),
        (f"{HEAD}min = nan", "min: Input should be a finite number"),
        (f"{HEAD}min = 0.5\noptional = 1", "optional: Input should be a valid boolean"),
        (f"{HEAD}min = 0.5\nmax = 0.4", "min 0.5 is above max 0.4"),
        (f"{HEAD}max_drop = -0.1", "0 or more"),
        (f'{HEAD}max_drop = 0.1\ngroup = "fact"', "all kinds at once"),
        (f'{HEAD}min = 0.5\nregime = "offline"', "no regime 'offline'"),
        ('[[threshold]]\nmetric = "MRR"\nmin = 0.5', "system: Field required"),
        (HEAD.replace("MRR", "turn recal@5") + "min = 1", "the catalogue has turn recall@5"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_names_the_fix(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path, content)


def test_a_file_of_thresholds_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        thresholds.read(tmp_path / "none.toml")
