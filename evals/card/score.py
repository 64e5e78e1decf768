"""Everything that one question is scored by, under the names of the catalogue.

A score that does not apply to a question is absent, and never 0.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from evals.card.state import Evidence, QuestionState
from evals.metrics import answers, current, dates, episodic, grounding, ranking
from evals.metrics import recognition as recognised
from evals.metrics import retrieval as metrics
from evals.metrics.retrieval import SERVED

WINDOW = timedelta(days=30)  # of the anchoring error: a month off is wholly wrong
CONFLICT, PREFERENCE = "conflict", "preference"  # what kinds of question are called

Scores = dict[str, float]


def _kept(scores: Mapping[str, float | None]) -> Scores:
    return {name: value for name, value in scores.items() if value is not None}


# ---- the search


def search(state: QuestionState, evidence: Evidence) -> Scores:
    """Return what the memory's part is worth, whatever a model makes of it."""
    packed = _packed(state, evidence)
    if not evidence.ranks:
        return packed
    question, at = state.question, evidence.gold_places
    own = _refusing(evidence.refuses, answerable=question.answerable, who="system ")
    return packed | own | _ranked(at) | _now(state, evidence) | _events(state, evidence)


def _ranked(at: metrics.Places) -> Scores:
    if not at:
        return {}
    recalls = {f"turn recall@{k}": metrics.recall(at, k) for k in (5, 10, 50)}
    return recalls | _kept(
        {
            "any@1": metrics.any_of(at, 1),
            "any@10": metrics.any_of(at, 10),
            "MRR": metrics.reciprocal_rank(at),
            "NDCG@10": metrics.ndcg(at, 10),
            "P@5": ranking.precision(at, 5),
            "AUPRC": ranking.average_precision(at),
        }
    )


def _packed(state: QuestionState, evidence: Evidence) -> Scores:
    """Return what stands in the prompt."""
    gold, turns = state.gold, evidence.packed.turns
    steps = state.question.expected.steps
    return _kept(
        {
            "share in budget": grounding.context_recall(turns, gold) if gold else None,
            "context precision": grounding.context_precision(turns, gold) if gold else None,
            "evidence F1": grounding.evidence_f1(turns, gold),
            "step order": episodic.step_order(turns, steps) if steps else None,
            "procedure F1": _procedure(turns, steps),
            "spurious replay": episodic.spurious_replay(
                turns, gold, answerable=state.question.answerable
            )
            if gold or not state.question.answerable
            else None,
        }
    )


def _procedure(turns: Sequence[str], steps: Sequence[str]) -> float | None:
    """Return F1 of the transitions, over what of a procedure's turns stands in the prompt."""
    gold = set(steps)
    return episodic.procedure_f1([one for one in turns if one in gold], steps) if steps else None


def _now(state: QuestionState, evidence: Evidence) -> Scores:
    """Return whether what holds now comes before what held once, and conflicts are shown."""
    at, stale = evidence.gold_places, evidence.stale_places
    found = {
        "freshness hit": current.freshness_hit(at, stale, SERVED) if stale else None,
        "out-of-date use": current.out_of_date_use(at, stale) if at else None,
    }
    if state.question.kind.startswith(CONFLICT) and len(at) > 1:
        found["conflict shown"] = current.conflict_shown(at[-1:], at[:-1], SERVED)
    return _kept(found)


def _events(state: QuestionState, evidence: Evidence) -> Scores:
    """Return whether the events of a question of several turns are replayed."""
    steps = state.question.expected.steps
    if not steps:
        return {}
    return _kept(
        {
            "event F1": episodic.event_f1(evidence.ranking[: len(steps)], steps),
            "replay@10": episodic.replay_at_k(evidence.gold_places, SERVED),
        }
    )


def _refusing(refused: bool | None, *, answerable: bool, who: str = "") -> Scores:
    if refused is None:
        return {}
    return _kept(
        {
            f"{who}abstention": current.abstention(refused=refused, answerable=answerable),
            f"{who}false refusal": current.false_refusal(refused=refused, answerable=answerable),
        }
    )


# ---- the reply


def reply(state: QuestionState, evidence: Evidence, text: str) -> Scores:
    """Return what the model's reply is worth, judged by rules alone."""
    question, unknown = state.question, answers.says_unknown(text)
    refusing = _refusing(unknown or not text, answerable=question.answerable)
    return refusing | _right(state, text) | _ordered(state, text) | _grounded(state, evidence, text)


def _ordered(state: QuestionState, text: str) -> Scores:
    """Return whether the reply tells the steps in order, each known by words of its turn alone."""
    steps = state.question.expected.steps
    found = [steps[n] for n in grounding.mentioned(text, [state.text_of[one] for one in steps])]
    return _kept(
        {
            "reply step order": episodic.step_order(found, steps),
            "reply procedure F1": _procedure(found, steps),
        }
    )


