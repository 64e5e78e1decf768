"""Read a message as a question: what it asks behind a long paste, and for the first or the last.

No clock and no store: pure functions of the text.
"""

from typing import Literal

import regex as re

from memkit.records import MONTHS
from memkit.text.words import STOP_WORDS, fold, sentences, wordset

Order = Literal["first", "last"]

_LONG = 60  # words from which a message is more than its question
_QUESTION = 40  # words of a question, at most
_SHOWN = 10_000  # characters at the beginning and the end of a message in which questions count
_POLITE = 4  # words of a sentence such as "Thanks a lot!", at most
_MOST = 3  # questions of a message that count

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r"^\s*>.*$", re.MULTILINE)
_ASKING_WORD = "what|which|who|whose|whom|when|where|why|how"
_AUXILIARY = (
    "is|are|was|were|am|do|does|did|have|has|had|can|could|will|would|should|may|might|must|shall"
)
# "what is", "which of my keys did"; "tell me", at the beginning of a sentence
_ASKS = re.compile(
    rf"(?i)(?:(?:and|so|but|now|please|ok|hi|hello|hey)\b[\s,]*)*"
    rf"(?:(?:{_ASKING_WORD})\b(?:['’]s|(?:\s+\S+){{0,5}}?\s+(?:{_AUXILIARY})\b)"
    rf"|(?:{_AUXILIARY})\s+(?:i|we|you|my|our|the|there)\b"
    r"|(?:tell|remind|show)\s+me\b|list\b|do you (?:remember|know)\b)"
)
# "what is my", "which of my keys did I" inside text without stops; no "which was closed"
_ASKS_INSIDE = re.compile(
    rf"(?i)\b(?:{_ASKING_WORD})(?:['’]s|(?:\s+\w+){{0,3}}?\s+(?:{_AUXILIARY}))"
    r"\s+(?:i|we|you|my|our|your)\b"
)

_LAST = r"(?:last|latest|most\s+recent|newest)"
_FIRST = r"(?:first|earliest)"
_NOT_SAID = (  # "my last name", "the first of May", "the last digits"
    r"(?!\s+(?:names?|of|born|digits?|numbers?|letters?|part|page|chapter|floor|class|resort|will)\b)"
)
_BY = r"(?:i|we|you)"
_SPEECH = r"(?:things?|time|messages?|questions?|words?)"
_ENDS = r"(?=\s*(?:[?!.,;]|\Z))"
_ORDERS: dict[Order, "re.Pattern[str]"] = {
    # "the last time", "my latest trip", "what did I last eat", "what did I say last?"
    "last": re.compile(
        rf"(?i)\b(?:(?:the|my|our|your)\s+(?:very\s+)?{_LAST}\b{_NOT_SAID}|most\s+recently\b"
        rf"|(?:did|have)\s+{_BY}\s+(?:last|just)\b"
        rf"|did\s+{_BY}\s[^?!.,;]{{0,80}}\b(?:last|just\s+now){_ENDS})"
    ),
    # "the first thing", "the first book that I read", "what did I first say", "what did I say
    # first?"; not "the first builder"
    "first": re.compile(
        rf"(?i)\b(?:(?:the|my|our|your)\s+(?:very\s+)?{_FIRST}\s+{_SPEECH}\b"
        rf"|the\s+(?:very\s+)?{_FIRST}\s+(?:\w+\s+){{1,2}}?(?:that\s+)?{_BY}\b"
        rf"|did\s+{_BY}\s+(?:ever\s+)?first\b|did\s+{_BY}\s[^?!.,;]{{0,80}}\bfirst{_ENDS}"
        r"|how\s+did\s+(?:our|this|the)\s+(?:conversation|chat|talk)\s+(?:begin|start)\b)"
    ),
}
# "which books have I read", "what sports do I do", "where have I been", "list my allergies"
_LIST = re.compile(
    r"(?i)(?:\b(?:which|what|how\s+many)\s+(?:of\s+)?(?:\w+\s+){0,3}?\w+(?<!s)s\s+"
    r"(?:have|has|had|did|do|are|were)\b"
    r"|\b(?:which|what|where|who|whom)\b[^?!.,;]{0,40}?\bhave\s+(?:i|we)\b"
    r"|^\W*(?:please\s+|(?:can|could)\s+you\s+)?(?:list|name|give\s+me|tell\s+me)\s+"
    r"(?:all|every|my|the|our|each)\s+(?:\w+\s+){0,3}?\w+(?<!s)s\b)"
)
_OWN = re.compile(r"(?i)\b(?:i|we|my|our)\b")
_ORDER_WORDS = wordset("last latest most recent recently newest first earliest very just ever now")
# words that only say that something was said
_TALK = wordset(
    "say said saying tell told telling mention mentioned talk talked talking speak spoke write "
    "wrote written send sent ask asked message messages question questions word words thing things "
    "something anything conversation conversations chat repeat remind begin began start started "
    "again today yesterday earlier please exactly discuss discussed time"
)
_YOU_SAID = re.compile(
    r"(?i)\b(?:did\s+you|you)\s+(?:\w+\s+)?(?:say|said|tell|told|mention(?:ed)?|wr(?:i|o)te|ask(?:ed)?)\b"
)
# "friday"; months only with a number, because "in december" is often a plan and "may" a verb
_MONTHS = "|".join(month.lower() for month in MONTHS)
_LOWER_CASE_TIME = re.compile(
    r"\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    rf"|(?:{_MONTHS})(?=\s+\d{{1,2}}(?:st|nd|rd|th)?\b)|(?<=\d(?:st|nd|rd|th)?\s)(?:{_MONTHS}))\b"
)
_WORD = re.compile(r"\w+")


