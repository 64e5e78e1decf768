"""A card, from a config to figures: the same twice, interrupted or not, in one process or many."""

import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from evals import ROOT
from evals.card import build, config, report, run
from evals.card.config import Config, Run
from evals.card.records import Card
from memkit.errors import InvalidInput
from memkit.testing import HashEmbedder

TOML = """
name = "small"
embedder = "hash"
budget = 128
steps = 3
systems = ["BM25", "last turns"]
ours = "BM25"
[[data]]
format = "synthetic"
probe = "updates"
size = "small"
conversations = 6
"""
MINE = """
class Mine:
    def __init__(self, embedder):
        self.ids = []

    def remember(self, turns):
        self.ids += [turn.id for turn in turns]

    def ask(self, text, k):
        return [(one, 1.0) for one in self.ids{order}[:k]]

    def close(self):
        pass
"""
WITH_TOKEN = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
TINY: dict[str, Any] = tomllib.loads(TOML)
SMALL = TINY | {
    "systems": ["memkit", "BM25"],
    "ours": "memkit",
    "data": [
        {"format": "synthetic", "probe": probe, "size": "small", "conversations": 2}
        for probe in ("updates", "deletions")
    ],
}


def given(**changes: Any) -> Config:
    return config.from_table({**SMALL, **changes}, Path())


def made(chosen: Config, folder: Path, **how: Any) -> Card:
    done = run.run(chosen, Run(folder=folder, cache=folder.parent / "cache", **how))
    return build.build(chosen, done, {})


