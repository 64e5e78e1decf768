"""Put the questions of a task to a system, and make a record of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field

from evals.card import answering, score, task, violations
from evals.card.audit import judge
from evals.card.config import Config, ModelSpec
from evals.card.records import Record, Regime
from evals.card.state import Evidence, Places, QuestionState
from evals.card.task import Task
from evals.data.haystack import Haystack
from evals.metrics.retrieval import SERVED, places, sessions
from evals.systems.protocol import ScoredTurn, System
from memkit.protocols import Counter, Model

_LEAST_WORDS = 4  # a shorter turn has no halves
_NO_MEMORY = ("parametric", "long context")  # regimes without a search


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Asks and scores every system in the same way.

    Args:
        config: of the card.
        count: counts a text's tokens, for the memory's share of the prompt.
        uncached: disables the embedder's cache inside the block, where the call is timed.
        model: answers the questions; None: only the search is scored.
        judge: judges replies, in addition to the scores that need no judge.
        answered: ids of the questions that the model answers.
        probed: online, ids of the questions that are repeated.
    """

    config: Config
    count: Counter
    uncached: Callable[[], AbstractContextManager[None]] = nullcontext
    model: Model | None = None
    judge: Model | None = None
    answered: frozenset[str] = field(default_factory=frozenset)
    probed: frozenset[str] = field(default_factory=frozenset)

    def run(self, task_: Task, haystack: Haystack, system: System) -> list[Record]:
        """Return the records of a task, and close the system."""
        with closing(system):
            return [
                self.ask(system, task_, state) for state in self._states(task_, haystack, system)
            ]

    def _states(self, task_: Task, haystack: Haystack, system: System) -> Iterator[QuestionState]:
        if task_.regime == "online":
            return task.online(self.config.steps, haystack, system, self.probed)
        return task.replay(haystack, system)

    def ask(self, system: System, task_: Task, state: QuestionState) -> Record:
        """Return the record of one question."""
        evidence, costs = self._search(system, task_, state)
        reply = self._reply(state, evidence)
        scores = {} if task_.regime == "parametric" else score.search(state, evidence)
        if reply is not None:
            text = reply.text
            costs |= _costs(reply)
            scores |= score.reply(state, evidence, text) | self._judged(state, text)
            if task_.regime != "online":  # as in replay, at three times the cost
                scores |= self._likelihoods(state, evidence, task_.regime)
        question = state.question
        return Record(
            data=task_.data, haystack=task_.haystack, question=question.id, kind=question.kind,
            answerable=question.answerable, regime=task_.regime, system=task_.system,
            cluster=state.haystack.cluster, step=state.step, probe=state.probe,
            axes=score.axes(state, evidence),
            places=evidence.gold_places, stale_places=evidence.stale_places,
            session_places=evidence.session_places,
            returned=len(evidence.ranking) if evidence.ranks else None,
            relevant=len(state.gold), confidence=evidence.confidence,
            refused=score.refused(evidence, reply.text if reply else None),
            stages=score.stages(state, evidence, scores, answered=reply is not None),
            scores=scores, audit=violations.count(state, evidence), costs=costs,
        )  # fmt: skip

    # ---- the memory's part

    def _search(
        self, system: System, task_: Task, state: QuestionState
    ) -> tuple[Evidence, dict[str, float]]:
        """Return the system's evidence for a question, and its costs."""
        query, config = state.query, self.config
        served: list[ScoredTurn] = []
        ranking: list[ScoredTurn] = []
        costs: dict[str, float] = {}
        ranks = task_.regime not in _NO_MEMORY
        if ranks:
            with self.uncached():
                started = time.perf_counter()
                served = system.ask(query, SERVED)
                costs["search ms"] = 1000 * (time.perf_counter() - started)
            ranking = served if config.depth == SERVED else system.ask(query, config.depth)
            if state.turns:
                costs["write ms per turn"] = state.writing / state.turns
        packed = system.pack(query, self._budget(task_))
        costs["memory tokens"] = float(self.count(packed.text))
        if (footprint := system.footprint()) is not None:
            costs["footprint"] = float(footprint)
        ids = [hit.turn_id for hit in ranking]
        gold = set(state.gold)
        current_places, stale_places = _version_places(state, ranking) if ranks else ((), ())
        evidence = Evidence(
            ranking=tuple(ids),
            ranks=ranks,
            served=tuple(hit.turn_id for hit in served),
            confidence=round(served[0].score, 4) if served else None,
            packed=packed,
            visible=state.visible,
            stored=system.stored(),
            refuses=system.refuses(query),
            gold_places=places(ids, state.gold) if ranks else (),
            session_places=places(sessions(ids, state.session_of), state.question.gold.sessions)
            if ranks
            else (),
            current_places=current_places,
            stale_places=stale_places,
            gold_in={
                budget: len(gold & set(system.pack(query, budget).turns))
                for budget in (config.budgets if ranks else ())
            },
            states_stale=_states_stale(state, (*served, *packed.statements)),
        )
        return evidence, costs

    def _budget(self, task_: Task) -> int:
        """Return the tokens for the memory; in long context, the model's window."""
        if task_.regime != "long context":
            return self.config.budget
        return (self.config.model or ModelSpec(kind="")).window

    # ---- the model's part

    def _reply(self, state: QuestionState, evidence: Evidence) -> answering.Reply | None:
        if self.model is None or state.probe or state.question.id not in self.answered:
            return None
        messages = answering.question(state.question.text, evidence.packed.text, self.model)
        return answering.reply(self.model, messages, self._spec.new_tokens)

    def _judged(self, state: QuestionState, text: str) -> dict[str, float]:
        answers = state.question.expected.answers
        if self.judge is None or not answers or not state.question.answerable:
            return {}
        verdict = judge.verdict(self.judge, state.question.text, answers, text)
        readable = {} if verdict is None else {"judged right": float(verdict == "right")}
        return readable | {"unreadable verdicts": float(verdict is None)}

    def _likelihoods(
        self, state: QuestionState, evidence: Evidence, regime: Regime
    ) -> dict[str, float]:
        """Return the scores that need the model's likelihoods or a completion.

        Exposure is scored in the parametric regime only: it measures knowledge without evidence.
        """
        model, notes = self.model, evidence.packed.text
        if model is None:
            return {}
        scores = self._recognition(state, notes, model, regime)
        if self._spec.recall and len(state.gold) == 1:
            scores |= self._half_cue_recall(state, notes, model)
        return scores

    def _recognition(
        self, state: QuestionState, notes: str, model: Model, regime: Regime
    ) -> dict[str, float]:
        """Return whether the model prefers the answer to foils, and the evidence to paraphrases."""
        expected, gold = state.question.expected, state.gold
        choices = (
            expected.answers[:1] + expected.foils if expected.answers and expected.foils else ()
        )
        evidence = tuple(state.text_of[turn] for turn in gold if len(gold) == 1)
        wordings = evidence + expected.paraphrases if evidence and expected.paraphrases else ()
        if not choices and not wordings:
            return {}
        messages = answering.question(state.question.text, notes, model)
        losses = answering.losses(model, messages, [f" {text}" for text in (*choices, *wordings)])
        if losses is None:
            return {}
        scores: dict[str, float] = {}
        if choices:
            answer, *foils = losses[: len(choices)]
            scores |= score.recognition(answer, foils)
            scores |= score.exposure(answer, foils) if regime == "parametric" else {}
        if wordings:
            verbatim, *paraphrases = losses[len(choices) :]
            scores |= score.wording(verbatim, paraphrases)
        return scores

    def _half_cue_recall(self, state: QuestionState, notes: str, model: Model) -> dict[str, float]:
        text = state.text_of[state.gold[0]]
        if len(text.split()) < _LEAST_WORDS:
            return {}
        cue, second_half = score.halves(text)
        messages = answering.sentence(cue, notes, model)
        completion = answering.reply(model, messages, self._spec.new_tokens)
        return score.recalled(second_half, completion.text)

    @property
    def _spec(self) -> ModelSpec:
        if self.config.model is None:
            raise ValueError("a model without its spec")
        return self.config.model


