"""Thresholds that were written down before a card was made, as a TOML file says them.

Source: Zhang et al. 2025, section 5 (S4: pre-register and publish thresholds).
"""

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from evals.card.records import REGIMES
from evals.metrics.catalogue import METRICS
from memkit.errors import InvalidInput

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What one metric of one system has to reach. It holds wherever its metric was measured.

    Raises:
        InvalidInput: the metric or regime is not known, or there is no bound that can be met.
    """

    metric: str  # a name of the catalogue
    system: str
    data: str = ANY  # a data set's name, or all of them
    regime: str = ANY
    group: str = "all"  # a kind of question
    min: float | None = None  # the later card's figure has to reach it
    max: float | None = None  # or not to exceed it
    max_drop: float | None = None  # it may be worse than the earlier card by no more than that
    optional: bool = False  # what could not be checked does not fail

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise InvalidInput(f"no metric {self.metric!r}; the catalogue has {_near(self.metric)}")
        if self.regime not in (ANY, *REGIMES):
            raise InvalidInput(f"no regime {self.regime!r}; there are {', '.join(REGIMES)}")
        if self.min is None and self.max is None and self.max_drop is None:
            raise InvalidInput(f"{self.metric!r} has no bound: give min, max or max_drop")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidInput(f"{self.metric!r}: min {self.min:g} is above max {self.max:g}")
        if self.max_drop is not None and self.max_drop < 0:
            raise InvalidInput(f"{self.metric!r}: max_drop is how much worse, 0 or more")
        if self.max_drop is not None and self.group != "all":
            raise InvalidInput(f"{self.metric!r}: max_drop is checked for all kinds at once")

    def holds_for(self, data: str, regime: str) -> bool:
        """Return whether it is about this data set in this regime."""
        return self.data in (ANY, data) and self.regime in (ANY, regime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Thresholds, and which file they stand in."""

    thresholds: tuple[Threshold, ...]
    file: str  # its name, without the folder
    sha256: str  # so that nobody can say they were others


def read(path: Path) -> Registered:
    """Read a file of `[[threshold]]` tables.

    Raises:
        InvalidInput: it cannot be read, has none, or says what is not known; the message names
            the threshold and the key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error
    try:
        given = tomllib.loads(content.decode())
    except ValueError as error:  # no TOML, or no UTF-8
        raise InvalidInput(f"{path} is no TOML: {error}") from error
    tables = given.get("threshold")
    if set(given) - {"threshold"} or not isinstance(tables, list) or not tables:
        raise InvalidInput(f"{path} has to hold [[threshold]] tables, one or more, and only those")
    found = [_threshold(table, f"{path}: threshold {n}") for n, table in enumerate(tables, 1)]
    digest = hashlib.sha256(content).hexdigest()
    return Registered(thresholds=tuple(found), file=path.name, sha256=digest)


def _threshold(table: object, where: str) -> Threshold:
    if not isinstance(table, Mapping):
        raise InvalidInput(f"{where} is no table")
    known = {one.name: one.type for one in fields(Threshold)}
    if unknown := sorted(set(table) - set(known)):
        raise InvalidInput(f"{where} has no key {unknown[0]!r}; there are {', '.join(known)}")
    if missing := [name for name in ("metric", "system") if name not in table]:
        raise InvalidInput(f"{where} needs a {missing[0]}")
    for name, value in table.items():
        if not _fits(known[name], value):
            raise InvalidInput(f"{where}: {name} is {known[name]}, not {value!r}")
    try:
        return Threshold(**table)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def _fits(kind: object, value: object) -> bool:
    """Return whether a value is what a field holds; TOML knows inf and nan, which bound nothing."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, int | float) and math.isfinite(value)


def _near(name: str) -> str:
    """Return the metrics whose name is nearest."""
    from difflib import get_close_matches

    return ", ".join(get_close_matches(name, METRICS, n=3, cutoff=0.0))
