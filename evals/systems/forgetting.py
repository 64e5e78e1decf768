"""Two other ways to forget: hide turns from search, and build the memory anew without them."""
# ruff: noqa: D102  # the methods without a docstring are documented in `System`

from collections.abc import Sequence

from evals import USER
from evals.systems.memkit import Memkit
from memkit.protocols import Embedder, WriteBatch
from memkit.records import Scope


class HidingMemkit(Memkit):
    """memkit that only hides deleted turns from search, as a soft delete does.

    What was derived from them stays, and so does every byte.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder, on_disk=True)

    def forget(self, turn_ids: Sequence[str]) -> None:
        scope, hidden = Scope(user_id=USER), set(turn_ids)
        chunk_ids = [chunk.id for chunk in self.memory.store.chunks(scope)]
        hide = [id for id in chunk_ids if id.rpartition("/")[0] in hidden]
        self.memory.store.write(scope, WriteBatch(hide=hide))


class RebuiltMemkit(Memkit):
    """memkit that starts again without the deleted turns: it has never seen them.

    The gold standard of unlearning, and its dearest way.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder, on_disk=True)
        self._embedder = embedder

    def forget(self, turn_ids: Sequence[str]) -> None:
        rest = [turn for turn in self.memory.turns(user_id=USER) if turn.id not in turn_ids]
        super().close()
        self.__init__(self._embedder)  # type: ignore[misc]  # as new, in another folder
        self.remember(sorted(rest, key=lambda turn: turn.position or 0))
