"""Measure a new summary: whether it says what no longer holds, and how long it is.

No model is asked. A summary says a fact if it has most of the words that the fact alone has: those
of what replaced it, and of everything that holds, do not count. What it leaves out is not measured:
with 60 tokens a running summary of long talk keeps few words of its former version, and the turns
and thoughts stay.
"""

from collections.abc import Iterator, Sequence

from memkit.govern.policy import Score
from memkit.protocols import Backend
from memkit.records import Scope, Summary
from memkit.text.words import content, numbers

_MOST_ENDED = 64  # facts that no longer hold, the last ones
_SAID = 0.5  # share of a fact's own words
_Fact = tuple[frozenset[str], frozenset[str]]  # its own words, and those of what replaced it


def score_summaries(store: Backend, scope: Scope, summaries: Sequence[Summary]) -> dict[str, Score]:
    """Return the scores of new summaries by name.

    Cost: reads all thoughts that hold, and at most 64 that do not.
    """
    scores = {"tokens": Score(max(summary.tokens for summary in summaries), len(summaries))}
    if ended := list(_read_ended(store, scope)):
        texts = [_terms(summary.text) for summary in summaries]
        said = sum(any(_says(text, fact) for text in texts) for fact in ended)
        scores["current"] = Score(1 - said / len(ended), len(ended))
    return scores


def _read_ended(store: Backend, scope: Scope) -> Iterator[_Fact]:
    holds = frozenset().union(*(_terms(thought.text) for thought in store.thoughts(scope)))
    for older_text, newer_text in store.ended(scope, _MOST_ENDED):
        older, newer = _terms(older_text), _terms(newer_text)
        if own := older - newer - holds:
            yield own, newer - older


def _says(text: frozenset[str], fact: _Fact) -> bool:
    """Return whether a summary has the words of an ended fact and none of what replaced it."""
    own, newer = fact
    return len(own & text) >= _SAID * len(own) and not newer & text


def _terms(text: str) -> frozenset[str]:
    """Return the stems of the content words of a text, and its numbers."""
    return content(text) | numbers(text)
