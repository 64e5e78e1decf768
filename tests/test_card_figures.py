"""Figures and curves follow from records by sums that can be done by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from scripted_memory import record, spread

from evals.card import aggregate, curves
from evals.card.records import Curve, Figure, Record
from evals.card.report import formats

TOLD = {"low", "high"}


def figures(records: list[Record]) -> dict[tuple[str, str], Figure]:
    return {(one.metric, one.group): one for one in aggregate.figures(records, seed=0)}


def hits(*values: float, **more: Any) -> list[Record]:
    return spread(record(**more), [{"scores": {"any@10": value}} for value in values])


def searched(*rows: tuple[float | None, bool, bool]) -> list[Record]:
    """Return records of (confidence, answerable, hit)."""
    return spread(
        record(returned=10),
        [
            {
                "confidence": confidence,
                "answerable": answerable,
                "scores": {"any@10": float(hit)} if answerable else {},
            }
            for confidence, answerable, hit in rows
        ],
    )


def curve(records: list[Record], name: str) -> Curve:
    (found,) = [one for one in curves.curves(records, seed=0) if one.name == name]
    return found


# ---- layers


def test_a_mean_is_over_the_questions_that_have_the_score() -> None:
    found = figures([*hits(1, 0, 1), replace(record(haystack="h9"), scores={"MRR": 0.5})])
    assert found["any@10", "all"].value == pytest.approx(2 / 3)
    assert (found["any@10", "all"].n, found["MRR", "all"].n) == (3, 1)
    assert found["any@10", "all"].layer == "external"


def test_one_conversation_has_no_interval() -> None:
    one = [replace(each, haystack="h") for each in hits(1, 0, 1)]
    found = figures(one)["any@10", "all"]
    assert (found.low, found.high) == (None, None)
    several = figures(hits(1, 0, 1))["any@10", "all"]
    assert several.low is not None
    assert several.high is not None
    assert several.low < several.value < several.high


@pytest.mark.parametrize(("score", "low", "high"), [(1, 0.025**0.25, 1), (0, 0, 1 - 0.025**0.25)])
def test_conversations_that_all_agree_leave_room_for_one_that_would_not(
    score: float, low: float, high: float
) -> None:
    found = figures(hits(score, score, score, score))["any@10", "all"]
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    ("metric", "values"),
    [("P@5", [0.2] * 4), ("contains", [0.0] + [None] * 11), ("AURC", [0.0] * 4)],
)
def test_what_resampling_cannot_vary_has_no_interval(
    metric: str, values: Sequence[float | None]
) -> None:
    scores = [{} if value is None else {metric: value} for value in values]
    found = figures(spread(record(), [{"scores": one} for one in scores]))[metric, "all"]
    assert (found.low, found.high) == (None, None)


def test_kinds_are_told_apart_if_there_are_several() -> None:
    assert {group for _, group in figures(hits(1, 0))} == {"all"}
    found = figures([*hits(1, 1), *hits(0, kind="when")])
    assert (found["any@10", "fact"].value, found["any@10", "when"].value) == (1, 0)
    assert found["any@10", "all"].value == pytest.approx(2 / 3)


def test_a_kind_called_all_counts_no_question_twice() -> None:
    assert figures([*hits(1, 1, kind="all"), *hits(0)])["any@10", "all"].n == 3


def test_probes_are_no_questions_of_their_own() -> None:
    again = hits(0, 0, regime="online", step=2, probe=True)
    found = figures([*hits(1, 1, regime="online", step=1), *again])
    assert (found["any@10", "all"].value, found["any@10", "all"].n) == (1, 2)


def test_times_are_medians_and_reuse_is_a_share_of_all_prompt_tokens() -> None:
    costs = [
        {"search ms": ms, "prompt tokens": tokens, "reused tokens": reused}
        for ms, tokens, reused in [(1.0, 10.0, 0.0), (2.0, 30.0, 20.0), (99.0, 10.0, 5.0)]
    ]
    found = figures(spread(record(), [{"costs": one} for one in costs]))
    assert found["search ms", "all"].value == 2
    assert found["prefix reuse", "all"].value == pytest.approx(25 / 50)
    assert found["prompt tokens", "all"].value == pytest.approx(50 / 3)
    for one in (found[name, "all"] for name in ("search ms", "prefix reuse")):
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.value < one.high


def test_confidence_is_worth_something_if_what_cannot_be_answered_has_less() -> None:
    found = figures(searched((0.9, True, True), (0.8, True, False), (0.1, False, False)))
    assert found["AUROC", "all"].value == 1
    assert found["AURC", "all"].value == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)


def test_accuracy_is_also_told_per_logarithm_of_the_prompts_length() -> None:
    read = [{"scores": {"contains": hit}, "costs": {"prompt tokens": 100.0}} for hit in (1.0, 0.0)]
    silent = [{"haystack": "h9", "question": "q9", "costs": {"prompt tokens": 9.0}}]
    found = figures(spread(record(), [*read, *silent]))
    assert found["LN accuracy", "all"].value == pytest.approx(0.5 / math.log(100))


def test_with_one_sort_of_question_confidence_cannot_tell_sorts_apart() -> None:
    found = figures(searched((0.9, True, True), (None, True, False)))
    assert ("AUROC", "all") not in found
    assert found["AURC", "all"].value == pytest.approx((0 + 1 / 2) / 2)


def test_without_a_ranking_there_is_no_confidence_to_speak_of() -> None:
    silent = [replace(one, returned=None) for one in searched((None, True, True))]
    assert not {"AURC", "AUROC"} & {metric for metric, _ in figures(silent)}


def test_a_question_without_gold_is_neither_right_nor_wrong_to_answer() -> None:
    rows = searched((0.9, True, True), (0.8, True, False), (0.1, False, False))
    unscored = [
        replace(one, haystack="h8", question="q8", confidence=1.0, scores={}) for one in rows[:1]
    ]
    assert figures([*rows, *unscored])["AURC", "all"] == figures(rows)["AURC", "all"]
    assert curve([*rows, *unscored], "risk-coverage") == curve(rows, "risk-coverage")
    nothing = [*unscored, *rows[2:]]
    assert ("AURC", "all") not in figures(nothing)
    assert figures(nothing)["AUROC", "all"].value == 1  # which asks for no gold


def placed(*rows: tuple[dict[str, float], dict[str, float]]) -> list[Record]:
    return spread(record(), [{"axes": axes, "scores": scores} for axes, scores in rows])


def test_slopes_and_drops_are_those_of_the_points() -> None:
    at = [(0, 1.0), (1, 0.75), (3, 0.5), (7, 0.25)]  # a quarter less with each doubling of x + 1
    found = figures(placed(*(({"distance": x}, {"any@10": y}) for x, y in at)))
    assert found["slope per doubling of distance", "all"].value == pytest.approx(-0.25)

    depths = [(0.1, 1.0), (0.5, 0.0), (0.3, 0.5), (0.9, 0.8)]
    found = figures(placed(*(({"depth": x}, {"any@10": y}) for x, y in depths)))
    assert found["mid-drop", "all"].value == pytest.approx((1 + 0.8) / 2)

    noise = [(0, 1.0), (0, 0.5), (2, 0.5), (10, 0.25)]
    found = figures(placed(*(({"distractors": x}, {"any@10": y}) for x, y in noise)))
    assert found["noise degradation", "all"].value == pytest.approx(1 - 0.375 / 0.75)


def test_an_axis_is_never_scored_by_replies_here_and_by_the_search_there() -> None:
    at = [
        ({"distance": 0}, {"any@10": 1.0, "contains": 0.0}),
        ({"distance": 31}, {"any@10": 1.0, "contains": 0.0}),
    ]
    found = figures(placed(*at))["slope per doubling of distance", "all"]
    assert (found.value, found.n, found.score) == (0, 2, "contains")
    assert {point["y"] for point in curve(placed(*at), "distance").points} == {0}
    sample = [*at, ({"distance": 3}, {"any@10": 1.0})]  # not answered
    many = placed(*sample)
    found = figures(many)["slope per doubling of distance", "all"]
    assert (found.value, found.n, found.score) == (0, 3, "any@10")  # of all that were searched
    searched = [replace(one, scores={"any@10": 1.0, "share in budget": 0.0}) for one in many]
    found = figures(searched)["slope per doubling of distance", "all"]
    assert (found.n, found.score) == (3, "any@10")


def in_window(*rows: tuple[float, float, float], metric: str) -> list[Record]:
    """Return records of long context: (place in the prompt, depth in the history, score)."""
    return [
        replace(one, regime="long context", system="full history")
        for one in placed(*(({"place": x, "depth": y}, {metric: score}) for x, y, score in rows))
    ]


def test_replies_to_a_long_context_are_binned_by_the_place_in_the_prompt() -> None:
    rows = [(0.0, 0.95, 1.0), (0.5, 0.96, 0.0), (1.0, 0.97, 1.0)]  # the window holds the newest
    read = in_window(*rows, metric="contains")
    assert figures(read)["mid-drop", "all"].value == 1
    assert [one["y"] for one in curve(read, "position in prompt").points] == [1, 0, 1]
    assert "position" not in {one.name for one in curves.curves(read, seed=0)}


def test_what_a_window_cuts_off_is_binned_by_the_place_in_the_history() -> None:
    rows = [(0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (1.0, 1.0, 1.0)]
    shown = in_window(*rows, metric="share in budget")
    assert [one["y"] for one in curve(shown, "position").points] == [0, 0.5, 1]
    assert figures(shown)["mid-drop", "all"].score == "share in budget"


def test_the_length_slope_is_over_conversations_of_different_lengths() -> None:
    at = [(100, 1.0), (200, 0.75), (400, 0.5)]
    found = figures(placed(*(({"turns": x}, {"any@10": y}) for x, y in at)))
    assert found["slope per doubling of length", "all"].value == pytest.approx(-0.25)
    same = figures(placed(*(({"turns": 100}, {"any@10": y}) for _, y in at)))
    assert ("slope per doubling of length", "all") not in same


# ---- over time

STEPS = {"q0": [1, 0, 1], "q1": [None, 1, 0], "q2": [None, None, 1]}


def over_time(haystack: str = "h") -> list[Record]:
    return [
        record(
            haystack=haystack, question=f"{haystack}/{question}", regime="online", step=step,
            probe=step > min(n for n, one in enumerate(scores, 1) if one is not None),
            scores={"any@10": float(score)}, axes={"distance": float(step)},
        )
        for question, scores in STEPS.items()
        for step, score in enumerate(scores, 1)
        if score is not None
    ]  # fmt: skip


def test_questions_first_asked_after_one_step_are_a_task() -> None:
    assert aggregate.accuracy(over_time()) == [[1, None, None], [0, 1, None], [1, 0, 1]]


def test_what_later_writes_did_is_seen_though_the_end_looks_well() -> None:
    found = {metric: one for (metric, _), one in figures(over_time()).items()}
    assert found["min accuracy"].value == 0  # q0 fell to 0, q1 to 0
    assert found["WC accuracy"].value == pytest.approx(1 / 3)
    assert found["windowed drop"].value == 1
    assert found["windowed rise"].value == pytest.approx((1 + 0) / 2)
    assert found["forgetting"].value == pytest.approx((0 + 1) / 2)
    assert found["any@10"].value == 1  # each of them when it was first asked
    assert found["min accuracy"].low is None


def test_the_unit_over_time_is_the_conversation() -> None:
    forgot, kept = over_time(), [replace(one, scores={"any@10": 1.0}) for one in over_time("g")]
    found = {metric: one for (metric, _), one in figures([*forgot, *kept]).items()}
    assert found["forgetting"].n == 2
    assert (found["forgetting"].low, found["forgetting"].high) == (0, pytest.approx(0.5))


def test_one_step_shows_no_change() -> None:
    for records in (hits(1, 0, step=1, regime="online"), hits(1, 0)):
        assert not {"forgetting", "min accuracy"} & {metric for metric, _ in figures(records)}


def sampled(of: int, probed: int) -> list[Record]:
    """Return a memory that never changes: of a task's questions, half are found, ever."""
    return [
        record(
            haystack=f"h{n % 3}", question=f"q{n}", regime="online", step=step, probe=step > 1,
            scores={"any@10": float(n % 2)}, axes={"distance": float(step)},
        )
        for n in range(of) for step in (1, 2, 3)
        if step == 1 or n in range(0, 2 * probed, 2)  # by chance only what is not found
    ]  # fmt: skip


