"""memkit's thoughts as a system: it returns statements with their sources instead of turns."""

from evals import USER
from evals.data.haystack import Query
from evals.systems.memkit import Memkit, MemkitBackedSystem
from evals.systems.protocol import PackedContext, ScoredTurn
from memkit.protocols import Embedder


class ThoughtSystem(MemkitBackedSystem):
    """memkit asked for thoughts alone: `recall(kind="thought")`, and the thoughts of a context."""

    def __init__(self, embedder: Embedder) -> None:
        inner = Memkit(embedder, thresholds=())
        super().__init__(inner)
        self._memory = inner.memory

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        """Recall thoughts; each names its first source turn, and all sources apart."""
        hits = self._memory.recall(
            query.text, user_id=USER, k=k, kind="thought", as_of=query.asked_at
        )
        return [_statement(hit.text, hit.turn_ids, hit.relevance) for hit in hits]

    def pack(self, query: Query, budget: int) -> PackedContext:
        """Return the thoughts of the context block as statements, one in a line."""
        block = self._memory.context(
            query.text, user_id=USER, budget_tokens=budget, as_of=query.asked_at
        )
        statements = tuple(
            _statement(thought.text, thought.turn_ids, 0.0) for thought in block.thoughts
        )
        return PackedContext(
            text="\n".join(hit.statement for hit in statements), statements=statements
        )

    def stored(self) -> frozenset[str]:
        """Return the ids of the turns that some current thought comes from."""
        thoughts = self._memory.thoughts(user_id=USER)
        return frozenset(turn for thought in thoughts for turn in thought.turn_ids)


def _statement(text: str, turn_ids: tuple[str, ...], relevance: float) -> ScoredTurn:
    return ScoredTurn(turn_id=turn_ids[0], score=relevance, statement=text, sources=turn_ids)
