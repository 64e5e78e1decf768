"""Compare two cards: the differences from A to B, and whether B may replace A.

Differences of data, questions and settings are reported, and no drop is checked across them: such a
threshold is not met. A bound on a figure of B does not depend on A.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evals.card.audit import differences
from evals.card.audit.differences import Place
from evals.card.audit.thresholds import Cards, Check, Difference, Key, Registration, Systems, check
from evals.card.records import Card, Compared
from evals.stats.testing import magnitude

_LEVEL = 0.05  # significance level of the differences that are printed
_MOST = 20  # mismatches that are printed
_COLOURS = {"passed": "green", "failed": "red", "not run": "yellow"}
_SAME = ("format", "sha256", "golds", "notes")  # of a data set; notes have hashes of further files
_DECIDING = ("budget", "embedder", "prompt_sha256", "model")  # settings that scores depend on
_JUDGED = ("judge", "judge_prompt_sha256")  # settings that verdicts depend on
_SAMPLES = ("model.questions", "model.recall")  # settings of which replies exist


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The checks of card B, and every paired difference B − A."""

    checks: Sequence[Check]
    differences: Sequence[Compared]  # corrected by Holm within each data set and regime
    mismatches: Sequence[str]  # properties that differ between the cards
    registered: str  # file and hash of the thresholds; "" without any

    @property
    def passed(self) -> bool:
        """Return whether all checks passed."""
        return all(check.passed for check in self.checks)


def compare_cards(
    a: Card, b: Card, thresholds: Registration | None = None, *, seed: int = 0
) -> Verdict:
    """Compare card B with card A on the same questions, and check the thresholds on B.

    An absolute bound (min, max) is checked on the figure of B. max_drop is a test of
    non-inferiority: the 95 % interval of B − A has to end on the good side of it. With fewer than
    five conversations it is not run, because few may agree by chance. All checks have to pass, so
    they need no correction (Berger 1982); the differences are corrected by Holm.
    """
    data, settings = _data_mismatches(a, b), _setting_mismatches(a, b)
    summaries = [
        f"card {name} was written without records; pass the card.json of the run"
        for name, card in (("A", a), ("B", b))
        if card.figures and not card.records
    ]
    before, after = differences.by_place(a.records), differences.by_place(b.records)
    cards = Cards(
        a=a,
        b=b,
        before=before,
        after=after,
        differences=_differences(before, after, data, seed),
        unlike=_question_mismatches(before, after, data),
        apart="; ".join([*summaries, *_select(_DECIDING, settings)]),
        rejudged="; ".join(_select(_JUDGED, settings)),
    )
    registered = thresholds.thresholds if thresholds else ()
    mismatches = [*summaries, *settings.values(), *data.values()]
    if not summaries:
        mismatches += [
            f"{name}, {regime}, {system}: {why}"
            for ((name, regime), system), why in cards.unlike.items()
            if name not in data  # reported once for the data set
        ]
    return Verdict(
        checks=[result for threshold in registered for result in check(threshold, cards)],
        differences=[difference.compared for difference in cards.differences.values()],
        mismatches=mismatches,
        registered=f"{thresholds.file} (sha256 {thresholds.sha256[:12]})" if thresholds else "",
    )


def _setting_mismatches(a: Card, b: Card) -> dict[str, str]:
    """Return the settings that differ, by name; a setting that a card lacks is None."""
    before, after = _flatten(a.config), _flatten(b.config)
    return {
        key: f"config: {key} is {before.get(key)!r} in A and {after.get(key)!r} in B"
        for key in sorted((before.keys() | after.keys()) - {"name", "data"})
        if before.get(key) != after.get(key)
    }


