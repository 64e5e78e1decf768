"""Split a turn into sentences, clauses, and statements with a subject and a predicate.

Only clauses that state a fact become statements. Questions, conditions, wishes, quotations and code
are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from memkit.text.words import sentences, wordset
from memkit.thoughts.rules.grammar import (
    ADVERBS,
    BASE_BY_THIRD_PERSON,
    BASE_FORMS,
    KIN,
    NEUTRAL_ADVERBS,
    PATTERNS,
    Participants,
    is_past,
    third_person,
    to_third_person,
)

# ---- sentences

_LONGEST_SENTENCE = 300  # characters; people say no longer ones, and lists are no sentences
_MARKS_AROUND = ' \t\n\r-*\u2022~#"'  # bullets, emphasis and quotes around a sentence

_PLAIN_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})
_LOWER_I = re.compile(r"(?<![\w.'/-])i(?=(?:'(?:m|ve|d|ll))?[ ,])")  # "i live", "i'm", not "i.e."
# code fences, "[bracketed notes]", links, "> quoted lines" and emoji
_NO_PROSE = re.compile(
    r"```[^`]{0,4000}(?:```|\Z)|\[[^\[\]\n]{0,600}\]|https?://\S{1,300}|"
    r"(?m:^[ \t]{0,3}>[^\n]*$)|[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F]"
)
# a quotation with a first or second person, who need not be the speaker: "I live in Oslo"
_QUOTATION = re.compile(
    r"\"(?=[^\"]{0,300}\b(?:I|I'm|I've|[Yy]ou|[Ww]e|[Mm]y|[Yy]our)\b)[^\"]{1,600}\""
)
_FINAL_STOP = re.compile(r"(?<![.!?])[.!?]++[\"')]*+\Z")  # '?"' at the end of a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence without its full stop, and its offset in the turn."""

    text: str
    start: int
    is_question: bool = False


def normalise(text: str) -> str:
    """Return a text of the same length with plain quotes, a capital "I", and only its prose.

    Code, links and quotations become spaces, so that offsets stay.
    """
    text = text.translate(_PLAIN_QUOTES)
    most = 0.9 * len(text)  # a text that is all in quotes is no quotation

    def blank(match: re.Match[str]) -> str:
        return " " * len(match[0])

    text = _QUOTATION.sub(lambda match: blank(match) if len(match[0]) < most else match[0], text)
    return _LOWER_I.sub("I", _NO_PROSE.sub(blank, text))


def split_sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a normalised text, without those that are too long."""
    for start, end in sentences(text):
        body = text[start:end]
        stop = _FINAL_STOP.search(body)
        body = body[: stop.start()] if stop else body
        indent = len(body) - len(body.lstrip(_MARKS_AROUND))
        body = body.strip(_MARKS_AROUND)
        if 0 < len(body) <= _LONGEST_SENTENCE:
            is_question = stop is not None and "?" in stop[0]
            yield Sentence(text=body, start=start + indent, is_question=is_question)


# ---- clauses

_MOST_CLAUSES = 8  # of one sentence

_TIME_CONJUNCTIONS = frozenset(("since", "as", "while"))  # at the beginning of a sentence
# what does not belong to a clause at its end: "I live in Oslo, by the way"
_TRAILING = (
    "and", "but", "so", "or", "because", "as", "since", "though", "too", "by the way", "btw",
    "lol", "haha", "you know", "also", "actually", "speaking of which", "especially", "considering",
    "now that", "especially since", "plus", "then", "while", "although", "in fact", "given that",
    "as well", "anyway",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A clause with one subject, its offsets in the turn, and what precedes it."""

    text: str
    start: int
    end: int
    lead: str = ""  # the sentence up to the clause
    joint_subject: bool = False  # "my sister and I"
    implied_subject: str = ""  # "I" or "I've", where it is left out: "Went to Oslo"


