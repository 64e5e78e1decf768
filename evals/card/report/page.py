"""A card as one HTML page: no script, no request, light and dark, for phones and desktops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from evals.card.records import Card, Funnel
from evals.card.report import formats, grids, lists, plots
from evals.card.report.grids import ALL, PREFERRED, Grid, Index
from evals.card.report.lists import Rows
from evals.card.report.plots import Plot
from evals.card.report.verdict import verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One data set in one regime."""

    regime: str
    headline: Grid
    forest: Sequence[Plot]
    more: Sequence[Grid]  # metrics × systems of each layer, then kinds × systems


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One data set."""

    name: str
    regimes: Sequence[Grid]
    parts: Sequence[Part]  # the first is open, the others are folded
    funnels: Sequence[tuple[str, Rows]]  # by system for each regime, then by kind of question
    compared: Rows


def page(card: Card) -> str:
    """Return a card as a self-contained page.

    All text of the card is escaped, in the plots too, and a content security policy forbids
    scripts and every request.
    """
    figures = grids.index(card)
    return _template().render(
        card=card,
        verdict=verdict(card, figures),
        glance=list(grids.glance(figures)),
        curves=list(plots.curves(card, figures.systems)),
        losses=list(plots.losses(card.funnels, figures.systems)),
        sections=[_section(card, figures, data) for data in figures.data],
        failed=lists.audits(audit for audit in card.audits if not audit.passed),
        passed=lists.audits(audit for audit in card.audits if audit.passed),
        not_run=lists.not_run(card),
        data=lists.data(card),
        glossary=lists.glossary(card),
        config=lists.config(card),
        command=lists.command(card),
    )


def _section(card: Card, figures: Index, data: str) -> Section:
    parts: list[Part] = []
    for regime in sorted(figures.regimes(data), key=PREFERRED.index):
        headline = grids.headline(figures, data, regime)
        parts.append(
            Part(
                regime=regime,
                headline=headline,
                forest=[] if parts else list(plots.forest(headline, figures.systems)),
                more=[*grids.layers(figures, data, regime), *grids.kinds(figures, data, regime)],
            )
        )
    return Section(
        name=data,
        regimes=list(grids.regimes(figures, data)),
        parts=parts,
        funnels=list(_funnels([funnel for funnel in card.funnels if funnel.data == data])),
        compared=lists.compared(lists.main_differences(card, data)),
    )


def _funnels(funnels: Sequence[Funnel]) -> Iterator[tuple[str, Rows]]:
    for (_, regime), overall in plots.by_place(funnels).items():
        yield f"{regime}, by system", lists.funnels(overall)
    by_kind: dict[tuple[str, str], list[Funnel]] = {}
    for funnel in funnels:
        if funnel.group != ALL:
            by_kind.setdefault((funnel.regime, funnel.system), []).append(funnel)
    for (regime, system), of_kinds in by_kind.items():
        yield f"{regime}, {system}, by kind of question", lists.funnels(of_kinds)


@cache
def _template() -> Template:
    folder = files("evals.card.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["css"] = folder.joinpath("page.css").read_text(encoding="utf-8")
    environment.filters["words"] = formats.words
    environment.tests["table"] = lambda value: isinstance(value, Mapping) and len(value) > 0
    environment.tests["table_list"] = lambda value: (
        isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)
    )
    return environment.from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
