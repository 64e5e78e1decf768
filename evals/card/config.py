"""What a card measures, as a TOML file says it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from evals.card.audit import disclosure
from evals.card.records import REGIMES, Regime
from evals.card.validation import validate
from evals.data.registry import FORMATS, POOLED, Spec
from evals.metrics.catalogue import METRICS
from evals.metrics.retrieval import BUDGETS
from memkit.errors import InvalidInput

KINDS = ("smollm2", "huggingface", "openai")  # of models
OWN_SYSTEM: Mapping[Regime, str] = {"parametric": "no memory", "long context": "full history"}
# One score of each kind: a family (data set and regime) of many metrics leaves ten conversations no
# p-value that survives its correction. evals/LOG.md says how they were chosen.
TESTED = (
    "turn recall@10", "share in budget", "freshness hit", "step order", "contains", "abstention",
)  # fmt: skip
_LEAST: Mapping[str, int] = {
    "budget": 1, "depth": 1, "steps": 1, "probes": 0, "seed": 0,
    "model.window": 1, "model.new_tokens": 1, "model.questions": 1,
}  # fmt: skip
_SPEC = tuple(part.name for part in fields(Spec) if part.name != "options")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model that answers, and how many questions it answers."""

    kind: str  # "smollm2", "huggingface" or "openai"
    name: str = ""  # a path or id; the model's name on a server
    revision: str | None = None  # of a Hugging Face id: a commit, tag or branch
    base_url: str | None = None
    window: int = 2048  # tokens of raw history in the long-context regime
    new_tokens: int = 24
    questions: int | None = None  # answered of each data set, drawn by seed; None: all
    recall: bool = True  # also complete a half of the evidence, at the cost of one reply


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """The model that judges replies, in addition to the scores that need no judge."""

    kind: str
    name: str = ""
    revision: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A card: data sets × systems × regimes, and the settings that all of them share."""

    name: str
    data: Sequence[Spec]
    systems: Sequence[str]  # names of `CARD_SYSTEMS`, or "package.module:Class"
    regimes: Sequence[Regime] = REGIMES
    ours: str = "memkit"  # the system that the others are compared with
    embedder: str = "minilm"  # "minilm", "hash" (no meaning, for tests), or a path or id
    model: ModelSpec | None = None  # None: only scores that need no model
    judge: JudgeSpec | None = None
    budget: int = 512  # tokens of memory in a prompt
    budgets: Sequence[int] = ()  # further budgets; the share of the gold in each is a score
    depth: int = 50  # turns in a ranking; a system may rank otherwise when asked for more
    tested: Sequence[str] = TESTED  # scores that `ours` is compared with the others by
    steps: int = 8  # online: maintenance steps of a conversation
    probes: int | None = 100  # of each data set, repeated after every later step; None: all
    seed: int = 0
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
    train = values.get("train", [])
    if not isinstance(train, list):
        raise InvalidInput(f"train is a list of files, got {train!r}")
    values["train"] = [_path(folder, name) for name in train]
    seed = values.get("seed", 0)
    values["data"] = [_spec(spec, folder, seed) for spec in specs]
    config = validate(Config, values, "the file")
    _check(config)
    return config


def _path(folder: Path, name: object) -> Path:
    return folder / Path(str(name)).expanduser()


def _spec(table: object, folder: Path, seed: int) -> Spec:
    """Return one data set; keys that not all formats share become its options."""
    if not isinstance(table, Mapping) or not isinstance(table.get("format"), str):
        raise InvalidInput("a [[data]] needs a format, such as synthetic or locomo")
    values = {key: value for key, value in table.items() if key in _SPEC}
    for key in ("path", "audit"):
        if key in values:
            values[key] = _path(folder, values[key])
    options = {key: value for key, value in table.items() if key not in _SPEC}
    if table["format"] == "pooled":
        options |= {key: str(_path(folder, options[key])) for key in POOLED if key in options}
    return validate(Spec, {"seed": seed, **values, "options": options}, "[[data]]")


def relocate(config: Config, places: Sequence[str]) -> Config:
    """Return the config with other paths for the files of data sets.

    A path also holds for data sets that the config reads from the same file, such as the other
    split, unless they have a place of their own.

    Args:
        config: as it was read.
        places: NAME=PATH each, NAME.audit=PATH for the audit of a data set that has one, or
            NAME.FORMAT=PATH for a file of a pooled data set.
    """
    names = [place.partition("=")[0] for place in places]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInput(f"--data {twice[0]} is given twice; leave one out")
    paths = dict(place.split("=", 1) for place in places if "=" in place)
    keys = [f"{spec.name}{suffix}" for spec in config.data for suffix in ("", *_suffixes(spec))]
    wrong = [place for place in places if place.partition("=")[0] not in keys or "=" not in place]
    if wrong:
        raise InvalidInput(f"--data {wrong[0]!r} is not NAME=PATH; names are {', '.join(keys)}")
    moved_files = {spec.path: paths[spec.name] for spec in config.data if spec.name in paths}
    data = []
    for spec in config.data:
        moved = {
            suffix[1:]: paths[spec.name + suffix]
            for suffix in _suffixes(spec)
            if spec.name + suffix in paths
        }
        place = paths.get(spec.name) or (spec.path and moved_files.get(spec.path))
        path = Path(place).expanduser() if place else spec.path
        audit = Path(moved.pop("audit")).expanduser() if "audit" in moved else spec.audit
        data.append(replace(spec, path=path, audit=audit, options={**spec.options, **moved}))
    return replace(config, data=data)


def _suffixes(spec: Spec) -> list[str]:
    """Return the names of a data set's further files, with a dot in front."""
    audit = [".audit"] if spec.format in FORMATS and FORMATS[spec.format].audited else []
    pooled = [key for key in spec.options if spec.format == "pooled" and key in POOLED]
    return audit + [f".{key}" for key in pooled]


