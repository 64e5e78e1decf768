"""Thinkers for tests, what is said to them, and what came of it."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import memkit
from memkit import Turn
from memkit.background.maintenance import Settings
from memkit.memory import Memory
from memkit.protocols import Relation, ThoughtPair
from memkit.records import Claim, Role, Source, Thought
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
_LIVES = re.compile(r"I live in (\w+)")
_LEAVES = re.compile(r"I moved away")  # ends where the speaker lived
_MAY_LEAVE = re.compile(r"I might move")  # puts where the speaker lives in doubt


def day(n: float) -> datetime:
    return NOON + timedelta(days=n)


def claim(turn: Turn, text: str, start: int = 0, end: int | None = None, **rest: Any) -> Claim:
    end = len(turn.text) if end is None else end
    return Claim(text=text, source=Source(turn_id=str(turn.id), start=start, end=end), **rest)


def claims(turn: Turn) -> list[Claim]:
    """Return every line of a turn as a claim in its own words."""
    found, start = [], 0
    for line in turn.text.splitlines(keepends=True):
        end, said = start + len(line.rstrip()), line.strip()
        if said:
            kind = "denial" if _LEAVES.match(said) else "fact"
            city = lives[1] if (lives := _LIVES.match(said)) else None
            found.append(claim(turn, said, start, end, kind=kind, tail=city))
        start += len(line)
    return found


def relation(pair: ThoughtPair) -> Relation:
    """Return what newer words do to older ones: nobody lives in two cities or eats no fish."""
    older, newer = pair.older, pair.newer
    if older.said_by != newer.said_by:
        return "keeps"
    if was := _LIVES.match(older.text):
        if now := _LIVES.match(newer.text):
            return "same" if now[1] == was[1] else "closes"
        if _LEAVES.match(newer.text):
            return "closes"
        if _MAY_LEAVE.match(newer.text):
            return "doubts"
    return "doubts" if {older.text, newer.text} == {turn.text for turn in FISH} else "keeps"


class Reader:
    """Takes turns at their word, and notes what it was given."""

    def __init__(self, read: Callable[[Turn], list[Claim]] = claims) -> None:
        self.batches: list[list[str]] = []  # ids of turns
        self.pairs: list[tuple[str, str]] = []  # texts of the thoughts compared
        self._read = read

    @property
    def seen(self) -> list[str]:
        return [id for batch in self.batches for id in batch]

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:  # noqa: ARG002
        self.batches.append([str(turn.id) for turn in turns])
        return [claim for turn in turns for claim in self._read(turn)]

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        self.pairs += [(pair.older.text, pair.newer.text) for pair in pairs]
        return [relation(pair) for pair in pairs]


class Fails(Reader):
    """Fails while a turn in `at` is among those it is given."""

    def __init__(self, *at: str) -> None:
        super().__init__()
        self.at = set(at)

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        found = super().think(turns, before)
        if bad := self.at & {turn.id for turn in turns}:
            raise RuntimeError(f"cannot read {sorted(map(str, bad))}")
        return found


class Hangs(Reader):
    """Waits for `let_go` while a turn in `at` is among those it is given; says when it does."""

    def __init__(self, *at: str) -> None:
        super().__init__()
        self.at, self.count_derived, self.let_go = set(at), Event(), Event()

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        found = super().think(turns, before)
        if self.at & {turn.id for turn in turns}:
            self.count_derived.set()
            self.let_go.wait(60)
        return found


class Says:
    """A judge that always says the same, or raises it."""

    def __init__(self, verdict: bool | Exception) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, str]] = []

    def contradict(self, older: str, newer: str) -> bool:
        self.asked.append((older, newer))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def opened(
    path: Path | str = ":memory:", thinker: Any = None, *, background: bool = False,
    seconds: float = 60, thoughts: bool = True, dimension: int = 256, **rest: Any,
) -> Memory:  # fmt: skip
    settings = Settings(background=background, thinker_seconds=seconds, thoughts=thoughts)
    embedder = HashEmbedder(dimension)
    return memkit.open(
        str(path), embedder=embedder, thinker=thinker or Reader(), settings=settings, **rest
    )


def says(text: str, n: float = 0, role: Role = "user", **rest: Any) -> Turn:
    """Return what Ann says on the n-th day; an assistant's words count for less than a user's."""
    return Turn(text=text, said_at=day(n), name="Ann", role=role, **rest)


def lives(city: str, n: float = 0, role: Role = "user", **rest: Any) -> Turn:
    return says(f"I live in {city} now", n, role, **rest)


def tell(memory: Memory, *turns: Turn, user_id: str = "ann") -> list[str]:
    """Have turns remembered and thought about, one after another; return their ids."""
    ids = []
    for turn in turns:
        ids += memory.remember(turn, user_id=user_id)
        memory.think(user_id=user_id)
    return ids


def texts(thoughts: Sequence[Thought]) -> list[str]:
    return [thought.text for thought in thoughts]


def known(memory: Memory, user_id: str = "ann", **rest: Any) -> list[str]:
    return texts(memory.thoughts(user_id=user_id, **rest))


def everything(memory: Memory, user_id: str = "ann") -> list[Thought]:
    """Return what holds and all that it replaced."""
    found: dict[str, Thought] = {}
    for thought in memory.thoughts(user_id=user_id):
        found |= {each.id: each for each in memory.history(thought.id, user_id=user_id)}
    return list(found.values())


FISH = (says("Ann will eat fish on the boat.", 0), says("Ann will not eat fish on the boat.", 1))


def texts_of(hits: list[memkit.Hit]) -> list[str]:
    return [hit.text for hit in hits]