def clauses(sentence: Sentence) -> Iterator[Clause]:
    """Yield the clauses of a sentence that begin with "I", "we", "my", "you" or the like."""
    text = sentence.text
    if PATTERNS["reported_speech"].search(text):
        return
    yield from _clause_without_subject(sentence)
    begins = (
        match for match in PATTERNS["subject"].finditer(text) if _begins_clause(text, match.start())
    )
    subjects = list(islice(begins, _MOST_CLAUSES))
    for n, match in enumerate(subjects):
        is_last = n + 1 == len(subjects)
        whole = text[match.start() : None if is_last else subjects[n + 1].start()]
        body = cut_clause(whole)
        if not body or match[0].lower().startswith("you"):
            continue
        if sentence.is_question and is_last and len(body) > len(whole) - 3:
            continue
        lead = text[: match.start()]
        joint = PATTERNS["joint_subject"].search(lead) if body.startswith("I ") else None
        begin = joint.start("who") if joint else match.start()
        lead = text[:begin]
        only_says_when = lead.strip(" ,").lower() in _TIME_CONJUNCTIONS
        if only_says_when or is_uncertain(body, lead):
            continue
        yield Clause(
            text=text[begin : match.start()] + body,
            start=sentence.start + begin,
            end=sentence.start + match.start() + len(body),
            lead=lead,
            joint_subject=joint is not None,
        )


def _clause_without_subject(sentence: Sentence) -> Iterator[Clause]:
    match = None if sentence.is_question else PATTERNS["without_subject"].match(sentence.text)
    if match is None:
        return
    body = cut_clause(match["clause"])
    start = sentence.start + match.start("clause")
    if not PATTERNS["uncertain"].search(body):
        subject = "I've" if match["been"] else "I"
        yield Clause(text=body, start=start, end=start + len(body), implied_subject=subject)


def _begins_clause(text: str, at: int) -> bool:
    lead = text[max(0, at - 80) : at]
    patterns = (PATTERNS["conjunction"], PATTERNS["announcement"], PATTERNS["time_before"])
    return not lead.strip() or any(pattern.search(lead) for pattern in patterns)


def cut_clause(body: str) -> str:
    """Return a clause up to the beginning of another."""
    end = PATTERNS["clause_end"].search(body)
    return trim_clause(body[: end.start()] if end else body)


def trim_clause(body: str) -> str:
    """Return a clause without trailing conjunctions, fillers and marks."""
    while True:
        shorter = body.rstrip(" ,.!-\"~'\t\n")
        for filler in _TRAILING:
            if shorter.lower().endswith(" " + filler) and not shorter.endswith(" a while"):
                shorter = shorter[: -len(filler)]
                break
        else:
            return shorter
        body = shorter


def is_uncertain(body: str, lead: str) -> bool:
    """Return whether a clause states no fact, by its words or those before it."""
    if announcement := PATTERNS["announcement"].search(lead):
        lead = lead[: announcement.start()]
    right_before = re.split(r"[,;:\u2013\u2014]", lead)[-1]
    return bool(
        PATTERNS["uncertain"].search(body)
        or PATTERNS["uncertain_before"].search(lead)
        or PATTERNS["uncertain_right_before"].search(right_before)
    )


# ---- statements

