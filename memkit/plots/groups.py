"""The groups that the hash of Think-in-Memory puts thoughts into: what is near lies together."""

import zlib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from memkit.errors import InvalidInput
from memkit.memory import Memory
from memkit.plots.picture import FAINT, Picture, bare, explain_below, label
from memkit.protocols import Integers, Vectors
from memkit.records import Thought
from memkit.retrieval.windows import Floats
from memkit.thoughts.lsh import TABLES, Hash

_NAMED = 7  # groups with a colour of their own; matplotlib's eighth is grey
_MARKERS = "osD^vP*"


def groups(memory: Memory, *, user_id: str, table: int = 0) -> Picture:
    """Draw the groups of a user's thoughts: how many are in each, and where these thoughts lie.

    The thoughts that hold are embedded and hashed for the picture with the seed the store uses; it
    keeps the groups that were fitted when its thoughts last outgrew them. Places are the two
    principal components of the vectors. Cost: one embedding call for all of the thoughts.

    Args:
        memory: where the thoughts are.
        user_id: whose.
        table: which of the hash's 16 tables.

    Raises:
        InvalidInput: there are no thoughts, or no such table.
    """
    if not 0 <= table < TABLES:
        raise InvalidInput(f"table must be from 0 to {TABLES - 1}, got {table}")
    thoughts = memory.thoughts(user_id=user_id)
    if not thoughts:
        raise InvalidInput(f"{user_id!r} has no thoughts to draw; memory.think() draws them")
    vectors = np.asarray(memory.embedder.embed([one.text for one in thoughts]), dtype=np.float32)
    hashed = Hash.fitted(vectors, seed=zlib.crc32(user_id.encode()))
    group_of = hashed.groups_of(vectors)[:, table]
    figure = Picture(9, 4.6)
    sizes, places = figure.subplots(1, 2, width_ratios=(2, 3))
    largest = _sizes(bare(sizes), group_of, hashed.groups)
    _places(places, projected(vectors), group_of, largest, thoughts)
    explain_below(figure, places, columns=2)
    return figure


def projected(vectors: Vectors) -> Floats:
    """Return the first two principal components of vectors, shape (n, d), as (n, 2)."""
    centred = vectors.astype(float) - vectors.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    shown = min(2, len(lengths))
    flat[:, :shown] = left[:, :shown] * lengths[:shown]
    return flat


def _sizes(axes: Axes, group_of: Integers, groups: int) -> Integers:
    """Draw how many thoughts are in each group, largest first; return the groups in this order."""
    found, counts = np.unique(group_of, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colours = [f"C{n}" if n < _NAMED else "grey" for n in range(len(found))]
    axes.bar(range(len(found)), counts[order], color=colours)
    axes.set_xlabel(f"{len(found)} of {groups} groups in use, largest first", fontsize="small")
    axes.set_ylabel("thoughts")
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return np.asarray(found[order])


def _places(
    axes: Axes, places: Floats, group_of: Integers, largest: Integers, thoughts: Sequence[Thought]
) -> None:
    """Draw where thoughts lie, the largest groups in the colours of their bars."""
    others = ~np.isin(group_of, largest[:_NAMED])
    for n, group in enumerate(largest[:_NAMED]):
        inside = np.flatnonzero(group_of == group)
        name = label(f"{len(inside)} like: {thoughts[inside[0]].text}")
        axes.scatter(
            places[inside, 0], places[inside, 1], s=40, color=f"C{n}", marker=_MARKERS[n],
            label=name,
        )  # fmt: skip
    if others.any():
        axes.scatter(
            places[others, 0], places[others, 1], s=14, color="grey", alpha=FAINT, zorder=0,
            label=f"{others.sum()} in smaller groups",
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first principal component", fontsize="small")
    axes.set_ylabel("second principal component", fontsize="small")
