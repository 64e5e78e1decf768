"""What turns claim, what they do not, and that no text breaks or stalls the reading of it."""

import doctest
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.records import Claim, Role, Turn
from memkit.thoughts.rules import conventions, english, frames
from memkit.thoughts.rules import possessions as owned
from memkit.thoughts.rules.thinker import RuleThinker

NOW = datetime(2024, 5, 15, 14, 30, tzinfo=UTC)  # a Wednesday


def think(text: str, name: str | None = "Ann", role: Role = "user") -> list[Claim]:
    return RuleThinker().think([Turn(text=text, id="t1", name=name, role=role, said_at=NOW)])


def told(text: str) -> list[tuple[str | None, str | None]]:
    return [(claim.slot, claim.tail) for claim in think(text)]


TOLD = {  # in the third person, and clear on its own
    "I live in Oslo.": "Ann lives in Oslo.",
    "i live in Oslo": "Ann lives in Oslo.",
    "Hi Bob! I\u2019ve got three cats, by the way.": "Ann has got three cats.",
    "I work at a bank and live in my uncle's flat.": (
        "Ann works at a bank and lives in Ann's uncle's flat."
    ),
    "I want to live in Oslo and work at Acme.": "Ann wants to live in Oslo and work at Acme.",
    "Last week, I went camping with my kids.": "Last week, Ann went camping with Ann's kids.",
    "I don't eat meat, you know.": "Ann does not eat meat.",
    "I'm a nurse, so I sleep late.": "Ann is a nurse.",
    "My sister Mia lives in Bergen.": "Ann's sister Mia lives in Bergen.",
    "My brother and I opened a bakery in May.": "Ann's brother and Ann opened a bakery in May.",
    "We went to the zoo yesterday and it was great.": "Ann and others went to the zoo yesterday.",
    "Went to a rock concert last Friday!": "Ann went to a rock concert last Friday.",
    "I just realized I've adopted two kittens.": "Ann has adopted two kittens.",
    "I'm gonna visit Rome next week.": "Ann is going to visit Rome next week.",
    "I used to live in Paris.": "Ann used to live in Paris.",
    "Mia got a new job at Acme.": "Mia got a new job at Acme.",
    "I need my favorite tea, Blue Fox, right now.": "Ann's favorite tea is Blue Fox.",
    "Any tips for my friend Kim, who moved to Lyon?": "Ann's friend Kim moved to Lyon.",
}

SLOTS = {  # what can be only one way at a time, and which way it is
    "I live in Oslo.": ("ann | lives in", "Oslo"),
    "I recently moved to the suburbs with Bob.": ("ann | lives in", "the suburbs"),
    "I've lived in Oslo since 2010.": ("ann | lives in", "Oslo"),
    "We live in Oslo.": ("ann | lives in", "Oslo"),
    "I work for Acme now.": ("ann | works at", "Acme"),
    "I got promoted to senior manager.": ("ann | works as", "senior manager"),
    "I'm a nurse.": ("ann | works as", "nurse"),
    "I just quit my job!": ("ann | works at", "job"),
    "My name is Ann Lee.": ("ann | name", "Ann Lee"),
    "I'm 32 years old.": ("ann | age", "32"),
    "My current favourite hot sauce is Red Fox.": ("ann | favorite hot sauce", "Red Fox"),
    "My car is a Tesla.": ("ann | car | is", "a Tesla"),
    "My new phone number is 5550.": ("ann | phone number | is", "5550"),
    "I have three cats.": ("ann | number of cats", "3"),
    "I've added 17 new stamps to my album.": ("ann | number of stamps", "17"),
    "I have painted 4 vases since starting classes.": ("ann | number of vases", "4"),
    "I just finished my 5th vase.": ("ann | number of vases", "5"),
    "I need 125 stars to reach the next level.": ("ann | number of stars needed", "125"),
    "Actually, I need 120 stars, not 300.": ("ann | number of stars needed", "120"),
    "I love jazz.": ("ann | likes | jazz", "jazz"),
    "I prefer to run in the morning.": (
        "ann | likes | to run in the morning",
        "to run in the morning",
    ),
    "I love listening to jazz, mostly.": (
        "ann | likes | listening to jazz",
        "listening to jazz",
    ),
    "I love my new bike.": ("ann | likes | bike", "Ann's new bike"),
    "I have about 500 followers.": ("ann | number of followers", "500"),
    "I've saved $500 so far.": ("ann | saved | how much", "$500"),
    "I wake up at 6:30 am on weekdays.": ("ann | wakes up | at what time", "6:30 am"),
    "I've been waking up at 7 am.": ("ann | wakes up | at what time", "7 am"),
    "I keep my old boots under the bed.": ("ann | old boots | where", "under the bed"),
    "I moved my old boots to the attic.": ("ann | old boots | where", "the attic"),
    "I use Blip for my budget.": ("ann | uses for | budget", "Blip"),
    "I've been using Blop for my budget.": ("ann | uses for | budget", "Blop"),
    "My budget is about $400.": ("ann | budget | is", "about $400"),
    "I've been learning the harp for three months.": (
        "ann | learning the harp | for how long",
        "three months",
    ),
    "I'm single now.": ("ann | relationship status", "single"),
    "I'm no longer vegetarian.": ("ann | diet", "vegetarian"),
    "I bought a red car yesterday.": ("ann | has | red car", "red car"),
    "I sold my red car.": ("ann | has | red car", "red car"),
    "I go to yoga twice a week.": ("ann | goes to yoga | how often", "twice a week"),
    "I run 3 times a week.": ("ann | runs | how often", "3 times a week"),
    "My personal best 5K time is 27:12.": ("ann | personal best | 5k", "27:12"),
    "I hope to beat my personal best time of 25:50 in the 5K.": (
        "ann | personal best | 5k",
        "25:50",
    ),
    "I've been spending about an hour each day on piano practice.": (
        "ann | piano practice | how long",
        "about an hour each day",
    ),
    "My sister Mia moved to Bergen.": ("ann's sister mia | lives in", "Bergen"),
    "My sister is a nurse.": ("ann's sister | works as", "nurse"),
}

