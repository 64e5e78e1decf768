"""Agreement of raters or judges: Krippendorff's alpha of a file of ratings.

Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; the bootstrap resamples
items, as Zhang et al. 2025, 4.1.5, asks.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.stats.bootstrap import RANGE
from evals.stats.interval import Interval
from memkit.errors import InvalidInput

COLUMNS = ("item", "rater", "rating")
RESAMPLES = 1000

Counts = NDArray[np.int64]  # shape (items, values): how many raters gave an item a value
Values = NDArray[Any]  # shape (values,): the distinct ratings, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """The rating of one item by one rater."""

    item: str
    rater: str
    rating: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Krippendorff's alpha: 1 is perfect agreement, 0 is chance."""

    alpha: Interval  # its n is the number of items with two or more ratings
    level: str
    raters: int
    ratings: int  # of those items
    alone: int  # items with one rating, which say nothing about agreement


def read(path: Path) -> list[Rating]:
    """Read ratings from CSV with a header, or from JSON lines (.jsonl, .ndjson).

    Both have item, rater and rating; other columns and empty ratings are ignored.

    Raises:
        InvalidInput: the file cannot be read, or a line lacks one of the three.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}; give a UTF-8 file") from error
    lines = _json_lines(text, path) if path.suffix in (".jsonl", ".ndjson") else _csv(text, path)
    ratings = [_rating(line, f"{path} line {n}") for n, line in lines]
    if not ratings:
        raise InvalidInput(f"{path} has no ratings; give one per line: {', '.join(COLUMNS)}")
    return [rating for rating in ratings if rating.rating]


def _csv(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    rows = csv.DictReader(text.splitlines())
    if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
        raise InvalidInput(f"{path} has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
    for row in rows:
        yield rows.line_num, row


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    for n, line in enumerate(text.splitlines(), 1):
        try:
            if line.strip():
                yield n, json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{path} line {n} is not JSON: {error}") from error


def _rating(row: Any, where: str) -> Rating:
    if not isinstance(row, dict):
        raise InvalidInput(f"{where} is no JSON object with {', '.join(COLUMNS)}")
    texts = {}
    for name in COLUMNS:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidInput(f"{where}: {name!r} must be a text or a number, got {value!r}")
        texts[name] = str(value).strip()
    if not texts["item"] or not texts["rater"]:
        raise InvalidInput(f"{where}: a rating needs an item and a rater")
    return Rating(**texts)


def agreement(ratings: Sequence[Rating], level: str, *, seed: int = 0) -> Agreement:
    """Return Krippendorff's alpha with a 95 % interval that resamples items.

    Args:
        ratings: at most one per item and rater; gaps are fine.
        level: "nominal" compares for equality, "ordinal" and "interval" need numbers.
        seed: of the resampling.

    Raises:
        InvalidInput: a rater rated an item twice, a rating is no number where it must be, no item
            has two ratings, or all ratings are equal, where alpha has no value.
    """
    for (item, rater), n in Counter((r.item, r.rater) for r in ratings).items():
        if n > 1:
            raise InvalidInput(
                f"rater {rater!r} rated item {item!r} more than once; keep one of them"
            )
    raters = Counter(rating.item for rating in ratings)
    pairable = [rating for rating in ratings if raters[rating.item] > 1]
    if not pairable:
        raise InvalidInput("no item has ratings of two raters, so there is no agreement to compute")
    values, columns = np.unique([_value(rating, level) for rating in pairable], return_inverse=True)
    if len(values) < 2:
        raise InvalidInput(
            f"all ratings are {pairable[0].rating!r}: alpha has no value where nothing varies"
        )
    items, rows = np.unique([rating.item for rating in pairable], return_inverse=True)
    counts = np.zeros((len(items), len(values)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return Agreement(
        alpha=_interval(counts, values, level, seed),
        level=level,
        raters=len({rating.rater for rating in pairable}),
        ratings=len(pairable),
        alone=sum(n == 1 for n in raters.values()),
    )


def _value(rating: Rating, level: str) -> str | float:
    if level == "nominal":
        return rating.rating
    try:
        value = float(rating.rating)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InvalidInput(
            f"item {rating.item!r}: {rating.rating!r} is no number, which {level} ratings must be; "
            "number the grades, or take them as nominal"
        )
    return value


def _interval(counts: Counts, values: Values, level: str, seed: int) -> Interval:
    value, n = _alpha(counts, values, level), len(counts)
    if n < 2:
        return Interval(value=value, n=n)
    rng = np.random.default_rng(seed)
    resampled = (counts[rng.integers(0, n, n)] for _ in range(RESAMPLES))
    # a resample in which nothing varies has no alpha
    varied = (counts for counts in resampled if (counts.sum(axis=0) > 0).sum() > 1)
    low, high = np.percentile([_alpha(counts, values, level) for counts in varied], RANGE)
    return Interval(value=value, low=float(low), high=float(high), n=n)


def _alpha(counts: Counts, values: Values, level: str) -> float:
    import krippendorff

    # nominal values are compared for equality only, and may be texts
    domain = np.arange(len(values)) if level == "nominal" else values
    return float(
        krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level)
    )
