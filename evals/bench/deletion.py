"""What deleting costs as the number of turns grows, and whether many deletions equal one.

Every deletion is of a fresh copy of one memory on disk, and includes the search of all files. The
baseline builds a memory anew from the turns that are left. Times are of the processor, the search
in another process included. Embeddings are of hashed words, so that building anew costs little.
"""

import random
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from evals import USER
from evals.bench import Setup
from evals.bench.measure import make_claim, seconds
from evals.data.synthetic import PROBES
from evals.data.synthetic.talk import make_turns, schedule
from evals.stats.interval import Interval
from evals.tables import Cell, Claim, Result, Table
from memkit import Turn
from memkit.memory import Memory
from memkit.records import Receipt
from memkit.testing import HashEmbedder, open_memory

_COUNTS = (1, 10, 100, 1_000, 10_000)
_BATCH = 256  # turns remembered together
_COLUMNS = (
    "turns deleted", "CPU s", "ms a turn", "built anew, CPU s", "pieces searched", "left in files",
)  # fmt: skip


def run(setup: Setup) -> Result:
    """Delete 1 to 10,000 of many turns at once, and 20 of a talk one by one."""
    (size,) = setup.choose((12_000,), (60,))
    repeats = 1 if setup.quick else 3
    scale, claims = _measure_scale(setup, size, repeats)
    return Result(
        name="deletion",
        about="forget, with purge and search",
        settings={"turns": size, "embedder": "hash", "repeats": repeats},
        claims=claims,
        tables=[scale, _compare_orders(setup)],
    )


def cpu_seconds() -> float:
    """Return the processor's time of this process and of those that it waited for, in seconds."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


# ---- scale


def _measure_scale(setup: Setup, size: int, repeats: int) -> tuple[Table, list[Claim]]:
    rng = random.Random(setup.seed)
    turns = _make_turns(rng, size)
    source = setup.folder / "source.db"
    _build(source, turns)
    rows: list[list[Cell]] = []
    claims: list[Claim] = []
    for count in (count for count in _COUNTS if count < size):
        chosen = {turn.id or "" for turn in rng.sample(turns, count)}
        copies = [setup.folder / f"{count}-{n}.db" for n in range(repeats)]
        measured = [_delete_copy(source, copy, chosen) for copy in copies]
        rest = [turn for turn in turns if turn.id not in chosen]
        anew = seconds(partial(_build, setup.folder / f"anew-{count}.db", rest), cpu_seconds)
        median = float(np.median([duration for duration, _ in measured]))
        rows.append(_row(count, median, anew, measured[-1][1]))
        claims.append(
            make_claim(
                f"forget {count:,} of {size:,} turns", "s", (median, anew),
                Interval(value=median / anew, n=repeats), against="a memory built anew",
            )
        )  # fmt: skip
    note = f"medians of {repeats}; {size:,} turns of one user; built anew once"
    return Table(title="scale", columns=_COLUMNS, rows=rows, note=note), claims


def _row(count: int, median: float, anew: float, receipt: Receipt) -> list[Cell]:
    per_turn = round(1000 * median / count, 2)
    return [
        count, round(median, 2), per_turn, round(anew, 2), receipt.searched, receipt.residue,
    ]  # fmt: skip


def _make_turns(rng: random.Random, size: int) -> list[Turn]:
    """Return turns of small talk, each with a word that occurs nowhere else."""
    return [
        Turn(
            id=turn.id, text=f"{turn.text} Ticket {rng.getrandbits(64):016x}.", role=turn.role,
            said_at=turn.said_at, session_id=turn.session_id,
        )
        for turn in make_turns(rng, schedule(rng, size), {})
    ]  # fmt: skip


def _build(path: Path, turns: Sequence[Turn]) -> None:
    with open_memory(str(path), embedder=HashEmbedder(384)) as memory:
        for start in range(0, len(turns), _BATCH):
            memory.remember(turns[start : start + _BATCH], user_id=USER)
        memory.recall("ticket", user_id=USER)  # builds the indexes, which are saved


def _delete_copy(source: Path, path: Path, turn_ids: set[str]) -> tuple[float, Receipt]:
    shutil.copy(source, path)
    shutil.copytree(f"{source}.index", f"{path}.index", dirs_exist_ok=True)
    receipts: list[Receipt] = []
    with open_memory(str(path), embedder=HashEmbedder(384)) as memory:
        memory.recall("ticket", user_id=USER)
        duration = seconds(
            lambda: receipts.append(memory.forget(user_id=USER, turn_ids=turn_ids)), cpu_seconds
        )
    path.unlink()
    return duration, receipts[0]


# ---- order


def _compare_orders(setup: Setup) -> Table:
    """Delete turns at once and one by one, in two orders, and compare all that is left.

    Thoughts and summaries are derived again after every deletion.
    """
    haystacks = PROBES["forgetting"](setup.seed, conversations=1 if setup.quick else 8).haystacks
    rows: list[list[Cell]] = []
    equal, times = {"one by one": 0, "one by one, shuffled": 0}, dict[str, list[float]]()
    for haystack in haystacks:
        ids = list(haystack.forgotten)
        shuffled = random.Random(setup.seed).sample(ids, k=len(ids))
        questions = [question.text for question in haystack.questions]
        ways = {"at once": [ids], "one by one": [[id] for id in ids],
                "one by one, shuffled": [[id] for id in shuffled]}  # fmt: skip
        states = {}
        for name, calls in ways.items():
            with open_memory(embedder=HashEmbedder(384)) as memory:
                memory.remember(haystack.turns, user_id=USER)
                memory.flush()
                duration = seconds(partial(_forget_all, memory, calls), time.process_time)
                times.setdefault(name, []).append(duration)
                states[name] = _state(memory, questions)
        for name in equal:
            equal[name] += states[name] == states["at once"]
    for name, durations in times.items():
        same = f"{equal[name]} of {len(haystacks)}" if name in equal else ""
        rows.append([name, same, round(1000 * float(np.median(durations)), 1)])
    columns = ("deleted", "equal to at once", "CPU ms")
    note = "turns, thoughts, summaries, hits and relevance; 12 of 100 turns"
    return Table(title="order", columns=columns, rows=rows, note=note)


def _forget_all(memory: Memory, calls: Sequence[Sequence[str]]) -> None:
    for turn_ids in calls:
        memory.forget(user_id=USER, turn_ids=turn_ids)
        memory.flush()


def _state(memory: Memory, questions: Sequence[str]) -> tuple[object, ...]:
    """Return all that a user sees of a memory, without the random ids of thoughts."""
    recall: Callable[[str], object] = lambda question: [  # noqa: E731
        (hit.turn_ids, hit.relevance) for hit in memory.recall(question, user_id=USER)
    ]
    thoughts = memory.thoughts(user_id=USER)
    return (
        list(memory.turns(user_id=USER)),
        sorted((thought.text, thought.turn_ids, thought.valid_from) for thought in thoughts),
        [summary.text for summary in memory.summaries(user_id=USER)],
        [recall(question) for question in questions],
    )
