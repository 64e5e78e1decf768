"""One question put to one system: what it returned, what the model made of it, and what it took."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evals.card import answering, audited, score
from evals.card.answering import Reply
from evals.card.audit import judge
from evals.card.config import Config, ModelSpec
from evals.card.records import Record, Regime
from evals.card.state import Evidence, QuestionState, known
from evals.metrics.retrieval import SERVED, places
from evals.systems.registry import System
from memkit.protocols import Counter, Model

if TYPE_CHECKING:
    from evals.card.task import Task

DEPTH = 50  # turns asked for, so that recall@50 can be told
_LEAST = 4  # words of a turn that can be halved


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Asks every system alike.

    Args:
        config: of the card.
        count: counts a text's tokens, for the memory's share of the prompt.
        anew: lets the embedder look nothing up inside the block: there the call is timed.
        model: answers; None: only the search is scored.
        judge: says whether replies are right, beside the scores that need none.
        answered: ids of the questions that the model is asked.
        probed: online, ids of the questions that are asked again.
    """

    config: Config
    count: Counter
    anew: Callable[[], AbstractContextManager[None]] = nullcontext
    model: Model | None = None
    judge: Model | None = None
    answered: frozenset[str] = field(default_factory=frozenset)
    probed: frozenset[str] = field(default_factory=frozenset)

    def ask(self, system: System, task: "Task", state: QuestionState) -> Record:
        """Return the record of one question."""
        evidence, costs = self._search(system, task, state)
        replied = self._reply(state, evidence)
        scores = {} if task.regime == "parametric" else score.search(state, evidence)
        if replied is not None:
            text, spent = replied
            costs |= spent
            scores |= score.reply(state, evidence, text) | self._judged(state, text)
            if task.regime != "online":  # as in replay, at three times the cost
                scores |= self._likelihoods(state, evidence, task.regime)
        question = state.question
        return Record(
            data=task.data, haystack=task.haystack, question=question.id, kind=question.kind,
            answerable=question.answerable, regime=task.regime, system=task.system,
            cluster=state.haystack.cluster, step=state.step, probe=state.probe,
            axes=score.axes(state, evidence),
            places=evidence.gold_places, stale_places=evidence.stale_places,
            returned=len(evidence.ranking) if evidence.ranks else None,
            relevant=len(state.gold), confidence=evidence.confidence,
            refused=score.refused(evidence, replied[0] if replied else None),
            stages=score.stages(state, evidence, scores, answered=replied is not None),
            scores=scores, audit=audited.violations(state, evidence), costs=costs,
        )  # fmt: skip

    # ---- the memory's part

    def _search(
        self, system: System, task: "Task", state: QuestionState
    ) -> tuple[Evidence, dict[str, float]]:
        query, alone = state.query, task.regime in ("parametric", "long context")
        with self.anew():
            started = time.perf_counter()
            ranking = [] if alone else system.ask(query, SERVED)
            took = 1000 * (time.perf_counter() - started)
        deep = [] if alone else system.ask(query, DEPTH)
        packed = system.pack(query, self._budget(task))
        stored = system.stored()
        evidence = Evidence(
            ranking=tuple(hit.turn_id for hit in deep),
            ranks=not alone,
            served=tuple(hit.turn_id for hit in ranking),
            confidence=round(ranking[0].score, 4) if ranking else None,
            packed=packed,
            known=known(state),
            stored=stored,
            refuses=next(iter(system.refusals(query).values()), None),
            gold_places=() if alone else places((hit.turn_id for hit in deep), state.gold),
            stale_places=()
            if alone
            else places((hit.turn_id for hit in deep), state.question.expected.stale_turns),
        )
        costs = {"memory tokens": float(self.count(packed.text))}
        if not alone:
            costs["search ms"] = took
            if state.turns:
                costs["write ms per turn"] = state.writing / state.turns
        if (held := system.footprint()) is not None:
            costs["footprint"] = float(held)
        return evidence, costs

    def _budget(self, task: "Task") -> int:
        """Return the tokens that the memory may take: in long context, the window."""
        if task.regime != "long context":
            return self.config.budget
        return (self.config.model or ModelSpec(kind="")).window

    # ---- the model's part

    def _reply(
        self, state: QuestionState, evidence: Evidence
    ) -> tuple[str, dict[str, float]] | None:
        if self.model is None or state.probe or state.question.id not in self.answered:
            return None
        messages = answering.question(state.question.text, evidence.packed.text, self.model)
        made = answering.reply(self.model, messages, self._spec.new_tokens)
        return made.text, _costs(made)

    def _judged(self, state: QuestionState, text: str) -> dict[str, float]:
        given = state.question.expected.answers
        if self.judge is None or not given or not state.question.answerable:
            return {}
        said = judge.verdict(self.judge, state.question.text, given, text)
        readable = {} if said is None else {"judged right": float(said == "right")}
        return readable | {"unreadable verdicts": float(said is None)}

    def _likelihoods(
        self, state: QuestionState, evidence: Evidence, regime: Regime
    ) -> dict[str, float]:
        """Return what needs the model's likelihoods, or another reply: recognition and recall.

        How exposed an answer is tells what a model knows without evidence, so only there.
        """
        model, notes = self.model, evidence.packed.text
        if model is None:
            return {}
        found = self._recognised(state, notes, model, regime)
        if self._spec.recall and len(state.gold) == 1:
            found |= self._recall(state, notes, model)
        return found

    def _recognised(
        self, state: QuestionState, notes: str, model: Model, regime: Regime
    ) -> dict[str, float]:
        expected, gold = state.question.expected, state.gold
        asked = expected.answers and expected.foils
        choices = expected.answers[:1] + expected.foils if asked else ()
        seen = tuple(state.text_of[turn] for turn in gold if len(gold) == 1)
        wordings = seen + expected.paraphrases if seen and expected.paraphrases else ()
        if not choices and not wordings:
            return {}
        messages = answering.question(state.question.text, notes, model)
        lost = answering.losses(model, messages, [f" {text}" for text in (*choices, *wordings)])
        if lost is None:
            return {}
        found: dict[str, float] = {}
        if choices:
            answer, *foils = lost[: len(choices)]
            found |= score.recognition(answer, foils)
            found |= score.exposure(answer, foils) if regime == "parametric" else {}
        if wordings:
            own, *others = lost[len(choices) :]
            found |= score.wording(own, others)
        return found

    def _recall(self, state: QuestionState, notes: str, model: Model) -> dict[str, float]:
        text = state.text_of[state.gold[0]]
        if len(text.split()) < _LEAST:
            return {}
        cue, rest = score.halves(text)
        messages = answering.sentence(cue, notes, model)
        made = answering.reply(model, messages, self._spec.new_tokens)
        return score.recalled(rest, made.text)

    @property
    def _spec(self) -> ModelSpec:
        if self.config.model is None:
            raise ValueError("a model without its spec")
        return self.config.model


def _costs(made: Reply) -> dict[str, float]:
    return {
        "answer ms": 1000 * made.seconds,
        "prompt tokens": float(made.prompt_tokens),
        "reused tokens": float(made.reused_tokens),
        "new tokens": float(made.new_tokens),
    }
