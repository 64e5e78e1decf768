"""A card as one HTML page and as Markdown, from the templates in this folder.

The page has no script and makes no request; it fits light and dark, phones and desktops.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from evals.card.records import Card
from evals.card.report import formats, grids, lists, plots
from evals.card.report.verdict import verdict


def page(card: Card) -> str:
    """Return a card as a self-contained page.

    All text of the card is escaped, in the plots too, and a content security policy forbids
    scripts and every request.
    """
    return _render("page.html.j2", card)


def markdown(card: Card) -> str:
    """Return a card as Markdown; text of the card cannot become markup."""
    return _render("card.md.j2", card, _escape_markdown) + "\n"


def _render(name: str, card: Card, finalize: Callable[[object], object] | None = None) -> str:
    figures = grids.index(card)
    return _template(name, finalize).render(
        card=card,
        figures=figures,
        verdict=" ".join(verdict(card, figures)),
        command=str(card.stamp.get("command", "python -m evals card --config FILE")),
        config=json.dumps(card.config, ensure_ascii=False, indent=1, default=str),
    )


@cache
def _template(name: str, finalize: Callable[[object], object] | None) -> Template:
    """Return a template; `finalize` prepares the value of every expression."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=finalize,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"grids": grids, "lists": lists, "plots": plots}
    environment.filters |= {"words": formats.words, "printable": formats.printable}
    environment.tests["table"] = lambda value: isinstance(value, Mapping) and len(value) > 0
    environment.tests["table_list"] = lambda value: (
        isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)
    )
    return environment.get_template(name)


def _escape_markdown(value: object) -> Markup:
    """Return a text as Markdown that shows it: on one line, no tag, no column, no link."""
    if isinstance(value, Markup):  # the result of a macro
        return value
    safe = escape(formats.printable(" ".join(str(value).split())), quote=False)
    return Markup(safe.replace("|", "\\|").replace("`", "'").replace("](", "]\\("))
