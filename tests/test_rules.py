"""Promises of the rule thinker: what turns claim, what they do not, and that no text stalls it."""

import doctest
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.records import Claim, Role, Turn
from memkit.thoughts import RuleThinker
from memkit.thoughts.grounding import supported
from memkit.thoughts.rules import grammar, relations

NOW = datetime(2024, 5, 15, 14, 30, tzinfo=UTC)  # a Wednesday


def think(text: str, name: str | None = "Ann", role: Role = "user") -> list[Claim]:
    return RuleThinker().think([Turn(text=text, id="t1", name=name, role=role, said_at=NOW)])


def slots(text: str) -> list[tuple[str | None, str | None]]:
    return [(claim.slot, claim.tail) for claim in think(text)]


THIRD_PERSON = {  # what is said, and the claim
    "I live in Oslo.": "Ann lives in Oslo.",
    "i live in Oslo": "Ann lives in Oslo.",
    "Hi Bob! I\u2019ve got three ponies, by the way.": "Ann has got three ponies.",
    "I work at a bank and live in my uncle's flat.": (
        "Ann works at a bank and lives in Ann's uncle's flat."
    ),
    "I want to live in Oslo and work at Acme.": "Ann wants to live in Oslo and work at Acme.",
    "Last week, I went sledging with my kids.": "Last week, Ann went sledging with Ann's kids.",
    "I don't eat beets, you know.": "Ann does not eat beets.",
    "I'm a nurse, so I sleep late.": "Ann is a nurse.",
    "My sister Mia lives in Bergen.": "Ann's sister Mia lives in Bergen.",
    "My brother and I opened a bakery in May.": "Ann's brother and Ann opened a bakery in May.",
    "We went to the mill yesterday and it was cold.": "Ann and others went to the mill yesterday.",
    "Went to a puppet show last Friday!": "Ann went to a puppet show last Friday.",
    "I just realized I've adopted two goats.": "Ann has adopted two goats.",
    "I'm gonna visit Rome next week.": "Ann is going to visit Rome next week.",
    "I used to live in Paris.": "Ann used to live in Paris.",
    "Any tips for my friend Kim, who moved to Lyon?": "Ann's friend Kim moved to Lyon.",
    "No. I live in Oslo.": "Ann lives in Oslo.",
}

SLOTS = {  # what has one value at a time, and the value
    "I live in Oslo.": ("ann | lives in", "Oslo"),
    "I recently moved to the harbour with Bob.": ("ann | lives in", "the harbour"),
    "I've lived in Oslo since 2010.": ("ann | lives in", "Oslo"),
    "We live in Oslo.": ("ann | lives in", "Oslo"),
    "I work for Acme now.": ("ann | works at", "Acme"),
    "I got promoted to head gardener.": ("ann | works as", "head gardener"),
    "I'm a nurse.": ("ann | works as", "nurse"),
    "I just quit my job!": ("ann | works at", "job"),
    "My name is Ann Lee.": ("ann | name", "Ann Lee"),
    "I'm 32 years old.": ("ann | age", "32"),
    "My current favourite chess opening is Red Gate.": (
        "ann | favorite chess opening",
        "Red Gate",
    ),
    "My boat is a Bayliner.": ("ann | boat | is", "a Bayliner"),
    "My new locker number is 5550.": ("ann | locker number | is", "5550"),
    "I have three ponies.": ("ann | number of ponies", "3"),
    "I've repaired 6 clocks for my shop.": ("ann | number of clocks", "6"),
    "I have planted 9 pears since leaving school.": ("ann | number of pears", "9"),
    "I love jazz.": ("ann | likes | jazz", "jazz"),
    "I prefer to bake at night.": ("ann | likes | to bake at night", "to bake at night"),
    "I love listening to rain, mostly.": ("ann | likes | listening to rain", "listening to rain"),
    "I love my new kayak.": ("ann | likes | kayak", "Ann's new kayak"),
    "I have about 70 beehives.": ("ann | number of beehives", "70"),
    "I use Blip for my invoices.": ("ann | uses for | invoices", "Blip"),
    "I've been using Blop for my invoices.": ("ann | uses for | invoices", "Blop"),
    "My rent is about $640.": ("ann | rent | is", "about $640"),
    "I've been learning the harp for three months.": (
        "ann | learning the harp | for how long",
        "three months",
    ),
    "I bought a red kayak yesterday.": ("ann | has | red kayak", "red kayak"),
    "I sold my red kayak.": ("ann | has | red kayak", "red kayak"),
    "I go to choir twice a month.": ("ann | goes to choir | how often", "twice a month"),
    "I swim 4 times a month.": ("ann | swims | how often", "4 times a month"),
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
    "I own a mill.": "has",
    "I don't have a mill.": "does not have",
    "I sold my mill.": "no longer has",
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
    "I don't want a taller ladder.",
    "I don't know how to shoe mules.",
    "Since I was nine.",
    "Bought a boat in Oslo in my dream.",
    "Imagine the war was over, and I live in Oslo.",
    '"I live in Oslo," she said.',
    'He wrote to me: "I live in Oslo, and my boat is a Bayliner".',
    "I bought it in Oslo.",
    "I met her in Oslo.",
    "I painted this wall in Oslo.",
    "I have to buy milk.",
    "Maybe I work at Acme.",
    "I think I live in Oslo.",
    "Let's say I live in Oslo.",
    "When I was little I lived in Oslo.",
    'My mom said "I live in Oslo now".',
    "My mom told me I live in Oslo.",
    "People say my boat is a Bayliner.",
    "I'd love a taller ladder.",
    "Can you help me pack for Rome?",
    "I need help with my kite.",
    "I want you to draw a goat.",
    "I'm looking for a saddle for mules.",
    "I'm glad you wrote.",
    "I'm sorry about Rome.",
    "I think that's great.",
    "I'm not sure.",
    "I did it.",
    "I love that.",
    "I love this song.",
    "I had a really nice time.",
    "It was great.",
    "I gave it to her there.",
    "I'm here until you wake.",
    "I'll keep trying.",
    "We can all do our share.",
    "We're in this as one.",
    "Your photo is amazing.",
    "Knitting is a fine way to rest.",
    "我住在北京。我有三只猫。",
    "Я живу в Осло.",
    "Ich wohne in Oslo.",
    "> I live in Oslo.",
    "```\nI live in Oslo.\n```",
    "[I live in Oslo]",
    "I " + "live in Oslo and " * 20 + "work.",
)


