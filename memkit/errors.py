"""The errors of memkit.

MemkitError
├── InvalidInput          an argument that memkit cannot use (also a ValueError)
│   ├── ScopeRequired     an empty user_id, agent_id or session_id (also a TypeError)
│   ├── InvalidTurn       a message that cannot be remembered: empty, unknown role, not text
│   │   └── MessageBlocked a message with something that the privacy policy blocks
│   ├── MessagesRejected  some of many messages are invalid; the others are stored
│   ├── NaiveDatetime     a time without a timezone
│   ├── TurnConflict      a turn id that is already taken by another text
│   ├── AmbiguousId       the beginning of several ids
│   ├── NewerExport       an export that was written by a newer memkit
│   ├── UnknownFormat     a file of conversations whose format memkit cannot tell
│   ├── AmbiguousDates    a file whose dates can be read in two ways
│   ├── ArchiveTooLarge   an archive that unpacks to more than memkit reads
│   └── BudgetExceeded    the least a prompt needs does not fit into the token budget
├── StoreError            the store could not read or write
│   ├── NotAMemory        the file is not a memkit memory, or it is damaged
│   ├── DamagedRow        a row that cannot be read: a damaged time, text or metadata
│   ├── NewerSchema       the file was written by a newer memkit
│   ├── EmbeddingMismatch the memory was embedded with another model
│   ├── WrongKey          an encrypted memory without its key, or with another one
│   ├── StoreReadOnly     the disk or the file cannot be written
│   ├── StoreFull         no space left
│   ├── StoreLocked       another process held the file for too long
│   └── StoreClosed       the memory was used after close()
├── StepRefused           the gate found that a step of the maintenance does harm
├── ModelError            a language model or embedder failed, or its files are wrong
└── MissingExtra          an optional dependency is not installed (also an ImportError)

UserWarning
└── IncompleteCopyWarning the file was copied while it was open, without its log
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class MemkitError(Exception):
    """Base class: catch this to catch everything below."""


class InvalidInput(MemkitError, ValueError):
    """An argument that memkit cannot use; nothing was stored, unless it is `MessagesRejected`."""


class ScopeRequired(InvalidInput, TypeError):
    """An empty user_id, agent_id or session_id; a memory always belongs to one user."""


class InvalidTurn(InvalidInput):
    """A message that cannot be remembered as it is."""


class MessageBlocked(InvalidTurn):
    """A message with something that the memory's privacy policy blocks; never has the words.

    `field` is "text", "name", "metadata" or "tags"; `spans` are kind, first and last character of
    each.
    """

    def __init__(self, field: str, spans: tuple[tuple[str, int, int], ...]) -> None:
        super().__init__(field, spans)
        self.field, self.spans = field, spans

    def __str__(self) -> str:
        found = ", ".join(
            f"{kind.replace('_', ' ')} at characters {start} to {end}"
            for kind, start, end in self.spans
        )
        return (
            f"the privacy policy blocks this message: its {self.field} has a {found}; leave that "
            'out, or open the memory with a policy that says "redact" for it'
        )


class NaiveDatetime(InvalidInput):
    """A time without a timezone."""


class TurnConflict(InvalidInput):
    """A turn id of this user that already has another text; turns are immutable."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)  # the arguments, because pickle calls __init__ with them
        self.turn_id = turn_id

    def __str__(self) -> str:
        return (
            f"turn id {self.turn_id!r} already has another text, and turns are immutable; "
            "remember the new text under a new id, or leave the id out"
        )


class AmbiguousId(InvalidInput):
    """A short id with which several ids begin; `candidates` are the first of them."""

    def __init__(self, prefix: str, candidates: tuple[str, ...]) -> None:
        super().__init__(prefix, candidates)
        self.prefix, self.candidates = prefix, candidates

    def __str__(self) -> str:
        return (
            f"{self.prefix!r} is the beginning of several ids: {', '.join(self.candidates)}; "
            "type more characters"
        )


class NewerExport(InvalidInput):
    """An export in a version of the format that this memkit does not know."""

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(version, newest)
        self.version, self.newest = version, newest

    def __str__(self) -> str:
        return (
            f"the export has version {self.version} of the format and this memkit reads up to "
            f"{self.newest}; nothing was imported, upgrade memkit"
        )


