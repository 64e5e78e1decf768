"""The memory's part in one chat request: recall before the model is called, remember after it.

A client sends its whole history with every request. What follows the last reply is new; everything
before it was stored when it was new, or was forgotten since, or is an example. So only what is new
is remembered, and a forgotten message does not come back with the history.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from memkit import prompt
from memkit.errors import StoreError
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Scope, Turn
from memkit.server.schemas import MemoryOptions
from memkit.text.content import message_text

_RECENT = 200  # newest turns of the session that are compared with the prompt's messages
_SILENT_ROLES = ("system", "developer")  # instructions, which nobody said

ChatMessage = Mapping[str, Any]


class Conversation:
    """One request of one user. Methods block: call them in a thread."""

    def __init__(
        self, memory: Memory, user_id: str, messages: Sequence[ChatMessage], options: MemoryOptions
    ) -> None:
        self._memory, self._user_id, self._messages = memory, user_id, messages
        self._options = options
        self.session_id = options.session_id or derive_session_id(messages)
        Scope(user_id=user_id, session_id=self.session_id)  # checks both
        self._ids = _message_ids(self.session_id, messages)
        self._block = ""
        self._forgotten = False
        memory._listeners.add(self)

    def on_forget(self, user_id: str, *, everything: bool) -> None:  # noqa: ARG002 - protocol
        """Note a deletion during the reply, which may have the deleted words: it is not stored."""
        self._forgotten = self._forgotten or user_id == self._user_id

    def on_update(self, user_id: str, turn: Turn) -> None:
        """Do nothing: former words of a turn are kept, so a reply may have them."""

    def recall(self) -> list[ChatMessage]:
        """Return the messages with a memory block in front of the newest question."""
        asked = [n for n, message in enumerate(self._messages) if message.get("role") == "user"]
        question = message_text(self._messages[asked[-1]]) if asked else ""
        if not question.strip():
            return list(self._messages)
        memory, user_id = self._memory, self._user_id
        recalled = memory._recollect(
            question, user_id=user_id, k=self._options.k, without=self._shown_ids()
        )
        fitted = prompt.select_within_budget(
            [*memory.summaries(user_id=user_id), *recalled.thoughts], recalled.hits,
            self._options.budget, memory.embedder.count, memory.signer,
        )  # fmt: skip
        self._block = prompt.format_memory_block(*fitted, memory.signer)
        messages = list(self._messages)
        messages[asked[-1]] = _prepend(self._block, messages[asked[-1]])
        return messages

    def remember_new(self) -> None:
        """Remember the messages after the last reply; those of a repeated request once."""
        roles = [message.get("role") for message in self._messages]
        replies = [n for n, role in enumerate(roles) if role == "assistant"]
        first = 0 if self._options.history else (replies[-1] + 1 if replies else 0)
        self._remember(range(first, len(roles)), self._messages, self._ids)

    def remember_reply(self, reply: ChatMessage) -> None:
        """Remember a reply that is complete, without what it repeats of the memory block.

        Raises:
            StoreError: something of the user was deleted meanwhile; the reply may repeat it.
        """
        if self._forgotten:
            raise StoreError("something was deleted during the reply, so the reply is not stored")
        messages = [*self._messages, reply]
        ids = _message_ids(self.session_id, messages)
        content = reply.get("content")
        if isinstance(content, str) and self._block:
            text = prompt.strip_memory_block(content.strip(), self._memory.signer)
            messages[-1] = {**reply, "content": prompt.remove_echo(text, self._block)}
        self._remember(range(len(self._messages), len(messages)), messages, ids)

    def _remember(
        self, positions: range, messages: Sequence[ChatMessage], ids: Sequence[str]
    ) -> None:
        said = [n for n in positions if messages[n].get("role") not in _SILENT_ROLES]
        window = Window(ids=[ids[n] for n in said])
        stored = {turn.id for turn in self._memory.store.turns(self._scope(), window)}
        turns = [_as_stored(messages[n], ids[n]) for n in said if ids[n] not in stored]
        if turns:
            self._memory.remember(turns, user_id=self._user_id, session_id=self.session_id)

    def _scope(self) -> Scope:
        return Scope(user_id=self._user_id)

    def _shown_ids(self) -> list[str]:
        """Return the ids of the turns that the prompt shows already."""
        texts = {message_text(message).strip() for message in self._messages}
        recent = self._memory.turns(user_id=self._user_id, session_id=self.session_id, last=_RECENT)
        return [turn.id or "" for turn in recent if turn.text.strip() in texts]


def derive_session_id(messages: Sequence[ChatMessage]) -> str:
    """Return the session of a client that names none: conversations that begin alike share one."""
    first = next((message for message in messages if message.get("role") == "user"), {})
    return f"chat-{hashlib.sha256(_key(first).encode()).hexdigest()[:16]}"


def _message_ids(session_id: str, messages: Sequence[ChatMessage]) -> list[str]:
    """Return an id for each message, the same whenever the same conversation is sent again.

    An id depends on all messages before its own, so a repeated "yes" is another turn.
    """
    digest = hashlib.sha256(session_id.encode())
    ids = []
    for message in messages:
        if message.get("role") not in _SILENT_ROLES:  # which may have the time of day
            digest.update(_key(message).encode())
        ids.append(digest.hexdigest()[:32])
    return ids


def _key(message: ChatMessage) -> str:
    """Return a message as text, without white space, which clients may change."""
    words = message_text(message).split() if message else []
    return json.dumps([message.get("role"), "".join(words)])


def _as_stored(message: ChatMessage, turn_id: str) -> dict[str, Any]:
    """Return the fields of a message that make a turn; servers add many others."""
    fields = ("role", "content", "name", "tool_calls", "function_call", "refusal")
    return {"content": None, "id": turn_id} | {
        name: message[name] for name in fields if message.get(name) is not None
    }


def _prepend(block: str, message: ChatMessage) -> ChatMessage:
    """Return a message with a memory block in front of its content."""
    content = message.get("content")
    if not block:
        return message
    if isinstance(content, str):
        return {**message, "content": prompt.with_memory(block, content)}
    return {**message, "content": [{"type": "text", "text": block}, *(content or ())]}
