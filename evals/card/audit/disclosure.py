"""The minimum reproducibility disclosure, filled in from the run.

Items that the program cannot know are listed with the reason and never guessed; the table
`[disclosure]` of a config may give them. Source: Zhang et al. 2025, table 4.3 and appendix A.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evals.card.records import REGIMES, Audit
from evals.stats import bootstrap as statistics
from evals.stats.testing import RESAMPLES
from memkit.errors import InvalidInput
from memkit.models.bundled import GGUF_SHA256

_LEAKAGE, _TEMPORAL = "leakage: ", "temporal: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The parts of a run that the disclosure is made of."""

    config: Mapping[str, Any]  # as the card prints it
    stamp: Mapping[str, Any]  # command, date, commit, versions, machine
    data: Sequence[Mapping[str, Any]]  # descriptions: name, format, file, sha256, counts, …
    audits: Sequence[Audit]


class Item(NamedTuple):
    """One line of the disclosure."""

    field: str  # of the paper's table
    name: str
    read: Callable[[Facts], object]  # None or empty: unknown
    why: str  # it may be missing; "": it never is


def _config(name: str) -> Callable[[Facts], object]:
    return lambda facts: facts.config.get(name)


def _stamp(name: str) -> Callable[[Facts], object]:
    return lambda facts: facts.stamp.get(name)


def _unknown(_: Facts) -> object:
    return None


def _always(text: str) -> Callable[[Facts], object]:
    return lambda _: text


def _if_used(part: str, absent: str) -> Callable[[Facts], object]:
    """Return the settings of the model or the judge, or that there is none."""
    return lambda facts: facts.config.get(part) or absent


def _of_data(*keys: str) -> Callable[[Facts], object]:
    """Return these keys of every data set that has one of them."""
    return lambda facts: {
        str(description.get("name")): values
        for description in facts.data
        if (
            values := {
                key: description[key] for key in keys if description.get(key) not in (None, "", {})
            }
        )
    }


