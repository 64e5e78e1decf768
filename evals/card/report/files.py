"""A card as files: JSON in a fixed order and back, and from templates Markdown and a page.

The page has no script and makes no request; it fits light and dark, phones and desktops.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from evals.card.records import Card
from evals.card.report import formats, grids, lists, plots
from evals.card.report.verdict import verdict
from evals.metrics.catalogue import METRICS
from memkit.errors import InvalidInput

DIGITS = 6  # after the point; digits beyond differ between processors
_NO_LISTS = ("name", "config", "stamp", "disclosure")  # fields of a card
_LISTS = tuple(field.name for field in fields(Card) if field.name not in _NO_LISTS)
_CARD = TypeAdapter(Card)


# ---- JSON


def dumps(card: Card) -> str:
    """Return a card as JSON: fields in their order, one item of a list per line.

    Floats are rounded to 6 digits after the point.

    Raises:
        InvalidInput: a number is not finite, or a value is not JSON; the message names it.
    """
    parts = []
    for field in fields(Card):
        value = getattr(card, field.name)
        if field.name not in _LISTS:
            text = _json(field.name, value)
        else:
            items = (item if isinstance(item, Mapping) else asdict(item) for item in value)
            lines = [_json(f"{field.name}[{n}]", item) for n, item in enumerate(items)]
            text = "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"
        parts.append(f"{json.dumps(field.name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def load(path: Path) -> Card:
    """Read a card from the JSON that `write` wrote.

    Raises:
        InvalidInput: there is no such file, or it is no card; the message names the wrong field.
    """
    try:
        card = _CARD.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist; `python -m evals card` writes one") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a card.json") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInput(
            f"{path} is not a card: {where}: {first['msg']}; write it again with "
            "`python -m evals card`"
        ) from error
    curves = tuple(replace(curve, points=tuple(curve.points)) for curve in card.curves)
    lists: dict[str, Any] = {name: tuple(getattr(card, name)) for name in _LISTS}
    return replace(card, **(lists | {"curves": curves}))


def _json(where: str, value: Any) -> str:
    try:
        return json.dumps(_rounded(where, value), ensure_ascii=False)
    except TypeError as error:
        raise InvalidInput(f"{where} of the card cannot be written as JSON: {error}") from error


def _rounded(where: str, value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{where} of the card is {value}: leave out what has no value")
        return round(float(value), DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(f"{where}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(where, item) for item in value]
    return value


def without_run(card: Card) -> Card:
    """Return the part of a card that is equal when a run is repeated: no stamp, no costs.

    The disclosure is left out too: beyond the other fields it has only what the stamp has.
    """
    costs = {figure.metric for figure in card.figures if figure.layer == "cost"}
    costs |= {name for name, metric in METRICS.items() if metric.layer == "cost"}
    return replace(
        card,
        stamp={},
        disclosure={},
        figures=tuple(row for row in card.figures if row.metric not in costs),
        curves=tuple(c for c in card.curves if c.name != "cost-quality" and c.metric not in costs),
        compared=tuple(row for row in card.compared if row.metric not in costs),
        records=tuple(replace(record, costs={}) for record in card.records),
    )


# ---- Markdown and the page


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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=finalize,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"grids": grids, "lists": lists, "plots": plots}
    environment.filters |= {"words": formats.words, "printable": formats.printable}
    return environment.get_template(name)


def _escape_markdown(value: object) -> Markup:
    """Return a text as Markdown that shows it: on one line, no tag, no column, no link."""
    if isinstance(value, Markup):  # the result of a macro
        return value
    safe = escape(formats.printable(" ".join(str(value).split())), quote=False)
    return Markup(safe.replace("|", "\\|").replace("`", "'").replace("](", "]\\("))


def write(card: Card, folder: Path) -> Mapping[str, Path]:
    """Write card.json, card.md and card.html; return their paths by name.

    A file is replaced only when the new one is complete, so an interruption keeps the old one.

    Raises:
        InvalidInput: the card holds something that cannot be written; the message names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, form in (("card.json", dumps), ("card.md", markdown), ("card.html", page)):
        paths[name] = folder / name
        unfinished = folder / f"{name}.part"
        unfinished.write_text(form(card), encoding="utf-8")
        os.replace(unfinished, paths[name])
    return paths
