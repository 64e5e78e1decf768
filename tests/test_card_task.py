"""When a question is asked of a memory, what is asked of it, and what is kept of the answer."""

from collections.abc import Sequence
from typing import Any

import pytest
from scripted_memory import Scripted, asked, haystack, talk

from evals.card import task
from evals.card.ask import Evaluator
from evals.card.config import Config, ModelSpec
from evals.card.records import Record, Regime
from evals.card.task import Task
from evals.data.haystack import Haystack
from evals.data.registry import Spec
from evals.systems.protocol import PackedContext
from memkit.testing import ScriptedModel

SPEC = ModelSpec(kind="openai", name="scripted", window=999, new_tokens=8, recall=False)


def run(
    memory: Scripted, asked_of: Haystack, regime: Regime = "replay", **how: Any
) -> list[Record]:
    config = Config(
        name="c", data=[Spec(format="jsonl")], systems=["scripted"], budget=64,
        steps=how.pop("steps", 2), model=how.pop("spec", SPEC),
    )  # fmt: skip
    one = Task(data="d", haystack=asked_of.name, regime=regime, system="scripted")
    questions = frozenset(question.id for question in asked_of.questions)
    how = {"answered": questions, "probed": questions} | how
    evaluator = Evaluator(config=config, count=lambda text: len(text.split()), **how)
    return evaluator.run(one, asked_of, memory)


def order(memory: Scripted) -> list[tuple[str, int]]:
    """Return the questions in the order they were asked, with the turns held by then."""
    return [(of[0], of[2]) for what, of in memory.done if what == "ask" and of[1] == 10]


# ---- when


def test_steps_end_in_equal_parts_and_where_a_question_has_its_time() -> None:
    timed = haystack(asked("t2", after=4), asked("t2", id="q1"))
    assert task.boundaries(timed, 3) == [3, 4, 7, 10]
    assert task.boundaries(timed, 99) == list(range(1, 11))


@pytest.mark.parametrize(
    ("gold", "after", "time"), [(("t2", "t6"), None, 7), (("t2",), 5, 5), ((), None, 10)]
)
def test_a_question_is_first_asked_when_its_evidence_is_in(
    gold: Sequence[str], after: int | None, time: int
) -> None:
    question = asked(*gold, after=after)
    assert task.turns_at_first(question, haystack(question)) == time


def test_offline_all_is_asked_after_the_last_turn_and_what_is_deleted_is_gone() -> None:
    memory = Scripted()
    records = run(memory, haystack(asked("t2", text="cat?"), forgotten=("t0",)))
    assert memory.done[:3] == [("remember", 10), ("forget", ("t0",)), ("ask", ("cat?", 10, 9))]
    assert memory.done[-1] == ("close", None)
    assert [(one.step, one.probe) for one in records] == [(0, False)]


def test_a_record_is_resampled_with_what_its_conversation_shares_turns_with() -> None:
    (alone,) = run(Scripted(), haystack(asked("t2")))
    (shared,) = run(Scripted(), haystack(asked("t2"), cluster="five alike"))
    assert (alone.task, shared.task) == ("h", "five alike")


def test_offline_a_question_is_asked_of_the_memory_as_it_was_then() -> None:
    memory = Scripted()
    dated = asked("t2", id="q1", text="dated", asked_at=talk()[6].said_at)
    late, early = asked("t6", text="late"), asked("t2", id="q2", after=3, text="early")
    records = run(memory, haystack(late, dated, early, forgotten=("t0", "t8")))
    assert order(memory) == [("early", 2), ("dated", 6), ("late", 8)]
    assert [one.axes["turns"] for one in records] == [3, 7, 10]
    assert [one.audit["forgotten"] for one in records] == [0, 0, 0]


def test_a_memory_that_has_not_been_told_the_future_shows_none() -> None:
    early = asked("t2", after=3)
    (honest,) = run(Scripted(), haystack(early))
    (prophet,) = run(Scripted(["t2", "t7"]), haystack(early))
    assert (honest.audit["from the future"], prophet.audit["from the future"]) == (0, 1)


