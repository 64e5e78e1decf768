"""What one question is scored by, worked out by hand; what does not apply is absent."""

from dataclasses import replace
from datetime import date
from math import log2

import pytest
from scripted_memory import asked, evidence, haystack, state, talk

from evals.card import score, violations
from evals.metrics import dates
from evals.systems.protocol import PackedContext, line

FILL = [f"t{n}" for n in (1, 3, 6, 7, 8, 9)]  # turns that are nobody's evidence


def test_a_ranking_is_scored_by_the_places_of_its_gold() -> None:
    at = state(asked("t2", "t5"))
    ranking = ["t5", *FILL, *(f"x{n}" for n in range(4)), "t2"]  # places 1 and 12
    found = score.search(at, evidence(at, ranking))
    ideal = 1 + 1 / log2(3)
    assert found == pytest.approx(
        {
            "turn recall@1": 0.5, "turn recall@3": 0.5, "turn recall@5": 0.5, "turn recall@10": 0.5,
            "turn recall@50": 1,
            "served recall@10": 0.5, "any@1": 1, "any@5": 1, "any@10": 1, "MRR": 1,
            "NDCG@10": 1 / ideal, "P@5": 0.2,
            "AUPRC": (1 / 1 + 2 / 12) / 2, "share in budget": 0, "evidence F1": 0,
        }
    )  # fmt: skip


def test_sessions_and_token_budgets_are_scored_where_there_are_any() -> None:
    at = state(asked("t2", "t5"))
    found = score.search(
        at, evidence(at, ["t2"], session_places=(2, None), gold_in={500: 1, 1000: 2})
    )
    assert {name: value for name, value in found.items() if "session" in name} == {
        "session recall@5": 0.5, "session any@1": 0, "session any@5": 1, "session all@5": 0,
    }  # fmt: skip
    assert (found["share in 500 tokens"], found["share in 1000 tokens"]) == (0.5, 1)


def test_a_call_for_ten_turns_is_scored_apart_from_a_deep_ranking() -> None:
    at = state(asked("t2"))
    found = score.search(at, evidence(at, ["t2"], served=("t1",)))
    assert (found["turn recall@10"], found["served recall@10"]) == (1, 0)


@pytest.mark.parametrize(
    ("ranking", "newest_first"),
    [(["t4", "t0"], 1), (["t0", "t4"], 0), (["t4"], 1), (["t0"], 0), ([], 0)],
)
def test_the_newest_evidence_of_updated_knowledge_is_above_the_older(
    ranking: list[str], newest_first: float
) -> None:
    turns = [replace(turn, session_id="new" if turn.id == "t4" else "old") for turn in talk()]
    question = asked("t0", "t4", kind="knowledge-update")
    at = state(question, haystack=haystack(question, turns=turns))
    assert score.search(at, evidence(at, ranking))["newest above older"] == newest_first
    one_session = state(asked("t0", "t4", kind="knowledge-update"))
    assert "newest above older" not in score.search(one_session, evidence(one_session, ranking))


@pytest.mark.parametrize(
    ("ranking", "states_stale", "stale_shown"),
    [(["t4", "t0"], None, 0), (["t0", "t4"], None, 1), (["t4"], True, 1), (["t0"], False, 0)],
)
def test_a_statement_of_a_stale_version_counts_wherever_it_is_and_a_turn_where_it_leads(
    ranking: list[str], states_stale: bool | None, stale_shown: float
) -> None:
    at = state(asked("t4", stale_turns=("t0",)))
    found = score.search(at, evidence(at, ranking, states_stale=states_stale))
    assert found["stale shown as current"] == stale_shown


def test_what_stands_in_the_prompt_is_scored_without_a_ranking_too() -> None:
    at = state(asked("t2", "t5"))
    found = score.search(at, evidence(at, packed=["t1", "t2", "t3"], ranks=False))
    assert found == pytest.approx(
        {
            "share in budget": 1 / 2,
            "context precision": 1 / 3,
            "evidence F1": 2 / 5,
            "spurious replay": 2 / 3,
        }
    )


