"""BERT on the CPU without torch, in float32 or int8: token ids in, hidden states out.

ONNX Runtime computes a graph without weights that `tools/encoder_graph.py` writes. The weights are
arrays of the caller, so one graph serves the embedder and the learned thinker, and nothing is
exported or stored twice.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memkit.errors import ModelError
from memkit.protocols import Integers, Vectors

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

Encode = Callable[[Integers, Integers, Integers], Vectors]

STATIC_FOLDER = Path(__file__).with_name("static")  # written by tools/static_encoder.py
STATIC_VECTORS = "vectors.npy"  # in it: int8, a row per token

_GRAPH, _INT8_GRAPH = map(Path(__file__).with_name, ("bert.onnx", "bert_int8.onnx"))
# Seven bits of the eight: sums of two products then fit into 16 bits, in which processors without
# VNNI compute them, and every processor gets the same sums.
_LARGEST_INT8 = 63
_EMBEDDINGS = "embeddings.{}_embeddings.weight"
# prefixes of what the graph needs; a file may hold more, such as a pooler
_IN_GRAPH = ("encoder.layer.", "embeddings.LayerNorm.")
_MOST_THREADS = 8  # more do not pay for texts as short as turns
_BATCH_TOKENS = 512  # with padding; the activations of a larger batch leave the cache


class Encoder:
    """The bundled encoder's architecture with the weights of its caller. Thread-safe.

    Args:
        weights: arrays of float32 by their name in all-MiniLM-L6-v2. Those of the layers are
            copied; the tables of embeddings are used as they are, and may be memory-mapped.
        threads: to compute with; `default_threads()` if None.
        int8: compute the linear layers in int8. The states of a text then depend a little on the
            other texts of the call, because all of them share the scale of a layer's input.

    Raises:
        ModelError: a weight is missing or has another shape.
    """

    def __init__(
        self, weights: Mapping[str, Vectors], *, threads: int | None = None, int8: bool = False
    ) -> None:
        try:
            self._tables = [
                weights[_EMBEDDINGS.format(name)] for name in ("word", "position", "token_type")
            ]
        except KeyError as error:
            raise ModelError(f"the encoder's weights have no {error}") from error
        in_graph = {name: array for name, array in weights.items() if name.startswith(_IN_GRAPH)}
        graph = _INT8_GRAPH if int8 else _GRAPH
        arrays = quantise(in_graph) if int8 else in_graph
        self._session = _start_session(graph, arrays, threads or default_threads())

    def encode(self, ids: Integers, segments: Integers, mask: Integers) -> Vectors:
        """Return the hidden states, shape (n, tokens, width).

        `ids`, `segments` and `mask` have the shape (n, tokens), with at most 512 tokens. The mask
        is 1 for tokens and 0 for the padding behind them, whose hidden states mean nothing.

        Raises:
            ModelError: ONNX Runtime failed, usually because memory ran out.
        """
        words, positions, types = self._tables
        places = np.flatnonzero(mask)  # of the tokens; padding is left out wherever it can be
        numbers = np.zeros(mask.shape, dtype=np.int64)
        numbers.flat[places] = np.arange(len(places))
        embedded = words[ids.flat[places]]
        embedded += positions[places % ids.shape[1]]
        embedded += types[segments.flat[places]]
        inputs = {
            "embedded": embedded,
            "places": places,
            "numbers": numbers,
            "mask": mask.astype(np.int32),
        }
        try:
            (hidden,) = self._session.run(None, inputs)
        except _runtime_errors() as error:
            raise ModelError(f"the encoder failed: {error}") from error
        return np.asarray(hidden)


def quantise(weights: Mapping[str, Vectors]) -> dict[str, NDArray[np.generic]]:
    """Return the weights with the matrices in int8, transposed, and a scale for each column."""
    arrays: dict[str, NDArray[np.generic]] = dict(weights)
    for name, matrix in weights.items():
        if matrix.ndim == 2:
            scale = np.abs(matrix).max(axis=1) / _LARGEST_INT8
            rounded = np.round(matrix.T / np.maximum(scale, np.finfo(np.float32).tiny))
            arrays[name] = np.ascontiguousarray(rounded.astype(np.int8))
            arrays[name.removesuffix("weight") + "scale"] = scale
    return arrays


def _start_session(
    graph: Path, weights: Mapping[str, NDArray[np.generic]], threads: int
) -> "InferenceSession":
    # From 1.29 on, ONNX Runtime reports to its maker once it is imported, on Linux too: it writes
    # an id into the temporary folder and looks up a host. This switches it off.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # a thread that waits for work sleeps: between two questions nothing burns a core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # the graph has the fused operators that pay; all that could be fused is slower
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3  # errors only
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)  # copies them into the session
    try:
        return ort.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise ModelError(f"the encoder's weights do not fit its graph: {error}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its errors have no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (errors.Fail, errors.InvalidArgument, errors.RuntimeException, RuntimeError)


def default_threads() -> int:
    """Return OMP_NUM_THREADS if it is set, else the number of usable cores, at most 8."""
    variable = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if variable.isdecimal() and int(variable):
        return int(variable)
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def load_tokenizer(folder: Path) -> "Tokenizer":
    """Return a model folder's tokenizer, without truncation and padding.

    Threads may share it: unlike transformers, nobody changes its settings between two texts.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield indices of texts of about equal length, together at most 512 tokens with padding.

    >>> list(batches([200, 3, 600, 3, 300]))
    [[1, 3], [0], [4], [2]]
    """
    batch: list[int] = []
    for n in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if batch and (len(batch) + 1) * lengths[n] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def sum_states(encode: Encode, rows: Sequence[Sequence[int]]) -> Vectors:
    """Return the sums of the texts' hidden states, shape (n, width); rows are token ids.

    `encode` is called with ids, segments and mask of some texts at a time.
    """
    sums: list[Vectors] = [np.empty(0, dtype=np.float32)] * len(rows)
    for batch in batches([len(row) for row in rows]):
        ids = pad([rows[n] for n in batch])
        mask = pad([[1] * len(rows[n]) for n in batch])
        hidden = encode(ids, np.zeros_like(ids), mask)
        for n, states in zip(batch, np.einsum("ntd,nt->nd", hidden, mask), strict=True):
            sums[n] = states
    return np.stack(sums)


def pad(rows: Sequence[Sequence[int]]) -> Integers:
    """Return rows of whole numbers as one array, zeros behind the shorter ones."""
    padded = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
    for n, row in enumerate(rows):
        padded[n, : len(row)] = row
    return padded
