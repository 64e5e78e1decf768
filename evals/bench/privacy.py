"""What is found in generated sentences and in real talk, next to plain regular expressions."""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.bench import Setup
from evals.bench.measure import interleave, time_claim
from evals.data.corpus import make_texts
from evals.data.private import HARD, Sample, make_samples
from evals.tables import Cell, Claim, Result, Table, Target
from memkit.embedders import MiniLM
from memkit.govern.detector import Detector, Span
from memkit.govern.patterns import PatternDetector
from memkit.protocols import Embedder
from memkit.testing import HashEmbedder

_TARGET = Target(bound="≤", value=0.02)  # of the time that embedding takes
_BATCH = 256  # turns
_COLUMNS = ("", "n", "recall", "precision", "recall, plain", "precision, plain")


class PlainDetector:
    """The regular expressions that are written in an afternoon: the baseline."""

    _patterns = (
        ("card_number", r"\b(?:\d[ -]?){13,16}\b"),
        ("iban", r"\b[A-Z]{2}\d{2}[A-Z0-9 ]{11,30}\b"),
        ("email_address", r"\S+@\S+\.\w+"),
        ("phone_number", r"\+?\(?\d[\d ()-]{7,}\d"),
        ("secret", r"(?i)(?:password|token|key|secret)\s*(?:is|[:=])\s*\S+|[\w-]{24,}"),
    )
    kinds = frozenset(kind for kind, _ in _patterns)

    def find(self, text: str) -> Iterator[Span]:
        """Yield the spans."""
        for kind, pattern in self._patterns:
            for match in re.finditer(pattern, text):
                yield Span(kind=kind, start=match.start(), end=match.end())


def run(setup: Setup) -> Result:
    """Search generated sentences, and the files of `setup.data`; time it next to embedding."""
    (n,) = setup.choose((200,), (3,))[:1]
    samples = make_samples(n, setup.seed)
    detectors: tuple[Detector, Detector] = (PatternDetector(), PlainDetector())
    tables = [_found(samples, detectors), _false_alarms(samples, detectors)]
    if setup.data is not None:
        tables.append(_real_talk(setup.data, detectors))
    return Result(
        name="privacy",
        about="secrets and personal data in messages",
        settings={"sentences of a form": n, "data": str(setup.data) if setup.data else None},
        claims=[_time(setup)],
        tables=tables,
        notes=["the sentences are generated from the formats that the patterns were written for"],
    )


def _found(samples: Sequence[Sample], detectors: Sequence[Detector]) -> Table:
    """Return recall and precision by kind; forms without a public format have rows of their own."""
    easy = [sample for sample in samples if sample.form not in HARD]
    kinds = sorted({sample.kind for sample in samples if sample.kind})
    rows: list[list[Cell]] = []
    for kind in kinds:
        of_kind = [sample for sample in easy if sample.kind == kind]
        row: list[Cell] = [kind.replace("_", " "), len(of_kind)]
        for detector in detectors:
            row += [_recall(of_kind, detector), _precision(easy, kind, detector)]
        rows.append(row)
    for form in sorted(HARD):
        of_form = [sample for sample in samples if sample.form == form]
        row = [f"{form} (no format)", len(of_form)]
        for detector in detectors:
            row += [_recall(of_form, detector), None]
        rows.append(row)
    return Table(title="generated sentences", columns=_COLUMNS, rows=rows)


def _recall(samples: Sequence[Sample], detector: Detector) -> float:
    """Return the share of the values that are found whole and as what they are."""
    hits = 0
    for sample in samples:
        start = sample.text.index(sample.value)
        end = start + len(sample.value)
        hits += any(
            span.kind == sample.kind and span.start <= start and span.end >= end
            for span in detector.find(sample.text)
        )
    return hits / len(samples)


def _precision(samples: Sequence[Sample], kind: str, detector: Detector) -> float | None:
    """Return the share of the sentences with a span of this kind that have one of this kind."""
    alarms = [
        sample
        for sample in samples
        if any(span.kind == kind for span in detector.find(sample.text))
    ]
    return sum(sample.kind == kind for sample in alarms) / len(alarms) if alarms else None


def _false_alarms(samples: Sequence[Sample], detectors: Sequence[Detector]) -> Table:
    """Return how many sentences of each form without private data are flagged."""
    rows: list[list[Cell]] = []
    for form in dict.fromkeys(sample.form for sample in samples if sample.kind is None):
        texts = [sample.text for sample in samples if sample.form == form]
        alarms = [sum(any(True for _ in item.find(text)) for text in texts) for item in detectors]
        rows.append([form, len(texts), *alarms])
    return Table(title="false alarms", columns=("", "n", "ours", "plain"), rows=rows)


def _real_talk(path: Path, detectors: Sequence[Detector]) -> Table:
    """Count the spans in all texts below a folder, by data set and kind. Prints no text."""
    rows: list[list[Cell]] = []
    for folder in sorted(item for item in path.iterdir() if item.is_dir()):
        texts = {text for file in sorted(folder.rglob("*")) for text in _read_texts(file)}
        if not texts:
            continue
        ours, plain = (
            Counter(span.kind for text in texts for span in detector.find(text))
            for detector in detectors
        )
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ours.items()))
        rows.append([folder.name, len(texts), ours.total(), plain.total(), kinds])
    columns = ("", "texts", "ours", "plain", "ours by kind")
    return Table(title="real talk: what is flagged", columns=columns, rows=rows)


def _read_texts(file: Path) -> Iterator[str]:
    """Yield the strings of a JSON file, which may be compressed; of JSON lines too."""
    opener = gzip.open if file.suffix == ".gz" else open
    name = file.name.removesuffix(".gz")
    if name.endswith(".json"):
        with opener(file, "rt", encoding="utf-8") as content:
            yield from _strings(json.load(content))
    elif name.endswith(".jsonl"):
        with opener(file, "rt", encoding="utf-8") as content:
            for line in filter(str.strip, content):
                yield from _strings(json.loads(line))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _time(setup: Setup) -> Claim:
    """Return how long a batch of turns is searched, next to embedding it."""
    embedder: Embedder = HashEmbedder() if setup.quick else MiniLM()
    texts = make_texts(_BATCH, setup.seed)
    detector = PatternDetector()

    def search(_: int) -> Iterable[object]:
        return [list(detector.find(text)) for text in texts]

    times = interleave(
        {"search": search, "embed": lambda _: embedder.embed(texts)},
        2 if setup.quick else 9,
        clock=time.process_time,
    )
    return time_claim(
        f"searching {_BATCH} turns", times["search"], times["embed"], seed=setup.seed,
        against="embedding them", target=_TARGET,
    )  # fmt: skip