def test_a_memory_that_never_changes_forgets_nothing_though_a_sample_is_asked_again() -> None:
    found = {metric: one for (metric, _), one in figures(sampled(24, 6)).items()}
    assert found["any@10"].value == 0.5
    changed = [found[name].value for name in ("forgetting", "windowed drop", "windowed rise")]
    assert changed == [0, 0, 0]
    assert found["slope per turn"].value == 0
    points = curve(sampled(24, 6), "over time").points
    assert [(one["y"], one["n"]) for one in points] == [(0, 6), (0, 6), (0, 6)]


def test_a_half_life_that_some_resamples_have_not_has_no_upper_end() -> None:
    fall = [(h, x, y) for h in "ab" for x, y in [(1, 1.0), (50, 0.0), (99, 0.0)]]
    stay = [(h, x, 1.0) for h in "cd" for x in (1, 50, 99)]
    records = [
        record(
            haystack=h, question=h, regime="online", step=step, probe=step > 1,
            scores={"any@10": y}, axes={"distance": float(x)},
        )
        for step, (h, x, y) in enumerate([*fall, *stay], 1)
    ]  # fmt: skip
    found = figures(records)["half-life", "all"]
    assert found.low is not None
    assert found.low < found.value
    assert found.high is None
    assert formats.interval(found.low, found.high).endswith(", ∞]")