@pytest.mark.parametrize(("packed", "spurious"), [((), 0.0), (("t1",), 1.0)])
def test_for_an_unanswerable_question_only_restraint_counts(
    packed: tuple[str, ...], spurious: float
) -> None:
    at = state(asked())
    found = score.search(at, evidence(at, ["t1"], packed=packed, refuses=False))
    assert found == {"system abstention": 0, "spurious replay": spurious}


def test_a_memory_without_a_rule_of_its_own_has_no_refusals() -> None:
    at = state(asked("t2"))
    assert not [name for name in score.search(at, evidence(at, ["t2"])) if "system" in name]
    ruled = score.search(at, evidence(at, ["t2"], refuses=True))
    assert ruled["system false refusal"] == 1
    assert "system abstention" not in ruled


@pytest.mark.parametrize(
    ("ranking", "fresh", "old"), [(["t4", "t0"], 1, 0), (["t0", "t4"], 0, 1), (["t1"], 0, 0)]
)
def test_what_holds_now_has_to_come_before_what_held_once(
    ranking: list[str], fresh: float, old: float
) -> None:
    at = state(asked("t4", stale=("Oslo",), stale_turns=("t0",)))
    found = score.search(at, evidence(at, ranking))
    assert (found["freshness hit"], found["out-of-date use"]) == (fresh, old)


def test_without_a_stale_turn_freshness_cannot_be_shown() -> None:
    at = state(asked("t4"))
    assert not {"freshness hit", "out-of-date use"} & score.search(at, evidence(at, ["t4"])).keys()


@pytest.mark.parametrize(("kind", "shown"), [("conflict", True), ("fact", False)])
def test_a_conflict_is_shown_if_both_sides_are_found(kind: str, shown: bool) -> None:
    at = state(asked("t0", "t4", kind=kind))
    assert ("conflict shown" in score.search(at, evidence(at, ["t4"]))) == shown
    if shown:
        assert score.search(at, evidence(at, ["t4"]))["conflict shown"] == 0
        assert score.search(at, evidence(at, ["t4", "t0"]))["conflict shown"] == 1


def test_steps_are_scored_by_what_was_found_and_in_which_order_it_is_replayed() -> None:
    at = state(asked("t0", "t2", "t4", steps=("t0", "t2", "t4")))
    found = score.search(at, evidence(at, ["t4", "t1", "t0"], packed=["t2", "t1", "t4", "t0"]))
    assert found["step order"] == pytest.approx(1 / 3)  # t2 before t4, and no other pair
    assert found["procedure F1"] == pytest.approx(0.5)  # t2 → t4 of two transitions, two given
    assert found["event F1"] == pytest.approx(2 * 2 / 6)  # t4 and t0 among the first three
    assert found["replay@10"] == pytest.approx(2 / 3)


# ---- replies


def test_a_reply_is_compared_with_the_answer_that_fits_best() -> None:
    at = state(asked("t4", answers=("Norway", "in Bergen"), stale=("Oslo",)))
    found = score.reply(at, evidence(at), "I think in Bergen.")
    assert found == pytest.approx(
        {
            "false refusal": 0, "out-of-date reply": 0, "EM": 0, "contains": 1,
            "F1": 2 * 2 / 6, "ROUGE-L": 2 * 2 / 6, "citation coverage": 0, "unsupported claims": 1,
        }
    )  # fmt: skip
    assert score.reply(at, evidence(at), "Oslo")["out-of-date reply"] == 1


@pytest.mark.parametrize(("text", "right"), [("I don't know.", 1), ("", 1), ("Bergen", 0)])
def test_an_unanswerable_question_is_scored_by_refusals_alone(text: str, right: float) -> None:
    at = state(asked(answers=("Bergen",)))
    assert score.reply(at, evidence(at), text)["abstention"] == right
    assert "contains" not in score.reply(at, evidence(at), text)