def _version_places(state: QuestionState, hits: Sequence[ScoredTurn]) -> tuple[Places, Places]:
    """Return the places of the current and of the stale version of an answer in a ranking.

    Among statements that a system derived, each version has the place of the first statement that
    gives it; among turns, the places of the turns that the data set names.
    """
    expected = state.question.expected
    if expected.version_of is None or not any(hit.statement for hit in hits):
        ids = [hit.turn_id for hit in hits]
        return places(ids, state.gold), places(ids, expected.stale_turns)
    first: dict[str | None, int] = {}
    for place, hit in enumerate(hits, start=1):
        first.setdefault(expected.version_of(hit.statement, hit.sources), place)
    return (first.get("current"),), (first.get("stale"),)


def _states_stale(state: QuestionState, hits: Sequence[ScoredTurn]) -> bool | None:
    """Return whether a derived statement gives a stale version; None without statements."""
    version_of = state.question.expected.version_of
    statements = [hit for hit in hits if hit.statement]
    if version_of is None or not statements:
        return None
    return any(version_of(hit.statement, hit.sources) == "stale" for hit in statements)


def _costs(reply: answering.Reply) -> dict[str, float]:
    return {
        "answer ms": 1000 * reply.seconds,
        "prompt tokens": float(reply.prompt_tokens),
        "reused tokens": float(reply.reused_tokens),
        "new tokens": float(reply.new_tokens),
    }
