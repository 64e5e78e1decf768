"""A LangChain model with prepared replies, and helpers of the LangChain tests."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig

import memkit


class Scripted(GenericFakeChatModel):
    """LangChain's own fake; it also records its prompts and accepts tools."""

    prompts: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.prompts.append(messages)
        return super()._generate(messages, *args, **kwargs)

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:  # noqa: ARG002
        return self


def scripted(*replies: str | AIMessage) -> Scripted:
    return Scripted(messages=iter(replies))


def of(user: str, session: str = "s1") -> RunnableConfig:
    return {"configurable": {"user_id": user, "session_id": session}}


def said(memory: memkit.Memory, user: str = "ann", **scope: Any) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in memory.turns(user_id=user, **scope)]
