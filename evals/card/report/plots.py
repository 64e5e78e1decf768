"""The plots of a card: what is asked of each kind of curve, and its drawing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evals.card import records
from evals.card.funnel import OF_REPLIES, STAGES
from evals.card.records import Card, Curve, Funnel
from evals.card.report import svg
from evals.card.report.grids import ALL, ANSWERED, FOUND, PREFERRED, Grid, lower_is_better
from evals.card.report.plain import plain

LIMIT = 6  # plots of a kind; the rest is in the JSON
_POINTS = 40  # of a line, at most
_SIZE = (4.6, 3.3)  # inches of 72 units: one unit is about a pixel on a phone
_AREA = (0.1, 0.19, 0.5, 0.77)  # left, bottom, width, height; names stand to the right
_SLANTED = (0.1, 0.3, 0.5, 0.66)  # with room for labels that are not level
_MARKERS = "os^DvPX<>p"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_LEAST = 13.5  # units between two names: a little more than their letters are high

Line = tuple[str, Sequence[Mapping[str, float | str]]]  # system, its points


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of curve: what it answers and how it is drawn."""

    question: str
    x: str
    bins: bool = True  # x are labelled bins, one step apart
    log: bool = False
    leads: bool = True  # the first name is ours, and stands out


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing and what stands beneath it."""

    title: str
    drawing: Markup


KINDS: Mapping[str, Kind] = {
    "position": Kind(
        question="Does the place of the evidence matter?",
        x="place of the evidence: 0 oldest, 1 newest",
    ),
    "position in prompt": Kind(
        question="Does the place in the prompt matter?",
        x="place in the prompt: 0 first, 1 last",
    ),
    "distance": Kind(question="How far back does it reach?", x="turns since the evidence"),
    "distractors": Kind(question="What do irrelevant sessions do?", x="distractor sessions"),
    "over time": Kind(question="Does it keep what it knew?", x="maintenance step"),
    "risk-coverage": Kind(
        question="Does it know when it does not know?", x="coverage: share answered", bins=False
    ),
    "cost-quality": Kind(
        question="What does quality cost?", x="tokens of memory a question, log scale", bins=False,
        log=True,
    ),
}  # fmt: skip


def curves(card: Card, systems: Sequence[str]) -> Iterator[tuple[str, list[Plot], int]]:
    """Yield a question, the plots that answer it, and how many more there would be."""
    known = [*KINDS, *dict.fromkeys(one.name for one in card.curves)]
    for name in dict.fromkeys(known):
        groups: dict[tuple[str, str, str], list[Curve]] = {}
        for one in card.curves:
            if one.name == name and one.points:
                groups.setdefault((one.regime, one.data, one.metric), []).append(one)
        ordered = sorted(groups, key=lambda key: PREFERRED.index(key[0]))  # stable: by data
        kind = KINDS.get(name, Kind(question=name, x=name, bins=False))
        plots = [
            Plot(
                title=" · ".join((data, directed(metric), regime)),
                drawing=_curves(kind, chosen, systems),
            )
            for regime, data, metric in ordered[:LIMIT]
            for chosen in [groups[regime, data, metric]]
        ]
        if plots:
            yield kind.question, plots, len(ordered) - len(plots)


def losses(funnels: Sequence[Funnel], systems: Sequence[str]) -> Iterator[Plot]:
    """Yield how far the evidence came: each system, then each kind of question for the first."""
    for (data, regime), some in list(by_place(funnels).items())[:LIMIT]:
        drawn = {one.system: one for one in some}
        yield _losses(drawn, systems, f"{data} · share of questions · {regime}")
        first = next(system for system in systems if system in drawn)
        kinds = {
            one.group: one
            for one in funnels
            if (one.data, one.regime, one.system) == (data, regime, first) and one.group != ALL
        }
        if kinds:
            yield _losses(kinds, list(kinds), f"{data} · {first} by kind of question · {regime}")


def _losses(drawn: Mapping[str, Funnel], names: Sequence[str], title: str) -> Plot:
    lines: list[Line] = []
    for name, one in drawn.items():
        points: list[Mapping[str, float | str]] = [
            {"x": float(n), "label": stage, "y": count / of}
            for n, stage in enumerate(("asked", *STAGES))
            for count, of in [(getattr(one, stage), _base(one, stage))]
            if count is not None and of
        ]
        lines.append((name, points))
    by_system = all(one.system == name for name, one in drawn.items())
    if any(one.answered not in (None, one.asked) for one in drawn.values()):
        counts = [one.answered or 0 for one in drawn.values()]
        between = dict.fromkeys(f"{n:,}" for n in (min(counts), max(counts)))
        title += f" · used and right: of the {'–'.join(between)} answered"
    kind = Kind(question="Where was evidence lost?", x="", leads=by_system)
    return Plot(title=title, drawing=_lines(kind, lines, names, f"{kind.question} {title}"))


def _base(one: Funnel, stage: str) -> int:
    """Return of how many questions a stage is a share: a model may have answered a sample."""
    return one.asked if stage not in OF_REPLIES or one.answered is None else one.answered


def forest(grid: Grid, systems: Sequence[str]) -> Iterator[Plot]:
    """Yield what was found and answered as points with their intervals, a system on each line."""
    for n, metric in enumerate(grid.columns):
        scores = [(system, row[n]) for system, row in grid.rows]
        shown = [(system, score.figure) for system, score in scores if score is not None]
        if metric in (*FOUND, *ANSWERED) and len(shown) > 1:
            title = directed(metric)
            drawing = _intervals(shown, systems, f"{grid.title} · {title}")
            yield Plot(title=title, drawing=drawing)


def _intervals(
    shown: Sequence[tuple[str, records.Figure]], systems: Sequence[str], title: str
) -> Markup:
    with svg.drawing():
        height = 0.65 + 0.29 * len(shown)
        figure = Figure(figsize=(_SIZE[0], height))
        axes = figure.add_axes((0.36, 0.36 / height, 0.59, 1 - 0.45 / height))
        for y, (system, one) in enumerate(shown):
            place = systems.index(system)
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [y, y], color=svg.colour(place), linewidth=2)
            axes.plot(one.value, y, _MARKERS[place % len(_MARKERS)], color=svg.colour(place))
        axes.set_yticks(range(len(shown)), [svg.short(system) for system, _ in shown])
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False, labelsize=11)
        axes.grid(axis="x", linewidth=0.6)
        ends = [end for _, one in shown for end in (one.low, one.value, one.high)]
        if all(end is None or 0 <= end <= 1 for end in ends):
            axes.set_xlim(-0.02, 1.02)
        axes.locator_params(axis="x", nbins=5)
        return svg.inline(figure, title, title)


def _curves(kind: Kind, chosen: Sequence[Curve], systems: Sequence[str]) -> Markup:
    lines: list[Line] = []
    for one in chosen:
        points = [_numbers(point) for point in one.points if point.get("y") is not None]
        lines.append((one.system, _thinned(points)))
    title = " · ".join((kind.question, chosen[0].data, chosen[0].metric, chosen[0].regime))
    return _lines(kind, lines, systems, title)


def _numbers(point: Mapping[str, object]) -> Mapping[str, float | str]:
    """Return a point's values without those that are not known."""
    return {key: v for key, v in point.items() if isinstance(v, float | int | str)}


