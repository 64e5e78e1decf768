"""Outcomes and figures as lines of a result file, and outcomes back again.

No text of the data is among them: only ids, places and scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evals.data.haystack import PUBLISHED
from evals.metrics.retrieval import Found
from evals.retrieval.figures import Figure
from evals.retrieval.run import Outcome

_OF_QUESTION = ("question", "haystack", "split", "group", "answerable")
_DIGITS = 6  # of a figure


def questions(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return a line per question: where each system had its gold, and what else was kept.

    A gold that has the same places as the published one in a system is left out there.
    """
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for one in outcomes:
        fields = asdict(one)
        line = {name: fields.pop(name) for name in _OF_QUESTION}
        found = fields["found"]
        fields["found"] = {
            whose: places
            for whose, places in found.items()
            if whose == PUBLISHED or places != found[PUBLISHED]
        }
        question = kept.setdefault((one.haystack, one.question), {**line, "systems": {}})
        question["systems"][fields.pop("system")] = fields
    return list(kept.values())


def outcomes(lines: Sequence[Mapping[str, Any]], golds: Sequence[str]) -> list[Outcome]:
    """Return the outcomes that lines read from a result file hold, to compute anything anew.

    Args:
        lines: of one data set.
        golds: whose gold there is; the setting `golds` of its results.
    """
    found = []
    for line in lines:
        of = {name: line[name] for name in _OF_QUESTION}
        for system, kept in line["systems"].items():
            places = {
                whose: _found(kept["found"].get(whose, kept["found"][PUBLISHED])) for whose in golds
            }
            packed = _by_budget(kept["packed"])
            found.append(
                Outcome(**of, **{**kept, "system": system, "found": places, "packed": packed})
            )
    return found


def _found(kept: Mapping[str, Any]) -> Found:
    return Found(
        turns=tuple(kept["turns"]),
        sessions=tuple(kept["sessions"]),
        served=tuple(kept["served"]),
        packed=_by_budget(kept["packed"]),
    )


def _by_budget(kept: Mapping[str, int]) -> dict[int, int]:
    return {int(budget): n for budget, n in kept.items()}  # JSON has no other keys than strings


def figures(computed: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return a line per gold, group and system: metric -> [mean, low, high, n]."""
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in computed:
        line = kept.setdefault(
            (one.gold, one.group, one.system),
            {"gold": one.gold, "group": one.group, "system": one.system, "metrics": {}},
        )
        of = one.interval
        bounds = [None if x is None else round(x, _DIGITS) for x in (of.value, of.low, of.high)]
        line["metrics"][one.metric] = [*bounds, of.n]
    return list(kept.values())
