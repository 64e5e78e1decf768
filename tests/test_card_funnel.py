"""Where evidence was lost, and why a metric has no figure."""

from pathlib import Path
from typing import Any

import pytest
from scripted_memory import record, spread

from evals.card import aggregate, build
from evals.card.config import Config, ModelSpec
from evals.card.records import Regime
from evals.card.run import Results
from evals.data.haystack import DataSet
from evals.data.registry import Spec
from evals.metrics.catalogue import METRICS


def came(*passed: str, lucky: bool = False) -> dict[str, bool]:
    return {stage: stage in passed for stage in aggregate.STAGES} | {"lucky": lucky}


LOST = [
    came(*aggregate.STAGES),
    came("stored", "retrieved", "used", "right", lucky=True),
    came("stored"),
    came(),
]


def test_a_funnel_counts_those_that_passed_every_earlier_stage() -> None:
    (found,) = aggregate.funnels(spread(record(), [{"stages": one} for one in LOST]))
    counts = (found.asked, *(getattr(found, stage) for stage in aggregate.STAGES))
    assert counts == (4, 3, 2, 1, 1, 1)
    assert found.lucky == 1


def test_a_stage_that_is_not_known_is_none_and_loses_nobody() -> None:
    known = ("retrieved", "packed")
    stages = [{name: one[name] for name in known} for one in LOST]
    (found,) = aggregate.funnels(spread(record(), [{"stages": one} for one in stages]))
    assert (found.stored, found.retrieved, found.packed) == (None, 2, 1)
    assert (found.used, found.right, found.lucky) == (None, None, None)


def test_a_sample_of_replies_takes_no_question_out_of_the_stages_before_them() -> None:
    unanswered = {"stored": True, "retrieved": True, "packed": True}
    asked = spread(record(), [{"stages": one} for one in (LOST[0], LOST[3], *[unanswered] * 4)])
    (found,) = aggregate.funnels([*asked, record(answerable=False, stages={})])
    assert (found.asked, found.stored, found.retrieved, found.packed) == (6, 5, 5, 5)
    assert (found.answered, found.used, found.right, found.lucky) == (2, 1, 1, 0)
    assert aggregate.funnels([record(probe=True, stages=LOST[0])]) == []


def test_each_kind_has_a_funnel_of_its_own() -> None:
    both = [record(stages=LOST[0]), record(kind="when", stages=LOST[3])]
    assert {one.group: one.right for one in aggregate.funnels(both)} == {
        "all": 1, "fact": 1, "when": 0,
    }  # fmt: skip


# ---- what is not run, and why


def why(regimes: tuple[Regime, ...] = ("replay", "online"), **how: Any) -> dict[str, str]:
    config = Config(name="c", data=[Spec(format="jsonl")], systems=["ours"], regimes=regimes, **how)
    data = DataSet(format="jsonl", file="f", sha256="0", haystacks=[])
    card = build.build(config, Results(records=[], not_run=[], data=[data]), {})
    return {metric: one.why for one in card.not_run for metric in one.what.split(", ")}


def test_every_metric_without_a_figure_has_a_reason() -> None:
    assert why().keys() >= METRICS.keys()


def test_an_audit_with_nothing_to_check_is_not_run_and_has_not_passed() -> None:
    assert "has a time" in why()["temporal: evidence before its question"]


@pytest.mark.parametrize(
    ("metric", "how", "reason"),
    [
        ("contains", {}, "no model"),
        ("recognition", {}, "no model"),
        ("judged right", {"model": ModelSpec(kind="smollm2")}, "no judge"),
        ("exposure", {"model": ModelSpec(kind="openai")}, "endpoint"),
        ("half-cue recall", {"model": ModelSpec(kind="smollm2", recall=False)}, "switches it off"),
        ("contains", {"model": ModelSpec(kind="smollm2")}, "no question"),
        ("forgetting", {"regimes": ("replay",)}, "online regime"),
        ("half-life", {"regimes": ("replay",)}, "online regime"),
        ("turn recall@5", {"regimes": ("parametric",)}, "neither replay nor online"),
        ("freshness hit", {}, "no question"),
        ("LN accuracy", {}, "no model"),
    ],
)
def test_the_reason_is_the_one_that_applies(metric: str, how: dict[str, Any], reason: str) -> None:
    assert reason in why(**how)[metric]


def test_a_metric_that_has_a_figure_is_not_said_to_be_missing() -> None:
    config = Config(name="c", data=[Spec(format="jsonl", path=Path("f"))], systems=["ours"])
    data = DataSet(format="jsonl", file="f", sha256="0", haystacks=[])
    done = Results(records=[record(data="jsonl", scores={"any@10": 1})], not_run=[], data=[data])
    card = build.build(config, done, {})
    assert "any@10" not in {name for one in card.not_run for name in one.what.split(", ")}
    assert {one.metric for one in card.figures} == {"any@10"}
