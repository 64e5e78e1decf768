"""What all pictures share: a figure that a notebook shows, and labels that can do no harm."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

from memkit.text.sanitise import harmless, one_line

ROWS = 30  # most of a picture; more could not be read
ROW = 0.26  # inches
LABEL, SPEAKER = 52, 16  # characters
FAINT = 0.35  # opacity of what only stands in the background
_BEYOND, _LEAST = 0.04, 1 / 48  # of the time drawn, and days: what is left free on either side
_BEGIN, _END = -719_162.0, 2_932_896.0  # days since 1970 of the first and the last year there are


class Picture(Figure):
    """A figure that a notebook shows by itself, whether pyplot is loaded or not."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        kept = BytesIO()
        self.savefig(kept, format="png")
        return kept.getvalue()


def label(text: str, most: int = LABEL) -> str:
    """Return a text as it may stand in one line of a picture, cut to `most` characters."""
    short = one_line(harmless(text))
    short = short if len(short) <= most else f"{short[: most - 1]}…"
    fonts = [findfont(FontProperties(family=[name])) for name in FontProperties().get_family()]
    return "".join(c if any(ord(c) in _drawable(font) for font in fonts) else "□" for c in short)


@cache
def _drawable(font: str) -> frozenset[int]:
    """Return what a font file has: anything else would be drawn as a box, with a warning."""
    return frozenset(get_font(font).get_charmap())


def name_rows(axes: Axes, names: Iterable[str]) -> None:
    """Write names, made by `label`, beside the rows 0, 1, 2 …, the first on top."""
    names = list(names)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    verbatim(axes.get_yticklabels())


def verbatim(texts: Iterable[Text]) -> None:
    """Have texts drawn as they are: a dollar sign begins no formula."""
    for text in texts:
        text.set_parse_math(False)


def bare(axes: Axes) -> Axes:
    """Take off the frame that no number is read at."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def explain_below(figure: FigureBase, axes: Axes, columns: int) -> None:
    """Put the legend of some axes under the figure, where it covers nothing."""
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize="small"
    )
    verbatim(legend.get_texts())


def number(time: datetime) -> float:
    """Return a time as matplotlib's axes count it."""
    return float(date2num(time.astimezone(UTC)))  # type: ignore[no-untyped-call]


def dated(axes: Axes, first: float, last: float) -> None:
    """Have the x axis count days, from the first to the last moment and a little beyond."""
    beyond = max((last - first) * _BEYOND, _LEAST)
    axes.set_xlim(max(first - beyond, _BEGIN), min(last + beyond, _END))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
