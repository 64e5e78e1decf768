"""Which standing rules turns set, what is none, and that a changed one lands in its old slot."""

import pytest

from memkit.records import Claim, Turn
from memkit.thoughts.grounding import supported
from memkit.thoughts.rules.english import People
from memkit.thoughts.rules.instructions import instructions
from memkit.thoughts.rules.sentences import Sentence
from memkit.thoughts.rules.thinker import RuleThinker


def rules(text: str, name: str = "Yui") -> list[Claim]:
    claims = RuleThinker().think([Turn(text=text, id="t1", name=name)])
    return [claim for claim in claims if "'s rule: " in claim.text]


SET = {  # what is said, and the rule and value that come of it
    "End all attribute names with '_k'.": ("attribute names", "end with", "'_k'"),
    "I want you to start all your method names with 'm_'.": ("method names", "start with", "'m_'"),
    "When naming variables, always begin the name with 'v_'.": (
        "variable names",
        "start with",
        "'v_'",
    ),
    "Names of functions should end with '_f' from now on.": ("function names", "end with", "'_f'"),
    "Going forward, please use 'p_' as a prefix for argument names.": (
        "function argument names",
        "start with",
        "'p_'",
    ),
    "Always include 'zed' in class names.": ("class names", "include", "'zed'"),
    "We always use PascalCase for class names.": ("class names", "use", "PascalCase"),
    "I'd like you to include a single digit in your function names.": (
        "function names",
        "include",
        "a single digit",
    ),
    "Add the '@cached' decorator to all your functions.": (
        "the '@cached' decorator",
        "always add",
        "to functions",
    ),
    "Always import the 'json' module.": ("'json'", "always import", "'json'"),
    "From now on, write docstrings in all your methods.": (
        "docstrings",
        "always use",
        "in methods",
    ),
    "Never add comments to your code.": ("comments", "never use", "in code"),
    "Instead of 'a_', start function names with 'b_'.": ("function names", "start with", "'b_'"),
    "Never use a VPN when working remotely.": ("VPN", "never use", "a VPN when working remotely"),
    "I want you to stop using notebooks.": ("notebooks", "never use", "notebooks"),
    "Please always answer in French.": ("in French", "always answer", "in French"),
    "I'd like you to use Nano as your preferred editor.": (
        "preferred editor",
        "always use",
        "Nano",
    ),
    "From now on, call me Captain.": ("Yui", "always call", "Yui Captain"),
    "Remember to take a short walk every 40 minutes.": ("walk", "always take", "every 40 minutes"),
    "Let's use Kea as our main mail client.": ("main mail client", "always use", "Kea"),
    "It's time to change our main editor to Pico.": ("main editor", "always use", "Pico"),
    "We're adopting as our main editor going forward - Pico.": (
        "main editor",
        "always use",
        "Pico",
    ),
    "As for the mail client, please switch to Kea.": ("mail client", "always use", "Kea"),
}

REVISED = (  # a rule, and what replaces it
    ("Start function names with 'a_'.", "From now on, start all function names with 'b_'."),
    ("End the names of methods with '_x'.", "I'd like you to end your method names with '_y'."),
    ("Always use CamelCase for class names.", "Class names should be in snake_case from now on."),
    ("Always use Nano as your main editor.", "I want you to use Pico as your preferred editor."),
    ("Never use a linter.", "Going forward, I need you to always use linters."),
    ("I want you to avoid using a debugger.", "Always use a debugger."),
    ("From now on, call me Captain.", "From now on, call me Yuyu."),
    ("Always use Emu for mail.", "From now on, use Kea for mail."),
    ("Remember to take a walk every 40 minutes.", "From now on, take a short walk every 2 hours."),
    ("From now on, take 15-minute breaks.", "I want you to always take 20-minute breaks."),
    (
        "I'd like you to start using Pico as your preferred text editor (TE).",
        "We've decided to standardize on Nano as our main TE.",
    ),
    (
        "I'd like us to use Emu for our team chats and calls.",
        "We've been using Emu for our chats, but I want us to switch to Kea.",
    ),
    (
        "I want you to use Emu as your primary tool for mail.",
        "It would be best if we standardized on Kea for mail.",
    ),
)

APART = (
    ("Start function names with 'a_'.", "End function names with '_a'."),
    ("Start function names with 'a_'.", "Start method names with 'a_'."),
    ("Never use a linter.", "Never use a debugger."),
    ("Use Emu for mail from now on.", "From now on, use Kea for calls."),
    ("Take a walk every 2 hours.", "Take a nap every 2 hours."),
)

