"""Krippendorff's alpha: his own published examples, and files that are not what they should be."""

import json
from pathlib import Path

import pytest

from evals.stats import agreement
from evals.stats.agreement import Rating
from memkit.errors import InvalidInput

# Krippendorff 2011: example C, four observers and twelve units, with gaps
OBSERVED = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}
# example A: two observers, ten units, two values
TWO = {"A": "0 1 0 0 0 0 0 0 1 0", "B": "1 1 1 0 0 1 0 0 0 0"}


def ratings(table: dict[str, str]) -> list[Rating]:
    return [
        Rating(item=f"unit {n}", rater=rater, rating=value)
        for rater, row in table.items()
        for n, value in enumerate(row.split())
        if value != "."
    ]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_the_published_example(level: str, published: float) -> None:
    result = agreement.agreement(ratings(OBSERVED), level)

    assert result.alpha.value == pytest.approx(published, abs=0.0006)
    assert (result.alpha.n, result.raters, result.ratings, result.alone) == (11, 4, 40, 1)


def test_the_published_example_of_two_values() -> None:
    assert agreement.agreement(ratings(TWO), "nominal").alpha.value == pytest.approx(
        0.095, abs=0.0006
    )


def test_the_interval_holds_alpha_and_repeats_with_its_seed() -> None:
    result = agreement.agreement(ratings(OBSERVED), "nominal", seed=4).alpha

    assert result.low is not None
    assert result.high is not None
    assert result.low < result.value < result.high <= 1
    assert result == agreement.agreement(ratings(OBSERVED), "nominal", seed=4).alpha


def test_words_are_rated_as_well_as_numbers() -> None:
    words = {"A": "right right wrong", "B": "right right wrong"}

    assert agreement.agreement(ratings(words), "nominal").alpha.value == 1


@pytest.mark.parametrize(
    ("table", "level", "message"),
    [
        ({"A": "1 1", "B": "1 1"}, "nominal", "nothing varies"),
        ({"A": "1 2"}, "nominal", "two raters"),
        ({"A": "good bad", "B": "bad bad"}, "ordinal", "'good' is no number"),
        ({"A": "1 nan", "B": "2 2"}, "interval", "'nan' is no number"),
    ],
)
def test_ratings_without_an_alpha_say_why(table: dict[str, str], level: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        agreement.agreement(ratings(table), level)


def test_a_rater_who_rates_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'A' rated item 'unit 0' more than once"):
        agreement.agreement(
            [*ratings(TWO), Rating(item="unit 0", rater="A", rating="1")], "nominal"
        )


def test_csv_and_json_lines_give_the_same_ratings(tmp_path: Path) -> None:
    table, lines = tmp_path / "r.csv", tmp_path / "r.jsonl"
    rows = [("1", "ann", "2"), ("1", "bob", "3"), ("2", "ann", "")]
    table.write_text("rater,item,note,rating\n" + "".join(f"{r},{i},x,{v}\n" for i, r, v in rows))
    lines.write_text(
        "\n".join(json.dumps({"item": int(i), "rater": r, "rating": v}) for i, r, v in rows) + "\n"
    )

    assert agreement.read(table) == agreement.read(lines)
    assert [one.rating for one in agreement.read(table)] == ["2", "3"]  # an empty one is none


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", "item,rating\n1,2\n", "no column 'rater'"),
        ("r.csv", "item,rater,rating\n", "has no ratings"),
        ("r.csv", "item,rater,rating\n1,ann\n", "line 2: 'rating' must be"),
        ("r.csv", "item,rater,rating\n,ann,1\n", "needs an item and a rater"),
        ("r.jsonl", "{", "line 1 is not JSON"),
        ("r.jsonl", "[1]", "is no JSON object"),
        ("r.jsonl", '{"item": 1, "rater": "a", "rating": true}', "must be a text or a number"),
    ],
)
def test_a_file_that_is_no_ratings_says_where(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(InvalidInput, match=message):
        agreement.read(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv cannot be read"):
        agreement.read(tmp_path / "none.csv")
