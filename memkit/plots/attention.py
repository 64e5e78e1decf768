"""Chunk attention over time: which chunks of dialogue a question opens, and which turns in them.

HCAM compares a question with the keys of all chunks, opens the best chunks and attends inside them.
"""

from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from memkit.embedders import embed_checked
from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.plots import picture
from memkit.records import Scope, day, zoned
from memkit.retrieval.chunk_attention import ChunkAttention, attend_to_dialogue

_TITLE_LENGTH = 80  # characters
_MARKERS = "osD"


def attention(
    memory: Memory,
    query: str,
    *,
    user_id: str,
    session_id: str | None = None,
    as_of: datetime | None = None,
) -> picture.Picture:
    """Draw how much attention a question pays to each chunk of dialogue, and to its turns.

    The picture covers the whole dialogue; `recall` attends to the chunks around its candidates
    only, which are usually the same. Attention is one of several signals (see `relevance`).
    `session_id` and `as_of` are those of `recall`. Cost: one embedding call, and the cosines with
    all of the user's turns.
    """
    if not query.strip():
        raise InvalidInput("the question is empty; pass the text to look for")
    scope = Scope(user_id=user_id, session_id=session_id)
    vector = embed_checked(memory.embedder, [query], queries=True)[0]
    with memory.store.snapshot(scope, None if as_of is None else zoned(as_of, "as_of")) as snapshot:
        if not len(snapshot.timeline):
            raise InvalidInput(f"{user_id!r} has no turns to attend to; call remember() first")
        attended = attend_to_dialogue(snapshot, vector)
    rows = _rows(attended)
    height = 1.0 + picture.ROW_INCHES * len(rows)
    figure = picture.Picture(9, 2.8 + height)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.8, height))[:, 0]
    _draw_chunks(picture.hide_frame(top.subplots()), attended)
    _draw_turns(picture.hide_frame(bottom.subplots()), rows)
    picture.disable_math([top.suptitle(picture.to_label(query, _TITLE_LENGTH), fontsize="medium")])
    return figure


def _draw_chunks(axes: Axes, attended: ChunkAttention) -> None:
    times, weights = attended.times, attended.weights
    axes.vlines(times, 0, weights, color="grey", alpha=picture.FAINT)
    axes.plot(times, weights, ".", color="grey", alpha=picture.FAINT, clip_on=False)
    for n, chunk in enumerate(attended.best):
        axes.vlines(times[chunk], 0, weights[chunk], color=f"C{n}")
        axes.plot(times[chunk], weights[chunk], _MARKERS[n], color=f"C{n}", clip_on=False)
    picture.set_date_axis(axes, *axes.dataLim.intervalx)
    axes.set_ylim(0, weights.max() * 1.1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("attention")
    count = int((weights > 0).sum())
    axes.set_xlabel(f"{count} of {len(weights):,} chunks attended to", fontsize="small")


_Row = tuple[str, float | None, str]  # text, share (None: the row is a chunk's title), colour


def _rows(attended: ChunkAttention) -> list[_Row]:
    """Return a row for each opened chunk, followed by a row for each of its turns."""
    rows: list[_Row] = []
    for n, chunk in enumerate(attended.opened):
        said_at = chunk.matches[0].turn.said_at
        when = f"{day(said_at)}, {said_at:%H:%M}" if said_at else ""
        rows.append((f"{when}: {chunk.weight:.0%} of the attention", None, f"C{n}"))
        for match, share in zip(chunk.matches, chunk.shares, strict=True):
            speaker = picture.to_label(match.turn.speaker, picture.SPEAKER_LENGTH)
            text = match.turn.text[match.start : match.end]
            rows.append((f"{speaker}: {text}", float(share), f"C{n}"))
    return rows[: picture.MAX_ROWS]


def _draw_turns(axes: Axes, rows: list[_Row]) -> None:
    for n, (_, share, colour) in enumerate(rows):
        axes.barh(n, share or 0.0, height=0.7, color=colour)
    picture.label_rows(axes, (picture.to_label(text) for text, _, _ in rows))
    for (_, share, colour), label in zip(rows, axes.get_yticklabels(), strict=True):
        if share is None:
            label.set(fontweight="bold", color=colour)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("each turn's share of all attention", fontsize="small")
