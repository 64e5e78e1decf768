"""Are the thoughts of the default thinker right? A sample of them, for a reader to judge.

Without verdicts it prints the sample: each thought with its source turn and that turn's neighbours.
With a verdict file it computes the share of right thoughts, and stores no text.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path

import memkit
from evals import USER
from evals.data import locomo
from evals.data.haystack import Haystack
from evals.stats.bootstrap import cells, share
from evals.systems.baselines import pieces
from evals.systems.cache import CachedEmbedder, default_folder
from evals.tables import Cell, Result, StudyResult, Table
from memkit import Settings, Thought, Turn
from memkit.errors import InvalidInput
from memkit.protocols import Embedder

REASONS: Mapping[str, str] = {
    "head": "it is about somebody or something else than the turn says",
    "meaning": "the turn does not say that: a wish, a joke, a question, or it is garbled",
    "alone": "it cannot be understood without the turn: a pronoun, or a thing nobody named",
    "date": "a date is resolved wrongly, or one that the same clause gives is left out",
}
UNSUPPORTED = ("head", "meaning", "date")  # the source does not support the thought
EMPTY = "empty"  # right, but not worth remembering: a courtesy, or self-evident

Verdict = tuple[bool, str]  # right; the reason: of `REASONS` if wrong, else "" or `EMPTY`


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledThought:
    """A thought with the turns around its source."""

    conversation: str
    thought: Thought
    around: Sequence[Turn]


def run(
    embedder: Embedder, file: Path, n: int, *, limit: int | None = None,
    verdict_file: Path | None = None, seed: int = 0, cache: Path | None = None,
) -> StudyResult:  # fmt: skip
    """Draw a sample of n thoughts; compute the shares if there are verdicts."""
    data = locomo.read(file)
    haystacks = data.in_split("report")[:limit]
    with CachedEmbedder(embedder, cache or default_folder()) as cached:
        turns = chain(*(haystack.turns for haystack in haystacks))
        cached.prepare(text for turn in turns for text in pieces(turn, cached))
        thoughts = [item for haystack in haystacks for item in _thoughts(haystack, cached)]
    chosen = random.Random(seed).sample(range(len(thoughts)), min(n, len(thoughts)))
    sample = [thoughts[number] for number in sorted(chosen)]
    name = digest(sample)
    if verdict_file is None:
        lines = [line for number, item in enumerate(sample) for line in _sheet(number, item)]
        return StudyResult(results=[], aside=[*lines, f"sample {name}"])
    verdicts = read_verdicts(verdict_file, len(sample), name)
    settings: dict[str, Cell] = {
        "data": data.file, "sha256": data.sha256, "sample": name,
        "thoughts in all": len(thoughts),
        "turns": sum(len(haystack.turns) for haystack in haystacks),
    }  # fmt: skip
    outcomes = [
        {
            "n": number, "conversation": item.conversation, "turns": list(item.thought.turn_ids),
            "right": right, "reason": why or None,
        }
        for number, (item, (right, why)) in enumerate(zip(sample, verdicts, strict=True))
    ]  # fmt: skip
    result = _result(sample, verdicts, settings, seed)
    return StudyResult(results=[result], outcomes=outcomes)


def _thoughts(haystack: Haystack, embedder: Embedder) -> Iterator[SampledThought]:
    turns = haystack.turns
    position = {turn.id: n for n, turn in enumerate(turns)}

    def order(thought: Thought) -> tuple[int, int, str]:
        return position[thought.turn_ids[0]], thought.sources[0].start, thought.text

    for thought in sorted(all_thoughts(turns, embedder), key=order):
        n = position[thought.turn_ids[0]]
        window = turns[max(n - 2, 0) : n + 2]
        around = [turn for turn in window if turn.session_id == turns[n].session_id]
        yield SampledThought(conversation=haystack.name, thought=thought, around=around)


def all_thoughts(turns: Sequence[Turn], embedder: Embedder) -> list[Thought]:
    """Return all thoughts of a dialogue: the current ones, and those that held after a session."""
    settings = Settings(background=False)
    with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
        memory.remember(turns, user_id=USER)
        memory.flush()
        thoughts: dict[str, Thought] = {}
        for said_at in {turn.session_id: turn.said_at for turn in turns}.values():
            if said_at is not None:
                after = said_at + timedelta(hours=1)
                thoughts |= {t.id: t for t in memory.thoughts(user_id=USER, as_of=after)}
        thoughts |= {thought.id: thought for thought in memory.thoughts(user_id=USER)}
        return list(thoughts.values())


def digest(sample: Sequence[SampledThought]) -> str:
    """Return a hash that identifies a sample: other rules give other thoughts."""
    parts = [f"{s.conversation}\0{s.thought.turn_ids}\0{s.thought.text}" for s in sample]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _sheet(n: int, item: SampledThought) -> Iterator[str]:
    thought = item.thought
    since = "" if thought.valid_from == thought.said_at else f"  since {thought.valid_from:%F}"
    yield f"[{n}] {item.conversation} {','.join(thought.turn_ids)}  {thought.said_at:%F}{since}"
    yield f"    THOUGHT: {thought.text}"
    yield f"    {thought.head!r} / {thought.relation!r} / {thought.tail!r}; {thought.slot!r}"
    for turn in item.around:
        mark = ">" if turn.id == thought.turn_ids[0] else " "
        yield f"  {mark} {turn.speaker}: {turn.text}"
    yield ""


def read_verdicts(path: Path, n: int, sample: str) -> list[Verdict]:
    """Return a reader's verdicts, one for each thought of the sample.

    The file is JSON: {"sample": "...", "verdicts": {"0": [true, ""], "1": [false, "head"]}}.

    Raises:
        InvalidInput: it is of another sample, incomplete, or has an unknown reason.
    """
    try:
        document = json.loads(path.read_text())
        judged, by_number = document["sample"], document["verdicts"]
        rows = [by_number[str(number)] for number in range(n)]
        verdicts = [(row[0] is True, str(row[1])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidInput(f"{path} holds no verdicts on {n} thoughts: {error!r}") from error
    if judged != sample:
        raise InvalidInput(
            f"{path} judges sample {judged}, this one is {sample}: the thinker changed"
        )
    wrong_reasons = [why for right, why in verdicts if (why not in REASONS) != right]
    if wrong_reasons:
        raise InvalidInput(
            f"{path}: reason {wrong_reasons[0]!r}; a wrong one needs one of {', '.join(REASONS)}"
        )
    return verdicts


def _result(
    sample: Sequence[SampledThought],
    verdicts: Sequence[Verdict],
    settings: Mapping[str, Cell],
    seed: int,
) -> Result:
    conversations = [item.conversation for item in sample]
    rows: list[list[Cell]] = []
    shares = {
        "supported by its source": [why not in UNSUPPORTED for _, why in verdicts],
        "right": [right for right, _ in verdicts],
        "right, and worth remembering": [right and not why for right, why in verdicts],
    }
    for what, flags in shares.items():
        by_thought = share(flags, list(map(str, range(len(sample)))), seed)
        by_conversation = share(flags, conversations, seed)
        rows.append([what, *cells(by_thought), cells(by_conversation)[1], len(sample)])
    wrong = Counter(why for right, why in verdicts if not right)
    n = len(set(conversations))
    return Result(
        name="precision",
        about="LoCoMo, conversations that nothing was tuned on",
        settings={**settings, "judged": len(sample), "conversations": n},
        tables=[
            Table(
                title="thoughts that are right",
                columns=("what", "share", "95 % by thought", "95 % by conversation", "n"),
                rows=rows,
                note=f"{n} conversations are few to draw from: believe the wider",
            ),
            Table(
                title="why the others are not",
                columns=("reason", "thoughts", "what it means"),
                rows=[[why, wrong[why], meaning] for why, meaning in REASONS.items()],
            ),
        ],
        notes=["one reader's verdicts, each given with the source turn and its neighbours at hand"],
    )
