"""Give a LangChain chain a memory by changing one line."""

from typing import Any

from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig

import memkit
from memkit.integrations.langchain import with_memory


class Mirror(SimpleChatModel):
    """Stands in for a chat model: it repeats what it was shown."""

    @property
    def _llm_type(self) -> str:
        return "mirror"

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        return "\n".join(f"{message.type}: {message.content}" for message in messages)


def main() -> None:
    """Ask both chains the same question."""
    model = Mirror()
    prompt = ChatPromptTemplate([("system", "Answer briefly."), ("human", "{question}")])
    with memkit.open(":memory:") as memory:
        memory.remember("Biscuit is our greyhound.", user_id="ann", session_id="monday")
        config: RunnableConfig = {"configurable": {"user_id": "ann", "session_id": "friday"}}
        question = {"question": "What kind of dog is Biscuit?"}

        before = prompt | model | StrOutputParser()
        print(f"The model saw, before:\n{before.invoke(question)}\n")

        after = prompt | with_memory(model, memory) | StrOutputParser()
        print(f"The model saw, after:\n{after.invoke(question, config)}")

        roles = [turn.role for turn in memory.turns(user_id="ann", session_id="friday")]
        print(f"\nRemembered of Friday: {', '.join(roles)}")


if __name__ == "__main__":
    main()
