"""Studies on cards: replay against reading, scores that say the same, HEMA's table, one memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_memory import asked, haystack, record, talk

from evals.card import run
from evals.card.config import Config, ModelSpec, Run
from evals.card.records import Card, Figure, Record
from evals.card.run import Results
from evals.data import pooled
from evals.data.haystack import DataSet
from evals.data.registry import Spec
from evals.studies import frontier, hema, redundancy
from evals.tables import Cell
from memkit.errors import InvalidInput

# ---- replay against reading


def at(distance: int, replayed: float, read: float, n: int = 0) -> list[Record]:
    """Return both sides of a question."""
    of = {"haystack": f"h{n}", "question": f"q{n}", "axes": {"distance": float(distance)}}
    return [
        record(scores={"share in budget": replayed}, **of),
        record(
            scores={"share in budget": read}, regime="long context", system="full history", **of
        ),
    ]


def rows(*records: list[Record]) -> list[Mapping[str, Cell]]:
    table = frontier.table({64: [item for some in records for item in some]}, "ours", seed=0)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_replay_is_compared_with_reading_on_the_same_questions_by_distance() -> None:
    result = rows(at(10, 1, 1), at(49, 0, 1, n=1), at(300, 1, 0, n=2), at(300, 1, 0, n=3)[:1])
    near, far = result
    assert (near["tokens"], near["evidence said"], near["n"]) == (64, "0–49 turns ago", 2)
    assert (near["replayed"], near["read"], near["difference"]) == (0.5, 1, -0.5)
    assert (far["evidence said"], far["difference"], far["n"]) == ("200+ turns ago", 1, 1)
    assert (far["95 %"], far["p"]) == ("no interval", None)
    assert str(near["95 %"]).startswith("-1.000")


def test_a_frontiers_p_values_are_corrected_over_the_whole_table() -> None:
    near = [at(10, 1, n / 9, n=n) for n in range(9)]
    far = [at(300, n % 2, 0.5, n=10 + n) for n in range(9)]
    first, second = rows(*near, *far)
    assert first["p"] == round(2 / 2**9, 4)  # exact: of nine conversations all signs are one
    assert first["p Holm"] == pytest.approx(2 * first["p"])
    assert second["p Holm"] == second["p"]


def test_cost_at_target_is_the_least_budget_that_reaches_what_reading_reaches_in_the_largest() -> (
    None
):
    result = {256: at(10, 0.2, 0.1), 512: at(10, 0.6, 0.3), 1024: at(10, 0.9, 0.5)}
    table = frontier.targets(result, "ours")
    (row,) = [dict(zip(table.columns, item, strict=True)) for item in table.rows]
    assert row == {
        "score": "share in budget", "target": 0.5, "replayed": 512, "read": 1024, "n": 1
    }  # fmt: skip
    lost = frontier.targets({256: at(10, 0.2, 0.5)}, "ours").rows
    assert [item[2:] for item in lost] == [[None, 256, 1]]
    assert frontier.targets({256: at(10, 0.2, 0)}, "ours").rows == []  # costs nothing


def test_every_budget_is_a_run_with_a_window_of_that_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[Config, Path]] = []

    def keep(config: Config, how: Run, *_: object) -> Results:
        ran.append((config, how.folder))
        return Results(records=[record()], not_run=[], data=[])

    monkeypatch.setattr(run, "run", keep)
    config = Config(
        name="c", data=[Spec(format="jsonl")], systems=["ours"], model=ModelSpec(kind="smollm2")
    )
    result = frontier.run(config, Run(folder=tmp_path), [64, 128])
    assert result.keys() == {64, 128}
    assert [(item.budget, item.model and item.model.window) for item, _ in ran] == [
        (64, 64),
        (128, 128),
    ]
    assert {item.regimes for item, _ in ran} == {("long context", "replay")}
    assert len({folder for _, folder in ran}) == 2


def test_a_frontier_without_a_model_names_what_is_missing(tmp_path: Path) -> None:
    config = Config(name="c", data=[Spec(format="jsonl")], systems=["ours"])
    with pytest.raises(InvalidInput, match=r"\[model\]"):
        frontier.run(config, Run(folder=tmp_path), [64])


# ---- scores that say the same

METRIC_OF: Mapping[str, Sequence[float]] = {
    "MRR": [0.1, 0.2, 0.3, 0.4, 0.5],
    "any@1": [0.2, 0.3, 0.4, 0.5, 0.6],
    "out-of-date use": [0.9, 0.8, 0.7, 0.6, 0.5],  # lower is better: the same order
    "step order": [0.1, 0.5, 0.2, 0.4, 0.3],  # its own: τ 0.2
    "AURC": [0.3, 0.3, 0.3, 0.3, 0.3],  # puts nobody in an order
    "search ms": [1.0, 2.0, 3.0, 4.0, 5.0],  # no quality
}


def card(figures: Mapping[str, Sequence[float]] = METRIC_OF, **more: Any) -> Card:
    given: dict[str, Any] = {
        "name": "c", "config": {"seed": 0}, "stamp": {}, "disclosure": {}, "data": [],
        "figures": [
            Figure(layer="external", metric=metric, data="d", group="all", regime="replay",
                   system=f"s{n}", value=value)
            for metric, values in figures.items() for n, value in enumerate(values)
        ],
        "not_run": [], "curves": [], "funnels": [], "compared": [], "audits": [], "records": [],
    }  # fmt: skip
    return Card(**(given | more))


def test_scores_that_order_systems_alike_are_one_group() -> None:
    groups, pairs = redundancy.tables([card()] * 5, seed=0)
    groups_kept = {str(row[0]): row[2] for row in groups.rows}
    assert len(groups_kept) == 2
    assert groups_kept["step order"] == ""
    (redundant,) = [told for name, told in groups_kept.items() if name != "step order"]
    assert len(str(redundant).split(", ")) == 2
    assert [row[2] for row in pairs.rows] == [1, 1, 1]
    assert {(row[3], row[4]) for row in pairs.rows} == {("1.00 … 1.00", 5)}


def test_scores_that_hardly_meet_are_not_called_the_same() -> None:
    groups, pairs = redundancy.tables([card()] * 4, seed=0)
    assert {row[2] for row in groups.rows} == {""}
    assert pairs.rows == []


def test_an_order_needs_systems_that_differ_and_enough_of_them() -> None:
    assert redundancy.rankings([card()]).keys() == METRIC_OF.keys() - {"AURC", "search ms"}
    assert redundancy.rankings([card({"MRR": [0.1, 0.2, 0.3, 0.4]})]) == {}


def test_correlation_is_kendalls_over_the_places_that_both_have() -> None:
    result = redundancy.rankings([card()])
    assert redundancy.correlation(result["MRR"], result["step order"]) == [pytest.approx(0.2)]
    assert redundancy.correlation(result["MRR"], {}) == []


def test_two_cards_of_one_name_are_two_places() -> None:
    mirrored = card({**METRIC_OF, "MRR": [0.5, 0.4, 0.3, 0.2, 0.1]})
    result = redundancy.rankings([card(), mirrored])
    assert redundancy.correlation(result["MRR"], result["any@1"]) == pytest.approx([1, -1])


def test_one_score_is_no_group_of_scores() -> None:
    groups, pairs = redundancy.tables([card({"MRR": METRIC_OF["MRR"]})], seed=0)
    assert (groups.rows, pairs.rows) == ([], [])


# ---- HEMA's table


def test_our_figures_stand_beside_the_papers_and_what_was_not_run_says_so() -> None:
    scores = {"P@5": 0.2, "turn recall@50": 1.0, "AUPRC": 0.5}
    records = [
        *(record(data="pooled", system="memkit", scores=scores, relevant=n) for n in (1, 2, 9)),
        record(
            data="distance", system="memkit", axes={"distance": 50.0}, scores={"share in budget": 1}
        ),
    ]
    search, recall = hema.tables(card(records=records))
    ours = {row[0]: list(row[1:]) for row in search.rows}
    assert ours["Compact + Vector"] == [
        "0.200 no interval (n 3)", "1.000 [0.292, 1.000] (n 3)", "0.500 no interval (n 3)",
        0.533, 0.82, 0.74, 0.72,
    ]  # fmt: skip
    assert ours["Raw"][:3] == ["not run"] * 3
    at_50 = [row for row in recall.rows if row[:2] == ["50 turns", "Compact + Vector"]]
    assert at_50[0][2:] == ["1.000 no interval (n 1)", "not run", 0.88]
    assert len(recall.rows) == 9


def test_a_summary_has_no_records_to_make_hemas_table_of() -> None:
    with pytest.raises(InvalidInput, match=r"without records; pass the card\.json"):
        hema.tables(card(records=[]))


def test_facts_of_several_conversations_are_resampled_by_conversation() -> None:
    far = {"data": "distance", "system": "memkit", "axes": {"distance": 50.0}}
    of = [(haystack, float(haystack == "a")) for haystack in "ab" for _ in range(20)]
    records = [record(haystack=h, scores={"contains": y}, **far) for h, y in of]
    _, recall = hema.tables(card(records=records))
    (row,) = [row for row in recall.rows if row[:2] == ["50 turns", "Compact + Vector"]]
    assert row[3] == "0.500 [0.000, 1.000] (n 40)"


# ---- one memory of many


def source(format: str, n: int, *, first_day: int = 0) -> DataSet:
    stacks = [
        haystack(
            asked(
                "t2", asked_at=talk()[3].said_at, after=4, stale_turns=("t0",), steps=("t0", "t2")
            ),
            asked(id="q1"),
            name=f"{format}{m}",
            turns=[
                replace(
                    turn,
                    session_id="s",
                    said_at=turn.said_at and turn.said_at.replace(month=1 + first_day + 2 * m),
                )
                for turn in talk()
            ],
        )
        for m in range(n)
    ]
    return DataSet(format=format, file=f"{format}.json", sha256=format, haystacks=stacks)


def pool(turns: int = 10_000, questions: int = 100, seed: int = 0) -> DataSet:
    sets = [source("a", 3, first_day=1), source("b", 2)]
    return pooled.pool(sets, turns=turns, questions=questions, seed=seed)


def test_conversations_are_taken_in_turn_until_there_are_turns_enough() -> None:
    (whole,) = pool(turns=25).haystacks
    assert len(whole.turns) == 30
    assert list(dict.fromkeys(str(turn.session_id) for turn in whole.turns)) == [
        "b0/s",
        "a0/s",
        "a1/s",
    ]
    assert len(pool().haystacks[0].turns) == 50


def test_no_name_meets_its_namesake_and_questions_know_all_that_was_said() -> None:
    (whole,) = pool().haystacks
    ids = {turn.id for turn in whole.turns}
    assert len(ids) == 50
    assert len(whole.questions) == 5  # those with evidence
    for question in whole.questions:
        assert set(question.golds["published"].turns) <= ids
        assert {*question.expected.stale_turns, *question.expected.steps} <= ids
        assert (question.asked_at, question.after) == (None, None)


def test_questions_are_named_apart_and_drawn_by_seed() -> None:
    (whole,) = pool().haystacks
    assert len({question.id for question in whole.questions}) == 5
    sampled = [item.id for item in pool(questions=2).haystacks[0].questions]
    assert len(sampled) == 2
    assert sampled == [item.id for item in pool(questions=2).haystacks[0].questions]


def test_what_memkit_was_tuned_on_is_searched_in_a_pool_and_not_asked_about() -> None:
    tuned = source("a", 3, first_day=1)
    tuned = replace(tuned, haystacks=[replace(item, split="tuning") for item in tuned.haystacks])
    (whole,) = pooled.pool([tuned, source("b", 2)], turns=10_000, questions=100, seed=0).haystacks
    assert len(whole.turns) == 50
    assert {item.id.partition("/")[0] for item in whole.questions} == {"b0", "b1"}


def test_nothing_cannot_be_pooled() -> None:
    with pytest.raises(InvalidInput, match="nothing to pool"):
        pooled.pool([], turns=10, questions=1, seed=0)
