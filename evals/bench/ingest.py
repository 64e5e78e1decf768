"""Storing turns against only embedding them: what memkit adds to the model's own time.

The baseline is the bundled MiniLM alone, on the same texts in the same batches. memkit puts
a speaker's name in front of a turn that has one; a second baseline embeds exactly that.
"""

import random
from itertools import count, islice
from pathlib import Path

import numpy as np

import memkit
from evals import USER
from evals.bench import Setup, measure
from evals.bench.measure import rate_claim, time_claim
from evals.data.synthetic.talk import START, small_talk
from evals.tables import Claim, Result, Target
from memkit import Turn
from memkit.embedders import MiniLM
from memkit.ingest import chunk
from memkit.memory import Memory
from memkit.protocols import Embedder

BATCH = 256  # turns that are remembered in one call


def run(setup: Setup) -> Result:
    """Measure batches, batches with their maintenance, and single turns."""
    size = setup.choose((4096,), (24,))[0]
    batch = min(BATCH, size // 2)
    turns = _make_turns(size, setup.seed)
    embedder = MiniLM()
    embedder.embed(["warm up"])
    tokens = float(np.mean([embedder.count(turn.text) for turn in turns]))
    claims = [
        *_batches(setup, embedder, turns, batch),
        _with_maintenance(setup, embedder, turns, batch),
        *_singles(setup, embedder, turns, n=4 if setup.quick else 100),
    ]
    return Result(
        name="ingest",
        about="storing against only embedding",
        settings={"turns": size, "batch": batch, "tokens per turn": tokens},
        claims=claims,
    )


def _make_turns(size: int, seed: int) -> list[Turn]:
    texts = islice(small_talk(random.Random(seed)), size)
    return [Turn(text=text, id=f"t{n}", said_at=START) for n, text in enumerate(texts)]


def _open(folder: Path, name: str, embedder: Embedder) -> Memory:
    return memkit.open(str(folder / f"ingest-{name}.db"), embedder=embedder)


def _batches(setup: Setup, embedder: Embedder, turns: list[Turn], size: int) -> list[Claim]:
    """Time each batch three ways; maintenance runs in between, outside the clock."""
    batches = [turns[first : first + size] for first in range(0, len(turns) - size + 1, size)]
    plain = [[turn.text for turn in batch] for batch in batches]
    indexed = [[piece.text for t in batch for piece in chunk(t, embedder)] for batch in batches]
    with _open(setup.folder, "batches", embedder) as memory:
        times = measure.interleave(
            {
                "remember": lambda n: memory.remember(batches[n], user_id=USER),
                "plain": lambda n: embedder.embed(plain[n]),
                "indexed": lambda n: embedder.embed(indexed[n]),
            },
            len(batches) - 1,  # the last one warms up
            between=memory.flush,
        )
    label = f"remember, batches of {size}"
    return [
        rate_claim(
            label, times["remember"], times["plain"], items=size, seed=setup.seed,
            against="embedding the turns' texts", target=Target(bound="≥", value=0.9),
        ),
        rate_claim(
            label, times["remember"], times["indexed"], items=size, seed=setup.seed,
            against="embedding what memkit embeds",
        ),
    ]  # fmt: skip


def _with_maintenance(setup: Setup, embedder: Embedder, turns: list[Turn], size: int) -> Claim:
    """Time whole runs, from the first batch until everything is summarised too."""
    part = turns[: 4 * size]
    batches = [part[first : first + size] for first in range(0, len(part), size)]
    run_number = count()

    def store(_: int) -> None:
        with _open(setup.folder, f"maintenance-{next(run_number)}", embedder) as memory:
            for batch in batches:
                memory.remember(batch, user_id=USER)
            memory.flush()

    def embed(_: int) -> None:
        for batch in batches:
            embedder.embed([turn.text for turn in batch])

    times = measure.interleave({"memkit": store, "baseline": embed}, 2 if setup.quick else 7)
    return rate_claim(
        "the same, new file to flush()", times["memkit"], times["baseline"], items=len(part),
        seed=setup.seed, against="embedding the turns' texts", target=Target(bound="≥", value=0.9),
    )  # fmt: skip


def _singles(setup: Setup, embedder: Embedder, turns: list[Turn], n: int) -> list[Claim]:
    indexed = [chunk(turn, embedder)[0].text for turn in turns]
    with _open(setup.folder, "singles", embedder) as memory:
        times = measure.interleave(
            {
                "remember": lambda i: memory.remember(turns[i], user_id=USER),
                "plain": lambda i: embedder.embed([turns[i].text]),
                "indexed": lambda i: embedder.embed([indexed[i]]),
            },
            n,
            warm=3,
            between=memory.flush,
        )
    return [
        time_claim(
            "remember, one turn (p50)", times["remember"], times["plain"], seed=setup.seed,
            against="embedding the turn's text", target=Target(bound="≤", value=1.3),
        ),
        time_claim(
            "remember, one turn (p50)", times["remember"], times["indexed"], seed=setup.seed,
            against="embedding what memkit embeds",
        ),
    ]  # fmt: skip
