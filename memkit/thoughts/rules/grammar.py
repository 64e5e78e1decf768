"""English as far as the rules need it: word tables, verb forms and the third person.

There is no parser. A word is a verb if a table lists it, or if it follows "I". The tables are in
`english.toml`, and most regular expressions in `patterns.toml`.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memkit.text.words import wordset


def load_table(name: str) -> dict[str, Any]:
    """Return a TOML file of this folder."""
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


# regular expressions by name, without the line breaks of the file
PATTERNS = {
    name: re.compile(pattern.replace("\n", ""))
    for name, pattern in load_table("patterns.toml").items()
}
_TEXTS: dict[str, str] = load_table("english.toml")
WORDS = {name: wordset(text) for name, text in _TEXTS.items()}
ADVERBS, MENTAL_VERBS = WORDS["adverbs"], WORDS["mental_verbs"]
KIN, VAGUE, TIME_WORDS = WORDS["kin"], WORDS["vague"], WORDS["time_words"]
EMPTY_STATES, PROFESSIONS, EVENTS = WORDS["empty_states"], WORDS["professions"], WORDS["events"]
# adverbs that can be left out without changing what is stated
NEUTRAL_ADVERBS = ADVERBS - wordset(
    "not never barely hardly rarely sometimes occasionally once only previously"
)
_MODALS = wordset("would could should might may must shall can cannot can't will won't ought")
# base form, past tense and past participle of each irregular verb
_IRREGULAR = [row.split() for row in _TEXTS["irregular_verbs"].split(",")]
BASE_FORMS = WORDS["regular_verbs"] | {base for base, _, _ in _IRREGULAR}
_PAST = frozenset(past for _, past, _ in _IRREGULAR)
_PARTICIPLES = frozenset(participle for _, _, participle in _IRREGULAR) | {"got"}
_NOT_PAST = wordset("need feed speed succeed proceed exceed bleed breed embed")  # end in "ed"

# ---- verb forms

_THIRD_PERSON = {
    "be": "is", "am": "is", "are": "is", "have": "has", "do": "does", "go": "goes",
    "don't": "does not", "haven't": "has not", "aren't": "is not", "ain't": "is not",
    "were": "was", "weren't": "was not", "didn't": "did not", "wasn't": "was not",
}  # fmt: skip
_AUXILIARIES = wordset("was had hadn't did")  # the same in the first and third person


def third_person(verb: str) -> str:
    """Return the form of a verb that follows "she".

    >>> [third_person(verb) for verb in ("live", "have", "study", "play", "watch")]
    ['lives', 'has', 'studies', 'plays', 'watches']
    """
    if verb in _THIRD_PERSON:
        return _THIRD_PERSON[verb]
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


BASE_BY_THIRD_PERSON = {third_person(verb): verb for verb in BASE_FORMS}


def is_past(word: str) -> bool:
    """Return whether a word can be a verb in the past: by a table, or by its "-ed".

    >>> is_past("moved"), is_past("went"), is_past("need")
    (True, True, False)
    """
    return word in _PAST or (word.endswith("ed") and len(word) > 3 and word not in _NOT_PAST)


def is_participle(word: str) -> bool:
    """Return whether a word can follow "has"."""
    return word in _PARTICIPLES or (word.endswith("ed") and word not in _NOT_PAST)


def base_of_gerund(gerund: str) -> str | None:
    """Return the verb of an "-ing" form, or None if no table lists it.

    >>> [base_of_gerund(word) for word in ("smoking", "running", "playing", "morning")]
    ['smoke', 'run', 'play', None]
    """
    stem = gerund.removesuffix("ing")
    if stem == gerund:
        return None
    undoubled = stem[:-1] if stem[-2:-1] == stem[-1:] else stem
    return next((base for base in (stem, stem + "e", undoubled) if base in BASE_FORMS), None)


def _conjugate(verb: str) -> str | None:
    """Return a verb after "I" as it follows a name, or None if the verb is unknown."""
    if verb in _THIRD_PERSON:
        return _THIRD_PERSON[verb]
    if verb in _MODALS or verb in _AUXILIARIES or is_past(verb):  # "read" and "put" are past
        return verb
    return third_person(verb) if verb in BASE_FORMS else None


# ---- the third person

_POSSESSIVES = frozenset(("my", "mine", "your", "yours", "our", "ours"))
_REFLEXIVES = {"myself": "themself", "yourself": "themself", "ourselves": "themselves"}
_PLURAL_CONTRACTIONS = {"'re": "are", "'ve": "have", "'ll": "will", "'m": "are"}
_CONTRACTIONS = {"'m": "is", "'re": "is", "'ve": "has", "'ll": "will"}
_PRONOUNS = _POSSESSIVES | wordset("i me myself we us ourselves you yourself yourselves")
# words with inner apostrophes and hyphens, white space, and every other character alone
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|\s+|.", re.DOTALL)
# what follows a second verb: "lives and works at"; a noun is followed by other words
_COMPLEMENTS = wordset(
    "a an the my to at in for with as on it them there about every from him her out up"
)
_BEFORE_OBJECT = wordset("with to from for at of")  # "with you": no subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """Whom "I" and "you" mean in a turn; `listener` is None where that is unknown."""

    speaker: str
    listener: str | None = None


def to_third_person(clause: str, participants: Participants) -> str | None:
    """Return a clause that begins with "I", "we" or "my" in the third person, or None.

    None means that a word cannot be converted: an unknown verb, or a "you" without a listener.

    >>> to_third_person("I live in Oslo and work at my uncle's", Participants(speaker="Ann"))
    "Ann lives in Oslo and works at Ann's uncle's"
    >>> to_third_person("I've met your sister", Participants(speaker="Ann", listener="Bob"))
    "Ann has met Bob's sister"
    """
    clause = clause.replace(" gonna ", " going to ").replace(" wanna ", " want to ")
    return _Conversion(clause, participants).run()


class _Conversion:
    """The state of converting one clause to the third person, token by token."""

    def __init__(self, clause: str, participants: Participants) -> None:
        self._tokens = [token if token.strip() else " " for token in _TOKEN.findall(clause)]
        self._participants = participants
        self._joint_subject = bool(re.match(r"[\w' ]+ and I ", clause))  # "my sister and I "
        self._plural = self._joint_subject or bool(re.match(r"we\b", clause, re.IGNORECASE))
        self._expects_verb = False  # an "I" waits for its verb
        self._present = False  # the last verb took an "-s"
        self._failed = False

    def run(self) -> str | None:
        text = "".join(self._token(n, token) for n, token in enumerate(self._tokens))
        failed = self._failed or self._expects_verb
        return None if failed else re.sub(r" {2,}", " ", text).strip()

    def _token(self, n: int, token: str) -> str:
        low = token.lower()
        pronoun, contraction = _split_pronoun(low)
        if pronoun:
            return self._pronoun(n, pronoun, contraction)
        if not token[0].isalpha():
            return token
        if self._expects_verb:
            return self._verb(token)
        if self._present and self._is_coordinated(n, low):
            return third_person(low)
        if low == "to" or low in _MODALS:
            self._present = False  # "wants to stay and work": an infinitive
        return token

    def _pronoun(self, n: int, pronoun: str, contraction: str) -> str:
        name = self._referent(pronoun)
        is_object = n > 1 and self._tokens[n - 2].lower() in _BEFORE_OBJECT
        unclear = pronoun == "you" and not is_object
        if name is None or contraction == "'d" or unclear:  # "I'd": "had" or "would"
            self._failed = True
            return ""
        if pronoun in _POSSESSIVES:
            return "their" if pronoun == "our" and self._plural else f"{name}'s"
        if pronoun in _REFLEXIVES:
            return _REFLEXIVES[pronoun]
        if pronoun == "we":
            return f"{name} {_PLURAL_CONTRACTIONS[contraction]}" if contraction else name
        if pronoun == "i":
            self._expects_verb, self._present = not contraction, contraction in {"'m", "'ve"}
        return f"{name} {_CONTRACTIONS[contraction]}" if contraction else name

    def _referent(self, pronoun: str) -> str | None:
        if pronoun.startswith("you"):
            return self._participants.listener
        if pronoun in {"we", "us", "ourselves"}:
            return f"{self._participants.speaker} and others"
        return self._participants.speaker

    def _verb(self, token: str) -> str:
        low = token.lower()
        if self._joint_subject:
            self._joint_subject = self._expects_verb = False
            return token
        if low in ADVERBS or low in {"and", "no", "longer"}:
            return "" if low in WORDS["emphatic_adverbs"] else token
        self._expects_verb = False
        verb = _conjugate(low)
        if verb is None:
            self._failed = True
            return ""
        self._present = low in BASE_FORMS and verb != low
        return verb

    def _is_coordinated(self, n: int, low: str) -> bool:
        """Return whether a word is the second verb of "lives and works at"."""
        if low not in BASE_FORMS or n < 2 or n + 2 >= len(self._tokens):
            return False
        joined = self._tokens[n - 2].lower() in {"and", "or", "but", "then"}
        return joined and self._tokens[n + 2].lower() in _COMPLEMENTS


def _split_pronoun(low: str) -> tuple[str, str]:
    """Return the pronoun and the contraction of a word such as "i've", or two empty strings."""
    word, apostrophe, ending = low.partition("'")
    if word not in _PRONOUNS:
        return "", ""
    contraction = apostrophe + ending
    if contraction and (
        contraction not in {*_CONTRACTIONS, "'d"} or word not in {"i", "we", "you"}
    ):
        return "", ""
    return word, contraction
