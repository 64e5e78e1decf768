"""Ingest: check, clean, chunk and embed turns, ready for one write transaction."""

import unicodedata
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from memkit.embedders import embed_checked
from memkit.errors import (
    InvalidInput,
    InvalidTurn,
    MessageBlocked,
    MessagesRejected,
    NaiveDatetime,
    TurnConflict,
)
from memkit.prompt import BlockSigner, strip_memory_block
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Chunk, Role, Scope, Turn, TurnIds, shorten
from memkit.text.content import message_text

Message = str | Mapping[str, Any] | Turn
_KEYS = frozenset(
    ("role", "content", "name", "timestamp", "id", "session_id", "agent_id", "metadata", "tags",
     "origin")
)  # fmt: skip
# what chat APIs add to a message: OpenAI, Anthropic, Ollama, and servers that speak as they do
_API_KEYS = frozenset(
    ("tool_calls", "tool_call_id", "tool_name", "function_call", "refusal", "annotations", "audio",
     "images", "thinking", "reasoning", "reasoning_content", "reasoning_details", "type", "model",
     "status", "stop_reason", "stop_sequence", "usage")
)  # fmt: skip
_ROLES: Mapping[str, str] = {"developer": "system", "function": "tool"}  # OpenAI's other names
_KINDS = "a string, a message dict or a Turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedMessages:
    """Complete turns, and what became of the other messages, by their index."""

    turns: list[tuple[int, Turn]]  # with the index of the message
    skipped: tuple[int, ...]  # messages that say nothing
    errors: dict[int, InvalidInput]

    def reject(self, error: TurnConflict) -> "CheckedMessages":
        """Return these messages without the turns that are in conflict with a stored one."""
        conflicting = {n: error for n, turn in self.turns if turn.id == error.turn_id}
        return replace(
            self,
            turns=[(n, turn) for n, turn in self.turns if n not in conflicting],
            errors=self.errors | conflicting,
        )

    def stored_ids(self) -> TurnIds:
        """Return the ids of the turns; raise if messages were rejected.

        Raises:
            MessagesRejected: some messages are invalid, and the others are stored.
            InvalidInput: all are invalid; this is the first one's error.
        """
        ids = [turn.id or "" for _, turn in self.turns]
        if self.errors and ids:
            raise MessagesRejected({n: str(self.errors[n]) for n in sorted(self.errors)}, ids)
        if self.errors:
            n = min(self.errors)
            error = self.errors[n]
            if isinstance(error, (TurnConflict, MessageBlocked)):
                raise error
            raise type(error)(f"message {n}: {error}") from error
        return TurnIds(ids, skipped=self.skipped)


def check_messages(
    messages: Message | Iterable[Message],
    scope: Scope,
    now: datetime,
    signer: BlockSigner | None = None,
    screen: Callable[[Turn], Turn] = lambda turn: turn,
) -> CheckedMessages:
    """Return complete turns for anything that `remember` takes.

    Memory blocks that `signer` signed are removed. `screen` returns a turn as it may be stored.
    """
    if isinstance(messages, (str, Mapping, Turn)):
        messages = [messages]
    if not isinstance(messages, Iterable):
        raise InvalidTurn(f"cannot remember {shorten(messages)}; pass {_KINDS}, or many of them")
    turns: list[tuple[int, Turn]] = []
    skipped: list[int] = []
    errors: dict[int, InvalidInput] = {}
    texts: dict[str | None, str] = {}  # by turn id
    for n, message in enumerate(messages):
        try:
            turn = to_turn(message, signer)
            if turn is None:
                skipped.append(n)
                continue
            turn = screen(turn)
            if texts.setdefault(turn.id, turn.text) != turn.text and turn.id is not None:
                errors[n] = TurnConflict(turn.id)
            else:
                turns.append((n, _complete(turn, scope, now)))
        except InvalidInput as error:
            errors[n] = error
    return CheckedMessages(turns=turns, skipped=tuple(skipped), errors=errors)


def limit_size(screen: Callable[[Turn], Turn], most: int | None) -> Callable[[Turn], Turn]:
    """Return `screen` for turns of at most `most` characters; None is no limit."""

    def screen_short(turn: Turn) -> Turn:
        if most is not None and len(turn.text) > most:
            raise InvalidTurn(
                f"a turn's text has {len(turn.text):,} characters, {most:,} are allowed; "
                "cut it, or open the memory with another Settings(max_turn_characters=…)"
            )
        return screen(turn)

    return screen_short