def test_a_probe_is_asked_now_and_what_is_replaced_later_is_not_asked_again() -> None:
    lasting = asked("t2", id="q1", asked_at=talk()[4].said_at)
    old, new = asked("t0", after=3), asked("t4", id="q2", stale_turns=("t0",))
    records = run(Scripted(), haystack(old, lasting, new), "online")
    again = [one for one in records if one.probe]
    assert {one.question for one in again} == {"q1", "q2"}
    assert {one.audit["from the future"] for one in again} == {0}


def test_online_a_question_is_asked_once_and_after_every_later_step_again() -> None:
    memory = Scripted()
    early, late = asked("t2", text="early"), asked("t6", text="late", id="q1")
    records = run(memory, haystack(early, late), "online")
    assert order(memory) == [("early", 5), ("early", 10), ("late", 10)]
    assert [(one.question, one.step, one.probe) for one in records] == [
        ("q0", 1, False), ("q0", 2, True), ("q1", 2, False),
    ]  # fmt: skip


def test_only_the_questions_drawn_for_it_are_asked_again() -> None:
    early, late = asked("t2"), asked("t3", id="q1")
    records = run(Scripted(), haystack(early, late), "online", probed=frozenset({"q1"}))
    assert [one.question for one in records if one.probe] == ["q1"]


def test_online_what_the_user_deletes_counts_after_the_last_step_only() -> None:
    memory = Scripted(["t0"])
    gone = haystack(asked("t2"), forgotten=("t0",))
    first, again = run(memory, gone, "online")
    assert (first.audit["forgotten"], again.audit["forgotten"]) == (0, 1)
    assert [what for what, _ in memory.done].index("forget") > 2


def test_a_probe_gets_no_reply_and_stands_as_far_from_its_evidence_as_it_is_then() -> None:
    model = ScriptedModel(["In Oslo."])
    spoken = haystack(asked("t2", answers=("Oslo",)))
    first, again = run(Scripted(), spoken, "online", model=model)
    assert (first.scores["contains"], "contains" in again.scores) == (1, False)
    assert len(model.prompts) == 1
    assert (first.axes["distance"], again.axes["distance"]) == (2, 7)


def test_a_sample_takes_of_every_kind_and_the_same_of_the_same_seed() -> None:
    many = [asked("t2", id=f"fact{n}") for n in range(9)]
    few = [asked(id="none")]
    drawn = task.sample([haystack(*many), haystack(*few)], 3, seed=1)
    assert "none" in drawn
    assert len(drawn) == 3
    assert drawn == task.sample([haystack(*many), haystack(*few)], 3, seed=1)
    assert task.sample([haystack(*many)], 0, seed=1) == frozenset()
    assert len(task.sample([haystack(*many)], None, seed=1)) == 9


# ---- what


def test_a_memory_is_asked_for_what_is_served_and_once_deeper() -> None:
    memory = Scripted(["t2"], PackedContext(text="three words here", turns=("t2",)), bytes=7)
    (found,) = run(memory, haystack(asked("t2")))
    assert [(what, of) for what, of in memory.done if what in ("ask", "pack")] == [
        ("ask", ("Where do I live?", 10, 10)), ("ask", ("Where do I live?", 50, 10)), ("pack", 64),
    ]  # fmt: skip
    assert (found.places, found.returned, found.relevant, found.confidence) == ((1,), 1, 1, 1.0)
    assert (found.costs["memory tokens"], found.costs["footprint"]) == (3, 7)


@pytest.mark.parametrize(("regime", "budget"), [("long context", 999), ("parametric", 64)])
def test_without_a_search_there_is_no_ranking_and_raw_history_gets_the_window(
    regime: Regime, budget: int
) -> None:
    memory = Scripted(["t2"])
    (found,) = run(memory, haystack(asked("t2")), regime)
    assert ("pack", budget) in memory.done
    assert (found.returned, found.places, found.confidence) == (None, (), None)
    assert "MRR" not in found.scores
    assert ("share in budget" in found.scores) == (regime == "long context")
    assert "search ms" not in found.costs


def test_a_memory_that_does_not_tell_what_it_holds_has_no_such_stage() -> None:
    silent, open_ = Scripted(["t2"], tells=False), Scripted(["t2"])
    assert "stored" not in run(silent, haystack(asked("t2")))[0].stages
    assert run(open_, haystack(asked("t2")))[0].stages["stored"]