def _audited(prefix: str) -> Callable[[Facts], object]:
    return lambda facts: [
        {
            "audit": audit.name,
            "data": audit.data,
            "system": audit.system,
            "checked": audit.checked,
            "impact_fraction": audit.violations / audit.checked if audit.checked else None,
            "threshold": audit.threshold,
            "passed": audit.passed,
            "method": audit.note,
        }
        for audit in facts.audits
        if audit.name.startswith(prefix)
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
    return {regime: regime in run for regime in REGIMES} if run else None


def _updates(facts: Facts) -> str | None:
    run, steps = facts.config.get("regimes") or (), facts.config.get("steps")
    online = f"; online: {steps} maintenance steps, asked after each" if "online" in run else ""
    replay = (
        "replay: the memory holds the turns before a question, and nothing is written meanwhile"
    )
    return f"{replay}{online}" if run else None


def _checkpoint(facts: Facts) -> object:
    """Return the identity of the model's weights: a revision, or the hash of the bundled file."""
    model = facts.config.get("model")
    if not model:
        return _NO_MODEL
    return f"sha256 {GGUF_SHA256}" if model.get("kind") == "smollm2" else model.get("revision")


def _decoding(facts: Facts) -> str:
    return "greedy" if facts.config.get("model") else _NO_MODEL


def _failed(facts: Facts) -> list[str] | str | None:
    if not facts.audits:
        return None
    return [
        ", ".join(part for part in (audit.name, audit.data, audit.system) if part)
        for audit in facts.audits
        if not audit.passed
    ] or "none"


_TIME, _LEAK, _MEANS = "temporal_governance", "leakage_overlap_auditing", "implementation_resources"
_LIMITS = "limitations_and_robustness"
_WEIGHTS = "the makers of the model and of the embedder do not say what they were trained on"
_NO_MODEL = "none: only what needs no model is scored"
_NO_CHECKOUT = "not run in a git checkout"
_UNCERTAINTY = (
    f"95 % percentile intervals by resampling of conversations ({statistics.RESAMPLES} resamples; "
    "exact where all agree); paired permutation tests that flip conversations (exact, or "
    f"{RESAMPLES} resamples), Holm within each data set and regime"
)
ITEMS: tuple[Item, ...] = (
    Item("", "study_id", _study, "the run was made outside a git checkout"),
    Item("", "claim_type", _claim, "the config names no systems"),
    Item(_TIME, "train_window", _unknown, _WEIGHTS),
    Item(_TIME, "index_or_session_store", _of_data("format", "file", "sha256", "seed"),
         "no data set was described"),
    Item(_TIME, "store_updates", _updates, "the config names no regimes"),
    Item(_TIME, "deduplication",
         _always("none by the harness; a system may deduplicate what it stores"), ""),
    Item(_TIME, "test_window", _of_data("first", "last"), "no turn of the data sets has a date"),
    Item(_TIME, "audits", _audited(_TEMPORAL), "no temporal audit was made"),
    Item(_LEAK, "audits", _audited(_LEAKAGE), "no leakage audit was made"),
    Item(_LEAK, "train ∩ test, train ∩ index", _audited(f"{_LEAKAGE}train ∩"),
         f"no training texts were given (train in the config); {_WEIGHTS}"),
    Item(_LEAK, "excluded", _always("nothing: affected items are reported and stay in"), ""),
    Item(_MEANS, "model", _if_used("model", _NO_MODEL), ""),
    Item(_MEANS, "checkpoint", _checkpoint,
         "the config gives no revision of the model's weights"),
    Item(_MEANS, "decoding", _decoding, ""),
    Item(_MEANS, "judge", _if_used("judge", "none"), ""),
    Item(_MEANS, "embedder", _config("embedder"), "the config names none"),
    Item(_MEANS, "systems", _config("systems"), "the config names none"),
    Item(_MEANS, "settings_of_systems", _unknown,
         "fusion and reranking belong to each system: see its code at the commit"),
    Item(_MEANS, "budget_tokens", _config("budget"), "the config has none"),
    Item(_MEANS, "seed", _config("seed"), "the config has none"),
    Item(_MEANS, "commit", _stamp("commit"), _NO_CHECKOUT),
    Item(_MEANS, "changed_files", _stamp("changed_files"), _NO_CHECKOUT),
    Item(_MEANS, "versions", _stamp("versions"), "the stamp has none"),
    Item(_MEANS, "hardware", _stamp("machine"), "the stamp has none"),
    Item(_MEANS, "command", _stamp("command"), "the stamp has none"),
    Item(_MEANS, "unit_cost", _unknown,
         "a local machine has no price list; times, tokens and bytes are among the figures"),
    Item("", "regimes", _regimes, "the config names no regimes"),
    Item(_LIMITS, "dropped_from_data", _of_data("counts", "dropped"),
         "the data sets were read whole, or do not say what was dropped"),
    Item(_LIMITS, "failed_audits", _failed, "no audit was made"),
    Item(_LIMITS, "uncertainty", _always(_UNCERTAINTY), ""),
    Item(_LIMITS, "sensitivity", _unknown,
         "one seed and one budget: run the card again with others to see what depends on them"),
)  # fmt: skip


def check(table: Mapping[str, Any]) -> None:
    """Check the table `[disclosure]` of a config: sentences, by field and item.

    Raises:
        InvalidInput: an item does not exist, the program always knows it, or it is no string; the
            message names it and the items that there are.
    """
    items = {".".join(_path(item)): item for item in ITEMS}
    for name, value in _flatten(table):
        if name not in items:
            names = ", ".join(path for path, item in items.items() if item.why)
            raise InvalidInput(f"[disclosure] has no item {name!r}; there are {names}")
        if not items[name].why:
            raise InvalidInput(f"[disclosure]: the program tells {name!r} itself; leave it out")
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"[disclosure]: {name} is a sentence, got {value!r}")


def _flatten(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for field, inside in table.items():
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
    """Return the disclosure of a run, with unknown items and the reasons under "missing".

    Args:
        config: of the run. Its table `disclosure` gives items that the program does not know.
        stamp: of the run.
        data: a description of each data set.
        audits: all of them.
    """
    facts = Facts(config=config, stamp=stamp, data=data, audits=audits)
    disclosed: dict[str, Any] = {}
    missing = []
    for item in ITEMS:
        path = _path(item)
        value = item.read(facts)
        if _is_empty(value):
            value = config.get("disclosure")
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
        if _is_empty(value):
            missing.append({"item": ".".join(path), "why": item.why})
            continue
        table = disclosed.setdefault(item.field, {}) if item.field else disclosed
        table[item.name] = value
    return {**disclosed, "missing": missing}


def _is_empty(value: object) -> bool:
    """Return whether a value says nothing; 0 and False say something."""
    return value is None or value in ("", "unknown") or (hasattr(value, "__len__") and not value)
