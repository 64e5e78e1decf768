"""Put the questions of a task to a system, and make a record of each."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace

from evals.card import answering, score, task, violations
from evals.card.audit import judge
from evals.card.config import Config, ModelSpec
from evals.card.records import Record, Regime
from evals.card.task import Evidence, Places, QuestionState, Task
from evals.data.haystack import Haystack
from evals.metrics import recognition
from evals.metrics.retrieval import SERVED, places, sessions
from evals.systems.protocol import ScoredTurn, System
from memkit.protocols import Counter, Model

_LEAST_WORDS = 4  # a shorter turn has no halves
_NO_MEMORY = ("parametric", "long context")  # regimes without a search


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Asks and scores every system in the same way."""

    config: Config
    count: Counter  # of a text's tokens, for the memory's share of the prompt
    # disables the embedder's cache inside the block, where the call is timed
    uncached: Callable[[], AbstractContextManager[None]] = nullcontext
    model: Model | None = None  # answers the questions; None: only the search is scored
    judge: Model | None = None  # judges replies, in addition to the scores that need no judge
    answered: frozenset[str] = frozenset()  # ids of the questions that the model answers
    probed: frozenset[str] = frozenset()  # online, ids of the questions that are repeated

    def run(self, task_: Task, haystack: Haystack, system: System) -> list[Record]:
        """Return the records of a task, and close the system."""
        with closing(system):
            if task_.regime == "online":
                states = task.online(self.config.steps, haystack, system, self.probed)
            else:
                states = task.replay(haystack, system)
            return [self.ask(system, task_, state) for state in states]

    def ask(self, system: System, task_: Task, state: QuestionState) -> Record:
        """Return the record of one question."""
        evidence, costs = self._search(system, task_, state)
        reply = self._reply(state, evidence)
        scores = {} if task_.regime == "parametric" else score.search(state, evidence)
        if reply is not None:
            costs |= reply.costs
            scores |= score.reply(state, evidence, reply.text) | self._judged(state, reply.text)
            if task_.regime != "online":  # as in replay, at three times the cost
                notes = evidence.packed.text
                scores |= self._recognition(state, notes, task_.regime)
                scores |= self._half_cue_recall(state, notes)
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
        query, config, costs = state.query, self.config, dict[str, float]()
        served, ranking = list[ScoredTurn](), list[ScoredTurn]()
        ranks = task_.regime not in _NO_MEMORY
        if ranks:
            with self.uncached():
                started = time.perf_counter()
                served = system.ask(query, SERVED)
                costs["search ms"] = 1000 * (time.perf_counter() - started)
            ranking = served if config.depth == SERVED else system.ask(query, config.depth)
            if state.turns:
                costs["write ms per turn"] = state.writing / state.turns
        # in long context, the model's window is for the memory
        budget = self._spec.window if task_.regime == "long context" else config.budget
        packed = system.pack(query, budget)
        costs["memory tokens"] = float(self.count(packed.text))
        if (footprint := system.footprint()) is not None:
            costs["footprint"] = float(footprint)
        ids = [hit.turn_id for hit in ranking]
        gold = state.question.gold
        evidence = Evidence(
            ranking=tuple(ids),
            ranks=ranks,
            served=tuple(hit.turn_id for hit in served),
            confidence=round(served[0].score, 4) if served else None,
            packed=packed,
            visible=state.visible,
            stored=system.stored(),
            refuses=system.refuses(query),
            states_stale=_states_stale(state, (*served, *packed.statements)),
        )
        if ranks:
            current_places, stale_places = _version_places(state, ranking)
            evidence = replace(
                evidence,
                gold_places=places(ids, gold.turns),
                session_places=places(sessions(ids, state.session_of), gold.sessions),
                current_places=current_places,
                stale_places=stale_places,
                gold_in={
                    budget: len({*gold.turns} & {*system.pack(query, budget).turns})
                    for budget in config.budgets
                },
            )
        return evidence, costs

    @property
    def _spec(self) -> ModelSpec:
        return self.config.model or ModelSpec(kind="smollm2")

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

    def _recognition(self, state: QuestionState, notes: str, regime: Regime) -> dict[str, float]:
        expected, gold, choices, wordings = state.question.expected, state.gold, [], []
        if expected.answers and expected.foils:
            choices = [expected.answers[0], *expected.foils]
        if len(gold) == 1 and expected.paraphrases:
            wordings = [state.text_of[gold[0]], *expected.paraphrases]
        if self.model is None or not choices + wordings:
            return {}
        messages = answering.question(state.question.text, notes, self.model)
        texts = [f" {text}" for text in choices + wordings]
        losses = answering.losses(self.model, messages, texts) or []
        return score.likelihoods(losses[: len(choices)], losses[len(choices) :], regime)

    def _half_cue_recall(self, state: QuestionState, notes: str) -> dict[str, float]:
        """Return how much of the second half of the evidence the first half brings back."""
        if self.model is None or not self._spec.recall or len(state.gold) != 1:
            return {}
        text = state.text_of[state.gold[0]]
        if len(text.split()) < _LEAST_WORDS:
            return {}
        cue, second_half = recognition.half_cue(text)
        messages = answering.sentence(cue, notes, self.model)
        completion = answering.reply(self.model, messages, self._spec.new_tokens).text
        return {"half-cue recall": recognition.recalled(second_half, completion)}


def _version_places(state: QuestionState, hits: Sequence[ScoredTurn]) -> tuple[Places, Places]:
    """Return the places of the current and the stale version: first statements, or turns."""
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
