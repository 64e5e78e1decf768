"""MemoryCode's questions, and the studies of thoughts, on tiny data and on cases by hand."""

import doctest
import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from thinkers import Reader
from typer.testing import CliRunner

from evals.__main__ import app
from evals.data import memorycode
from evals.data.memorycode import (
    Pivot,
    Version,
    literal_pattern,
)
from evals.data.synthetic.dialogues import RepeatedFact, RepetitiveDialogue, repeat_facts
from evals.stats import bootstrap as figures
from evals.studies import growth, precision
from evals.studies.precision import digest
from evals.tables import StudyResult
from memkit import Thought, Turn
from memkit.errors import InvalidInput
from memkit.records import Source
from memkit.testing import HashEmbedder

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "memorycode" / "dialogues.jsonl.gz"


@pytest.fixture(autouse=True)
def stub_thinker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every turn believed word for word, so that no test depends on the trained weights."""
    monkeypatch.setattr("memkit.memory.LearnedThinker", Reader)


# ---- MemoryCode

FIRST = "always start function names with 'a_'"
THEN = "always start function names with 'b_'"


def mentored(*given: tuple[str, str, str], id: int = 1) -> dict[str, Any]:
    """Return a dialogue of sessions, each of a type, a topic and what the mentor says."""
    return {
        "dialogue_id": id,
        "context": {"mentor": "Ann", "mentee": "Bob"},
        "instructions": [
            [[6, n]] if kind[0] == "i" else [-1] for n, (kind, _, _) in enumerate(given)
        ],
        "fillers": [101 if kind[0] == "f" else -1 for kind, _, _ in given],
        "sessions": [
            {
                "type": [kind],
                "topic": [topic],
                "session_regex": [["function", "^"]] if kind[0] == "i" else [],
                "text": f"Ann: Hello, Bob.\n\nBob: Hello.\n\nAnn: {said}\n\nIt helps.\n\nBob: Yes.",
            }
            for kind, topic, said in given
        ],
    }


REVISED = (
    ("instruction-add", FIRST, "From now on, always start function names with 'a_'."),
    ("filler-add", "team outings", "Let us talk about the weather."),
    ("instruction-update", THEN, "From now on, always start function names with 'b_'."),
)


def memorycode_file(folder: Path, *dialogues: dict[str, Any]) -> Path:
    file = folder / "dialogues.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, dialogues)).encode()))
    return file


def measured(study: ModuleType, tmp_path: Path, *data: Path, **options: Any) -> StudyResult:
    embedder = HashEmbedder(dimension=256)
    result: StudyResult = study.run(embedder, *data, cache=tmp_path / "cache", **options)
    return result


def rows(measured: StudyResult, title: str) -> dict[str, Sequence[Any]]:
    """Return the rows of the first table of a title, by their first cell."""
    tables = [table for result in measured.results for table in result.tables]
    chosen = next(table for table in tables if table.title.startswith(title))
    return {str(row[0]): row for row in chosen.rows}


def test_paragraphs_become_turns_a_day_apart_and_those_without_a_name_are_joined(
    tmp_path: Path,
) -> None:
    (dialogue,) = memorycode.read_dialogues(memorycode_file(tmp_path, mentored(*REVISED)))

    assert [turn.id for turn in dialogue.turns[:5]] == ["s0:0", "s0:1", "s0:2", "s0:3", "s1:0"]
    assert dialogue.turns[2].text == f"{REVISED[0][2]}\n\nIt helps."
    assert [turn.name for turn in dialogue.turns[:4]] == ["Ann", "Bob", "Ann", "Bob"]
    first, later = dialogue.turns[0].said_at, dialogue.turns[4].said_at
    assert first is not None
    assert later is not None
    assert (later - first).days == 1


def test_a_pivot_is_asked_for_without_its_values(tmp_path: Path) -> None:
    (dialogue,) = memorycode.read_dialogues(memorycode_file(tmp_path, mentored(*REVISED)))

    (pivot,) = dialogue.pivots

    assert (pivot.id, pivot.kind, pivot.target) == ("i6", "instruction", "function")
    assert pivot.query == "Start function names with: what?"
    assert (pivot.current.value, pivot.current.sessions) == ("b_", frozenset({"s2"}))
    assert [(one.value, one.sessions) for one in pivot.stale] == [("a_", frozenset({"s0"}))]


def test_fillers_count_if_their_values_are_names_or_numbers(tmp_path: Path) -> None:
    names = [("filler-instruction-add", f"use {one} for calls", one) for one in ("Skype", "Zoom")]
    polar = [("filler-instruction-add", f"{one} use a linter", one) for one in ("never", "always")]

    told, untold = memorycode.read_dialogues(
        memorycode_file(tmp_path, mentored(*names), mentored(*polar, id=2))
    )

    assert [pivot.current.value for pivot in told.pivots] == ["Zoom"]
    assert told.pivots[0].query == "Use for calls: what?"
    assert (list(untold.pivots), untold.unmarked) == ([], 1)


def test_a_file_of_another_shape_is_refused_with_its_place(tmp_path: Path) -> None:
    broken = mentored(*REVISED)
    del broken["sessions"][1]["text"]

    with pytest.raises(InvalidInput, match=r"dialogue 1, session 2: no 'text'"):
        memorycode.read_dialogues(memorycode_file(tmp_path, broken))


def version(value: str, *sessions: str) -> Version:
    return Version(value=value, pattern=literal_pattern(value), sessions=frozenset(sessions))


PIVOT = Pivot(
    id="i6", kind="instruction", target="function", query="q",
    current=version("b_", "s2"), stale=(version("a_", "s0"), version("c_", "s1")),
)  # fmt: skip
SESSION_OF = {f"s{n}:0": f"s{n}" for n in range(3)}


@pytest.mark.parametrize(
    ("text", "turn", "version"),
    [
        ("nothing", "s2:0", None),
        ("names start with b_", "s2:0", "current"),
        ("names start with c_", "s1:0", "stale"),
        ("b_ instead of a_", "s2:0", "current"),  # the newer session says which one holds
        ("names start with b_", "s0:0", None),  # a session that did not set it
        ("data_x", "s2:0", None),
    ],
)
def test_a_statement_gives_a_version_by_its_value_and_its_session(
    text: str, turn: str, version: str | None
) -> None:
    assert PIVOT.version_of(SESSION_OF, text, [turn]) == version


def test_a_statement_about_another_kind_of_name_gives_no_version() -> None:
    assert PIVOT.version_of(SESSION_OF, "Method names start with b_.", ["s2:0"]) is None
    assert PIVOT.current.matches("Method names start with b_.", ["s2"])


def thought(id: str, text: str, *turns: str) -> Thought:
    return Thought(
        id=id, text=text, sources=tuple(Source(turn_id=turn, start=0, end=1) for turn in turns),
        said_by="Ann", role="user", said_at=NOON, repeated_at=NOON, valid_from=NOON,
    )  # fmt: skip


@pytest.mark.skipif(not REAL.exists(), reason="the real data are not here")
def test_memorycode_has_the_pivots_that_are_told_of() -> None:
    pivots = [pivot for one in memorycode.read_dialogues(REAL) for pivot in one.pivots]

    kinds = ["instruction", "filler"]
    assert [sum(one.kind == kind for one in pivots) for kind in kinds] == [280, 90]
    assert not [one for one in pivots if one.current.pattern.search(one.query)]


# ---- growth


def test_a_made_up_dialogue_knows_its_facts() -> None:
    told = repeat_facts(200, 3)

    assert (len(told.turns), len(told.facts), told.repeats) == (200, 60, 60)
    assert set(told.fact_by_turn.values()) == set(range(60))
    assert sum(turn.role == "assistant" for turn in told.turns) == 80
    assert told == repeat_facts(200, 3) != repeat_facts(200, 4)
    assert len({one.wordings for one in told.facts}) == 60


def test_a_repeat_has_other_words_than_the_time_before() -> None:
    told = repeat_facts(300, 0)
    said: dict[int, str] = {}

    for turn in told.turns:
        fact = told.fact_by_turn.get(turn.id or "")
        if fact is not None:
            text = turn.text.casefold()
            wordings = told.facts[fact].wordings
            wording = next(w for w in wordings if text.endswith(w.casefold()))
            assert said.get(fact) != wording
            said[fact] = wording


def test_more_facts_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="facts were asked for"):
        repeat_facts(40_000, 0)


def test_thoughts_are_counted_by_the_facts_of_their_turns() -> None:
    told = RepetitiveDialogue(
        turns=[Turn(id=f"t{n}", text="x", said_at=NOON) for n in range(6)],
        facts=[RepeatedFact(kind=kind, wordings=()) for kind in ("pet", "pet", "job")],
        fact_by_turn={"t0": 0, "t1": 0, "t2": 1, "t3": 2},
        repeats=1,
    )
    held = [
        thought("a", "x", "t0"),
        thought("b", "x", "t1"),  # the same fact once more
        thought("c", "x", "t2", "t3"),  # two facts in one
        thought("d", "x", "t5"),  # of no fact
    ]

    found = growth.count(told, held)

    assert (found.extracted, found.holding, found.idle, found.mixed) == (3, 4, 1, 1)
    assert found.per_fact == pytest.approx(4 / 3)
    assert found.spare == {"job": -1, "pet": 1}


def test_cost_per_turn_is_over_all_steps_with_embedding_or_without() -> None:
    steps = [
        growth.Cost(
            size=30, repeat=0, upto=upto, turns=turns, thinking_s=seconds, embedding_s=1.0,
            embedded=1,
        )
        for upto, turns, seconds in ((20, 20, 4.0), (30, 10, 2.0))
    ]  # fmt: skip

    assert growth.per_turn(steps, embedding=False) == pytest.approx(0.2)
    assert growth.per_turn(steps, embedding=True) == pytest.approx(8 / 30)


def test_growth_counts_and_times_every_size(tmp_path: Path) -> None:
    found = measured(growth, tmp_path, sizes=(20, 60), repeats=2)

    assert list(rows(found, "thoughts that hold")) == ["20", "60"]
    cost = found.results[0].tables[1]
    assert [len(row) == len(cost.columns) for row in cost.rows] == [True] * 8
    assert [row[6] is None for row in cost.rows] == [True] * 4 + [False] * 4
    costs = [one for one in found.outcomes if "thinking_s" in one]
    assert [(one["size"], one["repeat"]) for one in costs] == [(20, 0), (60, 0), (20, 1), (60, 1)]
    assert all(one["thinking_s"] > 0 for one in costs)


# ---- precision

LOCOMO = [
    ("Ann", "I adopted a greyhound named Biscuit."),
    ("Bob", "I work as a baker in Oslo."),
    ("Ann", "My sister Mia lives in Bergen."),
]


def locomo_file(folder: Path) -> Path:
    records = [
        {
            "sample_id": name,
            "conversation": {
                "speaker_a": "Ann",
                "speaker_b": "Bob",
                "session_1_date_time": "1:56 pm on 1 May, 2023",
                "session_1": [
                    {"speaker": who, "dia_id": f"D1:{n}", "text": text}
                    for n, (who, text) in enumerate(LOCOMO, start=1)
                ],
            },
            "qa": [{"question": "What?", "answer": "x", "evidence": ["D1:1"], "category": 4}],
        }
        for name in ("conv-26", "conv-42", "conv-43")
    ]
    file = folder / "locomo.json"
    file.write_text(json.dumps(records))
    return file


def test_a_sample_is_printed_with_its_turns_and_of_no_tuning_conversation(tmp_path: Path) -> None:
    found = measured(precision, tmp_path, locomo_file(tmp_path), n=3)

    sheet = "\n".join(found.aside)
    assert sheet.count("THOUGHT:") == 3
    assert "> Ann: I adopted a greyhound" in sheet or "> Bob: I work as a baker" in sheet
    assert "conv-26" not in sheet
    assert (found.results, found.outcomes) == ([], ())


def verdict_file(folder: Path, sample: str, *verdicts: tuple[bool, str]) -> Path:
    file = folder / "verdicts.json"
    file.write_text(json.dumps({"sample": sample, "verdicts": dict(enumerate(verdicts))}))
    return file


def test_verdicts_become_shares_and_no_text_is_kept(tmp_path: Path) -> None:
    data = locomo_file(tmp_path)
    sample = measured(precision, tmp_path, data, n=4).aside[-1].removeprefix("sample ")
    judged = [(True, ""), (False, "head"), (True, "empty"), (True, "")]

    found = measured(
        precision, tmp_path, data, n=4, verdict_file=verdict_file(tmp_path, sample, *judged)
    )

    assert rows(found, "thoughts that are right")["right"][1] == "0.750"
    assert rows(found, "thoughts that are right")["right, and worth remembering"][1] == "0.500"
    assert rows(found, "why the others")["head"][1] == 1
    assert [one["right"] for one in found.outcomes] == [True, False, True, True]
    assert "Biscuit" not in json.dumps([*map(asdict, found.results), *found.outcomes])


@pytest.mark.parametrize(
    ("verdicts", "message"),
    [
        ([(True, "")], "no verdicts on 2"),
        ([(True, ""), (False, "dislike")], "reason 'dislike'"),
        ([(True, ""), (True, "head")], "reason 'head'"),
    ],
)
def test_odd_verdicts_are_refused(
    tmp_path: Path, verdicts: list[tuple[bool, str]], message: str
) -> None:
    data = locomo_file(tmp_path)
    sample = measured(precision, tmp_path, data, n=2).aside[-1].removeprefix("sample ")

    with pytest.raises(InvalidInput, match=message):
        measured(
            precision, tmp_path, data, n=2, verdict_file=verdict_file(tmp_path, sample, *verdicts)
        )


def test_verdicts_on_another_sample_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the thinker changed"):
        measured(
            precision, tmp_path, locomo_file(tmp_path), n=1,
            verdict_file=verdict_file(tmp_path, digest([]), (True, "")),
        )  # fmt: skip


# ---- the command


def test_examples_in_the_docs_of_the_evals_hold() -> None:
    assert [doctest.testmod(module).failed for module in (memorycode, figures)] == [0] * 2


def test_a_command_of_0_4_names_its_card() -> None:
    for name, card in (("retrieval", "retrieval.toml"), ("thoughts", "memorycode.toml")):
        done = CliRunner().invoke(app, [name, "--data", "locomo=x"])
        assert done.exit_code == 2
        assert f"card --config evals/card/configs/{card}" in done.output


def test_a_study_prints_its_tables_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memkit.embedders.MiniLM", HashEmbedder)
    file = tmp_path / "growth.json"
    options = ["--sizes", "20", "--repeats", "1", "--cache", str(tmp_path), "--json", str(file)]
    done = CliRunner().invoke(app, ["study", "growth", *options])
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["results"][0]["name"] == "growth"


def test_a_share_has_an_interval_by_group_and_none_of_nothing() -> None:
    found = figures.share([True, True, False, False], ["a", "a", "b", "b"], 0)
    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.0, 1.0, 4)
    assert figures.share([], [], 0) is None
    half = figures.share([1, 0], ["a", "b"], 0)
    assert figures.cells(half, signed=True)[0] == "+0.500"
