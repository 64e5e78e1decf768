"""The default thinker: a small trained network decides what holds, what changes, what is unsure.

A thought keeps the speaker's words. The network reads each turn of a person once, with the turn
before it, and says of every clause whether it states a lasting fact, a plan or a passing state, or
nothing to remember: an event, a question, a joke, a quotation. It then reads new clauses together
with an older thought, and says whether they close it or put it in doubt. Needs no language model.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memkit.protocols import Relation, ThoughtPair
from memkit.records import Claim, ClaimKind, Source, Thought, Turn
from memkit.text.relative_dates import since, without_dates
from memkit.text.words import sentences
from memkit.thoughts.clauses import clauses
from memkit.thoughts.reader import (
    Excerpt,
    Reading,
    TalkReader,
    bundled_reader,
    in_context,
    opening,
    whole,
)

_MOST_CHARACTERS = 12_000  # of a turn; longer ones are documents, which stay searchable as they are
_WINDOW = 560  # characters of a turn that are read at once, about 140 tokens
_OLDER_AT_ONCE = 6  # thoughts that a turn is compared with in one reading
_NEEDS_BEFORE = 100  # characters; a longer turn is read without the turn before it
_MOST_ANSWER = 60  # characters of a turn that is shown with the question that it answers
ANSWERS = (
    "answers"  # the relation of a thought whose head is a question and whose tail is the answer
)
_MACHINE_NAMES = frozenset(("assistant", "ai", "bot", "chatbot", "chatgpt", "system", "model"))
_BELIEVED: tuple[ClaimKind, ...] = ("fact", "plan", "state")  # columns 1 to 3 of a clause
_QUOTED = 5  # the column
_CARRIED = 0.5  # share of the most quoted clause's probability that the others of a turn have


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The least probability for each decision.

    docs/benchmarks/thoughts.md has the trade between stale facts and false alarms.
    """

    believe: float = 0.35  # a clause is believed
    quoted: float = 0.25  # a clause is somebody else's words or no earnest, and is not believed
    deny: float = 0.5  # a clause that is not believed is kept, because it changes something
    compare: float = 0.1  # a claim is compared with older thoughts
    close: float = 0.7  # an older thought is closed
    doubt: float = 0.07  # an older thought is put in doubt
    same: float = 0.9  # a newer thought is merged into an older one


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a turn that is read at once."""

    turn: Turn
    start: int  # characters into the turn's text
    reading: Reading
    question: str | None  # that the turn answers


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Older thoughts and a turn that are read at once, and where the answer on each pair stands."""

    reading: Reading
    places: dict[int, tuple[int, int]]  # by number of the pair: row and column of the answer


class LearnedThinker:
    """Draws claims from turns of people, and compares thoughts. Thread-safe; loaded at first use.

    Args:
        thresholds: the default is calibrated on the validation dialogues.
        reader: runs the network; the default is the bundled one.
    """

    def __init__(
        self, thresholds: Thresholds | None = None, *, reader: TalkReader | None = None
    ) -> None:
        self._thresholds = thresholds or Thresholds()
        self._reader = reader or bundled_reader()

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return the claims of `turns`, each in the words of a clause.

        Turns without an id make no claims; nor do turns of a system, a tool, or an assistant
        without a name.
        """
        history = [None, *before, *turns]
        windows = [
            window
            for previous, turn in zip(history[-len(turns) - 1 :], turns, strict=False)
            if turn.id is not None and is_person(turn)
            for window in _windows(turn, previous)
        ]
        rows = self._reader.claims([window.reading for window in windows])
        return [
            claim
            for window, its_rows in zip(windows, rows, strict=True)
            for claim in self._claims(window, its_rows.tolist())
        ]

    def _claims(self, window: _Window, rows: Sequence[Sequence[float]]) -> Iterator[Claim]:
        turn = window.turn
        most_quoted = max(row[_QUOTED] for row in rows) if rows else 0.0
        for (left, right), row in zip(window.reading.spans, rows, strict=True):
            # a pasted text goes on from one clause to the next
            quoted = max(row[_QUOTED], _CARRIED * most_quoted)
            if (kind := self._kind(row, quoted)) is None:
                continue
            text = window.reading.text[left:right]
            start = window.start + left
            yield Claim(
                text=text,
                kind=kind,
                head=window.question,
                relation=ANSWERS if window.question else None,
                tail=text if window.question else None,
                changes=row[-1] >= self._thresholds.compare,
                source=Source(turn_id=turn.id or "", start=start, end=start + len(text)),
                valid_from=since(text, turn.said_at) if turn.said_at else None,
            )

    def _kind(self, row: Sequence[float], quoted: float) -> ClaimKind | None:
        shares = row[1:4]
        if sum(shares) >= self._thresholds.believe and quoted < self._thresholds.quoted:
            return _BELIEVED[shares.index(max(shares))]
        return "denial" if row[-1] >= self._thresholds.deny else None

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        """Return what each newer thought does to the older one.

        A turn is read once with up to six of the older thoughts that its own are compared with.
        """
        by_turn: dict[str | None, list[int]] = defaultdict(list)
        for n, pair in enumerate(pairs):
            if pair.turn.id not in pair.older.turn_ids:  # one turn's clauses are not compared
                by_turn[pair.turn.id].append(n)
        comparisons = [
            comparison
            for numbers in by_turn.values()
            for comparison in _comparisons([(n, pairs[n]) for n in numbers])
        ]
        tables = self._reader.pairs([comparison.reading for comparison in comparisons])
        relations: list[Relation] = ["keeps"] * len(pairs)
        for comparison, table in zip(comparisons, tables, strict=True):
            for n, place in comparison.places.items():
                relations[n] = self._relation(table[place].tolist())
        return relations

    def _relation(self, row: Sequence[float]) -> Relation:
        _, same, replaces, ends = row
        changed = replaces + ends
        if changed >= self._thresholds.close:
            return "closes"
        if changed >= self._thresholds.doubt:
            return "doubts"
        return "same" if same >= self._thresholds.same else "keeps"


def is_person(turn: Turn) -> bool:
    """Return whether a turn is a person's own: a user's, or that of a named other speaker."""
    is_named = turn.name is not None and turn.name.casefold() not in _MACHINE_NAMES
    return turn.role == "user" or (turn.role == "assistant" and is_named)


def _windows(turn: Turn, previous: Turn | None) -> Iterator[_Window]:
    """Yield a turn in windows of whole clauses, each with the text before it."""
    before = previous.text if previous else ""
    question = _question(turn, previous)
    spans = clauses(turn.text[:_MOST_CHARACTERS])
    first = 0
    for n, (_, end) in enumerate(spans):
        if n + 1 < len(spans) and spans[n + 1][1] - spans[first][0] <= _WINDOW:
            continue
        start = spans[first][0]
        shifted = tuple((left - start, right - start) for left, right in spans[first : n + 1])
        text = turn.text[start:end]
        yield _Window(turn, start, Reading(earlier(before, text), text, shifted), question)
        before, first = text, n + 1


def earlier(before: str, text: str) -> tuple[Excerpt, ...]:
    """Return what is read before a turn's text: the turn before, if this one is short."""
    return (whole(before),) if before and len(text) <= _NEEDS_BEFORE else ()


