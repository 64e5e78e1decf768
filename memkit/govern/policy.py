"""The gate's policy: thresholds from a versioned file, and which of them a step misses."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from memkit.errors import InvalidInput

FILE = Path(__file__).with_suffix(".toml")
_EXACT = 1e-9  # shares are sums of fractions


@dataclass(frozen=True, slots=True)
class Score:
    """A share of answered questions, or another figure, and of how many it is the mean."""

    value: float
    n: int


Scores = Mapping[str, Score]  # by the name of a part of `Policy`; what was not measured is missing


@dataclass(frozen=True, slots=True)
class Limit:
    """The least value of a score, and how far a step may lower it."""

    least: float
    fall: float

    def find_breach(self, before: Score | None, after: Score) -> str | None:
        """Return what is wrong if a step lowers a score too far, or to below the least value.

        Of so few questions that one of them is more than `fall`, one less is allowed. Without
        `before` only the least value counts.
        """
        old, question = math.inf if before is None else before.value, 1 / after.n
        fall = old - after.value
        if before and fall > max(self.fall, question) + _EXACT:
            return f"falls from {old:.3f} to {after.value:.3f} (by at most {self.fall:g})"
        counts = question <= self.fall or fall > question + _EXACT
        if counts and after.value < min(old, self.least) - _EXACT:
            return f"is {after.value:.3f} (at least {self.least:g})"
        return None


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike thoughts are of which one replaces or repeats the other; see policy.toml."""

    mean: float
    spread: float
    deviations: float

    def least(self, n: int) -> float:
        """Return the least mean likeness of `n` pairs."""
        return self.mean - self.deviations * self.spread / math.sqrt(n)

    def find_breach(self, _: Score | None, after: Score) -> str | None:
        """Return what is wrong if the pairs of a step are less alike than changes are."""
        if after.value < (least := self.least(after.n)):
            return f"of {after.n} changes is {after.value:.3f} (at least {least:.3f})"
        return None


@dataclass(frozen=True, slots=True)
class Changes:
    """How many older thoughts a reflection may close or merge."""

    always: int
    per_thought: float

    def find_breach(self, _: Score | None, after: Score) -> str | None:
        """Return what is wrong if too many are changed; `after` is per thought."""
        if after.value * after.n > max(self.always, self.per_thought * after.n) + _EXACT:
            return f"are {after.value:.2f} per new thought (at most {self.per_thought:g})"
        return None


@dataclass(frozen=True, slots=True)
class Footprint:
    """How much a step may store."""

    growth: float

    def find_breach(self, _: Score | None, after: Score) -> str | None:
        """Return what is wrong if the thoughts are much longer than what was read for them."""
        if after.value > self.growth:
            return f"is {after.value:.2f} times what was read (at most {self.growth:g})"
        return None


@dataclass(frozen=True, slots=True)
class Least:
    """The least value of a share."""

    least: float

    def find_breach(self, _: Score | None, after: Score) -> str | None:
        """Return what is wrong if the share is less."""
        if after.value < self.least - _EXACT:
            return f"is {after.value:.3f} (at least {self.least:g})"
        return None


@dataclass(frozen=True, slots=True)
class Most:
    """The greatest value of a count."""

    most: float

    def find_breach(self, _: Score | None, after: Score) -> str | None:
        """Return what is wrong if the count is greater."""
        if after.value > self.most:
            return f"is {after.value:g} (at most {self.most:g})"
        return None


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many questions are asked before and after a step."""

    kept: int
    near: int
    fresh: int
    superseded: int


class Threshold(Protocol):
    """Decides about one score."""

    def find_breach(self, before: Score | None, after: Score, /) -> str | None:
        """Return what is wrong with a step; None if the threshold holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The thresholds of the gate; policy.toml explains each of them."""

    version: int
    probes: Sizes
    kept: Limit
    worst: Limit
    fresh: Limit
    superseded: Limit
    nearest: Limit
    likeness: Likeness
    changes: Changes
    footprint: Footprint
    current: Least
    tokens: Most

    @classmethod
    def load(cls, path: str | PathLike[str] = FILE) -> "Policy":
        """Read a policy from a TOML file; the default is memkit's own.

        Raises:
            InvalidInput: the file cannot be read, or a value is missing, unknown or no number.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"the policy {path} cannot be read: {error}") from error
        _check_names(path, "", data, [field.name for field in fields(cls)])
        if not isinstance(data["version"], int):
            raise InvalidInput(f"the policy {path}: version must be a whole number")
        parts = {
            field.name: _read_part(path, field.name, field.type, data[field.name])
            for field in fields(cls)
            if field.name != "version"
        }
        return cls(version=data["version"], **parts)

    def find_breaches(self, before: Scores, after: Scores) -> Iterator[str]:
        """Yield one sentence per threshold that a step misses."""
        for name, score in after.items():
            part: Threshold = getattr(self, name)
            if breach := part.find_breach(before.get(name), score):
                yield f"{name} {breach}"


def _read_part(path: str | PathLike[str], name: str, kind: Any, values: Any) -> Any:
    """Return one table of the file as its dataclass."""
    if not isinstance(values, dict):
        raise InvalidInput(f"the policy {path}: {name} must be a table")
    _check_names(path, f"{name}.", values, [field.name for field in fields(kind)])
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InvalidInput(f"the policy {path}: {name}.{key} must be a number, got {value!r}")
    return kind(**values)


def _check_names(
    path: str | PathLike[str], prefix: str, values: Mapping[str, Any], names: list[str]
) -> None:
    missing, unknown = sorted(set(names) - set(values)), sorted(set(values) - set(names))
    for problem, wrong in (("lacks", missing), ("has unknown", unknown)):
        if wrong:
            raise InvalidInput(
                f"the policy {path} {problem} {', '.join(prefix + name for name in wrong)}; "
                f"compare it with {FILE}"
            )


def to_counts(before: Scores, after: Scores) -> dict[str, int]:
    """Return scores as the ledger has them: "kept before" and "kept after", in thousandths."""
    return {
        f"{name} {when}": round(1000 * score.value)
        for when, scores in (("before", before), ("after", after))
        for name, score in scores.items()
    }
