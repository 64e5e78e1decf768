"""The interface of a store on which changes can be tried: a part of `memkit.protocols.Backend`."""

from contextlib import AbstractContextManager
from typing import Protocol

from memkit.records import Scope, Thought, Turn


class TrialStore(Protocol):
    """Tries changes of derived data, and says what to ask before and after."""

    def branch(self, scope: Scope) -> AbstractContextManager[None]:
        """Commit all that the block writes, or nothing if it fails; it reads what it has written.

        Other threads and other writers wait until the block ends, so it must be short. It may
        write, and read by any method of this store, but not purge, and only in its own thread.
        """

    def head(self) -> str:
        """Return the hash of the newest event: as long as it is the same, nothing was changed."""

    def sample(self, scope: Scope, limit: int) -> list[Turn]:
        """Return at most `limit` turns of the user, evenly spread, in the order stored.

        As long as no turn is added or deleted, it returns the same ones.
        """

    def ended(self, scope: Scope, limit: int) -> list[tuple[str, str]]:
        """Return the texts of the last thoughts that no longer hold, the newest first.

        Each comes with the text of the thought that closed it, "" if it was retracted.
        """

    def superseded(self, scope: Scope, limit: int) -> list[tuple[Thought, Thought]]:
        """Return the last superseded thoughts, each with the one that holds in its place.

        Those without one are left out: what replaced them was replaced itself, or is a denial.
        """
