"""Are the thoughts that rules draw right? A sample of them, for a reader to judge.

Without verdicts it prints the sample: each thought with the turn it comes from and that turn's
neighbours. With a verdict file it computes the share that is right, and keeps no text.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from evals.bench.result import Cell, Result, Table
from evals.data import locomo
from evals.data.haystack import Haystack, sha256
from evals.stats.shares import cells, share
from evals.studies.filled import (
    Options,
    StudyResult,
    conclusions,
    filled,
    prepare,
    vectors,
)
from memkit import Thought, Turn
from memkit.errors import InvalidInput
from memkit.protocols import Embedder

REASONS: Mapping[str, str] = {
    "head": "it is about somebody or something else than the turn says",
    "meaning": "the turn does not say that: a wish, a joke, a question, or it is garbled",
    "alone": "it cannot be understood without the turn: a pronoun, or a thing nobody named",
    "date": "a date is resolved wrongly, or one that the same clause gives is left out",
}
UNSUPPORTED = ("head", "meaning", "date")  # its source does not say that
EMPTY = "empty"  # right, and yet not worth remembering: a courtesy, or what goes without saying


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A thought of the sample, and the turns around its source."""

    conversation: str
    thought: Thought
    around: Sequence[Turn]


def run(options: Options, embedder: Embedder) -> StudyResult:
    """Draw the sample; judge it by the verdicts, if they are given."""
    if len(options.data) != 1:
        raise InvalidInput("give one --data PATH, locomo10.json")
    data = locomo.read(options.data[0])
    haystacks = data.of("report")[: options.limit]
    with vectors(options, embedder) as cached:
        prepare(cached, [one.turns for one in haystacks], [])
        everything = [drawn for one in haystacks for drawn in _thoughts(one, cached)]
    chosen = sample(everything, options.n, options.seed)
    name = digest(chosen)
    if options.verdicts is None:
        return StudyResult(results=[], aside=[*_sheet(chosen), f"sample {name}"])
    verdicts = read_verdicts(options.verdicts, len(chosen), name)
    result = _result(chosen, verdicts, options)
    settings: dict[str, Cell] = {
        "data": data.file, "sha256": sha256(options.data[0]), "sample": name,
        "thoughts in all": len(everything), "turns": sum(len(one.turns) for one in haystacks),
    }  # fmt: skip
    return StudyResult(
        results=[replace(result, settings={**settings, **result.settings})],
        outcomes=list(_lines(chosen, verdicts)),
    )


def _thoughts(haystack: Haystack, embedder: Embedder) -> Iterator[Drawn]:
    """Yield a conversation's thoughts in the order they were said, closed ones too."""
    place = {turn.id: n for n, turn in enumerate(haystack.turns)}

    def order(one: Thought) -> tuple[int, int, str]:
        return place[one.turn_ids[0]], one.sources[0].start, one.text

    with filled(haystack.turns, embedder) as memory:
        found = sorted(conclusions(memory, haystack.turns).values(), key=order)
    for one in found:
        n = place[one.turn_ids[0]]
        session = haystack.turns[n].session_id
        around = [
            turn for turn in haystack.turns[max(n - 2, 0) : n + 2] if turn.session_id == session
        ]
        yield Drawn(conversation=haystack.name, thought=one, around=around)


def sample(everything: Sequence[Drawn], n: int, seed: int) -> list[Drawn]:
    """Return `n` of them, or all if there are fewer, in the order they were given."""
    chosen = random.Random(seed).sample(range(len(everything)), min(n, len(everything)))
    return [everything[place] for place in sorted(chosen)]


def digest(drawn: Sequence[Drawn]) -> str:
    """Return what tells a sample from one that other rules drew."""
    parts = [f"{one.conversation}\0{one.thought.turn_ids}\0{one.thought.text}" for one in drawn]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _sheet(drawn: Sequence[Drawn]) -> Iterator[str]:
    """Yield what a reader needs, a few lines for each thought."""
    for n, one in enumerate(drawn):
        thought = one.thought
        since = (
            "" if thought.valid_from == thought.said_at else f"  since {_day(thought.valid_from)}"
        )
        said = f"{','.join(thought.turn_ids)}  {_day(thought.said_at)}"
        yield f"[{n}] {one.conversation} {said}{since}"
        yield f"    THOUGHT: {thought.text}"
        yield f"    {thought.head!r} / {thought.relation!r} / {thought.tail!r}; {thought.slot!r}"
        for turn in one.around:
            mark = ">" if turn.id == thought.turn_ids[0] else " "
            yield f"  {mark} {turn.speaker}: {turn.text}"
        yield ""


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


# ---- verdicts

Verdict = tuple[bool, str]  # right; if not, why: of `REASONS`; if so, "" or `EMPTY`


def read_verdicts(path: Path, n: int, drawn: str) -> list[Verdict]:
    """Return a reader's verdicts, one for each thought of the sample.

    The file is JSON: {"sample": "...", "verdicts": {"0": [true, ""], "1": [false, "head"]}}.

    Raises:
        InvalidInput: it is of another sample, or incomplete, or gives a reason that is none.
    """
    try:
        given = json.loads(path.read_text())
        told, judged = given["sample"], given["verdicts"]
        found = [(judged[str(m)][0] is True, str(judged[str(m)][1])) for m in range(n)]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidInput(f"{path} holds no verdicts on {n} thoughts: {error!r}") from error
    if told != drawn:
        raise InvalidInput(f"{path} judges sample {told}, this one is {drawn}: the rules changed")
    odd = [why for right, why in found if (why not in REASONS) != right]
    if odd:
        raise InvalidInput(
            f"{path}: reason {odd[0]!r}; a wrong one needs one of {', '.join(REASONS)}"
        )
    return found


def _result(drawn: Sequence[Drawn], verdicts: Sequence[Verdict], options: Options) -> Result:
    groups = [one.conversation for one in drawn]
    rows: list[list[Cell]] = []
    for what, right in (
        ("supported by its source", [why not in UNSUPPORTED for _, why in verdicts]),
        ("right", [fine for fine, _ in verdicts]),
        ("right, and worth remembering", [fine and not why for fine, why in verdicts]),
    ):
        by_thought = share(right, list(map(str, range(len(drawn)))), options.seed)
        by_conversation = share(right, groups, options.seed)
        rows.append([what, *cells(by_thought), cells(by_conversation)[1], len(drawn)])
    wrong = Counter(why for fine, why in verdicts if not fine)
    return Result(
        name="precision",
        about="LoCoMo, conversations that no rule was written on",
        settings={"judged": len(drawn), "conversations": len(set(groups))},
        tables=[
            Table(
                title="thoughts that are right",
                columns=("what", "share", "95 % by thought", "95 % by conversation", "n"),
                rows=rows,
                note=f"{len(set(groups))} conversations are few to draw from: believe the wider",
            ),
            Table(
                title="why the others are not",
                columns=("reason", "thoughts", "what it means"),
                rows=[[why, wrong[why], meaning] for why, meaning in REASONS.items()],
            ),
        ],
        notes=["one reader's verdicts, each given with the source turn and its neighbours at hand"],
    )


def _lines(drawn: Sequence[Drawn], verdicts: Sequence[Verdict]) -> Iterator[dict[str, object]]:
    for n, (one, (right, why)) in enumerate(zip(drawn, verdicts, strict=True)):
        yield {
            "n": n,
            "conversation": one.conversation,
            "turns": list(one.thought.turn_ids),
            "right": right,
            "reason": why or None,
        }
