"""Chat with the bundled model, end the program, and continue in a new one."""

from pathlib import Path
from tempfile import TemporaryDirectory

import memkit
from memkit.models.bundled import smollm2  # or any causal LM and tokenizer from transformers


def talk(memory: memkit.Memory, session_id: str, *questions: str) -> None:
    """Ask questions in one session; print what the last reply was made from and its cost."""
    model, tokenizer = smollm2()
    chat = memkit.Chat(
        model, tokenizer, memory, user_id="ann", session_id=session_id, max_new_tokens=24
    )
    for question in questions:
        print(f"Ann: {question}\nSmolLM2: {chat.reply(question)}")
    assert chat.report is not None
    prompt, usage = chat.report.prompt, chat.report.usage
    print(f"The last prompt had {prompt.tokens} tokens, {usage.reused:.0%} reused; recalled:")
    for hit in prompt.hits:
        print(f"  {hit.relevance:.2f}  session {hit.session_id}, {hit.speaker}: {hit.text}")


def main() -> None:
    """State a fact on Monday, and ask for it on Friday after opening the memory again."""
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "ann.db")
        with memkit.open(file) as memory:
            talk(memory, "monday", "My car is on level three of the garage, next to the lift.")
            memory.flush()  # wait for the background work; here Friday follows at once

        print("\n--- the program ends, and starts again on Friday ---\n")
        with memkit.open(file) as memory:
            talk(memory, "friday", "On which level of the garage is my car?", "Next to what?")


if __name__ == "__main__":
    main()
