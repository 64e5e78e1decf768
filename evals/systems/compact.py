"""HEMA's Compact Memory alone: what a running sentence of sixty tokens keeps of a conversation."""

import re
from collections.abc import Iterator, Sequence

from evals import USER
from evals.data.haystack import Query
from evals.systems.memkit import Memkit, OverMemkit
from evals.systems.protocol import Packed, ScoredTurn
from memkit import Settings, Summary, Turn, prompt
from memkit.protocols import Embedder
from memkit.records import Scope

_WORD = re.compile(r"[^\W_]+")


class Compact(OverMemkit):
    """memkit's summaries and nothing else: no turn is searched, and none is shown.

    A turn counts as found if a clause of it stands in the summaries word by word, as their
    extractive summariser leaves it; that a summary has taken a turn in says nothing of what it
    kept. The newest such turn is first.
    """

    def __init__(self, embedder: Embedder) -> None:
        settings = Settings(background=False, thoughts=False)
        super().__init__(Memkit(embedder, settings=settings, on_disk=True))
        self._count = embedder.count
        self._turns: list[Turn] = []  # in the order memkit has them
        self._words: dict[str, str] = {}  # by turn

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns and bring the summaries up to date."""
        super().remember(turns)
        self._read()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return the turns that have words in the summaries; the newest scores 1, the next 1/2."""
        found = set(self._sources(self._summaries(query)))
        newest_first = [turn.id or "" for turn in reversed(self._turns) if turn.id in found]
        return [
            ScoredTurn(turn_id=turn_id, score=1 / place)
            for place, turn_id in enumerate(newest_first[:k], start=1)
        ]

    def pack(self, query: Query, budget: int) -> Packed:
        """Return the summaries as memkit puts them into a prompt."""
        kept, _ = prompt.select_within_budget(self._summaries(query), [], budget, self._count)
        shown = [one for one in kept if isinstance(one, Summary)]
        turns = dict.fromkeys(self._sources(shown))
        return Packed(text=prompt.format_memory_block(shown, []), turns=tuple(turns))

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget turns; summaries that took them in are made anew."""
        super().forget(turn_ids)
        self._read()

    def _read(self) -> None:
        memory = self._memkit.memory
        self._turns = sorted(memory.turns(user_id=USER), key=lambda turn: turn.position or 0)
        self._words = {turn.id or "": _words(turn.text) for turn in self._turns}

    def _summaries(self, query: Query) -> list[Summary]:
        """Return the newest of each level that had taken in nothing said after the question."""
        late = (turn for turn in self._turns if query.asked_at and _after(turn, query))
        first_late = min((turn.position or 0 for turn in late), default=None)
        newest = (
            next((one for one in self._versions(level) if not _knows(one, first_late)), None)
            for level in (2, 1)
        )
        return [one for one in newest if one is not None]

    def _versions(self, level: int) -> Iterator[Summary]:
        return self._memkit.memory.store.summaries(Scope(user_id=USER), level)

    def _sources(self, summaries: Sequence[Summary]) -> Iterator[str]:
        """Yield turns by clause: as the clauses stand, and of equal ones the oldest first."""
        for summary in summaries:
            for clause in summary.text.rstrip(".").split("; "):
                said = _words(clause.rpartition(": ")[2])  # without the speaker
                if said.strip():
                    yield from (turn for turn, words in self._words.items() if said in words)


def _after(turn: Turn, query: Query) -> bool:
    asked_at, said_at = query.asked_at, turn.said_at
    return asked_at is not None and said_at is not None and said_at > asked_at


def _knows(summary: Summary, position: int | None) -> bool:
    """Return whether a summary has taken in the turn at this position."""
    return position is not None and summary.through >= position


def _words(text: str) -> str:
    """Return a text's words with a space around each, so that one text can be found in another.

    >>> _words("red") in _words("I like red."), _words("red") in _words("Fred")
    (True, False)
    """
    return f" {' '.join(_WORD.findall(text.casefold()))} "
