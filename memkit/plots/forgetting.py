"""HEMA's forgetting curve: what a chunk weighs when it has got old."""

from dataclasses import replace

import numpy as np

from memkit.background.pruning import Forgetting, retention_weights
from memkit.plots.picture import FAINT, Picture, bare, explain_below
from memkit.protocols import ChunkAge

_HALF_LIVES = 4  # of freshness, that are drawn


def forgetting(policy: Forgetting | None = None) -> Picture:
    """Draw the weight of a chunk by its age, retrieved lately or not, with both signs of the bonus.

    The lowest weights are hidden first. `sign="intended"` rewards what was retrieved lately, as the
    paper's text says; `sign="printed"` what was not, as its formula does.

    Args:
        policy: the constants; HEMA's if left out. Both signs are drawn, whichever it has.
    """
    policy = policy or Forgetting()
    half_life = np.log(2) / policy.rate if policy.rate > 0 else 0.0  # 0: nothing is ever lost
    oldest = max(_HALF_LIVES * half_life, policy.interval)
    turns = np.unique(np.linspace(0, oldest, 200).astype(int)).tolist()
    figure = Picture(9, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    signs = (replace(policy, sign="intended"), replace(policy, sign="printed"))
    for axes, signed in zip(panels, signs, strict=True):
        for lately, style in ((True, "-"), (False, "--")):
            weights = retention_weights([_aged(turn, lately) for turn in turns], 0, signed)
            name = "retrieved lately" if lately else "not retrieved lately"
            bare(axes).plot(turns, weights, style, label=name)
        if half_life:
            axes.axvline(half_life, color="grey", alpha=FAINT, linestyle=":")
        axes.set_title(f'sign="{signed.sign}"', fontsize="medium")
        axes.set_xlabel("age in turns; dotted: half of the freshness is gone", fontsize="small")
    panels[0].set_ylabel("weight")
    panels[0].set_ylim(bottom=0)
    explain_below(figure, panels[0], columns=2)
    return figure


def _aged(turns: int, lately: bool) -> ChunkAge:
    """Return a chunk that was said so many turns before turn 0."""
    return ChunkAge(id="", position=-turns, retrieved=0 if lately else None, hidden=False)
