"""The study of summaries counts the facts that people ask about most, and those a summary holds."""

from pathlib import Path

import pytest

from evals.data import life
from evals.data.haystack import Haystack
from evals.studies import summary as study
from memkit.testing import HashEmbedder

DIALOGUE = """== Ann en
1 U+0: I live in Oslo by the harbour. What a day it was yesterday
2 A+0: Nice.
3 U+3: My brother Tau keeps forty hives. I am tired
4 U+9: I moved to Rome last week
? now 4 !1 :: where does Ann live these days
? fact 3 :: how many hives does the brother keep
? number 3 :: count of hives of Tau
? none :: what is the name of the cat
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "ann.txt").write_text(DIALOGUE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def haystack(folder: Path) -> Haystack:
    (haystack,) = life.read(folder).haystacks
    return haystack


def test_the_facts_are_the_turns_of_most_questions_with_the_clauses_that_answer(
    haystack: Haystack,
) -> None:
    facts = study.facts(haystack, HashEmbedder())
    assert [fact.turn.id for fact in facts] == ["3", "4"]
    assert facts[0].stretches == ("My brother Tau keeps forty hives.",)


def test_outdated_facts_are_counted_apart(haystack: Haystack) -> None:
    (outdated,) = study.outdated_facts(haystack, HashEmbedder())
    assert outdated.turn.id == "1"


@pytest.mark.parametrize(
    ("summary", "held"),
    [
        ("Ann: Tau keeps hives.", True),  # 3 of brother, Tau, keeps, forty, hives
        ("Ann: keeping hive number forty.", True),  # other forms of the words
        ("Ann: my brother is tired.", False),
        ("", False),
    ],
)
def test_a_fact_is_held_with_half_of_the_content_words_of_its_clause(
    haystack: Haystack, summary: str, held: bool
) -> None:
    fact = study.facts(haystack, HashEmbedder())[0]
    assert study.holds(summary, fact) is held


def test_no_summary_is_longer_than_60_tokens(haystack: Haystack) -> None:
    embedder = HashEmbedder()
    summaries = study.summaries(haystack, study.facts(haystack, embedder), embedder)
    assert len(summaries) == 6
    assert all(0 < embedder.count(text) <= 60 for text in summaries.values())
    assert summaries["lead-3"].startswith("I live in Oslo")
    assert summaries["last 3 sentences"].endswith("I moved to Rome last week")
