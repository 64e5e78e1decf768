"""`python -m evals card`: what it writes, what it says of bad input, and the exit codes for CI."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_card_run import MINE, given
from typer.testing import CliRunner, Result

from evals.card import answering, config, report
from evals.card.config import ModelSpec
from evals.data import registry as data
from evals.data.registry import Spec
from evals.studies.command import app
from memkit.errors import InvalidInput, ModelError
from memkit.models import huggingface

TOML = """
name = "tiny"
embedder = "hash"
systems = ["BM25", "last turns"]
ours = "BM25"
regimes = ["replay"]
[[data]]
format = "synthetic"
probe = "updates"
size = "small"
conversations = 2
"""
OPTIONS = {"probe": "updates", "size": "small", "conversations": 2}
POOLED: dict[str, Any] = {"format": "pooled", "name": "pool", "locomo": "a.json"}


def card(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a card that the command made."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "tiny.toml").write_text(TOML)
    done = card("--config", folder / "tiny.toml", "--out", folder / "out", "--cache", folder / "c")
    assert done.exit_code == 0, done.output
    return folder / "out"


def said(done: Result) -> str:
    return " ".join(done.output.split())


def bound(tmp_path: Path, metric: str, least: float) -> Path:
    file = tmp_path / "held.toml"
    file.write_text(f'[[threshold]]\nmetric = "{metric}"\nsystem = "last turns"\nmin = {least}\n')
    return file


# ---- a run


def test_a_run_writes_json_markdown_and_a_page_and_prints_the_scores(made: Path) -> None:
    assert {one.name for one in made.iterdir()} == {"card.json", "card.md", "card.html", "work"}
    assert {one.system for one in report.load(made / "card.json").records} == {"BM25", "last turns"}


def test_a_run_again_goes_on_with_what_is_done(made: Path, tmp_path: Path) -> None:
    before = (made / "card.json").read_text()
    file = made.parent / "tiny.toml"
    done = card("--config", file, "--out", made, "--cache", tmp_path / "another")
    assert done.exit_code == 0
    assert not (tmp_path / "another").exists()  # nothing was embedded
    after = report.load(made / "card.json")
    (tmp_path / "before.json").write_text(before)
    assert after.records == report.load(tmp_path / "before.json").records


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--config"),
        (("compare", ".", "."), "Is a directory"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("compare", "nowhere.json", "nowhere.json"), "nowhere.json"),
        (("summary", "nowhere.json", "out.json"), "nowhere.json"),
        (("show", "nowhere.json"), "nowhere.json"),
        (("agreement", "nowhere.csv"), "nowhere.csv"),
        (("hema", "nowhere.json"), "nowhere.json"),
        (("minimal", "nowhere.json"), "nowhere.json"),
        (("frontier", "--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_bad_input_is_named_and_ends_with_2(
    arguments: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = card(*arguments)
    assert done.exit_code == 2
    assert named in said(done)


@pytest.mark.parametrize(
    ("budgets", "named"), [("128,many", "--budgets"), ("0", "--budgets"), ("64", "[model]")]
)
def test_a_frontier_says_what_it_needs(budgets: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    done = card("frontier", "--config", tmp_path / "tiny.toml", "--budgets", budgets)
    assert done.exit_code == 2
    assert named in said(done)


# ---- two cards


def test_a_card_that_holds_its_thresholds_passes(made: Path, tmp_path: Path) -> None:
    file = made / "card.json"
    assert card("compare", file, file).exit_code == 0
    assert card("compare", file, file, "--thresholds", bound(tmp_path, "MRR", 0)).exit_code == 0


def test_a_missed_threshold_ends_with_1(made: Path, tmp_path: Path) -> None:
    file = made / "card.json"
    done = card("compare", file, file, "--thresholds", bound(tmp_path, "MRR", 1))
    assert done.exit_code == 1
    assert "MRR" in done.output


def test_cards_that_share_nothing_are_no_green_light(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(TOML.replace("updates", "deletions"))
    done = card("--config", tmp_path / "other.toml", "--out", tmp_path, "--cache", tmp_path / "c")
    assert done.exit_code == 0, done.output
    done = card("compare", made / "card.json", tmp_path / "card.json")
    assert done.exit_code == 2
    assert "share no scored question" in said(done)


def test_a_memory_that_fails_names_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bare.py").write_text(MINE.format(order="").replace("(one, 1.0)", "one"))
    system = "bare:Mine"
    (tmp_path / "bare.toml").write_text(TOML.replace("BM25", system))
    done = card("--config", tmp_path / "bare.toml", "--out", tmp_path, "--cache", tmp_path / "c")
    assert done.exit_code == 2
    assert "while measuring synthetic updates / " in said(done)
    assert f"/ replay / {system}" in said(done)


def test_thresholds_that_cannot_be_read_end_with_2(made: Path, tmp_path: Path) -> None:
    file = made / "card.json"
    done = card("compare", file, file, "--thresholds", bound(tmp_path, "beauty", 1))
    assert done.exit_code == 2
    assert "beauty" in said(done)


def test_a_summary_is_the_card_without_a_line_per_question(made: Path, tmp_path: Path) -> None:
    assert card("summary", made / "card.json", tmp_path / "small.json").exit_code == 0
    whole, small = report.load(made / "card.json"), report.load(tmp_path / "small.json")
    assert whole.records
    assert not small.records
    assert (small.figures, small.disclosure) == (whole.figures, whole.disclosure)


def test_a_summary_can_be_shown_and_made_a_page_again(made: Path, tmp_path: Path) -> None:
    card("summary", made / "card.json", tmp_path / "small.json")
    done = card("show", tmp_path / "small.json", "--page", tmp_path / "small.html")
    assert done.exit_code == 0
    assert "2 systems on 1 data set" in said(done)
    again = (tmp_path / "small.html").read_text()
    tables = [part.partition("</table>")[0] for part in again.split("<table")[1:]]
    assert tables
    assert all(one in (made / "card.html").read_text() for one in tables)


def test_where_nothing_can_be_written_it_is_said(made: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "small.json"
    for arguments in (["summary"], ["hema", "--json"], ["show", "--page"]):
        done = card(arguments[0], made / "card.json", *arguments[1:], nowhere)
        assert done.exit_code == 2
        assert "small.json cannot be written" in said(done)


# ---- raters and studies


def test_agreement_is_printed_as_json(tmp_path: Path) -> None:
    rows = ["item,rater,rating", *(f"{n},{who},{n % 2}" for n in range(8) for who in "ab")]
    (tmp_path / "r.csv").write_text("\n".join(rows) + "\n")
    done = card("agreement", tmp_path / "r.csv")
    assert done.exit_code == 0
    assert json.loads(done.output)["alpha"]["value"] == pytest.approx(1)


def test_studies_print_tables_and_keep_them(made: Path, tmp_path: Path) -> None:
    for study in ("hema", "minimal"):
        kept = tmp_path / f"{study}.json"
        done = card(study, made / "card.json", "--json", kept)
        assert done.exit_code == 0
        (result,) = json.loads(kept.read_text())["results"]
        assert result["tables"]


# ---- the config


def test_a_file_may_be_elsewhere_than_the_config_says() -> None:
    there = given(data=[{"format": "locomo", "path": "a.json"}, POOLED | {"longmemeval": "b.json"}])
    places = ["locomo=/x/l.json", "locomo.audit=/x/a.json", "pool.locomo=/y/l.json"]
    moved = config.relocate(there, places)
    assert moved.data[0].audit == Path("/x/a.json")
    locomo, pool = moved.data
    assert (locomo.path, pool.options["locomo"]) == (Path("/x/l.json"), "/y/l.json")
    assert pool.options["longmemeval"] == "b.json"
    assert config.relocate(there, []) == there


def test_a_file_that_two_data_sets_share_is_named_once() -> None:
    there = given(
        data=[
            {"format": "locomo", "name": name, "path": path}
            for name, path in (("report", "a.json"), ("tuning", "a.json"), ("apart", "b.json"))
        ]
    )
    names = [str(spec.path) for spec in config.relocate(there, ["report=/x.json"]).data]
    assert names == ["/x.json", "/x.json", "b.json"]
    both = config.relocate(there, ["report=/x.json", "tuning=/y.json"]).data
    assert [str(spec.path) for spec in both[:2]] == ["/x.json", "/y.json"]


@pytest.mark.parametrize("place", ["locomo", "locom=x", "locomo.locomo=x", "pool.gvd=x"])
def test_a_place_of_no_data_set_is_refused_with_the_names_there_are(place: str) -> None:
    there = given(data=[{"format": "locomo"}, POOLED])
    with pytest.raises(InvalidInput, match=r"locomo, locomo\.audit, pool, pool\.locomo"):
        config.relocate(there, [place])


def test_paths_are_relative_to_the_config_and_a_card_tells_names_only(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        'name = "c"\nsystems = ["memkit"]\n[[data]]\nformat = "locomo"\npath = "sub/l.json"\n'
        '[[data]]\nformat = "pooled"\nlocomo = "sub/p.json"\n'
    )
    read = config.read(tmp_path / "c.toml")
    assert read.data[0].path == tmp_path / "sub/l.json"
    assert read.data[1].options["locomo"] == str(tmp_path / "sub/p.json")
    there = replace(read, embedder=str(tmp_path), model=ModelSpec(kind="x", name=str(tmp_path)))
    assert str(tmp_path.parent) not in json.dumps(config.describe(there))
    assert config.describe(read)["data"][0]["path"] == "l.json"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"budget": "many"}, "budget.*many"),
        ({"systems": "BM25"}, "systems"),
        ({"model": {"kind": "openai", "window": "wide"}}, r"\[model\]: window"),
        ({"model": {}}, r"\[model\]: kind"),
        ({"data": [{"format": "jsonl", "limit": "few"}]}, r"\[\[data\]\]: limit"),
        ({"data": [{"format": "jsonl", "limit": 0}]}, "at least 1"),
        (
            {"data": [{"format": "jsonl"}, {"format": "jsonl"}]},
            "each data set once; 'jsonl' is there twice",
        ),
        ({"systems": ["BM25"]}, "'memkit', which is no system.*ours = 'BM25'"),
    ],
)
def test_a_value_of_the_wrong_sort_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        given(**wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"regimes": ["replay", "replay"]}, "each regime once; 'replay' is there twice"),
        ({"regimes": []}, "each regime once, at least one"),
        ({"probes": -1}, "probes: .* greater than or equal to 0, got -1"),
        ({"seed": -1}, "seed: .* greater than or equal to 0"),
        (
            {"model": {"kind": "smollm2", "questions": -1}},
            r"\[model\]: questions: .* equal to 1, got -1",
        ),
        ({"model": {"kind": "smollm2", "window": 0}}, r"\[model\]: window: .* equal to 1"),
        ({"model": {"kind": "smollm2", "new_tokens": 0}}, r"\[model\]: new_tokens: .* equal to 1"),
        ({"model": {"kind": "smollm2", "revision": "v1"}}, "only a Hugging Face id has a revision"),
        ({"train": "a.txt"}, r"train: .*a\.txt"),
        ({"train": ["absent.txt"]}, r"absent\.txt is no file"),
        ({"train": [__file__, __file__]}, "each train file once"),
        ({"disclosure": {"temporal_governance": {"train_windw": "x"}}}, "train_windw"),
        ({"disclosure": "x"}, "disclosure: "),
    ],
)
def test_what_would_count_twice_or_nothing_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        given(**wrong)


def test_a_place_given_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"--data locomo\.audit is given twice"):
        config.relocate(
            given(data=[{"format": "locomo"}]), ["locomo.audit=/x/a.json", "locomo.audit=/y/a.json"]
        )


def test_a_revision_is_the_one_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[dict[str, Any]] = []

    def load(name: str, **how: Any) -> tuple[object, object]:
        loaded.append({"name": name, **how})
        raise ModelError("far enough")

    monkeypatch.setattr(huggingface, "load", load)
    for revision in ("v1.2", None):
        spec = ModelSpec(kind="huggingface", name="some/model", revision=revision)
        with pytest.raises(ModelError):
            answering.load(spec)
    assert [one["revision"] for one in loaded] == ["v1.2", "main"]


# ---- what the author tells

AUTHOR = """
[disclosure.temporal_governance]
train_window = "until March 2024"
"""


def test_what_the_author_tells_stands_in_the_card_and_no_unit_is_done_again_for_it(
    made: Path, tmp_path: Path
) -> None:
    turn = next(iter(data.read(Spec(format="synthetic", options=OPTIONS)).haystacks)).turns[0]
    (tmp_path / "tuned.txt").write_text(f"{turn.text}\n")
    (tmp_path / "told.toml").write_text(f'train = ["tuned.txt"]\n{TOML}{AUTHOR}')
    missing = report.load(made / "card.json").disclosure["missing"]
    out = shutil.copytree(made, tmp_path / "out")
    done = card("--config", tmp_path / "told.toml", "--out", out, "--cache", tmp_path / "another")

    assert done.exit_code == 0, done.output
    assert not (tmp_path / "another").exists()  # nothing was done
    found = report.load(out / "card.json")
    assert found.disclosure["temporal_governance"]["train_window"] == "until March 2024"
    assert found.config["train"] == ["tuned.txt"]
    (index,) = [one for one in found.audits if one.name == "leakage: train ∩ index"]
    assert index.violations > 0
    filled = {one["item"] for one in missing} - {one["item"] for one in found.disclosure["missing"]}
    assert filled == {
        "temporal_governance.train_window", "leakage_overlap_auditing.train ∩ test, train ∩ index",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["name = ", "\xff"])
def test_what_is_no_toml_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"c\.toml is no TOML"):
        config.read(tmp_path / "c.toml")


def test_two_regimes_have_an_answerer_of_their_own() -> None:
    chosen = given()
    assert chosen.systems_of("parametric") == ("no memory",)
    assert chosen.systems_of("long context") == ("full history",)
    assert chosen.systems_of("online") == tuple(chosen.systems)


def test_a_fingerprint_is_of_the_values_and_not_of_their_order() -> None:
    assert config.fingerprint({"a": 1, "b": 2}) == config.fingerprint({"b": 2, "a": 1})
    assert config.fingerprint({"a": 1}) != config.fingerprint({"a": 2})
