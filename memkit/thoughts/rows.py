"""What the logic of thoughts asks of a store: rows and queries of one user."""

from collections.abc import Sequence
from typing import Protocol

from memkit.protocols import ReflectionResult, Vectors
from memkit.records import Source, Thought, Turn


class ThoughtRows(Protocol):
    """One user's thoughts inside a write transaction: rows and queries, no decisions.

    A store implements this and passes it to `memkit.thoughts.merging.ThoughtTransaction`, which
    decides what is merged, closed or deleted. Every method sees what the transaction has written.
    """

    def take(self, reflection: ReflectionResult) -> bool:
        """Remove the reflection's turns from the queue and count its rejected claims.

        Returns False, and changes nothing, unless all of the turns are queued and all that were
        read are stored as they were. Raises ValueError unless there is one finite vector of the
        right dimension per thought.
        """

    def find(
        self,
        *,
        ids: Sequence[str] = (),
        turn_ids: Sequence[str] = (),
        closed_by: Sequence[str] = (),
    ) -> list[Thought]:
        """Return the thoughts that meet the one given condition, in the order recorded.

        Closed and retracted thoughts are included; `sources` are left empty, because a thought
        may have thousands. `turn_ids` finds thoughts drawn from any of these turns, `closed_by`
        those closed by these thoughts.
        """

    def nearest(self, text: str, vector: Vectors, k: int) -> list[tuple[Thought, float]]:
        """Return at most `k` open thoughts and their cosines, nearest first.

        Their `sources` are left empty. Candidates come from a vector index or share a MinHash band
        with `text` (`memkit.thoughts.lsh.minhash_bands`).
        """

    def carriers(self) -> list[Thought]:
        """Return the thoughts whose words no source has: these come from turns before.

        Closed and retracted ones are included; `sources` are left empty.
        """

    def turns(self, ids: Sequence[str]) -> list[Turn]:
        """Return the stored turns with these ids, in any order."""

    def sources(self, ids: Sequence[str]) -> dict[str, list[tuple[Source, Turn]]]:
        """Return the sources of these thoughts with their turns, in the order said, by id."""

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the unit vectors of these thoughts, shape (n, d), in the same order."""

    def insert(self, thought: Thought, vector: Vectors) -> None:
        """Insert a thought with its sources and its conflicts, which are ids of stored thoughts."""

    def update(
        self,
        before: Thought,
        after: Thought,
        *,
        vector: Vectors | None = None,
        verbatim: bool = False,
    ) -> None:
        """Write the differences between two versions of one thought, and nothing else.

        Stored sources and conflicts stay as they are if both versions have them or neither has. A
        conflict is a property of both thoughts: removing it from one removes it from the other. A
        `vector` is given if the text differs; sources of `before` then no longer count as having
        the thought's words. `verbatim`: the sources that `after` gains have the thought's words. A
        scope that contains part of a user's turns sees a thought only through such sources.
        """

    def delete(self, ids: Sequence[str], *, requeue: Sequence[str]) -> None:
        """Delete thoughts, and queue the turns `requeue` for reflection again."""
