"""The disclosure: what a run knows is filled in, what it cannot know is listed, never guessed."""

import json
from typing import Any

import pytest

from evals.card.audit.disclosure import ITEMS, check, disclose
from evals.card.records import Audit
from memkit.errors import InvalidInput

CONFIG = {
    "name": "small", "systems": ["memkit", "BM25"], "regimes": ["replay", "online"], "steps": 8,
    "embedder": "hash", "budget": 512, "seed": 0, "judge": None,
    "model": {"kind": "smollm2", "window": 2048},
}  # fmt: skip
STAMP = {
    "command": "python -m evals card", "commit": "0123456789abcdef", "changed_files": 0,
    "versions": {"python": "3.11"}, "machine": {"cores": 2},
}  # fmt: skip
DATA = [{"name": "d", "format": "synthetic", "sha256": "00", "seed": 0}]
AUDIT = Audit(
    name="leakage: index ∩ test", data="d", system="", checked=200, violations=1, threshold=0.007,
    note="how",
)  # fmt: skip


def made(**changed: Any) -> dict[str, Any]:
    given = {"config": CONFIG, "stamp": STAMP, "data": DATA, "audits": [AUDIT]} | changed
    return disclose(given["config"], given["stamp"], given["data"], given["audits"])


def missing(result: dict[str, Any]) -> dict[str, str]:
    return {item["item"]: item["why"] for item in result["missing"]}


def test_all_fields_of_the_paper_are_there() -> None:
    assert {
        "study_id", "claim_type", "temporal_governance", "leakage_overlap_auditing",
        "implementation_resources", "regimes", "limitations_and_robustness", "missing",
    } == made().keys()  # fmt: skip


def test_what_the_run_knows_is_filled_in() -> None:
    result = made()

    assert result["study_id"] == "small@0123456789ab"
    assert result["regimes"] == {
        "parametric": False, "long context": False, "replay": True, "online": True,
    }  # fmt: skip
    means = result["implementation_resources"]
    assert (means["seed"], means["changed_files"], means["budget_tokens"]) == (0, 0, 512)
    assert (means["decoding"], means["judge"]) == ("greedy", "none")
    assert means["checkpoint"].startswith("sha256 ")  # of the bundled file
    store = result["temporal_governance"]["index_or_session_store"]
    assert store == {"d": {"format": "synthetic", "sha256": "00", "seed": 0}}


def test_leakage_audits_stand_with_their_impact() -> None:
    (result,) = made()["leakage_overlap_auditing"]["audits"]

    assert (result["impact_fraction"], result["threshold"], result["passed"]) == (
        0.005,
        0.007,
        True,
    )


def test_every_item_is_told_or_missing_with_a_reason() -> None:
    result = made()

    told = {
        path
        for path in ITEMS
        for field, _, name in [path.rpartition(".")]
        if name in (result.get(field, {}) if field else result)
    }
    assert told | missing(result).keys() == ITEMS.keys()
    assert not told & missing(result).keys()
    assert all(missing(result).values())


def test_what_cannot_be_known_is_never_guessed() -> None:
    result = missing(made())

    assert "trained on" in result["temporal_governance.train_window"]
    unnamed = missing(
        made(config=CONFIG | {"model": {"kind": "huggingface", "name": "some/model"}})
    )
    assert "revision" in unnamed["implementation_resources.checkpoint"]
    assert "limitations_and_robustness.sensitivity" in result


def test_an_empty_run_lists_instead_of_inventing() -> None:
    result = missing(made(config={}, stamp={"commit": "unknown"}, data=[], audits=[]))

    assert {"study_id", "claim_type", "regimes", "implementation_resources.commit"} <= result.keys()
    assert all(result.values())


def test_that_no_model_answered_is_known() -> None:
    means = made(config=CONFIG | {"model": None})["implementation_resources"]

    assert means["model"].startswith("none")
    assert means["decoding"].startswith("none")


def test_an_audit_that_failed_is_among_the_limitations() -> None:
    failed = Audit(name="temporal: x", data="d", system="s", checked=1, violations=1, passed=False)

    assert made()["limitations_and_robustness"]["failed_audits"] == "none"
    assert made(audits=[failed])["limitations_and_robustness"]["failed_audits"] == [
        "temporal: x, d, s"
    ]


def test_an_author_can_tell_what_the_program_cannot_know() -> None:
    told = {"disclosure": {"temporal_governance": {"train_window": "until March 2024"}}}
    result = made(config=CONFIG | told)

    assert result["temporal_governance"]["train_window"] == "until March 2024"
    assert "temporal_governance.train_window" not in missing(result)


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (
            {"temporal_governance": {"train_windw": "x"}},
            "'temporal_governance.train_windw'.*_window",
        ),
        ({"trained": "2024"}, "no item 'trained'"),
        ({"temporal_governance": "2024"}, "no item 'temporal_governance'"),
        ({"temporal_governance": {"train_window": 2024}}, "is a sentence, got 2024"),
        ({"implementation_resources": {"decoding": "greedy"}}, "tells .* itself"),
    ],
)
def test_what_an_author_misspells_is_named(told: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        check(told)


def test_it_is_json() -> None:
    assert json.loads(json.dumps(made())) == made()
