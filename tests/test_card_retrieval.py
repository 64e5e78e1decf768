"""The retrieval card: LoCoMo and LongMemEval by published and audited evidence, without a model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import erratum, locomo_file, longmemeval_file, remembered
from scripted_memory import record

from evals import ROOT
from evals.card import aggregate, build, config, report, run
from evals.card.config import Config, Run
from evals.card.records import Card
from memkit.errors import InvalidInput

CONFIGS = ROOT / "evals" / "card" / "configs"
SYSTEMS = ("BM25", "last turns")
R10 = "turn recall@10"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    folder = tmp_path_factory.mktemp("retrieval")
    audit = folder / "errors.json"
    audit.write_text(json.dumps([erratum("locomo_1_qa0", "What does Biscuit fear?", "D2:1")]))
    locomo = locomo_file(folder, "conv-26", "conv-98", "conv-99")
    ids = ("q5_abs", "q1", "q2", "q3", "q4_abs", "q5")
    longmemeval = longmemeval_file(folder, *map(remembered, ids))
    chosen = config.relocate(
        config.read(CONFIGS / "retrieval.toml"), [f"locomo={locomo}", f"longmemeval={longmemeval}"]
    )
    audited = replace(chosen.data[0], name="locomo-audited", audit=audit)
    data = [*chosen.data, audited]
    return _run(replace(chosen, data=data, systems=SYSTEMS, ours="BM25", embedder="hash"), folder)


def _run(chosen: Config, folder: Path) -> Card:
    results = run.run(chosen, Run(folder=folder / "out", cache=folder / "cache"))
    return build.build(chosen, results, {})


def value(card: Card, metric: str, data: str, system: str, group: str = "answerable") -> float:
    key = (metric, data, system, group)
    (figure,) = [
        figure
        for figure in card.figures
        if (figure.metric, figure.data, figure.system, figure.group) == key
    ]
    return figure.value


def test_every_score_of_the_retrieval_tables_has_a_figure(card: Card) -> None:
    metrics = {figure.metric for figure in card.figures if figure.data == "locomo"}
    assert metrics >= {
        "turn recall@1", "turn recall@5", "turn recall@10", "turn recall@50", "NDCG@10", "MRR",
        "served recall@10", "session recall@5", "session any@1", "session any@5", "session all@5",
        "share in 500 tokens", "share in 1000 tokens", "share in 3500 tokens", "AUROC", "AURC",
        "search ms",
    }  # fmt: skip


def test_conversations_for_tuning_are_a_data_set_of_their_own(card: Card) -> None:
    conversations = {data["name"]: data["of splits"] for data in card.data}
    assert (conversations["locomo"], conversations["locomo-tuning"]) == (
        {"report": 2}, {"tuning": 1},
    )  # fmt: skip
    assert set(conversations["longmemeval"]) == {"report"}


def test_unanswerable_questions_with_related_turns_are_a_group_of_their_own(card: Card) -> None:
    groups = {figure.group for figure in card.figures if figure.data == "locomo"}
    assert {"all", "answerable", "adversarial", "multi-hop"} <= groups
    records = [
        record for record in card.records
        if (record.data, record.system) == ("locomo", "BM25") and record.answerable
    ]  # fmt: skip
    recalls = [record.scores[R10] for record in records if R10 in record.scores]
    assert value(card, R10, "locomo", "BM25") == pytest.approx(sum(recalls) / len(recalls))


def test_the_audited_evidence_scores_the_same_rankings_otherwise(card: Card) -> None:
    places = {
        data: {
            record.question: record.places
            for record in card.records
            if (record.data, record.system) == (data, "BM25")
        }
        for data in ("locomo", "locomo-audited")
    }
    published, audited = places["locomo"], places["locomo-audited"]
    assert [name for name in published if published[name] != audited[name]] == ["conv-98/qa0"]


def test_differences_are_tested_by_conversation(card: Card) -> None:
    compared = {
        (comparison.metric, comparison.theirs)
        for comparison in card.compared
        if comparison.data == "locomo"
    }
    assert {("share in 1000 tokens", "last turns"), ("session recall@5", "last turns")} <= compared


def test_differences_are_of_answerable_questions(card: Card) -> None:
    counted = [
        comparison.n for comparison in card.compared
        if (comparison.data, comparison.metric, comparison.theirs) == ("locomo", R10, "last turns")
    ]  # fmt: skip
    assert counted == [6]  # of ten questions two are unanswerable and two have no evidence left


def test_an_unanswerable_question_is_wrong_whatever_is_found() -> None:
    related = record(answerable=False, scores={"any@10": 1.0}, confidence=0.9)
    answered = record(scores={"any@10": 1.0}, confidence=0.5)
    _, errors = aggregate.confidence_and_errors([related, answered])
    assert errors.tolist() == [True, False]


def test_the_card_holds_no_text_of_the_data(card: Card) -> None:
    assert "Biscuit" not in report.dumps(card)


def test_a_budget_that_the_catalogue_lacks_is_refused_with_those_it_has() -> None:
    table = {"name": "x", "systems": ["memkit"], "data": [{"format": "synthetic"}]}
    with pytest.raises(InvalidInput, match="budgets has 7; the catalogue has 300, 500, 1000"):
        config.from_table(table | {"budgets": [7]}, Path())
    with pytest.raises(InvalidInput, match="no metric of the catalogue: 'beauty'"):
        config.from_table(table | {"tested": ["beauty"]}, Path())


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_config_can_be_read(file: Path) -> None:
    assert config.read(file).systems
