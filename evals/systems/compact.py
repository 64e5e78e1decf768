"""HEMA's Compact Memory alone: what a running sentence of sixty tokens keeps of a conversation."""

import re
from collections.abc import Iterator, Sequence

from evals import USER
from evals.data.haystack import Query
from evals.systems.memkit import Memkit, MemkitBackedSystem
from evals.systems.protocol import PackedContext, ScoredTurn
from memkit import Settings, Summary, Turn, prompt
from memkit.protocols import Embedder
from memkit.records import Scope

_WORD = re.compile(r"[^\W_]+")  # letters and digits


class CompactMemory(MemkitBackedSystem):
    """memkit's summaries and nothing else: no turn is searched, and none is shown.

    A turn counts as found if the summaries have a clause of it word by word, as the extractive
    summariser leaves it: that a summary covers a turn does not say what it keeps of it. The newest
    such turn is first.
    """

    def __init__(self, embedder: Embedder) -> None:
        settings = Settings(background=False, thoughts=False)
        super().__init__(Memkit(embedder, settings=settings, on_disk=True))
        self._count = embedder.count
        self._turns: list[Turn] = []  # in memkit's order
        self._words: dict[str, str] = {}  # by turn

    def remember(self, turns: Sequence[Turn]) -> None:
        """Remember turns and bring the summaries up to date."""
        super().remember(turns)
        self._load_turns()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Return the turns that have words in the summaries; the newest scores 1, the next 1/2."""
        sources = set(self._sources(self._summaries(query)))
        newest_first = [turn.id or "" for turn in reversed(self._turns) if turn.id in sources]
        return [
            ScoredTurn(turn_id=turn_id, score=1 / rank)
            for rank, turn_id in enumerate(newest_first[:k], start=1)
        ]

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the summaries as memkit puts them into a prompt."""
        items, _ = prompt.select_within_budget(self._summaries(query), [], budget, self._count)
        summaries = [item for item in items if isinstance(item, Summary)]
        turns = dict.fromkeys(self._sources(summaries))
        return PackedContext(text=prompt.format_memory_block(summaries, []), turns=tuple(turns))

    def forget(self, turn_ids: Sequence[str]) -> None:
        """Forget turns; the summaries that cover them are made again."""
        super().forget(turn_ids)
        self._load_turns()

    def _load_turns(self) -> None:
        memory = self._memkit.memory
        self._turns = sorted(memory.turns(user_id=USER), key=lambda turn: turn.position or 0)
        self._words = {turn.id or "": _join_words(turn.text) for turn in self._turns}

    def _summaries(self, query: Query) -> list[Summary]:
        """Return the newest of each level that covers nothing said after the question."""
        late = [
            turn.position or 0
            for turn in self._turns
            if query.asked_at and turn.said_at and turn.said_at > query.asked_at
        ]
        first_late = min(late, default=None)
        newest = (
            next(
                (
                    summary
                    for summary in self._memkit.memory.store.summaries(Scope(user_id=USER), level)
                    if first_late is None or summary.through < first_late
                ),
                None,
            )
            for level in (2, 1)  # the summary of summaries, then the running summary
        )
        return [summary for summary in newest if summary is not None]

    def _sources(self, summaries: Sequence[Summary]) -> Iterator[str]:
        """Yield turn ids in the order of the clauses; of equal turns the oldest first."""
        for summary in summaries:
            for clause in summary.text.rstrip(".").split("; "):
                clause_words = _join_words(clause.rpartition(": ")[2])  # without the speaker
                if clause_words.strip():
                    yield from (turn for turn, text in self._words.items() if clause_words in text)


def _join_words(text: str) -> str:
    """Return a text's words with a space around each, so that whole words can be searched.

    >>> _join_words("red") in _join_words("I like red."), _join_words("red") in _join_words("Fred")
    (True, False)
    """
    return f" {' '.join(_WORD.findall(text.casefold()))} "
