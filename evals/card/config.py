"""What a card measures, as a TOML file says it."""

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from evals.card.audit import disclosure
from evals.card.records import REGIMES, Regime
from evals.card.validation import validate
from evals.data.registry import FORMATS, POOLED, Spec
from evals.metrics.catalogue import METRICS
from evals.metrics.retrieval import BUDGETS
from memkit.errors import InvalidInput

OWN_SYSTEM: Mapping[Regime, str] = {"parametric": "no memory", "long context": "full history"}
# One score of each kind: a family (data set and regime) of many metrics leaves ten conversations no
# p-value that survives its correction. evals/LOG.md says how they were chosen.
TESTED = (
    "turn recall@10", "share in budget", "freshness hit", "step order", "contains", "abstention",
)  # fmt: skip
_SPEC = tuple(part.name for part in fields(Spec) if part.name != "options")

_FromZero = Annotated[int, Field(ge=0)]
_FromOne = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """The model that judges replies, in addition to the scores that need no judge."""

    kind: Literal["smollm2", "huggingface", "openai"]
    name: str = ""  # a path or id; the model's name on a server
    revision: str | None = None  # of a Hugging Face id: a commit, tag or branch
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(JudgeSpec):
    """The model that answers, and how many questions it answers."""

    window: _FromOne = 2048  # tokens of raw history in the long-context regime
    new_tokens: _FromOne = 24
    questions: _FromOne | None = None  # answered of each data set, drawn by seed; None: all
    recall: bool = True  # also complete a half of the evidence, at the cost of one reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A card: data sets × systems × regimes, and the settings that all of them share."""

    name: str
    data: Sequence[Spec]
    systems: Sequence[str]  # names of `CARD_SYSTEMS`, or "package.module:Class"
    regimes: Sequence[Regime] = REGIMES
    ours: str = "memkit"  # the system that the others are compared with
    embedder: str = "minilm"  # "minilm", "static", "hash" (no meaning, for tests), a path or id
    model: ModelSpec | None = None  # None: only scores that need no model
    judge: JudgeSpec | None = None
    budget: _FromOne = 512  # tokens of memory in a prompt
    budgets: Sequence[int] = ()  # further budgets; the share of the gold in each is a score
    depth: _FromOne = 50  # turns in a ranking; a system may rank otherwise when asked for more
    tested: Sequence[str] = TESTED  # scores that `ours` is compared with the others by
    steps: _FromOne = 8  # online: maintenance steps of a conversation
    probes: _FromZero | None = 100  # of each data set, repeated after every later step; None: all
    seed: _FromZero = 0
    train: Sequence[Path] = ()  # texts that a model or threshold was tuned on: `leakage.texts`
    disclosure: Mapping[str, Any] = field(default_factory=dict)
    # information that the program cannot collect, by field and item of `audit.disclosure`

    def systems_of(self, regime: Regime) -> tuple[str, ...]:
        """Return the systems of a regime; regimes without a memory have one of their own."""
        fixed = OWN_SYSTEM.get(regime)
        return (fixed,) if fixed else tuple(self.systems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Options of a run that do not change its results."""

    folder: Path  # results, and finished tasks
    processes: int = 1
    ray: str | None = None  # address of a cluster on the same files; "local" starts one
    cache: Path | None = None  # folder for vectors
    fresh: bool = False  # start over


def read(path: Path) -> Config:
    """Read a config file; paths in it are relative to its folder.

    Raises:
        InvalidInput: the file cannot be read, or has an unknown key or value; the message names it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise InvalidInput(f"{path} is no TOML: {error}") from error
    try:
        return from_table(table, path.parent)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def from_table(table: Mapping[str, Any], folder: Path) -> Config:
    """Return the config in a table; relative paths start at `folder`."""
    values = dict(table)
    for name, kind in (("model", ModelSpec), ("judge", JudgeSpec)):
        if name in values:
            values[name] = validate(kind, values[name], f"[{name}]")
    specs = values.get("data", [])
    if not isinstance(specs, list) or not specs:
        raise InvalidInput("nothing to measure on: add a [[data]] with its format")
    seed = values.get("seed", 0)
    values["data"] = [_spec(spec, folder, seed) for spec in specs]
    config = validate(Config, values, "the file")
    config = replace(config, train=[folder / path.expanduser() for path in config.train])
    _check(config)
    return config


def _spec(table: object, folder: Path, seed: int) -> Spec:
    """Return one data set; keys that not all formats share become its options."""
    if not isinstance(table, Mapping) or not isinstance(table.get("format"), str):
        raise InvalidInput("a [[data]] needs a format, such as synthetic or locomo")
    values: dict[str, Any] = {"seed": seed}
    options: dict[str, Any] = {}
    files = ("path", "audit", *(POOLED if table["format"] == "pooled" else ()))
    for key, value in table.items():
        path = str(folder / Path(str(value)).expanduser()) if key in files else value
        (values if key in _SPEC else options)[key] = path
    return validate(Spec, values | {"options": options}, "[[data]]")


def relocate(config: Config, places: Sequence[str]) -> Config:
    """Return the config with other paths for the files of data sets.

    A path also holds for data sets that the config reads from the same file, such as the other
    split, unless they have a place of their own.

    Args:
        config: as it was read.
        places: NAME=PATH each, NAME.audit=PATH for the audit of a data set that has one, or
            NAME.FORMAT=PATH for a file of a pooled data set.
    """
    keys = [".".join(filter(None, key)) for spec in config.data for key in _files(spec)]
    paths: dict[str, str] = {}
    for place in places:
        key, _, path = place.partition("=")
        if key not in keys or not path:
            raise InvalidInput(f"--data {place!r} is not NAME=PATH; names are {', '.join(keys)}")
        if key in paths:
            raise InvalidInput(f"--data {key} is given twice; leave one out")
        paths[key] = str(Path(path).expanduser())
    shared = {spec.path: paths[spec.name] for spec in config.data if spec.name in paths}
    return replace(config, data=[_relocate(spec, paths, shared) for spec in config.data])


def _files(spec: Spec) -> list[tuple[str, str]]:
    """Return the name of a data set with "" for its own file, and with each further file."""
    audit = ["audit"] if spec.format in FORMATS and FORMATS[spec.format].audited else []
    pooled = [key for key in spec.options if spec.format == "pooled" and key in POOLED]
    return [(spec.name, file) for file in ("", *audit, *pooled)]


def _relocate(spec: Spec, paths: Mapping[str, str], shared: Mapping[Path | None, str]) -> Spec:
    place = paths.get(spec.name) or (spec.path and shared.get(spec.path))
    files = {file: paths.get(f"{name}.{file}") for name, file in _files(spec)}
    moved = {file: path for file, path in files.items() if path is not None}
    audit = moved.pop("audit", None)
    return replace(
        spec, path=Path(place) if place else spec.path, audit=Path(audit) if audit else spec.audit,
        options={**spec.options, **moved},
    )  # fmt: skip


# ---- checks


def _check(config: Config) -> None:
    if config.judge is not None and config.model is None:
        raise InvalidInput("a judge needs replies to judge: add a [model]")
    for model in filter(None, (config.model, config.judge)):
        local = model.kind != "huggingface" or Path(model.name).is_dir()
        if model.revision is not None and local:
            raise InvalidInput(
                "only a Hugging Face id has a revision; for other weights, write it as "
                "implementation_resources.checkpoint under [disclosure]"
            )
    if unknown := [budget for budget in config.budgets if budget not in BUDGETS]:
        known_budgets = ", ".join(map(str, BUDGETS))
        raise InvalidInput(f"budgets has {unknown[0]}; the catalogue has {known_budgets}")
    _check_names(config)
    if absent := [path for path in config.train if not path.is_file()]:
        raise InvalidInput(f"train: {absent[0]} is no file; name the tuning texts, or nothing")
    disclosure.check(config.disclosure)


def _check_names(config: Config) -> None:
    for label, names in (
        ("data set", [spec.name for spec in config.data]), ("system", config.systems),
        ("regime", config.regimes), ("train file", list(map(str, config.train))),
    ):  # fmt: skip
        if not names and label != "train file":
            raise InvalidInput(f"name each {label} once, at least one; there is none")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise InvalidInput(f"name each {label} once; {twice[0]!r} is there twice")
    if unknown := [metric for metric in config.tested if metric not in METRICS]:
        raise InvalidInput(f"tested has no metric of the catalogue: {unknown[0]!r}")
    if config.ours not in config.systems:
        raise InvalidInput(
            f"the others are compared with {config.ours!r}, which is no system of this card; "
            f"add it to systems, or say ours = {config.systems[0]!r}"
        )


# ---- the config in a card


def describe(config: Config) -> dict[str, Any]:
    """Return the config as a card prints it: file names without their folders."""
    table = asdict(config)
    for spec in table["data"]:
        pooled = POOLED if spec["format"] == "pooled" else ()
        for values, keys in ((spec, ("path", "audit")), (spec["options"], pooled)):
            values |= {key: Path(values[key]).name for key in keys if values.get(key) is not None}
    for spec in filter(None, (table["model"], table["judge"])):
        spec["name"] = _without_folder(spec["name"])
    table["train"] = [path.name for path in config.train]
    return table | {"embedder": _without_folder(config.embedder)}


def settings_of_records(config: Config) -> dict[str, Any]:
    """Return the settings that records depend on; figures and audits use the remaining ones."""
    apart = ("disclosure", "train", "tested")
    return {key: value for key, value in describe(config).items() if key not in apart}


def _without_folder(name: str) -> str:
    """Return a model's id unchanged, and the last part of a path."""
    return Path(name).name if Path(name).exists() else name


def fingerprint(*parts: object) -> str:
    """Return a short hash of anything JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
