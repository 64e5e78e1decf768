"""A matplotlib figure as SVG that takes its colours from the page it stands in.

Text stays text, in the page's own font. The frame is drawn in the page's text colour and a series
in the custom property `--s0` … of its system, so that one drawing serves light and dark.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from evals.card.report.plain import plain

SERIES = 10  # colours that the page defines
INK = "#010101"  # becomes the page's text colour
FAINT = "#020202"  # becomes the colour of rules and grids
_COLOURS: Mapping[str, str] = {INK: "currentColor", FAINT: "var(--rule)"} | {
    f"#0300{n:02x}": f"var(--s{n})" for n in range(SERIES)
}
_LONG = 16  # characters of a name beside a line
_STYLE: Any = {  # matplotlib's stubs want its own literal keys
    "svg.fonttype": "none",  # text is text: it is found, read aloud, and small
    "text.parse_math": False,  # a system may be called "$x^$"
    "font.family": "DejaVu Sans",  # comes with matplotlib, and is wider than what will be shown
    "font.size": 12.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
}


def colour(n: int) -> str:
    """Return what to draw the n-th system with."""
    return f"#0300{n % SERIES:02x}"


def short(name: str) -> str:
    """Return a name that fits beside a line; beginnings and ends tell names apart."""
    name = plain(name)
    return name if len(name) <= _LONG else f"{name[:8]}…{name[-7:]}"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the card's style, whatever the user's matplotlib is set to."""
    with warnings.catch_warnings(), rc_context(_STYLE):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's font has it
        yield


def inline(figure: Figure, label: str, salt: str) -> Markup:
    """Return the figure as an <svg> element for an HTML page.

    Args:
        figure: what was drawn, in `drawing`.
        label: what a screen reader says.
        salt: unlike that of every other drawing on the page, so that ids are.
    """
    kept = io.StringIO()
    with rc_context({"svg.hashsalt": salt}):
        figure.savefig(kept, format="svg", metadata={"Date": None})
    text = kept.getvalue()
    text = _bare(text[text.index("<svg") :])
    text = re.sub(r'(?<= )(?:d|x|y|transform)="[^"]*"', _shortened, text)
    text = re.sub(r'(?<= )style="[^"]*"', _styled, text)
    opening = Markup('<svg class="plot" role="img" aria-label="{}" viewBox="{}">').format(
        plain(label), _view(text)
    )
    # matplotlib escapes what it writes as text; everything else in it are numbers
    return opening + Markup(text[text.index(">") + 1 :])


def _bare(text: str) -> str:
    """Return the drawing without what nothing points to and what changes nothing."""
    for needless in (
        r"<metadata>.*?</metadata>",
        r"<style.*?</style>",  # would hold for the whole page
        r' id="[A-Za-z0-9.]+_\d+"',
        r' transform="rotate\(-?0 [^"]*"',
    ):
        text = re.sub(needless, "", text, flags=re.DOTALL)
    groups = 1
    while groups:  # from the innermost outwards
        text, groups = re.subn(r"<g>((?:(?!</?g\b).)*)</g>", r"\1", text, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", "\n", text.replace("xlink:href", "href"))


def _view(text: str) -> str:
    found = re.search(r'viewBox="([-\d. ]+)"', text)
    return found[1] if found else "0 0 1 1"


def _shortened(match: re.Match[str]) -> str:
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}", match[0])


def _styled(match: re.Match[str]) -> str:
    style = re.sub(r"font-family: [^;\"]*;? ?", "", match[0])
    for drawn, shown in _COLOURS.items():
        style = style.replace(drawn, shown)
    return style
