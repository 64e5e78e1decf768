"""Is a memory broken, or does it cheat? What its records and its data tell of that."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from evals.card.audit import leakage, temporal
from evals.card.records import Audit, Record
from evals.data.haystack import DataSet

VIOLATIONS: Mapping[str, str] = {
    "from the future": "temporal: nothing from the future of a question",
    "forgotten": "deletion: nothing that was forgotten",
    "answer leaked": "answer leaked: no answer in what was never said",
}
CLOSED_BOOK = 0.1  # share right without any memory from which on the model may know the text


def audits(
    records: Sequence[Record],
    data: Mapping[str, DataSet],
    *,
    train: Mapping[str, str] | None = None,
) -> list[Audit]:
    """Return every audit of a card: of each data set, then of each system on it.

    Args:
        records: all of them.
        data: the data sets by their names in the card, as they were asked.
        train: texts by id that a system or model was made from, where they are known.
    """
    found = []
    for name, read in data.items():
        found += leakage.audits(name, read, train)
        found.append(temporal.evidence(name, read))
    found += leakage.apart(data)
    return [*found, *violations(records), *closed_book(records)]


def violations(records: Sequence[Record]) -> list[Audit]:
    """Return one audit per data set, system and kind of violation: any of them fails.

    Checked are the questions whose record tells; nothing is said of a system that never tells.
    """
    told = defaultdict(list)
    for one in records:
        for kind, count in one.audit.items():
            told[one.data, one.system, kind].append(count)
    found = []
    for (data, system, kind), counts in sorted(told.items()):
        bad = sum(count > 0 for count in counts)
        found.append(
            Audit(
                name=VIOLATIONS.get(kind, kind),
                data=data,
                system=system,
                checked=len(counts),
                violations=bad,
                passed=not bad,
                note=f"{sum(counts)} pieces in {bad} answers" if bad else "",
            )
        )
    return found


def closed_book(
    records: Sequence[Record], *, metric: str = "contains", threshold: float = CLOSED_BOOK
) -> list[Audit]:
    """Return the audit of whether the model knows the test: right answers without any memory.

    Args:
        records: those in the parametric regime count, of answerable questions with that score.
        metric: 1 where a reply is right, 0 where it is not.
        threshold: share of right answers above 0, for a guess can be right. The audit fails where
            the whole 95 % interval (Wilson's) lies above it.

    Source: Zhang et al. 2025, 4.1.2: the zero-injection baseline.
    """
    from scipy.stats import binomtest

    scores = defaultdict(list)
    for one in records:
        if one.regime == "parametric" and one.answerable and metric in one.scores:
            scores[one.data, one.system].append(one.scores[metric])
    found = []
    for (data, system), theirs in sorted(scores.items()):
        right = sum(score >= 1 for score in theirs)
        interval = binomtest(right, len(theirs)).proportion_ci(method="wilson")
        found.append(
            Audit(
                name="closed book: the model does not know the answers",
                data=data,
                system=system,
                checked=len(theirs),
                violations=right,
                threshold=threshold,
                passed=bool(interval.low <= threshold),
                note=f"{right / len(theirs):.1%} right without a memory ({metric}), "
                f"{interval.low:.1%} to {interval.high:.1%}",
            )
        )
    return found