def to_turn(message: object, signer: BlockSigner | None = None) -> Turn | None:
    """Return a message as a turn without the blocks that `signer` signed, None if nothing remains.

    A message dict has the keys of chat APIs: content may be None or a list of parts, and calls of
    tools are part of the text. Raises InvalidInput.
    """
    if isinstance(message, str):
        message = {"role": "user", "content": message}
    turn = message if isinstance(message, Turn) else _from_dict(_dump(message))
    text = "" if turn is None else strip_memory_block(turn.text, signer)
    return replace(turn, text=text) if turn is not None and text.strip() else None


def _from_dict(message: object) -> Turn | None:
    if not isinstance(message, Mapping):
        raise InvalidTurn(f"cannot remember {shorten(message)}; pass {_KINDS}")
    if unknown := sorted(map(str, set(message) - _KEYS - _API_KEYS)):
        raise InvalidTurn(
            f"unknown key {', '.join(unknown)}; a message dict has {', '.join(sorted(_KEYS))}"
        )
    if missing := sorted({"role", "content"} - set(message)):
        raise InvalidTurn(f"a message dict needs {' and '.join(missing)}")
    role = message["role"]
    try:
        text = message_text(message)
    except TypeError as error:
        raise InvalidTurn(str(error)) from error
    fields: dict[str, Any] = {
        key: message.get(key) for key in ("name", "id", "session_id", "agent_id", "origin")
    }
    # checked even without a text, so that a wrong role or time is never silent
    turn = Turn(
        text=text if text.strip() else "[empty]",
        role=cast(Role, _ROLES.get(role, role) if isinstance(role, str) else role),
        said_at=parse_time(message.get("timestamp")),
        metadata=_default(message.get("metadata"), {}),
        tags=_default(message.get("tags"), ()),
        **fields,
    )
    return turn if text.strip() else None


def _dump(message: object) -> object:
    """Return an SDK's message object, and those of its calls, as dicts."""
    dump = getattr(message, "model_dump", None)
    if dump is not None:
        return dump()
    if isinstance(message, Mapping) and isinstance(message.get("tool_calls"), Sequence):
        return {**message, "tool_calls": [_dump(call) for call in message["tool_calls"]]}
    return message


def _default(value: Any, default: Any) -> Any:
    # not `value or default`: an empty string must reach the checks of `Turn`
    return default if value is None else value


def parse_time(value: object) -> datetime | None:
    """Read an ISO-8601 string with a timezone, seconds since 1970, or a zoned datetime."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        return datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise NaiveDatetime(
            f"timestamp {shorten(value)} is neither ISO-8601 with a timezone nor seconds since 1970"
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

    Only the words are embedded. Who said them is a signal of its own: in front of every turn of one
    person a name makes all vectors alike. The date is part of the full text index only.
    """
    assert turn.id is not None
    assert turn.said_at is not None
    return [
        Chunk(
            id=f"{turn.id}/{n}",
            turn_id=turn.id,
            start=start,
            end=end,
            text=unicodedata.normalize("NFC", turn.text[start:end]),
            said_at=turn.said_at,
            tokens=max(embedder.count(turn.text[start:end]), 1),
        )
        for n, (start, end) in enumerate(embedder.split(turn.text))
    ]


def build_write_batch(turns: Iterable[Turn], embedder: Embedder) -> WriteBatch:
    """Return the turns with their chunks and vectors, for one transaction. One embedding call."""
    by_id = {turn.id: turn for turn in turns}
    chunks = [piece for turn in by_id.values() for piece in chunk(turn, embedder)]
    vectors = embed_checked(embedder, [piece.text for piece in chunks])
    return WriteBatch(turns=list(by_id.values()), chunks=chunks, vectors=vectors)


def without_turn(batch: WriteBatch, turn_id: str) -> WriteBatch:
    """Return a batch without one turn, its chunks and their vectors."""
    assert batch.vectors is not None
    kept = [n for n, piece in enumerate(batch.chunks) if piece.turn_id != turn_id]
    return replace(
        batch,
        turns=[turn for turn in batch.turns if turn.id != turn_id],
        chunks=[batch.chunks[n] for n in kept],
        vectors=batch.vectors[kept],
    )
