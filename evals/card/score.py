"""All scores of one question, under the names of the catalogue.

A score that does not apply to a question is absent, and never 0.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from evals.card import violations
from evals.card.records import Regime
from evals.card.task import Evidence, QuestionState
from evals.metrics import answers, current, dates, episodic, grounding, recognition
from evals.metrics import retrieval as metrics
from evals.metrics.retrieval import SERVED

WINDOW = timedelta(days=30)  # of the anchoring error: a date that is a month off scores 1
CONFLICT, PREFERENCE, UPDATE = "conflict", "preference", "knowledge-update"  # kinds of question

Scores = dict[str, float]
_Scores = dict[str, float | None]  # None: does not apply


def _without_none(scores: _Scores) -> Scores:
    return {name: value for name, value in scores.items() if value is not None}


# ---- the search


def search(state: QuestionState, evidence: Evidence) -> Scores:
    """Return the scores of the memory's part: they do not depend on a model's reply."""
    scores = _packed(state, evidence) | _deleted(state, evidence)
    if evidence.ranks:
        scores |= _refusal(evidence.refuses, state, prefix="system ")
        scores |= _turns(state, evidence)
        scores |= _sessions(evidence.session_places)
        scores |= _versions(state, evidence)
        scores |= _events(state, evidence)
    return _without_none(scores)


def _deleted(state: QuestionState, evidence: Evidence) -> _Scores:
    """Return whether the memory gives back what was deleted, for a question about that."""
    stale = set(state.question.expected.stale_turns)
    if not stale or not stale <= state.forgotten:
        return {}
    return {"extraction": float(violations.count(state, evidence)["forgotten"] > 0)}


def _turns(state: QuestionState, evidence: Evidence) -> _Scores:
    places = evidence.gold_places
    if not places:
        return {}
    served = metrics.places(evidence.served, state.gold)
    scores: _Scores = {f"turn recall@{k}": metrics.recall(places, k) for k in (1, 3, 5, 10, 50)}
    for budget, gold in (evidence.gold_in or {}).items():
        scores[f"share in {budget} tokens"] = gold / len(state.gold)
    scores[f"served recall@{SERVED}"] = metrics.recall(served, SERVED)
    scores |= {f"any@{k}": metrics.any_of(places, k) for k in (1, 5, 10)}
    return scores | {
        "MRR": metrics.reciprocal_rank(places),
        "NDCG@10": metrics.ndcg(places, 10),
        "P@5": metrics.precision(places, 5),
        "AUPRC": metrics.average_precision(places),
    }


def _sessions(places: metrics.Places) -> _Scores:
    if not places:
        return {}
    return {
        "session recall@5": metrics.recall(places, 5),
        "session any@1": metrics.any_of(places, 1),
        "session any@5": metrics.any_of(places, 5),
        "session all@5": metrics.all_of(places, 5),
    }


def _packed(state: QuestionState, evidence: Evidence) -> _Scores:
    gold, turns, answerable = state.gold, evidence.packed.turns, state.question.answerable
    steps = state.question.expected.steps
    spurious = episodic.spurious_replay(turns, gold, answerable=answerable)
    return {
        "share in budget": grounding.context_recall(turns, gold) if gold else None,
        "context precision": grounding.context_precision(turns, gold) if gold else None,
        "evidence F1": grounding.evidence_f1(turns, gold),
        "step order": episodic.step_order(turns, steps) if steps else None,
        "procedure F1": _procedure(turns, steps),
        "spurious replay": spurious if gold or not answerable else None,
    }


def _procedure(turns: Sequence[str], steps: Sequence[str]) -> float | None:
    """Return F1 of the transitions between those of a procedure's turns that are in the prompt."""
    gold = set(steps)
    return episodic.procedure_f1([turn for turn in turns if turn in gold], steps) if steps else None


def _versions(state: QuestionState, evidence: Evidence) -> _Scores:
    places, stale = evidence.current_places, evidence.stale_places
    scores: _Scores = {
        "freshness hit": current.freshness_hit(places, stale, SERVED) if stale else None,
        "out-of-date use": current.out_of_date_use(places, stale) if places else None,
    }
    if evidence.states_stale is not None:
        scores["stale shown as current"] = float(evidence.states_stale)
    elif stale:  # a stale turn precedes every current one in a call as users make it
        stale_turns = state.question.expected.stale_turns
        scores["stale shown as current"] = current.out_of_date_use(
            *(metrics.places(evidence.served, turns) for turns in (state.gold, stale_turns))
        )
    gold_places = evidence.gold_places
    if state.question.kind.startswith(CONFLICT) and len(gold_places) > 1:
        newest, older = gold_places[-1:], gold_places[:-1]
        scores["conflict shown"] = current.conflict_shown(newest, older, SERVED)
    if state.question.kind == UPDATE and state.question.answerable:
        scores["newest above older"] = _newest_above_older(state, evidence)
    return scores


def _newest_above_older(state: QuestionState, evidence: Evidence) -> float | None:
    """Return whether evidence of the newest session is first; None in a single session."""
    session_of = state.session_of
    gold = [turn for turn in session_of if turn in state.gold]  # in the order of the conversation
    newest = [turn for turn in gold if session_of[turn] == session_of[gold[-1]]]
    older = [turn for turn in gold if turn not in newest]
    if not older:
        return None
    served = evidence.served
    return current.freshness_hit(
        metrics.places(served, newest), metrics.places(served, older), SERVED
    )


def _events(state: QuestionState, evidence: Evidence) -> _Scores:
    steps, places = state.question.expected.steps, evidence.gold_places
    if not steps:
        return {}
    return {
        "event F1": grounding.evidence_f1(evidence.ranking[: len(steps)], steps),
        "replay@10": metrics.recall(places, SERVED) if places else None,
    }