class UnknownFormat(InvalidInput):
    """A file of conversations whose format memkit cannot tell from its content."""

    def __init__(self, path: str, formats: tuple[str, ...]) -> None:
        super().__init__(path, formats)
        self.path, self.formats = path, formats

    def __str__(self) -> str:
        return (
            f"{self.path} is in no format that memkit knows; if it is, name it with `memkit import "
            f"--format`: {', '.join(self.formats)}"
        )


class AmbiguousDates(InvalidInput):
    """A file in which every date can be read as day and month, or as month and day."""

    def __init__(self, path: str, example: str) -> None:
        super().__init__(path, example)
        self.path, self.example = path, example

    def __str__(self) -> str:
        return (
            f"{self.path} does not tell whether {self.example} begins with the day or the month; "
            "pass --date-order dmy or --date-order mdy"
        )


class ArchiveTooLarge(InvalidInput):
    """An archive that unpacks to more bytes than memkit reads."""

    def __init__(self, path: str, limit: int) -> None:
        super().__init__(path, limit)
        self.path, self.limit = path, limit

    def __str__(self) -> str:
        return (
            f"{self.path} unpacks to more than {self.limit // 2**30} GiB; unpack it yourself if "
            "you trust it, and import the file in it"
        )


class MessagesRejected(InvalidInput):
    """Some of many messages are invalid; the others are stored.

    `errors` says by the index of each invalid message what is wrong; `ids` are those of the stored
    turns.
    """

    def __init__(self, errors: Mapping[int, str], ids: Sequence[str]) -> None:
        super().__init__(errors, ids)
        self.errors, self.ids = errors, ids

    def __str__(self) -> str:
        reasons = "; ".join(f"message {n}: {reason}" for n, reason in self.errors.items())
        return (
            f"{reasons}; correct {'it' if len(self.errors) == 1 else 'these'} and pass no other "
            f"message again: the other {len(self.ids)} are stored"
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


class DamagedRow(StoreError):
    """A row that cannot be read; the other rows can. `memkit doctor` lists all of them.

    `item` names the row, such as "turn 'D1:3' of 'ann'"; `remedy` says what to do.
    """

    def __init__(self, item: str, reason: str, remedy: str) -> None:
        super().__init__(item, reason, remedy)
        self.item, self.reason, self.remedy = item, reason, remedy

    def __str__(self) -> str:
        return f"{self.item} is damaged: {self.reason}; {self.remedy}"


class NewerSchema(StoreError):
    """The file was written by a newer memkit than this one."""


class EmbeddingMismatch(StoreError):
    """The memory's vectors come from another embedder than the one it was opened with."""

    def __init__(self, stored: str, given: str, url: str) -> None:
        super().__init__(stored, given, url)
        self.stored, self.given, self.url = stored, given, url

    def __str__(self) -> str:
        return (
            f"{self.url} was embedded with {self.stored}, not with {self.given}; open it with the "
            f"first, or move it to the second: `memkit reembed --store {self.url} "
            "--embedder <the new model's id or path>`"
        )


class WrongKey(StoreError):
    """An encrypted memory without its key, with another one, or with one that was destroyed."""


class StoreReadOnly(StoreError):
    """The disk, the folder or the file cannot be written."""


class StoreFull(StoreError):
    """The disk of the memory is full; turns that were acknowledged before are safe."""


class StoreLocked(StoreError):
    """Another process held the file for longer than the busy timeout."""


class StoreClosed(StoreError):
    """The memory was used after close()."""


class StepRefused(MemkitError):
    """The gate refused a change of derived data: it does harm by the policy's thresholds.

    Nothing of the change was written. `breaches` has one sentence per threshold that was missed.
    """

    def __init__(self, breaches: Sequence[str]) -> None:
        super().__init__(breaches)
        self.breaches = tuple(breaches)

    def __str__(self) -> str:
        return f"the gate refused this step: {'; '.join(self.breaches)}"


class ModelError(MemkitError):
    """A language model or an embedder failed, or its files are wrong."""


class MissingExtra(MemkitError, ImportError):
    """An optional dependency is not installed; the message has the install command."""


@contextmanager
def hf_packages(purpose: str) -> Iterator[None]:
    """Raise `MissingExtra` if an import in the block finds no torch or transformers.

    `purpose` is what needs them: "the judge", the beginning of the message.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{purpose} needs {error.name}: pip install 'memkit-llm[hf]'") from error


class IncompleteCopyWarning(UserWarning):
    """The file is a copy of an open memory, and the newest turns may be missing in it."""
