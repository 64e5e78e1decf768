"""Systems are asked side by side, and what is told of them follows from what is kept."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import SAID, erratum, locomo_file, longmemeval_file, remembered
from typer.testing import CliRunner

from evals.__main__ import app
from evals.data import locomo
from evals.data.haystack import AUDITED, PUBLISHED, Query
from evals.retrieval import command, confidence, figures, records
from evals.retrieval.run import run
from evals.stats import bootstrap as statistics
from evals.systems import baselines
from evals.systems.cache import FILE, CachedEmbedder
from evals.systems.memkit import Memkit
from evals.systems.protocol import System
from evals.systems.registry import SYSTEMS
from memkit import Turn
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def turns(*texts: str, **rest: Any) -> list[Turn]:
    return [
        Turn(text=text, id=f"t{n}", said_at=NOON + timedelta(days=n), session_id=f"s{n}", **rest)
        for n, text in enumerate(texts)
    ]


def asked(text: str, *, asked_at: datetime | None = None) -> Query:
    return Query(text=text, asked_at=asked_at)


@pytest.fixture(params=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    made = SYSTEMS[request.param](HashEmbedder())
    made.remember(turns(*SAID, *(f"Small talk number {n}." for n in range(20))))
    yield made
    made.close()


def test_a_system_returns_at_most_k_turns_best_first(system: System) -> None:
    found = system.ask(asked("the vacuum cleaner in small talk"), 3)

    assert len(found) == 3
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert len({hit.turn_id for hit in found}) == 3


def test_no_system_finds_or_packs_what_was_said_after_the_question(system: System) -> None:
    late = asked("tulips and small talk", asked_at=NOON + timedelta(days=2))

    found = {hit.turn_id for hit in system.ask(late, 99)} | set(system.pack(late, 900).turns)

    assert found <= {"t0", "t1", "t2"}
    assert "t2" in found


def test_a_larger_budget_holds_more_and_a_tiny_one_nothing(system: System) -> None:
    question = asked("the vacuum and small talk")

    sizes = [len(set(system.pack(question, budget).turns)) for budget in (1, 120, 900)]

    assert sizes[0] == 0 < sizes[1] < sizes[2]


def test_every_system_but_the_last_turns_finds_a_turn_by_its_words(
    system: System, request: pytest.FixtureRequest
) -> None:
    best = system.ask(asked("Biscuit the greyhound fears the vacuum cleaner"), 1)[0]

    assert best.turn_id == ("t23" if "last turns" in request.node.name else "t0")


def test_packing_passes_over_a_turn_that_is_too_long() -> None:
    made = baselines.Ranked(baselines.Newest(), lambda text: len(text.split()))
    made.remember(turns("one two", "a " * 50, "three"))

    packed = made.pack(asked("x"), 11)  # "[1 May 2024] User: one two" has six words

    assert packed.turns == ("t0", "t2")
    assert packed.text == "[1 May 2024] User: one two\n[3 May 2024] User: three"


def test_dense_search_takes_a_turn_by_its_nearest_piece() -> None:
    long = "filler words that say nothing at all " * 3 + "the vacuum cleaner"
    made = baselines.Ranked(baselines.Dense(HashEmbedder(reads=8)), len)
    made.remember(turns("vacuum something else here", long, "more filler words"))

    assert made.ask(asked("the vacuum cleaner"), 1)[0].turn_id == "t1"


def test_bm25_finds_other_forms_of_a_word_the_speaker_and_the_date() -> None:
    made = baselines.Ranked(baselines.Bm25(), len)
    zoe = Turn(text="Me too.", id="z", name="Zoe", said_at=datetime(2024, 12, 1, tzinfo=UTC))
    made.remember([*turns("I was running late."), zoe])

    for words, expected in (("runs", "t0"), ("Zoe", "z"), ("December", "z")):
        assert [hit.turn_id for hit in made.ask(asked(words), 9)] == [expected]
    assert made.ask(asked("the"), 9) == made.ask(asked("zebra"), 9) == []


class Given:
    """A scorer of prepared scores."""

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores)

    def index(self, turns: Sequence[Turn]) -> None:
        pass

    def scores(self, question: str) -> Any:  # noqa: ARG002
        return self._scores

    def size(self) -> int:
        return 0


def test_fusion_adds_reciprocal_ranks_of_what_was_found() -> None:
    fused = baselines.Fused([Given(0.9, 0.5, 0.1), Given(-np.inf, 2.0, 7.0)])

    assert fused.scores("x") == pytest.approx([1 / 61, 1 / 62 + 1 / 62, 1 / 63 + 1 / 61])


# ---- vectors on disk


def test_vectors_are_embedded_once_whoever_asks(tmp_path: Path) -> None:
    inner = HashEmbedder()
    texts = ["one", "two two", "one", "three"]
    with CachedEmbedder(inner, tmp_path) as first:
        vectors = first.embed(texts)
        assert first.embedded == 3
    with CachedEmbedder(inner, tmp_path) as second:
        again = second.embed([*texts, "four"])
        assert second.embedded == 1

    assert np.array_equal(vectors, inner.embed(texts))
    assert np.array_equal(again, inner.embed([*texts, "four"]))


def test_another_embedder_does_not_get_these_vectors(tmp_path: Path) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as first:
        first.embed(["one"])
    with CachedEmbedder(HashEmbedder(name="other"), tmp_path) as second:
        second.embed(["one"])
        assert second.embedded == 1


def test_a_vector_cut_short_is_embedded_anew(tmp_path: Path) -> None:
    with CachedEmbedder(HashEmbedder(), tmp_path) as first:
        whole = first.embed(["one"])
        first._db.execute("update vectors set vector = x'00'")
        first._db.commit()
    with CachedEmbedder(HashEmbedder(), tmp_path) as second:
        assert np.array_equal(second.embed(["one"]), whole)
        assert second.embedded == 1


def test_preparing_tells_how_far_it_is_and_embeds_in_batches(tmp_path: Path) -> None:
    inner = HashEmbedder()
    told: list[tuple[int, int]] = []
    with CachedEmbedder(inner, tmp_path) as cached:
        cached.prepare((f"text {n % 700}" for n in range(900)), lambda *at: told.append(at))
        cached.embed(["text 3"])

    assert told == [(0, 700), (512, 700), (700, 700)]
    assert inner.calls == 2


# ---- end to end


@pytest.fixture
def options(tmp_path: Path) -> command.Options:
    audit = tmp_path / "errors.json"
    audit.write_text(json.dumps([erratum("locomo_1_qa0", "What does Biscuit fear?", "D2:1")]))
    recordings = [remembered(f"q{n}{'_abs' * (n % 4 == 0)}") for n in range(6)]
    file = longmemeval_file(tmp_path, *recordings)
    names = ("conv-26", "conv-98", "conv-99")
    return command.Options(
        data=[f"locomo={locomo_file(tmp_path, *names)}", f"longmemeval={file}"],
        audit=audit,
        cache=tmp_path / "cache",
    )


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    monkeypatch.setattr(statistics, "_SLOW", 20)


@pytest.mark.usefixtures("fewer")
def test_splits_are_told_apart_and_every_system_stands_in_every_table(
    options: command.Options,
) -> None:
    found = command.measure(options, HashEmbedder(), timed=1)["results"]

    assert [one["name"] for one in found] == [
        "made-up.json, tuning split", "made-up.json, report split",
        "made-up.jsonl, tuning split", "made-up.jsonl, report split",
    ]  # fmt: skip
    assert [one["settings"]["conversations"] for one in found] == [1, 2, 2, 4]
    for one in found:
        assert [row[0] for row in one["tables"][0]["rows"]] == list(SYSTEMS)
        assert all(len(row) == len(t["columns"]) for t in one["tables"] for row in t["rows"])


@pytest.mark.usefixtures("fewer")
def test_a_second_run_embeds_nothing_and_finds_the_same(options: command.Options) -> None:
    embedder = HashEmbedder()
    first = command.measure(options, embedder, timed=0)
    calls = embedder.calls

    second = command.measure(options, embedder, timed=0)

    assert calls > 0
    assert embedder.calls == calls
    assert first["figures"] == second["figures"]


def test_a_run_tells_how_far_it_is_and_asks_every_system_every_question(tmp_path: Path) -> None:
    stages: dict[str, int] = {}

    def watch(stage: str, done: int, _: int) -> None:
        stages[stage] = done

    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        data = locomo.read(locomo_file(tmp_path, "conv-26", "conv-99"))
        outcomes = run(data, SYSTEMS, cached, watch)

    assert (stages["questions"], stages["conversations"]) == (10, 2)
    assert len(outcomes) == 10 * len(SYSTEMS)


@pytest.mark.usefixtures("fewer")
def test_figures_can_be_computed_again_from_a_result_file(options: command.Options) -> None:
    measured = command.measure(options, HashEmbedder(), timed=0)
    kept = json.loads(command.written({"command": "x"}, measured))

    of = {"data": "made-up.json", "split": "report"}
    lines = [one for one in kept["questions"] if of.items() <= one.items()]
    outcomes = records.outcomes(lines, (PUBLISHED, AUDITED))
    again = records.figures(figures.compute(outcomes, (PUBLISHED, AUDITED), seed=0))

    assert again
    assert [{**of, **one} for one in again] == [
        one for one in kept["figures"] if of.items() <= one.items()
    ]


@pytest.mark.usefixtures("fewer")
def test_a_result_file_holds_no_text_of_the_data_and_no_folder(options: command.Options) -> None:
    text = command.written({}, command.measure(options, HashEmbedder(), timed=0))

    assert "Biscuit" not in text
    assert str(options.cache.parent if options.cache else None) not in text


@pytest.mark.usefixtures("fewer")
def test_the_command_prints_tables_and_what_was_dropped_and_show_renders_its_file(
    options: command.Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memkit.embedders.MiniLM", HashEmbedder)
    monkeypatch.setattr("sys.argv", ["evals", "retrieval", "--data", options.data[0]])
    file = tmp_path / "result.json"
    arguments = [part for spec in options.data for part in ("--data", spec)]
    arguments += ["--audit", str(options.audit), "--cache", str(tmp_path), "--json", str(file)]

    done = CliRunner().invoke(app, ["retrieval", *arguments])
    shown = CliRunner().invoke(app, ["show", str(file)])

    assert (done.exit_code, shown.exit_code) == (0, 0), done.output
    assert "references that name no turn, dropped" in done.output
    assert "--data locomo=made-up.json" in shown.output
    assert "| memkit | " in shown.output
    assert (tmp_path / FILE).exists()


def test_both_golds_score_the_same_rankings(options: command.Options, tmp_path: Path) -> None:
    data = command.read(options)[0]
    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        outcomes = run(data, {"BM25": SYSTEMS["BM25"]}, cached)

    moved = [one for one in outcomes if one.found[PUBLISHED] != one.found[AUDITED]]

    assert [one.question for one in moved] == ["conv-98/qa0"]


def test_an_answer_is_wrong_without_gold_among_ten_or_if_there_is_none(
    options: command.Options, tmp_path: Path
) -> None:
    data = command.read(options)[0]
    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        outcomes = run(data, {"last turns": SYSTEMS["last turns"]}, cached)

    counted = confidence.judged(outcomes[:5])

    assert [one.question[-1] for one in counted] == ["0", "1", "2", "3"]  # qa4 has no gold left
    assert confidence.errors(counted).tolist() == [False, False, False, True]


def test_the_last_turns_know_nothing_of_what_they_do_not_know(
    options: command.Options, tmp_path: Path
) -> None:
    data = command.read(options)[0]
    with CachedEmbedder(HashEmbedder(), tmp_path) as cached:
        outcomes = run(data, SYSTEMS, cached)

    (told,) = [one for one in confidence.measured(outcomes, {}, 0) if one.system == "last turns"]

    assert told.auroc is not None
    assert told.auroc.value == 0.5
    assert (told.answerable, told.unanswerable, dict(told.rules)) == (9, 3, {})


def test_memkits_own_threshold_is_a_rule_of_its_own() -> None:
    made = Memkit(HashEmbedder(), thresholds=(0.0, 1.0))
    made.remember(turns(*SAID))
    refused = made.refusals(asked("Biscuit fears the vacuum, and whatever else"))
    made.close()

    assert dict(refused) == {"min_relevance=0.0": False, "min_relevance=1.0": True}
