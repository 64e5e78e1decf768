"""What a card is run on, as a TOML file says it."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from evals.card.audit import disclosure
from evals.card.records import REGIMES, Regime
from evals.data.registry import FORMATS, POOLED, Spec
from memkit.errors import InvalidInput

KINDS = ("smollm2", "huggingface", "openai")  # of models
OWN_SYSTEM: Mapping[Regime, str] = {"parametric": "no memory", "long context": "full history"}
_LEAST: Mapping[str, int] = {
    "budget": 1, "steps": 1, "probes": 0, "seed": 0,
    "model.window": 1, "model.new_tokens": 1, "model.questions": 1,
}  # fmt: skip
_SPEC = tuple(one.name for one in fields(Spec) if one.name != "options")

Table = TypeVar("Table")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Which model answers, and how much of it is asked."""

    kind: str  # "smollm2", "huggingface" or "openai"
    name: str = ""  # a path or id; what a server calls it
    revision: str | None = None  # of a Hugging Face id: a commit, tag or branch
    base_url: str | None = None
    window: int = 2048  # tokens of raw history in the long-context regime
    new_tokens: int = 24
    questions: int | None = None  # answered of each data set, drawn by seed; None: all
    recall: bool = True  # also complete a half of the evidence, which costs a reply more


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """Which model judges replies, beside the scores that need no judge."""

    kind: str
    name: str = ""
    revision: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A card: data × systems × regimes, and what is the same for all of them."""

    name: str
    data: Sequence[Spec]
    systems: Sequence[str]  # names of `SYSTEMS`, or "package.module:Class"
    regimes: Sequence[Regime] = REGIMES
    ours: str = "memkit"  # the one that the others are compared with
    embedder: str = "minilm"  # "minilm", "hash" (no meaning, for tests), or a path or id
    model: ModelSpec | None = None  # None: only what needs no model is scored
    judge: JudgeSpec | None = None
    budget: int = 512  # tokens of memory in a prompt
    steps: int = 8  # online: maintenance steps of a conversation
    probes: int | None = 100  # of each data set, asked again after every later step; None: all
    seed: int = 0
    train: Sequence[Path] = ()  # what a model or threshold was tuned on; see `leakage.texts`
    disclosure: Mapping[str, Any] = field(default_factory=dict)
    # what the program cannot know, by field and item of `govern.disclosure`

    def systems_of(self, regime: Regime) -> tuple[str, ...]:
        """Return who answers in a regime: two of them have no memory to choose."""
        own = OWN_SYSTEM.get(regime)
        return (own,) if own else tuple(self.systems)


def read(path: Path) -> Config:
    """Read a config file; paths in it are relative to its folder.

    Raises:
        InvalidInput: it cannot be read, or says what is not known; the message names the key.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give a file") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise InvalidInput(f"{path} is no TOML: {error}") from error
    try:
        return from_table(given, path.parent)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def from_table(given: Mapping[str, Any], folder: Path) -> Config:
    """Return the config that a table holds."""
    tables = dict(given)
    for name, kind in (("model", ModelSpec), ("judge", JudgeSpec)):
        if name in tables:
            tables[name] = _made(kind, tables[name], f"[{name}]")
    specs = tables.get("data", [])
    if not isinstance(specs, list) or not specs:
        raise InvalidInput("nothing to measure on: add a [[data]] with its format")
    train = tables.get("train", [])
    if not isinstance(train, list):
        raise InvalidInput(f"train is a list of files, got {train!r}")
    tables["train"] = [folder / Path(str(one)).expanduser() for one in train]
    seed = tables.get("seed", 0)
    tables["data"] = [_spec(one, folder, seed) for one in specs]
    config = _made(Config, tables, "the file")
    _check(config)
    return config


