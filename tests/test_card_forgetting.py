"""The card tells a memory that deletes from one that only hides."""

from pathlib import Path

import pytest

from evals.bench import Setup, deletion
from evals.card import config as configs
from evals.card import run
from evals.card.aggregate import figures
from evals.card.config import Config, Run
from evals.data.registry import Spec
from evals.data.synthetic import PROBES
from evals.data.synthetic.forgetting import ADVERSARIAL, PARAPHRASED, VERBATIM

SYSTEMS = ("memkit", "memkit that hides", "memkit built anew", "BM25")


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], float]:
    """Figures of a small card, by system, group and metric."""
    folder = tmp_path_factory.mktemp("card")
    options = {"probe": "forgetting", "conversations": 3, "size": "small"}
    config = Config(
        name="x", data=[Spec(format="synthetic", name="x", options=options)], systems=SYSTEMS,
        regimes=["replay"], embedder="hash",
    )  # fmt: skip
    records = run.run(config, Run(folder=folder, cache=folder)).records
    return {(f.system, f.group, f.metric): f.value for f in figures(records, 0)}


@pytest.mark.parametrize("kind", [VERBATIM, PARAPHRASED, ADVERSARIAL])
@pytest.mark.parametrize("system", ["memkit", "memkit built anew", "BM25"])
def test_nothing_of_a_deleted_turn_comes_back(
    values: dict[tuple[str, str, str], float], system: str, kind: str
) -> None:
    assert values[system, kind, "extraction"] == 0


@pytest.mark.parametrize("kind", [VERBATIM, PARAPHRASED, ADVERSARIAL])
def test_what_is_only_hidden_comes_back(
    values: dict[tuple[str, str, str], float], kind: str
) -> None:
    assert values["memkit that hides", kind, "extraction"] > 0


def test_what_is_kept_is_found_as_by_a_memory_that_was_never_told_the_rest(
    values: dict[tuple[str, str, str], float],
) -> None:
    kept = [values[system, "kept", "turn recall@10"] for system in SYSTEMS[:3:2]]
    assert kept[0] == kept[1] > 0


def test_both_wordings_of_a_fact_are_deleted_and_no_other_turn_has_the_value() -> None:
    for haystack in PROBES["forgetting"](1, conversations=2).haystacks:
        assert len(haystack.forgotten) == len(set(haystack.forgotten)) == 12
        left = [turn.text for turn in haystack.turns if turn.id not in haystack.forgotten]
        texts = {turn.id: turn.text for turn in haystack.turns}
        for question in haystack.questions:
            for value in question.expected.stale:
                assert not any(value in text for text in left)
                assert all(value in texts[turn] for turn in question.expected.stale_turns)


def test_the_config_of_the_card_can_be_read() -> None:
    path = Path(configs.__file__).parent / "configs" / "forgetting.toml"
    assert "memkit that hides" in configs.read(path).systems


# ---- scale and order


def test_a_sequence_of_deletions_is_one_deletion_and_nothing_is_left(tmp_path: Path) -> None:
    scale, order = deletion.run(Setup(folder=tmp_path, quick=True)).tables
    assert [row[0] for row in scale.rows] == [1, 10]
    assert [row[-1] for row in scale.rows] == [0, 0]  # pieces left in the files
    assert [row[1] for row in order.rows] == ["", "1 of 1", "1 of 1"]
