"""Every error memkit raises on purpose.

MemkitError
├── InvalidInput          the caller passed something memkit cannot take (also a ValueError)
│   ├── ScopeRequired     no user_id, so nobody's memory (also a TypeError)
│   ├── InvalidTurn       a message that cannot be remembered: empty, unknown role, not text
│   ├── NaiveDatetime     a time without a timezone
│   ├── TurnConflict      a turn id that is already taken by another text
│   └── BudgetExceeded    the least a prompt needs does not fit into the token budget
├── StoreError            the store could not read or write
│   ├── NotAMemory        the file is not a memkit memory, or it is damaged
│   ├── NewerSchema       the file was written by a newer memkit
│   ├── EmbeddingMismatch the memory was embedded with another model
│   ├── StoreReadOnly     the disk or the file cannot be written
│   ├── StoreFull         no space left
│   ├── StoreLocked       another process held the file for too long
│   └── StoreClosed       the memory was used after close()
├── ModelError            a language model or embedder failed or is not what it claims to be
└── MissingExtra          an optional dependency is not installed (also an ImportError)
"""


class MemkitError(Exception):
    """Base class: catch this to catch everything below."""


class InvalidInput(MemkitError, ValueError):
    """The caller passed something memkit cannot take; nothing was stored."""


class ScopeRequired(InvalidInput, TypeError):
    """A call named no user; there is no memory of "everybody"."""


class InvalidTurn(InvalidInput):
    """A message that cannot be remembered as it is."""


class NaiveDatetime(InvalidInput):
    """A time without a timezone, which could mean any of a day's hours."""


class TurnConflict(InvalidInput):
    """A turn id of this user that already belongs to another text; turns are immutable."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)  # the arguments, so that it pickles
        self.turn_id = turn_id

    def __str__(self) -> str:
        return (
            f"turn id {self.turn_id!r} already holds another text, and turns are immutable; "
            "remember the new text under a new id, or leave the id out"
        )


class BudgetExceeded(InvalidInput):
    """The least a prompt needs does not fit into the token budget."""

    def __init__(self, needed: int, budget: int) -> None:
        super().__init__(needed, budget)
        self.needed, self.budget = needed, budget

    def __str__(self) -> str:
        return (
            f"system text and question alone take {self.needed} tokens and the budget is "
            f"{self.budget}; raise budget_tokens to at least {self.needed} or shorten them"
        )


class StoreError(MemkitError):
    """The store could not read or write."""


class NotAMemory(StoreError):
    """The file is not a memkit memory, or it is damaged."""


class NewerSchema(StoreError):
    """The file was written by a newer memkit than this one."""


class EmbeddingMismatch(StoreError):
    """The memory's vectors come from another embedder than the one it was opened with."""

    def __init__(self, stored: str, given: str, url: str) -> None:
        super().__init__(stored, given, url)
        self.stored, self.given, self.url = stored, given, url

    def __str__(self) -> str:
        return (
            f"{self.url} was embedded with {self.stored}, and {self.given} was given; open it "
            f"with the first, or move it to the second: `memkit reembed --store {self.url} "
            "--embedder <the new model's id or path>`"
        )


class StoreReadOnly(StoreError):
    """The disk, the folder or the file cannot be written."""


class StoreFull(StoreError):
    """No space is left where the memory lies; what was acknowledged before is safe."""


class StoreLocked(StoreError):
    """Another process held the file for longer than the busy timeout."""


class StoreClosed(StoreError):
    """The memory was used after close()."""


class ModelError(MemkitError):
    """A language model or an embedder failed, or is not what it claims to be."""


class MissingExtra(MemkitError, ImportError):
    """An optional dependency is not installed; the message holds the install line."""
