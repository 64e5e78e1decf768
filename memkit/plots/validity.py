"""When each thought holds, or held: a timeline."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from memkit.errors import InvalidInput
from memkit.plots.picture import FAINT, ROW, ROWS, Picture, bare, dated, label, name_rows, number
from memkit.records import Thought

_LOOKS: Mapping[str, tuple[str, float]] = {  # colour and opacity
    "holds": ("C0", 1.0),
    "no longer holds": ("C0", FAINT),
    "may contradict another": ("C1", 1.0),
}
_LEAST = 0.004  # of the time drawn: a shorter bar could not be seen
_NOBODY = "about nobody in particular"


def validity(thoughts: Iterable[Thought]) -> Picture:
    """Draw when thoughts hold in the world, by whom or what they are about, oldest first.

    `memory.thoughts` has what holds; `memory.history` of each adds what it replaced:

        [one for now in memory.thoughts(user_id="ann")
         for one in memory.history(now.id, user_id="ann")]

    Args:
        thoughts: each is drawn once; those that came first, if there are more than 30 rows.

    Raises:
        InvalidInput: there are no thoughts.
    """
    once = list({one.id: one for one in thoughts}.values())
    if not once:
        raise InvalidInput("there are no thoughts to draw; memory.think() draws them from turns")
    rows = _rows(once)
    drawn = [one for one in rows[:ROWS] if isinstance(one, Thought)]
    figure = Picture(9, 1.5 + ROW * len(rows[:ROWS]))
    axes = bare(figure.subplots())
    dated(axes, *_ends(drawn))
    for row, one in enumerate(rows[:ROWS]):
        if isinstance(one, Thought):
            _bar(axes, row, one)
    _name(axes, rows[:ROWS])
    if len(drawn) < len(once):
        axes.set_xlabel(f"{len(once) - len(drawn):,} more thoughts are not drawn", fontsize="small")
    handles = [
        Patch(color=colour, alpha=alpha, label=name) for name, (colour, alpha) in _LOOKS.items()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize="small"
    )
    return figure


def _rows(thoughts: Sequence[Thought]) -> list[str | Thought]:
    """Return what stands in each row: whom thoughts are about, then these, oldest first."""
    about: dict[str, list[Thought]] = {}
    for one in thoughts:
        about.setdefault(one.head or _NOBODY, []).append(one)
    rows: list[str | Thought] = []
    for head, theirs in about.items():
        rows += [head, *sorted(theirs, key=lambda one: one.valid_from)]
    return rows


def _ends(thoughts: Sequence[Thought]) -> tuple[float, float]:
    """Return the first and the last moment drawn."""
    begins = [number(one.valid_from) for one in thoughts]
    known = [*begins, *(number(one.repeated_at) for one in thoughts)]
    known += [number(one.valid_to) for one in thoughts if one.valid_to]
    return min(begins), max(known)


def _bar(axes: Axes, row: int, thought: Thought) -> None:
    """Draw when a thought holds; up to the edge, if it still does."""
    first, last = axes.get_xlim()
    begin = number(thought.valid_from)
    end = last if thought.valid_to is None else number(thought.valid_to)
    seen = max(end - begin, (last - first) * _LEAST)
    colour, alpha = _LOOKS[_look(thought)]
    axes.barh(row, seen, left=begin, height=0.6, color=colour, alpha=alpha)


def _look(thought: Thought) -> str:
    if thought.valid_to is not None:
        return "no longer holds"
    return "may contradict another" if thought.conflicts else "holds"


def _name(axes: Axes, rows: Sequence[str | Thought]) -> None:
    name_rows(axes, (label(one if isinstance(one, str) else one.text) for one in rows))
    for one, name in zip(rows, axes.get_yticklabels(), strict=True):
        if isinstance(one, str):
            name.set_fontweight("bold")