def _right(state: QuestionState, text: str) -> Scores:
    expected, kind = state.question.expected, state.question.kind
    old = current.out_of_date_reply(text, expected.answers, expected.stale)
    found: dict[str, float | None] = {"out-of-date reply": old}
    if not state.question.answerable or not expected.answers:
        return _kept(found)
    given = expected.answers
    found |= {
        "EM": answers.exact(text, given),
        "F1": answers.f1(text, given),
        "contains": answers.contains(text, given),
        "ROUGE-L": max(answers.rouge_l(text, one) for one in given),
    }
    if kind.startswith(CONFLICT):
        found["conflict handled"] = current.conflict_handled(text, given)
    if kind.startswith(PREFERENCE):
        found["preference retention"] = current.preference_retained(text, given, expected.stale)
    if gold := dates.days(given):
        found["anchoring error"] = episodic.anchoring_error(dates.days([text]), gold, WINDOW)
    return _kept(found)


def _grounded(state: QuestionState, evidence: Evidence, text: str) -> Scores:
    """Return whether the reply stands on what was in the prompt; on nothing, no claim does."""
    lines = state.line_of
    packed = [turn for turn in evidence.packed.turns if turn in lines]
    passages = [lines[turn] for turn in packed]
    shown = [*passages, *evidence.packed.text.splitlines()]  # summaries and pieces of turns too
    gold = {n for n, turn in enumerate(packed) if turn in state.gold}
    replayed = [passages[n] for n in sorted(gold)]
    return _kept(
        {
            "citation coverage": grounding.citation_coverage(text, shown),
            "unsupported claims": grounding.unsupported_claim_rate(text, shown),
            "attribution": grounding.attribution(text, passages, gold) if gold else None,
            "replay support": episodic.replay_support(text, replayed) if gold else None,
        }
    )


def recognition(answer: float, foils: Sequence[float]) -> Scores:
    """Return whether the model finds the answer likelier than foils, from losses per token."""
    return {"recognition": recognised.recognised(answer, foils)}


def wording(seen: float, paraphrases: Sequence[float]) -> Scores:
    """Return whether the model finds the sentence as it was said likelier than paraphrases."""
    return {"wording recognition": recognised.recognised(seen, paraphrases)}


def exposure(answer: float, foils: Sequence[float]) -> Scores:
    """Return how exposed the answer is as a canary among foils, in bits."""
    rank = 1 + sum(loss < answer for loss in foils)
    return {"exposure": recognised.exposure(rank, len(foils) + 1)}


def recalled(rest: str, completion: str) -> Scores:
    """Return how much of the second half of the evidence a half cue brings back."""
    return {"half-cue recall": recognised.recalled(rest, completion)}


# ---- what is not a score


def refused(evidence: Evidence, text: str | None) -> bool | None:
    """Return whether a question was refused: by the reply if there is one, else by the system."""
    return evidence.refuses if text is None else answers.says_unknown(text) or not text


def axes(state: QuestionState, evidence: Evidence) -> Scores:
    """Return where a question stands on everything that may move a score."""
    place = {turn.id: n for n, turn in enumerate(state.haystack.turns)}
    gold = [place[turn] for turn in state.gold if turn in place]
    found = {"turns": float(state.turns)} | dict(state.question.axes)
    if gold:
        said = state.turns
        if state.probe:  # more has been said since it was first asked
            found.pop("distance", None)
            found.pop("depth", None)
        found.setdefault("distance", float(max(said - 1 - max(gold), 0)))
        found.setdefault("depth", min(max(gold) / max(said - 1, 1), 1.0))
    shown = [evidence.place_of[turn] for turn in state.gold if turn in evidence.place_of]
    return found | ({"place": min(shown)} if shown else {})


def stages(
    state: QuestionState, evidence: Evidence, scores: Mapping[str, float], *, answered: bool
) -> dict[str, bool]:
    """Return how far the evidence came: every gold turn stored, found and packed; used; right.

    Found: among the turns asked for, or packed all the same. Used: the answer is right, or rests
    on a gold turn.
    """
    gold = set(state.gold)
    if not gold:
        return {}
    packed = gold <= set(evidence.packed.turns)
    found: dict[str, bool] = {"packed": packed}
    if evidence.stored is not None:
        found["stored"] = gold <= evidence.stored
    if evidence.ranks:
        found["retrieved"] = packed or gold <= set(evidence.ranking)
    if answered and "contains" in scores:
        correct = bool(scores["contains"])
        found["used"] = correct or bool(scores.get("attribution"))
        found["right"] = correct
        found["lucky"] = correct and not packed
    return found


def halves(text: str) -> tuple[str, str]:
    """Return a text's first half, as a cue, and the rest."""
    return recognised.half_cue(text)