def main_question(text: str) -> str:
    """Return what a long message asks, without the text around it; a short one as it is.

    A question at the end counts, then one at the beginning, then any. Code and quotations are
    skipped. Without a question the message is returned.

    >>> main_question("The bridge is closed. " * 30 + "What is my locker code? Thanks!")
    'What is my locker code?'
    """
    if len(_WORD.findall(text)) <= _LONG:
        return text
    ends = text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]}\n{text[-_SHOWN:]}"
    outside = _QUOTED.sub("\n", _FENCED.sub("\n", ends))
    parts = [outside[start:end] for start, end in sentences(outside)]
    questions = _last_questions(parts) or _last_questions(parts[::-1])[::-1]
    questions = questions or [part for part in parts if _is_question(part)][-_MOST:]
    return " ".join(questions) or _question_at_end(outside) or text


def _last_questions(parts: list[str]) -> list[str]:
    """Return the questions at the end, before at most two polite sentences."""
    polite = 0
    while polite < min(2, len(parts)) and not _is_question(parts[-1 - polite]):
        if len(_WORD.findall(parts[-1 - polite])) > _POLITE:
            return []
        polite += 1
    questions: list[str] = []
    for part in parts[: len(parts) - polite][::-1]:
        if not _is_question(part) or len(questions) == _MOST:
            break
        questions.insert(0, _shortened(part))
    return questions


def _is_question(sentence: str) -> bool:
    return sentence.rstrip("\"'”’)* ").endswith(("?", "？", "؟")) or bool(_ASKS.match(sentence))


def _shortened(sentence: str) -> str:
    """Return the question at the end of a sentence that is too long to be one."""
    if len(_WORD.findall(sentence)) <= _QUESTION:
        return sentence
    return _question_at_end(sentence) or sentence


def _question_at_end(text: str) -> str:
    """Return the last words from "what is" on, or "" without such words."""
    last = list(_WORD.finditer(text))[-_QUESTION:]
    asking = list(_ASKS_INSIDE.finditer(text, last[0].start(), overlapped=True)) if last else []
    return str(text[asking[-1].start() :]).strip() if asking else ""


def asked_order(text: str) -> Order | None:
    """Return whether a question asks for the first or the last of what was said.

    `text` is without its times: "last Friday" is no last.

    >>> asked_order("What did I say last?"), asked_order("What is my last name?")
    ('last', None)
    """
    for order, pattern in _ORDERS.items():
        if pattern.search(text):
            return order
    return None


def asks_for_list(text: str) -> bool:
    """Return whether people ask for all of a kind that they said, at different times.

    >>> asks_for_list("Which books have I read?"), asks_for_list("Which book is that?")
    (True, False)
    """
    return bool(_LIST.search(text) and _OWN.search(text))


def topic_words(text: str) -> set[str]:
    """Return the words of a question that say more than that, when and by whom it was said.

    >>> topic_words("What did I say last?"), topic_words("What did I say of the boat?")
    (set(), {'boat'})
    """
    words = {fold(word) for word in _WORD.findall(text)}
    return words - STOP_WORDS - _ORDER_WORDS - _TALK


def asks_of_machine(text: str) -> bool:
    """Return whether a question is about what the assistant said: "the last thing you said"."""
    return bool(_YOU_SAID.search(text))


def with_capitals(text: str) -> str:
    """Return a question with capitals where it names weekdays and months in lower case.

    >>> with_capitals("what did i eat last friday, and what may i eat on may 8th?")
    'what did i eat last Friday, and what may i eat on May 8th?'
    """
    return str(_LOWER_CASE_TIME.sub(lambda match: match[0].title(), text))
