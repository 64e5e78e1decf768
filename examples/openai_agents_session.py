"""A memory as the session of an agent of the OpenAI Agents SDK; the model is a stand-in."""

import asyncio
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

import memkit
from memkit.integrations.openai_agents import MemkitSession


class Mirror(Model):
    """Says how many items it was shown."""

    async def get_response(self, *_: Any, input: Any, **__: Any) -> ModelResponse:
        """Answer with the number of items."""
        text = ResponseOutputText(
            text=f"I was shown {len(input)} items.", type="output_text", annotations=[]
        )
        message = ResponseOutputMessage(
            id="m", type="message", role="assistant", status="completed", content=[text]
        )
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Streaming is not shown here."""
        raise NotImplementedError


async def main() -> None:
    """Talk twice in one session; then recall from another one."""
    set_tracing_disabled(True)
    agent = Agent(name="helper", model=Mirror())
    with memkit.open(":memory:") as memory:
        for question in ("Our greyhound is called Biscuit.", "What is his name?"):
            session = MemkitSession(memory, user_id="ann", session_id="monday")
            result = await Runner.run(agent, question, session=session)
            print(result.final_output)
        friday = MemkitSession(memory, user_id="ann", session_id="friday")
        print(await friday.recall("What is the name of the greyhound?"))


if __name__ == "__main__":
    asyncio.run(main())
