"""Use any function from messages to text as the model, such as a service's client."""

import re

import memkit

# a line of the memory block: "> [1 May 2024] User: We keep the key …"
QUOTED = re.compile(r"^> \[[^]]+\] \w+: (.*)$", re.MULTILINE)


def read_out(messages: list[dict[str, str]]) -> str:
    """Answer with the first quote in the memory block."""
    quotes = QUOTED.findall(messages[-1]["content"])
    return f"You told me: {quotes[0]}" if quotes else "I do not know."


def main() -> None:
    """Ask before and after the memory knows the answer."""
    with memkit.open(":memory:") as memory:
        chat = memkit.Chat(read_out, memory=memory, user_id="ann", session_id="friday")
        question = "Where do we keep the spare key?"
        print(chat.reply(question))

        text = "We keep the spare key under the blue pot."
        memory.remember(text, user_id="ann", session_id="monday")
        print(chat.reply(question))


if __name__ == "__main__":
    main()
