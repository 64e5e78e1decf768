"""What a filter costs in `recall`: one that a turn in 1,000 meets, every second turn, or a new one.

A new filter is one that no search has had before, so the columns that it names are read of all
turns. Every result is checked: all hits match, and there are as many as were asked for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import memkit
from evals import USER
from evals.bench import Setup
from evals.bench.measure import interleave, time_claim
from evals.data import corpus
from evals.data.corpus import DrawnEmbedder
from evals.tables import Claim, Result
from memkit import Memory
from memkit.filters import Where

_ONE_IN = 1000  # turns have the tag
_K = 10
_FILTERS: Mapping[str, Callable[[int], Where | None]] = {  # by the number of the round
    "no filter": lambda _: None,
    "one turn in 1,000": lambda _: {"tag": "rare"},
    "every second turn": lambda _: {"role": "user"},
    "a new filter": lambda n: {"tag": ["rare", f"no tag {n}"]},
}


def run(setup: Setup) -> Result:
    """Time searches with filters next to the same ones without, in CPU time."""
    claims: list[Claim] = []
    rounds = 3 if setup.quick else 31
    for size in setup.choose((20_000, 100_000), (10_000,)):
        path = corpus.make_memory_file(setup.folder, size, setup.seed, real=False)
        texts = corpus.make_texts(size, setup.seed)
        questions = corpus.make_questions(texts, rounds + 1, setup.seed)
        settings = memkit.Settings(background=False)
        with memkit.open(path, embedder=DrawnEmbedder(), settings=settings) as memory:
            for n in range(0, size, _ONE_IN):
                memory.update(f"t{n}", user_id=USER, tags=["rare"])
            steps = {
                name: partial(_search, memory, questions, make_where)
                for name, make_where in _FILTERS.items()
            }
            times = interleave(steps, rounds, clock=time.process_time)
        claims += [
            time_claim(
                f"recall among {size:,} turns, {name}", times[name], times["no filter"],
                seed=setup.seed, against="no filter",
            )
            for name in _FILTERS
            if name != "no filter"
        ]  # fmt: skip
    return Result(
        name="filters", about="`where` in `recall`, by how many turns it matches",
        settings={"rounds": rounds}, claims=claims,
    )  # fmt: skip


def _search(
    memory: Memory, questions: Sequence[str], make_where: Callable[[int], Where | None], n: int
) -> None:
    where = make_where(n)
    hits = memory.recall(questions[n], user_id=USER, k=_K, where=where)
    if len(hits) != _K:
        raise RuntimeError(f"{where} found {len(hits)} turns instead of {_K}")
    if where is not None and not all("rare" in hit.tags for hit in hits if "tag" in where):
        raise RuntimeError(f"{where} found turns that do not match")
