"""All thoughts of a user, also those that no longer hold."""

from collections.abc import Iterator

from memkit.memory import Memory
from memkit.portable import StoredThought
from memkit.records import Thought


def read_all_thoughts(memory: Memory, user_id: str) -> Iterator[Thought]:
    """Yield the user's thoughts in the order recorded, without `later`. Reads all of the rows."""
    with memory.store.dump(user_id) as items:
        for _, item in items:
            if isinstance(item, StoredThought):
                yield item.thought


def believed_before(memory: Memory, user_id: str) -> list[Thought]:
    """Return the thoughts that a newer one closed, or that were retracted."""
    return [
        thought
        for thought in read_all_thoughts(memory, user_id)
        if thought.kind != "denial" and (thought.closed_by or thought.retracted_at)
    ]
