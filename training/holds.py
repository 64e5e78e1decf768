"""Weak labels from the dialogues with gold: which clauses hold, and which turns replace which."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.studies.holds import is_validation, read
from memkit.thoughts.clauses import clauses
from memkit.thoughts.learned import answered_question
from memkit.thoughts.network import CLAIM_KINDS, RELATIONS
from memkit.thoughts.reader import Excerpt, in_context, opening
from training.examples import UNKNOWN, ClaimExample, PairExample, Span

FILES = sorted((Path(__file__).parent / "holds").glob("*.jsonl"))
_ALL_HOLD = frozenset(("addition", "restatement", "temporary", "fact"))
_NONE, _FACT = CLAIM_KINDS.index("none"), CLAIM_KINDS.index("fact")
_KEEPS = RELATIONS.index("keeps")
_MOST_OLDER = 6  # clauses that are read with a newer turn

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Read:
    """A turn of a dialogue with gold, and which of its clauses a `now` pattern matches."""

    speaker: str
    text: str
    spans: tuple[Span, ...]
    hold: tuple[bool, ...]

    @classmethod
    def of(cls, dialogue: Turn, n: int) -> "_Read":
        turn = dialogue["turns"][n]
        text = turn["text"]
        spans = tuple(clauses(text))
        now = [item["must"] for item in dialogue["now"] if item["turn"] == n]
        hold = (any(_found(pattern, text[slice(*span)]) for pattern in now) for span in spans)
        return cls(turn["name"] or turn["role"], text, spans, tuple(hold))


def training_dialogues() -> list[dict[str, Any]]:
    """Return the dialogues that are not kept for validation."""
    return [dialogue for dialogue in read(FILES) if not is_validation(dialogue)]


def claim_examples(dialogue: dict[str, Any]) -> Iterator[ClaimExample]:
    """Yield the turns of a user with the labels that follow from the gold; most are unknown."""
    before = ""
    for n, turn in enumerate(dialogue["turns"]):
        read_turn = _Read.of(dialogue, n)
        changed = [earlier for later, earlier in dialogue["replaces"] if later == n]
        kinds = tuple(
            _claim_label(dialogue["kind"], read_turn.text[slice(*span)], holds)
            for span, holds in zip(read_turn.spans, read_turn.hold, strict=True)
        )
        if turn["role"] == "user" and set(kinds) - {UNKNOWN}:
            changes = tuple(int(holds and bool(changed)) for holds in read_turn.hold)
            yield ClaimExample(before, read_turn.text, read_turn.spans, kinds, changes)
        before = read_turn.text


def _claim_label(kind: str, clause: str, holds: bool) -> int:
    if kind == "nonfact" or clause.rstrip().endswith("?"):
        return _NONE if not holds else UNKNOWN
    return _FACT if holds else UNKNOWN


def pair_examples(dialogue: dict[str, Any]) -> Iterator[PairExample]:
    """Yield the pairs whose relation follows from the gold."""
    turns = [_Read.of(dialogue, n) for n in range(len(dialogue["turns"]))]
    for n, newer in enumerate(turns):
        if dialogue["turns"][n]["role"] != "user":
            continue
        changed = {earlier for later, earlier in dialogue["replaces"] if later == n}
        asked = answered_question(newer.text, turns[n - 1].text) if n else None
        prefix = opening(newer.speaker, asked)
        shift = len(prefix)
        spans = tuple((start + shift, end + shift) for start, end in newer.spans)
        older: list[tuple[Excerpt, tuple[int, ...]]] = []
        for earlier, turn in enumerate(turns[:n]):
            labels = _relation_labels(dialogue["kind"], newer.hold, changes=earlier in changed)
            spans_told = _telling_clauses(dialogue, earlier, turn)
            older += [(in_context(turn.speaker, turn.text, span), labels) for span in spans_told]
        if older:
            excerpts, relations = zip(*older[-_MOST_OLDER:], strict=True)
            yield PairExample(excerpts, prefix + newer.text, spans, relations)


def _relation_labels(kind: str, hold: Sequence[bool], *, changes: bool) -> tuple[int, ...]:
    if changes:
        relation = RELATIONS.index("ends" if kind == "negation" else "replaces")
        return tuple(relation if holds else UNKNOWN for holds in hold)
    if kind in _ALL_HOLD or not any(hold):
        is_repeated = kind == "restatement"
        return tuple(UNKNOWN if is_repeated and holds else _KEEPS for holds in hold)
    return (UNKNOWN,) * len(hold)


def _telling_clauses(dialogue: dict[str, Any], n: int, turn: _Read) -> list[Span]:
    """Return the clauses of a turn that hold, or the one that is replaced later."""
    telling = [
        span
        for span, holds in zip(turn.spans, turn.hold, strict=True)
        if holds and dialogue["kind"] in _ALL_HOLD
    ]
    patterns = " ".join(item["must_not"] for item in dialogue["gone"] if item["turn"] == n)
    words = {word.lower() for word in re.findall(r"[^\W\d_]{4,}|\d+", patterns)}
    if any(earlier == n for _, earlier in dialogue["replaces"]) and turn.spans:
        count = _counter(words)
        span = max(turn.spans, key=lambda span: count(turn.text[slice(*span)]))
        if count(turn.text[slice(*span)]):
            telling.append(span)
    return telling


def _counter(words: set[str]) -> Any:
    return lambda clause: sum(word in clause.lower() for word in words)


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