def test_a_deleted_value_in_a_reply_is_out_of_date() -> None:
    at = state(asked(stale=("Oslo",), stale_turns=("t0",)))
    found = score.reply(at, evidence(at), "In Oslo.")
    assert (found["abstention"], found["out-of-date reply"]) == (0, 1)


def test_conflicts_and_preferences_are_known_by_their_kind() -> None:
    both = state(asked("t0", "t4", kind="conflict", answers=("Oslo", "Bergen")))
    assert score.reply(both, evidence(both), "Bergen or Oslo")["conflict handled"] == 1
    assert score.reply(both, evidence(both), "Bergen")["conflict handled"] == 0
    liked = state(asked("t4", kind="preference", answers=("tea",), stale=("coffee",)))
    assert score.reply(liked, evidence(liked), "tea or coffee")["preference retention"] == 0
    assert score.reply(liked, evidence(liked), "tea")["preference retention"] == 1


def test_half_a_month_off_is_half_an_anchoring_error() -> None:
    at = state(asked("t4", answers=("8 May 2023",)))
    near = score.reply(at, evidence(at), "On May 23rd, 2023")["anchoring error"]
    assert near == pytest.approx(0.5)
    assert score.reply(at, evidence(at), "2021-01-01")["anchoring error"] == 1


def test_a_claim_rests_on_the_gold_turn_that_was_shown_or_on_none() -> None:
    at = state(asked("t4", answers=("Bergen",)))
    shown = evidence(at, packed=["t2", "t4"])
    rests = score.reply(at, shown, "I moved to Bergen.")
    names = ("citation coverage", "unsupported claims", "attribution", "replay support")
    assert [rests[name] for name in names] == [1, 0, 1, 1]
    invented = score.reply(at, shown, "I moved to Rome.")
    assert [invented[name] for name in names] == [0, 1, 0, 0]


def test_a_claim_without_anything_shown_is_unsupported() -> None:
    at = state(asked("t4", answers=("Bergen",)))
    from_nothing = score.reply(at, evidence(at), "I moved to Bergen.")
    assert (from_nothing["citation coverage"], from_nothing["unsupported claims"]) == (0, 1)
    assert not {"attribution", "replay support"} & from_nothing.keys()
    refusal = score.reply(at, evidence(at), "I don't know.")
    assert "unsupported claims" not in refusal


def test_a_claim_may_rest_on_a_summary_or_a_piece_of_a_turn() -> None:
    at = state(asked("t4", answers=("Bergen",)))
    shown = replace(evidence(at), packed=PackedContext(text="> Lately: User: moved to Bergen"))
    assert score.reply(at, shown, "I moved to Bergen.")["unsupported claims"] == 0


@pytest.mark.parametrize(
    ("text", "order"),
    [("Oslo, then Tulip, then Bergen", 1), ("Tulip, Oslo", 0), ("Oslo, Tulip", 1 / 3)],
)
def test_a_reply_tells_steps_in_the_order_in_which_it_first_mentions_them(
    text: str, order: float
) -> None:
    at = state(asked("t0", "t2", "t4", steps=("t0", "t2", "t4")))
    assert score.reply(at, evidence(at), text)["reply step order"] == pytest.approx(order)
    assert score.reply(at, evidence(at), text)["reply procedure F1"] == pytest.approx(
        {1: 1, 0: 0, 1 / 3: 2 / 3}[order]
    )


def test_likelihoods_are_compared_with_those_of_the_foils() -> None:
    losses = [1.0, 2.0, 0.5, 1.0, 3.0]
    assert score.likelihoods(losses, [], "replay") == {"recognition": (2 + 0.5) / 4}
    assert score.likelihoods(losses, [], "parametric")["exposure"] == log2(5) - log2(2)


def test_days_are_read_in_every_usual_form_and_impossible_ones_passed_over() -> None:
    texts = ["1 January of 2023", "the 3rd of June 2023, Feb 30, 2023", "2024-02-29 and may 4 2023"]
    assert dates.days(texts) == {date(2023, 6, 3), date(2024, 2, 29), date(2023, 5, 4)}


