"""The bundled encoder in several runtimes: one question, 256 turns, and a cold start.

The baseline is sentence-transformers. OpenVINO and CTranslate2 are measured where they are
installed: `pip install openvino ctranslate2`. All compute in float32 with equal vectors, and all
but sentence-transformers and CTranslate2 get memkit's batches. int8 and the static encoder, which
have other vectors, are compared with the default.
"""

import random
import resource
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice, product
from pathlib import Path

import numpy as np

from evals import USER
from evals.bench import Setup, measure
from evals.bench.fresh import run_python
from evals.bench.measure import size_claim, time_claim
from evals.data import corpus
from evals.data.synthetic.talk import small_talk
from evals.tables import Cell, Claim, Result, Target
from memkit.embedders import MiniLM, SentenceTransformerEmbedder, StaticEmbedder, minilm_folder
from memkit.encoder import default_threads, load_tokenizer, sum_states
from memkit.protocols import Integers, Vectors

Embed = Callable[[Sequence[str]], Vectors]

_BASELINE, _DEFAULT = "sentence-transformers", "ONNX Runtime"
_INT8, _STATIC = "int8", "static"
_TURNS = 256
_STATIC_TARGET = Target(bound="≤", value=1 / 50)
_SECONDS = {"CPU": time.process_time, "wall": time.perf_counter}
_PLAIN_SEARCH = """
import faiss
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({model!r}, device="cpu")
index = faiss.read_index({index!r})
print(index.search(model.encode([{question!r}], normalize_embeddings=True), 10)[1])
"""
_RECALL = """
import sys
from memkit.cli import main

main(sys.argv[1:])
"""
_PRINT_PEAK = """
import atexit
from evals.bench.fresh import peak_bytes

atexit.register(lambda: print(peak_bytes()))
"""


def run(setup: Setup) -> Result:
    """Measure the runtimes that are installed, and a search from the command line."""
    runtimes = _load_runtimes(setup.folder)
    turns = list(islice(small_talk(random.Random(setup.seed)), 16 if setup.quick else _TURNS))
    n = 4 if setup.quick else 100
    questions = corpus.make_questions(turns, n, setup.seed)
    expected = runtimes[_BASELINE](turns)
    differences = {
        f"largest difference, {name}": float(np.abs(embed(turns) - expected).max())
        for name, embed in runtimes.items()
        if name != _BASELINE
    }
    settings: dict[str, Cell] = {"threads": default_threads(), **differences}
    inputs = {
        "one question": [[text] for text in questions],
        f"{len(turns)} turns": [turns] * (2 if setup.quick else 9),
    }
    int8 = {_DEFAULT: runtimes[_DEFAULT], _INT8: MiniLM(dtype=_INT8).embed}
    static = {_DEFAULT: runtimes[_DEFAULT], _STATIC: StaticEmbedder().embed}
    return Result(
        name="encoder",
        about="the bundled encoder in several runtimes, and a search from the command line",
        settings=settings,
        claims=[
            *_claims(setup, runtimes, inputs),
            *_claims(setup, int8, inputs),
            *_claims(setup, static, inputs, target=_STATIC_TARGET),
            *_cold_start_claims(setup),
        ],
    )


def _claims(
    setup: Setup,
    runtimes: dict[str, Embed],
    inputs: Mapping[str, list[list[str]]],
    *,
    target: Target | None = None,
) -> list[Claim]:
    """Time every runtime against the first, by the processor's clock and by the wall's."""
    baseline, *others = runtimes
    claims = []
    for (label, batches), (unit, clock) in product(inputs.items(), _SECONDS.items()):
        steps = {
            name: partial(lambda embed, n, batches: embed(batches[n]), embed, batches=batches)
            for name, embed in runtimes.items()
        }
        times = measure.interleave(steps, len(batches), clock=clock)
        claims += [
            time_claim(
                f"{label}, {name}, {unit} time", times[name], times[baseline],
                against=baseline, seed=setup.seed, target=target,
            )
            for name in others
        ]  # fmt: skip
    return claims


# ---- runtimes