def test_its_own_rule_refuses_where_no_model_answers() -> None:
    ruled = Scripted(refuses=True)
    (found,) = run(ruled, haystack(asked()))
    assert (found.refused, found.scores["system abstention"]) == (True, 1)
    (answered,) = run(ruled, haystack(asked()), model=ScriptedModel(["Rome."]))
    assert (answered.refused, answered.scores["abstention"]) == (False, 0)
    assert answered.scores["system abstention"] == 1


# ---- replies


def test_a_reply_is_made_from_what_the_memory_put_into_the_prompt() -> None:
    model = ScriptedModel(["In Oslo."])
    memory = Scripted(["t0"], PackedContext(text="user: I live in Oslo now.", turns=("t0",)))
    (found,) = run(memory, haystack(asked("t0", answers=("Oslo",))), model=model)
    assert "Notes:\nuser: I live in Oslo now.\n\nQuestion: Where do I live?" in str(
        model.prompts[0][1]["content"]
    )
    assert found.stages == dict.fromkeys(
        ("stored", "retrieved", "packed", "used", "right"), True
    ) | {"lucky": False}
    assert found.costs["new tokens"] == 2
    assert found.costs["prompt tokens"] == model.count(model.prompts[0])


def test_questions_that_were_not_drawn_are_searched_for_and_not_answered() -> None:
    model = ScriptedModel([])
    (found,) = run(Scripted(), haystack(asked("t2")), model=model, answered=frozenset())
    assert "any@10" in found.scores
    assert not {"contains", "false refusal"} & found.scores.keys()


@pytest.mark.parametrize(
    ("verdict", "judged"),
    [
        ("right", {"judged right": 1, "unreadable verdicts": 0}),
        ("wrong.", {"judged right": 0, "unreadable verdicts": 0}),
        ("?", {"unreadable verdicts": 1}),
    ],
)
def test_a_verdict_stands_beside_the_scores_that_need_no_judge(
    verdict: str, judged: dict[str, float]
) -> None:
    judge = ScriptedModel([verdict])
    (found,) = run(
        Scripted(), haystack(asked("t2", answers=("Oslo",))), model=ScriptedModel(["Rome"]),
        judge=judge,
    )  # fmt: skip
    assert {
        name: found.scores[name] for name in found.scores if "judged" in name or "verdicts" in name
    } == judged
    assert (found.scores["EM"], found.scores["contains"]) == (0, 0)


def test_a_judge_is_not_asked_where_there_is_nothing_to_judge_by() -> None:
    unanswerable = haystack(asked(answers=("Oslo",)), asked("t2", id="q1"))
    run(
        Scripted(), unanswerable, model=ScriptedModel(["Rome", "Rome"]), judge=ScriptedModel([])
    )  # fmt: skip


def test_half_of_the_evidence_is_a_cue_offline_and_the_rest_is_scored() -> None:
    spec = ModelSpec(kind="openai", new_tokens=8)
    model = ScriptedModel(["I don't know.", "called Tulip."])
    (found,) = run(Scripted(), haystack(asked("t2")), model=model, spec=spec)
    assert "Sentence: My cat" in model.prompts[1][1]["content"]
    assert "Tulip" not in model.prompts[1][1]["content"]
    assert found.scores["half-cue recall"] == pytest.approx(2 * 2 / 5)  # "is called Tulip."
    online = ScriptedModel(["I don't know."])
    run(Scripted(), haystack(asked("t9")), "online", model=online, spec=spec)
    assert len(online.prompts) == 1


def test_an_endpoint_tells_no_likelihoods() -> None:
    foiled = haystack(asked("t2", answers=("Oslo",), foils=("Rome",)))
    (found,) = run(Scripted(), foiled, "parametric", model=ScriptedModel(["Oslo"]))
    assert not {"recognition", "exposure"} & found.scores.keys()


def test_a_unit_is_named_by_all_that_tells_it_apart() -> None:
    one = Task(data="d", haystack="h", regime="online", system="BM25")
    assert one.name == "d / h / online / BM25"