# ---- where a question stands, and how far its evidence came


def test_axes_count_turns_since_the_newest_evidence() -> None:
    at = state(asked("t2", "t6"))
    found = score.axes(at, evidence(at, packed=["t1", "t2", "t6"]))
    assert found == pytest.approx({"turns": 10, "distance": 3, "depth": 6 / 9, "place": 0.5})


def test_what_the_data_set_says_of_an_axis_holds_when_first_asked() -> None:
    question = asked("t2", axes={"distance": 50.0, "distractors": 2.0}, after=5)
    first = score.axes(state(question, turns=5, step=1), evidence(state(question)))
    again = score.axes(state(question, step=2, probe=True), evidence(state(question)))
    assert (first["distance"], first["distractors"]) == (50, 2)
    assert (again["distance"], again["distractors"]) == (7, 2)  # t3 … t9 came after


def test_a_question_of_an_earlier_time_is_as_far_from_its_evidence_as_it_was_then() -> None:
    at = state(asked("t2", after=5), turns=5)
    assert score.axes(at, evidence(at))["distance"] == 2


def test_stages_tell_how_far_all_of_the_evidence_came() -> None:
    at = state(asked("t2", "t4", answers=("Bergen",)))
    half = evidence(at, ["t2", "t4"], packed=["t4"], stored=frozenset({"t2", "t4"}))
    assert score.stages(at, half, {}, answered=False) == {
        "stored": True, "retrieved": True, "packed": False,
    }  # fmt: skip
    scores = {"contains": 1.0}
    lucky = score.stages(at, half, scores, answered=True)
    assert (lucky["used"], lucky["right"], lucky["lucky"]) == (True, True, True)


def test_a_stage_that_nobody_tells_of_is_absent_and_not_false() -> None:
    at = state(asked("t4"))
    told = score.stages(at, evidence(at, packed=["t4"], ranks=False), {}, answered=True)
    assert told == {"packed": True}
    assert score.stages(state(asked()), evidence(at), {}, answered=True) == {}


def test_evidence_that_a_wrong_reply_rests_on_was_used() -> None:
    at = state(asked("t4"))
    shown = evidence(at, packed=["t4"])
    told = score.stages(at, shown, {"contains": 0.0, "attribution": 0.5}, answered=True)
    assert (told["retrieved"], told["used"], told["right"]) == (True, True, False)


def test_the_reply_says_whether_a_question_was_refused_and_else_the_memory() -> None:
    at = state(asked())
    own = evidence(at, refuses=True)
    assert score.refused(own, None) is True
    assert score.refused(own, "Bergen") is False
    assert score.refused(evidence(at), "I don't know") is True
    assert score.refused(evidence(at), None) is None


# ---- violations


def test_what_was_said_after_the_question_is_from_the_future() -> None:
    at = state(asked("t2", after=5), turns=5)
    late = evidence(at, ["t2", "t7"], packed=["t8"], visible=at.visible)
    assert violations.count(at, late)["from the future"] == 2


def test_a_memory_that_cannot_know_the_time_is_not_blamed_for_it() -> None:
    question = asked("t2", after=5)
    undated = replace(state(question).haystack, turns=talk(dated=False))
    at = state(question, haystack=undated)
    assert at.visible == {turn.id for turn in talk()}


def test_turns_said_at_the_same_moment_are_not_later() -> None:
    question = asked("t2", asked_at=talk()[4].said_at)
    assert state(question).visible == {f"t{n}" for n in range(5)}


def test_what_was_deleted_is_found_by_id_and_by_its_value_in_other_words() -> None:
    question = asked(stale=("Oslo",), stale_turns=("t0",))
    base = state(question)
    at = state(question, haystack=replace(base.haystack, forgotten=("t0",)))
    held = evidence(at, ["t0"], visible=at.visible)
    reworded = replace(
        evidence(at, packed=(), visible=at.visible), packed=PackedContext(text="Home: Oslo")
    )
    assert violations.count(at, held)["forgotten"] == 1
    assert violations.count(at, reworded)["forgotten"] == 1
    assert violations.count(at, held)["from the future"] == 0


