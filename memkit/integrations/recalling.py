"""What every chain with a memory does: whose it is, what goes before a question, what is kept."""

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
    is_question,
    is_reply,
    role_of,
    text_of,
    to_turn,
    words_of,
)
from memkit.memory import Memory
from memkit.models.fallback_template import (
    escape_role_markers,  # LangChain's models do not show their templates
)
from memkit.prompt import SHOWN_ROLES
from memkit.protocols import Counter
from memkit.records import Scope, Turn

_RECENT = 200  # turns of the session that are looked through for what a prompt holds already
_HISTORY_SHARE = 0.25  # of the budget; the rest is memory's, as in `memkit.prompt.compose`
_PER_MESSAGE = 8  # tokens that a chat template puts around a message, at most


def scope_of(config: RunnableConfig | None) -> Scope:
    """Return who is talking, from `config={"configurable": {"user_id": …, "session_id": …}}`.

    LangGraph's `thread_id` is taken for a session too.

    Raises:
        ScopeRequired: the config names no user.
    """
    chosen = (config or {}).get("configurable") or {}
    if not chosen.get("user_id"):
        raise ScopeRequired(
            "the config names no user, and there is no memory without one; pass "
            'config={"configurable": {"user_id": "ann", "session_id": "monday"}}'
        )
    session = chosen.get("session_id") or chosen.get("thread_id") or "main"
    return Scope(user_id=chosen["user_id"], session_id=session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalling:
    """Puts a memory's words before the newest question, and remembers what is said."""

    memory: Memory
    budget_tokens: int
    k: int
    history: int
    count: Counter | None = None

    def __post_init__(self) -> None:
        for name, least in (("budget_tokens", 1), ("k", 1), ("history", 0)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} must be at least {least}, got {getattr(self, name)}")

    def prompt(self, messages: Sequence[BaseMessage], scope: Scope) -> list[BaseMessage]:
        """Return the messages with what memory has to say to the newest question before it.

        If they hold no reply, the session's last messages stand before them.
        """
        newest = max((n for n, one in enumerate(messages) if is_question(one)), default=None)
        if newest is None:
            return list(messages)
        recent = list(
            self.memory.turns(user_id=scope.user_id, session_id=scope.session_id, last=_RECENT)
        )
        last = [] if any(is_reply(one) for one in messages) else self._last(recent)
        shown, unanswered = _as_messages(last)
        said = {words_of(one) for one in messages}
        without = [turn.id or "" for turn in recent if turn in last or turn.text in said]
        question = messages[newest]
        block = self._block(
            text_of(question.content), scope.user_id, without,
            self.budget_tokens - sum(map(self._cost, last)),
        )  # fmt: skip
        first = next((n for n, one in enumerate(messages) if role_of(one) != "system"), newest)
        asked = _behind(unanswered, _behind(block, question))
        return [
            *messages[:first], *shown, *messages[first:newest], asked, *messages[newest + 1 :],
        ]  # fmt: skip

    def remember(self, messages: Sequence[BaseMessage], scope: Scope) -> None:
        """Remember what was said; instructions to the model, and summaries of it, are not.

        A question with an id is remembered once, however often its chain is retried.
        """
        turns = [_turn(one, scope) for one in messages if _is_said(one)]
        self.memory.remember(turns, user_id=scope.user_id, session_id=scope.session_id)

    def keep(self, replies: Sequence[BaseMessage], scope: Scope) -> None:
        """Remember replies. One that cannot be is still the caller's: a warning says why."""
        try:
            self.remember(replies, scope)
        except MemkitError as error:
            warnings.warn(f"a reply was made and is not remembered: {error}", stacklevel=2)

    def _last(self, recent: Sequence[Turn]) -> list[Turn]:
        """Return as many of the session's last turns as fit into their share, oldest first."""
        said = [turn for turn in recent if turn.role in SHOWN_ROLES and not calls_tools(turn)]
        room = int(self.budget_tokens * _HISTORY_SHARE)
        first = len(said)
        while first > max(0, len(said) - self.history):
            room -= self._cost(said[first - 1])
            if room < 0:
                break
            first -= 1
        return list(dropwhile(lambda turn: turn.role == "assistant", said[first:]))

    def _block(self, question: str, user_id: str, without: Sequence[str], room: int) -> str:
        if not question.strip():
            return ""
        found = self.memory._recollect(question, user_id=user_id, k=self.k, without=without)
        known: list[prompt.Derived] = [*self.memory.summaries(user_id=user_id), *found.thoughts]
        return escape_role_markers(
            prompt.format_memory_block(
                *prompt.select_within_budget(known, found.hits, room, self._length)
            )
        )

    def _length(self, text: str) -> int:
        return (self.count or self.memory.embedder.count)(escape_role_markers(text))

    def _cost(self, turn: Turn) -> int:
        (message,) = prompt.history_messages([turn])
        return self._length(message["content"]) + _PER_MESSAGE


def new_of(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return what nobody has replied to yet: the messages behind the last reply."""
    replies = [n for n, one in enumerate(messages) if is_reply(one)]
    return list(messages[replies[-1] + 1 if replies else 0 :])


def _is_said(message: BaseMessage) -> bool:
    role = role_of(message)
    if role == "user":
        return is_question(message) and bool(words_of(message))
    return role != "system" and (role != "assistant" or bool(words_of(message)))


def _turn(message: BaseMessage, scope: Scope) -> Turn:
    """Return a message as a turn; the same one of a session, asked again, is the same turn.

    Its id alone may be another message's in another session. A reply's says nothing: LangChain's
    cache gives the same one each time.
    """
    turn = to_turn(message)
    if not message.id or is_reply(message):
        return turn
    same = json.dumps([scope.session_id, message.id, turn.role, turn.text])
    return replace(turn, id=uuid5(NAMESPACE_OID, same).hex)


def _as_messages(turns: Sequence[Turn]) -> tuple[list[BaseMessage], str]:
    """Return turns as messages whose roles alternate, and the words that got no reply."""
    joined = prompt.alternate_roles(prompt.history_messages(turns))
    safe = [{"role": one["role"], "content": escape_role_markers(one["content"])} for one in joined]
    unanswered = safe.pop()["content"] if safe and safe[-1]["role"] == "user" else ""
    return convert_to_messages(safe), unanswered


def _behind(text: str, question: BaseMessage) -> BaseMessage:
    """Return the question with a text before its words."""
    if not text:
        return question
    content: str | list[Any] = question.content
    if isinstance(content, str):
        content = f"{text}\n\n{content}"
    else:
        content = [{"type": "text", "text": text}, *content]
    return question.model_copy(update={"content": content})
