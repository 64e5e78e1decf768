"""What memkit believes after people talk the way they do, by the default thinker alone.

Each case stands for a kind of input that users of memory systems reported.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest

import memkit
from memkit import Memory, Thought, Turn

THURSDAY = datetime(2026, 3, 5, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared() -> Iterator[Memory]:
    with memkit.open(":memory:", settings=memkit.Settings(background=False)) as memory:
        yield memory


@pytest.fixture
def believe(shared: Memory, request: pytest.FixtureRequest) -> Callable[..., list[Thought]]:
    user_id = request.node.nodeid

    def remember(*messages: str | Turn, name: str | None = None) -> list[Thought]:
        for n, message in enumerate(messages):
            turn = Turn(text=message, name=name) if isinstance(message, str) else message
            said_at = THURSDAY + timedelta(days=n)
            if turn.said_at is None:
                turn = Turn(text=turn.text, role=turn.role, name=turn.name, said_at=said_at)
            shared.remember(turn, user_id=user_id)
        shared.think(user_id=user_id)
        return shared.thoughts(user_id=user_id)

    return remember


def plain(thoughts: Sequence[Thought]) -> str:
    return "\n".join(thought.text for thought in thoughts if not thought.doubt)


def shown(thoughts: Sequence[Thought]) -> str:
    return "\n".join(thought.text for thought in thoughts)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("I'm 34 years old.", "I'm 10 minutes late, sorry!"),
        ("I live in Leeds.", "I moved to the couch because my back hurts."),
        pytest.param(
            "I live in Leeds.",
            "I moved to decaf.",
            marks=pytest.mark.xfail(
                strict=True, reason="in doubt, not ended: too few such pairs in training"
            ),
        ),
        ("My car is a Fiat.", "My car is in the garage."),
    ],
)
def test_a_like_sounding_statement_ends_nothing(
    believe: Callable[..., list[Thought]], first: str, second: str
) -> None:
    assert first in plain(believe(first, second))


def test_being_late_is_not_believed(believe: Callable[..., list[Thought]]) -> None:
    assert "late" not in shown(believe("I'm 34 years old.", "I'm 10 minutes late, sorry!"))


@pytest.mark.parametrize(
    ("older", "newer", "ended", "holds"),
    [
        ("I work at Brightly.", "I don't work at Brightly anymore.", r"^I work at", "anymore"),
        (
            "I'm allergic to penicillin.",
            "turns out I'm not allergic to penicillin after all",
            r"^I'm allergic",
            "not allergic",
        ),
        ("We live in Leeds.", "We finally moved!! Sheffield now", "Leeds", "Sheffield"),
        ("My dentist appointment is at 3pm.", "Sorry, I meant 4pm.", "3pm", "4pm"),
        (
            "I work as a nurse at the city hospital.",
            "Big news: I quit nursing, I work as a baker now.",
            "as a nurse",
            "baker",
        ),
    ],
)
def test_a_change_replaces_what_it_changes(
    believe: Callable[..., list[Thought]], older: str, newer: str, ended: str, holds: str
) -> None:
    thoughts = plain(believe(older, newer))
    assert re.search(holds, thoughts)
    assert not re.search(ended, thoughts, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("I have a dentist appointment on Friday.", "2026-03-06"),
        ("I have surgery on May 4.", "2026-05-04"),
    ],
)
def test_a_plan_is_dated_in_the_future(
    believe: Callable[..., list[Thought]], text: str, date: str
) -> None:
    assert date in shown(believe(text))


def test_an_event_is_dated_in_the_past_and_in_the_timezone_of_its_turn(
    believe: Callable[..., list[Thought]],
) -> None:
    local = datetime(2026, 3, 6, 0, 20, tzinfo=timezone(timedelta(hours=9)))
    thoughts = believe(Turn(text="I moved to Lyon yesterday.", said_at=local))
    assert "2026-03-05" in shown(thoughts)


def test_a_guess_of_the_assistant_is_not_believed_unless_the_user_confirms_it(
    believe: Callable[..., list[Thought]],
) -> None:
    guess = Turn(text="Your name is Michael.", role="assistant")
    assert "Michael" not in shown(believe("Guess my name!", guess, "Wrong!"))


def test_the_author_of_a_pasted_email_is_not_the_user(
    believe: Callable[..., list[Thought]],
) -> None:
    thoughts = believe(
        "I live in Oslo and work at Fjordline.",
        "Can you reply to this email for me?\n\nHi,\nI'm Dave, I live in Denver and I work at "
        "Contoso.\nBest,\nDave",
    )
    assert "Oslo" in plain(thoughts)
    assert not re.search("Denver|Contoso|Dave", shown(thoughts))


@pytest.mark.parametrize("name", ["+49 151 1234567", "alex99", "Max 2", "Will", "May"])
def test_any_string_can_be_a_speaker(believe: Callable[..., list[Thought]], name: str) -> None:
    (thought,) = believe("I live in Ghent.", name=name)
    assert (thought.said_by, thought.text) == (name, "I live in Ghent.")


@pytest.mark.parametrize("together", [True, False])
def test_two_people_of_one_family_name_have_a_fact_each(shared: Memory, together: bool) -> None:
    turns = [
        Turn(text="I live in Ghent.", name="Anna Schmidt", said_at=THURSDAY),
        Turn(text="I live in Turin.", name="Jonas Schmidt", said_at=THURSDAY),
    ]
    user_id = f"family {together}"
    for batch in [turns] if together else [[turn] for turn in turns]:
        shared.remember(batch, user_id=user_id)
        shared.think(user_id=user_id)
    thoughts = shared.thoughts(user_id=user_id)
    assert {(thought.said_by, thought.text) for thought in thoughts if not thought.doubt} == {
        ("Anna Schmidt", "I live in Ghent."),
        ("Jonas Schmidt", "I live in Turin."),
    }


@pytest.mark.parametrize(
    "text",
    [
        "haha sure, and I'm the queen of England",
        "Is this sentence correct? I live in Denver since 2020.",
        "I cooked pasta.",
    ],
)
def test_a_joke_a_sample_sentence_and_an_event_are_not_believed(
    believe: Callable[..., list[Thought]], text: str
) -> None:
    assert believe(text) == []


def test_a_short_answer_is_kept_with_the_question_that_it_answers(
    believe: Callable[..., list[Thought]],
) -> None:
    question = Turn(text="Before I plan the menu: do you have any allergies?", role="assistant")
    (thought,) = believe(question, "yes, shellfish and sesame")
    assert thought.text == "yes, shellfish and sesame"
    assert thought.head == question.text