POLARITY = {  # of one slot: which relation
    "I love jazz.": "likes",
    "I can't stand jazz.": "does not like",
    "I don't like jazz.": "does not like",
    "I no longer enjoy jazz.": "does not like",
    "I drink coffee.": "drinks",
    "I started drinking coffee.": "drinks",
    "I never drink coffee.": "does not drink",
    "I stopped drinking coffee.": "no longer drinks",
    "I own a car.": "has",
    "I don't have a car.": "does not have",
    "I sold my car.": "no longer has",
    "I'm married.": "is",
    "I'm not married.": "is not",
}

SLOTLESS = (  # true, but not of now, or not of one thing only
    "I used to live in Paris.",
    "I lived in Paris in 2010.",
    "I was a nurse.",
    "I'm going to move to Rome in July.",
    "I'm moving to Rome next month.",
    "I have a flight to Rome on Monday.",
    "I bought three books yesterday.",
    "I went to the opera yesterday.",
)

SILENT = (  # nothing that is so, or nothing that is definite
    "Do you think I live in Oslo?",
    "If I lived in Oslo, I would ski.",
    "I wish I lived in Oslo.",
    "I might move to Rome.",
    "I don't want a bigger kitchen.",
    "I don't know how to cook rice.",
    "Since I was 17.",
    "Bought a boat in Oslo in my dream.",
    "Imagine the war was over, and I live in Oslo.",
    "Imagine my favorite tea, Blue Fox, was sold out.",
    '"I live in Oslo," she said.',
    'He wrote to me: "I live in Oslo, and my car is a Tesla".',
    "I bought it in Oslo.",
    "I met her in Oslo.",
    "I painted this wall in Oslo.",
    "I have to buy milk.",
    "Someone got a new job at Acme.",
    "Some friends and I went to Rome.",
    "Maybe I work at Acme.",
    "I think I live in Oslo.",
    "Let's say I live in Oslo.",
    "When I was a kid I lived in Oslo.",
    'My mom said "I live in Oslo now".',
    "My mom told me I live in Oslo.",
    "People say my car is a Tesla.",
    "I'd love a bigger kitchen.",
    "Can you help me plan my trip to Rome?",
    "I need help with my essay.",
    "I want you to write a poem.",
    "I'm looking for a recipe for soup.",
    "I'm glad you came.",
    "I'm sorry about Rome.",
    "I think that's great.",
    "I'm not sure.",
    "I did it.",
    "I love that.",
    "I love this song.",
    "I had a great time.",
    "It was great.",
    "I gave it to her there.",
    "I'm here for you.",
    "I'll keep trying.",
    "We can all make a difference.",
    "We're in this together.",
    "Your photo is amazing.",
    "Painting is a great way to relax.",
    "我住在北京。我有三只猫。",
    "Я живу в Осло.",
    "Ich wohne in Oslo.",
    "> I live in Oslo.",
    "```\nI live in Oslo.\n```",
    "[I live in Oslo]",
    "I " + "live in Oslo and " * 20 + "work.",
)