def _flatten(config: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in config.items():
        inner = value if key in ("model", "judge") and isinstance(value, Mapping) else None
        flat |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return flat


def _select(keys: Sequence[str], settings: Mapping[str, str]) -> list[str]:
    chosen = (key for key in settings if key.partition(".")[0] in keys and key not in _SAMPLES)
    return [settings[key] for key in chosen]


def _data_mismatches(a: Card, b: Card) -> dict[str, str]:
    before, after = ({str(row.get("name")): row for row in card.data} for card in (a, b))
    mismatches = {
        name: f"data {name} is in card {'A' if name in before else 'B'} only"
        for name in sorted(before.keys() ^ after.keys())
    }
    for name in sorted(before.keys() & after.keys()):
        for key in _SAME:
            old, new = before[name].get(key), after[name].get(key)
            if old != new:
                text = f"data {name}: {key} is {old!r} in A and {new!r} in B"
                mismatches.setdefault(name, text)
    return mismatches


def _question_mismatches(
    before: Systems, after: Systems, data: Mapping[str, str]
) -> dict[tuple[Place, str], str]:
    """Return where the two cards did not ask a system the same questions, and why."""
    mismatches = {}
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place, {}), after.get(place, {})
        for system in dict.fromkeys((*old, *new)):
            a, b = (
                {differences.key(record) for record in side.get(system, ()) if not record.probe}
                for side in (old, new)
            )
            counts = f"{len(a - b)} only in A, {len(b - a)} only in B, {len(a & b)} in both"
            if place[0] in data:
                mismatches[place, system] = data[place[0]]
            elif a != b:
                mismatches[place, system] = f"other questions were asked: {counts}"
    return mismatches


def _differences(
    before: Systems, after: Systems, data: Mapping[str, str], seed: int
) -> dict[Key, Difference]:
    results: dict[Key, Difference] = {}
    common = (
        (place, system, old, after[place][system])
        for place, systems in before.items()
        for system, old in systems.items()
        if place[0] not in data and system in after.get(place, {})
    )
    for place, system, old, new in common:
        for metric in dict.fromkeys(name for record in new for name in record.scores):
            pairs = differences.pair(new, old, metric)
            if len(pairs.scores):
                results[metric, place, system] = Difference(
                    compared=differences.difference(
                        pairs, metric, place, names=(f"{system}, B", f"{system}, A"), seed=seed
                    ),
                    alone=pairs.alone,
                    tasks=len(set(pairs.clusters)),
                )
    corrected = differences.correct([result.compared for result in results.values()])
    return {
        key: result._replace(compared=compared)
        for (key, result), compared in zip(results.items(), corrected, strict=True)
    }


# ---- printing


def show(verdict: Verdict, console: Console) -> None:
    """Print the checks, the significant differences, and what does not compare."""
    if verdict.checks:
        table = Table("threshold", "data", "regime", "state", "why", title="Thresholds")
        for result in verdict.checks:
            optional = ", optional" if result.state == "not run" and result.optional else ""
            state = f"[{_COLOURS[result.state]}]{result.state}{optional}[/]"
            cells = map(escape, (result.label, result.data, result.regime))
            table.add_row(*cells, state, escape(result.reason))
        console.print(table)
    significant = [
        row for row in verdict.differences if row.p_holm is not None and row.p_holm < _LEVEL
    ]
    if significant:
        console.print(_difference_table(significant))
    insignificant = len(verdict.differences) - len(significant)
    console.print(
        f"{insignificant} paired differences B − A with Holm p ≥ {_LEVEL} or too few to test"
    )
    for line in verdict.mismatches[:_MOST]:
        console.print(f"[yellow]not the same:[/] {escape(line)}")
    if len(verdict.mismatches) > _MOST:
        console.print(f"[yellow]and {len(verdict.mismatches) - _MOST} more[/]")
    if verdict.registered:
        word = "[green]passed[/]" if verdict.passed else "[red]failed[/]"
        console.print(f"Card B {word} against {escape(verdict.registered)}")


def _difference_table(significant: Sequence[Compared]) -> Table:
    columns = ("metric", "data", "regime", "system", "B − A", "95 %", "Holm p", "effect", "n")
    table = Table(*columns, title="Differences that are more than chance")
    for row in sorted(significant, key=lambda row: (row.p_holm or 0, -abs(row.difference))):
        has_interval = row.low is not None and row.high is not None
        interval = f"{row.low:+.3f} … {row.high:+.3f}" if has_interval else ""
        effect = "" if row.effect is None else f"{row.effect:+.2f} {magnitude(row.effect)}"
        words = (row.metric, row.data, row.regime, row.ours.removesuffix(", B"))
        figures = (f"{row.difference:+.3f}", interval, f"{row.p_holm:.4f}", effect, str(row.n))
        table.add_row(*map(escape, words), *figures)
    return table
