"""Turns in: check, clean, chunk and embed, ready to be put in one transaction."""

import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from memkit.errors import InvalidInput, InvalidTurn, ModelError, NaiveDatetime, TurnConflict
from memkit.prompt import strip
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Chunk, Scope, Turn

Message = str | Mapping[str, Any] | Turn
_KEYS = {"role", "content", "name", "timestamp", "id", "metadata"}
_KINDS = "a string, a message dict or a Turn"
_NAME = 40  # characters of a speaker's name that stand in front of a chunk


def read(what: Message | Iterable[Message], scope: Scope, now: datetime) -> list[Turn]:
    """Return checked, complete turns for anything `remember` takes.

    Text that memkit itself put into a prompt is taken out; a message that is nothing else is
    left out.

    Raises:
        InvalidInput: one of its kinds, naming the message; nothing is stored then.
    """
    if isinstance(what, (str, Mapping, Turn)):
        what = [what]
    if not isinstance(what, Iterable):
        raise InvalidTurn(f"cannot remember {what!r}; pass {_KINDS}, or many of them")
    turns = []
    for n, message in enumerate(what):
        try:
            turn = _turn(message)
            text = strip(turn.text)
            if text.strip():
                turns.append(_complete(replace(turn, text=text), scope, now))
        except InvalidInput as error:
            raise type(error)(f"message {n}: {error}") from error
    return turns


def _turn(message: object) -> Turn:
    if isinstance(message, Turn):
        return message
    if isinstance(message, str):
        return Turn(text=message)
    if not isinstance(message, Mapping):
        raise InvalidTurn(f"cannot remember {message!r}; pass {_KINDS}")
    if unknown := sorted(map(str, set(message) - _KEYS)):
        raise InvalidTurn(
            f"unknown key {', '.join(unknown)}; a message dict has {', '.join(sorted(_KEYS))}"
        )
    if missing := sorted({"role", "content"} - set(message)):
        raise InvalidTurn(f"a message dict needs {' and '.join(missing)}")
    return Turn(
        text=message["content"],
        role=message["role"],
        name=message.get("name"),
        id=message.get("id"),
        said_at=parse_time(message.get("timestamp")),
        metadata=message.get("metadata", {}),
    )


def parse_time(value: object) -> datetime | None:
    """Read an ISO-8601 string with a timezone, seconds since 1970, or a zoned datetime."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        return datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise NaiveDatetime(
            f"timestamp {value!r} is neither ISO-8601 with a timezone nor seconds since 1970"
        ) from error


def _complete(turn: Turn, scope: Scope, now: datetime) -> Turn:
    """Fill in what the caller left out; the scope of the call wins over nothing given."""
    for name in ("session_id", "agent_id"):
        own, called = getattr(turn, name), getattr(scope, name)
        if own is not None and called is not None and own != called:
            raise InvalidTurn(f"a turn of {name} {own!r} in a call for {name} {called!r}")
    return replace(
        turn,
        id=turn.id or uuid.uuid4().hex,
        said_at=turn.said_at or now,
        stored_at=now,
        session_id=turn.session_id or scope.session_id,
        agent_id=turn.agent_id or scope.agent_id,
        position=None,
    )


def chunk(turn: Turn, embedder: Embedder) -> list[Chunk]:
    """Cut a turn into verbatim pieces that the embedder reads whole; most turns are one piece.

    The speaker's name stands in front of each piece: without, dense R@10 on LoCoMo's tuning part
    halves. A role alone tells nothing and would only cost time.
    When it was said is indexed for full text alone: in the embedded text it costs 4 points.
    """
    assert turn.id is not None
    assert turn.said_at is not None
    header = f"{turn.name[:_NAME]}: " if turn.name else ""
    return [
        Chunk(
            id=f"{turn.id}/{n}",
            turn_id=turn.id,
            start=start,
            end=end,
            text=unicodedata.normalize("NFC", header + turn.text[start:end]),
            said_at=turn.said_at,
            tokens=max(embedder.count(turn.text[start:end]), 1),
        )
        for n, (start, end) in enumerate(embedder.split(turn.text, header=header))
    ]


def changes(turns: list[Turn], embedder: Embedder) -> WriteBatch:
    """Return what storing these turns writes: turns, chunks, vectors. One embedding call.

    Raises:
        TurnConflict: two of the turns have one id and different texts.
        ModelError: the embedder did not return one finite row per text.
    """
    once: dict[str | None, Turn] = {}
    for turn in turns:
        if once.setdefault(turn.id, turn).text != turn.text:
            raise TurnConflict(turn.id or "")
    chunks = [piece for turn in once.values() for piece in chunk(turn, embedder)]
    vectors = embedder.embed([piece.text for piece in chunks])
    wanted = (len(chunks), embedder.fingerprint.dimension)
    if vectors.shape != wanted or not np.isfinite(vectors).all():
        raise ModelError(
            f"the embedder returned an array of shape {vectors.shape} for {len(chunks)} texts; it "
            f"must be {wanted} and finite"
        )
    return WriteBatch(turns=list(once.values()), chunks=chunks, vectors=vectors)
