"""The groups of Think-in-Memory's locality-sensitive hash: similar thoughts share a group."""

import zlib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from memkit._moved import serve_old_names
from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.plots.picture import FAINT, Picture, add_legend_below, hide_frame, to_label
from memkit.protocols import Integers, Vectors
from memkit.records import Thought
from memkit.retrieval.windows import Floats
from memkit.thoughts.lsh import TABLES, Hash

_COLOURED = 7  # groups with their own colour; matplotlib's eighth colour is grey
_MARKERS = "osD^vP*"


def groups(memory: Memory, *, user_id: str, table: int = 0) -> Picture:
    """Draw the hash groups of a user's thoughts: their sizes, and where the thoughts lie.

    The thoughts that hold are embedded and hashed for the picture, with the seed of the store,
    which keeps the groups that were fitted when the thoughts last outgrew them. Positions are the
    first two principal components. `table` is one of the hash's 16. Cost: one embedding call.
    """
    if not 0 <= table < TABLES:
        raise InvalidInput(f"table must be from 0 to {TABLES - 1}, got {table}")
    thoughts = memory.thoughts(user_id=user_id)
    if not thoughts:
        raise InvalidInput(f"{user_id!r} has no thoughts to draw; call memory.think() first")
    texts = [thought.text for thought in thoughts]
    vectors = np.asarray(memory.embedder.embed(texts), dtype=np.float32)
    hashed = Hash.fitted(vectors, seed=zlib.crc32(user_id.encode()))
    group_of = hashed.groups_of(vectors)[:, table]
    figure = Picture(9, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    largest_first = _draw_sizes(hide_frame(left), group_of, hashed.groups)
    _draw_positions(right, project(vectors), group_of, largest_first, thoughts)
    add_legend_below(figure, right, columns=2)
    return figure


def project(vectors: Vectors) -> Floats:
    """Return the first two principal components of vectors, shape (n, d), as shape (n, 2)."""
    centred = vectors.astype(float) - vectors.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    components = min(2, len(lengths))
    projected = np.zeros((len(vectors), 2))
    projected[:, :components] = left[:, :components] * lengths[:components]
    return projected


def _draw_sizes(axes: Axes, group_of: Integers, groups: int) -> Integers:
    """Draw how many thoughts each group has; return the groups, largest first."""
    used, counts = np.unique(group_of, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colours = [f"C{n}" if n < _COLOURED else "grey" for n in range(len(used))]
    axes.bar(range(len(used)), counts[order], color=colours)
    axes.set_xlabel(f"{len(used)} of {groups} groups in use, largest first", fontsize="small")
    axes.set_ylabel("thoughts")
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return np.asarray(used[order])


def _draw_positions(
    axes: Axes,
    positions: Floats,
    group_of: Integers,
    largest_first: Integers,
    thoughts: Sequence[Thought],
) -> None:
    """Draw where the thoughts lie, the largest groups in the colours of their bars."""
    coloured = largest_first[:_COLOURED]
    grey = ~np.isin(group_of, coloured)
    for n, group in enumerate(coloured):
        inside = np.flatnonzero(group_of == group)
        axes.scatter(
            positions[inside, 0], positions[inside, 1], s=40, color=f"C{n}", marker=_MARKERS[n],
            label=to_label(f"{len(inside)} like: {thoughts[inside[0]].text}"),
        )  # fmt: skip
    if grey.any():
        axes.scatter(
            positions[grey, 0], positions[grey, 1], s=14, color="grey", alpha=FAINT, zorder=0,
            label=f"{grey.sum()} in smaller groups",
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first principal component", fontsize="small")
    axes.set_ylabel("second principal component", fontsize="small")


serve_old_names(__name__)