def _made(kind: type[Table], given: object, where: str) -> Table:
    """Return the dataclass that a table fills, or say which key is wrong."""
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} is no table")
    known = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(given) - set(known)):
        raise InvalidInput(f"{where} has no key {unknown[0]!r}; there are {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        own = first.get("ctx", {}).get("error")  # what the dataclass itself has checked
        wrong = own or f"{key}: {first['msg']}, got {first['input']!r}"
        raise InvalidInput(f"{where}: {wrong}") from error


def _spec(given: object, folder: Path, seed: int) -> Spec:
    """Return one data set; what is not known for all formats is an option of its own."""
    if not isinstance(given, Mapping) or not isinstance(given.get("format"), str):
        raise InvalidInput("a [[data]] needs a format, such as synthetic or locomo")
    named = {key: value for key, value in given.items() if key in _SPEC}
    for key in ("path", "audit"):
        if key in named:
            named[key] = folder / Path(str(named[key])).expanduser()
    options = {key: value for key, value in given.items() if key not in _SPEC}
    if given["format"] == "pooled":
        options |= {
            key: str(folder / Path(str(options[key])).expanduser())
            for key in POOLED
            if key in options
        }
    return _made(Spec, {"seed": seed, **named, "options": options}, "[[data]]")


def placed(config: Config, places: Sequence[str]) -> Config:
    """Return the config with the files of some data sets elsewhere.

    Args:
        config: as it was read.
        places: NAME=PATH each, NAME.audit=PATH for the audit of one that has it, or
            NAME.FORMAT=PATH for a file of a pooled one.
    """
    named = [one.partition("=")[0] for one in places]
    if twice := [one for one in named if named.count(one) > 1]:
        raise InvalidInput(f"--data {twice[0]} is given twice; leave one out")
    paths = dict(one.split("=", 1) for one in places if "=" in one)
    known = [f"{spec.name}{part}" for spec in config.data for part in ("", *_parts(spec))]
    if wrong := [one for one in places if one.partition("=")[0] not in known or "=" not in one]:
        raise InvalidInput(f"--data {wrong[0]!r} is not NAME=PATH; names are {', '.join(known)}")
    data = []
    for spec in config.data:
        moved = {
            part[1:]: paths[spec.name + part] for part in _parts(spec) if spec.name + part in paths
        }
        path = Path(paths[spec.name]).expanduser() if spec.name in paths else spec.path
        audit = Path(moved.pop("audit")).expanduser() if "audit" in moved else spec.audit
        options = {**spec.options, **moved}
        data.append(replace(spec, path=path, audit=audit, options=options))
    return replace(config, data=data)


def _parts(spec: Spec) -> list[str]:
    """Return the further files of a data set, with the dot before them."""
    audit = [".audit"] if spec.format in FORMATS and FORMATS[spec.format].audited else []
    return audit + [f".{one}" for one in spec.options if spec.format == "pooled" and one in POOLED]


def _check(config: Config) -> None:
    for one in (config.model, config.judge):
        if one is not None:
            _check_model(one)
    if config.judge is not None and config.model is None:
        raise InvalidInput("a judge needs replies to judge: add a [model]")
    _check_numbers(config)
    _check_names(config)
    if absent := [one for one in config.train if not one.is_file()]:
        raise InvalidInput(f"train: {absent[0]} is no file; name what was tuned on, or nothing")
    disclosure.check(config.disclosure)


def _check_numbers(config: Config) -> None:
    for path, least in _LEAST.items():
        value = attrgetter(path)(config) if config.model or "." not in path else None
        if value is not None and value < least:
            raise InvalidInput(f"{path} must be at least {least}, got {value}")


def _check_names(config: Config) -> None:
    sets = [spec.name for spec in config.data]
    if alike := _twice(sets):
        raise InvalidInput(f"two data sets are called {alike!r}; give each a name of its own")
    for what, names in (("system", config.systems), ("regime", config.regimes)):
        if not names:
            raise InvalidInput(f"name each {what} once, at least one; there is none")
        if alike := _twice(names):
            raise InvalidInput(f"name each {what} once; {alike!r} is there twice")
    if alike := _twice([str(one) for one in config.train]):
        raise InvalidInput(f"train: name each file once; {alike} is there twice")
    if config.ours not in config.systems:
        raise InvalidInput(
            f"the others are compared with {config.ours!r}, which is no system of this card; "
            f"add it to systems, or say ours = {config.systems[0]!r}"
        )


def _twice(names: Sequence[str]) -> str | None:
    """Return the first name that is there more than once."""
    return next((one for one in names if list(names).count(one) > 1), None)


def _check_model(one: ModelSpec | JudgeSpec) -> None:
    if one.kind not in KINDS:
        raise InvalidInput(f"no model {one.kind!r}; there are {', '.join(KINDS)}")
    if one.revision is not None and (one.kind != "huggingface" or Path(one.name).is_dir()):
        raise InvalidInput(
            "a revision is of a Hugging Face id and of nothing else; of other weights, tell it as "
            "implementation_resources.checkpoint under [disclosure]"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a card is run, which changes nothing in it."""

    folder: Path  # results, and what is done so far
    processes: int = 1
    ray: str | None = None  # address of a cluster on the same files, "local" starts one
    cache: Path | None = None  # folder for vectors
    fresh: bool = False  # start over


def told(config: Config) -> dict[str, Any]:
    """Return the config as a card prints it: file names without their folders."""
    kept = asdict(config)
    for one in kept["data"]:
        for key in ("path", "audit"):
            one[key] = None if one[key] is None else Path(one[key]).name
        for key in POOLED if one["format"] == "pooled" else ():
            if key in one["options"]:
                one["options"][key] = Path(one["options"][key]).name
    for one in (kept["model"], kept["judge"]):
        if one is not None:
            one["name"] = _without_folder(one["name"])
    kept["train"] = [one.name for one in config.train]
    return kept | {"embedder": _without_folder(config.embedder)}


def measured(config: Config) -> dict[str, Any]:
    """Return what the records follow from: all but what is only told of them, or held to them."""
    apart = ("disclosure", "train")
    return {key: value for key, value in told(config).items() if key not in apart}


def _without_folder(name: str) -> str:
    """Return a model's id as it is, and of a path the last part."""
    return Path(name).name if Path(name).exists() else name


def fingerprint(*parts: object) -> str:
    """Return a short hash of anything JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
