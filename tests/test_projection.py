"""The trained projection of questions: for the bundled encoder only, and small."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import memkit
from memkit.embedders import MINILM, MiniLM
from memkit.retrieval import projection
from memkit.retrieval.projection import Projection, QuestionVectors, bundled_projection
from memkit.testing import HashEmbedder

USER = "ann"


@given(st.integers(0, 10**6))
def test_a_projected_question_is_a_unit_vector_near_the_question(seed: int) -> None:
    vector = np.random.default_rng(seed).standard_normal(MINILM.dimension).astype(np.float32)
    vector /= np.linalg.norm(vector)
    projected = bundled_projection()(vector)
    assert abs(float(np.linalg.norm(projected)) - 1) < 1e-5
    assert float(projected @ vector) > 0


def test_only_questions_of_the_bundled_encoder_are_projected() -> None:
    other = HashEmbedder()
    vector = other.embed(["Where is the key?"])[0]
    vectors = QuestionVectors.of(vector, other.fingerprint)
    assert vectors.projected is vectors.plain
    own = MiniLM().embed(["Where is the key?"])[0]
    assert not np.allclose(QuestionVectors.of(own, MINILM).projected, own)


def test_recall_shows_what_the_projection_adds(minilm: MiniLM) -> None:
    with memkit.open(":memory:", embedder=minilm) as memory:
        memory.remember("The spare key is under the blue pot.", user_id=USER)
        (hit,) = memory.recall("Where did I put the key?", user_id=USER)
    assert hit.explain["learned"] > 0


def test_a_saved_projection_projects_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    up, down = rng.standard_normal((2, 8, MINILM.dimension)).astype(np.float32) / 20
    file = tmp_path / "projection.npz"
    projection.save(Projection(up, down), file)
    with np.load(file) as arrays:
        stored = Projection(arrays["up"].astype(np.float32), arrays["down"].astype(np.float32))
    vector = MiniLM().embed(["Where is the key?"])[0]
    np.testing.assert_allclose(stored(vector), Projection(up, down)(vector), atol=1e-3)
