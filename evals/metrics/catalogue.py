"""The catalogue of metrics: layer, direction, unit, source and definition of each.

catalogue.toml holds the definitions, so that they can be read and reviewed as one table.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Better = Literal["higher", "lower"]
Layer = Literal["parametric", "contextual", "external", "episodic", "over time", "cost"]
LAYERS: tuple[Layer, ...] = (
    "parametric", "contextual", "external", "episodic", "over time", "cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The definition of one metric."""

    name: str  # as the card prints it
    layer: Layer
    better: Better
    unit: str
    definition: str  # one sentence
    source: str


def _read() -> Mapping[str, Metric]:
    file = Path(__file__).with_name("catalogue.toml")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        name: Metric(
            name=name, layer=layer, better=better, unit=unit, definition=definition,
            source=tables["sources"].get(source, source),
        )
        for layer in LAYERS
        for name, better, unit, source, definition in tables[layer]
    }  # fmt: skip


METRICS: Mapping[str, Metric] = _read()  # by name