_MOST_NOUNS = 5  # words of "my favourite hot sauce brand"
_FINITE_VERBS = wordset("is are was were has have had does did will can goes")
_NOT_IN_SUBJECT = wordset(
    "that which who i you he she it they we and to of for in at with on if when as"
)
# "my friend Mia, who moved to Bergen"
_RELATIVE_CLAUSE = re.compile(
    rf"\b[Mm]y (?P<noun>(?:[a-z-]+ ){{0,2}}(?:{'|'.join(sorted(KIN))})(?: [A-Z][a-z]+)?),? "
    r"who(?P<contraction>'s)? (?P<predicate>.+)"
)
_UNREAL = re.compile(r"\b(?:[Ii]magine|pretend|role-?play|wish|if my|hypothetical\w*)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A clause in the third person, as subject and predicate."""

    subject: str  # "Ann", "Ann's sister Mia"
    predicate: str  # "recently moved to Oslo"
    possession: tuple[str, str] | None = None  # owner and noun: ("Ann", "sister Mia")
    group_speaker: str = ""  # the speaker of "we" or "Bob and I"

    @property
    def text(self) -> str:
        """Return the whole sentence, without its full stop."""
        return f"{self.subject} {self.predicate}"

    @property
    def core(self) -> str:
        """Return the predicate in the singular, without adverbs that state nothing."""
        parts = self.predicate.split()
        while len(parts) > 1 and parts[0].lower() in NEUTRAL_ADVERBS:
            parts = parts[1:]
        if parts[0] == "does" and parts[1:2] and parts[1] in BASE_FORMS:
            parts[:2] = [third_person(parts[1])]
        if self.group_speaker and (parts[0] in BASE_FORMS or parts[0] == "are"):
            parts[0] = third_person(parts[0])
        return PATTERNS["dropped_adverbs"].sub("", " ".join(parts))


def parse_statement(clause: Clause, participants: Participants) -> Statement | None:
    """Return what a clause states, or None if it cannot be put into the third person."""
    text = clause.text
    if clause.implied_subject:
        text = f"{clause.implied_subject} {text[0].lower()}{text[1:]}"
    pronoun = text.split("'")[0].split()[0].lower()
    if participants.listener:
        text = text.removesuffix(f", {participants.listener}")
    converted = to_third_person(PATTERNS["first_mention"].sub(_article, text), participants)
    if converted is None:
        return None
    if clause.joint_subject:
        return _joint_statement(converted, participants.speaker)
    if pronoun in {"my", "our"}:
        return _possession_statement(converted, participants.speaker)
    return _person_statement(converted, participants.speaker, is_plural=pronoun == "we")


def _article(match: re.Match[str]) -> str:
    return "an " if match.string[match.end()] in "aeiou" else "a "


def _joint_statement(text: str, speaker: str) -> Statement | None:
    """Return the statement of a sentence about "my sister and I"."""
    companion, _, predicate = text.partition(f" and {speaker} ")
    if not predicate:
        return None
    subject = f"{companion} and {speaker}"
    return Statement(subject=subject, predicate=predicate, group_speaker=speaker)


def _person_statement(text: str, speaker: str, *, is_plural: bool) -> Statement | None:
    """Return the statement of a sentence about "I" or "we"."""
    subject = f"{speaker} and others" if is_plural else speaker
    if not text.startswith(f"{subject} "):
        return None
    predicate = text[len(subject) + 1 :]
    if is_plural:
        predicate = re.sub(r"^(?:all|both|even) ", "", predicate)
    return Statement(
        subject=subject, predicate=predicate, group_speaker=speaker if is_plural else ""
    )


def _possession_statement(text: str, owner: str) -> Statement | None:
    """Return the statement of a sentence about someone's sister, car or favourite."""
    if not text.startswith(f"{owner}'s "):
        return None
    parts = text[len(owner) + 3 :].split()
    verb = _verb_index(parts)
    if verb is None:
        return None
    while verb > 1 and parts[verb - 1].lower() in ADVERBS:
        verb -= 1
    noun = " ".join(parts[:verb]).strip(",")
    return Statement(
        subject=f"{owner}'s {noun}", predicate=" ".join(parts[verb:]), possession=(owner, noun)
    )


def _verb_index(parts: list[str]) -> int | None:
    """Return the index of the verb in "car broke down", or None if it is too far."""
    for n, word in enumerate(parts[: _MOST_NOUNS + 1]):
        low = word.lower().strip(",")
        following = parts[n + 1].lower() if n + 1 < len(parts) else ""
        is_verb = (
            low in BASE_BY_THIRD_PERSON
            and following
            and following not in _FINITE_VERBS
            and not is_past(following)
        )
        if n and (low in _FINITE_VERBS or is_verb or is_past(low)):
            return n
        if low in _NOT_IN_SUBJECT or word.endswith(","):
            return None
    return None


def aside_statement(
    sentence: Sentence, participants: Participants
) -> Iterator[tuple[Clause, Statement]]:
    """Yield what a sentence says in passing: "Any tips for my friend Kim, who moved to Lyon?"."""
    match = _RELATIVE_CLAUSE.search(sentence.text)
    if match is None or _UNREAL.search(sentence.text) or is_uncertain(match[0], ""):
        return
    body = cut_clause(match["predicate"])
    begin, end = match.start(), match.start("predicate") + len(body)
    if sentence.is_question and end == len(sentence.text) - 1:
        return
    speaker = participants.speaker
    predicate = to_third_person(f"{'is ' if match['contraction'] else ''}{body}", participants)
    if predicate:
        yield (
            Clause(text=match[0], start=sentence.start + begin, end=sentence.start + end),
            Statement(
                subject=f"{speaker}'s {match['noun']}",
                predicate=predicate,
                possession=(speaker, match["noun"]),
            ),
        )
