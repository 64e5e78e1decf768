"""Length extrapolation by HCAM's protocol: recall among more and more distractor sessions.

A haystack is the evidence sessions of a question and n other sessions of its conversation, chosen
by seed; the sessions of a small n are among those of a larger n. Chunk attention has memkit's
settings; evals/LOG.md tells of settings tuned on n ≤ 2. Flat attention has no setting: a softmax
over cosines ranks as the cosines do. memkit's weights were tuned on whole conversations.

Source: Lampinen et al., NeurIPS 2021 (trained on 0 to 2 distractor phases, tested on 10 and 20).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.data.haystack import PUBLISHED, Haystack, Question
from evals.metrics import retrieval as metrics
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Floats
from evals.systems.memkit import OURS, Memkit
from evals.tables import Cell, Table
from memkit.ingest import chunk
from memkit.protocols import Embedder, Integers, Timeline
from memkit.retrieval import fusion
from memkit.retrieval.windows import Windows

TESTED = (0, 2, 10, 20)  # distractor sessions
ATTENTION, FLAT = "chunk attention alone", "flat attention alone"
_CUT = 5  # of recall
_BEFORE, _AFTER = TESTED.index(2), TESTED.index(20)  # the columns that a drop compares


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question, and the m pieces of its conversation in order, as memkit stores them."""

    question: Question
    haystack: Haystack
    distractors: Sequence[str]  # session ids in the order in which they join the evidence
    turn_ids: NDArray[np.str_]  # of each piece
    session_ids: NDArray[np.str_]
    tokens: Integers
    cosines: Floats  # of the question and each piece

    def sessions(self, n: int) -> set[str]:
        """Return the evidence sessions and the first n distractors."""
        return {*self.question.golds[PUBLISHED].sessions, *self.distractors[:n]}

    def rows(self, n: int) -> Integers:
        """Return the pieces of the haystack with n distractors."""
        return np.flatnonzero(np.isin(self.session_ids, list(self.sessions(n))))

    def rank(self, rows: Integers, scores: Floats) -> list[str]:
        """Return the turns of these pieces, best first."""
        return [str(turn) for turn in self.turn_ids[rows[np.argsort(-scores, kind="stable")]]]


Ranking = Callable[[Problem, int], list[str]]  # a question among n distractors -> turns, best first


def tables(haystacks: Sequence[Haystack], embedder: Embedder, seed: int) -> list[Table]:
    """Return recall by system and n, and what each system loses.

    Args:
        haystacks: only questions that have gold count.
        embedder: best with a cache, because every text is embedded many times.
        seed: of the distractors and of the intervals.

    Cost: a memory for each question and each n of `TESTED`.
    """
    problems = [p for haystack in haystacks for p in make_problems(haystack, embedder, seed)]
    tested = [problem for problem in problems if len(problem.distractors) >= max(TESTED)]
    if not tested:
        return []
    rankings = {ATTENTION: rank_attended, FLAT: rank_flat, OURS: remembered(embedder)}
    recalls = {name: _recalls(tested, ranking) for name, ranking in rankings.items()}
    weights = statistics.weights([p.haystack.name for p in tested], seed, within=True)
    note = f"{len(tested)} questions; {len(problems) - len(tested)} left out, with fewer than "
    note += f"{max(TESTED)} other sessions; 95 % intervals: questions inside conversations"
    recalls[f"{ATTENTION} − {FLAT}"] = recalls[ATTENTION] - recalls[FLAT]
    return [_table(recalls, weights, note)]


# ---- haystacks


def make_problems(haystack: Haystack, embedder: Embedder, seed: int) -> Iterator[Problem]:
    """Yield a problem for each question of a conversation that has gold."""
    questions = [q for q in haystack.questions if q.answerable and q.golds[PUBLISHED].turns]
    pieces = [(turn, piece) for turn in haystack.turns for piece in chunk(turn, embedder)]
    vectors = embedder.embed([piece.text for _, piece in pieces])
    session_ids = [turn.session_id or "" for turn, _ in pieces]
    asked = embedder.embed([question.text for question in questions])
    for question, vector in zip(questions, asked, strict=True):
        evidence = question.golds[PUBLISHED].sessions
        distractors = [session for session in dict.fromkeys(session_ids) if session not in evidence]
        random.Random(f"{seed}/{question.id}").shuffle(distractors)
        yield Problem(
            question=question,
            haystack=haystack,
            distractors=distractors,
            turn_ids=np.array([piece.turn_id for _, piece in pieces]),
            session_ids=np.array(session_ids),
            tokens=np.array([piece.tokens for _, piece in pieces], dtype=np.int64),
            cosines=(vectors @ vector).astype(np.float64),
        )


# ---- rankings


def rank_attended(problem: Problem, n: int) -> list[str]:
    """Rank by chunk attention; turns of chunks that are not opened are left out."""
    rows = problem.rows(n)
    scores = fusion.attention_scores(attention_chunks(problem, rows), problem.cosines[rows])
    return problem.rank(rows[scores > 0], scores[scores > 0])


def attention_chunks(problem: Problem, rows: Integers) -> Integers:
    """Return the number of each piece's chunk in memkit's windows, without speakers and times."""
    zeros = np.zeros(len(rows), dtype=np.int64)
    starts = problem.session_ids[rows][1:] != problem.session_ids[rows][:-1]
    timeline = Timeline(
        sessions=np.cumsum(np.concatenate([[0], starts])),
        turns=np.arange(len(rows)),
        tokens=problem.tokens[rows],
        said_us=zeros,
        speakers=zeros,
        names=("",),
    )
    return Windows.of(timeline).chunks(np.arange(len(rows)))


def rank_flat(problem: Problem, n: int) -> list[str]:
    """Rank by cosine, which is the ranking of a softmax over all turns."""
    rows = problem.rows(n)
    return problem.rank(rows, problem.cosines[rows])


def remembered(embedder: Embedder) -> Ranking:
    """Return the ranking of memkit with a memory of the haystack alone."""

    def rank(problem: Problem, n: int) -> list[str]:
        sessions = problem.sessions(n)
        with closing(Memkit(embedder)) as memory:
            memory.remember([t for t in problem.haystack.turns if t.session_id in sessions])
            return [hit.turn_id for hit in memory.ask(problem.question.query, metrics.SERVED)]

    return rank


# ---- figures


def _recalls(problems: Sequence[Problem], ranking: Ranking) -> Floats:
    rows = []
    for problem in problems:
        gold = problem.question.golds[PUBLISHED].turns
        places = [metrics.places(ranking(problem, n), gold) for n in TESTED]
        rows.append([metrics.recall(of_n, _CUT) for of_n in places])
    return np.array(rows)


def _table(recalls: Mapping[str, Floats], weights: Floats | None, note: str) -> Table:
    rows: list[list[Cell]] = []
    for name, of_system in recalls.items():
        lost = of_system[:, _BEFORE] - of_system[:, _AFTER]
        means = statistics.means(np.column_stack([of_system, lost]), weights)
        figures = map(statistics.cells, means)
        rows.append([name, *(f"{mean} ({ends})" if ends else mean for mean, ends in figures)])
    return Table(
        title="length extrapolation: fractional recall among n distractor sessions",
        columns=["system", *(f"R@{_CUT}, n = {n}" for n in TESTED), "lost from 2 to 20"],
        rows=rows,
        note=note,
    )