@pytest.mark.parametrize(("said", "text"), TOLD.items())
def test_a_claim_is_told_in_the_third_person(said: str, text: str) -> None:
    assert text in [claim.text for claim in think(said)]


@pytest.mark.parametrize(("said", "slot"), SLOTS.items())
def test_what_is_one_way_at_a_time_has_a_slot(said: str, slot: tuple[str, str]) -> None:
    assert slot in told(said)


@pytest.mark.parametrize(("said", "relation"), POLARITY.items())
def test_a_slot_says_which_way_it_is(said: str, relation: str) -> None:
    assert [claim.relation for claim in think(said)] == [relation]


@pytest.mark.parametrize("group", ["jazz", "coffee", "car", "married"])
def test_both_ways_share_a_slot(group: str) -> None:
    slots = {slot for said in POLARITY if group in said for slot, _ in told(said)}
    assert len(slots) == 1


@pytest.mark.parametrize("said", SLOTLESS)
def test_plans_events_and_the_past_replace_nothing(said: str) -> None:
    assert [claim.slot for claim in think(said)] == [None]


@pytest.mark.parametrize("said", SILENT)
def test_what_states_nothing_claims_nothing(said: str) -> None:
    assert think(said) == []


def test_a_plan_is_known_as_one() -> None:
    (claim,) = think("I'm going to visit Rome next week.")
    assert (claim.relation, claim.tail) == ("plans to", "visit Rome next week")


def test_a_job_says_where_or_as_what() -> None:
    assert set(told("I work at Acme as a nurse.")) == {("ann | works at", "Acme")}
    assert set(told("I work as a nurse.")) == {("ann | works as", "nurse")}


@pytest.mark.parametrize(
    "said",
    ["I moved to Oslo in 2015 for my studies.", "We moved to Berlin when I was five.",
     "I started working at IBM in 2003."],
)  # fmt: skip
def test_what_was_long_ago_replaces_nothing(said: str) -> None:
    assert [slot for slot, _ in told(said)] == [None]


@pytest.mark.parametrize("said", ["Translate to German: I live in Rome.", "Tom: I live in Rome."])
def test_what_another_says_is_no_claim(said: str) -> None:
    assert not told(said)


def test_a_claim_points_at_its_words() -> None:
    said = "Hi! I'm looking for a tent, since I recently moved to Rome."
    (claim,) = think(said)
    assert said[claim.source.start : claim.source.end] == "I recently moved to Rome"
    assert claim.source.turn_id == "t1"


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ("I've lived in Oslo since 2010.", datetime(2010, 1, 1, tzinfo=UTC)),
        ("I moved to Oslo in May 2023.", datetime(2023, 5, 1, tzinfo=UTC)),
        ("Last Monday, I moved to Oslo.", datetime(2024, 5, 13, tzinfo=UTC)),
        ("I live in Oslo.", None),
        ("I lived in Oslo in 2010.", None),
        ("I moved to Oslo on 1 July 2024.", None),
        ("My dentist appointment is on Monday.", None),
    ],
)
def test_it_holds_since_when_the_sentence_says(said: str, since: datetime | None) -> None:
    assert [claim.valid_from for claim in think(said)] == [since]


def test_a_day_is_kept_as_said() -> None:
    assert think("I moved to Oslo last Friday.")[0].text == "Ann moved to Oslo last Friday."


def test_a_turn_without_a_date_has_claims() -> None:
    turn = Turn(text="I moved to Oslo last May.", id="t1")
    assert RuleThinker().think([turn])[0].valid_from is None


def test_who_has_no_name_is_the_user() -> None:
    (claim,) = think("I live in my sister's house.", name=None)
    assert claim.text == "The user lives in the user's sister's house."
    assert (claim.head, claim.slot) == ("the user", "user | lives in")


