"""Why each hit was found: what every arm adds to its relevance."""

from collections.abc import Mapping, Sequence

from memkit.errors import InvalidInput
from memkit.plots.picture import ROW, ROWS, SPEAKER, Picture, bare, explain_below, label, name_rows
from memkit.records import Hit
from memkit.retrieval.fusion import WEIGHTS

_LEAST = 0.005  # of a relevance: less cannot be seen


def relevance(hits: Sequence[Hit]) -> Picture:
    """Draw hits as bars of their relevance, made up of what each arm adds; the best on top.

    Args:
        hits: what `recall` returned; the first 30 are drawn.

    Raises:
        InvalidInput: there are no hits.
    """
    if not hits:
        raise InvalidInput("there are no hits to draw; ask recall() for some")
    drawn, rows = hits[:ROWS], range(min(len(hits), ROWS))
    figure = Picture(9, 1.5 + ROW * len(drawn))
    axes = bare(figure.subplots())
    ends = [0.0 for _ in rows]
    for arm, (colour, shares) in _arms(drawn).items():
        axes.barh(rows, shares, left=ends, height=0.7, color=colour, label=label(arm))
        ends = [end + share for end, share in zip(ends, shares, strict=True)]
    numbers = zip(rows, ends, drawn, strict=True)
    for row, end, hit in numbers:
        axes.annotate(
            f"{hit.relevance:.2f}", (end, row), (4, 0), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    name_rows(
        axes,
        (
            label(f"{hit.said_at:%Y-%m-%d}, {label(hit.speaker, SPEAKER)}: {hit.text}")
            for hit in drawn
        ),
    )
    axes.set_xlim(0, max(*ends, 0.05) * 1.1)
    axes.set_xlabel("relevance, and what each arm adds to it")
    explain_below(figure, axes, columns=5)
    return figure


def _arms(hits: Sequence[Hit]) -> Mapping[str, tuple[str, list[float]]]:
    """Return each arm's colour, the same in all pictures, and shares; small ones together."""
    shares = [hit.explain or {"relevance": hit.relevance} for hit in hits]
    names = dict.fromkeys([*WEIGHTS, *(arm for one in shares for arm in one)])
    found = {arm: (f"C{n}", [one.get(arm, 0.0) for one in shares]) for n, arm in enumerate(names)}
    seen = {arm: drawn for arm, drawn in found.items() if max(drawn[1]) >= _LEAST}
    rest = [
        sum(one[n] for arm, (_, one) in found.items() if arm not in seen) for n in range(len(hits))
    ]
    return seen | ({"the rest": ("0.6", rest)} if max(rest) >= _LEAST else {})