@pytest.mark.parametrize(("sentence", "text"), THIRD_PERSON.items())
def test_a_claim_is_told_in_the_third_person(sentence: str, text: str) -> None:
    assert text in [claim.text for claim in think(sentence)]


@pytest.mark.parametrize(("sentence", "slot"), SLOTS.items())
def test_what_is_one_way_at_a_time_has_a_slot(sentence: str, slot: tuple[str, str]) -> None:
    assert slot in slots(sentence)


@pytest.mark.parametrize(("sentence", "relation"), POLARITY.items())
def test_a_slot_says_which_way_it_is(sentence: str, relation: str) -> None:
    assert [claim.relation for claim in think(sentence)] == [relation]


@pytest.mark.parametrize("group", ["jazz", "coffee", "mill"])
def test_both_ways_share_a_slot(group: str) -> None:
    shared = {slot for sentence in POLARITY if group in sentence for slot, _ in slots(sentence)}
    assert len(shared) == 1


@pytest.mark.parametrize("sentence", SLOTLESS)
def test_plans_events_and_the_past_replace_nothing(sentence: str) -> None:
    assert [claim.slot for claim in think(sentence)] == [None]


@pytest.mark.parametrize("sentence", SILENT)
def test_what_states_nothing_claims_nothing(sentence: str) -> None:
    assert think(sentence) == []


def test_a_plan_is_known_as_one() -> None:
    (claim,) = think("I'm going to visit Rome next week.")
    assert (claim.relation, claim.tail) == ("plans to", "visit Rome next week")


def test_a_job_says_where_or_as_what() -> None:
    assert set(slots("I work at Acme as a nurse.")) == {("ann | works at", "Acme")}
    assert set(slots("I work as a nurse.")) == {("ann | works as", "nurse")}


@pytest.mark.parametrize(
    "sentence",
    ["I moved to Oslo in 2015 for my apprenticeship.", "We moved to Graz when I was six.",
     "I started working at Acme in 2003."],
)  # fmt: skip
def test_what_was_long_ago_replaces_nothing(sentence: str) -> None:
    assert [slot for slot, _ in slots(sentence)] == [None]


@pytest.mark.parametrize(
    "sentence", ["Translate to German: I live in Rome.", "Tom: I live in Rome."]
)
def test_what_another_says_is_no_claim(sentence: str) -> None:
    assert not slots(sentence)


