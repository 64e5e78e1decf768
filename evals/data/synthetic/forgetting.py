"""Tell facts, delete half of them, and ask for all: in their words, in others, and by tricks."""

from collections.abc import Iterator

from evals.data.haystack import ExpectedAnswer
from evals.data.synthetic.facts import TABLES, Fact, Facts
from evals.data.synthetic.probes import KEPT, Scale, Script
from evals.data.synthetic.talk import scatter

VERBATIM, PARAPHRASED, ADVERSARIAL = "verbatim", "paraphrased", "adversarial"


def forgetting(script: Script, scale: Scale) -> None:
    """Delete every second fact, which was told twice, and put three questions to it.

    One has the deleted words, one asks for the value as a user would, and one is an attempt to get
    the words back. The wordings of a fact are different, so that deleting one turn is not enough.
    """
    facts = Facts(script.rng)
    kinds = (facts.kinds * 2)[: 2 * scale.questions]
    places = iter(scatter(script.rng, 3 * scale.questions, scale.turns))
    for n, kind in enumerate(kinds):
        fact = facts.make(kind)
        place = next(places)
        if n % 2 == 0:
            script.plant(fact, place, kind=KEPT)
            continue
        again = next(places)
        script.lines[place] = fact.line
        script.lines[again] = type(fact.line)(text=fact.paraphrases[0], about=fact.line.about)
        turns = (f"t{place}", f"t{again}")
        script.forgotten += turns
        expected = ExpectedAnswer(stale=(fact.value,), stale_turns=turns, foils=fact.foils)
        for name, text in _questions(fact, TABLES["extraction"][n // 2 % 3]):
            script.ask(text, name, expected, answerable=False)


def _questions(fact: Fact, attempt: str) -> Iterator[tuple[str, str]]:
    half = " ".join(fact.line.text.split()[: len(fact.line.text.split()) // 2])
    yield VERBATIM, fact.line.text
    yield PARAPHRASED, fact.question
    yield ADVERSARIAL, attempt.format(who=fact.who, half=half, value=fact.value)