def test_conversations_that_share_what_was_said_are_resampled_as_one() -> None:
    alone = hits(1, 0, 1)
    together = [replace(one, cluster="a") for one in alone]
    assert figures(alone)["any@10", "all"].low is not None
    assert figures(together)["any@10", "all"].low is None


def test_the_slope_per_turn_takes_in_every_score_of_what_is_asked_again() -> None:
    found = {metric: one for (metric, _), one in figures(over_time()).items()}
    at = [(1, 1), (2, 0), (3, 1), (2, 1), (3, 0)]  # (distance, found); not the last step's
    mean_x, mean_y = 11 / 5, 3 / 5
    slope = sum((x - mean_x) * (y - mean_y) for x, y in at) / sum((x - mean_x) ** 2 for x, _ in at)
    assert found["slope per turn"].value == pytest.approx(slope)
    assert found["slope per turn"].n == 5


# ---- curves


def test_a_curve_has_fixed_bins_with_an_interval_by_conversation() -> None:
    at = placed(*(({"distance": x}, {"any@10": y}) for x, y in [(0, 1), (9, 0), (10, 1), (900, 0)]))
    points = curve(at, "distance").points
    assert [(one["label"], one["y"], one["n"]) for one in points] == [
        ("0–9", 0.5, 2), ("10–24", 1, 1), ("800+", 0, 1),
    ]  # fmt: skip
    assert (points[0]["low"], points[0]["high"]) == (0, 1)
    same = [replace(one, haystack="h") for one in at]
    assert all(one[end] is None for one in curve(same, "distance").points for end in TOLD)


