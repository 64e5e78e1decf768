"""The data sets of a card: files of six formats, alone or pooled, and sets made from a seed.

No file is part of the repository; `FORMATS` says where each comes from.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evals.data import gvd, jsonl, life, locomo, longmemeval, memorycode, pooled, synthetic
from evals.data.haystack import SPLITS, DataSet, Split
from memkit.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Which data set, and how much of it.

    Without a name it gets that of its format, a synthetic one also that of its probe.
    """

    format: str  # one of `FORMATS`
    name: str = ""
    path: Path | None = None  # a file, or for gvd a folder; synthetic sets have none
    sha256: str | None = None  # required hash of the file; for gvd, of the bank
    split: Split | None = None  # only the tuning or only the reported conversations; None: both
    limit: int | None = None  # only so many conversations, the first that have questions
    audit: Path | None = None  # of LoCoMo: its evidence and answers count, not the published ones
    seed: int = 0  # of a synthetic set, or of the sample of a pooled one
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)  # see the format

    def __post_init__(self) -> None:
        if not self.name:
            name = " ".join(filter(None, [self.format, str(self.options.get("probe", ""))]))
            object.__setattr__(self, "name", name)
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(f"{self.name}: limit must be at least 1, got {self.limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of data set: its reader, its options, and where its file comes from."""

    read: Callable[[Spec], DataSet]
    options: tuple[str, ...] = ()
    source: str = ""  # "" where there is no file
    audited: bool = False  # whether it takes an audit


def read(spec: Spec) -> DataSet:
    """Read or make a data set.

    Raises:
        InvalidInput: the format or an option is not known, the file is missing (the message says
            where to get it), has another hash than `spec.sha256`, or another shape.
    """
    if spec.format not in FORMATS:
        raise InvalidInput(f"no format {spec.format!r}; there are {', '.join(FORMATS)}")
    form = FORMATS[spec.format]
    if unknown := sorted(set(spec.options) - set(form.options)):
        options = ", ".join(form.options) or "none"
        raise InvalidInput(f"{spec.name} has no option {unknown[0]!r}; of {spec.format}: {options}")
    if spec.audit is not None and not form.audited:
        raise InvalidInput(f"{spec.name}: there is no audit of {spec.format}; leave it out")
    if form.source and not _path(spec).exists():
        raise InvalidInput(f"{spec.path} is not there; {spec.format} is {form.source}")
    # a limit counts the conversations of the split that was chosen
    data = form.read(spec if spec.split is None else replace(spec, limit=None))
    if spec.split is not None:
        haystacks = data.in_split(spec.split)
        if not haystacks:
            raise InvalidInput(
                f"{spec.name}: no conversation is of the {spec.split} split; leave it out"
            )
        counts = {split: n for split, n in data.counts.items() if split == spec.split}
        data = replace(data, haystacks=haystacks, counts=counts)
    if spec.sha256 is not None and spec.sha256.lower() != data.sha256:
        raise InvalidInput(
            f"{spec.name}: {data.file} has sha256 {data.sha256}, and {spec.sha256.lower()} was "
            "asked for; fetch that file again, or correct the sha256"
        )
    return replace(data, haystacks=list(data.haystacks[: spec.limit]))


def describe(data: DataSet, spec: Spec) -> dict[str, Any]:
    """Return what a card reports of a data set that was read as `spec` says; none of its text."""
    questions = [question for haystack in data.haystacks for question in haystack.questions]
    turns = [turn for haystack in data.haystacks for turn in haystack.turns]
    days = [turn.said_at.date().isoformat() for turn in turns if turn.said_at is not None]
    return {
        "name": spec.name,
        "format": data.format,
        "file": data.file,
        "sha256": data.sha256,
        "seed": None if FORMATS[spec.format].source else spec.seed,
        "golds": list(data.golds),
        "scored by": data.golds[-1],
        "notes": list(data.notes),
        "conversations": len(data.haystacks),
        "of splits": {split: len(data.in_split(split)) for split in SPLITS if data.in_split(split)},
        "turns": len(turns),
        "first": min(days, default=None),
        "last": max(days, default=None),
        "questions": dict(sorted(Counter(question.group for question in questions).items())),
        "with answers": sum(bool(question.expected.answers) for question in questions),
        "deleted turns": sum(len(haystack.forgotten) for haystack in data.haystacks),
        "dropped": {
            split: {reason: n for reason, n in sorted(counts.items()) if n}
            for split, counts in data.counts.items()
            if any(counts.values())
        },
    }


# ---- the formats


def _path(spec: Spec) -> Path:
    if spec.path is None:
        source = FORMATS[spec.format].source
        raise InvalidInput(f"{spec.name} needs a path; {spec.format} is {source}")
    return spec.path


def _make_synthetic(spec: Spec) -> DataSet:
    options = {"size": "default", **spec.options}
    probe, n = str(options.get("probe", "")), options.get("conversations")
    if probe not in synthetic.PROBES:
        raise InvalidInput(
            f"{spec.name} has no probe {probe!r}; there are {', '.join(synthetic.PROBES)}"
        )
    if n is not None:
        _check_count(spec, "conversations", n)
    return synthetic.PROBES[probe](spec.seed, n, str(options["size"]))


def _check_count(spec: Spec, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"{spec.name}: {key} is a whole number above 0, not {value!r}")
    return value


def _read_pooled(spec: Spec) -> DataSet:
    """Return the conversations of several files as one memory; the format of each is an option."""
    parts = [
        read(Spec(format=name, path=Path(str(spec.options[name]))))
        for name in POOLED
        if name in spec.options
    ]
    if not parts:
        raise InvalidInput(f"{spec.name}: give the path of {' or '.join(POOLED)}, or of both")
    turns, questions = (
        _check_count(spec, key, spec.options.get(key, n)) for key, n in _POOL_SIZES.items()
    )
    return pooled.pool(parts, turns=turns, questions=questions, seed=spec.seed)


POOLED = ("locomo", "longmemeval")
_POOL_SIZES = {"turns": 10_000, "questions": 100}
FORMATS: Mapping[str, Format] = {
    "locomo": Format(
        read=lambda spec: locomo.read(_path(spec), audit=spec.audit),
        source="data/locomo10.json of https://github.com/snap-research/locomo (CC BY-NC 4.0), its "
        "audit errors.json of https://github.com/dial481/locomo-audit",
        audited=True,
    ),
    "longmemeval": Format(
        read=lambda spec: longmemeval.read(_path(spec), limit=spec.limit),
        source="longmemeval_s_cleaned.json of https://github.com/xiaowu0162/LongMemEval (MIT)",
    ),
    "memorycode": Format(
        read=lambda spec: memorycode.read(_path(spec)),
        source="JSON lines of dialogues of https://github.com/apple/ml-memory-code (Apache-2.0)",
    ),
    "gvd": Format(
        read=lambda spec: gvd.read(_path(spec), str(spec.options.get("language", "en"))),
        options=("language",),  # "en" or "cn"
        source="the folder of memory_bank_en.json and probing_questions_en.jsonl of "
        "https://github.com/zhongwanjun/MemoryBank-SiliconFriend (MIT)",
    ),
    "jsonl": Format(
        read=lambda spec: jsonl.read(_path(spec)),
        source="a file of your own, as evals/data/jsonl.py describes it",
    ),
    "life": Format(
        read=lambda spec: life.read(_path(spec)),
        source="the folder training/life of memkit's repository",
    ),
    "pooled": Format(read=_read_pooled, options=("turns", "questions", *POOLED)),
    "synthetic": Format(read=_make_synthetic, options=("probe", "conversations", "size")),
}
