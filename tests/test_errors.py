"""What errors promise: one base class, a typed kind, numbers and the next step, and they pickle."""

import inspect
import pickle

import pytest

from memkit import errors
from memkit.errors import (
    AmbiguousDates,
    AmbiguousId,
    ArchiveTooLarge,
    BudgetExceeded,
    DamagedRow,
    EmbeddingMismatch,
    InvalidInput,
    MemkitError,
    MessageBlocked,
    MessagesRejected,
    MissingExtra,
    NewerExport,
    ScopeRequired,
    StepRefused,
    TurnConflict,
    UnknownFormat,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == "memkit.errors" and not issubclass(kind, Warning)
]
_OWN: list[MemkitError] = [  # errors with arguments of their own
    TurnConflict("D1:3"),
    AmbiguousId("a", ("ab", "ac")),
    MessagesRejected({2: "unknown role 'robot'"}, ["a", "b"]),
    MessageBlocked("text", (("card_number", 3, 22),)),
    BudgetExceeded(120, 100),
    EmbeddingMismatch("mini (1)", "large (2)", "ann.db"),
    NewerExport(3, 2),
    DamagedRow("turn 'D1:3' of 'ann'", "no ISO time", "forget it"),
    UnknownFormat("chat.bin", ("jsonl", "locomo")),
    AmbiguousDates("chat.txt", "3/4/20"),
    ArchiveTooLarge("chat.zip", 2**33),
    StepRefused(["kept 1.000 → 0.500"]),
]
MADE = [*_OWN, *(kind("what happened") for kind in KINDS if kind not in set(map(type, _OWN)))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_memkit_error_and_in_the_drawn_tree(kind: type[MemkitError]) -> None:
    assert issubclass(kind, MemkitError)
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling(error: MemkitError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_wrong_arguments_are_value_errors_too() -> None:
    for kind in KINDS:
        assert issubclass(kind, ValueError) == issubclass(kind, InvalidInput)
    assert issubclass(ScopeRequired, TypeError)
    assert issubclass(MissingExtra, ImportError)


def test_messages_carry_the_numbers_and_the_next_step() -> None:
    assert "'D1:3'" in str(TurnConflict("D1:3"))
    assert "several ids: ab, ac; type more" in str(AmbiguousId("a", ("ab", "ac")))
    rejected = str(MessagesRejected({2: "unknown role 'robot'"}, ["a", "b"]))
    assert rejected.startswith("message 2: unknown role 'robot'")
    assert "the other 2 are stored" in rejected
    assert "raise budget_tokens to at least 120" in str(BudgetExceeded(120, 100))
    assert "memkit reembed --store ann.db" in str(EmbeddingMismatch("a", "b", "ann.db"))
