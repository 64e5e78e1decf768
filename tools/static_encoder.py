"""Write `memkit/encoder/static/`: a vector for every token, distilled from the bundled encoder.

    python tools/static_encoder.py

The recipe and its parameters are model2vec's (https://github.com/MinishLab/model2vec, MIT): the
encoder reads every token of its vocabulary alone, principal components reduce the vectors, and a
frequent token gets less weight. model2vec itself cannot do it here: version 0.10 needs
transformers < 5.4, and at run time it would add seven packages for one look-up.

It takes about half a minute of CPU time. The vectors are those of all-MiniLM-L6-v2 (Apache-2.0).
"""

import json
from pathlib import Path

import numpy as np

from memkit.embedders import WEIGHTS_FILE, minilm_folder
from memkit.encoder import STATIC_FOLDER, STATIC_VECTORS, Encoder, load_tokenizer, weights
from memkit.protocols import Vectors

DIMENSION = 256
SMOOTHING = 1e-4  # of smooth inverse frequency (Arora et al., ICLR 2017)
_BATCH = 128
_LARGEST = 127  # of int8


def read_tokens(folder: Path) -> Vectors:
    """Return the encoder's vector of each token between the special tokens, shape (tokens, 384)."""
    encoder, tokenizer = Encoder(weights.read(folder / WEIGHTS_FILE)), load_tokenizer(folder)
    first, last = tokenizer.encode("").ids
    texts = np.array([[first, token, last] for token in range(tokenizer.get_vocab_size())])
    batches = np.split(texts, range(_BATCH, len(texts), _BATCH))
    return np.concatenate(
        [encoder.encode(ids, np.zeros_like(ids), np.ones_like(ids)).mean(axis=1) for ids in batches]
    )


def reduce(vectors: Vectors) -> Vectors:
    """Return the principal components of the vectors, shape (tokens, 256)."""
    _, components = np.linalg.eigh(np.cov(vectors.T))  # the largest last
    return np.asarray((vectors - vectors.mean(axis=0)) @ components[:, : -DIMENSION - 1 : -1])


def weigh(vectors: Vectors) -> Vectors:
    """Return the vectors times their smooth inverse frequency, which Zipf's law gives for a rank.

    The vocabulary has special tokens and characters first, and then words by their frequency.
    """
    frequencies = 1 / np.arange(2, len(vectors) + 2)
    frequencies /= frequencies.sum()
    return np.asarray(vectors * (SMOOTHING / (SMOOTHING + frequencies))[:, None])


def quantise(vectors: Vectors) -> np.ndarray:
    """Return the vectors as int8; the scale is lost, because a text's vector is normalised."""
    return np.round(vectors * (_LARGEST / np.abs(vectors).max())).astype(np.int8)


if __name__ == "__main__":
    source = minilm_folder()
    STATIC_FOLDER.mkdir(exist_ok=True)
    np.save(STATIC_FOLDER / STATIC_VECTORS, quantise(weigh(reduce(read_tokens(source)))))
    description = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    text = json.dumps(description | {"truncation": None, "padding": None}, ensure_ascii=False)
    (STATIC_FOLDER / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    for file in STATIC_FOLDER.iterdir():
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
