"""The memory block for a question, without what the prompt shows already."""

from collections.abc import Sequence

from memkit import prompt
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.protocols import Counter


def recall_block(
    memory: Memory,
    question: str,
    *,
    user_id: str,
    without: Sequence[str] = (),
    budget_tokens: int = DEFAULT_BUDGET,
    k: int = 10,
    count: Counter | None = None,
) -> str:
    """Return the signed memory block for a question, "" if there is nothing to show.

    `without` are the ids of turns that the prompt shows already. Cost: one embedding call.
    """
    if not question.strip():
        return ""
    recalled = memory._recollect(question, user_id=user_id, k=k, without=without)
    derived, hits = prompt.select_within_budget(
        [*memory.summaries(user_id=user_id), *recalled.thoughts], recalled.hits, budget_tokens,
        count or memory.embedder.count, memory.signer,
    )  # fmt: skip
    return prompt.format_memory_block(derived, hits, memory.signer)
