"""The plots of a card, as SVG that takes its colours from the page.

Text stays text, in the font of the page. matplotlib draws with placeholder colours, and `_inline`
exchanges them for the custom properties of page.css, so that one drawing serves light and dark.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evals.card.aggregate import OF_REPLIES, STAGES
from evals.card.records import Card, Curve, Funnel
from evals.card.report.formats import printable
from evals.card.report.grids import ALL, PREFERRED, by_place, lower_is_better

LIMIT = 6  # plots of a kind; the others are in the JSON
_SERIES = 10  # --s0 … --s9 of page.css
_POINTS = 40  # of a line, at most
_SIZE = (4.6, 3.3)  # inches of 72 units: one unit is about a pixel on a phone
_AREA = (0.1, 0.19, 0.5, 0.77)  # left, bottom, width, height; names are on the right
_SLANTED = (0.1, 0.3, 0.5, 0.66)  # with room for slanted labels
_MARKERS = "os^DvPX<>p"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_LINE_HEIGHT = 13.5  # units between two names: a little more than the height of their letters
_LONG = 16  # characters of a name

Points = Sequence[Mapping[str, float | str]]
Line = tuple[str, Points]  # system and its points


class Kind(NamedTuple):
    """A kind of curve: its question and the way it is drawn."""

    question: str
    x: str
    bins: bool = True  # x are labelled bins, one step apart
    log: bool = False
    highlight: bool = True  # the first name is ours, and is drawn bolder


class Plot(NamedTuple):
    """A drawing with its caption."""

    title: str
    drawing: Markup


KINDS: Mapping[str, Kind] = {
    "position": Kind(
        "Does the place of the evidence matter?", "place of the evidence: 0 oldest, 1 newest"
    ),
    "position in prompt": Kind(
        "Does the place in the prompt matter?", "place in the prompt: 0 first, 1 last"
    ),
    "distance": Kind("How far back does it reach?", "turns since the evidence"),
    "distractors": Kind("What do irrelevant sessions do?", "distractor sessions"),
    "over time": Kind("Does it keep what it knew?", "maintenance step"),
    "risk-coverage": Kind(
        "Does it know when it does not know?", "coverage: share answered", bins=False
    ),
    "cost-quality": Kind(
        "What does quality cost?", "tokens of memory a question, log scale", bins=False, log=True
    ),
}


# ---- which plots there are


def curves(card: Card, systems: Sequence[str]) -> Iterator[tuple[str, list[Plot], int]]:
    """Yield a question, the plots that answer it, and how many more there would be."""
    for name in dict.fromkeys([*KINDS, *(curve.name for curve in card.curves)]):
        groups: dict[tuple[str, str, str], list[Curve]] = {}
        for curve in card.curves:
            if curve.name == name and curve.points:
                groups.setdefault((curve.regime, curve.data, curve.metric), []).append(curve)
        keys = sorted(groups, key=lambda key: PREFERRED.index(key[0]))  # stable: by data
        kind = KINDS.get(name, Kind(question=name, x=name, bins=False))
        plots = []
        for regime, data, metric in keys[:LIMIT]:
            lines = [(curve.system, _points(curve)) for curve in groups[regime, data, metric]]
            label = " · ".join((kind.question, data, metric, regime))
            title = " · ".join((data, _directed(metric), regime))
            plots.append(Plot(title, _draw_lines(kind, lines, systems, label)))
        if plots:
            yield kind.question, plots, len(keys) - len(plots)


def _points(curve: Curve) -> Points:
    """Return the points of a line without empty values, and only as many as can be told apart."""
    points = [
        {key: value for key, value in point.items() if value is not None}
        for point in curve.points
        if point.get("y") is not None
    ]
    step = -(-len(points) // _POINTS)
    return points if step < 2 else [*points[:-1:step], points[-1]]


def losses(funnels: Sequence[Funnel], systems: Sequence[str]) -> Iterator[Plot]:
    """Yield the stages of the evidence: by system, and by kind of question of the first system."""
    for (data, regime), overall in list(by_place(funnels).items())[:LIMIT]:
        of_system = {funnel.system: funnel for funnel in overall}
        yield _draw_losses(of_system, systems, f"{data} · share of questions · {regime}")
        first = next(system for system in systems if system in of_system)
        of_kind = {
            funnel.group: funnel
            for funnel in funnels
            if (funnel.data, funnel.regime, funnel.system) == (data, regime, first)
            and funnel.group != ALL
        }
        if of_kind:
            title = f"{data} · {first} by kind of question · {regime}"
            yield _draw_losses(of_kind, list(of_kind), title)


def _draw_losses(funnels: Mapping[str, Funnel], names: Sequence[str], title: str) -> Plot:
    lines: list[Line] = []
    for name, funnel in funnels.items():
        points: list[Mapping[str, float | str]] = []
        for n, stage in enumerate(("asked", *STAGES)):
            # a model may have answered a sample
            sampled = stage in OF_REPLIES and funnel.answered is not None
            count, base = getattr(funnel, stage), funnel.answered if sampled else funnel.asked
            if count is not None and base:
                points.append({"x": float(n), "label": stage, "y": count / base})
        lines.append((name, points))
    if any(funnel.answered not in (None, funnel.asked) for funnel in funnels.values()):
        counts = [funnel.answered or 0 for funnel in funnels.values()]
        ends = dict.fromkeys(f"{n:,}" for n in (min(counts), max(counts)))
        title += f" · used and right: of the {'–'.join(ends)} answered"
    by_system = all(funnel.system == name for name, funnel in funnels.items())
    kind = Kind("Where was evidence lost?", "", highlight=by_system)
    return Plot(title, _draw_lines(kind, lines, names, f"{kind.question} {title}"))


def _directed(metric: str) -> str:
    lower = metric == "risk" or lower_is_better(metric)
    return f"{metric}, lower is better" if lower else metric


# ---- drawing


def _draw_lines(kind: Kind, lines: Sequence[Line], systems: Sequence[str], label: str) -> Markup:
    with _style():
        drawing = Figure(figsize=_SIZE)
        axes = drawing.add_axes(_AREA)
        labels = {
            float(point["x"]): str(point.get("label", f"{point['x']:g}"))
            for _, points in lines
            for point in points
            if kind.bins
        }
        ticks = {x: n for n, x in enumerate(sorted(labels))}
        for n, (system, points) in enumerate(lines):
            # lines of one bin are drawn next to each other, so that no interval hides another
            shift = (n - (len(lines) - 1) / 2) * 0.045 if ticks else 0.0
            xs = [(ticks[float(p["x"])] if ticks else float(p["x"])) + shift for p in points]
            number = systems.index(system)
            bold, look = kind.highlight and number == 0, _look(number)
            axes.plot(
                xs, [float(point["y"]) for point in points], linewidth=2.4 if bold else 1.3,
                zorder=3 if bold else 2, linestyle=_DASHES[number % len(_DASHES)],
                markersize=6 if bold else 4.5, markevery=max(len(xs) // 6, 1), **look,
            )  # fmt: skip
            ends = [(x, p["low"], p["high"]) for x, p in zip(xs, points, strict=True) if "low" in p]
            if ends:
                axes.vlines(*zip(*ends, strict=True), color=look["color"], linewidth=1, alpha=0.45)
        _draw_frame(axes, kind, [printable(labels[x]) for x in ticks])
        _draw_names(axes, kind, lines, systems)
        return _inline(drawing, label)


def _draw_frame(axes: Axes, kind: Kind, labels: Sequence[str]) -> None:
    axes.set_xlabel(printable(kind.x), fontsize=11)
    axes.grid(axis="y", linewidth=0.6)
    axes.tick_params(labelsize=11)
    low, high = axes.get_ylim()
    if low >= -0.06 and high <= 1.06:
        axes.set_ylim(-0.02, 1.02)
    if kind.log:
        axes.set_xscale("symlog", linthresh=10)  # the system without memory costs 0
        axes.set_xlim(-3, 1.5 * max(axes.get_xlim()[1], 10))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    elif labels:
        axes.set_xticks(range(len(labels)), labels, fontsize=11)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        if max(map(len, labels)) * len(labels) > 22:  # characters: they would overlap
            left, bottom, width, height = _SLANTED
            room = 0 if kind.x else 0.08
            axes.set_position((left, bottom - room, width, height + room))
            axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=10)
    else:
        axes.locator_params(axis="x", nbins=5)


def _draw_names(axes: Axes, kind: Kind, lines: Sequence[Line], systems: Sequence[str]) -> None:
    """Write the name of each system next to the end of its line, without overlaps."""
    ends = {name: float(points[-1]["y"]) for name, points in lines if points}
    low, high = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name])
    gap = _LINE_HEIGHT / (72 * _SIZE[1] * axes.get_position().height)
    heights = _spread([(ends[name] - low) / (high - low) for name in names], gap)
    for name, y in zip(names, heights, strict=True):
        number = systems.index(name)
        weight = "bold" if kind.highlight and number == 0 else "normal"
        place: Any = {"transform": axes.transAxes}
        axes.plot([1.05], [y], markersize=6, clip_on=False, **_look(number), **place)
        axes.text(1.09, y, _short(name), va="center", fontsize=11, weight=weight, **place)


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return rising heights, moved as little as keeps them a gap apart and below 1."""
    gaps = gap * np.arange(len(heights))
    raised = np.maximum.accumulate(np.maximum(heights - gaps, 0))
    lowered: list[float] = (np.minimum(raised, 1 - gaps[-1:]) + gaps).tolist()
    return lowered


