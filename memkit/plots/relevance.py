"""Bars of relevance, split into the contributions of the signals."""

from collections.abc import Mapping, Sequence

from memkit.errors import InvalidInput
from memkit.plots import picture
from memkit.records import Hit
from memkit.retrieval.ranker import bundled_ranker

_VISIBLE = 0.005  # the smallest share of a relevance that can be seen


def relevance(hits: Sequence[Hit]) -> picture.Picture:
    """Draw hits, at most 30, as bars of their relevance, split by signal; the best is on top."""
    if not hits:
        raise InvalidInput("there are no hits to draw; pass the result of memory.recall()")
    hits = hits[: picture.MAX_ROWS]
    rows = range(len(hits))
    figure = picture.Picture(9, 1.5 + picture.ROW_INCHES * len(hits))
    axes = picture.hide_frame(figure.subplots())
    ends = [0.0 for _ in rows]
    for signal, (colour, shares) in _shares_by_signal(hits).items():
        axes.barh(rows, shares, left=ends, height=0.7, color=colour, label=picture.to_label(signal))
        ends = [end + share for end, share in zip(ends, shares, strict=True)]
    for row, end, hit in zip(rows, ends, hits, strict=True):
        axes.annotate(
            f"{hit.relevance:.2f}", (end, row), (4, 0), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    speakers = [picture.to_label(hit.speaker, picture.SPEAKER_LENGTH) for hit in hits]
    labels = [
        picture.to_label(f"{hit.said_at:%Y-%m-%d}, {speaker}: {hit.text}")
        for hit, speaker in zip(hits, speakers, strict=True)
    ]
    picture.label_rows(axes, labels)
    axes.set_xlim(0, max(*ends, 0.05) * 1.1)
    axes.set_xlabel("relevance, and how much each signal adds")
    picture.add_legend_below(figure, axes, columns=5)
    return figure


def _shares_by_signal(hits: Sequence[Hit]) -> Mapping[str, tuple[str, list[float]]]:
    """Return each signal's colour and its share per hit; small signals are added up."""
    explained = [hit.explain or {"relevance": hit.relevance} for hit in hits]
    signals = dict.fromkeys(
        [*bundled_ranker().signals, *(signal for shares in explained for signal in shares)]
    )
    by_signal = {
        signal: (f"C{n}", [shares.get(signal, 0.0) for shares in explained])
        for n, signal in enumerate(signals)
    }
    visible = {signal: bars for signal, bars in by_signal.items() if max(bars[1]) >= _VISIBLE}
    small = [shares for signal, (_, shares) in by_signal.items() if signal not in visible]
    remainder = [sum(shares[n] for shares in small) for n in range(len(hits))]
    return visible | ({"the rest": ("0.6", remainder)} if max(remainder) >= _VISIBLE else {})
