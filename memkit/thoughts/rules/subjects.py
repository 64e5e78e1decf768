"""Whom a clause is about, and what it says of them: its subject and its predicate."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from memkit.thoughts.rules.english import THIRDS, People, is_past, retell, third
from memkit.thoughts.rules.lexicon import ADVERBS, BASE, NEUTRAL, NOT_NAMES
from memkit.thoughts.rules.sentences import Clause, Sentence, trimmed

_FINITE = frozenset(
    ["is", "are", "was", "were", "has", "have", "had", "does", "did", "will", "can", "goes"]
)
_MOST_NOUNS = 5  # words of "my favourite hot sauce brand"
_NOT_IN_SUBJECT = frozenset(
    [
        "that",
        "which",
        "who",
        "i",
        "you",
        "he",
        "she",
        "it",
        "they",
        "we",
        "and",
        "to",
        "of",
        "for",
        "in",
        "at",
        "with",
        "on",
        "if",
        "when",
        "as",
    ]
)
_DROPPED = re.compile(
    r"\b(?:just|recently|finally|now|currently|still|also|actually|really|already|officially|"
    r"absolutely|totally|definitely|always|ever|successfully|even|proudly|literally|mainly) "
)
_PERSON_VERBS = (
    "lives|works|moved|got|started|quit|bought|adopted|graduated|turned|plays|studies|teaches|"
    "married|won|owns|loves|likes|hates|enjoys|is moving|is getting|is working|has moved|"
    "has started"
)
_NAMED = re.compile(
    r"(?P<head>[A-Z][a-z]+(?: [A-Z][a-z]+)?) (?P<predicate>(?:(?:just|recently|finally|now|"
    r"also) )?"
    rf"(?:{_PERSON_VERBS}) .+)"
)


# of all that an assistant says of the user's things, what is no praise
_PLAIN_VALUE = re.compile(r"(?:is|are) (?:(?:on|at|in|for|named|called) )?(?:[A-Z]|\d)")
# "I adopted this cute puppy": one that was not spoken of before
_SOME = re.compile(
    r"\bthis (?=(?:really |super |so )?(?:cute|amazing|great|awesome|cool|lovely|beautiful|"
    r"nice|huge|"
    r"new|little|big|crazy|fun|local|funny|old|tiny|gorgeous|fantastic|wonderful) )"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A clause in the third person, taken apart."""

    head: str  # "Ann", "Ann's sister Mia"
    predicate: str  # "recently moved to Oslo"
    thing: tuple[str, str] | None = None  # ("Ann", "sister Mia"): whose, and what

    together: str = ""  # of "we" and "Bob and I": who says so

    @property
    def text(self) -> str:
        """Return the whole sentence, without its full stop."""
        return f"{self.head} {self.predicate}"

    @property
    def bare(self) -> str:
        """Return the predicate without the adverbs that say nothing of what is so."""
        words = self.predicate.split()
        while len(words) > 1 and words[0].lower() in NEUTRAL:
            words = words[1:]
        if words[0] == "does" and words[1:2] and words[1] in BASE:
            words[:2] = [third(words[1])]
        if self.together and words:
            words[0] = third(words[0]) if words[0] in BASE or words[0] == "are" else words[0]
        return _DROPPED.sub("", " ".join(words))


def stated(clause: Clause, people: People, *, serves: bool) -> Statement | None:
    """Return what a clause states, or None if it states nothing that can be told.

    `serves`: an assistant says it, who is believed only in what it says of the user.
    """
    text = clause.text
    if clause.implied:
        text = f"{clause.implied} {text[0].lower()}{text[1:]}"
    subject = text.split("'")[0].split()[0].lower()
    yours = subject in {"you", "your"}
    if people.other:
        text = text.removesuffix(f", {people.other}")
    told = retell(_SOME.sub(_article, text), people) if yours == serves else None
    if told is None or (subject == "you" and not clause.told):
        return None
    if clause.joint:
        return _of_both(told, people.speaker)
    if subject in {"my", "our", "your"}:
        one = _of_thing(told, people.other if yours else people.speaker)
        return one if one and (not serves or _PLAIN_VALUE.match(one.predicate)) else None
    return _of_person(told, subject, people)


def _article(match: re.Match[str]) -> str:
    return "an " if match.string[match.end()] in "aeiou" else "a "


def _of_both(told: str, speaker: str) -> Statement | None:
    """Return what is said of "my sister and I"."""
    before, _, predicate = told.partition(f" and {speaker} ")
    if not predicate:
        return None
    return Statement(head=f"{before} and {speaker}", predicate=predicate, together=speaker)


def _of_person(told: str, subject: str, people: People) -> Statement | None:
    """Return what is said of "I", "we" or "you"."""
    together = people.speaker if subject == "we" else ""
    head = people.other if subject == "you" else people.speaker
    head = f"{together} and others" if together else head
    if not head or not told.startswith(f"{head} "):
        return None
    predicate = told[len(head) + 1 :]
    if together:
        predicate = re.sub(r"^(?:all|both|even) ", "", predicate)
    return Statement(head=head, predicate=predicate, together=together)


def _of_thing(told: str, owner: str | None) -> Statement | None:
    """Return what is said of someone's sister, car or favourite."""
    if owner is None or not told.startswith(f"{owner}'s "):
        return None
    words = told[len(owner) + 3 :].split()
    verb = _verb(words)
    if verb is None:
        return None
    while verb > 1 and words[verb - 1].lower() in ADVERBS:
        verb -= 1
    thing = " ".join(words[:verb]).strip(",")
    return Statement(
        head=f"{owner}'s {thing}", predicate=" ".join(words[verb:]), thing=(owner, thing)
    )


def _verb(words: list[str]) -> int | None:
    """Return where the verb is in "car broke down", or None if it is not near."""
    for n, word in enumerate(words[: _MOST_NOUNS + 1]):
        low = word.lower().strip(",")
        after = words[n + 1].lower() if n + 1 < len(words) else ""
        named = low in THIRDS and after and after not in _FINITE and not is_past(after)
        if n and (low in _FINITE or named or is_past(low)):
            return n
        if low in _NOT_IN_SUBJECT or word.endswith(","):
            return None
    return None


def third_person(sentence: Sentence, text: str) -> Iterator[tuple[Clause, Statement]]:
    """Yield what a sentence says of someone whose name it begins with."""
    match = None if sentence.asks else _NAMED.match(sentence.text)
    if match is None:
        return
    names = match["head"].split()
    if any(name.lower() in NOT_NAMES or name.endswith("ing") for name in names):
        return
    if any(re.search(rf"(?<![\w']){name.lower()}(?![\w'])", text) for name in names):
        return
    predicate = trimmed(match["predicate"])
    if re.search(r"\b(?:I|me|my|we|our|you|your)\b", predicate):
        return
    end = sentence.start + match.start("predicate") + len(predicate)
    clause = Clause(text=sentence.text, start=sentence.start, end=end)
    yield clause, Statement(head=match["head"], predicate=predicate)
