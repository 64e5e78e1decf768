"""The Compact Memory: how many of the facts that people ask about most it holds.

The data are dialogues with questions that name the turns with their answers (`evals.data.life`).

* A fact is a turn. Of a dialogue, the ten turns count that most answerable questions name; equally
  many are ordered by a hash of the turn's id, so that neither early nor late turns are preferred.
* Its stretches are those clauses of the turn that are nearest, by the encoder, to the questions
  that name it, one clause a question. No summary is seen for that.
* A summary holds a fact if it has at least half of the content words of a stretch: recall of
  ROUGE-1 over stems, without stop words.
* Stale is the same share of the turns that a question names as outdated.

The summaries, each of at most 60 tokens: memkit's; memkit's with doubted thoughts too, which it
never shows as plain fact; the one that memkit makes without thoughts, the only one until 0.7.0; the
person's first and last three sentences; and the most that fit, the shortest stretches of the ten
facts packed into 60 tokens. Intervals resample whole dialogues.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import memkit
from evals.data import life
from evals.data.haystack import PUBLISHED, Haystack, Question, Split
from evals.stats.bootstrap import cells, means, weights
from evals.tables import Result, StudyResult, Table
from memkit import Thought, Turn
from memkit.background.summary import MAX_TOKENS, ExtractiveSummariser
from memkit.protocols import Counter, Embedder
from memkit.text.words import search_terms, sentences, stem, words
from memkit.thoughts.clauses import clauses

FACTS = 10  # of a dialogue
HELD = 0.5  # share of a stretch's content words
USER = "user"
_SENTENCES = 3  # of the baselines

Summaries = dict[str, str]  # by name


@dataclass(frozen=True, slots=True)
class Fact:
    """A turn that questions name, and the clauses of it that they ask about."""

    turn: Turn
    stretches: tuple[str, ...]


def facts(haystack: Haystack, embedder: Embedder) -> list[Fact]:
    """Return the most asked-about facts of a dialogue, the most asked-about first."""
    asked: dict[str, list[Question]] = {}
    for question in haystack.questions:
        for turn_id in question.golds[PUBLISHED].turns if question.answerable else ():
            asked.setdefault(turn_id, []).append(question)

    def rank(turn_id: str) -> tuple[int, int]:
        return -len(asked[turn_id]), zlib.crc32(f"{haystack.name} {turn_id}".encode())

    most_asked = {turn_id: asked[turn_id] for turn_id in sorted(asked, key=rank)[:FACTS]}
    return _to_facts(haystack, most_asked, embedder)


def outdated_facts(haystack: Haystack, embedder: Embedder) -> list[Fact]:
    """Return the turns that questions name as outdated."""
    asked: dict[str, list[Question]] = {}
    for question in haystack.questions:
        for turn_id in question.expected.stale_turns if question.expected else ():
            asked.setdefault(turn_id, []).append(question)
    return _to_facts(haystack, asked, embedder)


def _to_facts(
    haystack: Haystack, asked: Mapping[str, Sequence[Question]], embedder: Embedder
) -> list[Fact]:
    turns = {turn.id: turn for turn in haystack.turns}
    return [
        Fact(turns[turn_id], _stretches(turns[turn_id].text, questions, embedder))
        for turn_id, questions in asked.items()
    ]


def _stretches(text: str, questions: Iterable[Question], embedder: Embedder) -> tuple[str, ...]:
    """Return the clause of a text that is nearest to each question."""
    pieces = [text[start:end] for start, end in clauses(text)]
    pieces = [piece for piece in pieces if words(piece)] or [text]
    cosines = embedder.embed([question.text for question in questions]) @ embedder.embed(pieces).T
    return tuple(dict.fromkeys(pieces[int(n)] for n in cosines.argmax(axis=1)))


def holds(summary: str, fact: Fact) -> bool:
    """Return whether a summary has at least half of the content words of a stretch."""
    return any(_recall(stretch, summary) >= HELD for stretch in fact.stretches)


def _recall(stretch: str, summary: str) -> float:
    sought = {stem(word) for word in words(stretch)}
    return len(sought & {stem(term) for term in search_terms(summary)}) / len(sought)


def summaries(haystack: Haystack, asked: Sequence[Fact], embedder: Embedder) -> Summaries:
    """Return every summary of a dialogue by its name."""
    said = [
        turn.text[start:end]
        for turn in haystack.turns
        if turn.role == "user"
        for start, end in sentences(turn.text)
    ]
    summary, thoughts = _memkit(haystack, embedder)
    undoubted = [replace(thought, later=()) for thought in thoughts]
    doubted_too, _ = ExtractiveSummariser(embedder.count).summarise_thoughts(
        undoubted, max_tokens=MAX_TOKENS
    )
    return {
        "memkit": summary,
        "with doubted thoughts": doubted_too,
        "without thoughts (0.7.0)": _memkit(haystack, embedder, thoughts=False)[0],
        "last 3 sentences": _cut(" ".join(said[-_SENTENCES:]), embedder.count),
        "lead-3": _cut(" ".join(said[:_SENTENCES]), embedder.count),
        "the most that fit": _pack(asked, embedder.count),
    }


def _memkit(
    haystack: Haystack, embedder: Embedder, *, thoughts: bool = True
) -> tuple[str, list[Thought]]:
    """Return memkit's summary of a dialogue, and its thoughts."""
    settings = memkit.Settings(background=False, thoughts=thoughts)
    with memkit.open(":memory:", embedder=embedder, settings=settings) as memory:
        memory.remember(haystack.turns, user_id=USER)
        memory.think(user_id=USER)
        summary = memory.summary(user_id=USER)
        return summary.text if summary else "", memory.thoughts(user_id=USER)


