"""The memory's part in a chain: recall before the model is called, remember what was said."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig

from memkit import prompt
from memkit.errors import InvalidInput, MemkitError, ScopeRequired
from memkit.integrations.messages import (
    calls_tools,
    content_text,
    is_question,
    is_reply,
    role_of,
    spoken_text,
    to_turn,
)
from memkit.integrations.recall_block import recall_block
from memkit.memory import Memory

# LangChain's models do not reveal their chat templates
from memkit.models.fallback_template import MESSAGE_TOKENS
from memkit.prompt import SHOWN_ROLES
from memkit.protocols import Counter
from memkit.records import Scope, Turn
from memkit.text.role_markers import escape_role_markers

_RECENT = 200  # newest turns of the session that are compared with the prompt's messages
_HISTORY_SHARE = 0.25  # of the budget; memory gets the remaining 0.75, as in `prompt.compose`


def scope_from_config(config: RunnableConfig | None) -> Scope:
    """Return user and session from `config={"configurable": {"user_id": …, "session_id": …}}`.

    LangGraph's `thread_id` is used as the session if there is no `session_id`.
    """
    values = (config or {}).get("configurable") or {}
    if not values.get("user_id"):
        raise ScopeRequired(
            "the config has no user_id, and a memory needs one; pass "
            'config={"configurable": {"user_id": "ann", "session_id": "monday"}}'
        )
    session = values.get("session_id") or values.get("thread_id") or "main"
    return Scope(user_id=values["user_id"], session_id=session)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStep:
    """Adds recalled text to a prompt's newest question, and remembers messages.

    The arguments are those of `with_memory`.
    """

    memory: Memory
    budget_tokens: int
    k: int
    history: int
    count: Counter | None = None

    def __post_init__(self) -> None:
        for name, least in (("budget_tokens", 1), ("k", 1), ("history", 0)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} must be at least {least}, got {getattr(self, name)}")

    def add_memory(self, messages: Sequence[BaseMessage], scope: Scope) -> list[BaseMessage]:
        """Return the messages with a memory block in front of the newest question.

        If there is no reply among them, the session's last messages are added too.
        """
        questions = [n for n, message in enumerate(messages) if is_question(message)]
        if not questions:
            return list(messages)
        newest, user_id = questions[-1], scope.user_id
        recent = [*self.memory.turns(user_id=user_id, session_id=scope.session_id, last=_RECENT)]
        has_replies = any(is_reply(message) for message in messages)
        last = [] if has_replies else self._last_turns(recent)
        history, unanswered = _as_messages(last)
        # what the prompt shows already is not recalled into it again
        texts = {spoken_text(message, self.memory.signer) for message in messages}
        without = [turn.id or "" for turn in recent if turn in last or turn.text in texts]
        question = messages[newest]
        block = self._block(
            content_text(question.content), user_id, without,
            self.budget_tokens - sum(map(self._cost, last)),
        )  # fmt: skip
        first = next(
            (n for n, message in enumerate(messages) if role_of(message) != "system"), newest
        )
        question = _prepend(unanswered, _prepend(block, question))
        return [
            *messages[:first], *history, *messages[first:newest], question, *messages[newest + 1 :],
        ]  # fmt: skip

    def remember(self, messages: Sequence[BaseMessage], scope: Scope) -> None:
        """Remember messages, without system messages and LangChain's summaries.

        A question with an id is remembered once, however often its chain is retried.
        """
        signer = self.memory.signer
        turns = [
            _to_scoped_turn(to_turn(message, signer), message, scope)
            for message in messages
            if _is_said(message)
        ]
        self.memory.remember(turns, user_id=scope.user_id, session_id=scope.session_id)

    def remember_replies(self, replies: Sequence[BaseMessage], scope: Scope) -> None:
        """Remember replies; if that fails, warn, so that the caller still gets them."""
        try:
            self.remember(replies, scope)
        except MemkitError as error:
            warnings.warn(f"a reply could not be remembered: {error}", stacklevel=2)

    def _last_turns(self, recent: Sequence[Turn]) -> list[Turn]:
        """Return the session's last turns that fit into their share, oldest first."""
        dialogue = [turn for turn in recent if turn.role in SHOWN_ROLES and not calls_tools(turn)]
        room = int(self.budget_tokens * _HISTORY_SHARE)
        first = len(dialogue)
        while first > max(0, len(dialogue) - self.history):
            room -= self._cost(dialogue[first - 1])
            if room < 0:
                break
            first -= 1
        return list(dropwhile(lambda turn: turn.role == "assistant", dialogue[first:]))

    def _block(self, question: str, user_id: str, without: Sequence[str], room: int) -> str:
        return recall_block(
            self.memory, question, user_id=user_id, without=without, budget_tokens=room, k=self.k,
            count=self._count,
        )  # fmt: skip

    def _count(self, text: str) -> int:
        return (self.count or self.memory.embedder.count)(text)

    def _cost(self, turn: Turn) -> int:
        (message,) = prompt.history_messages([turn])
        return self._count(escape_role_markers(message["content"])) + MESSAGE_TOKENS


def unanswered_messages(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages after the last reply."""
    replies = [n for n, message in enumerate(messages) if is_reply(message)]
    return list(messages[replies[-1] + 1 if replies else 0 :])


def _is_said(message: BaseMessage) -> bool:
    """Return whether a message is part of the dialogue and has text."""
    role = role_of(message)
    if role == "user":
        return is_question(message) and bool(spoken_text(message))
    return role != "system" and (role != "assistant" or bool(spoken_text(message)))


def _to_scoped_turn(turn: Turn, message: BaseMessage, scope: Scope) -> Turn:
    """Return a message's turn with an id that is the same when a chain is retried."""
    if not message.id or is_reply(message):
        return turn  # LangChain's cache returns the same reply for every repetition of a question
    # the session too, because another one may use the same message id
    key = json.dumps([scope.session_id, message.id, turn.role, turn.text])
    return replace(turn, id=uuid5(NAMESPACE_OID, key).hex)


def _as_messages(turns: Sequence[Turn]) -> tuple[list[BaseMessage], str]:
    """Return turns as messages with alternating roles, and the text that got no reply."""
    escaped = [
        {"role": message["role"], "content": escape_role_markers(message["content"])}
        for message in prompt.alternate_roles(prompt.history_messages(turns))
    ]
    ends_open = bool(escaped) and escaped[-1]["role"] == "user"
    unanswered = escaped.pop()["content"] if ends_open else ""
    return convert_to_messages(escaped), unanswered


def _prepend(text: str, question: BaseMessage) -> BaseMessage:
    """Return the question with a text in front of its content."""
    if not text:
        return question
    content: str | list[Any] = question.content
    if isinstance(content, str):
        content = f"{text}\n\n{content}"
    else:
        content = [{"type": "text", "text": text}, *content]
    return question.model_copy(update={"content": content})
