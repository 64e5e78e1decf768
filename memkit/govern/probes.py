"""Probe questions: the words of a stored turn, asked of the memory, should bring the turn back.

No model writes them and nothing of them is stored: a question is derived from its turn when it is
asked. The idea is DSI++'s, which replays questions about earlier documents so that they are not
forgotten (Mehta et al., EMNLP 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from memkit.embedders import embed_checked
from memkit.govern.policy import Score, Sizes
from memkit.protocols import Backend, Embedder, Vectors, Window
from memkit.records import Scope, Thought, Turn
from memkit.retrieval.projection import QuestionVectors
from memkit.retrieval.recall import RecallQuery, search
from memkit.text.words import words
from memkit.thoughts.clauses import clauses

HITS = 10  # among which an answer has to be
_LEAST_WORDS, _MOST_WORDS = 3, 8  # content words of a question
_QUARTERS, _LEAST_QUARTER = 4, 8  # parts of a history, and the least number of probes in one
_MOST_SUPERSEDED = 100  # of the last ones, among which the suite's are looked for
_SPARE = 1.5  # turns that are read for a probe, because some say too little


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question that a turn answers, before the turn `older_id` if that is given."""

    text: str
    turn_id: str
    older_id: str | None = None

    def is_answered(self, texts: Mapping[str, str]) -> bool:
        """Return whether the turns recalled, by id and best first, answer the question.

        Another turn that has all the words of the question will do, as people repeat themselves.
        """
        ids = list(texts)
        if self.older_id is not None:
            return self.turn_id in ids and self.older_id not in ids[: ids.index(self.turn_id)]
        if self.turn_id in texts:
            return True
        own = set(self.text.split())
        return any(own <= set(words(text)) for text in texts.values())


Suite = Mapping[str, Sequence[Probe]]  # by the name of their score
Answers = Mapping[Probe, bool]


def probe_turn(turn: Turn) -> Probe | None:
    """Return a question of the turn's most informative clause; None if none says much.

    >>> probe_turn(Turn(id="1", text="Hi! I moved to Oslo with my sister Eve in May.")).text
    'moved oslo sister eve may'
    """
    questions = (words(turn.text[start:end])[:_MOST_WORDS] for start, end in clauses(turn.text))
    best = max(questions, key=_informativeness, default=[])
    if len(best) < _LEAST_WORDS:
        return None
    return Probe(text=" ".join(best), turn_id=turn.id or "")


def _informativeness(question: list[str]) -> int:
    """Return the number of characters of a question's words: long words are rare ones."""
    return sum(map(len, question))


def probe_superseded(older: Thought, newer: Thought) -> Probe:
    """Return a question about what was superseded: the newer turn has to precede the older one."""
    return Probe(
        text=older.text, turn_id=newer.sources[0].turn_id, older_id=older.sources[0].turn_id
    )


def read_suite(store: Backend, scope: Scope, sizes: Sizes) -> dict[str, list[Probe]]:
    """Return a user's regression suite, derived from what is stored now. Deterministic.

    New turns enter it, at the latest when they are a part of the even sample; deleted ones leave.
    """
    sample = store.sample(scope, int(_SPARE * sizes.kept))
    newest = store.turns(scope, Window(last=int(_SPARE * sizes.fresh))) if sizes.fresh else ()
    return {
        "kept": _thin([probe for turn in sample if (probe := probe_turn(turn))], sizes.kept),
        "fresh": [probe for turn in newest if (probe := probe_turn(turn))][-sizes.fresh :],
        "superseded": [
            probe_superseded(*pair) for pair in store.superseded(scope, sizes.superseded)
        ],
    }


def distinct(suite: Suite) -> list[Probe]:
    """Return the probes of all parts of a suite, each once."""
    return list(dict.fromkeys(probe for part in suite.values() for probe in part))


def without_outdated(suite: Suite, store: Backend, scope: Scope) -> Suite:
    """Return a suite without the superseded thoughts that hold again, or have another successor."""
    current = {probe_superseded(*pair) for pair in store.superseded(scope, _MOST_SUPERSEDED)}
    return {**suite, "superseded": [probe for probe in suite["superseded"] if probe in current]}


def _thin(probes: list[Probe], size: int) -> list[Probe]:
    """Return `size` of the probes, evenly spread."""
    if len(probes) <= size:
        return probes
    return [probes[n * len(probes) // size] for n in range(size)]


def embed_probes(embedder: Embedder, probes: Sequence[Probe]) -> dict[Probe, QuestionVectors]:
    """Return the vectors of questions. One embedding call."""
    if not probes:
        return {}
    vectors = embed_checked(embedder, [probe.text for probe in probes], queries=True)
    return {
        probe: QuestionVectors.of(vector, embedder.fingerprint)
        for probe, vector in zip(probes, vectors, strict=True)
    }


def ask(store: Backend, scope: Scope, questions: Mapping[Probe, QuestionVectors]) -> Answers:
    """Return which questions `recall` answers now. Cost: one `recall` each, without embedding."""
    answers = {}
    for probe, vectors in questions.items():
        hits = search(store, vectors, scope, RecallQuery(text=probe.text, k=HITS)).hits
        answers[probe] = probe.is_answered({hit.turn_ids[0]: hit.text for hit in hits})
    return answers


def ask_nearest(
    store: Backend, scope: Scope, questions: Mapping[Probe, QuestionVectors]
) -> Answers:
    """Return which questions the nearest vectors alone answer."""
    answers = {}
    with store.snapshot(scope) as snapshot:
        for probe, vectors in questions.items():
            rows, _ = snapshot.nearest(vectors.plain, HITS)
            turns = [chunk.turn for chunk in snapshot.chunks(rows)]
            answers[probe] = probe.is_answered({turn.id or "": turn.text for turn in turns})
    return answers


def score(suite: Suite, answers: Answers) -> dict[str, Score]:
    """Return the share of answered questions by name; "worst" is the least of four quarters."""
    scores = {name: _share(probes, answers) for name, probes in suite.items() if probes}
    kept = suite.get("kept", ())
    if len(kept) >= _QUARTERS * _LEAST_QUARTER:
        ends = [n * len(kept) // _QUARTERS for n in range(_QUARTERS + 1)]
        quarters = [_share(kept[first:last], answers) for first, last in pairwise(ends)]
        scores["worst"] = min(quarters, key=lambda quarter: quarter.value)
    return scores


def _share(probes: Sequence[Probe], answers: Answers) -> Score:
    return Score(sum(answers[probe] for probe in probes) / len(probes), len(probes))


def likeness(older: Vectors, newer: Vectors, probes: Vectors) -> list[float]:
    """Return for each of n pairs the share of probes to which `older` is less similar than `newer`.

    It is .5 by chance whatever the embedder. `older` and `newer` have the shape (n, d).
    """
    cosines = np.einsum("nd,nd->n", older, newer)
    return [float(share) for share in (older @ probes.T < cosines[:, None]).mean(axis=1)]