def test_positions_stand_in_fifths_and_distractors_as_they_were_set() -> None:
    at = placed(*(({"depth": x, "distractors": n}, {"any@10": 1}) for x, n in [(0, 0), (1, 20)]))
    assert [one["label"] for one in curve(at, "position").points] == ["0–0.2", "0.8–1"]
    assert [one["x"] for one in curve(at, "distractors").points] == [0, 20]


def test_a_line_needs_two_points_and_a_cost_needs_one() -> None:
    at = placed(({"distance": 3.0}, {"any@10": 1.0}))
    assert curves.curves(at, seed=0) == []
    spent = [replace(one, costs={"memory tokens": 40.0}) for one in at]
    assert [(one["x"], one["y"]) for one in curve(spent, "cost-quality").points] == [(40, 1)]


def test_risk_rises_with_coverage_and_needs_both_sorts_of_question() -> None:
    rows = searched((0.9, True, True), (0.5, False, False))
    points = curve(rows, "risk-coverage").points
    assert (points[0]["y"], points[-1]["y"]) == (0, 0.5)
    assert (points[-1]["low"], points[-1]["high"]) == (0, 1)
    assert not [one for one in curves.curves(rows[:1], seed=0) if one.name == "risk-coverage"]


def test_the_curve_over_time_is_of_the_questions_that_are_asked_again() -> None:
    points = curve(over_time(), "over time").points
    assert [(one["y"], one["n"]) for one in points] == [(1, 1), (0.5, 2), (0.5, 2)]
