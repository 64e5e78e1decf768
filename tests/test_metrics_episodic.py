"""Events, order, dates, and what holds now: by hand, by property, and against scipy."""

from datetime import date, timedelta
from itertools import permutations

import pytest
from scipy.stats import kendalltau

from evals.metrics import current, episodic, retrieval

# ---- rankings


def test_precision_and_average_precision_by_hand() -> None:
    assert retrieval.precision((2, 4, None), 5) == 0.4
    assert retrieval.average_precision((4, None, 2)) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert retrieval.average_precision((1, 2)) == 1
    assert retrieval.average_precision(()) is None


# ---- events and procedures


def test_procedures_are_transitions() -> None:
    assert episodic.procedure_f1(["a", "b", "c"], ["a", "b", "c"]) == 1
    assert episodic.procedure_f1(["b", "a", "c"], ["a", "b", "c"]) == 0
    assert episodic.procedure_f1(["a", "b"], ["a", "b", "c"]) == pytest.approx(2 / 3)
    assert episodic.procedure_f1(["a"], ["a"]) is None


def test_step_order_counts_pairs_and_a_missing_step_spoils_its_pairs() -> None:
    assert episodic.step_order(["a", "x", "b", "c"], "abc") == 1
    assert episodic.step_order(["c", "b", "a"], "abc") == 0
    assert episodic.step_order(["a", "c"], "abc") == pytest.approx(1 / 3)
    assert episodic.step_order(["b", "a", "b"], "ab") == 0  # where it first is
    assert episodic.step_order(["a"], "a") is None


def test_step_order_of_all_steps_is_kendalls_tau() -> None:
    for order in permutations(range(4)):
        tau = kendalltau([order.index(step) for step in range(4)], range(4)).statistic
        assert episodic.step_order(order, range(4)) == pytest.approx((tau + 1) / 2)


def test_anchoring_error_is_in_windows_and_capped() -> None:
    gold, month = date(2023, 5, 8), timedelta(days=30)

    assert episodic.anchoring_error([gold + timedelta(days=3)], [gold], month) == pytest.approx(0.1)
    assert episodic.anchoring_error([date(2020, 1, 1)], [gold], month) == 1
    assert episodic.anchoring_error([], [gold], month) == 1
    assert episodic.anchoring_error([gold], [gold, date(2021, 1, 1)], month) == 0.5
    assert episodic.anchoring_error([gold], [], month) is None


def test_replay_is_support_by_gold_and_its_coverage() -> None:
    assert episodic.replay_support("She moved to Oslo.", ["I moved to Oslo"]) == 1
    assert episodic.replay_support("She moved to Oslo. It rains.", ["I moved to Oslo"]) == 0
    assert episodic.replay_support("She moved to Oslo.", []) == 0
    assert episodic.replay_support("I don't know.", []) is None


def test_all_that_is_replayed_for_an_unanswerable_question_is_spurious() -> None:
    assert episodic.spurious_replay("abcd", "a", answerable=True) == 0.75
    assert episodic.spurious_replay("", "a", answerable=True) is None
    assert episodic.spurious_replay("a", "a", answerable=False) == 1
    assert episodic.spurious_replay("", "", answerable=False) == 0


# ---- what holds now


def test_a_fresh_hit_stands_above_every_stale_turn() -> None:
    assert current.freshness_hit((3, None), (4, 9), 5) == 1
    assert current.freshness_hit((3,), (2,), 5) == 0
    assert current.freshness_hit((6,), (None,), 5) == 0
    assert current.freshness_hit((None,), (), 5) == 0
    assert current.freshness_hit((), (1,), 5) is None


def test_out_of_date_use_is_a_stale_turn_first() -> None:
    assert current.out_of_date_use((3,), (2,)) == 1
    assert current.out_of_date_use((3, 1), (2,)) == 0
    assert current.out_of_date_use((None,), (50,)) == 1
    assert current.out_of_date_use((None,), (None,)) == 0
    assert current.out_of_date_use((1,), ()) is None


def test_a_reply_is_out_of_date_if_it_says_only_what_held_once() -> None:
    assert current.out_of_date_reply("In Oslo.", ["Bergen"], ["Oslo"]) == 1
    assert current.out_of_date_reply("Once Oslo, now Bergen.", ["Bergen"], ["Oslo"]) == 0
    assert current.out_of_date_reply("I don't know", ["Bergen"], ["Oslo"]) == 0
    assert current.out_of_date_reply("New York", ["York"], ["New York"]) == 1
    assert current.out_of_date_reply("Bergen", ["Bergen"], []) is None


def test_a_conflict_is_handled_if_both_sides_are_named() -> None:
    assert current.conflict_handled("Either Oslo or Bergen", ["Oslo", "Bergen"]) == 1
    for reply in ("Bergen", "Oslo", "I don't know.", "Paris"):
        assert current.conflict_handled(reply, ["Oslo", "Bergen"]) == 0


def test_a_conflict_is_shown_if_both_sides_are_found() -> None:
    assert current.conflict_shown((1, None), (5,), 5) == 1
    assert current.conflict_shown((1,), (6,), 5) == current.conflict_shown((None,), (1,), 5) == 0
    assert current.conflict_shown((1,), (), 5) is None


def test_a_preference_is_retained_if_no_withdrawn_one_is_said() -> None:
    assert current.preference_retained("Tea, please.", ["tea"], ["coffee"]) == 1
    assert current.preference_retained("Tea or coffee?", ["tea"], ["coffee"]) == 0
    assert current.preference_retained("Water.", ["tea"]) == 0
