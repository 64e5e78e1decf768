"""Audits of a card: does a memory break its promises, or does a score come from a leak?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from scipy.stats import binomtest

from evals.card.audit import leakage
from evals.card.records import Audit, Record
from evals.data.haystack import DataSet

VIOLATIONS: Mapping[str, str] = {  # key of `Record.audit` -> name of the audit
    "from the future": "temporal: nothing from the future of a question",
    "forgotten": "deletion: nothing that was forgotten",
    "answer leaked": "answer leaked: no answer in what was never said",
}
CLOSED_BOOK = 0.1  # share of right answers without a memory that suggests a model knows the test


def audits(
    records: Sequence[Record],
    data: Mapping[str, DataSet],
    *,
    train: Mapping[str, str] | None = None,
) -> list[Audit]:
    """Return every audit of a card: of each data set, then of each system on it.

    `train` has the texts by id that a system or model was trained or tuned on, if they are known.
    """
    results: list[Audit] = []
    for name, data_set in data.items():
        results += [*leakage.audits(name, data_set, train), evidence_in_time(name, data_set)]
    return [*results, *leakage.apart(data), *violations(records), *closed_book(records)]


def violations(records: Sequence[Record]) -> list[Audit]:
    """Return one audit per data set, system and kind of violation; a single violation fails it.

    Only records that report the kind are checked; a system that reports none has no audit.
    """
    counts_of = defaultdict(list)
    for record in records:
        for kind, count in record.audit.items():
            counts_of[record.data, record.system, kind].append(count)
    results = []
    for (data, system, kind), counts in sorted(counts_of.items()):
        bad = sum(count > 0 for count in counts)
        results.append(
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
    return results


def closed_book(records: Sequence[Record]) -> list[Audit]:
    """Return the audit of whether the model knows the test: right answers without any memory.

    Records of answerable questions in the parametric regime count. The audit fails if the whole
    95 % interval (Wilson's) is above the share of right answers that guessing may reach.
    Source: Zhang et al. 2025, 4.1.2: the zero-injection baseline.
    """
    scores_of = defaultdict(list)
    for record in records:
        if record.regime == "parametric" and record.answerable and "contains" in record.scores:
            scores_of[record.data, record.system].append(record.scores["contains"])
    results = []
    for (data, system), scores in sorted(scores_of.items()):
        right = sum(score >= 1 for score in scores)
        interval = binomtest(right, len(scores)).proportion_ci(method="wilson")
        results.append(
            Audit(
                name="closed book: the model does not know the answers",
                data=data,
                system=system,
                checked=len(scores),
                violations=right,
                threshold=CLOSED_BOOK,
                passed=bool(interval.low <= CLOSED_BOOK),
                note=f"{right / len(scores):.1%} right without a memory (contains), "
                f"{interval.low:.1%} to {interval.high:.1%}",
            )
        )
    return results


def evidence_in_time(data: str, data_set: DataSet) -> Audit:
    """Return the audit of the data itself: no evidence is later than its question.

    Checked are the questions with evidence and a time: a date, or a position among the turns.
    Source: Zhang et al. 2025, 4.1.2 (temporal governance) and table 4.3.
    """
    timed = []
    for haystack in data_set.haystacks:
        for question in haystack.questions:
            gold = {turn for gold in question.golds.values() for turn in gold.turns}
            asked_at, after = question.asked_at, question.after
            if gold and (asked_at or after is not None):
                is_late = any(
                    (after is not None and n >= after)
                    or bool(asked_at and turn.said_at and turn.said_at > asked_at)
                    for n, turn in enumerate(haystack.turns)
                    if turn.id in gold
                )
                timed.append((question.id, is_late))
    late = [id for id, is_late in timed if is_late]
    note = "" if timed else "no question of this data set has a time and evidence"
    if late:
        note = f"said after it was asked: {', '.join(late[:5])}{' …' if len(late) > 5 else ''}"
    return Audit(
        name="temporal: evidence before its question",
        data=data,
        system="",
        checked=len(timed),
        violations=len(late),
        passed=not late,
        note=note,
    )
