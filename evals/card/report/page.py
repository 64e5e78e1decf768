"""The card as one HTML page: no script, no request, light and dark, for a phone as for a desk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from evals.card.records import Card, Funnel
from evals.card.report import lists, plots, svg
from evals.card.report.grids import (
    ALL,
    PREFERRED,
    Grid,
    Index,
    glance,
    headline,
    index,
    kinds,
    layers,
    regimes,
)  # fmt: skip
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
    parts: Sequence[Part]  # the first is shown, the others are folded
    funnels: Sequence[tuple[str, Rows]]  # by system for each regime, then by kind of question
    compared: Rows


def page(card: Card) -> str:
    """Return the card as a page that stands for itself.

    All text of the card is escaped, in the plots too, and a content security policy forbids
    scripts and every request.
    """
    found = index(card)
    return _template().render(
        card=card,
        colours=svg.SERIES,
        verdict=verdict(card, found),
        glance=list(glance(found)),
        curves=list(plots.curves(card, found.systems)),
        losses=list(plots.losses(card.funnels, found.systems)),
        sections=[_section(card, found, data) for data in found.data],
        failed=lists.audits(one for one in card.audits if not one.passed),
        passed=lists.audits(one for one in card.audits if one.passed),
        not_run=lists.not_run(card),
        data=lists.data(card),
        glossary=lists.glossary(card),
        config=lists.config(card),
        command=lists.command(card),
    )


def _section(card: Card, found: Index, data: str) -> Section:
    ordered = sorted(found.regimes(data), key=PREFERRED.index)
    return Section(
        name=data,
        regimes=list(regimes(found, data)),
        parts=[_part(found, data, one, opened=one == ordered[0]) for one in ordered],
        funnels=list(_funnels([one for one in card.funnels if one.data == data])),
        compared=lists.compared(lists.main_differences(card, data)),
    )


def _part(found: Index, data: str, regime: str, *, opened: bool) -> Part:
    top = headline(found, data, regime)
    more = [*layers(found, data, regime), *kinds(found, data, regime)]
    return Part(
        regime=regime,
        headline=top,
        forest=list(plots.forest(top, found.systems)) if opened else [],
        more=more,
    )


def _funnels(found: Sequence[Funnel]) -> Iterator[tuple[str, Rows]]:
    for (_, regime), some in plots.by_place(found).items():
        yield f"{regime}, by system", lists.funnels(some)
    by_kind: dict[tuple[str, str], list[Funnel]] = {}
    for one in found:
        if one.group != ALL:
            by_kind.setdefault((one.regime, one.system), []).append(one)
    for (regime, system), some in by_kind.items():
        yield f"{regime}, {system}, by kind of question", lists.funnels(some)


@cache
def _template() -> Template:
    folder = files("evals.card.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["css"] = folder.joinpath("page.css").read_text(encoding="utf-8")
    environment.filters["said"] = lists.said
    environment.tests["several"] = lambda value: isinstance(value, Mapping) and len(value) > 0
    environment.tests["listed"] = lambda value: (
        isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value)
    )
    return environment.from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
