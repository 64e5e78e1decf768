"""One question put to one system: what it returned, what the model made of it, and what it took."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evals.card import answering, audited, score
from evals.card.answering import Reply
from evals.card.config import Config, ModelSpec
from evals.card.evidence import Evidence, Moment, known
from evals.card.govern import judge
from evals.card.records import Record, Regime
from evals.retrieval.metrics import SERVED, places
from evals.retrieval.systems import System
from memkit.protocols import Counter, Model

if TYPE_CHECKING:
    from evals.card.unit import Unit

DEPTH = 50  # turns asked for, so that recall@50 can be told
_LEAST = 4  # words of a turn that can be halved


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
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

    def ask(self, system: System, unit: "Unit", moment: Moment) -> Record:
        """Return the record of one question."""
        evidence, costs = self._search(system, unit, moment)
        replied = self._reply(moment, evidence)
        scores = {} if unit.regime == "parametric" else score.search(moment, evidence)
        if replied is not None:
            text, spent = replied
            costs |= spent
            scores |= score.reply(moment, evidence, text) | self._judged(moment, text)
            if unit.regime != "online":  # as in replay, at three times the cost
                scores |= self._likelihoods(moment, evidence, unit.regime)
        question = moment.question
        return Record(
            data=unit.data, haystack=unit.haystack, question=question.id, kind=question.kind,
            answerable=question.answerable, regime=unit.regime, system=unit.system,
            cluster=moment.haystack.cluster, step=moment.step, probe=moment.probe,
            axes=score.axes(moment, evidence),
            places=evidence.gold_places, stale_places=evidence.stale_places,
            returned=len(evidence.ranking) if evidence.ranks else None,
            relevant=len(moment.gold), confidence=evidence.confidence,
            refused=score.refused(evidence, replied[0] if replied else None),
            stages=score.stages(moment, evidence, scores, answered=replied is not None),
            scores=scores, audit=audited.violations(moment, evidence), costs=costs,
        )  # fmt: skip

    # ---- the memory's part

    def _search(
        self, system: System, unit: "Unit", moment: Moment
    ) -> tuple[Evidence, dict[str, float]]:
        query, alone = moment.query, unit.regime in ("parametric", "long context")
        with self.anew():
            started = time.perf_counter()
            ranking = [] if alone else system.ask(query, SERVED)
            took = 1000 * (time.perf_counter() - started)
        deep = [] if alone else system.ask(query, DEPTH)
        packed = system.pack(query, self._budget(unit))
        stored = system.stored()
        evidence = Evidence(
            ranking=tuple(hit.turn_id for hit in deep),
            ranks=not alone,
            served=tuple(hit.turn_id for hit in ranking),
            confidence=round(ranking[0].score, 4) if ranking else None,
            packed=packed,
            known=known(moment),
            stored=stored,
            refuses=next(iter(system.refusals(query).values()), None),
            gold_places=() if alone else places((hit.turn_id for hit in deep), moment.gold),
            stale_places=()
            if alone
            else places((hit.turn_id for hit in deep), moment.question.expected.stale_turns),
        )
        costs = {"memory tokens": float(self.count(packed.text))}
        if not alone:
            costs["search ms"] = took
            if moment.turns:
                costs["write ms per turn"] = moment.writing / moment.turns
        if (held := system.footprint()) is not None:
            costs["footprint"] = float(held)
        return evidence, costs

    def _budget(self, unit: "Unit") -> int:
        """Return the tokens that the memory may take: in long context, the window."""
        if unit.regime != "long context":
            return self.config.budget
        return (self.config.model or ModelSpec(kind="")).window

    # ---- the model's part

    def _reply(self, moment: Moment, evidence: Evidence) -> tuple[str, dict[str, float]] | None:
        if self.model is None or moment.probe or moment.question.id not in self.answered:
            return None
        messages = answering.question(moment.question.text, evidence.packed.text, self.model)
        made = answering.reply(self.model, messages, self._spec.new_tokens)
        return made.text, _costs(made)

    def _judged(self, moment: Moment, text: str) -> dict[str, float]:
        given = moment.question.expected.answers
        if self.judge is None or not given or not moment.question.answerable:
            return {}
        said = judge.verdict(self.judge, moment.question.text, given, text)
        readable = {} if said is None else {"judged right": float(said == "right")}
        return readable | {"unreadable verdicts": float(said is None)}

    def _likelihoods(self, moment: Moment, evidence: Evidence, regime: Regime) -> dict[str, float]:
        """Return what needs the model's likelihoods, or another reply: recognition and recall.

        How exposed an answer is tells what a model knows without evidence, so only there.
        """
        model, notes = self.model, evidence.packed.text
        if model is None:
            return {}
        found = self._recognised(moment, notes, model, regime)
        if self._spec.recall and len(moment.gold) == 1:
            found |= self._recall(moment, notes, model)
        return found

    def _recognised(
        self, moment: Moment, notes: str, model: Model, regime: Regime
    ) -> dict[str, float]:
        expected, gold = moment.question.expected, moment.gold
        asked = expected.answers and expected.foils
        choices = expected.answers[:1] + expected.foils if asked else ()
        seen = tuple(moment.text_of[turn] for turn in gold if len(gold) == 1)
        wordings = seen + expected.paraphrases if seen and expected.paraphrases else ()
        if not choices and not wordings:
            return {}
        messages = answering.question(moment.question.text, notes, model)
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

    def _recall(self, moment: Moment, notes: str, model: Model) -> dict[str, float]:
        text = moment.text_of[moment.gold[0]]
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