def _thinned(points: list[Mapping[str, float | str]]) -> list[Mapping[str, float | str]]:
    step = -(-len(points) // _POINTS)
    return points if step < 2 else [*points[:-1:step], points[-1]]


def _lines(kind: Kind, lines: Sequence[Line], systems: Sequence[str], title: str) -> Markup:
    with svg.drawing():
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes(_AREA)
        ticks = _ticks(lines) if kind.bins else {}
        for n, (system, points) in enumerate(lines):
            xs = [ticks[float(p["x"])][0] if ticks else float(p["x"]) for p in points]
            beside = (n - (len(lines) - 1) / 2) * 0.045 if ticks else 0.0
            place = systems.index(system)
            _line(axes, place, kind.leads and place == 0, [x + beside for x in xs], points)
        _frame(axes, kind, ticks)
        _names(axes, kind, lines, systems)
        return svg.inline(figure, title, title)


def _ticks(lines: Sequence[Line]) -> dict[float, tuple[int, str]]:
    """Return where each bin stands and what it is called."""
    labels = {float(p["x"]): str(p.get("label", f"{p['x']:g}")) for _, ps in lines for p in ps}
    return {x: (n, labels[x]) for n, x in enumerate(sorted(labels))}


def _line(
    axes: Axes,
    place: int,
    ours: bool,
    xs: Sequence[float],
    points: Sequence[Mapping[str, float | str]],
) -> None:
    colour = svg.colour(place)
    ys = [float(point["y"]) for point in points]
    axes.plot(
        xs, ys, color=colour, linewidth=2.4 if ours else 1.3, zorder=3 if ours else 2,
        linestyle=_DASHES[place % len(_DASHES)], marker=_MARKERS[place % len(_MARKERS)],
        markersize=6 if ours else 4.5, markevery=max(len(xs) // 6, 1),
    )  # fmt: skip
    told = [(x, p["low"], p["high"]) for x, p in zip(xs, points, strict=True) if "low" in p]
    if told:
        at, low, high = zip(*told, strict=True)
        axes.vlines(at, low, high, color=colour, linewidth=1, alpha=0.45)


def _frame(axes: Axes, kind: Kind, ticks: Mapping[float, tuple[int, str]]) -> None:
    axes.set_xlabel(plain(kind.x), fontsize=11)
    axes.grid(axis="y", linewidth=0.6)
    axes.tick_params(labelsize=11)
    low, high = axes.get_ylim()
    if low >= -0.06 and high <= 1.06:
        axes.set_ylim(-0.02, 1.02)
    if kind.log:
        axes.set_xscale("symlog", linthresh=10)  # the system without memory costs 0
        axes.set_xlim(-3, 1.5 * max(axes.get_xlim()[1], 10))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    elif ticks:
        labels = [plain(label) for _, label in ticks.values()]
        axes.set_xticks(range(len(labels)), labels, fontsize=11)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        if max(map(len, labels), default=0) * len(labels) > 22:  # they would run into each other
            left, bottom, width, height = _SLANTED
            room = 0 if kind.x else 0.08
            axes.set_position((left, bottom - room, width, height + room))
            axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=10)
    else:
        axes.locator_params(axis="x", nbins=5)


def _names(axes: Axes, kind: Kind, lines: Sequence[Line], systems: Sequence[str]) -> None:
    """Write each system's name beside where its line ends; none upon another."""
    ends = {name: float(points[-1]["y"]) for name, points in lines if points}
    low, high = axes.get_ylim()
    wanted = sorted(ends, key=lambda name: ends[name])
    least = _LEAST / (72 * _SIZE[1] * axes.get_position().height)
    places = _apart([(ends[name] - low) / (high - low) for name in wanted], least)
    for name, y in zip(wanted, places, strict=True):
        place = systems.index(name)
        axes.plot(
            [1.05], [y], color=svg.colour(place), marker=_MARKERS[place % len(_MARKERS)],
            markersize=6, transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
        weight = "bold" if kind.leads and place == 0 else "normal"
        axes.text(
            1.09, y, svg.short(name), transform=axes.transAxes, va="center", fontsize=11,
            weight=weight,
        )  # fmt: skip


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Return the places, rising, moved as little as keeps them apart and below the top."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else max(place, 0.0))
    top = 1.0
    for n in range(len(moved) - 1, -1, -1):
        moved[n] = min(moved[n], top)
        top = moved[n] - least
    return moved


def directed(metric: str) -> str:
    """Return a metric's name, with the way it points where that is down."""
    lower = metric == "risk" or lower_is_better(metric)
    return f"{metric}, lower is better" if lower else metric


def by_place(funnels: Sequence[Funnel]) -> dict[tuple[str, str], list[Funnel]]:
    """Return funnels by data set and regime, those of all questions together only."""
    found: dict[tuple[str, str], list[Funnel]] = {}
    for one in sorted(funnels, key=lambda one: PREFERRED.index(one.regime)):
        if one.group == ALL:
            found.setdefault((one.data, one.regime), []).append(one)
    return found
