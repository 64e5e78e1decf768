"""Compare two configurations of a memory by its probes: a new thinker, other settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memkit.govern import probes
from memkit.govern.policy import Policy, Scores
from memkit.protocols import Backend
from memkit.records import Hit, Scope

Recall = Callable[[str], Sequence[Hit]]  # a question in, at least ten hits out, the best first


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The scores of two configurations, and one sentence per threshold that the second misses."""

    current: Scores
    candidate: Scores
    breaches: tuple[str, ...]

    @property
    def is_admitted(self) -> bool:
        """Return whether the candidate does no harm by the policy."""
        return not self.breaches


def compare(
    store: Backend, user_id: str, current: Recall, candidate: Recall, policy: Policy | None = None
) -> Comparison:
    """Ask a user's probes of two configurations.

    `store` is the one with the user's turns, from which the questions are derived. The candidate
    has to know the turns under the same ids.

    Cost: two calls of `recall` per probe.
    """
    policy = policy or Policy.load()
    suite = probes.read_suite(store, Scope(user_id=user_id), policy.probes)
    before, after = (_measure(suite, recall) for recall in (current, candidate))
    return Comparison(
        current=before, candidate=after, breaches=tuple(policy.find_breaches(before, after))
    )


def _measure(suite: probes.Suite, recall: Recall) -> Scores:
    answers = {}
    for probe in probes.distinct(suite):
        hits = recall(probe.text)[: probes.HITS]
        answers[probe] = probe.is_answered({hit.turn_ids[0]: hit.text for hit in hits})
    return probes.score(suite, answers)