def _refusal(refused: bool | None, state: QuestionState, *, prefix: str = "") -> _Scores:
    name = "false refusal" if state.question.answerable else "abstention"
    return {} if refused is None else {f"{prefix}{name}": float(refused)}


# ---- the reply


def reply(state: QuestionState, evidence: Evidence, text: str) -> Scores:
    """Return the scores of the model's reply, judged by rules alone."""
    scores = _refusal(refused(evidence, text), state) | _right(state, text)
    return _without_none(scores | _ordered(state, text) | _grounded(state, evidence, text))


def _ordered(state: QuestionState, text: str) -> _Scores:
    """Return whether the reply tells the steps in order; words unique to a turn identify it."""
    steps = state.question.expected.steps
    lines = [state.text_of[turn] for turn in steps]
    mentioned = [steps[n] for n in grounding.mentioned(text, lines)]
    return {
        "reply step order": episodic.step_order(mentioned, steps),
        "reply procedure F1": _procedure(mentioned, steps),
    }


def _right(state: QuestionState, text: str) -> _Scores:
    expected, kind = state.question.expected, state.question.kind
    right, stale = expected.answers, expected.stale
    scores: _Scores = {"out-of-date reply": current.out_of_date_reply(text, right, stale)}
    if not state.question.answerable or not right:
        return scores
    scores |= {
        "EM": answers.exact(text, right),
        "F1": answers.f1(text, right),
        "contains": answers.contains(text, right),
        "ROUGE-L": max(answers.rouge_l(text, answer) for answer in right),
    }
    if kind.startswith(CONFLICT):
        scores["conflict handled"] = current.conflict_handled(text, right)
    if kind.startswith(PREFERENCE):
        scores["preference retention"] = current.preference_retained(text, right, stale)
    if gold := dates.days(right):
        scores["anchoring error"] = episodic.anchoring_error(dates.days([text]), gold, WINDOW)
    return scores


def _grounded(state: QuestionState, evidence: Evidence, text: str) -> _Scores:
    lines = state.line_of
    packed = [turn for turn in evidence.packed.turns if turn in lines]
    passages = [lines[turn] for turn in packed]
    context = [*passages, *evidence.packed.text.splitlines()]  # summaries and pieces of turns too
    gold = {n for n, turn in enumerate(packed) if turn in state.gold}
    replayed = [passages[n] for n in sorted(gold)]
    coverage = grounding.citation_coverage(text, context)
    return {
        "citation coverage": coverage,
        "unsupported claims": None if coverage is None else 1 - coverage,
        "attribution": grounding.attribution(text, passages, gold) if gold else None,
        "replay support": episodic.replay_support(text, replayed) if gold else None,
    }


def likelihoods(choices: Sequence[float], wordings: Sequence[float], regime: Regime) -> Scores:
    """Return the scores of a model's losses per token.

    Exposure is scored in the parametric regime only: it measures knowledge without evidence.

    Args:
        choices: losses of the answer and of each foil; empty without foils.
        wordings: losses of the verbatim evidence and of each paraphrase; empty without any.
        regime: of the question.
    """
    scores: Scores = {}
    if choices:
        answer, *foils = choices
        scores["recognition"] = recognition.recognised(answer, foils)
        if regime == "parametric":
            rank = 1 + sum(loss < answer for loss in foils)
            scores["exposure"] = recognition.exposure(rank, len(choices))
    if wordings:
        scores["wording recognition"] = recognition.recognised(wordings[0], wordings[1:])
    return scores


# ---- the other fields of a record


def refused(evidence: Evidence, text: str | None) -> bool | None:
    """Return whether a question was refused: by the reply, or without one by the system."""
    return evidence.refuses if text is None else answers.says_unknown(text) or not text


def axes(state: QuestionState, evidence: Evidence) -> Scores:
    """Return a question's position on every axis that may move a score."""
    place = {turn.id: n for n, turn in enumerate(state.haystack.turns)}
    gold = [place[turn] for turn in state.gold if turn in place]
    axes = {"turns": float(state.turns)} | dict(state.question.axes)
    if gold:
        if state.probe:  # more turns lie between the evidence and the repeated question
            axes.pop("distance", None)
            axes.pop("depth", None)
        axes.setdefault("distance", float(max(state.turns - 1 - max(gold), 0)))
        axes.setdefault("depth", min(max(gold) / max(state.turns - 1, 1), 1.0))
    packed = [evidence.place_of[turn] for turn in state.gold if turn in evidence.place_of]
    return axes | ({"place": min(packed)} if packed else {})


def stages(
    state: QuestionState, evidence: Evidence, scores: Mapping[str, float], *, answered: bool
) -> dict[str, bool]:
    """Return which stages of the funnel the evidence passed.

    Stored, retrieved, packed: every gold turn was; a packed turn counts as retrieved. Used: the
    answer is right, or rests on a gold turn. Right: the reply contains the answer.
    """
    gold = set(state.gold)
    if not gold:
        return {}
    packed = gold <= set(evidence.packed.turns)
    passed: dict[str, bool] = {"packed": packed}
    if evidence.stored is not None:
        passed["stored"] = gold <= evidence.stored
    if evidence.ranks:
        passed["retrieved"] = packed or gold <= set(evidence.ranking)
    if answered and "contains" in scores:
        correct = bool(scores["contains"])
        passed["used"] = correct or bool(scores.get("attribution"))
        passed["right"] = correct
        passed["lucky"] = correct and not packed
    return passed
