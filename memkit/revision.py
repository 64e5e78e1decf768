"""Corrections of thoughts: the turn that states what holds, and the batch that writes it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from memkit.background.reflection import correction
from memkit.embedders import embed_checked
from memkit.errors import InvalidInput
from memkit.ingest import CheckedMessages, build_write_batch
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Thought, Turn


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
