"""The minimum reproducibility disclosure, filled in by the program.

What the program cannot know is listed with the reason, and never guessed; a config may tell it
under `[disclosure]`. Source: Zhang et al. 2025, table 4.3 and appendix A.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.card.records import REGIMES, Audit
from evals.stats import bootstrap as statistics
from evals.stats.testing import RESAMPLES
from memkit.errors import InvalidInput
from memkit.models.bundled import GGUF_SHA256

_LEAKAGE, _TEMPORAL = "leakage: ", "temporal: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a run knows of itself."""

    config: Mapping[str, Any]  # as `config.told` tells it
    stamp: Mapping[str, Any]  # of `evals.bench.result.stamp`
    data: Sequence[Mapping[str, Any]]  # descriptions: name, format, file, sha256, counts, …
    audits: Sequence[Audit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the disclosure."""

    field: str  # of the paper's table
    name: str
    read: Callable[[Facts], object]  # None or empty: not known
    why: str  # it is missing then


def _config(*path: str) -> Callable[[Facts], object]:
    return lambda facts: _within(facts.config, path)


def _stamp(name: str) -> Callable[[Facts], object]:
    return lambda facts: facts.stamp.get(name)


def _untold(_: Facts) -> object:
    return None


def _always(told: str) -> Callable[[Facts], object]:
    return lambda _: told


def _if_used(part: str, *path: str, absent: str) -> Callable[[Facts], object]:
    """Return a setting of the model or the judge; that none was used is known too."""
    return lambda facts: _within(facts.config, (part, *path)) if facts.config.get(part) else absent


def _within(table: object, path: Sequence[str]) -> object:
    for key in path:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _each(*keys: str) -> Callable[[Facts], object]:
    """Return these keys of every data set that has one of them."""
    return lambda facts: {
        str(one.get("name")): told
        for one in facts.data
        if (told := {key: one[key] for key in keys if one.get(key) not in (None, "", {})})
    }


def _audited(prefix: str) -> Callable[[Facts], object]:
    return lambda facts: [
        {
            "audit": one.name,
            "data": one.data,
            "system": one.system,
            "checked": one.checked,
            "impact_fraction": one.violations / one.checked if one.checked else None,
            "threshold": one.threshold,
            "passed": one.passed,
            "method": one.note,
        }
        for one in facts.audits
        if one.name.startswith(prefix)
    ]


def _claim(facts: Facts) -> str | None:
    systems = facts.config.get("systems")
    if not systems:
        return None
    many = f"paired comparison of {len(systems)} systems on the same questions"
    return many if len(systems) > 1 else "measurement of one system"


def _study(facts: Facts) -> str | None:
    name, commit = facts.config.get("name"), facts.stamp.get("commit")
    return f"{name}@{str(commit)[:12]}" if name and commit not in (None, "", "unknown") else None


def _regimes(facts: Facts) -> Mapping[str, bool] | None:
    run = facts.config.get("regimes")
    return {one: one in run for one in REGIMES} if run else None


def _updates(facts: Facts) -> str | None:
    run, steps = facts.config.get("regimes") or (), facts.config.get("steps")
    online = f"; online: {steps} maintenance steps, asked after each" if "online" in run else ""
    told = "replay: what was said before a question, and nothing is written while it is asked"
    return f"{told}{online}" if run else None


def _checkpoint(facts: Facts) -> object:
    """Return what names the model's weights: a revision, or the hash of the bundled file."""
    model = facts.config.get("model")
    if not model:
        return _NO_MODEL
    return f"sha256 {GGUF_SHA256}" if model.get("kind") == "smollm2" else model.get("revision")


def _failed(facts: Facts) -> list[str] | str | None:
    if not facts.audits:
        return None
    return [
        ", ".join(part for part in (one.name, one.data, one.system) if part)
        for one in facts.audits
        if not one.passed
    ] or "none"


_TIME, _LEAK, _MEANS = "temporal_governance", "leakage_overlap_auditing", "implementation_resources"
_LIMITS = "limitations_and_robustness"
_WEIGHTS = "the makers of the model, and of the embedder, do not say what they were trained on"
_NO_MODEL = "none: only what needs no model is scored"
ITEMS: tuple[Item, ...] = (
    Item(field="", name="study_id", read=_study, why="the run was made outside a git checkout"),
    Item(field="", name="claim_type", read=_claim, why="the config names no systems"),
    Item(field=_TIME, name="train_window", read=_untold, why=_WEIGHTS),
    Item(
        field=_TIME,
        name="index_or_session_store",
        read=_each("format", "file", "sha256", "seed"),
        why="no data set was described",
    ),
    Item(field=_TIME, name="store_updates", read=_updates, why="the config names no regimes"),
    Item(
        field=_TIME,
        name="deduplication",
        read=_always("none by the harness; what a system does is its own affair"),
        why="",
    ),
    Item(
        field=_TIME,
        name="test_window",
        read=_each("first", "last"),
        why="no turn of the data sets has a date",
    ),
    Item(field=_TIME, name="audits", read=_audited(_TEMPORAL), why="no temporal audit was made"),
    Item(field=_LEAK, name="audits", read=_audited(_LEAKAGE), why="no leakage audit was made"),
    Item(
        field=_LEAK,
        name="train ∩ test, train ∩ index",
        read=_audited(f"{_LEAKAGE}train ∩"),
        why=f"no training texts were given (train in the config); {_WEIGHTS}",
    ),
    Item(
        field=_LEAK,
        name="excluded",
        read=_always("nothing: what an audit finds is reported and stays in"),
        why="",
    ),
    Item(field=_MEANS, name="model", read=_if_used("model", absent=_NO_MODEL), why=""),
    Item(
        field=_MEANS,
        name="checkpoint",
        read=_checkpoint,
        why="the config gives no revision of the model's weights",
    ),
    Item(
        field=_MEANS,
        name="decoding",
        read=lambda facts: "greedy" if facts.config.get("model") else _NO_MODEL,
        why="",
    ),
    Item(field=_MEANS, name="judge", read=_if_used("judge", absent="none"), why=""),
    Item(field=_MEANS, name="embedder", read=_config("embedder"), why="the config names none"),
    Item(field=_MEANS, name="systems", read=_config("systems"), why="the config names none"),
    Item(
        field=_MEANS,
        name="settings_of_systems",
        read=_untold,
        why="fusion and reranking are each system's own; they stand in its code at the commit",
    ),
    Item(field=_MEANS, name="budget_tokens", read=_config("budget"), why="the config has none"),
    Item(field=_MEANS, name="seed", read=_config("seed"), why="the config has none"),
    Item(field=_MEANS, name="commit", read=_stamp("commit"), why="not run in a git checkout"),
    Item(
        field=_MEANS,
        name="changed_files",
        read=_stamp("changed_files"),
        why="not run in a git checkout",
    ),
    Item(field=_MEANS, name="versions", read=_stamp("versions"), why="the stamp has none"),
    Item(field=_MEANS, name="hardware", read=_stamp("machine"), why="the stamp has none"),
    Item(field=_MEANS, name="command", read=_stamp("command"), why="the stamp has none"),
    Item(
        field=_MEANS,
        name="unit_cost",
        read=_untold,
        why="a local machine has no price list; times, tokens and bytes are among the figures",
    ),
    Item(field="", name="regimes", read=_regimes, why="the config names no regimes"),
    Item(
        field=_LIMITS,
        name="dropped_from_data",
        read=_each("counts", "dropped"),
        why="the data sets were read whole, or do not say what was dropped",
    ),
    Item(field=_LIMITS, name="failed_audits", read=_failed, why="no audit was made"),
    Item(
        field=_LIMITS,
        name="uncertainty",
        read=lambda _: (
            f"95 % percentile intervals that draw conversations ({statistics.RESAMPLES} "
            "resamples; exact where all agree); paired permutation tests that flip conversations "
            f"(exact, or {RESAMPLES} draws), Holm within each data set and regime"
        ),
        why="",
    ),
    Item(
        field=_LIMITS,
        name="sensitivity",
        read=_untold,
        why="one seed and one budget: run the card again with others to see what depends on them",
    ),
)


def check(told: Mapping[str, Any]) -> None:
    """Check what an author tells under `[disclosure]`: strings, by field and item.

    Raises:
        InvalidInput: there is no such field or item, the program always knows it, or it is no
            string; the message names it and what there is.
    """
    known = {".".join(_path(one)): one for one in ITEMS}
    for name, value in _named(told):
        if name not in known:
            items = ", ".join(one for one, item in known.items() if item.why)
            raise InvalidInput(f"[disclosure] has no item {name!r}; there are {items}")
        if not known[name].why:
            raise InvalidInput(f"[disclosure]: the program tells {name!r} itself; leave it out")
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"[disclosure]: {name} is a sentence, got {value!r}")


