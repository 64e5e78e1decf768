"""memkit next to vector stores and mem0: the own time of one search and one add, and recall.

Every system gets the same prepared vectors, so no embedding is timed. memkit runs without thoughts,
which are made in the background. Recall@10 is on LoCoMo's report part: `--data locomo10.json`.
A system that is not installed is skipped and named:
`pip install chromadb lancedb sqlite-vec apsw txtai mem0ai`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np

from evals.bench import Setup, measure
from evals.bench.measure import Step, time_claim
from evals.data import corpus, locomo
from evals.data.haystack import Haystack, Query
from evals.systems import vector_stores
from evals.systems.adapter import ThirdPartyMemory
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.mem0 import Mem0
from evals.systems.memkit import NO_THOUGHTS, OURS, Memkit
from evals.tables import Cell, Claim, Result, Table
from memkit import Turn
from memkit.embedders import MINILM, MiniLM
from memkit.protocols import Embedder, Vectors

K = 10
_BATCH = 2000
_SECONDS = {"CPU": time.process_time, "wall": time.perf_counter}
_COLUMNS = ("system", "version", "recall@10", "questions")


class _PlainMemkit:
    """memkit as a `ThirdPartyMemory`."""

    def __init__(self, embedder: Embedder) -> None:
        self._system = Memkit(embedder, settings=NO_THOUGHTS, on_disk=True)
        self.remember, self.close = self._system.remember, self._system.close

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        return [(hit.turn_id, hit.score) for hit in self._system.ask(Query(text=text), k)]


MakeMemory = Callable[[Embedder], ThirdPartyMemory]
_SYSTEMS: Mapping[str, tuple[MakeMemory, str, str]] = {  # name -> how, module, distribution
    OURS: (_PlainMemkit, "memkit", "memkit-llm"),
    "chromadb": (vector_stores.Chroma, "chromadb", "chromadb"),
    "LanceDB": (vector_stores.LanceDB, "lancedb", "lancedb"),
    "sqlite-vec": (vector_stores.SqliteVec, "sqlite_vec", "sqlite-vec"),
    "txtai": (vector_stores.Txtai, "txtai", "txtai"),
    "mem0": (Mem0, "mem0", "mem0ai"),
}


class _PreparedEmbedder:
    """Returns prepared vectors by text, under MiniLM's name."""

    fingerprint = MINILM

    def __init__(self, texts: Sequence[str], vectors: Vectors) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def count(self, text: str) -> int:
        return len(text.split())

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:  # noqa: ARG002
        return [(0, len(text))]

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._vectors[text] for text in texts])


def run(setup: Setup) -> Result:
    """Time all systems that are installed, in the same rounds, and measure their recall."""
    installed = {name: make for name, (make, module, _) in _SYSTEMS.items() if find_spec(module)}
    missing = [name for name in _SYSTEMS if name not in installed]
    claims = [
        claim
        for size in setup.choose((10_000,), (200,))
        for claim in _time_systems(setup, installed, size)
    ]
    cache = setup.folder if setup.quick else default_folder()
    tables = [_measure_recall(installed, setup.data, cache)] if setup.data else []
    return Result(
        name="peers",
        about="own time, without embedding",
        settings={name: version(_SYSTEMS[name][2]) for name in installed},
        claims=claims,
        tables=tables,
        notes=[f"SKIPPED, not installed: {', '.join(missing)}"] if missing else [],
    )


def _time_systems(setup: Setup, systems: Mapping[str, MakeMemory], size: int) -> list[Claim]:
    n = 4 if setup.quick else 50
    texts = corpus.make_texts(size + 4 * (n + 1), setup.seed)
    questions = corpus.make_questions(texts[:size], n, setup.seed)
    vectors = corpus.make_vectors(len(texts), setup.seed, real=not setup.quick)
    # a question is asked with the vector of some text: which one is found is not measured
    embedder = _PreparedEmbedder([*texts, *questions], np.concatenate([vectors, vectors[:n]]))
    turns = [Turn(id=f"t{i}", text=text, said_at=corpus.START) for i, text in enumerate(texts)]
    claims = []
    with ExitStack() as stack:
        memories = {
            name: stack.enter_context(closing(make(embedder))) for name, make in systems.items()
        }
        for memory in memories.values():
            for first in range(0, size, _BATCH):
                memory.remember(turns[first : min(first + _BATCH, size)])
        for unit, clock in _SECONDS.items():
            searches = {
                name: partial(_search, memory, questions) for name, memory in memories.items()
            }
            adds = {name: _add_next(memory, turns, size, unit) for name, memory in memories.items()}
            for label, steps in (("search", searches), ("add", adds)):
                claims += _compare(setup, f"one {label} at {size:,}, {unit}", steps, n, clock)
    return claims


def _search(memory: ThirdPartyMemory, questions: Sequence[str], n: int) -> object:
    return memory.ask(questions[n], K)


def _add_next(memory: ThirdPartyMemory, turns: Sequence[Turn], size: int, unit: str) -> Step:
    """Return a step that adds the next new turn; each clock has half of them."""
    half = (len(turns) - size) // 2
    numbers = count(size + half * list(_SECONDS).index(unit))
    return lambda _: memory.remember([turns[next(numbers)]])


def _compare(
    setup: Setup, label: str, steps: Mapping[str, Step], n: int, clock: measure.Clock
) -> list[Claim]:
    times = measure.interleave(steps, n, clock=clock)
    return [
        time_claim(label, times[OURS], times[name], against=name, seed=setup.seed)
        for name in steps
        if name != OURS
    ]


# ---- recall


def _measure_recall(systems: Mapping[str, MakeMemory], path: Path, cache: Path) -> Table:
    haystacks = locomo.read(path).in_split("report")
    rows: list[list[Cell]] = []
    with CachedEmbedder(MiniLM(), cache) as embedder:
        for name, make in systems.items():
            recalls = [
                recall for haystack in haystacks for recall in _recalls(make, embedder, haystack)
            ]
            rows.append(
                [name, version(_SYSTEMS[name][2]), float(np.mean(recalls)), len(recalls)]
            )  # fmt: skip
    return Table(title="LoCoMo, report part", columns=_COLUMNS, rows=rows)


def _recalls(make: MakeMemory, embedder: Embedder, haystack: Haystack) -> list[float]:
    """Return the share of its evidence in the first ten, for every answerable question."""
    with closing(make(embedder)) as memory:
        memory.remember(haystack.turns)
        recalls = []
        for question in haystack.questions:
            evidence = set(question.gold.turns)
            if question.answerable and evidence:
                found = {turn_id for turn_id, _ in memory.ask(question.text, K)}
                recalls.append(len(found & evidence) / len(evidence))
        return recalls
