"""Give a LangChain agent a memory of all conversations with a user, by one middleware."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

import memkit
from memkit.integrations.middleware import MemkitMiddleware


class Mirror(SimpleChatModel):
    """Stands in for a chat model: it repeats what it was shown."""

    @property
    def _llm_type(self) -> str:
        return "mirror"

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        return f"I was shown: {messages[-1].content}"


def main() -> None:
    """State a fact in one thread; ask for it in another, as the same user and as someone else."""
    with memkit.open(":memory:") as memory:
        agent = create_agent(Mirror(), middleware=[MemkitMiddleware(memory)])

        def ask(user_id: str, thread_id: str, text: str) -> str:
            config: RunnableConfig = {"configurable": {"user_id": user_id, "thread_id": thread_id}}
            reply = agent.invoke({"messages": [HumanMessage(text)]}, config)
            return str(reply["messages"][-1].content)

        ask("ann", "monday", "I am allergic to peanuts.")
        print(f"Ann's agent: {ask('ann', 'friday', 'What am I allergic to?')}\n")
        print(f"Bob's agent: {ask('bob', 'friday', 'What am I allergic to?')}")


if __name__ == "__main__":
    main()
