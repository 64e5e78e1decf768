"""HEMA's forgetting curve: the weight of a chunk by its age."""

from dataclasses import replace

import numpy as np

from memkit.background.pruning import retention_weights
from memkit.plots.picture import FAINT, Picture, add_legend_below, hide_frame
from memkit.policy import Forgetting
from memkit.protocols import ChunkAge

_HALF_LIVES = 4  # of freshness, on the x axis


def forgetting(policy: Forgetting | None = None) -> Picture:
    """Draw the weight of a chunk by age, retrieved lately or not, with both signs of the bonus.

    Pruning hides the lowest weights first. With `sign="intended"` recent retrieval raises a weight,
    as the paper's text says; with `sign="printed"` it lowers the weight, as its formula says.
    """
    policy = policy or Forgetting()
    half_life = np.log(2) / policy.rate if policy.rate > 0 else 0.0  # 0: freshness never decays
    oldest = max(_HALF_LIVES * half_life, policy.interval)
    ages = np.unique(np.linspace(0, oldest, 200).astype(int)).tolist()
    figure = Picture(9, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    signs = (replace(policy, sign="intended"), replace(policy, sign="printed"))
    for axes, signed in zip(panels, signs, strict=True):
        for lately, style in ((True, "-"), (False, "--")):
            chunks = [
                ChunkAge(id="", position=-age, retrieved=0 if lately else None, hidden=False)
                for age in ages  # a chunk that was said so many turns before turn 0
            ]
            label = "retrieved lately" if lately else "not retrieved lately"
            hide_frame(axes).plot(ages, retention_weights(chunks, 0, signed), style, label=label)
        if half_life:
            axes.axvline(half_life, color="grey", alpha=FAINT, linestyle=":")
        axes.set_title(f'sign="{signed.sign}"', fontsize="medium")
        axes.set_xlabel("age in turns; dotted: half of the freshness is gone", fontsize="small")
    panels[0].set_ylabel("weight")
    panels[0].set_ylim(bottom=0)
    add_legend_below(figure, panels[0], columns=2)
    return figure
