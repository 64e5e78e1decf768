"""The trained part of ranking: how much each signal counts, and what a score is worth.

Talk differs. Where a question repeats the words of its answer, words find it; where a person asks
in other words, vectors do. What a question finds says which case it is: how far the best match of
words leads the tenth, how near the nearest vector is. So every weight is a function of such
features: softplus(base + slopes · features), divided by the sum of all weights.
`training/rank.py` writes `ranker.toml`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from memkit.retrieval.windows import Floats

WIDEST = 2.0  # standard deviations from the mean
FILE = Path(__file__).with_name("ranker.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The logistic model of a hit's relevance: what is multiplied by what."""

    lead: float  # by how much it scores more than the tenth hit
    log_rank: float  # by the logarithm of its rank, from 1
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranker:
    """The weights of k signals as functions of q features of a question."""

    signals: tuple[str, ...]
    features: tuple[str, ...]
    base: Floats  # shape (k,)
    slopes: Floats  # shape (k, q)
    means: Floats  # of the features in training, shape (q,)
    spreads: Floats  # their standard deviations, shape (q,)
    calibration: Calibration

    def weights(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return the weight of each signal for a question; they are positive and sum to 1."""
        values = np.array([features[name] for name in self.features])
        # clipped: beyond what was seen in training a slope says nothing
        standard = np.clip((values - self.means) / self.spreads, -WIDEST, WIDEST)
        raw = np.logaddexp(0, self.base + self.slopes @ standard)
        return dict(zip(self.signals, (raw / raw.sum()).tolist(), strict=True))


@cache
def bundled_ranker() -> Ranker:
    """Return the ranker that memkit ships."""
    return from_tables(tomllib.loads(FILE.read_text(encoding="utf-8")))


def from_tables(tables: Mapping[str, Any]) -> Ranker:
    """Return a ranker from the tables of a TOML file, as `to_toml` writes them."""
    features, signals = tables["features"], tables["signals"]
    slopes = [[row["slopes"][name] for name in features] for row in signals.values()]
    return Ranker(
        signals=tuple(signals),
        features=tuple(features),
        base=np.array([row["base"] for row in signals.values()]),
        slopes=np.array(slopes).reshape(len(signals), len(features)),
        means=np.array([row["mean"] for row in features.values()]),
        spreads=np.array([row["spread"] for row in features.values()]),
        calibration=Calibration(**tables["relevance"]),
    )


def to_toml(ranker: Ranker) -> str:
    """Return a ranker as TOML: a line for each feature, for each signal, and the calibration.

    >>> from_tables(tomllib.loads(to_toml(bundled_ranker()))).signals == bundled_ranker().signals
    True
    """
    lines = ["[features]"]
    lines += [
        f'"{name}" = {{ mean = {mean:.4f}, spread = {spread:.4f} }}'
        for name, mean, spread in zip(ranker.features, ranker.means, ranker.spreads, strict=True)
    ]
    lines += ["", "[signals]"]
    for name, base, row in zip(ranker.signals, ranker.base, ranker.slopes, strict=True):
        slopes = ", ".join(
            f'"{feature}" = {slope:.4f}'
            for feature, slope in zip(ranker.features, row, strict=True)
        )
        lines.append(f'"{name}" = {{ base = {base:.4f}, slopes = {{ {slopes} }} }}')
    lines += ["", "[relevance]"]
    lines += [f"{name} = {value:.4f}" for name, value in asdict(ranker.calibration).items()]
    return "\n".join(lines) + "\n"
