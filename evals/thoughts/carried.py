"""Which version of a pivot a turn or a thought carries, and what became of the current one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from evals.data.memorycode import Dialogue, Pivot, Version
from memkit import Thought
from memkit.records import Claim

Cause = Literal[
    "not extracted",
    "claimed, but rejected",  # its turn is not held to support it
    "closed by another",
    "other slot",
    "stale still open",
    "ranked below",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)
_KINDS: Mapping[str, re.Pattern[str]] = {
    "function argument": re.compile(r"\b(?:argument|parameter)s?\b", re.IGNORECASE),
    "function": re.compile(r"\bfunctions?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "method": re.compile(r"\bmethods?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "attribute": re.compile(r"\battributes?\b", re.IGNORECASE),
    "variable": re.compile(r"\bvariables?\b", re.IGNORECASE),
    "class": re.compile(r"\bclass(?:es)?\b(?! attribute)", re.IGNORECASE),
}

Said = tuple[str, Sequence[str]]  # a text, and the turns it comes from


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a ranking first has a pivot's current version, and where a stale one; from 1."""

    current: int | None
    stale: int | None

    @property
    def current_first(self) -> bool:
        """Return whether the current version was found, above every stale one."""
        return self.current is not None and (self.stale is None or self.current < self.stale)

    @property
    def stale_first(self) -> bool:
        """Return whether a stale version is the first of the pivot's."""
        return self.stale is not None and (self.current is None or self.stale < self.current)


class Carriers:
    """Tells which version a text of a dialogue carries: its literal value, from its session.

    A thought that names kinds of things, and not the pivot's, is about another pivot.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._session = {turn.id or "": turn.session_id or "" for turn in dialogue.turns}

    def turn(self, version: Version, said: Said, pivot: Pivot) -> bool:  # noqa: ARG002
        """Return whether a turn carries a version."""
        text, turns = said
        here = any(self._session[turn] in version.sessions for turn in turns)
        return here and version.pattern.search(text) is not None

    def thought(self, version: Version, said: Said, pivot: Pivot) -> bool:
        """Return whether a thought carries a version."""
        named = [kind for kind, pattern in _KINDS.items() if pattern.search(said[0])]
        other = pivot.what in _KINDS and named and pivot.what not in named
        return not other and self.turn(version, said, pivot)


def places(
    ranking: Iterable[Said], pivot: Pivot, carries: Callable[[Version, Said, Pivot], bool]
) -> Places:
    """Return where a ranking first has the current version, and a stale one."""
    current = stale = None
    for n, said in enumerate(ranking, start=1):
        if carries(pivot.current, said, pivot):
            current = current or n
        elif any(carries(version, said, pivot) for version in pivot.stale):
            stale = stale or n
    return Places(current=current, stale=stale)


def cause(
    thoughts: Iterable[Thought],
    holding: set[str],
    pivot: Pivot,
    of: Carriers,
    claims: Iterable[Claim] = (),
) -> Cause:
    """Return why a pivot failed: the first of `CAUSES` that applies to what was concluded.

    Args:
        thoughts: all that there ever were.
        holding: ids of those that hold.
        pivot: which one.
        of: of its dialogue.
        claims: what was claimed of its dialogue, whether or not it became a thought.
    """
    told = [(one, (one.text, one.turn_ids)) for one in thoughts]
    new = [one for one, said in told if of.thought(pivot.current, said, pivot)]
    old = [
        one
        for one, said in told
        if one not in new and any(of.thought(version, said, pivot) for version in pivot.stale)
    ]
    if not new:
        claimed = [(one.text, [one.source.turn_id]) for one in claims]
        rejected = any(of.thought(pivot.current, said, pivot) for said in claimed)
        return "claimed, but rejected" if rejected else "not extracted"
    if not any(one.id in holding for one in new):
        return "closed by another"
    still = [one for one in old if one.id in holding]
    slots = {one.slot for one in new}
    if any(one.slot is None or one.slot not in slots for one in still):
        return "other slot"
    return "stale still open" if still else "ranked below"
