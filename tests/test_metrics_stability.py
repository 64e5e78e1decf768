"""Stability and cost: by hand; and the catalogue of all."""

import pytest

from evals.metrics import stability
from evals.metrics.catalogue import LAYERS, METRICS

TABLE = [
    [1.0, None, None],
    [0.4, 0.8, None],
    [0.9, 0.2, None],
    [0.7, 0.6, 1.0],
]

# ---- stability


def test_the_lowest_accuracy_is_that_since_something_else_was_written() -> None:
    assert stability.min_accuracy([0.1, 0.4, 0.9, 0.7]) == 0.4  # not the .1 while it was current
    assert stability.min_accuracy([None, 0.8, None, 0.6]) == 0.6
    assert stability.min_accuracy([None, 1.0]) is None
    assert stability.mean_min_accuracy(TABLE) == pytest.approx((0.4 + 0.2) / 2)


def test_worst_case_accuracy_is_the_sources_formula() -> None:
    k, current, lowest = 3, 1.0, (0.4 + 0.2) / 2

    assert stability.worst_case_accuracy(TABLE) == pytest.approx(current / k + (1 - 1 / k) * lowest)
    assert stability.worst_case_accuracy([[1.0]]) is None


def test_drops_and_rises_are_inside_a_window_of_steps() -> None:
    assert stability.windowed_drop(TABLE, 2) == pytest.approx((0.6 + 0.6) / 2)
    assert stability.windowed_rise(TABLE, 2) == pytest.approx((0.5 + 0.4) / 2)
    slow = [[0.9], [0.6], [0.3]]
    assert stability.windowed_drop(slow, 2) == pytest.approx(0.3)
    assert stability.windowed_drop(slow, 3) == pytest.approx(0.6)
    assert stability.windowed_rise(slow, 3) == 0


def test_a_step_at_which_a_task_was_not_asked_still_takes_its_time() -> None:
    assert stability.windowed_drop([[0.9], [None], [0.1]], 2) == 0
    assert stability.windowed_drop([[0.9], [None], [0.1]], 3) == pytest.approx(0.8)


def test_forgetting_is_best_minus_last() -> None:
    assert stability.forgetting(TABLE) == pytest.approx((0.3 + 0.2) / 2)
    assert stability.forgetting([[0.5], [0.8]]) == 0
    assert stability.forgetting([[0.5]]) is stability.windowed_drop([[0.5]], 5) is None


# ---- cost


# ---- catalogue


def test_every_metric_says_what_it_is_in_a_sentence_and_whence() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.layer in LAYERS
        assert metric.better in ("higher", "lower")
        assert metric.definition.endswith(".")
        assert all((metric.source, metric.unit))


def test_every_layer_has_metrics_and_no_name_is_in_two() -> None:
    rows = [row for layer in LAYERS for row in METRICS.values() if row.layer == layer]

    assert {metric.layer for metric in rows} == set(LAYERS)
    assert len({metric.name.casefold() for metric in rows}) == len(rows) == len(METRICS)


def test_what_is_bad_is_better_lower() -> None:
    bad = (
        "unsupported claims",
        "false refusal",
        "out-of-date use",
        "forgetting",
        "AURC",
        "mid-drop",
    )

    assert {METRICS[name].better for name in bad} == {"lower"}
    assert {METRICS[name].better for name in ("F1", "half-life", "abstention")} == {"higher"}