def test_an_answer_in_the_prompt_has_to_stem_from_something_said() -> None:
    at = state(asked("t4", answers=("Bergen",)))
    said = line(talk()[4])
    for text, leaked in [
        (said, 0), (f"{said}\nThe right reply is Bergen.", 1), ("No such thing.", 0),
    ]:  # fmt: skip
        found = replace(evidence(at), packed=PackedContext(text=text, turns=("t4",)))
        assert violations.count(at, found)["answer leaked"] == leaked


@pytest.mark.parametrize(
    ("said", "text", "leaked"),
    [
        ("I moved to Bergen, at last.", "[1 May 2024] User: I moved to Bergen", 0),
        ("I moved to Bergen, at last.", "> [since 1 May 2024] User moved to Bergen.", 0),
        ("I moved to Bergen, at last.", "> Lately: User: nice; User: moved to Bergen.", 0),
        ("I moved to Bergen, at last.", "Bergen", 1),
        ("I moved to Bergen, at last.", "[1 May 2024] User: Bergen.", 1),
        ("I moved to Bergen, at last.", "Where do I live? Bergen", 1),
        ("I moved to Bergen, at last.", "Where do I live: Bergen", 1),
        ("I moved to Bergen, at last.", "The answer is Bergen.", 1),
        ("Bergen, of course.", "User: Bergen, of course.", 0),
        ("Bergen, of course.", "Bergen.", 0),
    ],
)
def test_an_answer_without_anything_else_that_was_said_with_it_is_leaked(
    said: str, text: str, leaked: int
) -> None:
    base = state(asked("t4", answers=("Bergen",)))
    turns = [*talk()[:4], replace(talk()[4], text=said)]
    at = replace(base, haystack=replace(base.haystack, turns=turns))
    found = replace(evidence(at), packed=PackedContext(text=text, turns=("t4",)))
    assert violations.count(at, found)["answer leaked"] == leaked


def test_the_day_that_a_memory_writes_before_a_line_is_no_answer() -> None:
    at = state(asked("t4", answers=("1 May", "May 2024")))
    text = "> [1 May 2024] User: The weather is fine.\n> [since 1 May 2024] Something new."
    found = replace(evidence(at), packed=PackedContext(text=text, turns=()))
    assert violations.count(at, found)["answer leaked"] == 0


def test_a_day_may_be_worked_out_from_what_was_said_but_not_made_up() -> None:
    at = state(asked("t4", answers=("2024-05-02", "2 May 2024")))
    said = talk()[4].text
    for text, leaked in [
        (f"since 2024-05-02: {said}", 0), ("It was on 2 May 2024, the dentist says.", 1),
    ]:  # fmt: skip
        found = replace(evidence(at), packed=PackedContext(text=text, turns=("t4",)))
        assert violations.count(at, found)["answer leaked"] == leaked


def test_a_year_may_be_worked_out_and_a_sentence_may_be_all_of_the_answer() -> None:
    said = "We met two years ago, by the lake, in a storm."
    for answers, text in [
        (("2022",), "Two years ago (2022), User met them by the lake in a storm."),
        (("May 2022",), "Two years ago (May 2022), User met them by the lake in a storm."),
        ((said,), f"[1 May 2024] User: {said}"),
    ]:
        base = state(asked("t4", answers=answers))
        turns = [*talk()[:4], replace(talk()[4], text=said)]
        at = replace(base, haystack=replace(base.haystack, turns=turns))
        found = replace(evidence(at), packed=PackedContext(text=text, turns=("t4",)))
        assert violations.count(at, found)["answer leaked"] == 0


def test_a_sentence_is_recognised_among_its_paraphrases() -> None:
    assert score.likelihoods([], [1.0, 2.0, 0.5], "replay") == {"wording recognition": 0.5}
