"""What all pictures share: the figure class, safe labels, rows, legends and date axes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

from memkit._moved import serve_old_names
from memkit.text.sanitise import harmless, one_line

MAX_ROWS = 30  # of a picture; more are unreadable
ROW_INCHES = 0.26
LABEL_LENGTH, SPEAKER_LENGTH = 52, 16  # most characters
FAINT = 0.35  # opacity of the background
# space on both sides of a date axis: a share of the range, at least half an hour (in days)
_MARGIN, _MIN_MARGIN = 0.04, 1 / 48
# years 1 and 9999, the limits of `datetime`, in matplotlib's days since 1970
_FIRST_DAY, _LAST_DAY = -719_162.0, 2_932_896.0


class Picture(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot is loaded."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()


def to_label(text: str, length: int = LABEL_LENGTH) -> str:
    """Return remembered text as a label: sanitised, on one line, at most `length` characters.

    Characters that no font has become "□", which is what matplotlib draws after a warning.
    """
    line = one_line(harmless(text))
    line = line if len(line) <= length else f"{line[: length - 1]}…"
    fonts = [findfont(FontProperties(family=[name])) for name in FontProperties().get_family()]
    return "".join(c if any(ord(c) in _characters(font) for font in fonts) else "□" for c in line)


@cache
def _characters(font: str) -> frozenset[int]:
    return frozenset(get_font(font).get_charmap())


def label_rows(axes: Axes, labels: Iterable[str]) -> None:
    """Label the rows 0, 1, 2 … from the top, with labels from `to_label`."""
    labels = list(labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    disable_math(axes.get_yticklabels())


def disable_math(texts: Iterable[Text]) -> None:
    """Draw texts as they are; matplotlib reads what is between dollar signs as a formula."""
    for text in texts:
        text.set_parse_math(False)


def hide_frame(axes: Axes) -> Axes:
    """Hide the top and the right edge of the axes, and return the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def add_legend_below(figure: FigureBase, axes: Axes, columns: int) -> None:
    """Add the legend of some axes below the figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize="small"
    )
    disable_math(legend.get_texts())


def to_axis_number(time: datetime) -> float:
    """Return a time as a number of days, as matplotlib's date axes use it."""
    return float(date2num(time.astimezone(UTC)))  # type: ignore[no-untyped-call]


def set_date_axis(axes: Axes, first: float, last: float) -> None:
    """Make the x axis a date axis from `first` to `last`, with a margin on both sides."""
    margin = max((last - first) * _MARGIN, _MIN_MARGIN)
    axes.set_xlim(max(first - margin, _FIRST_DAY), min(last + margin, _LAST_DAY))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


serve_old_names(__name__)
