"""Any function from messages to text is a model, such as the client of a service you have."""

import re

import memkit

QUOTED = re.compile(r"^> \[[^]]+\] \w+: (.*)$", re.MULTILINE)


def read_out(messages: list[dict[str, str]]) -> str:
    """Answer with the first quote that memory has put before the question."""
    quotes = QUOTED.findall(messages[-1]["content"])
    return f"You told me: {quotes[0]}" if quotes else "I do not know."


def main() -> None:
    """Ask before and after the memory has something to say."""
    with memkit.open(":memory:") as memory:
        chat = memkit.Chat(read_out, memory=memory, user_id="ann", session_id="friday")
        question = "Where do we keep the spare key?"
        print(chat.reply(question))

        told = "We keep the spare key under the blue pot."
        memory.remember(told, user_id="ann", session_id="monday")
        print(chat.reply(question))


if __name__ == "__main__":
    main()
