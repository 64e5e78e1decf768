"""Render a view as HTML for a notebook, without scripts, requests or global styles.

All colours derive from the notebook's text colour, so light and dark themes both work.
"""

from collections.abc import Sequence
from html import escape

from memkit.display.views import Bar, Cell, Fact, Table, View
from memkit.text.sanitise import harmless

_STYLES = {
    "box": "max-width:60rem;padding:.5rem .75rem;overflow-x:auto;border-radius:6px;"
    "border:1px solid rgba(128,128,128,.4);overflow-wrap:anywhere",
    "title": "font-weight:600",
    "text": "margin:.4rem 0;white-space:pre-wrap",
    "quiet": "opacity:.7",
    "table": "border-collapse:collapse;margin:.4rem 0;text-align:left",
    "head": "padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;font-weight:600;"
    "white-space:nowrap;opacity:.7",
    "cell": "padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;white-space:pre-wrap",
    "bar": "display:inline-block;width:6em;height:.6em;margin-right:.5em;border-radius:.3em;"
    "overflow:hidden;background:rgba(128,128,128,.25)",
    "nowrap": "padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;white-space:nowrap",
    "frame": "width:100%;height:40rem;resize:vertical;border:1px solid rgba(128,128,128,.4);"
    "border-radius:6px",
}
_FILL = "display:block;height:100%;background:currentColor;opacity:.65;width:"


class _Html(str):
    """Markup that is escaped already, as opposed to a plain string."""

    __slots__ = ()


def render_html(view: View) -> str:
    """Return a view as one self-contained <div>."""
    parts = [_tag("div", view.title, style=_STYLES["title"])]
    if view.text:
        parts.append(_tag("div", view.text, style=_STYLES["text"]))
    if view.facts:
        parts.append(_facts(view.facts))
    if view.table:
        parts.append(_table(view.table))
    if view.details:
        text = _tag("div", view.details, style=_STYLES["text"])
        parts.append(_tag("details", _tag("summary", "as the model reads it"), text))
    return str(_tag("div", *parts, style=_STYLES["box"]))


def embed_document(document: str) -> str:
    """Return an HTML document in a frame that runs no scripts, for a notebook."""
    style = _STYLES["frame"]
    return f'<iframe sandbox="" style="{style}" srcdoc="{escape(document)}"></iframe>'


def _facts(facts: Sequence[Fact]) -> _Html:
    rows = [
        _tag("tr", _tag("th", name, style=_STYLES["head"]), _cell(value)) for name, value in facts
    ]
    return _tag("table", _tag("tbody", *rows), style=_STYLES["table"])


def _table(table: Table) -> _Html:
    head = _tag("tr", *(_tag("th", column, style=_STYLES["head"]) for column in table.columns))
    nowrap = [column in table.nowrap for column in table.columns]
    rows = [_tag("tr", *map(_cell, row, nowrap)) for row in table.rows]
    body = _tag("table", _tag("thead", head), _tag("tbody", *rows), style=_STYLES["table"])
    return _tag("div", body, _tag("div", table.more, style=_STYLES["quiet"]))


def _cell(cell: Cell, nowrap: bool = False) -> _Html:
    if isinstance(cell, Bar):
        filled = _tag("span", style=f"{_FILL}{cell.filled:.0%}")
        bar = _tag("span", _tag("span", filled, style=_STYLES["bar"]), cell.label)
        return _tag("td", bar, style=_STYLES["nowrap"])
    return _tag("td", cell, style=_STYLES["nowrap" if nowrap else "cell"])


def _tag(name: str, *children: str, style: str = "") -> _Html:
    """Return an element; children that are no `_Html` are escaped."""
    inside = "".join(
        child if isinstance(child, _Html) else escape(harmless(child)) for child in children
    )
    attribute = f' style="{style}"' if style else ""
    return _Html(f"<{name}{attribute}>{inside}</{name}>")
