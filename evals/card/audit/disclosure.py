"""The minimum reproducibility disclosure, filled in from the run.

Items that the program cannot know are listed with the reason and never guessed; the table
`[disclosure]` of a config may give them. Source: Zhang et al. 2025, table 4.3 and appendix A.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.card.records import REGIMES, Audit
from evals.stats import bootstrap as statistics
from evals.stats.testing import RESAMPLES
from memkit.errors import InvalidInput
from memkit.models.bundled import GGUF_SHA256

_TIME, _LEAK, _MEANS = "temporal_governance", "leakage_overlap_auditing", "implementation_resources"
_LIMITS = "limitations_and_robustness"
_NO_MODEL = "none: only what needs no model is scored"


def _flatten(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a table by path: "field.item", or "item" outside a field."""
    for field, inside in table.items():
        if isinstance(inside, Mapping):
            yield from ((f"{field}.{name}", value) for name, value in inside.items())
        else:
            yield field, inside


# path -> why it may be missing; "": it never is
ITEMS: Mapping[str, str] = dict(
    _flatten(tomllib.loads(Path(__file__).with_name("disclosure.toml").read_text("utf-8")))
)


def check(table: Mapping[str, Any]) -> None:
    """Check the table `[disclosure]` of a config: sentences, by field and item.

    Raises:
        InvalidInput: an item does not exist, the program always knows it, or it is no string; the
            message names it and the items that there are.
    """
    for path, value in _flatten(table):
        if path not in ITEMS:
            names = ", ".join(name for name, why in ITEMS.items() if why)
            raise InvalidInput(f"[disclosure] has no item {path!r}; there are {names}")
        if not ITEMS[path]:
            raise InvalidInput(f"[disclosure]: the program tells {path!r} itself; leave it out")
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"[disclosure]: {path} is a sentence, got {value!r}")


def disclose(
    config: Mapping[str, Any],
    stamp: Mapping[str, Any],
    data: Sequence[Mapping[str, Any]],
    audits: Sequence[Audit],
) -> dict[str, Any]:
    """Return the disclosure of a run, with unknown items and the reasons under "missing".

    The table `disclosure` of the config gives items that the program does not know. The stamp has
    command, date, commit, versions and machine; `data` describes each data set.
    """
    values = {
        **_of_run(config, stamp),
        f"{_TIME}.index_or_session_store": _of_data(data, "format", "file", "sha256", "seed"),
        f"{_TIME}.test_window": _of_data(data, "first", "last"),
        f"{_TIME}.audits": _audited(audits, "temporal: "),
        f"{_LEAK}.audits": _audited(audits, "leakage: "),
        f"{_LEAK}.train ∩ test, train ∩ index": _audited(audits, "leakage: train ∩"),
        f"{_LIMITS}.dropped_from_data": _of_data(data, "counts", "dropped"),
        f"{_LIMITS}.failed_audits": _failed(audits),
    }
    by_author = dict(_flatten(config.get("disclosure") or {}))
    disclosed: dict[str, Any] = {}
    missing = []
    for path, why in ITEMS.items():
        value = next((v for v in (values.get(path), by_author.get(path)) if _is_known(v)), None)
        field, _, name = path.rpartition(".")
        if value is None:
            missing.append({"item": path, "why": why})
        else:
            (disclosed.setdefault(field, {}) if field else disclosed)[name] = value
    return {**disclosed, "missing": missing}


def _is_known(value: object) -> bool:
    """Return whether a value says something, as 0 and False do."""
    return value not in (None, "", "unknown") and (not hasattr(value, "__len__") or bool(value))


def _of_run(config: Mapping[str, Any], stamp: Mapping[str, Any]) -> dict[str, object]:
    name, commit = config.get("name"), stamp.get("commit")
    systems, regimes = config.get("systems") or (), config.get("regimes") or ()
    model = config.get("model")
    bundled = model and model.get("kind") == "smollm2"
    many = f"paired comparison of {len(systems)} systems on the same questions"
    claim = many if len(systems) > 1 else "measurement of one system"
    updates = (
        "replay: the memory holds the turns before a question, and nothing is written meanwhile"
    )
    if "online" in regimes:
        updates += f"; online: {config.get('steps')} maintenance steps, asked after each"
    return {
        "study_id": f"{name}@{str(commit)[:12]}" if name and _is_known(commit) else None,
        "claim_type": claim if systems else None,
        f"{_TIME}.store_updates": updates if regimes else None,
        f"{_TIME}.deduplication": "none by the harness; a system may deduplicate what it stores",
        f"{_LEAK}.excluded": "nothing: affected items are reported and stay in",
        f"{_MEANS}.model": model or _NO_MODEL,
        f"{_MEANS}.checkpoint": (
            f"sha256 {GGUF_SHA256}" if bundled else model.get("revision") if model else _NO_MODEL
        ),
        f"{_MEANS}.decoding": "greedy" if model else _NO_MODEL,
        f"{_MEANS}.judge": config.get("judge") or "none",
        **{f"{_MEANS}.{key}": config.get(key) for key in ("embedder", "systems", "seed")},
        f"{_MEANS}.budget_tokens": config.get("budget"),
        **{f"{_MEANS}.{key}": stamp.get(key) for key in ("commit", "changed_files", "versions")},
        f"{_MEANS}.hardware": stamp.get("machine"),
        f"{_MEANS}.command": stamp.get("command"),
        "regimes": {regime: regime in regimes for regime in REGIMES} if regimes else None,
        f"{_LIMITS}.uncertainty": (
            "95 % percentile intervals by resampling of conversations "
            f"({statistics.RESAMPLES} resamples; exact where all agree); paired permutation tests "
            f"that flip conversations (exact, or {RESAMPLES} resamples), Holm within each data set "
            "and regime"
        ),
    }


def _of_data(data: Sequence[Mapping[str, Any]], *keys: str) -> dict[str, object]:
    by_name = {
        str(row.get("name")): {k: row[k] for k in keys if row.get(k) not in (None, "", {})}
        for row in data
    }
    return {name: values for name, values in by_name.items() if values}


def _audited(audits: Sequence[Audit], prefix: str) -> list[dict[str, object]]:
    return [
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
        for audit in audits
        if audit.name.startswith(prefix)
    ]


def _failed(audits: Sequence[Audit]) -> list[str] | str | None:
    if not audits:
        return None
    return [
        ", ".join(part for part in (audit.name, audit.data, audit.system) if part)
        for audit in audits
        if not audit.passed
    ] or "none"