# ---- SVG

_MPLSTYLE = Path(__file__).with_name("plots.mplstyle")
_STYLES: Mapping[str, str] = {  # placeholder of plots.mplstyle or `_look` -> style of the page
    "#010101": "currentColor",
    "#020202": "var(--rule)",
    "font-family: 'DejaVu Sans'; ": "",
    **{f"#0300{n:02x}": f"var(--s{n})" for n in range(_SERIES)},
}
_METADATA: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # none of them
ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def _look(number: int) -> Any:
    return {"color": f"#0300{number % _SERIES:02x}", "marker": _MARKERS[number % len(_MARKERS)]}


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONG else f"{name[:8]}…{name[-7:]}"


@contextmanager
def _style() -> Iterator[None]:
    """Draw in the style of the card, independent of the user's matplotlib settings."""
    with warnings.catch_warnings(), rc_context(fname=_MPLSTYLE):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's font has it
        yield


def _inline(drawing: Figure, label: str) -> Markup:
    """Return a drawing as an <svg> element; a label unlike all others makes its ids unique."""
    file = io.StringIO()
    with rc_context({"svg.hashsalt": label}):
        drawing.savefig(file, format="svg", metadata=_METADATA)
    text = file.getvalue()
    svg = ElementTree.fromstring(text)
    for element in reversed(list(svg.iter())):
        # "axes_1" is in every drawing, and nothing refers to it
        if f"#{element.get('id')}" not in text:
            element.attrib.pop("id", None)
        element.tail = None  # indentation
        if not (element.text or "").strip():
            element.text = None
        style = element.get("style", "")
        for placeholder, final in _STYLES.items():
            style = style.replace(placeholder, final)
        if style:
            element.set("style", style)
    del svg.attrib["width"], svg.attrib["height"]  # page.css sets them
    svg.attrib |= {"class": "plot", "role": "img", "aria-label": printable(label)}
    return Markup(ElementTree.tostring(svg, encoding="unicode"))