def _named(told: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for field, inside in told.items():
        if isinstance(inside, Mapping):
            yield from ((f"{field}.{name}", value) for name, value in inside.items())
        else:
            yield field, inside


def _path(item: Item) -> tuple[str, ...]:
    return tuple(part for part in (item.field, item.name) if part)


def disclose(
    config: Mapping[str, Any],
    stamp: Mapping[str, Any],
    data: Sequence[Mapping[str, Any]],
    audits: Sequence[Audit],
) -> dict[str, Any]:
    """Return the disclosure of a run, with what is not known under "missing".

    Args:
        config: what was run. What stands in its table `disclosure`, by field and item, is taken
            as its author's word for what the program cannot know.
        stamp: of the run.
        data: a description of each data set.
        audits: all of them.
    """
    facts = Facts(config=config, stamp=stamp, data=data, audits=audits)
    told: dict[str, Any] = {}
    missing = []
    for item in ITEMS:
        path = _path(item)
        value = item.read(facts)
        if _empty(value):
            value = _within(config, ("disclosure", *path))
        if _empty(value):
            missing.append({"item": ".".join(path), "why": item.why})
            continue
        place = told.setdefault(item.field, {}) if item.field else told
        place[item.name] = value
    return {**told, "missing": missing}


def _empty(value: object) -> bool:
    """Return whether a value tells nothing; 0 and False tell something."""
    return value is None or value in ("", "unknown") or (hasattr(value, "__len__") and not value)
