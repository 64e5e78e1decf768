"""Two cards: what changed from A to B, and whether B may take A's place.

What is not the same in both (data, questions, settings) is said, and no drop is checked across it:
that threshold is not reached. A bound on B's own figure rests on nothing of A.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evals.card.audit.checks import Cards, Check, Difference, Key, Sides, Where, checks
from evals.card.audit.thresholds import Registered
from evals.card.records import Card, Compared, Figure, Record
from evals.stats import testing
from memkit.errors import InvalidInput

_LEVEL = 0.05  # of significance, for what is printed
_MOST = 20  # mismatches printed in full
_COLOURS = {"passed": "green", "failed": "red", "not run": "yellow"}
_SAME = ("format", "sha256", "golds", "notes")  # of a data set; notes have further files' hashes
_DECIDE = ("budget", "embedder", "prompt_sha256", "model")  # what a score rests on, of a config
_JUDGED = ("judge", "judge_prompt_sha256")
_SAMPLES = ("model.questions", "model.recall")  # which replies there are, and not what they are

Json = Mapping[str, Any]
Made = TypeVar("Made", Record, Figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether card B holds what was registered, and every paired difference B − A."""

    checks: Sequence[Check]
    differences: Sequence[Compared]  # corrected by Holm within each data set and regime
    mismatches: Sequence[str]  # what is not the same in both cards
    registered: str  # file and hash of the thresholds; "" without any

    @property
    def passed(self) -> bool:
        """Return whether all checks passed."""
        return all(check.passed for check in self.checks)


def compare_cards(
    a: Card | Json, b: Card | Json, thresholds: Registered | None = None, *, seed: int = 0
) -> Verdict:
    """Compare card B with card A on the same questions, and hold B to the thresholds.

    An absolute bound (min, max) is held against B's figure. max_drop is a test of
    non-inferiority: the 95 % interval of B − A has to end on the good side of it, and where there
    are fewer than five conversations it is not run: few may agree by chance. All checks have
    to pass, which asks for no correction (Berger 1982); the differences that are shown are
    corrected by Holm.

    Args:
        a: the earlier card, or its JSON: `dataclasses.asdict` of it.
        b: the later one.
        thresholds: what `thresholds.read` returned; None: only the differences are wanted.
        seed: of what is drawn.

    Raises:
        InvalidInput: one of them is no card of this version.
    """
    one, other = _json(a), _json(b)
    cards = _cards(one, other, seed)
    other_data, bare = _other_data(one, other), _bare(one, other)
    held = thresholds.thresholds if thresholds else ()
    return Verdict(
        checks=[check for threshold in held for check in checks(threshold, cards)],
        differences=[difference.found for difference in cards.differences.values()],
        mismatches=[
            *bare,
            *_other_settings(one, other).values(),
            *other_data.values(),
            *(() if bare else _places(cards, other_data)),
        ],
        registered=f"{thresholds.file} (sha256 {thresholds.sha256[:12]})" if thresholds else "",
    )


def _cards(a: Json, b: Json, seed: int) -> Cards:
    """Return what checks need of the two."""
    before, after = (
        testing.sides(_made(Record, card, "records", name)) for card, name in ((a, "A"), (b, "B"))
    )
    figures = {name: _made(Figure, card, "figures", name) for card, name in ((a, "A"), (b, "B"))}
    other_data, settings = _other_data(a, b), _other_settings(a, b)
    return Cards(
        figures=figures,
        before=before,
        after=after,
        differences=_differences(before, after, other_data, seed),
        unlike=_unlike(before, after, other_data),
        apart="; ".join([*_bare(a, b), *_of(_DECIDE, settings)]),
        rejudged="; ".join(_of(_JUDGED, settings)),
    )


# ---- reading


def _json(card: Card | Json) -> Json:
    """Return a card's parts by name, as its JSON has them."""
    if not isinstance(card, Card):
        return card
    return {name: getattr(card, name) for name in ("config", "data", "figures", "records")}


def _made(kind: type[Made], card: Json, part: str, name: str) -> list[Made]:
    """Return a card's records or figures."""
    try:
        return [one if isinstance(one, kind) else kind(**one) for one in card[part]]
    except (KeyError, TypeError) as error:
        raise InvalidInput(
            f"card {name} has no {part} as this version writes them ({error}); make it again"
        ) from error


# ---- what is not the same


def _bare(a: Json, b: Json) -> list[str]:
    """Return which cards were written as summaries: figures, and no records to pair."""
    return [
        f"card {name} was written without records; pass the card.json of the run"
        for name, card in (("A", a), ("B", b))
        if card["figures"] and not card["records"]
    ]


def _other_settings(a: Json, b: Json) -> dict[str, str]:
    """Return the settings that are not the same, by name; one that a card has not is None."""
    one, other = (_flat(card.get("config", {})) for card in (a, b))
    return {
        key: f"config: {key} is {one.get(key)!r} in A and {other.get(key)!r} in B"
        for key in sorted((one.keys() | other.keys()) - {"name", "data"})
        if one.get(key) != other.get(key)
    }


def _flat(config: Json) -> dict[str, object]:
    """Return settings with those of the model and the judge as "model.window"."""
    found: dict[str, object] = {}
    for key, value in config.items():
        inner = value if key in ("model", "judge") and isinstance(value, Mapping) else None
        found |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return found


