"""Chunk attention over time: which stretches of dialogue a question opens, and what it reads there.

HCAM compares a question with the keys of all chunks, opens the best, and attends inside them.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.plots.picture import (
    FAINT,
    ROW,
    ROWS,
    SPEAKER,
    Picture,
    bare,
    dated,
    label,
    name_rows,
    verbatim,
)
from memkit.protocols import Match, Snapshot, Vectors
from memkit.records import Scope, day, zoned
from memkit.retrieval import fusion
from memkit.retrieval.windows import Floats, Windows

_SHOWN = 3  # chunks whose turns are shown
_TITLE = 80  # characters
_MARKERS = "osD"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """One of the chunks that got most of the attention."""

    weight: float  # share of all attention
    matches: list[Match]  # its turns, in the order they were said
    shares: Floats  # theirs of all attention, shape (turns,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attention:
    """What a question attends to."""

    times: NDArray[np.datetime64]  # when each chunk was said, in UTC; shape (chunks,)
    weights: Floats  # each chunk's share of all attention
    best: list[int]  # the chunks with most of it, and
    opened: list[_Chunk]  # what is in them


def attention(
    memory: Memory,
    query: str,
    *,
    user_id: str,
    session_id: str | None = None,
    as_of: datetime | None = None,
) -> Picture:
    """Draw how much attention a question pays to each stretch of dialogue, and to its turns.

    Over all that was said; `recall` looks at the chunks round its candidates, which are most often
    the same. Attention is one arm of many (see `relevance`). Cost: one embedding call, and the
    cosines with every turn of the user.

    Args:
        memory: where the dialogue is.
        query: a question or any text.
        user_id: whose memory.
        session_id: only this conversation.
        as_of: only what had been said by then.

    Raises:
        InvalidInput: the question is empty, or nothing was said yet.
    """
    if not query.strip():
        raise InvalidInput("the question is empty; pass the text to look for")
    scope = Scope(user_id=user_id, session_id=session_id)
    vector = np.asarray(memory.embedder.embed([query]), dtype=np.float32)[0]
    import memkit.attention  # noqa: F401 - loads torch, and not while the store is held

    with memory.store.snapshot(scope, None if as_of is None else zoned(as_of, "as_of")) as snapshot:
        if not len(snapshot.timeline):
            raise InvalidInput(f"nothing of {user_id!r} is there to attend to; remember() it first")
        found = _attend(snapshot, vector)
    rows = _rows(found)
    height = 1.0 + ROW * len(rows)
    figure = Picture(9, 2.8 + height)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.8, height))[:, 0]
    _draw_chunks(bare(parts[0].subplots()), found)
    _draw_turns(bare(parts[1].subplots()), rows)
    verbatim([parts[0].suptitle(label(query, _TITLE), fontsize="medium")])
    return figure


def _attend(snapshot: Snapshot, vector: Vectors) -> _Attention:
    """Attend to all chunks of a scope as recall does to those round its candidates."""
    places = np.arange(len(snapshot.timeline))
    numbers = Windows(snapshot.timeline).chunks(places)
    shares = fusion.attention_scores(numbers, (snapshot.vectors(places) @ vector).astype(float))
    shares /= shares.sum()
    _, first, chunks = np.unique(numbers, return_index=True, return_inverse=True)
    weights = np.bincount(chunks, shares).astype(float)
    best = np.argsort(-weights, kind="stable")[:_SHOWN].tolist()
    opened = []
    for chunk in best:
        inside = np.flatnonzero(chunks == chunk)
        matches = snapshot.matches(inside)
        opened.append(_Chunk(weight=weights[chunk], matches=matches, shares=shares[inside]))
    times = snapshot.timeline.said_us[first].astype("datetime64[us]")
    return _Attention(times=times, weights=weights, best=best, opened=opened)


def _draw_chunks(axes: Axes, found: _Attention) -> None:
    """Draw each chunk's weight when it was said."""
    axes.vlines(found.times, 0, found.weights, color="grey", alpha=FAINT)
    axes.plot(found.times, found.weights, ".", color="grey", alpha=FAINT, clip_on=False)
    for n, chunk in enumerate(found.best):
        at, weight = found.times[chunk], found.weights[chunk]
        axes.vlines(at, 0, weight, color=f"C{n}")
        axes.plot(at, weight, _MARKERS[n], color=f"C{n}", clip_on=False)
    dated(axes, *axes.dataLim.intervalx)
    axes.set_ylim(0, found.weights.max() * 1.1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("attention")
    seen = int((found.weights > 0).sum())
    axes.set_xlabel(f"{seen} of {len(found.weights):,} chunks attended to", fontsize="small")


_Row = tuple[str, float | None, str]  # what is written, its share, and its colour


def _rows(found: _Attention) -> list[_Row]:
    """Return a row for each of the best chunks, followed by one for each of its turns."""
    rows: list[_Row] = []
    for n, chunk in enumerate(found.opened):
        said_at = chunk.matches[0].turn.said_at
        when = f"{day(said_at)}, {said_at:%H:%M}" if said_at else ""
        rows.append((f"{when}: {chunk.weight:.0%} of the attention", None, f"C{n}"))
        for match, share in zip(chunk.matches, chunk.shares, strict=True):
            words = match.turn.text[match.start : match.end]
            rows.append((f"{label(match.turn.speaker, SPEAKER)}: {words}", float(share), f"C{n}"))
    return rows[:ROWS]


def _draw_turns(axes: Axes, rows: list[_Row]) -> None:
    """Draw each turn's share of all attention, under its chunk."""
    for n, (_, share, colour) in enumerate(rows):
        axes.barh(n, share or 0.0, height=0.7, color=colour)
    name_rows(axes, (label(text) for text, _, _ in rows))
    for (_, share, colour), name in zip(rows, axes.get_yticklabels(), strict=True):
        if share is None:
            name.set(fontweight="bold", color=colour)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("each turn's share of all attention", fontsize="small")
