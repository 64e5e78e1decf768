"""Chunk attention is measured beside a fair baseline, and memkit's arms beside their absence."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evals.retrieval import command
from evals.retrieval.run import run
from made_up import SAID, locomo_file, question
from typer.testing import CliRunner

from evals.__main__ import app
from evals.bench import attention as bench
from evals.data import locomo
from evals.data.haystack import PUBLISHED, DataSet, Haystack
from evals.stats import bootstrap as statistics
from evals.studies import ablation, extrapolation
from evals.studies.extrapolation import Setting
from evals.systems.cache import CachedEmbedder
from evals.systems.memkit import TOGETHER, Memkit, Weighed, only, without
from evals.systems.protocol import Packed
from evals.systems.registry import ABLATIONS, SYSTEMS
from memkit.attention import attend
from memkit.memory import Memory
from memkit.retrieval import fusion as rank
from memkit.retrieval.windows import Windows
from memkit.testing import HashEmbedder

SESSIONS = 23  # the evidence's, and more than 20 others


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    monkeypatch.setattr(statistics, "_SLOW", 20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return long_file(tmp_path, "conv-26", "conv-98", "conv-99")


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


def answerable(file: Path) -> DataSet:
    return ablation.narrowed(
        locomo.read(file), lambda one: one.answerable and bool(one.golds[PUBLISHED].turns)
    )


def placed(haystack: Haystack, seed: int = 0) -> list[extrapolation.Placed]:
    return list(extrapolation._placed(haystack, HashEmbedder(), seed))


# ---- what it costs


def test_the_baseline_is_attention_over_one_chunk_of_everything() -> None:
    made = torch.Generator().manual_seed(0)
    turns, query = torch.randn(12, 8, generator=made), torch.randn(8, generator=made)

    read = attend(query[None, None], turns[None, None], k=1, scale=10.0)

    torch.testing.assert_close(bench.flat(query, turns), read.output[0, 0], rtol=1e-4, atol=1e-4)


def test_what_is_counted_is_keys_and_opened_turns_against_all_turns() -> None:
    one = bench.Measured(size=1000, chunks=250, dimension=10, times={})

    assert one.logits == ((250 + rank.ATTENDED * bench.CHUNK) * 10, 1000 * 10)
    assert one.all[1] == 2 * one.logits[1]


def test_without_data_only_the_cost_is_told(tmp_path: Path) -> None:
    found = run_bench(tmp_path, "--sizes", "90")

    assert [table["title"] for table in found["tables"]] == ["one query"]
    assert [claim["what"] for claim in found["claims"]] == [
        "90 turns, keys kept beside", "90 turns, keys made anew", "90 turns, logits",
    ]  # fmt: skip
    assert found["tables"][0]["rows"][0][1] == 23  # 22 chunks of four, one of two


def run_bench(folder: Path, *arguments: str) -> dict[str, Any]:
    written = folder / "result.json"
    done = CliRunner().invoke(
        app, ["bench", "attention", "--quick", "--json", str(written), *arguments]
    )
    assert done.exit_code == 0, done.output
    (found,) = json.loads(written.read_text())["results"]
    return dict(found)


# ---- what it finds


@pytest.fixture
def measured(file: Path, tmp_path: Path) -> dict[str, Any]:
    return run_bench(tmp_path, "--sizes", "90", "--data", str(file))


def test_with_data_both_splits_and_the_extrapolation_are_told(measured: dict[str, Any]) -> None:
    titles = [table["title"] for table in measured["tables"]]

    assert sum("report conversations" in title for title in titles) == 2
    assert sum("tuning conversations of" in title for title in titles) == 2
    assert sum(title.startswith("length extrapolation") for title in titles) == 4
    assert all(len(row) == len(t["columns"]) for t in measured["tables"] for row in t["rows"])
    assert "item" not in json.dumps(measured)


def test_questions_are_told_apart_by_how_many_turns_answer_them(measured: dict[str, Any]) -> None:
    (table,) = [t for t in measured["tables"] if t["title"].startswith("with and without chunk att")
                and "report" in t["title"]]  # fmt: skip

    ours = {row[0]: row[-1] for row in table["rows"] if row[1] == "memkit"}

    assert ours == {"two turns or more": 4, "of these, all in one session": 2, "one turn": 2}


def test_every_system_is_asked_among_twenty_distractors(measured: dict[str, Any]) -> None:
    (table,) = [t for t in measured["tables"] if "fractional recall" in t["title"]]

    assert [row[0] for row in table["rows"]] == ["chunk attention alone", "flat attention alone",
                                                 "memkit"]  # fmt: skip
    assert table["columns"][4] == "R@1, n = 20"
    assert table["note"].startswith("6 questions; 0 left out")


def test_distractors_of_few_are_among_those_of_many_and_never_evidence(file: Path) -> None:
    one = placed(answerable(file).haystacks[0])[1]
    evidence = {"session_2", "session_9"}

    drawn = [one.sessions(n) - evidence for n in (0, 1, 2, 10, 20)]

    assert [len(some) for some in drawn] == [0, 1, 2, 10, 20]
    assert all(few < many for few, many in pairwise(drawn))
    assert one.sessions(0) == evidence


def test_distractors_follow_from_the_seed_and_differ_between_questions(file: Path) -> None:
    haystack = answerable(file).haystacks[0]
    first, again, other = (placed(haystack, seed) for seed in (0, 0, 1))

    assert [one.distractors for one in first] == [one.distractors for one in again]
    assert first[0].distractors != other[0].distractors
    assert first[0].distractors[:5] != first[2].distractors[:5]


def test_a_haystack_holds_its_sessions_and_no_other(file: Path) -> None:
    one = placed(answerable(file).haystacks[0])[0]

    ids = one.within.ids[extrapolation._rows(one, 2)]

    assert {f"session_{id[1:].split(':')[0]}" for id in ids} == one.sessions(2)
    assert len(ids) == 3 * len(SAID)


def test_attention_alone_is_memkits_arm(file: Path) -> None:
    one = placed(answerable(file).haystacks[0])[0]
    vectors, sessions, tokens = one.within.vectors, one.within.sessions, one.within.tokens
    windows = Windows(extrapolation._timeline(sessions, tokens))
    chunks = windows.chunks(np.arange(len(tokens)))

    ours = rank.attention(chunks, (vectors @ one.vector).astype(float))
    setting = Setting(chunks=rank.ATTENDED, temperature=rank._TEMPERATURE)
    scores = extrapolation.attention(vectors, chunks, one.vector, setting)

    assert scores.sum() == pytest.approx(1, abs=1e-5)
    assert scores / scores.max() == pytest.approx(ours, abs=1e-5)


def test_what_is_not_opened_is_not_found(file: Path) -> None:
    one = placed(answerable(file).haystacks[0])[0]
    rows = extrapolation._rows(one, 20)

    found = extrapolation.attended(Setting(chunks=2, temperature=0.1))(one, 20)

    assert 2 <= len(found) < len(rows) == len(extrapolation.flat(one, 20))


def test_settings_are_chosen_on_tuning_conversations_alone(tmp_path: Path, file: Path) -> None:
    everything = answerable(file).haystacks
    alone = answerable(long_file(tmp_path, "conv-26")).haystacks

    chosen, tables = extrapolation.tables(everything, HashEmbedder(), 0)
    again, grid_only = extrapolation.tables(alone, HashEmbedder(), 0)

    assert chosen == again is not None
    assert len(grid_only) == 1
    assert tables[0].rows == grid_only[0].rows
    assert extrapolation.tables(everything[1:], HashEmbedder(), 0) == (None, [])


def test_the_best_of_few_distractors_is_chosen(file: Path) -> None:
    chosen, tables = extrapolation.tables(answerable(file).haystacks, HashEmbedder(), 0)

    rows = tables[0].rows
    (marked,) = [row for row in rows if row[-1] == "chosen"]

    assert len(rows) == len(extrapolation.CHUNKS) * len(extrapolation.TEMPERATURES)
    assert chosen == Setting(chunks=int(marked[0] or 0), temperature=float(marked[1] or 0))
    assert marked[2] == max(row[2] for row in rows)


def test_questions_without_twenty_other_sessions_are_not_tested(tmp_path: Path) -> None:
    data = answerable(locomo_file(tmp_path, "conv-26", "conv-99"))

    _, tables = extrapolation.tables(data.haystacks, HashEmbedder(), 0)

    assert len(tables) == 1


# ---- memkit without its arms


def test_there_is_an_ablation_for_every_arm() -> None:
    assert set(ABLATIONS) == {
        f"memkit without {part}" for part in {*rank.WEIGHTS, *TOGETHER, "thoughts"}
    }
    assert {arm for arms in TOGETHER.values() for arm in arms} <= set(rank.WEIGHTS)


def test_what_is_left_out_weighs_nothing_and_the_rest_what_it_did() -> None:
    left = without("lexical")

    assert left["lexical"] == left["lexical window"] == 0
    assert {arm: w for arm, w in left.items() if w} == {
        arm: w for arm, w in rank.WEIGHTS.items() if not arm.startswith("lexical")
    }
    assert without("session")["lexical"] == rank.WEIGHTS["lexical"]


@pytest.fixture
def weighed(file: Path) -> Iterator[tuple[Memkit, Weighed, Haystack]]:
    haystack = answerable(file).haystacks[0]
    whole, part = Memkit(HashEmbedder()), Weighed(only("dense"), HashEmbedder())
    for made in (whole, part):
        made.remember(haystack.turns)
    yield whole, part, haystack
    whole.close()
    part.close()


def test_one_arm_alone_ranks_as_it_does(weighed: tuple[Memkit, Weighed, Haystack]) -> None:
    _, part, haystack = weighed
    dense = SYSTEMS["dense"](HashEmbedder())
    dense.remember(haystack.turns)

    for one in haystack.questions:
        cosines = {hit.turn_id: max(hit.score, 0) for hit in dense.ask(one.query, 99)}
        found = [cosines[hit.turn_id] for hit in part.ask(one.query, 10)]
        assert found == pytest.approx(sorted(cosines.values(), reverse=True)[:10])


def test_weights_are_memkits_own_again_after_a_search(
    weighed: tuple[Memkit, Weighed, Haystack], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part, haystack = weighed
    one, before = haystack.questions[0], rank.WEIGHTS
    expected = whole.ask(one.query, 10)
    part.ask(one.query, 10)
    assert rank.WEIGHTS is before

    monkeypatch.setattr(Memory, "recall", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        part.ask(one.query, 10)

    monkeypatch.undo()
    assert rank.WEIGHTS is before
    assert whole.ask(one.query, 10) == expected


def test_an_ablation_packs_and_refuses_nothing(weighed: tuple[Memkit, Weighed, Haystack]) -> None:
    _, part, haystack = weighed

    query = haystack.questions[0].query

    assert (part.pack(query, 900), part.refusals(query)) == (Packed(), {})


@pytest.fixture
def options(file: Path, tmp_path: Path) -> command.Options:
    return command.Options(
        data=[f"locomo={file}"], systems=["memkit", "last turns"], ablate=True, cache=tmp_path
    )


def test_ablating_adds_a_table_of_what_each_arm_adds(options: command.Options) -> None:
    for told in command.measure(options, HashEmbedder(), timed=0)["results"]:
        *others, table = told["tables"]
        assert table["title"].startswith("what each arm adds")
        assert {row[1] for row in table["rows"]} == set(ABLATIONS)
        assert {row[0] for row in table["rows"]} == set(ablation.METRICS)
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
        assert not any("memkit without" in str(row[0]) for one in others for row in one["rows"])


def test_ablations_are_not_there_unless_asked_for(options: command.Options) -> None:
    found = command.measure(replace(options, ablate=False), HashEmbedder(), timed=0)

    assert not any("arm" in table["title"] for one in found["results"] for table in one["tables"])


def test_ablations_are_asked_what_can_be_answered_and_pack_no_zero(
    file: Path, tmp_path: Path
) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        outcomes = ablation.ask(locomo.read(file), cached)

    assert len(outcomes) == 3 * 3 * len(ABLATIONS)
    assert all(one.answerable and not one.packed for one in outcomes)
    assert all(not one.found[PUBLISHED].packed for one in outcomes)


def test_what_an_arm_adds_is_ours_less_theirs(file: Path, tmp_path: Path) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        made = run(locomo.read(file), {n: SYSTEMS[n] for n in ("BM25", "last turns")}, cached)
    bm25, last = ([one for one in made if one.system == n] for n in ("BM25", "last turns"))
    theirs = [one for one in last if one.answerable]

    rows = ablation.table(bm25, theirs, 0).rows

    assert [row[4] for row in rows] == [f"{row[2] - row[3]:+.3f}" for row in rows]
    assert rows[0][2] > rows[0][3]
    assert [row[-1] for row in rows] == [9, 9, 9]


def test_ablating_needs_memkit_itself(file: Path) -> None:
    arguments = ["--data", f"locomo={file}", "--system", "dense", "--ablate"]

    done = CliRunner().invoke(app, ["retrieval", *arguments])

    assert done.exit_code == 2
    assert "--system memkit" in done.output


def test_memkits_refusals_are_measured_at_auto_too(
    weighed: tuple[Memkit, Weighed, Haystack],
) -> None:
    whole, _, haystack = weighed

    rules = whole.refusals(haystack.questions[0])

    assert set(rules) == {"min_relevance=0.5", "min_relevance='auto'"}