NO_RULE = (
    "Add a docstring to this function.",
    "Could you always start function names with 'a_'?",
    "Could you start the name with 'a_'?",
    "Got it, I'll start all function names with 'a_'.",
    "I always start my function names with 'a_'.",
    "Never give up!",
    "Always remember to be kind.",
    "Don't hesitate to ask.",
    "We always go to the beach in summer.",
    "We're always learning new ways to work.",
    "Thanks for the tip about the '@cached' decorator.",
    "It's vitally important that you see the 'how' behind our habits.",
    "We meet every two weeks.",
    "I make sure to take a walk every day.",
    "Work every day is hard.",
    "Please use Emu for this letter.",
    "I want you to use Emu for the letter.",
    "I want to use Emu as my main mail client.",
    "We'll be using Emu for our trip.",
    "We had to change our main editor to Pico.",
    "I'd like to hear how you are using Emu for your calls.",
    "By relying on the office network, we avoid the risks of using a VPN.",
)


@pytest.mark.parametrize(("said", "rule"), SET.items())
def test_a_rule_says_what_is_ruled_and_how(said: str, rule: tuple[str, str, str]) -> None:
    assert [(one.head, one.relation, one.tail) for one in rules(said)] == [rule]


@pytest.mark.parametrize(("old", "new"), REVISED)
def test_a_revised_rule_lands_in_the_slot_of_the_old(old: str, new: str) -> None:
    assert [one.slot for one in rules(old)] == [one.slot for one in rules(new)] != []


@pytest.mark.parametrize(("one", "other"), APART)
def test_rules_of_other_things_have_other_slots(one: str, other: str) -> None:
    assert rules(one)[0].slot != rules(other)[0].slot


@pytest.mark.parametrize("said", NO_RULE)
def test_what_is_asked_once_or_agreed_to_is_no_rule(said: str) -> None:
    assert rules(said) == []


def test_a_rule_is_told_as_its_speakers() -> None:
    (one,) = rules("Now, end attribute names with '_k'.")
    assert one.text == "Yui's rule: always end attribute names with '_k'."
    assert one.slot == "yui's rule | attribute names | end with"


SAID = {  # a rule is told in the verb that was said, so that the turn supports it
    "Prefix all function names with 'y_'.": "Yui's rule: always prefix function names with 'y_'.",
    "Suffix method names with '_y'.": "Yui's rule: always suffix method names with '_y'.",
    "Append '_y' to all method names.": "Yui's rule: always append '_y' to method names.",
    "Always add comments to your code.": "Yui's rule: always add comments in code.",
    "I'd like you to utilize Kea for all mail.": "Yui's rule: always utilize Kea for all mail.",
    "Make sure you're taking a nap every 9 hours.": "Yui's rule: always take a nap every 9 hours.",
}


@pytest.mark.parametrize(("said", "told"), SAID.items())
def test_a_rule_is_told_in_the_verb_that_was_said(said: str, told: str) -> None:
    (one,) = rules(said)
    assert one.text == told
    assert supported(one, Turn(text=said, id="t1", name="Yui"))


def test_prefixing_and_starting_are_one_slot() -> None:
    old, new = (rules(f"{verb} all method names with 'y_'.") for verb in ("Prefix", "Start"))
    assert old[0].slot == new[0].slot == "yui's rule | method names | start with"


def test_a_prefix_is_of_the_kind_it_is_said_of() -> None:
    before = "Let us talk about function names. "
    (one,) = rules(f"{before}As for the 'v_' variable prefix, always start with it.")
    assert one.head == "variable names"


def test_a_long_sentence_is_read_to_its_end() -> None:
    for piece in ("using Abc for our ", "use A for our b, but I'd like ", "take a b "):
        text = piece * 5_000
        # a pattern that backtracks for ever meets the test's time limit
        instructions(Sentence(text=text, start=0), "", People(speaker="Yui"), "t1")


def test_one_sentence_may_set_two() -> None:
    said = "Please end method names with '_m' and function names with '_f'."
    assert [(one.head, one.tail) for one in rules(said)] == [
        ("function names", "'_f'"),
        ("method names", "'_m'"),
    ]


def test_them_is_what_the_turn_spoke_of() -> None:
    (one,) = rules("Let us talk about method names. Always start them with 'm_'.")
    assert one.head == "method names"


def test_an_example_is_no_value() -> None:
    (one,) = rules("Start variable names with 'v_', as in 'v_total'.")
    assert one.tail == "'v_'"


def test_who_repeats_a_rule_sets_none() -> None:
    turns = [Turn(text="Start function names with 'a_'.", id="t1", name="Yui")]
    turns.append(Turn(text="So function names start with 'a_'.", id="t2", name="Bo"))
    assert [claim.source.turn_id for claim in RuleThinker().think(turns)] == ["t1"]
