"""Remember turns and recall them, without a language model, a server or a key."""

import memkit

TURNS = [
    {"role": "user", "content": "I moved to Oslo in May, to the street by the harbour."},
    {"role": "assistant", "content": "How lovely! Is it noisy there?"},
    {"role": "user", "content": "Biscuit, our greyhound, is afraid of the vacuum cleaner."},
    {"role": "assistant", "content": "Poor Biscuit! Try feeding her while it runs."},
]


def main() -> None:
    """Ask questions about four turns, and build a memory block within a token budget."""
    with memkit.open(":memory:") as memory:  # or the path of a file
        memory.remember(TURNS, user_id="ann", session_id="monday")

        for question in ("Which city is Ann's home?", "What is the dog scared of?"):
            (best,) = memory.recall(question, user_id="ann", k=1)
            print(f"{question}\n  {best.relevance:.2f}  {best.speaker}: {best.text}")

        nothing = memory.recall("Who won the cup?", user_id="ann", min_relevance="auto")
        print(f"Who won the cup?\n  {list(nothing)}")
        print(f"Asked in Bob's name\n  {list(memory.recall('dog', user_id='bob'))}")

        block = memory.context("What is the dog scared of?", user_id="ann", budget_tokens=150)
        print(f"\nFor a prompt, {block.tokens} of {block.budget_tokens} tokens:\n{block.text}")


if __name__ == "__main__":
    main()
