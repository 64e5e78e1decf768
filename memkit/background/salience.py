"""Choose the thoughts that say the most in few tokens, for a summary of what holds.

The method is SumBasic's (Nenkova and Vanderwende, 2005): words that recur matter, and a word counts
little once the summary has it. A user's recurring words are the people and things they talk about.
The constants were chosen on the tuning dialogues of `training/life`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from memkit.protocols import Counter as TokenCounter
from memkit.records import ClaimKind, Thought
from memkit.text.words import stem, words

_KIND_WEIGHTS: Mapping[ClaimKind, float] = {"fact": 1.0, "plan": 0.7, "state": 0.4}
_ASSISTANT_WEIGHT = 0.5  # of what an assistant said
DECAY = 0.985  # weight of a thought relative to the next newer one
_COVERED = 0.2  # weight of a word that the summary has already
_RARE = 0.1  # weight of a word that only one thought has; others add the logarithm of their number


def select_salient(
    thoughts: Sequence[Thought], count: TokenCounter, max_tokens: int, decay: float
) -> list[Thought]:
    """Return the thoughts with the most important words per token, the most important first.

    Doubted thoughts are left out, and those that do not fit into the rest of `max_tokens`. A
    thought weighs more with the thoughts that share its words, with each time it was said again,
    as a fact rather than a plan, and the newer it is; with a `decay` of 1 age does not matter.
    """
    content = {thought.id: frozenset(map(stem, words(thought.text))) for thought in thoughts}
    numbers = Counter(word for stems in content.values() for word in stems)
    believed = [thought for thought in thoughts if not thought.doubt]
    newest_first = sorted(believed, key=lambda thought: thought.repeated_at, reverse=True)
    costs = {thought.id: count(thought.text) + 1 for thought in believed}  # and its semicolon
    weights = {
        thought.id: _weight(thought) * decay**age / costs[thought.id]
        for age, thought in enumerate(newest_first)
    }
    selected: list[Thought] = []
    covered: set[str] = set()
    room = max_tokens - 1  # the full stop

    def salience(thought: Thought) -> float:
        return weights[thought.id] * _importance(content[thought.id], numbers, covered)

    while candidates := [
        thought for thought in newest_first if thought not in selected and costs[thought.id] <= room
    ]:
        best = max(candidates, key=salience)
        selected.append(best)
        covered |= content[best.id]
        room -= costs[best.id]
    return selected


def _weight(thought: Thought) -> float:
    by_role = 1.0 if thought.role == "user" else _ASSISTANT_WEIGHT
    return by_role * _KIND_WEIGHTS.get(thought.kind, 0.0) * (1 + math.log(max(thought.support, 1)))


def _importance(
    stems: AbstractSet[str], numbers: Mapping[str, int], covered: AbstractSet[str]
) -> float:
    """Return the weight of words by the number of thoughts that have them."""
    return sum(
        (_RARE + math.log(numbers[word])) * (_COVERED if word in covered else 1.0)
        for word in sorted(stems)  # a sum in one order is the same in every process
    )
