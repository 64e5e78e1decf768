"""From options to a file: what `python -m evals thoughts` does, for the command and for tests."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import import_module
from typing import Any

from evals.bench.result import Cell
from evals.stats.bootstrap import RESAMPLES
from evals.thoughts import WHATS, Measured, Options
from memkit.errors import InvalidInput
from memkit.protocols import Embedder


def measure(what: str, options: Options, embedder: Embedder) -> Measured:
    """Measure one thing of thoughts.

    Args:
        what: one of `WHATS`.
        options: on what, and how.
        embedder: of the memory and of the baselines.

    Raises:
        InvalidInput: there is no such thing to measure, or the data are not what it needs.
    """
    if what not in WHATS:
        raise InvalidInput(f"nothing to measure is called {what!r}; there are {', '.join(WHATS)}")
    if WHATS[what] and not options.data:
        raise InvalidInput(f"give --data PATH: {WHATS[what]}")
    measured: Measured = import_module(f"evals.thoughts.{what}").run(options, embedder)
    settings: dict[str, Cell] = {
        "resamples": RESAMPLES,
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as torch takes"),
    }
    results = [replace(one, settings={**one.settings, **settings}) for one in measured.results]
    return replace(measured, results=results)


def written(stamp: Mapping[str, object], measured: Measured) -> str:
    """Return a result file's text: the stamp, the results, then a line per outcome."""
    results = [asdict(one) for one in measured.results]
    head = json.dumps({**stamp, "results": results}, indent=1, ensure_ascii=False)
    lines = [_line(one) for one in measured.outcomes]
    outcomes = ' "outcomes": [\n' + ",\n".join(lines) + "\n ]"
    return ",\n".join([head.removesuffix("\n}"), outcomes]) + "\n}\n"


def _line(outcome: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in outcome.items() if v is not None}, ensure_ascii=False)
