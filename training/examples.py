"""Training examples for the two heads, from marked dialogues."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evals.data.talk import Dialogue, MarkedTurn, Stretch
from memkit.protocols import Embedder, Vectors
from memkit.thoughts.clauses import clauses
from memkit.thoughts.learned import answered_question
from memkit.thoughts.network import CLAIM_KINDS, RELATIONS
from memkit.thoughts.reader import Excerpt, in_context, opening

UNKNOWN = -100  # a label that does not count
_KIND = {"f": "fact", "p": "plan", "t": "state", "e": "event", "q": "quoted", "g": "none"}
_RELATION = {"=": "same", ">": "replaces", "x": "ends", "+": "keeps"}  # "~" counts for nothing
_OLDER = frozenset("fptg")  # kinds that newer words may change
_LEAST_SHARE = 0.4  # of a clause that a stretch covers
_MOST_OLDER = 6  # clauses that are read with a newer turn
_MOST_FOREIGN = 3  # of them, clauses of other dialogues
_LONG = 24  # turns
_NEAR = 12  # unrelated clauses that a turn of such a dialogue is compared with
# states of minutes or hours: "10 minutes late", "on the train", "starving"
_MOMENT = re.compile(
    r"\b(?:late|minutes?|mins?|hungry|starving|knackered|sleepy|tonight|right now|brb|"
    r"on (?:the|my) (?:bus|train|tram|way))\b",
    re.IGNORECASE,
)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ClaimExample:
    """A turn with the turn before it, and the labels of its clauses."""

    before: str
    text: str
    spans: tuple[Span, ...]
    kinds: tuple[int, ...]
    changes: tuple[int, ...]  # 1: the clause changes something said earlier


@dataclass(frozen=True, slots=True)
class PairExample:
    """Older clauses and a newer turn, and what each of its clauses does to each older one."""

    older: tuple[Excerpt, ...]
    newer: str
    spans: tuple[Span, ...]
    relations: tuple[tuple[int, ...], ...]  # by older clause and newer clause


def statements(dialogue: Dialogue) -> list[Excerpt]:
    """Return what a dialogue states, to pair with other dialogues."""
    return [
        in_context(dialogue.name(turn), turn.text, (stretch.start, stretch.end))
        for turn in dialogue.turns
        for stretch in turn.stretches
        if stretch.kind in "fpt"
    ]


@dataclass(frozen=True, slots=True)
class _Marked:
    """The clauses of a turn with their stretches."""

    spans: tuple[Span, ...]
    stretches: dict[int, Stretch]  # by clause
    clause_of: dict[str, int]  # by the number of a stretch: the clause that it is most of

    @classmethod
    def of(cls, turn: MarkedTurn) -> "_Marked":
        spans = tuple(clauses(turn.text))
        stretches: dict[int, Stretch] = {}
        shares: dict[int, float] = {}
        clause_of: dict[str, int] = {}
        for stretch in turn.stretches:
            overlaps = [min(end, stretch.end) - max(start, stretch.start) for start, end in spans]
            most = max(range(len(spans)), key=overlaps.__getitem__, default=None)
            if most is None or overlaps[most] <= 0:
                continue
            clause_of[stretch.number] = most
            for n, overlap in enumerate(overlaps):
                share = overlap / (spans[n][1] - spans[n][0])
                if n == most:
                    share = max(share, _LEAST_SHARE)
                if share >= _LEAST_SHARE and share > shares.get(n, 0):
                    stretches[n], shares[n] = stretch, share
        return cls(spans, stretches, clause_of)


# ---- claims


def claim_examples(dialogue: Dialogue) -> Iterator[ClaimExample]:
    """Yield every turn of a person with the kinds of its clauses."""
    previous = ""
    for turn in dialogue.turns:
        marked = _Marked.of(turn)
        if turn.speaker != "A" and marked.spans:
            labels = [_claim_label(marked.stretches.get(n), turn) for n in range(len(marked.spans))]
            kinds, changes = zip(*labels, strict=True)
            yield ClaimExample(previous, turn.text, marked.spans, kinds, changes)
        previous = turn.text


def _claim_label(stretch: Stretch | None, turn: MarkedTurn) -> tuple[int, int]:
    """Return the kind of a clause, and whether it changes something said earlier."""
    if stretch is None:
        return CLAIM_KINDS.index("none"), 0
    words = turn.text[stretch.start : stretch.end]
    relations = {relation for relation, _ in stretch.relations}
    kind = _KIND[stretch.kind]
    if relations == {"x"} and len(words.split()) <= 2:
        kind = "none"  # "Wrong!"
    if kind == "state" and _MOMENT.search(words):
        kind = "event"  # it holds now, and is nothing to remember
    return CLAIM_KINDS.index(kind), int(bool(relations & set(">x~")))


# ---- pairs

Line = tuple[str, Excerpt]  # the number of an older stretch, and its clause
Nearest = Callable[[Sequence[str], Sequence[Line]], list[Line]]  # to clauses, nearest first


def pair_examples(
    dialogue: Dialogue, elsewhere: Sequence[Excerpt], rng: random.Random, nearest: Nearest
) -> Iterator[PairExample]:
    """Yield newer turns with older clauses: all that they change, and some that they do not.

    In a short dialogue the unrelated ones are drawn, their number too. In a long one they are those
    that memkit would compare: the nearest of what still holds.
    """
    older: list[Line] = []
    closed: set[str] = set()
    for previous, turn in zip([None, *dialogue.turns], dialogue.turns, strict=False):
        marked = _Marked.of(turn)
        question = _question(turn, previous)
        speaker = dialogue.name(turn)
        if turn.speaker != "A" and marked.spans:
            relations = [pair for stretch in turn.stretches for pair in stretch.relations]
            changed = {target for _, target in relations}
            related = [entry for entry in older if entry[0] in changed]
            unrelated = [entry for entry in older if entry[0] not in changed | closed]
            if is_long(dialogue):
                spoken = [turn.text[start:end] for start, end in marked.spans]
                readings = _near_readings(related, nearest(spoken, unrelated), rng)
            else:
                foreign = rng.sample(elsewhere, rng.randint(0, _MOST_FOREIGN))
                rng.shuffle(unrelated)
                unrelated += [("", excerpt) for excerpt in foreign]
                readings = iter([_drawn_reading(related, unrelated, rng)])
            for chosen in readings:
                if chosen:
                    yield _pair(chosen, turn, opening(speaker, question), marked)
            closed |= {target for relation, target in relations if relation in ">x"}
        older += [
            (stretch.number, in_context(speaker, turn.text, marked.spans[clause], question))
            for stretch in turn.stretches
            if stretch.kind in _OLDER
            and (clause := marked.clause_of.get(stretch.number)) is not None
        ]


def _question(turn: MarkedTurn, previous: MarkedTurn | None) -> str | None:
    if previous is None or previous.speaker == turn.speaker:
        return None
    return answered_question(turn.text, previous.text)


def is_long(dialogue: Dialogue) -> bool:
    """Return whether a dialogue has more older clauses than a turn is compared with."""
    return len(dialogue.turns) >= _LONG


def _drawn_reading(related: list[Line], unrelated: list[Line], rng: random.Random) -> list[Line]:
    unchanged = unrelated[: rng.randint(0, _MOST_OLDER)]
    chosen = [*related, *unchanged][: max(_MOST_OLDER, len(related))]
    rng.shuffle(chosen)
    return chosen


def _near_readings(
    related: list[Line], nearest: list[Line], rng: random.Random
) -> Iterator[list[Line]]:
    """Yield the related lines and the nearest others, in parts that are read at once."""
    compared = [*related, *nearest[:_NEAR]]
    rng.shuffle(compared)
    for first in range(0, len(compared), _MOST_OLDER):
        yield compared[first : first + _MOST_OLDER]


def by_cosine(embedder: Embedder) -> Nearest:
    """Return the order by the greatest cosine with any line of a turn; vectors are kept."""
    vector_of: dict[str, Vectors] = {}

    def vectors(texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in vector_of]
        vector_of.update(zip(new, embedder.embed(new) if new else (), strict=True))
        return np.stack([vector_of[text] for text in texts])

    def nearest(spoken: Sequence[str], older: Sequence[Line]) -> list[Line]:
        if not older:
            return []
        texts = [excerpt.text[slice(*excerpt.span)] for _, excerpt in older]
        cosines = vectors(texts) @ vectors(spoken).T
        return [older[n] for n in np.argsort(-cosines.max(axis=1), kind="stable")]

    return nearest


def _pair(older: Sequence[Line], turn: MarkedTurn, prefix: str, marked: _Marked) -> PairExample:
    newer = prefix + turn.text
    shift = len(newer) - len(turn.text)
    return PairExample(
        tuple(excerpt for _, excerpt in older),
        newer,
        tuple((start + shift, end + shift) for start, end in marked.spans),
        tuple(
            tuple(
                _relation_label(marked.stretches.get(n), number) for n in range(len(marked.spans))
            )
            for number, _ in older
        ),
    )


def _relation_label(stretch: Stretch | None, number: str) -> int:
    relations = (
        dict((target, relation) for relation, target in stretch.relations) if stretch else {}
    )
    relation = _RELATION.get(relations.get(number, "+"))
    return UNKNOWN if relation is None else RELATIONS.index(relation)
