"""Ingest: check, clean, chunk and embed turns, ready for one write transaction."""

import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from memkit.embedders import embed_checked
from memkit.errors import InvalidInput, InvalidTurn, NaiveDatetime, TurnConflict
from memkit.prompt import BlockSigner, strip_memory_block
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Chunk, Scope, Turn

Message = str | Mapping[str, Any] | Turn
_KEYS = {"role", "content", "name", "timestamp", "id", "metadata"}
_KINDS = "a string, a message dict or a Turn"
_NAME_LENGTH = 40  # characters of a speaker's name in front of a chunk


def to_turns(
    messages: Message | Iterable[Message],
    scope: Scope,
    now: datetime,
    signer: BlockSigner | None = None,
) -> list[Turn]:
    """Return checked, complete turns for anything that `remember` takes.

    Memory blocks that `signer` signed are removed. Raises InvalidInput, with the number of the
    message.
    """
    if isinstance(messages, (str, Mapping, Turn)):
        messages = [messages]
    if not isinstance(messages, Iterable):
        raise InvalidTurn(f"cannot remember {messages!r}; pass {_KINDS}, or many of them")
    turns = []
    for n, message in enumerate(messages):
        try:
            turn = _to_turn(message)
            text = strip_memory_block(turn.text, signer)
            if text.strip():
                turns.append(_complete(replace(turn, text=text), scope, now))
        except InvalidInput as error:
            raise type(error)(f"message {n}: {error}") from error
    return turns


def _to_turn(message: object) -> Turn:
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
        text=message["content"], role=message["role"], name=message.get("name"),
        id=message.get("id"), said_at=parse_time(message.get("timestamp")),
        metadata=message.get("metadata", {}),
    )  # fmt: skip


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
    for name in ("session_id", "agent_id"):
        turn_value, scope_value = getattr(turn, name), getattr(scope, name)
        if None not in (turn_value, scope_value) and turn_value != scope_value:
            raise InvalidTurn(
                f"a turn of {name} {turn_value!r} in a call for {name} {scope_value!r}"
            )
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

    The speaker's name precedes the text of each piece: without it, dense R@10 on LoCoMo's tuning
    part halves. A role alone adds nothing to search and costs time. The date is part of the full
    text index only: in the embedded text it costs 4 points.
    """
    assert turn.id is not None
    assert turn.said_at is not None
    header = f"{turn.name[:_NAME_LENGTH]}: " if turn.name else ""
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


def build_write_batch(turns: list[Turn], embedder: Embedder) -> WriteBatch:
    """Return the turns with their chunks and vectors, for one transaction. One embedding call.

    Raises TurnConflict if two turns have the same id and different texts.
    """
    by_id: dict[str | None, Turn] = {}
    for turn in turns:
        if by_id.setdefault(turn.id, turn).text != turn.text:
            raise TurnConflict(turn.id or "")
    chunks = [piece for turn in by_id.values() for piece in chunk(turn, embedder)]
    vectors = embed_checked(embedder, [piece.text for piece in chunks])
    return WriteBatch(turns=list(by_id.values()), chunks=chunks, vectors=vectors)
