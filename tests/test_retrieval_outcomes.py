"""From what systems answer to what is told of them, with systems that answer what they are told."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up import erratum, locomo_file, longmemeval_file, remembered

from evals.data import locomo
from evals.data.haystack import AUDITED, PUBLISHED, DataSet, Query
from evals.retrieval import command, confidence, figures, records
from evals.retrieval.run import Outcome, run
from evals.stats import bootstrap as statistics
from evals.systems.cache import CachedEmbedder
from evals.systems.protocol import Make, Packed, ScoredTurn
from evals.systems.registry import SYSTEMS
from memkit import Turn
from memkit.testing import HashEmbedder

BOTH = (PUBLISHED, AUDITED)


class Scripted:
    """A system that gives prepared answers and remembers what it was asked.

    Args:
        short: ids it finds for a user's call.
        deep: ids it finds when asked for many.
        sure: its best score for a question.
        log: whom it tells that it was asked, and as whom.
    """

    def __init__(
        self,
        short: Sequence[str] = ("D1:1",),
        deep: Sequence[str] = ("D1:1",),
        sure: Callable[[Query], float] = lambda _: 0.5,
        log: tuple[list[str], str] = ([], ""),
    ) -> None:
        self._short, self._deep, self._sure, self._log = short, deep, sure, log

    def remember(self, turns: Sequence[Turn]) -> None:  # noqa: ARG002
        self._log[0].clear()

    def ask(self, query: Query, k: int) -> list[ScoredTurn]:
        if k <= 10:
            self._log[0].append(self._log[1])
        best = self._sure(query)
        found = self._short if k <= 10 else self._deep
        return [ScoredTurn(turn_id=id, score=best / n) for n, id in enumerate(found, start=1)]

    def pack(self, query: Query, budget: int) -> Packed:  # noqa: ARG002
        return Packed(turns=tuple(self._deep[: budget // 500]))

    def refusals(self, query: Query) -> Mapping[str, bool]:
        return {"its own": self._sure(query) < 0.5}

    def forget(self, turn_ids: Sequence[str]) -> None:
        pass

    def stored(self) -> None:
        return None

    def footprint(self) -> None:
        return None

    def close(self) -> None:
        pass


def made(**script: Any) -> Make:
    return lambda _: Scripted(**script)


def outcomes(folder: Path, data: DataSet, **systems: Make) -> list[Outcome]:
    with CachedEmbedder(HashEmbedder(), folder) as cached:
        return run(data, systems, cached)


def test_the_ranking_is_the_deep_one_and_the_served_one_is_kept_beside(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-99"))
    script = {"short": ["D2:3", "D1:1"], "deep": ["D1:1", "D2:3", "D2:2", "D1:3"]}

    found = outcomes(tmp_path, data, one=made(**script))[1]  # its gold: D1:3 and D2:3

    assert found.found[PUBLISHED].turns == (4, 2)
    assert found.found[PUBLISHED].sessions == (1, 2)
    assert found.found[PUBLISHED].served == (None, 1)
    assert found.reordered
    assert found.found[PUBLISHED].packed == {500: 0, 1000: 1, 3500: 2}
    assert found.packed == {500: 1, 1000: 2, 3500: 4}


def test_systems_take_turns_at_being_first(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-99"))
    asked: list[str] = []
    systems = {name: made(log=(asked, name)) for name in ("a", "b")}

    found = outcomes(tmp_path, data, **systems)

    assert "".join(asked) == "b" + "abbaabbaab"  # after b's warming up
    assert [one.system for one in found] == ["a", "b"] * 5


def test_outcomes_are_the_same_after_a_result_file(tmp_path: Path) -> None:
    audit = tmp_path / "errors.json"
    audit.write_text(json.dumps([erratum("locomo_0_qa0", "What does Biscuit fear?", "D2:1")]))
    data = locomo.read(locomo_file(tmp_path, "conv-98", "conv-99"), audit=audit)
    found = outcomes(tmp_path, data, a=made(), b=made(deep=["D2:1"]))

    kept = json.loads(json.dumps(records.questions(found)))

    assert records.outcomes(kept, BOTH) == found


def test_figures_are_of_answerable_questions_unless_they_say_otherwise(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-98", "conv-99"))
    found = outcomes(tmp_path, data, ours=made(), theirs=made(deep=["D2:1"], short=["D2:1"]))

    told = figures.table(figures.compute(found, [PUBLISHED], 0))
    compared = figures.compare(found, 0)

    recall = {key[1]: value for key, value in told.items() if key[2:] == ("ours", "turn recall@10")}
    assert {group: one.n for group, one in recall.items()} == {
        figures.ANSWERABLE: 6, "multi-hop": 2, "single-hop": 2, "temporal": 2,
        "adversarial, unanswerable": 2, figures.WITH_GOLD: 8,
    }  # fmt: skip
    assert recall[figures.ANSWERABLE].value == pytest.approx(1 / 3)
    assert [one.by_conversation.interval.n for one in compared] == [6] * len(figures.HEADLINES)
    by_metric = {one.metric: one.by_conversation.interval.value for one in compared}
    assert by_metric["turn recall@10"] == pytest.approx(1 / 3)


def test_rules_refuse_below_their_threshold_and_not_at_it(tmp_path: Path) -> None:
    data = locomo.read(locomo_file(tmp_path, "conv-99"))
    scores = {"What does Biscuit fear?": 0.8, "Which flowers were planted?": 0.6}
    found = outcomes(tmp_path, data, one=made(sure=lambda asked: scores.get(asked.text, 0.4)))

    (told,) = confidence.measured(found, {"one": 0.6}, 0)

    chosen = told.rules[f"{confidence.CHOSEN}: 0.6"]
    assert told.rules["its own"] == chosen
    assert (chosen.coverage, chosen.unanswerable_refused) == (0.5, 1)
    assert chosen.answerable_refused == pytest.approx(1 / 3)
    assert chosen.risk == 0.5  # of two answered, one has gold among those served


def test_a_threshold_for_the_report_is_chosen_on_tuning_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    recordings = [  # 0, 3: tuning
        remembered(f"q{n}{'_abs' * (n in (0, 1))}", question=f"q{n}?") for n in range(6)
    ]
    scores = {"q0?": 0.3, "q3?": 0.7, "q1?": 0.8}  # of all six, 0.9 would be best
    monkeypatch.setitem(SYSTEMS, "one", made(sure=lambda asked: scores.get(asked.text, 0.9)))  # type: ignore[arg-type]
    options = command.Options(
        data=[f"longmemeval={longmemeval_file(tmp_path, *recordings)}"],
        systems=["one"],
        cache=tmp_path,
    )

    found = command.measure(options, HashEmbedder(), timed=0)["results"]

    for one in found:
        (table,) = [t for t in one["tables"] if t["title"] == "what is refused"]
        assert table["rows"][-1][1] == f"{confidence.CHOSEN}: 0.7"
    assert "chosen on these very questions" in table_note(found[0])
    assert "chosen on these very questions" not in table_note(found[1])


def table_note(result: Mapping[str, Any]) -> str:
    return next(str(t["note"]) for t in result["tables"] if t["title"] == "what is refused")


def test_published_and_audited_gold_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = tmp_path / "errors.json"
    audit.write_text(json.dumps([erratum("locomo_0_qa0", "What does Biscuit fear?", "D2:1")]))
    monkeypatch.setitem(SYSTEMS, "one", made())  # type: ignore[arg-type]
    options = command.Options(
        data=[f"locomo={locomo_file(tmp_path, 'conv-99')}"],
        audit=audit,
        systems=["one"],
        cache=tmp_path,
    )

    (found,) = command.measure(options, HashEmbedder(), timed=0)["results"]

    (table,) = [t for t in found["tables"] if "audited gold" in t["title"]]
    row = dict(zip(table["columns"][:5], table["rows"][0][:5], strict=True))
    assert (row["served R@10"], row["audited"]) == (pytest.approx(1 / 3), 0)
