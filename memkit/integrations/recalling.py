"""What every chain with a memory does: whose it is, what goes before a question, what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, trim_messages
from langchain_core.runnables import RunnableConfig

from memkit import prompt
from memkit.errors import InvalidInput, ScopeRequired
from memkit.integrations.messages import plain, text_of, to_turn
from memkit.memory import Memory
from memkit.models.unseen import neutralise  # LangChain's models do not show their templates
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
        newest = max(
            (n for n, one in enumerate(messages) if isinstance(one, HumanMessage)), default=None
        )
        if newest is None:
            return list(messages)
        recent = list(
            self.memory.turns(user_id=scope.user_id, session_id=scope.session_id, last=_RECENT)
        )
        alone = not any(one.type == "ai" for one in messages)
        shown = self._last(recent) if alone else []
        said = {text_of(one.content) for one in messages}
        without = [turn.id or "" for turn in recent if turn.text in said]
        question = messages[newest]
        block = self._block(
            text_of(question.content), scope.user_id, [*without, *(one.id or "" for one in shown)],
            self.budget_tokens - self._cost(shown),
        )  # fmt: skip
        first = next((n for n, one in enumerate(messages) if one.type != "system"), newest)
        asked = [*messages[first:newest], _behind(block, question), *messages[newest + 1 :]]
        return [*messages[:first], *shown, *asked]

    def remember(self, messages: Sequence[BaseMessage], scope: Scope) -> None:
        """Remember what was said; instructions to the model are not."""
        turns = [to_turn(one) for one in messages if one.type != "system"]
        self.memory.remember(turns, user_id=scope.user_id, session_id=scope.session_id)

    def _last(self, recent: Sequence[Turn]) -> list[BaseMessage]:
        """Return as many of the session's last messages as fit into their share, oldest first."""
        said = plain(recent)[-self.history :] if self.history else []
        safe = [
            one.model_copy(update={"content": neutralise(text_of(one.content))}) for one in said
        ]
        most = int(self.budget_tokens * _HISTORY_SHARE)
        return trim_messages(safe, max_tokens=most, token_counter=self._cost, start_on="human")

    def _block(self, question: str, user_id: str, without: Sequence[str], room: int) -> str:
        if not question.strip():
            return ""
        found = self.memory.recollect(question, user_id=user_id, k=self.k, without=without)
        known: list[prompt.Known] = [*self.memory.summaries(user_id=user_id), *found.thoughts]
        return neutralise(prompt.block(*prompt.fit(known, found.hits, room, self._length)))

    def _length(self, text: str) -> int:
        return (self.count or self.memory.embedder.count)(neutralise(text))

    def _cost(self, messages: Sequence[BaseMessage]) -> int:
        return sum(self._length(text_of(one.content)) + _PER_MESSAGE for one in messages)


def new_of(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return what nobody has replied to yet: the messages behind the last reply."""
    replies = [n for n, one in enumerate(messages) if one.type == "ai"]
    return list(messages[replies[-1] + 1 if replies else 0 :])


def says_something(reply: BaseMessage) -> bool:
    """Return whether there is anything in a reply, be it a call of a tool."""
    names = ("content", "tool_calls", "invalid_tool_calls")
    return any(getattr(reply, name, None) for name in names)


def _behind(block: str, question: BaseMessage) -> BaseMessage:
    """Return the question with a memory block before its words."""
    if not block:
        return question
    content: str | list[Any] = question.content
    if isinstance(content, str):
        content = f"{block}\n\n{content}"
    else:
        content = [{"type": "text", "text": block}, *content]
    return question.model_copy(update={"content": content})
