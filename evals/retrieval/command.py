"""From paths to results: what `python -m evals retrieval` does, for the command and for tests."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evals.bench.result import Cell, Result
from evals.data import locomo, longmemeval
from evals.data.haystack import SPLITS, DataSet, Split
from evals.metrics.retrieval import BUDGETS, CUTS, DEPTH, SERVED
from evals.retrieval import confidence, figures, records
from evals.retrieval.run import Outcome, Watch, embedding_ms, nobody, run
from evals.retrieval.tables import Measured, result
from evals.stats.bootstrap import RESAMPLES
from evals.studies import ablation
from evals.systems.cache import CachedEmbedder, default_folder
from evals.systems.memkit import OURS
from evals.systems.protocol import Make
from evals.systems.registry import SYSTEMS
from memkit.errors import InvalidInput
from memkit.protocols import Embedder

FORMATS = ("locomo", "longmemeval")
_TIMED = 20  # questions embedded once more, to say what that costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, on what."""

    data: Sequence[str]  # FORMAT=PATH
    audit: Path | None = None
    limit: int | None = None  # conversations of each file
    seed: int = 0
    systems: Sequence[str] = ()  # all of them if empty
    ablate: bool = False  # memkit without each arm of its ranking too
    cache: Path | None = None


def read(options: Options) -> list[DataSet]:
    """Read all files named.

    Raises:
        InvalidInput: an unknown format, a file that cannot be read or has another shape.
    """
    named = [_named(spec) for spec in options.data]
    if not named:
        raise InvalidInput(f"nothing to measure on: give --data FORMAT=PATH, {_formats()}")
    if options.limit is not None and options.limit < 1:
        raise InvalidInput(f"limit must be at least 1, got {options.limit}")
    if options.audit is not None and "locomo" not in [format for format, _ in named]:
        raise InvalidInput("--audit is of LoCoMo's evidence: give --data locomo=PATH as well")
    return [
        locomo.read(path, limit=options.limit, audit=options.audit)
        if format == "locomo"
        else longmemeval.read(path, limit=options.limit)
        for format, path in named
    ]


def _named(spec: str) -> tuple[str, Path]:
    format, found, path = spec.partition("=")
    if format not in FORMATS or not found or not path:
        raise InvalidInput(f"--data {spec!r} is not FORMAT=PATH; {_formats()}")
    return format, Path(path)


def _formats() -> str:
    return f"formats are {' and '.join(FORMATS)}, e.g. --data {FORMATS[0]}=locomo10.json"


def measure(
    options: Options, embedder: Embedder, watch: Watch = nobody, *, timed: int = _TIMED
) -> dict[str, Any]:
    """Measure all that is asked for; return what a result file holds but for its stamp.

    Args:
        options: what, and on what.
        embedder: turns text into vectors, for memkit and for the dense baselines alike.
        watch: told how far it is: stage, done, total.
        timed: how many questions are embedded past the cache, to time that.
    """
    chosen = _systems(options)
    results: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    questions: list[dict[str, Any]] = []
    for data in read(options):
        with CachedEmbedder(embedder, options.cache or default_folder()) as cached:
            outcomes = run(data, chosen, cached, watch)
            ablated = ablation.ask(data, cached, watch) if options.ablate else []
        times = embedding_ms(embedder, data, timed)
        for split in SPLITS:
            if any(one.split == split for one in outcomes):
                part = _split(data, split, outcomes, options.seed)
                told = result(part, times, _settings(options, embedder))
                results.append(asdict(_with_ablations(told, part, ablated)))
                of = {"data": data.file, "split": split}
                found += [{**of, **line} for line in records.figures(part.figures)]
        questions += [{"data": data.file, **line} for line in records.questions(outcomes)]
    return {"results": results, "figures": found, "questions": questions}


def _systems(options: Options) -> dict[str, Make]:
    """Return the systems asked for by name."""
    unknown = [name for name in options.systems if name not in SYSTEMS]
    if unknown:
        raise InvalidInput(f"no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")
    if options.ablate and options.systems and OURS not in options.systems:
        raise InvalidInput(f"--ablate tells what {OURS}'s arms add: give --system {OURS} as well")
    return {name: SYSTEMS[name] for name in options.systems or SYSTEMS}


def _with_ablations(told: Result, part: Measured, ablated: Sequence[Outcome]) -> Result:
    """Return a split's result with the table of its ablations, if there are any."""
    theirs = [one for one in ablated if one.split == part.split]
    if not theirs:
        return told
    ours = [one for one in part.outcomes if one.system == OURS]
    return replace(told, tables=[*told.tables, ablation.table(ours, theirs, part.seed)])


def _split(data: DataSet, split: Split, outcomes: Sequence[Outcome], seed: int) -> Measured:
    """Return what was measured of one split."""
    theirs = [one for one in outcomes if one.split == split]
    tuning = [one for one in outcomes if one.split == "tuning"]
    return Measured(
        data=data,
        split=split,
        outcomes=theirs,
        figures=figures.compute(theirs, data.golds, seed),
        thresholds=confidence.thresholds(tuning),
        seed=seed,
    )


def _settings(options: Options, embedder: Embedder) -> dict[str, Cell]:
    return {
        "embedder": str(embedder.fingerprint),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as torch takes"),
        "limit": options.limit,
        "cuts": ", ".join(map(str, CUTS)),
        "depth": DEPTH,
        "served": SERVED,
        "budgets": ", ".join(map(str, BUDGETS)),
        "resamples": RESAMPLES,
    }


def written(stamp: Mapping[str, object], measured: Mapping[str, Any]) -> str:
    """Return a result file's text: the stamp, the results, then a line per figure and question."""
    head = json.dumps({**stamp, "results": measured["results"]}, indent=1, ensure_ascii=False)
    parts = [head.removesuffix("\n}")]
    for name in ("figures", "questions"):
        lines = [json.dumps(one, ensure_ascii=False) for one in measured[name]]
        parts.append(f' "{name}": [\n' + ",\n".join(lines) + "\n ]")
    return ",\n".join(parts) + "\n}\n"


def without_folders(argument: str) -> str:
    """Return a command's argument with a file's name in place of its path.

    >>> without_folders("locomo=/home/ann/locomo10.json")
    'locomo=locomo10.json'
    """
    head, given, rest = argument.partition("=")
    if given and "/" not in head:
        return f"{head}={without_folders(rest)}"
    return Path(argument).name
