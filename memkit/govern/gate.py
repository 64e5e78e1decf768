"""The gate: a change of derived data is tried on a branch, probed, and kept if it does no harm.

What users write is never gated. A reflection that closes nothing is not probed: no hit loses its
place by it. Nor does one by a summary, of which only the words are measured.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from memkit.embedders import embed_checked
from memkit.errors import StepRefused
from memkit.govern import probes, summary_scores
from memkit.govern.policy import Policy, Score, Scores, to_counts
from memkit.govern.probes import Answers, Probe, Suite
from memkit.protocols import (
    Backend,
    Embedder,
    ReflectionResult,
    Relation,
    Vectors,
    Verdict,
    WriteBatch,
)
from memkit.records import Scope
from memkit.retrieval.projection import QuestionVectors
from memkit.thoughts.merging import normalise

_MOST_USERS = 32  # whose probes stay in memory
_LEAST_READ = 100  # characters of turns, because a short answer can be a long thought
_LEAST_PROBES = 8  # with which changes are compared
# what a verdict becomes if the gate refuses it, or if the newer words are not trusted
MILDER: Mapping[str, Relation] = {"closes": "doubts", "same": "keeps"}


@dataclass(slots=True)
class _UserProbes:
    """The vectors of a user's probes, and which were answered when the newest event was `head`."""

    questions: dict[Probe, QuestionVectors] = field(default_factory=dict)
    head: str = ""
    answers: Answers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Changes:
    """The verdicts that close or merge thoughts with their likeness, and the thoughts' vectors."""

    likeness: Mapping[Verdict, float] = field(default_factory=dict)
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))


class Gate:
    """Admits the maintenance of a memory by a policy. Safe to share between threads."""

    def __init__(self, store: Backend, embedder: Embedder, policy: Policy) -> None:
        self._store, self._embedder, self._policy = store, embedder, policy
        self._users: dict[str, _UserProbes] = {}  # ordered by last use, the most recent last
        self._lock = threading.RLock()

    def write(self, scope: Scope, batch: WriteBatch) -> int:
        """Write a batch of maintenance if it does no harm; return the user's turn count.

        A reflection that does harm is tried again without the changes that are least like one, and
        then without any: what it would close is put in doubt, what it would merge is inserted. The
        ledger gets an event of each step that was probed, with its scores.

        Cost of a step that is probed: one `recall` without embedding per probe, twice if the memory
        has changed since the last step. Other threads wait for the second half of it.

        Raises:
            StepRefused: it does harm by the policy. Nothing was written.
        """
        with self._lock:
            changes = self._compare(scope, batch.reflection)
            attempts = [batch, *self._soften(batch, changes)]
            for attempt in attempts[:-1]:
                try:
                    return self._write(scope, attempt, changes)
                except StepRefused:
                    continue
            return self._write(scope, attempts[-1], changes)

    def write_summaries(self, scope: Scope, batch: WriteBatch) -> int:
        """Write summaries if they say nothing that no longer holds, and are not too long.

        Raises:
            StepRefused: they do harm by the policy. Nothing was written.
        """
        scores: Scores = {}
        try:
            with self._store.branch(scope):
                scores = summary_scores.score_summaries(self._store, scope, batch.summaries)
                self._check({}, scores)
                return self._store.write(scope, replace(batch, scores=to_counts({}, scores)))
        except StepRefused:
            self._record(scope, batch, {}, scores, refused=True)
            raise

    def drop(self, user_id: str) -> None:
        """Drop the probes of a user: they have words of turns."""
        with self._lock:
            self._users.pop(user_id, None)

    def _write(self, scope: Scope, batch: WriteBatch, changes: _Changes) -> int:
        """Write a batch, or record why not and raise StepRefused."""
        before: Scores = {}
        after: Scores = _measure_batch(batch, changes)
        try:
            self._check(before, after)
            if not _changes_ranking(batch):
                return self._store.write(scope, batch)
            suite = self._read_suite(scope)
            if changes.likeness:
                suite = self._select_near(scope, suite, changes)
            user = self._users[scope.user_id]
            self._answer(scope, suite)  # before other threads have to wait
            with self._store.branch(scope):
                self._answer(scope, suite)
                count = self._store.write(scope, batch)
                if self._store.head() == user.head:
                    return count  # others were first, so nothing was changed
                suite = probes.without_outdated(suite, self._store, scope)
                before = probes.score(suite, user.answers)
                answers = probes.ask(self._store, scope, self._questions(scope, suite))
                after = {**after, **probes.score(suite, answers)}
                self._check(before, after)
                self._record(scope, batch, before, after)
                user.head, user.answers = self._store.head(), answers
        except StepRefused:
            self._record(scope, batch, before, after, refused=True)
            raise
        return count

    def _check(self, before: Scores, after: Scores) -> None:
        """Raise StepRefused if the scores miss a threshold."""
        if breaches := list(self._policy.find_breaches(before, after)):
            raise StepRefused(breaches)

    # ---- probes

    def _read_suite(self, scope: Scope) -> Suite:
        """Return the user's probes, with their vectors in `_users`."""
        suite = probes.read_suite(self._store, scope, self._policy.probes)
        user = self._users.pop(scope.user_id, _UserProbes())
        asked = probes.distinct(suite)
        new = [probe for probe in asked if probe not in user.questions]
        questions = user.questions | probes.embed_probes(self._embedder, new)
        user.questions = {probe: questions[probe] for probe in asked}
        self._users[scope.user_id] = user
        while len(self._users) > _MOST_USERS:
            del self._users[next(iter(self._users))]
        return suite

    def _select_near(self, scope: Scope, suite: Suite, changes: _Changes) -> Suite:
        """Return a suite with only the kept probes that are nearest to what a reflection changes.

        The others cannot lose their answer by it.
        """
        questions = self._questions(scope, {"kept": suite["kept"]})
        cosines = {
            probe: float((changes.vectors @ vectors.plain).max())
            for probe, vectors in questions.items()
        }
        nearest = sorted(cosines, key=lambda probe: -cosines[probe])[: self._policy.probes.near]
        return {**suite, "kept": [probe for probe in suite["kept"] if probe in nearest]}

    def _questions(self, scope: Scope, suite: Suite) -> dict[Probe, QuestionVectors]:
        questions = self._users[scope.user_id].questions
        return {probe: questions[probe] for probe in probes.distinct(suite)}

    def _answer(self, scope: Scope, suite: Suite) -> None:
        """Ask the probes whose answers of the memory's current state are not known."""
        user, head = self._users[scope.user_id], self._store.head()
        known = user.answers if user.head == head else {}
        questions = self._questions(scope, suite)
        missing = {probe: questions[probe] for probe in questions if probe not in known}
        answers = {**known, **probes.ask(self._store, scope, missing)}
        user.head, user.answers = head, answers

    def _record(
        self, scope: Scope, batch: WriteBatch, before: Scores, after: Scores, *,
        refused: bool = False,
    ) -> None:  # fmt: skip
        source = f"{batch.source}, policy {self._policy.version}"
        scores = to_counts(before, after)
        self._store.write(scope, WriteBatch(scores=scores, refused=refused, source=source))

    # ---- what a reflection changes

    def _compare(self, scope: Scope, reflection: ReflectionResult | None) -> _Changes:
        """Return what a reflection closes or merges, and how much it looks like a change."""
        verdicts = _changing(reflection)
        kept = self._read_suite(scope)["kept"] if verdicts else ()
        if len(kept) < _LEAST_PROBES:
            return _Changes()
        texts = self._read_texts(scope, reflection, verdicts)
        verdicts = [verdict for verdict in verdicts if _differ(verdict, texts)]
        if not verdicts:
            return _Changes()
        pairs = [(texts[verdict.older_id], texts[verdict.newer_id]) for verdict in verdicts]
        vectors = embed_checked(self._embedder, [text for pair in pairs for text in pair])
        questions = self._questions(scope, {"kept": kept}).values()
        kept_vectors = np.stack([question.plain for question in questions])
        shares = probes.likeness(vectors[::2], vectors[1::2], kept_vectors)
        return _Changes(dict(zip(verdicts, shares, strict=True)), vectors)

    def _read_texts(
        self, scope: Scope, reflection: ReflectionResult | None, verdicts: Sequence[Verdict]
    ) -> dict[str, str]:
        """Return the texts of the thoughts of verdicts, by id; they are stored, or new."""
        new = reflection.thoughts if reflection else ()
        texts = {thought.id: thought.text for thought in new}
        ids = {id for verdict in verdicts for id in (verdict.older_id, verdict.newer_id)}
        for thought_id in ids - texts.keys():
            history = self._store.history(scope, thought_id)
            texts |= {thought.id: thought.text for thought in history}
        return texts

    def _soften(self, batch: WriteBatch, changes: _Changes) -> list[WriteBatch]:
        """Return milder versions of a batch, the mildest last."""
        verdicts = set(_changing(batch.reflection))
        least = self._policy.likeness.least(1)
        unlike = {verdict for verdict in verdicts if changes.likeness.get(verdict, 1.0) < least}
        parts = [unlike, verdicts] if unlike != verdicts else [verdicts]
        return [_without(batch, wrong) for wrong in parts if wrong]


