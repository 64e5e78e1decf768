"""Words that are trusted less than others: what they may change, and how they are labelled."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from memkit.errors import InvalidInput
from memkit.records import ORIGINS, ROLES, Turn
from memkit.retrieval.recall import RecallResult

Sources = AbstractSet[str]  # values of `Turn.source`


def check_sources(sources: Iterable[str]) -> frozenset[str]:
    """Return sources as a set; raise InvalidInput if there is no such source."""
    known = (*ROLES, *ORIGINS)
    names = [sources] if isinstance(sources, str) else list(sources)
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"no source {unknown[0]!r}; sources are {', '.join(known)}")
    return frozenset(names)


def is_trusted(turn: Turn, untrusted: Sources) -> bool:
    """Return whether a turn's words are trusted."""
    return turn.source not in untrusted


def label(result: RecallResult, untrusted: Sources) -> RecallResult:
    """Return what was recalled with `trusted=False` in the hits of sources that are not trusted."""
    if not untrusted:
        return result
    hits = [
        (chunk_id, replace(hit, trusted=hit.source not in untrusted))
        for chunk_id, hit in result.chunk_hits
    ]
    return replace(result, chunk_hits=hits)
