"""The version of a MemoryCode pivot that a turn or a statement gives."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.data.haystack import VersionName
from evals.data.memorycode import Pivot, Version

# The kinds of names that a statement is about: "function arguments end with _x" is about arguments.
_KINDS: Mapping[str, re.Pattern[str]] = {
    "function argument": re.compile(r"\b(?:argument|parameter)s?\b", re.IGNORECASE),
    "function": re.compile(r"\bfunctions?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "method": re.compile(r"\bmethods?\b(?! (?:argument|parameter))", re.IGNORECASE),
    "attribute": re.compile(r"\battributes?\b", re.IGNORECASE),
    "variable": re.compile(r"\bvariables?\b", re.IGNORECASE),
    "class": re.compile(r"\bclass(?:es)?\b(?! attribute)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PivotVersions:
    """Recognises the versions of a pivot: by the literal value, from a session that set it."""

    pivot: Pivot
    session_of: Mapping[str, str]  # by turn id

    def gives(self, version: Version, text: str, turn_ids: Sequence[str]) -> bool:
        """Return whether a text from these turns gives a version."""
        in_session = any(self.session_of[turn] in version.sessions for turn in turn_ids)
        return in_session and version.pattern.search(text) is not None

    def of_statement(self, text: str, turn_ids: Sequence[str]) -> VersionName | None:
        """Return the version that a derived statement gives; the current one if it gives both.

        A statement that names kinds of names, but not the pivot's, is about another pivot.
        """
        kinds = [kind for kind, pattern in _KINDS.items() if pattern.search(text)]
        if self.pivot.what in _KINDS and kinds and self.pivot.what not in kinds:
            return None
        if self.gives(self.pivot.current, text, turn_ids):
            return "current"
        stale = any(self.gives(version, text, turn_ids) for version in self.pivot.stale)
        return "stale" if stale else None