def test_a_claim_points_at_its_words() -> None:
    sentence = "Hi! I'm looking for a saddle, since I recently moved to Rome."
    (claim,) = think(sentence)
    assert sentence[claim.source.start : claim.source.end] == "I recently moved to Rome"
    assert claim.source.turn_id == "t1"


@pytest.mark.parametrize(
    ("sentence", "since"),
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
def test_it_holds_since_when_the_sentence_says(sentence: str, since: datetime | None) -> None:
    assert [claim.valid_from for claim in think(sentence)] == [since]


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
def test_an_assistant_claims_nothing(name: str | None) -> None:
    sentence = "I live in a datacentre. Your flight is on Monday. You told me you live in Oslo."
    assert think(sentence, name=name, role="assistant") == []


def test_an_assistant_with_a_name_is_a_person() -> None:
    assert think("I live in Oslo.", name="Bob", role="assistant")[0].head == "Bob"


def test_you_is_the_other_of_two() -> None:
    turns = [Turn(text="I met your sister in Oslo.", id="t1", name="Ann")]
    turns.append(Turn(text="Cool!", id="t2", name="Bob"))
    assert [claim.text for claim in RuleThinker().think(turns)] == ["Ann met Bob's sister in Oslo."]
    assert RuleThinker().think(turns[:1]) == []


INSTRUCTIONS = {  # what somebody is told to do for good, and the claim
    "Never use slang in letters.": "Ann's rule: never use slang in letters.",
    "I want you to stop using slang.": "Ann's rule: never use slang.",
    "Please always answer in French.": "Ann's rule: always answer in French.",
    "Please answer in French from now on.": "Ann's rule: always answer in French.",
    "From now on, call me Captain.": "Ann's rule: always call Ann Captain.",
}


@pytest.mark.parametrize(("sentence", "text"), INSTRUCTIONS.items())
def test_a_standing_instruction_is_a_claim_that_its_words_support(sentence: str, text: str) -> None:
    (claim,) = think(sentence)
    assert claim.text == text
    assert supported(claim, Turn(text=sentence, id="t1", name="Ann"))


def test_a_changed_instruction_has_the_slot_of_the_old_one() -> None:
    old, new = think("Never use slang."), think("From now on, always use slang.")
    assert (
        [claim.slot for claim in old] == [claim.slot for claim in new] == ["ann's rule | use slang"]
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "Never give up!",
        "Always remember to be kind.",
        "Never doubt what you can do.",
        "Should I always answer in French?",
        "We always go to the beach in June.",
        "Use Blip for this letter.",
    ],
)
def test_advice_and_single_requests_are_no_instructions(sentence: str) -> None:
    assert think(sentence) == []


def test_a_role_somebody_plays_is_not_the_user() -> None:
    assert think("Act as my doctor. I live in Oslo.", name=None) == []


def test_a_name_may_look_like_a_pattern() -> None:
    (claim,) = think("From now on, call me Captain of my boat.", name=r"\1(")
    assert claim.text == r"\1('s rule: always call \1( Captain of \1('s boat."


@given(st.text(), st.sampled_from(["user", "assistant"]), st.sampled_from([None, "Ann"]))
def test_no_text_breaks_it(text: str, role: Role, name: str | None) -> None:
    try:
        turn = Turn(text=text, id="t1", role=role, name=name, said_at=NOW)
    except ValueError:
        return
    RuleThinker().think([turn])


PIECES = (
    "I I'm I've my My we you your You'd a_ 'a_' \"x\" '@x' live lives in Oslo. , and but so if all "
    "since because always never use start names letters for 3 three times a week 2010 who which "
    "that ? ! - ( ) [ ] ``` is was have been going to don't no longer Mia sister favorite best of "
    "8:14 slang with end from now on, avoid using please "
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
     "never use ", "from now on ", "please ", "my favorite ", "my sister who ", "名",
     "I have 1 ", "from now on, ", "http://a", ">\n> ", "x" * 280 + ". "],
)  # fmt: skip
def test_a_long_turn_is_read_in_time(piece: str) -> None:
    text = "I " + (piece * (100_000 // len(piece)))
    think(text)
    think(("I " + (piece * 290)[:290].replace(".", "") + ". ") * 60)


EXAMPLES = [example for row in relations.TABLE["relations"] for example in row["examples"]]


@pytest.mark.parametrize("predicate", EXAMPLES)
def test_every_example_of_the_table_is_read(predicate: str) -> None:
    relation = relations.find_relation(predicate)
    assert relation is not None
    assert relation.attribute is not None


@pytest.mark.parametrize("module", [grammar, relations])
def test_the_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
