"""The messages of one session of another framework, kept verbatim beside the text that is searched.

A message is a turn: its text is what was said, and the whole message is JSON in the metadata.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from memkit.errors import ScopeRequired
from memkit.memory import Memory
from memkit.prompt import BlockSigner, strip_memory_block
from memkit.protocols import Window
from memkit.records import Role, Scope, Turn


class SessionItems:
    """One session's messages, in the order in which they were added.

    Args:
        memory: the memory.
        scope: a user and a session; ScopeRequired is raised without a session.
        key: of the turn's metadata, under which the message is stored.
    """

    def __init__(self, memory: Memory, scope: Scope, key: str) -> None:
        if scope.session_id is None:
            raise ScopeRequired("session_id must be a non-empty string, got None")
        self.memory, self.scope, self.key = memory, scope, key
        self._lock = Lock()  # `pop` and `replace` read before they delete

    def turns(self, last: int | None = None) -> list[Turn]:
        """Return the messages as turns, oldest first; `last` is how many of the newest."""
        turns = self.memory.store.turns(self.scope, Window())
        ordered = sorted(
            (turn for turn in turns if self.key in turn.metadata),
            key=lambda turn: turn.position or 0,
        )
        return ordered if last is None else ordered[max(len(ordered) - last, 0) :]

    def items(self, last: int | None = None) -> list[Any]:
        """Return the session's messages, oldest first; `last` limits them to the newest."""
        return [turn.metadata[self.key] for turn in self.turns(last)]

    def add(self, items: "Sequence[Item]") -> None:
        """Store messages in one transaction: all of them or none."""
        turns = [
            Turn(
                text=_storable(item.text), role=item.role,
                name=item.name, metadata={self.key: item.data},
            )
            for item in items
        ]  # fmt: skip
        if turns:
            scope = self.scope
            self.memory.remember(
                turns, user_id=scope.user_id, session_id=scope.session_id, agent_id=scope.agent_id
            )

    def replace(self, items: "Sequence[Item]") -> None:
        """Make these the session's messages; those that are its first ones already stay."""
        with self._lock:
            turns = self.turns()
            stored = [turn.metadata[self.key] for turn in turns]
            data = [item.data for item in items]
            same = next(
                (n for n, pair in enumerate(zip(stored, data, strict=False)) if pair[0] != pair[1]),
                min(len(stored), len(data)),
            )
            self._forget(turns[same:])
            self.add(items[same:])

    def pop(self) -> Any:
        """Delete the newest message and return it, None if there is none."""
        with self._lock:
            last = self.turns(last=1)
            self._forget(last)
            return last[0].metadata[self.key] if last else None

    def clear(self) -> None:
        """Delete the session's messages and everything derived from them, permanently."""
        with self._lock:
            self._forget(self.turns())

    def _forget(self, turns: Sequence[Turn]) -> None:
        if turns:
            ids = [turn.id or "" for turn in turns]
            self.memory.forget(user_id=self.scope.user_id, turn_ids=ids)


def _storable(text: str) -> str:
    """Return a text that a turn can have: halves of surrogate pairs are replaced by "?"."""
    return text.encode("utf-8", "replace").decode() if text.strip() else "[empty]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A message of another framework: what was said, by whom, and the whole as JSON data."""

    text: str
    role: Role
    data: Any
    name: str | None = None


def without_blocks(data: Any, signer: BlockSigner) -> Any:
    """Return JSON data without the memory blocks that `signer` signed, in none of its strings."""
    if isinstance(data, str):
        return strip_memory_block(data, signer)
    if isinstance(data, list):
        return [without_blocks(value, signer) for value in data]
    if isinstance(data, dict):
        return {key: without_blocks(value, signer) for key, value in data.items()}
    return data