# ---- checks


def _check(config: Config) -> None:
    for model in (config.model, config.judge):
        if model is not None:
            _check_model(model)
    if config.judge is not None and config.model is None:
        raise InvalidInput("a judge needs replies to judge: add a [model]")
    _check_numbers(config)
    _check_names(config)
    if absent := [path for path in config.train if not path.is_file()]:
        raise InvalidInput(f"train: {absent[0]} is no file; name the tuning texts, or nothing")
    disclosure.check(config.disclosure)


def _check_numbers(config: Config) -> None:
    for path, least in _LEAST.items():
        value = attrgetter(path)(config) if config.model or "." not in path else None
        if value is not None and value < least:
            raise InvalidInput(f"{path} must be at least {least}, got {value}")
    if unknown := [budget for budget in config.budgets if budget not in BUDGETS]:
        known_budgets = ", ".join(map(str, BUDGETS))
        raise InvalidInput(f"budgets has {unknown[0]}; the catalogue has {known_budgets}")


def _check_names(config: Config) -> None:
    if name := _repeated([spec.name for spec in config.data]):
        raise InvalidInput(f"two data sets are called {name!r}; give each its own name")
    for label, names in (("system", config.systems), ("regime", config.regimes)):
        if not names:
            raise InvalidInput(f"name each {label} once, at least one; there is none")
        if name := _repeated(names):
            raise InvalidInput(f"name each {label} once; {name!r} is there twice")
    if name := _repeated([str(path) for path in config.train]):
        raise InvalidInput(f"train: name each file once; {name} is there twice")
    if unknown := [metric for metric in config.tested if metric not in METRICS]:
        raise InvalidInput(f"tested has no metric of the catalogue: {unknown[0]!r}")
    if config.ours not in config.systems:
        raise InvalidInput(
            f"the others are compared with {config.ours!r}, which is no system of this card; "
            f"add it to systems, or say ours = {config.systems[0]!r}"
        )


def _repeated(names: Sequence[str]) -> str | None:
    """Return the first name that occurs more than once."""
    return next((name for name in names if list(names).count(name) > 1), None)


def _check_model(spec: ModelSpec | JudgeSpec) -> None:
    if spec.kind not in KINDS:
        raise InvalidInput(f"no model {spec.kind!r}; there are {', '.join(KINDS)}")
    if spec.revision is not None and (spec.kind != "huggingface" or Path(spec.name).is_dir()):
        raise InvalidInput(
            "only a Hugging Face id has a revision; for other weights, write it as "
            "implementation_resources.checkpoint under [disclosure]"
        )


# ---- the config in a card


def describe(config: Config) -> dict[str, Any]:
    """Return the config as a card prints it: file names without their folders."""
    table = asdict(config)
    for spec in table["data"]:
        for key in ("path", "audit"):
            spec[key] = None if spec[key] is None else Path(spec[key]).name
        for key in POOLED if spec["format"] == "pooled" else ():
            if key in spec["options"]:
                spec["options"][key] = Path(spec["options"][key]).name
    for spec in (table["model"], table["judge"]):
        if spec is not None:
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