def _without(batch: WriteBatch, wrong: Collection[Verdict]) -> WriteBatch:
    """Return a batch in which these verdicts are milder."""
    reflection = batch.reflection
    assert reflection is not None
    verdicts = [
        replace(verdict, relation=MILDER[verdict.relation]) if verdict in wrong else verdict
        for verdict in reflection.verdicts
    ]
    return replace(batch, reflection=replace(reflection, verdicts=verdicts))


def _changing(reflection: ReflectionResult | None) -> list[Verdict]:
    """Return the verdicts by which a thought is closed or merged."""
    verdicts = reflection.verdicts if reflection else ()
    return [verdict for verdict in verdicts if verdict.relation in MILDER]


def _differ(verdict: Verdict, texts: Mapping[str, str]) -> bool:
    """Return whether both thoughts of a verdict are known and do not say the same verbatim."""
    older, newer = texts.get(verdict.older_id), texts.get(verdict.newer_id)
    return older is not None and newer is not None and normalise(older) != normalise(newer)


def _changes_ranking(batch: WriteBatch) -> bool:
    """Return whether a batch hides chunks or closes thoughts; merged ones keep all their turns."""
    contradict = any(contradict for _, _, contradict in batch.resolved_conflicts)
    closes = any(verdict.relation == "closes" for verdict in _changing(batch.reflection))
    return bool(batch.hide) or contradict or closes


def _measure_batch(batch: WriteBatch, changes: _Changes) -> Scores:
    """Return the scores of a batch for which nothing has to be asked."""
    scores = {}
    reflection = batch.reflection
    if reflection is not None and reflection.thoughts:
        written = sum(len(thought.text) for thought in reflection.thoughts)
        read = sum(len(turn.text) for turn in reflection.read)
        scores["footprint"] = Score(written / max(read, _LEAST_READ), len(reflection.turns))
    verdicts = _changing(reflection)
    shares = [changes.likeness[verdict] for verdict in verdicts if verdict in changes.likeness]
    if shares and reflection is not None:
        count = len(reflection.thoughts)
        scores["likeness"] = Score(sum(shares) / len(shares), len(shares))
        scores["changes"] = Score(len(shares) / count, count)
    return scores
