"""The messages of an open chat, and the memory blocks that stay with them in the next prompts.

A prompt that repeats the block of every earlier question is a continuation of the prompt before,
so the model reuses the keys and values of that one. All blocks are dropped together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from memkit.prompt import (
    SHOWN_ROLES,
    Derived,
    Message,
    Parts,
    Prompt,
    format_thought,
    history_messages,
    with_memory,
)
from memkit.protocols import Store
from memkit.records import Hit, Scope, Summary, Thought, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message, and the memory that its prompt showed if the block stays."""

    message: Message
    turn_id: str | None  # None: it is not stored
    memory: str = ""  # the block
    hits: tuple[Hit, ...] = ()
    derived: tuple[Derived, ...] = ()


class History:
    """The messages of one session, oldest first. Not safe to share between threads."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        turns = [turn for turn in turns if turn.role in SHOWN_ROLES]
        self.entries = [
            Entry(message=message, turn_id=turn.id)
            for message, turn in zip(history_messages(turns), turns, strict=True)
        ]
        # index of the oldest message in the prompt; it advances in leaps, so that the prompt's
        # prefix stays the same for many turns and its keys and values can be reused
        self._oldest = 0

    @property
    def shown(self) -> list[Entry]:
        """Return the entries that the next prompt shows."""
        return self.entries[self._oldest :]

    @property
    def has_blocks(self) -> bool:
        """Whether a block stays."""
        return any(entry.memory for entry in self.shown)

    @property
    def block_text(self) -> str:
        """Return the blocks that stay."""
        return "\n".join(entry.memory for entry in self.shown if entry.memory)

    @property
    def source_ids(self) -> set[str]:
        """Return the ids of the turns from which messages, hits and thoughts are made."""
        items = [item for entry in self.shown for item in (*entry.hits, *entry.derived)]
        made_of = {id for item in items if not isinstance(item, Summary) for id in item.turn_ids}
        return made_of | {entry.turn_id for entry in self.entries if entry.turn_id is not None}

    def append(self, message: Message, turn_id: str | None, prompt: Prompt | None = None) -> None:
        """Append a message; the memory block of `prompt` stays before it."""
        entry = Entry(message=message, turn_id=turn_id)
        if prompt is not None:
            entry = Entry(
                message=message, turn_id=turn_id, memory=prompt.memory, hits=prompt.hits,
                derived=prompt.derived,
            )  # fmt: skip
        self.entries.append(entry)

    def keep(self, indexes: Iterable[int]) -> None:
        """Keep only these messages, and no block."""
        indexes = list(indexes)
        self._oldest = sum(n < self._oldest for n in indexes)
        self.entries = [self.entries[n] for n in indexes]
        self.drop_blocks()

    def reword(self, turn: Turn) -> None:
        """Show a turn in its new words, and no block."""
        for message in history_messages([turn]):
            self.entries = [
                replace(entry, message=message) if entry.turn_id == turn.id else entry
                for entry in self.entries
            ]
        self.drop_blocks()

    def drop_blocks(self) -> None:
        """Drop all blocks; what they show can be recalled again."""
        self.entries = [
            Entry(message=entry.message, turn_id=entry.turn_id) for entry in self.entries
        ]

    def leap(self, fitting: int) -> None:
        """Show half of the `fitting` newest messages, which leaves room for the next turns."""
        self._oldest = len(self.entries) - fitting // 2

    def fill(self, recalled: Parts) -> Parts:
        """Return the parts with this history, and without what its blocks show already."""
        # two hits of one long turn may quote different pieces of it
        shown = {(hit.turn_ids, hit.text) for entry in self.shown for hit in entry.hits}
        derived = [item for entry in self.shown for item in entry.derived]
        levels = {item.level for item in derived if isinstance(item, Summary)}
        thought_ids = {item.id for item in derived if isinstance(item, Thought)}
        return replace(
            recalled,
            history=[
                {**entry.message, "content": with_memory(entry.memory, entry.message["content"])}
                for entry in self.shown
            ],
            summaries=[item for item in recalled.summaries if item.level not in levels],
            thoughts=[item for item in recalled.thoughts if item.id not in thought_ids],
            hits=[hit for hit in recalled.hits if (hit.turn_ids, hit.text) not in shown],
            shown_hits=[hit for hit in recalled.hits if (hit.turn_ids, hit.text) in shown],
        )

    def holds(self, store: Store, scope: Scope) -> bool:
        """Return whether all thoughts and summaries in the blocks are true as they are shown."""
        derived = {item for entry in self.shown for item in entry.derived}
        return all(_holds(item, store, scope) for item in derived)


def _holds(item: Derived, store: Store, scope: Scope) -> bool:
    if isinstance(item, Thought):
        return any(
            thought.id == item.id
            and thought.closed_by is None
            and format_thought(thought) == format_thought(item)
            for thought in store.history(scope, item.id)
        )
    if item in store.summaries(scope, item.level):
        return True
    # a newer version has replaced it: it holds if its thoughts do
    return all(
        any(
            thought.id == source and _is_certain(thought)
            for thought in store.history(scope, source)
        )
        for source in item.sources
    )


def _is_certain(thought: Thought) -> bool:
    return thought.closed_by is None and not thought.later