def same(a: Card, b: Card) -> bool:
    return report.dumps(report.without_run(a)) == report.dumps(report.without_run(b))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `tiny_card` was made."""
    return tmp_path_factory.mktemp("tiny") / "out"


@pytest.fixture(scope="module")
def tiny_card(folder: Path) -> Card:
    return made(given(**TINY), folder)


def test_the_same_seed_gives_the_same_card_with_nothing_kept(
    tiny_card: Card, tmp_path: Path
) -> None:
    assert same(made(given(**TINY), tmp_path / "out"), tiny_card)


def test_another_seed_gives_other_data_and_another_card(tiny_card: Card, tmp_path: Path) -> None:
    other = made(given(**TINY, seed=1), tmp_path / "out")
    assert other.data[0]["sha256"] != tiny_card.data[0]["sha256"]
    assert not same(replace(other, config=tiny_card.config, data=tiny_card.data), tiny_card)


@pytest.mark.slow
def test_processes_give_the_same_card_of_memkit_too(tmp_path: Path) -> None:
    alone = made(given(), tmp_path / "alone")
    assert same(made(given(), tmp_path / "out", processes=2), alone)


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_card(tiny_card: Card, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path\n"
        "from test_card_run import TINY, given, made\n"
        "from evals.card import report\n"
        f"card = made(given(**TINY), Path({str(tmp_path / 'out')!r}), processes=2, ray='local')\n"
        f"report.write(card, Path({str(tmp_path / 'out')!r}))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    assert same(report.load(tmp_path / "out" / "card.json"), tiny_card)


@pytest.mark.slow
def test_a_ray_cluster_that_was_started_elsewhere_finds_the_files(
    tiny_card: Card, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    (tmp_path / "card.toml").write_text(TOML)
    (tmp_path / "elsewhere").mkdir()
    with cluster(tmp_path / "elsewhere") as address:
        command = ["--config", "card.toml", "--out", "out", "--cache", "cache", "--ray", address]
        subprocess.run(
            [sys.executable, "-m", "evals", "card", *command], cwd=tmp_path, check=True,
            env={**WITH_TOKEN, "PYTHONPATH": str(ROOT)}, capture_output=True,
        )  # fmt: skip
    assert same(report.load(tmp_path / "out" / "card.json"), tiny_card)


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Start a Ray cluster of one core in a folder and yield its address."""
    ray = Path(sys.executable).parent / "ray"
    options = ["--head", "--block", "--port=0", "--num-cpus=1", "--disable-usage-stats"]
    with subprocess.Popen(
        [ray, "start", *options, "--include-dashboard=false"],
        cwd=folder, env=WITH_TOKEN, start_new_session=True, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            told = (re.search(r"--address='(\S+)'", line) for line in process.stdout)
            yield next(found[1] for found in told if found)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_run_killed_three_times_and_resumed_equals_one_that_was_not(
    tiny_card: Card, tmp_path: Path
) -> None:
    (tmp_path / "card.toml").write_text(TOML)
    folder = tmp_path / "out"
    rng = random.Random(0)
    seen = [0]
    for _ in range(3):
        with start(tmp_path, folder) as process:
            enough = seen[-1] + rng.randint(1, 4)
            while tasks(folder) < enough and process.poll() is None:
                time.sleep(rng.random() / 100)
            os.killpg(process.pid, signal.SIGKILL)
        seen.append(tasks(folder))
    with start(tmp_path, folder) as process:
        assert process.wait() == 0

    assert 0 < seen[1] < seen[2] < seen[3] < tasks(folder)  # it was really interrupted
    assert same(report.load(folder / "card.json"), tiny_card)
    assert not list(folder.rglob("*.part"))[4:]  # a kill leaves no more than a half file each


def start(folder: Path, out: Path) -> "subprocess.Popen[bytes]":
    command = ["-m", "evals", "card", "--config", "card.toml", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, *command, "--cache", str(folder / "cache")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def tasks(folder: Path) -> int:
    return len(list((folder / "work").rglob("*.json")))


def test_what_is_done_is_not_done_again(
    tiny_card: Card, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(run, "_run_task", never)
    assert same(made(given(**TINY), folder), tiny_card)


def test_another_config_does_not_take_up_what_was_done(tiny_card: Card, tmp_path: Path) -> None:
    how = Run(folder=tmp_path / "out", cache=tmp_path / "cache")
    run.run(given(**TINY | {"budget": 32}), how)
    assert same(made(given(**TINY), tmp_path / "out"), tiny_card)


def test_a_memory_that_was_edited_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = given(**TINY | {"systems": ["mine:Mine"], "ours": "mine:Mine", "regimes": ["replay"]})
    returned = []
    for order in ("", "[::-1]"):
        (tmp_path / "mine.py").write_text(MINE.format(order=order) + "#" * len(order))
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        invalidate_caches()
        card = made(chosen, tmp_path / "out")
        returned.append([one.places for one in card.records])
    assert returned[0] != returned[1]


def test_two_models_of_one_name_in_two_folders_do_not_share_records(tmp_path: Path) -> None:
    folders = []
    for name in ("a", "b"):
        (tmp_path / name / "model").mkdir(parents=True)
        chosen = given(model={"kind": "huggingface", "name": str(tmp_path / name / "model")})
        folders.append(run._work_folder(chosen, Run(folder=tmp_path / "out"), []))
    assert folders[0] != folders[1]


def test_a_model_that_was_trained_on_in_its_folder_does_not_take_up_records(tmp_path: Path) -> None:
    weights, folders = tmp_path / "model" / "weights.bin", []
    weights.parent.mkdir()
    for trained in (b"once", b"twice"):
        weights.write_bytes(trained)
        chosen = given(embedder=str(weights.parent))
        folders.append(run._work_folder(chosen, Run(folder=tmp_path / "out"), []))
    assert folders[0] != folders[1]


def test_the_timed_search_embeds_its_question_and_the_time_to_write_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = HashEmbedder(256)
    monkeypatch.setattr(run, "embedder", lambda _: embedder)
    chosen = given(**TINY | {"systems": ["dense"], "ours": "dense", "regimes": ["replay"]})
    made(chosen, tmp_path / "out")
    before = embedder.calls
    card = made(chosen, tmp_path / "again")  # every vector is there
    assert embedder.calls - before == len(card.records)
    assert all(one.costs["write ms per turn"] > 0 for one in card.records)


def test_every_regime_asks_the_same_questions(tiny_card: Card) -> None:
    asked: dict[tuple[str, str], set[str]] = {}
    for one in tiny_card.records:
        asked.setdefault((one.data, one.regime), set()).add(one.question)
    for data in {data for data, _ in asked}:
        slices = [questions for (name, _), questions in asked.items() if name == data]
        assert len(slices) == 4
        assert all(questions == slices[0] for questions in slices)


def test_without_a_model_what_needs_one_is_not_run_and_never_0(tiny_card: Card) -> None:
    silent = {
        name for one in tiny_card.not_run if "no model" in one.why for name in one.what.split(", ")
    }
    assert {"EM", "F1", "contains", "unsupported claims", "recognition"} <= silent
    assert not [one for one in tiny_card.figures if one.metric in silent]


def test_a_system_whose_extra_is_missing_is_not_run_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mem0", None)
    card = made(given(systems=["BM25", "mem0"], ours="BM25"), tmp_path / "out")
    assert card.not_run[0].what == "mem0"
    assert "pip install" in card.not_run[0].why
    assert {one.system for one in card.figures if one.regime == "replay"} == {"BM25"}


def test_a_card_holds_nothing_of_the_data_but_ids_and_numbers(tiny_card: Card) -> None:
    text = report.dumps(tiny_card)
    sets = [run.data.read(spec) for spec in given(**TINY).data]
    turns = [turn.text for one in sets for haystack in one.haystacks for turn in haystack.turns]
    questions = [q.text for one in sets for haystack in one.haystacks for q in haystack.questions]
    assert not [one for one in [*turns, *questions] if one in text]


def test_intervals_draw_conversations_and_tell_how_many_questions(tiny_card: Card) -> None:
    (one,) = [
        figure
        for figure in tiny_card.figures
        if (figure.data, figure.metric, figure.system, figure.regime, figure.group)
        == ("synthetic updates", "turn recall@10", "BM25", "replay", "all")
    ]
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.value <= one.high
    assert one.n == 18


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"systems": []}, "name each system once"),
        ({"systems": ["BM25", "BM25"]}, "BM25"),
        ({"regimes": ["dreaming"]}, "dreaming"),
        ({"data": []}, r"\[\[data\]\]"),
        ({"data": [{"probe": "updates"}]}, "format"),
        ({"steps": 0}, "steps"),
        ({"budget": 0}, "budget"),
        ({"modell": {}}, "modell"),
        ({"model": {"kind": "oracle"}}, "oracle"),
        ({"judge": {"kind": "smollm2"}}, r"\[model\]"),
    ],
)
def test_a_wrong_config_says_what_is_wrong(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        given(**wrong)


@pytest.mark.parametrize("name", ["memkitt", "nowhere:Nothing"])
def test_an_unknown_system_stops_the_run_before_it_begins(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=name.partition(":")[0]):
        made(given(systems=[name], ours=name), tmp_path / "out")
