"""Corrections of thoughts and changes of turns: the turns and the batches that write them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from memkit.background.reflection import correction
from memkit.embedders import embed_checked
from memkit.errors import InvalidInput
from memkit.ingest import CheckedMessages, build_write_batch
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Thought, Turn, checked_tags


def find_open(versions: Sequence[Thought], thought_id: str) -> Thought:
    """Return the thought with this id among all versions of it.

    Raises InvalidInput if it is closed.
    """
    thought = next(version for version in versions if version.id == thought_id)
    if thought.closed_by is not None:
        raise InvalidInput(
            f"thought {thought_id!r} no longer holds; correct {versions[-1].id!r}, which does"
        )
    return thought


def correcting_turn(old: Thought, text: str, now: datetime) -> Turn:
    """Return the turn that corrects a thought, said by who said it, or else by the user."""
    name = old.said_by if old.role == "user" and old.said_by != "user" else None
    # the old one may be dated in the future
    return Turn(text=text, name=name, said_at=max(now, old.repeated_at))


def only_turn(checked: CheckedMessages) -> Turn:
    """Return the turn of a single message that was checked, or raise what is wrong with it."""
    for error in checked.errors.values():
        raise error
    if not checked.turns:
        raise InvalidInput("the text is a memory block; pass what holds, in a sentence")
    return checked.turns[0][1]


def build_correction(old: Thought, turn: Turn, embedder: Embedder, now: datetime) -> WriteBatch:
    """Return the batch that stores a correcting turn and closes the thought it corrects.

    Cost: two embedding calls.
    """
    batch = build_write_batch([turn], embedder)
    vectors = embed_checked(embedder, [turn.text])
    return replace(batch, reflection=correction(old, turn, vectors, now))


# ---- turns


def changed_turn(
    old: Turn,
    text: str | None,
    metadata: Mapping[str, Any] | None,
    tags: Iterable[str] | None,
) -> Turn:
    """Return a turn with what is not None; the privacy policy has to see it again."""
    if text is None and metadata is None and tags is None:
        raise InvalidInput("nothing to update: pass text, metadata or tags")
    return replace(
        old,
        text=old.text if text is None else text,
        metadata=old.metadata if metadata is None else metadata,
        tags=old.tags if tags is None else checked_tags(tags),
        flags=(),
    )


def build_update(old: Turn, turn: Turn, embedder: Embedder) -> WriteBatch:
    """Return the batch that stores a turn in place of the old one; embeds only other words."""
    if turn.text == old.text:
        return WriteBatch(updates=[replace(turn, stored_at=old.stored_at, position=old.position)])
    batch = build_write_batch([turn], embedder)
    return replace(batch, turns=(), updates=[replace(turn, position=old.position)])
