"""Storing turns against only embedding them: what memkit adds to the model's own time.

The baseline is MiniLM in sentence-transformers, on the same texts in the same batches. A second
baseline is memkit's own embedder on the chunks that long turns are cut into. Single turns of many
users in as many threads are measured next to the same turns in one thread.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import rate_claim, time_claim
from evals.data.synthetic.talk import START, small_talk
from evals.stats.interval import Samples
from evals.tables import Claim, Result, Target
from memkit import Turn
from memkit.embedders import MiniLM, SentenceTransformerEmbedder, minilm_folder
from memkit.ingest import chunk
from memkit.memory import Memory
from memkit.protocols import Embedder

BATCH = 256  # turns that are remembered in one call
THREADS = 32  # each remembers a turn of its own user
_RATE, _KEPT_UP = Target(bound="≥", value=1.3), Target(bound="≥", value=0.9)
_PLAIN, _INDEXED = "sentence-transformers", "embedding what memkit embeds"


def run(setup: Setup) -> Result:
    """Measure batches, batches with their maintenance, single turns, and threads."""
    size = setup.choose((4096,), (24,))[0]
    batch = min(BATCH, size // 2)
    texts = islice(small_talk(random.Random(setup.seed)), size)
    turns = [Turn(text=text, id=f"t{n}", said_at=START) for n, text in enumerate(texts)]
    embedder = MiniLM()
    embedder.embed(["warm up"])
    tokens = float(np.mean([embedder.count(turn.text) for turn in turns]))
    batches = [turns[first : first + batch] for first in range(0, size - batch + 1, batch)]
    return Result(
        name="ingest",
        about="storing against only embedding",
        settings={"turns": size, "batch": batch, "tokens per turn": tokens},
        claims=[
            *_batch_claims(setup, embedder, batches),
            _maintenance_claim(setup, embedder, batches[:4]),
            *_single_claims(setup, embedder, turns),
            _threads_claim(setup, embedder, turns),
        ],
    )


def _open(folder: Path, name: str, embedder: Embedder) -> Memory:
    return memkit.open(str(folder / f"ingest-{name}.db"), embedder=embedder)


def _theirs() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(minilm_folder()), device="cpu")


def _time(
    setup: Setup, embedder: Embedder, name: str, batches: list[list[Turn]], warm: int
) -> dict[str, Samples]:
    """Time each batch three ways, the last for warming up; maintenance runs outside the clock."""
    plain = [[turn.text for turn in batch] for batch in batches]
    indexed = [[piece.text for t in batch for piece in chunk(t, embedder)] for batch in batches]
    theirs = _theirs()
    with _open(setup.folder, name, embedder) as memory:
        return measure.interleave(
            {
                "remember": lambda n: memory.remember(batches[n], user_id=USER),
                _PLAIN: lambda n: theirs.embed(plain[n]),
                _INDEXED: lambda n: embedder.embed(indexed[n]),
            },
            len(batches) - warm,
            warm=warm,
            between=memory.flush,
        )


def _batch_claims(setup: Setup, embedder: Embedder, batches: list[list[Turn]]) -> list[Claim]:
    times = _time(setup, embedder, "batches", batches, warm=1)
    size = len(batches[0])
    return [
        rate_claim(
            f"remember, batches of {size}", times["remember"], times[against], items=size,
            seed=setup.seed, against=against, target=target,
        )
        for against, target in ((_PLAIN, _RATE), (_INDEXED, None))
    ]  # fmt: skip


def _single_claims(setup: Setup, embedder: Embedder, turns: list[Turn]) -> list[Claim]:
    singles = [[turn] for turn in turns[: 7 if setup.quick else 103]]
    times = _time(setup, embedder, "singles", singles, warm=3)
    return [
        time_claim(
            "remember, one turn (p50)", times["remember"], times[against], seed=setup.seed,
            against=against, target=target,
        )
        for against, target in ((_PLAIN, Target(bound="≤", value=0.6)), (_INDEXED, None))
    ]  # fmt: skip


def _threads_claim(setup: Setup, embedder: Embedder, turns: list[Turn]) -> Claim:
    """Time one turn in each of many threads, and the same turns one after another."""
    rounds, threads = (1, 4) if setup.quick else (15, THREADS)
    rows = [turns[first : first + threads] for first in range(0, (rounds + 1) * threads, threads)]
    with _open(setup.folder, "threads", embedder) as memory, ThreadPoolExecutor(threads) as pool:

        def remember(turn: Turn) -> list[str]:
            return memory.remember(turn.text, user_id=str(turn.id))

        times = measure.interleave(
            {
                "threads": lambda n: list(pool.map(remember, rows[n])),
                "one thread": lambda n: list(map(remember, rows[n])),
            },
            rounds,
            between=memory.flush,
        )
    return rate_claim(
        f"remember, {threads} threads, one turn each", times["threads"], times["one thread"],
        items=threads, seed=setup.seed, against="one thread",
    )  # fmt: skip


def _maintenance_claim(setup: Setup, embedder: Embedder, batches: list[list[Turn]]) -> Claim:
    """Time whole runs, from the first batch until everything is summarised too."""
    run_number, theirs = count(), _theirs()

    def store(_: int) -> None:
        with _open(setup.folder, f"maintenance-{next(run_number)}", embedder) as memory:
            for batch in batches:
                memory.remember(batch, user_id=USER)
            memory.flush()

    def embed(_: int) -> None:
        for batch in batches:
            theirs.embed([turn.text for turn in batch])

    times = measure.interleave({"memkit": store, "baseline": embed}, 2 if setup.quick else 7)
    return rate_claim(
        "the same, new file to flush()", times["memkit"], times["baseline"], against=_PLAIN,
        items=sum(map(len, batches)), seed=setup.seed, target=_KEPT_UP,
    )  # fmt: skip