@pytest.mark.parametrize("role", ["system", "tool"])
def test_systems_and_tools_claim_nothing(role: Role) -> None:
    assert think("I live in Oslo. Your flight is on Monday.", name=None, role=role) == []


@pytest.mark.parametrize("name", [None, "Assistant"])
def test_an_assistant_is_believed_only_of_the_user(name: str | None) -> None:
    said = "I live in a datacentre. You can try yoga. Your idea is a great one. "
    said += "Your flight is on Monday. You told me you live in Oslo."
    assert [claim.text for claim in think(said, name=name, role="assistant")] == [
        "The user's flight is on Monday.",
        "The user lives in Oslo.",
    ]


def test_an_assistant_with_a_name_is_a_person() -> None:
    assert think("I live in Oslo.", name="Bob", role="assistant")[0].head == "Bob"


def test_you_is_the_other_of_two() -> None:
    turns = [Turn(text="I met your sister in Oslo.", id="t1", name="Ann")]
    turns.append(Turn(text="Cool!", id="t2", name="Bob"))
    assert [claim.text for claim in RuleThinker().think(turns)] == ["Ann met Bob's sister in Oslo."]
    assert RuleThinker().think(turns[:1]) == []


def test_what_was_left_out_is_filled_in_from_the_same_turn() -> None:
    (claim,) = think("Can you list my stamps? I've added 17 new ones since I began again.")
    assert claim.text == "Ann has added 17 stamps since Ann began again."
    assert claim.slot == "ann | number of stamps"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("I need 300 stars. Sorry, I meant 120.", "Ann needs 120 stars."),
        ("I live in Oslo. Oops, I meant Bergen, not Oslo.", "Ann lives in Bergen."),
    ],
)
def test_what_is_taken_back_is_claimed_anew(said: str, text: str) -> None:
    old, new = think(said)
    assert (new.text, new.slot) == (text, old.slot)
    assert new.source.start > old.source.end


@pytest.mark.parametrize("said", ["I live in Oslo. I meant 120.", "Sorry, I meant Tuesday."])
def test_what_cannot_be_told_apart_is_not_taken_back(said: str) -> None:
    assert "meant" not in " ".join(claim.text for claim in think(said))
    assert len(think(said)) <= 1


def test_a_role_somebody_plays_is_not_the_user() -> None:
    assert think("Act as my doctor. I live in Oslo.", name=None) == []


def test_a_common_word_is_no_name() -> None:
    assert think("Running got started. I like running.")[0].head == "Ann"


@given(st.text(), st.sampled_from(["user", "assistant"]), st.sampled_from([None, "Ann"]))
def test_no_text_breaks_it(text: str, role: Role, name: str | None) -> None:
    try:
        turn = Turn(text=text, id="t1", role=role, name=name, said_at=NOW)
    except ValueError:
        return
    RuleThinker().think([turn])


PIECES = (
    "I I'm I've my My we you your You'd a_ 'a_' \"x\" '@x' live lives in Oslo. , and but so if all "
    "since because always never use start names function for 3 three times a week 2010 who which "
    "that ? ! - ( ) [ ] ``` is was have been going to don't no longer Mia sister favorite best of "
    "27:12 module class with end from now on avoid using import "
    "\u2019 \u201c \u0130 \u00df \U0001f600"
)


@given(st.lists(st.sampled_from([*PIECES.split(), "\n"]), min_size=1, max_size=40))
def test_every_claim_points_into_its_turn(pieces: list[str]) -> None:
    text = " ".join(["I", *pieces])
    for claim in think(text):
        assert 0 <= claim.source.start < claim.source.end <= len(text)
        assert text[claim.source.start : claim.source.end].strip()
        assert claim.text.strip()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["I ", "I, ", " and I", "I live in Oslo. ", "!", '"', "'", "[", "`", "```a", " - ", "\n", "1",
     "never use ", "start names with 'a_' ", "my favorite ", "my sister who ", "camel case ", "名",
     "I have 1 ", "from now on, ", "http://a", ">\n> ", "x" * 280 + ". "],
)  # fmt: skip
def test_a_long_turn_is_read_in_time(piece: str) -> None:
    text = "I " + (piece * (100_000 // len(piece)))
    think(text)
    think(("I " + (piece * 290)[:290].replace(".", "") + ". ") * 60)


@pytest.mark.parametrize("module", [english, frames, owned, conventions])
def test_the_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
