"""A memory in an agent of Microsoft's Agent Framework; the model is a stand-in."""

import asyncio
from typing import Any

from agent_framework import Agent, AgentSession, BaseChatClient, ChatResponse, Message

import memkit
from memkit.integrations.agent_framework import MemkitContextProvider


class Mirror(BaseChatClient):
    """Repeats its prompt."""

    async def _inner_get_response(self, *, messages: Any, **_: Any) -> ChatResponse:
        shown = "\n".join(message.text for message in messages)
        return ChatResponse(messages=[Message("assistant", [f"I was shown: {shown}"])])


async def main() -> None:
    """Ask in a new session about what an earlier one heard."""
    with memkit.open(":memory:") as memory:
        memory.remember("Our greyhound is called Biscuit.", user_id="ann", session_id="monday")
        provider = MemkitContextProvider(memory)
        agent = Agent(Mirror(), context_providers=[provider])
        session = AgentSession(session_id="friday")
        session.state["user_id"] = "ann"
        print(await agent.run("What is the name of the greyhound?", session=session))


if __name__ == "__main__":
    asyncio.run(main())