def _load_runtimes(folder: Path) -> dict[str, Embed]:
    theirs = SentenceTransformerEmbedder(str(minilm_folder()), device="cpu")
    runtimes: dict[str, Embed] = {_BASELINE: theirs.embed, _DEFAULT: MiniLM().embed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their converters use what torch deprecates
        if find_spec("openvino"):
            runtimes["OpenVINO"] = _openvino()
        if find_spec("ctranslate2"):
            runtimes["CTranslate2"] = _ctranslate2(folder)
    return runtimes


def _openvino() -> Embed:
    import openvino
    import torch
    from transformers import BertModel

    names = ("input_ids", "token_type_ids", "attention_mask")
    bert = BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False).eval()
    example = {name: torch.ones(1, 8, dtype=torch.int64) for name in names}
    options = {
        "INFERENCE_NUM_THREADS": default_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(
        openvino.convert_model(bert, example_input=example), "CPU", options
    )

    def encode(*inputs: Integers) -> Vectors:
        return np.asarray(compiled(dict(zip(names, inputs, strict=True)))[0])

    return _embed_with(lambda rows: sum_states(encode, rows))


def _ctranslate2(folder: Path) -> Embed:
    import ctranslate2

    converted = str(folder / "ctranslate2")
    ctranslate2.converters.TransformersConverter(str(minilm_folder())).convert(converted)
    encoder = ctranslate2.Encoder(
        converted, device="cpu", compute_type="float32", intra_threads=default_threads()
    )

    def encode(rows: list[list[int]]) -> Vectors:
        order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
        sums = np.empty((len(rows), 384), dtype=np.float32)
        for first in range(0, len(order), 32):
            batch = order[first : first + 32]
            states = encoder.forward_batch([rows[n] for n in batch]).last_hidden_state
            for n, hidden in zip(batch, np.array(states), strict=True):
                sums[n] = hidden[: len(rows[n])].sum(axis=0)
        return sums

    return _embed_with(encode)


def _embed_with(encode: Callable[[list[list[int]]], Vectors]) -> Embed:
    """Return an embedder around a function from token ids to sums of hidden states."""
    tokenizer = load_tokenizer(minilm_folder())
    tokenizer.enable_truncation(256)

    def embed(texts: Sequence[str]) -> Vectors:
        sums = encode([tokenizer.encode(text).ids for text in texts])
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))

    return embed


# ---- cold start


@dataclass(frozen=True, slots=True)
class _Usage:
    """What a process used from its start to its end."""

    cpu_s: float
    peak_mb: float


def _cold_start_claims(setup: Setup) -> list[Claim]:
    """Compare `memkit recall` with a script that does a plain vector search."""
    import faiss

    size = setup.choose((10_000,), (200,))[0]
    real = not setup.quick
    path = corpus.make_memory_file(setup.folder, size, setup.seed, real=real)
    index = setup.folder / "cold.faiss"
    faiss.write_index(
        corpus.exact_index(corpus.make_vectors(size, setup.seed, real=real)), str(index)
    )
    question = corpus.make_questions(corpus.make_texts(size, setup.seed), 1, setup.seed)[0]
    script = _PLAIN_SEARCH.format(model=str(minilm_folder()), index=str(index), question=question)
    commands = {
        "memkit": [_PRINT_PEAK + _RECALL, "recall", question, "--store", str(path), "--user", USER],
        "plain": [_PRINT_PEAK + script],
    }
    usages: dict[str, list[_Usage]] = {name: [] for name in commands}
    for _ in range(1 if setup.quick else 9):
        for name, arguments in commands.items():
            usages[name].append(_run(arguments))
    seconds, peaks = (
        {name: np.array([getattr(usage, field) for usage in usages[name]]) for name in usages}
        for field in ("cpu_s", "peak_mb")
    )
    label, against = f"memkit recall among {size:,} turns, cold", "sentence-transformers + FAISS"
    return [
        time_claim(
            f"{label}, CPU time", seconds["memkit"], seconds["plain"], unit="s",
            against=against, seed=setup.seed, target=Target(bound="≤", value=0.2),
        ),
        size_claim(
            f"{label}, peak memory", float(np.median(peaks["memkit"])),
            float(np.median(peaks["plain"])), against=against, unit="MB",
        ),
    ]  # fmt: skip


def _run(arguments: list[str]) -> _Usage:
    """Run Python with `-c` and these arguments, and return what the process used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = run_python("-c", *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Usage(cpu_s=cpu_s, peak_mb=float(printed.split()[-1]) / 1e6)