def _of(keys: Sequence[str], settings: Mapping[str, str]) -> list[str]:
    decide = (key for key in settings if key.partition(".")[0] in keys and key not in _SAMPLES)
    return [settings[key] for key in decide]


def _other_data(a: Json, b: Json) -> dict[str, str]:
    """Return the data sets that are not the same, and in what first."""
    one, other = ({str(read.get("name")): read for read in card.get("data", ())} for card in (a, b))
    found = {}
    for name in sorted(one.keys() ^ other.keys()):
        found[name] = f"data {name} is in card {'A' if name in one else 'B'} only"
    for name in sorted(one.keys() & other.keys()):
        for key in _SAME:
            was, now = one[name].get(key), other[name].get(key)
            if was != now:
                found.setdefault(name, f"data {name}: {key} is {was!r} in A and {now!r} in B")
    return found


def _unlike(
    before: Sides, after: Sides, other_data: Mapping[str, str]
) -> dict[tuple[Where, str], str]:
    """Return where the two cards did not ask a system the same questions, and why."""
    found = {}
    for where in [*before, *(one for one in after if one not in before)]:
        mine, theirs = before.get(where, {}), after.get(where, {})
        for system in [*mine, *(one for one in theirs if one not in mine)]:
            if why := other_data.get(where[0]):
                found[where, system] = why
                continue
            a, b = _asked(mine.get(system, ())), _asked(theirs.get(system, ()))
            if a != b:
                counts = f"{len(a - b)} only in A, {len(b - a)} only in B, {len(a & b)} in both"
                found[where, system] = f"other questions were asked: {counts}"
    return found


def _places(cards: Cards, other_data: Mapping[str, str]) -> Iterator[str]:
    for ((data, regime), system), why in cards.unlike.items():
        if data not in other_data:  # of those it is said once
            yield f"{data}, {regime}, {system}: {why}"


def _asked(records: Sequence[Record]) -> set[testing.Key]:
    return {(one.haystack, one.question, one.step) for one in records if not one.probe}


def _differences(
    before: Sides, after: Sides, other_data: Mapping[str, str], seed: int
) -> dict[Key, Difference]:
    """Return B − A for all that both have, on the questions that both were asked."""
    found, alone, tasks = {}, {}, {}
    for where in (one for one in before if one in after and one[0] not in other_data):
        data, regime = where
        for system in (one for one in before[where] if one in after[where]):
            mine, theirs = after[where][system], before[where][system]
            for metric in _metrics(mine):
                pairs = testing.pair(mine, theirs, metric)
                key: Key = metric, data, regime, system
                if len(pairs.ours):
                    alone[key], tasks[key] = pairs.alone, len(set(pairs.clusters))
                    found[key] = testing.tested(
                        pairs, metric=metric, data=data, regime=regime,
                        names=(f"{system}, B", f"{system}, A"), seed=seed,
                    )  # fmt: skip
    corrected = zip(found, testing.corrected(list(found.values())), strict=True)
    return {
        key: Difference(found=one, alone=alone[key], tasks=tasks[key]) for key, one in corrected
    }


def _metrics(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for one in records for name in one.scores))


# ---- printing


def show(verdict: Verdict, console: Console) -> None:
    """Print what was checked, what is significantly other, and what is not comparable."""
    if verdict.checks:
        console.print(_check_table(verdict))
    other = [one for one in verdict.differences if one.p_holm is not None and one.p_holm < _LEVEL]
    if other:
        console.print(_difference_table(other))
    rest = len(verdict.differences) - len(other)
    console.print(f"{rest} paired differences B − A with Holm p ≥ {_LEVEL} or too few to test")
    for line in verdict.mismatches[:_MOST]:
        console.print(f"[yellow]not the same:[/] {escape(line)}")
    if len(verdict.mismatches) > _MOST:
        console.print(f"[yellow]and {len(verdict.mismatches) - _MOST} more[/]")
    if verdict.registered:
        word = "[green]passed[/]" if verdict.passed else "[red]failed[/]"
        console.print(f"Card B {word} against {escape(verdict.registered)}")


def _check_table(verdict: Verdict) -> Table:
    table = Table("threshold", "data", "regime", "state", "why", title="Thresholds")
    for one in verdict.checks:
        cells = [escape(cell) for cell in (one.what, one.data, one.regime)]
        table.add_row(*cells, _state(one), escape(one.reason))
    return table


def _state(one: Check) -> str:
    told = f"{one.state}, optional" if one.state == "not run" and one.optional else one.state
    return f"[{_COLOURS[one.state]}]{told}[/]"


def _difference_table(other: Sequence[Compared]) -> Table:
    columns = ("metric", "data", "regime", "system", "B − A", "95 %", "Holm p", "effect", "n")
    table = Table(*columns, title="Differences that are more than chance")
    for one in sorted(other, key=lambda one: (one.p_holm or 0, -abs(one.difference))):
        interval = (
            "" if one.low is None or one.high is None else f"{one.low:+.3f} … {one.high:+.3f}"
        )
        effect = "" if one.effect is None else f"{one.effect:+.2f} {testing.magnitude(one.effect)}"
        words = (one.metric, one.data, one.regime, one.ours.removesuffix(", B"))
        figures = (f"{one.difference:+.3f}", interval, f"{one.p_holm:.4f}", effect, str(one.n))
        table.add_row(*map(escape, words), *figures)
    return table
