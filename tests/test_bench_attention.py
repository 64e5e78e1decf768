"""Chunk attention is compared with flat attention, and memkit with ablations of its signals."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import SAID, locomo_file, question
from typer.testing import CliRunner

from evals.__main__ import app
from evals.bench import attention as bench
from evals.data import locomo
from evals.data.haystack import Haystack
from evals.stats import bootstrap as statistics
from evals.studies import extrapolation
from evals.systems.memkit import TOGETHER, Memkit, ReweightedMemkit, by_hand, without
from evals.systems.registry import ABLATIONS, SYSTEMS
from memkit.attention import attend
from memkit.memory import Memory
from memkit.retrieval import fusion, recall
from memkit.retrieval.ranker import bundled_ranker
from memkit.testing import HashEmbedder

SESSIONS = 23  # the evidence's, and more than 20 others


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(statistics, "RESAMPLES", 50)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attention")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return long_file(folder, "conv-26", "conv-98", "conv-99")


def long_file(folder: Path, *names: str) -> Path:
    """A LoCoMo file of many short sessions, each with a word of its own."""
    records = []
    for name in names:
        talk: dict[str, Any] = {"speaker_a": "Ann", "speaker_b": "Bob"}
        for n in range(1, SESSIONS + 1):
            talk[f"session_{n}_date_time"] = f"1:56 pm on {n} May, 2023"
            talk[f"session_{n}"] = [
                {"speaker": "Ann", "dia_id": f"D{n}:{m}", "text": f"{text} item{n}x{m} {name}"}
                for m, text in enumerate(SAID, start=1)
            ]
        asked = [
            question("What of item7x2 and item7x3?", "D7:2", "D7:3", category=1),
            question("What of item2x1 and item9x4?", "D2:1", "D9:4", category=1),
            question("What of item5x4?", "D5:4"),
            question("What of nothing at all?", "D5:4", category=5),
        ]
        records.append({"sample_id": name, "conversation": talk, "qa": asked})
    file = folder / "long.json"
    file.write_text(json.dumps(records))
    return file


def problems(haystack: Haystack, seed: int = 0) -> list[extrapolation.Problem]:
    return list(extrapolation.make_problems(haystack, HashEmbedder(), seed))


# ---- what it costs


def test_the_baseline_is_attention_over_one_chunk_of_everything() -> None:
    made = torch.Generator().manual_seed(0)
    turns, query = torch.randn(12, 8, generator=made), torch.randn(8, generator=made)

    read = attend(query[None, None], turns[None, None], k=1, scale=10.0)

    torch.testing.assert_close(
        bench.attend_flat(query, turns), read.output[0, 0], rtol=1e-4, atol=1e-4
    )


def test_what_is_counted_is_keys_and_opened_turns_against_all_turns() -> None:
    logits = bench.count_logits(size=1000, chunks=250, dimension=10)

    assert logits == ((250 + fusion.ATTENDED * bench.CHUNK) * 10, 1000 * 10)


def test_without_data_only_the_cost_is_told(tmp_path: Path) -> None:
    found = run_bench(tmp_path, "--sizes", "90")

    assert found["tables"] == []
    assert [claim["what"] for claim in found["claims"]] == [
        "90 turns, keys cached", "90 turns, keys computed again", "90 turns, logits",
    ]  # fmt: skip


def run_bench(folder: Path, *arguments: str) -> dict[str, Any]:
    written = folder / "result.json"
    done = CliRunner().invoke(
        app, ["bench", "attention", "--quick", "--json", str(written), *arguments]
    )
    assert done.exit_code == 0, done.output
    (found,) = json.loads(written.read_text())["results"]
    return dict(found)


# ---- what it finds


@pytest.fixture(scope="module")
def measured(file: Path, folder: Path) -> dict[str, Any]:
    """A quick run of the benchmark on this file."""
    return run_bench(folder, "--sizes", "90", "--data", str(file))


def test_with_data_the_extrapolation_is_told_without_texts(measured: dict[str, Any]) -> None:
    titles = [table["title"] for table in measured["tables"]]

    assert sum(title.startswith("length extrapolation") for title in titles) == 1
    assert all(len(row) == len(t["columns"]) for t in measured["tables"] for row in t["rows"])
    assert "item" not in json.dumps(measured)


def test_every_system_is_asked_among_twenty_distractors(measured: dict[str, Any]) -> None:
    (table,) = [t for t in measured["tables"] if "fractional recall" in t["title"]]

    systems = ["chunk attention alone", "flat attention alone", "memkit"]
    assert [row[0] for row in table["rows"]][:3] == systems
    assert table["columns"][4] == "R@5, n = 20"
    assert table["note"].startswith("6 questions; 0 left out")


def test_distractors_of_few_are_among_those_of_many_and_never_evidence(file: Path) -> None:
    problem = problems(locomo.read(file).haystacks[0])[1]
    evidence = {"session_2", "session_9"}

    distractors = [problem.sessions(n) - evidence for n in (0, 1, 2, 10, 20)]

    assert [len(sessions) for sessions in distractors] == [0, 1, 2, 10, 20]
    assert all(few < many for few, many in pairwise(distractors))
    assert problem.sessions(0) == evidence


def test_distractors_follow_from_the_seed_and_differ_between_questions(file: Path) -> None:
    haystack = locomo.read(file).haystacks[0]
    first, again, other = (problems(haystack, seed) for seed in (0, 0, 1))

    assert [problem.distractors for problem in first] == [problem.distractors for problem in again]
    assert first[0].distractors != other[0].distractors
    assert first[0].distractors[:5] != first[2].distractors[:5]


def test_a_haystack_holds_its_sessions_and_no_other(file: Path) -> None:
    problem = problems(locomo.read(file).haystacks[0])[0]

    ids = problem.turn_ids[problem.rows(2)]

    assert {f"session_{id[1:].split(':')[0]}" for id in ids} == problem.sessions(2)
    assert len(ids) == 3 * len(SAID)


def test_what_is_not_opened_is_not_found(file: Path) -> None:
    problem = problems(locomo.read(file).haystacks[0])[0]
    rows = problem.rows(20)

    ranking = extrapolation.rank_attended(problem, 20)

    assert fusion.ATTENDED <= len(ranking) < len(rows) == len(extrapolation.rank_flat(problem, 20))


def test_questions_without_twenty_other_sessions_are_not_tested(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-26", "conv-99"))

    assert extrapolation.tables(data.haystacks, HashEmbedder(), 0) == []


# ---- memkit without its arms


def test_there_is_an_ablation_for_every_arm() -> None:
    parts = {*fusion.SIGNALS, *TOGETHER, "thoughts"}
    assert set(ABLATIONS) == {f"memkit without {part}" for part in parts} | {
        "memkit ranked by hand"
    }
    assert {arm for arms in TOGETHER.values() for arm in arms} <= set(fusion.SIGNALS)


def test_what_is_left_out_weighs_nothing_and_the_rest_as_much_among_themselves() -> None:
    ours = bundled_ranker()
    features = dict(zip(ours.features, ours.means.tolist(), strict=True))
    whole, left = ours.weights(features), without("lexical").weights(features)

    assert left["lexical"] == left["lexical window"] == 0
    assert sum(left.values()) == pytest.approx(1)
    assert left["dense"] / left["person"] == pytest.approx(whole["dense"] / whole["person"])


def test_the_ranking_by_hand_weighs_every_question_the_same() -> None:
    weights = by_hand().weights({})

    assert weights["dense"] / weights["dense window"] == pytest.approx(8 / 18)
    assert weights["lexical"] == pytest.approx(weights["lexical window"])


@pytest.fixture
def weighed(file: Path) -> Iterator[tuple[Memkit, ReweightedMemkit, Haystack]]:
    haystack = locomo.read(file).haystacks[0]
    base = np.array([0.0 if name == "dense" else -np.inf for name in fusion.SIGNALS])
    none = np.zeros((len(base), 0))
    dense_only = replace(by_hand(), signals=fusion.SIGNALS, base=base, slopes=none)
    whole, part = Memkit(HashEmbedder()), ReweightedMemkit(dense_only, HashEmbedder())
    for made in (whole, part):
        made.remember(haystack.turns)
    yield whole, part, haystack
    whole.close()
    part.close()


def test_one_arm_alone_ranks_as_it_does(
    weighed: tuple[Memkit, ReweightedMemkit, Haystack], monkeypatch: pytest.MonkeyPatch
) -> None:
    # whatever the arms say, a current fact precedes what it replaced, and an identifier all others
    monkeypatch.setattr(fusion, "supersession_boost", lambda _, rows, __: 0.0 * rows)
    monkeypatch.setattr(recall, "_identifiers", lambda _: [])
    _, part, haystack = weighed
    dense = SYSTEMS["dense"](HashEmbedder())
    dense.remember([replace(turn, name=None) for turn in haystack.turns])

    for one in haystack.questions[:3]:  # the last has no answer
        cosines = {hit.turn_id: max(hit.score, 0) for hit in dense.ask(one.query, 99)}
        found = [cosines[hit.turn_id] for hit in part.ask(one.query, 10)]
        assert found == pytest.approx(sorted(cosines.values(), reverse=True)[:10])


def test_the_ranker_is_memkits_own_again_after_a_search(
    weighed: tuple[Memkit, ReweightedMemkit, Haystack], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part, haystack = weighed
    one = haystack.questions[0]
    expected = whole.ask(one.query, 10)
    assert part.ask(one.query, 10) != expected
    assert whole.ask(one.query, 10) == expected

    monkeypatch.setattr(Memory, "recall", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        part.ask(one.query, 10)

    monkeypatch.undo()
    assert whole.ask(one.query, 10) == expected


def test_an_ablation_has_no_abstention_rule(
    weighed: tuple[Memkit, ReweightedMemkit, Haystack],
) -> None:
    _, part, haystack = weighed

    assert part.refuses(haystack.questions[0].query) is None
