"""What encryption costs: remembering, recalling, opening, and the size of the file."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import memkit
from evals import USER
from evals.bench import Setup
from evals.bench.measure import interleave, size_claim, time_claim
from evals.data.corpus import make_questions, make_texts
from evals.tables import Claim, Result
from memkit import Memory, Settings
from memkit.embedders import resolve_embedder
from memkit.protocols import Embedder
from memkit.testing import HashEmbedder

_KEY = bytes(32)
_AGAINST = "without a key"
_BATCH = 256  # turns


def run(setup: Setup) -> Result:
    """Fill a memory with a key and one without, and time both in turn."""
    (size,) = setup.choose((10_000,), (300,))[:1]
    rounds = 2 if setup.quick else 9
    embedder: Embedder = HashEmbedder() if setup.quick else resolve_embedder("static")
    texts = make_texts(size + (rounds + 1) * _BATCH, setup.seed)
    questions = make_questions(texts, 40, setup.seed)
    paths = {"key": setup.folder / "key.db", "none": setup.folder / "none.db"}
    claims = list(_claims(paths, texts, questions, embedder, size=size, rounds=rounds, setup=setup))
    about = f"encryption at rest, {size:,} turns of one user"
    return Result(name="encryption", about=about, settings={"turns": size}, claims=claims)


def _claims(
    paths: dict[str, Path],
    texts: list[str],
    questions: list[str],
    embedder: Embedder,
    *,
    size: int,
    rounds: int,
    setup: Setup,
) -> Iterator[Claim]:
    memories = {name: _open(path, name, embedder) for name, path in paths.items()}
    for memory in memories.values():
        memory.remember(texts[:size], user_id=USER)
    batches = [texts[at : at + _BATCH] for at in range(size, len(texts), _BATCH)]

    def remember(name: str, n: int) -> object:
        return memories[name].remember(batches[n], user_id=USER)

    def recall(name: str, n: int) -> object:
        return memories[name].recall(questions[n], user_id=USER)

    def reopen(name: str, n: int) -> object:
        with _open(paths[name], name, embedder) as memory:
            return memory.recall(questions[n], user_id=USER)

    steps = {f"remembering {_BATCH} turns": remember, "recalling": recall,
             "opening, and the first recall": reopen}  # fmt: skip
    for label, step in steps.items():
        if step is reopen:
            for memory in memories.values():
                memory.close()
        timed = {name: partial(step, name) for name in paths}
        times = interleave(timed, rounds, clock=time.process_time)
        yield time_claim(label, times["key"], times["none"], against=_AGAINST, seed=setup.seed)
    sizes = {name: _bytes(path) / 2**20 for name, path in paths.items()}
    yield size_claim("files", sizes["key"], sizes["none"], against=_AGAINST, unit="MB")


def _open(path: Path, name: str, embedder: Embedder) -> Memory:
    settings = Settings(background=False)
    key = _KEY if name == "key" else None
    return memkit.open(path, embedder=embedder, settings=settings, key=key, privacy="off")


def _bytes(path: Path) -> int:
    """Return the bytes of a memory's files."""
    return sum(
        file.stat().st_size for file in path.parent.rglob("*") if file.is_file()
        and str(file).startswith(str(path))
    )  # fmt: skip
