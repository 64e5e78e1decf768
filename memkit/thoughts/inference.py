"""The learned thinker's network without torch: the shared encoder, and its two heads in NumPy.

`memkit.thoughts.network` is the same network in torch, for training.
"""

from pathlib import Path

import numpy as np

from memkit.embedders import WEIGHTS_FILE, minilm_folder
from memkit.encoder import Encoder, weights
from memkit.errors import ModelError
from memkit.protocols import Integers, Vectors

UP, DOWN = ".up", ".down"  # suffixes of the two factors of an adapter
_ENCODER = "encoder."  # prefix of the encoder's weights; the others are the heads'


class TalkModel:
    """The trained network: the bundled encoder plus the adapters of a file. Thread-safe.

    With `int8`, read one text at a time: the states of a text depend on all texts of a call.

    Raises:
        MissingExtra: the bundled encoder is not installed.
        ModelError: the file is missing or is not from this network.
    """

    def __init__(self, file: Path, *, int8: bool = False) -> None:
        encoder = weights.read(minilm_folder() / WEIGHTS_FILE)
        try:
            stored = {name: array.astype(np.float32) for name, array in weights.read(file).items()}
            _add_adapters(encoder, stored)
            self._claims = _linear(stored, "claims")
            self._pairs = (_linear(stored, "pairs.0"), _linear(stored, "pairs.3"))
            self._encoder = Encoder(encoder, int8=int8)
        except (ModelError, KeyError, ValueError) as error:
            raise ModelError(
                f"the thinker's weights at {file} cannot be used: {error}; reinstall memkit-llm"
            ) from error

    def encode(self, ids: Integers, segments: Integers, mask: Integers) -> Vectors:
        """Return the hidden states of token ids, shape (n, tokens, width)."""
        return self._encoder.encode(ids, segments, mask)

    def claims(self, hidden: Vectors, clauses: Vectors) -> Vectors:
        """Return the probabilities of clauses' kinds and of a change, (n, clauses, kinds + 1).

        `clauses`, shape (n, clauses, tokens), has the weight of every token in a clause.
        """
        weight, bias = self._claims
        logits = np.asarray(clauses @ hidden @ weight.T + bias, dtype=np.float32)
        changes = 1 / (1 + np.exp(-logits[..., -1:]))
        rows = np.concatenate([_softmax(logits[..., :-1]), changes], axis=-1)
        return np.asarray(rows, dtype=np.float32)

    def pairs(self, hidden: Vectors, older: Vectors, clauses: Vectors) -> Vectors:
        """Return the probabilities of relations, shape (n, older, clauses, relations).

        `older` has the tokens of the older thoughts as `clauses` has those of the newer clauses.
        """
        shape = (*older.shape[:2], clauses.shape[1], hidden.shape[-1])
        first = np.broadcast_to((older @ hidden)[:, :, None], shape)
        second = np.broadcast_to((clauses @ hidden)[:, None], shape)
        whole = np.broadcast_to(hidden[:, :1, None], shape)
        x = np.concatenate([first, second, first * second, whole], axis=-1)
        (inner, inner_bias), (outer, outer_bias) = self._pairs
        return _softmax(_gelu(x @ inner.T + inner_bias) @ outer.T + outer_bias)


def _add_adapters(encoder: dict[str, Vectors], stored: dict[str, Vectors]) -> None:
    """Replace the weights of an encoder that training changed: by a product, or by a vector."""
    for name, array in stored.items():
        if not name.startswith(_ENCODER) or name.endswith(DOWN):
            continue
        full_name = name.removesuffix(UP)
        added = array @ stored[full_name + DOWN] if name.endswith(UP) else array
        base = full_name.removeprefix(_ENCODER)
        encoder[base] = encoder[base] + added


def _linear(stored: dict[str, Vectors], name: str) -> tuple[Vectors, Vectors]:
    return stored[f"{name}.weight"], stored[f"{name}.bias"]


def _softmax(logits: Vectors) -> Vectors:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _gelu(x: Vectors) -> Vectors:
    return np.asarray(x * (1 + _erf(x * np.float32(2**-0.5))) / 2)


def _erf(x: Vectors) -> Vectors:
    """Return the error function, which NumPy lacks, to 2e-7.

    Source: Abramowitz and Stegun 1964, formula 7.1.26.
    """
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0], t)
    return np.asarray(np.sign(x) * (1 - series * np.exp(-x * x)), dtype=np.float32)
