"""A memory in a LlamaIndex chat engine; the model is a stand-in that repeats its prompt."""

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM

import memkit
from memkit.integrations.llama_index import MemkitMemory


def main() -> None:
    """Ask in a new session about what an earlier one heard."""
    with memkit.open(":memory:") as memory:
        memory.remember("Our greyhound is called Biscuit.", user_id="ann", session_id="monday")
        session = MemkitMemory(memory=memory, user_id="ann", session_id="friday")
        engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=session)
        print(engine.chat("What is the name of the greyhound?"))
        print([message.role.value for message in session.get_all()])


if __name__ == "__main__":
    main()