def _cut(text: str, count: Counter) -> str:
    """Return the first words of a text that have at most 60 tokens."""
    words_left = text.split()
    while count(" ".join(words_left)) > MAX_TOKENS:
        words_left.pop()
    return " ".join(words_left)


def _pack(asked: Iterable[Fact], count: Counter) -> str:
    """Return the shortest stretches of facts that have at most 60 tokens together."""
    packed = ""
    for stretch in sorted((min(fact.stretches, key=count) for fact in asked), key=count):
        longer = f"{packed}; {stretch}" if packed else stretch
        packed = longer if count(longer) <= MAX_TOKENS else packed
    return packed


def run(folder: Path, embedder: Embedder, *, split: Split, seed: int) -> StudyResult:
    """Summarise the dialogues of one split of a folder, and count the facts that are held."""
    haystacks = [haystack for haystack in life.read(folder).haystacks if haystack.split == split]
    figures: dict[str, dict[str, list[tuple[str, bool]]]] = {"held": {}, "stale": {}}
    for haystack in haystacks:
        asked, outdated = facts(haystack, embedder), outdated_facts(haystack, embedder)
        for name, summary in summaries(haystack, asked, embedder).items():
            for figure, each in (("held", asked), ("stale", outdated)):
                outcomes = [(haystack.name, holds(summary, fact)) for fact in each]
                figures[figure].setdefault(name, []).extend(outcomes)
    rows = [
        [name, figure, *_cells(outcomes, seed)]
        for figure, by_name in figures.items()
        for name, outcomes in by_name.items()
    ]
    columns = ("summary", "figure", "share", "95 %", "n")
    title = f"{len(haystacks)} dialogues, {split}: the {FACTS} most asked-about facts of each"
    table = Table(title=title, columns=columns, rows=rows)
    about = "how many of the facts that people ask about most a summary of 60 tokens holds"
    return StudyResult(results=[Result(name="summary", about=about, settings={}, tables=[table])])


def _cells(outcomes: Sequence[tuple[str, bool]], seed: int) -> list[str | int | None]:
    names = [name for name, _ in outcomes]
    values = np.array([[float(held)] for _, held in outcomes])
    (interval,) = means(values, weights(names, seed))
    return [*cells(interval), interval.n]