def _question(turn: Turn, previous: Turn | None) -> str | None:
    """Return the question of somebody else that a short turn answers: "Any allergies?"."""
    if previous is None or (previous.role, previous.name) == (turn.role, turn.name):
        return None
    return answered_question(turn.text, previous.text)


def answered_question(text: str, previous: str) -> str | None:
    """Return the question at the end of the `previous` text, if `text` is a short answer."""
    if len(text) > _MOST_ANSWER or not (spans := sentences(previous)):
        return None
    start, end = spans[-1]
    question = previous[start:end]
    return question if question.endswith(("?", "？", "؟")) else None


def _comparisons(pairs: Sequence[tuple[int, ThoughtPair]]) -> Iterator[_Comparison]:
    """Yield the readings that compare thoughts of one turn with older ones; pairs are numbered."""
    for part in _parts(pairs):
        older = list({pair.older.id: pair for _, pair in part}.values())
        for first in range(0, len(older), _OLDER_AT_ONCE):
            at_once = older[first : first + _OLDER_AT_ONCE]
            rows = {pair.older.id: n for n, pair in enumerate(at_once)}
            asked = [(n, pair) for n, pair in part if pair.older.id in rows]
            columns = {pair.newer.id: pair for _, pair in asked}
            column_of = {thought_id: n for n, thought_id in enumerate(columns)}
            yield _Comparison(
                reading=_pair_reading(at_once, list(columns.values())),
                places={n: (rows[pair.older.id], column_of[pair.newer.id]) for n, pair in asked},
            )


def _parts(pairs: Sequence[tuple[int, ThoughtPair]]) -> Iterator[list[tuple[int, ThoughtPair]]]:
    """Yield the pairs of a turn in parts whose newer thoughts can be read at once."""
    part: list[tuple[int, ThoughtPair]] = []
    for numbered in sorted(pairs, key=lambda numbered: _source(numbered[1]).start):
        if part and _source(numbered[1]).end - _source(part[0][1]).start > _WINDOW:
            yield part
            part = []
        part.append(numbered)
    if part:
        yield part


def _source(pair: ThoughtPair) -> Source:
    """Return where the turn of a pair says the newer thought."""
    return next(source for source in pair.newer.sources if source.turn_id == pair.turn.id)


def _pair_reading(older: Sequence[ThoughtPair], newer: Sequence[ThoughtPair]) -> Reading:
    """Return older thoughts with a turn, whose newer thoughts are the clauses."""
    turn = newer[0].turn
    sources = [_source(pair) for pair in newer]
    is_at_start = max(source.end for source in sources) <= _WINDOW
    start = 0 if is_at_start else min(source.start for source in sources)
    prefix = opening(turn.name or turn.role, _asked(newer[0].newer))
    shift = len(prefix) - start
    return Reading(
        tuple(_excerpt(pair) for pair in older),
        prefix + turn.text[start : start + _WINDOW],
        tuple((source.start + shift, source.end + shift) for source in sources),
    )


def _excerpt(pair: ThoughtPair) -> Excerpt:
    """Return the older thought in the words around it, or alone if it is in words of its own."""
    text = without_dates(pair.older.text)
    source, turn = pair.older.sources[0], pair.older_turn
    if turn.text[source.start : source.end] == text:
        span = (source.start, source.end)
        return in_context(pair.older.said_by, turn.text, span, _asked(pair.older))
    return in_context(pair.older.said_by, text, (0, len(text)))


def _asked(thought: Thought) -> str | None:
    """Return the question that a thought answers; the head of other relations is none."""
    return thought.head if thought.relation == ANSWERS else None
