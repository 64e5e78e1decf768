"""A small conversation, a memory that answers as it is told, and what a card keeps of both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from evals.card.records import Record
from evals.card.task import Evidence, QuestionState
from evals.data.haystack import PUBLISHED, ExpectedAnswer, Gold, Haystack, Query, Question
from evals.metrics.retrieval import places
from evals.systems.protocol import PackedContext, ScoredTurn
from memkit import Turn

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAID = ("I live in Oslo now.", "Nice!", "My cat is called Tulip.", "Nice!", "I moved to Bergen.")


def talk(n: int = 10, *, dated: bool = True) -> list[Turn]:
    """Return n turns, an hour apart."""
    texts = [*SAID, *(f"The weather is number {m}." for m in range(n))][:n]
    return [
        Turn(id=f"t{m}", text=text, said_at=NOON + timedelta(hours=m) if dated else None)
        for m, text in enumerate(texts)
    ]


def asked(*gold: str, **changes: Any) -> Question:
    """Return a question whose evidence is these turns; what it expects may be named alone."""
    names = ("answers", "stale", "stale_turns", "steps", "foils")
    expected = ExpectedAnswer(**{name: changes.pop(name) for name in names if name in changes})
    given = {
        "id": "q0", "text": "Where do I live?", "kind": "fact", "asked_at": None,
        "golds": {PUBLISHED: Gold(turns=gold, sessions=())}, "answerable": bool(gold),
        "expected": expected,
    }  # fmt: skip
    return Question(**(given | changes))


def haystack(*questions: Question, **changes: Any) -> Haystack:
    """Return a conversation of ten turns with these questions."""
    given = {"name": "h", "split": "report", "turns": talk(), "questions": questions}
    return Haystack(**(given | changes))


def state(question: Question, **changes: Any) -> QuestionState:
    """Return a question at the end of its conversation."""
    given = {"haystack": haystack(question), "question": question, "turns": 10}
    return QuestionState(**(given | changes))


def evidence(at: QuestionState, ranking: Sequence[str] = (), **changes: Any) -> Evidence:
    """Return what came back; packed are the turns of `packed`, each in a line."""
    packed = changes.pop("packed", ())
    lines = at.line_of
    given: dict[str, Any] = {
        "ranking": tuple(ranking), "ranks": True, "served": tuple(ranking[:10]),
        "confidence": None,
        "packed": PackedContext(text="\n".join(lines[one] for one in packed), turns=tuple(packed)),
        "visible": frozenset(lines), "stored": None, "refuses": None,
        "gold_places": places(ranking, at.gold),
        "current_places": places(ranking, at.gold),
        "stale_places": places(ranking, at.question.expected.stale_turns),
    }  # fmt: skip
    return Evidence(**(given | changes))


def record(**changes: Any) -> Record:
    """Return the record of an answerable question."""
    given: dict[str, Any] = {
        "data": "d", "haystack": "h0", "question": "q0", "kind": "fact", "answerable": True,
        "regime": "replay", "system": "ours",
    }  # fmt: skip
    return Record(**(given | changes))


def spread(template: Record, values: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Return a record per change, each a question of a conversation of its own."""
    return [
        replace(template, **({"haystack": f"h{n}", "question": f"q{n}"} | dict(one)))
        for n, one in enumerate(values)
    ]


class Scripted:
    """A memory that returns what it was told to, and keeps what it was asked and when."""

    def __init__(
        self, ranking: Sequence[str] = (), packed: PackedContext | None = None, **tells: Any
    ) -> None:
        self._ranking, self._packed, self._tells = ranking, packed or PackedContext(), tells
        self.held: list[str] = []
        self.done: list[tuple[str, Any]] = []  # what was called, in order

    def remember(self, turns: Sequence[Turn]) -> None:
        self.held += [turn.id or "" for turn in turns]
        self.done.append(("remember", len(turns)))

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        self.done.append(("ask", (query.text, k, len(self.held))))
        found = self._ranking or self.held
        return [ScoredTurn(turn_id=one, score=1 / n) for n, one in enumerate(found[:k], start=1)]

    def pack(self, query: Query, budget: int) -> PackedContext:  # noqa: ARG002
        self.done.append(("pack", budget))
        return self._packed

    def refuses(self, query: Query) -> bool | None:  # noqa: ARG002
        return self._tells.get("refuses")

    def forget(self, turn_ids: Sequence[str]) -> None:
        self.held = [one for one in self.held if one not in turn_ids]
        self.done.append(("forget", tuple(turn_ids)))

    def stored(self) -> frozenset[str] | None:
        return frozenset(self.held) if self._tells.get("tells", True) else None

    def footprint(self) -> int | None:
        return self._tells.get("bytes")

    def close(self) -> None:
        self.done.append(("close", None))
