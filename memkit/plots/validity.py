"""A timeline of thoughts: from when to when each one holds."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from memkit.errors import InvalidInput
from memkit.plots import picture
from memkit.records import Thought

_STYLES: Mapping[str, tuple[str, float]] = {  # colour and opacity
    "holds": ("C0", 1.0),
    "no longer holds": ("C0", picture.FAINT),
    "may contradict another": ("C1", 1.0),
}
_MIN_BAR = 0.004  # share of the axis; a shorter bar is invisible
_NO_SUBJECT = "about nobody in particular"


def validity(thoughts: Iterable[Thought]) -> picture.Picture:
    """Draw when thoughts hold in the world, grouped by their subject, oldest first, in 30 rows.

    `memory.thoughts` returns the thoughts that hold; `memory.history` adds those they replaced:

        [version for thought in memory.thoughts(user_id="ann")
         for version in memory.history(thought.id, user_id="ann")]
    """
    unique = list({thought.id: thought for thought in thoughts}.values())
    if not unique:
        raise InvalidInput("there are no thoughts to draw; call memory.think() first")
    rows = _rows(unique)[: picture.MAX_ROWS]
    visible = [row for row in rows if isinstance(row, Thought)]
    figure = picture.Picture(9, 1.5 + picture.ROW_INCHES * len(rows))
    axes = picture.hide_frame(figure.subplots())
    times = [time for row in visible for time in (row.valid_from, row.repeated_at, row.valid_to)]
    numbers = [picture.to_axis_number(time) for time in times if time]
    first = min(picture.to_axis_number(row.valid_from) for row in visible)
    picture.set_date_axis(axes, first, max(numbers))
    for n, row in enumerate(rows):
        if isinstance(row, Thought):
            _draw_bar(axes, n, row)
    picture.label_rows(
        axes, (picture.to_label(row if isinstance(row, str) else row.text) for row in rows)
    )
    for row, label in zip(rows, axes.get_yticklabels(), strict=True):
        if isinstance(row, str):
            label.set_fontweight("bold")
    if missing := len(unique) - len(visible):
        axes.set_xlabel(f"{missing:,} more thoughts are not drawn", fontsize="small")
    handles = [
        Patch(color=colour, alpha=alpha, label=label) for label, (colour, alpha) in _STYLES.items()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize="small"
    )
    return figure


def _rows(thoughts: Sequence[Thought]) -> list[str | Thought]:
    """Return the rows: each subject, followed by its thoughts, oldest first."""
    by_subject: dict[str, list[Thought]] = {}
    for thought in thoughts:
        by_subject.setdefault(thought.head or _NO_SUBJECT, []).append(thought)
    rows: list[str | Thought] = []
    for subject, group in by_subject.items():
        rows += [subject, *sorted(group, key=lambda thought: thought.valid_from)]
    return rows


def _draw_bar(axes: Axes, row: int, thought: Thought) -> None:
    """Draw when a thought holds; the bar of one that still holds reaches the edge."""
    first, last = axes.get_xlim()
    start = picture.to_axis_number(thought.valid_from)
    end = last if thought.valid_to is None else picture.to_axis_number(thought.valid_to)
    width = max(end - start, (last - first) * _MIN_BAR)
    style = "may contradict another" if thought.conflicts else "holds"
    colour, alpha = _STYLES[style if thought.valid_to is None else "no longer holds"]
    axes.barh(row, width, left=start, height=0.6, color=colour, alpha=alpha)
