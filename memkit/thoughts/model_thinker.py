"""A thinker that asks a language model, in a form that very small models can follow.

After Think-in-Memory (Liu et al. 2023, section 3.3). Each fact is one line, `1 | Ann | lives in |
Oslo`, because models of 135 million parameters break JSON; other forms are read too. A message
cannot open a role or a line. Each claim names the sentence that supports it best, and the caller
rejects a claim that `memkit.thoughts.grounding` does not find there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from memkit.prompt import SHOWN_ROLES
from memkit.protocols import Messages, Model, Thinker
from memkit.records import Claim, Source, Turn
from memkit.text.relative_dates import since
from memkit.text.words import sentences
from memkit.thoughts.grounding import overlap, supported
from memkit.thoughts.rules.grammar import Participants, to_third_person
from memkit.thoughts.rules.relations import attribute_key, find_possession, find_relation

_MOST_CHARACTERS = 1500  # of messages in a request; small models lose the thread beyond
_LEAST_CHARACTERS = 200  # likewise, however short the model's context is
_MOST_TURN_CHARACTERS = 12_000  # longer turns are documents, which stay searchable as they are
_TOKENS_PER_MESSAGE, _MOST_TOKENS = 60, 400  # of a reply
_MOST_FACTS = 40  # of a reply; more is a model that repeats itself
_MOST_CELLS = 8  # of a line; likewise
_MOST_PIECES = 8  # of a message that are checked for support

_REQUEST = """Write the facts that these messages state about people. One line per fact:
message number | who | relation | what
Use the words of the message. If it states no fact, write: none

{messages}"""
_EXAMPLES = (
    (
        "1. Ann: I live in Oslo and my dog is called Rex.\n2. Bob: That sounds great! How are you?",
        "1 | Ann | lives in | Oslo\n1 | Ann's dog | is called | Rex",
    ),
    (
        "1. Eve: Hello there!\n2. User: I quit smoking last year. I work as a nurse now.",
        "2 | User | quit smoking | last year\n2 | User | works as | a nurse",
    ),
)
_REPAIR = """Write each fact as one line with three bars and nothing else, such as
1 | Ann | lives in | Oslo"""

_YOU = re.compile(r"\byou", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"(?:i|me|my|we|our|speaker)\b", re.IGNORECASE)
_THIRD_PERSON = re.compile(r"\b(?:he|she|they|it|his|her|their)\b", re.IGNORECASE)
# relations with one value at a time that the rules do not read: "is job", "birthday is"
_SINGLE_VALUED = re.compile(
    r"(?:(?:first |last |full )?name|age|job|favou?rite [\w ]{2,40}|birthday|"
    r"hometown|email|phone number|address|employer|spouse|wife|husband)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """A turn, or a piece of a long one, as the model is shown it."""

    turn: Turn
    start: int  # characters into the turn's text
    end: int

    @property
    def text(self) -> str:
        return self.turn.text[self.start : self.end]


class ModelThinker:
    """Asks a language model what turns claim, and rules where its reply cannot be read.

    Args:
        model: any; it sees turns of users and assistants, and never of systems or tools. From an
            assistant without a name it sees only what says "you", because the rest says little
            about anybody.
        fallback: thinks about turns for which the model wrote no readable line, twice.
        at_once: how many messages the model is shown together. More tell what an "it" means and
            cost less, but a very small model then writes about the last one only.
    """

    def __init__(self, model: Model, fallback: Thinker, *, at_once: int = 1) -> None:
        self._model, self._fallback, self._at_once = model, fallback, at_once

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:  # noqa: ARG002
        """Return the claims of `turns`, each with the sentence that supports it best.

        Unsupported claims are returned too, for the caller to reject and count. Exceptions of the
        model are not caught. The model does not see `before`: a small one would claim it again.
        """
        room = self._room()
        messages = (
            message for turn in turns if _is_worth_asking(turn) for message in _cut(turn, room)
        )
        batches = _batches(messages, room, self._at_once)
        return [claim for batch in batches for claim in self._claims(batch)]

    def _room(self) -> int:
        """Return how many characters of messages fit after the examples, at a token each."""
        if self._model.limit is None:
            return _MOST_CHARACTERS
        room = self._model.limit - self._model.count(_prompt("")) - _MOST_TOKENS
        return min(max(room, _LEAST_CHARACTERS), _MOST_CHARACTERS)

    def _claims(self, messages: Sequence[_Message]) -> list[Claim]:
        prompt = _prompt("\n".join(self._listed(n, text) for n, text in enumerate(messages, 1)))
        reply = self._ask(prompt, messages)
        facts = _read_facts(reply, messages)
        if not facts and reply.strip() and not _NO_FACTS.match(reply):
            again = [
                {"role": "assistant", "content": self._model.escape_role_markers(reply)},
                {"role": "user", "content": _REPAIR},
            ]
            reply = self._ask([*prompt, *again], messages)
            facts = _read_facts(reply, messages)
        if facts or _NO_FACTS.match(reply):
            return list(dict.fromkeys(_claim(fact, messages) for fact in facts))
        return self._fallback.think(list(dict.fromkeys(message.turn for message in messages)))

    def _ask(self, prompt: Messages, messages: Sequence[_Message]) -> str:
        most = min(_TOKENS_PER_MESSAGE * (len(messages) + 1), _MOST_TOKENS)
        return "".join(self._model.stream(prompt, max_new_tokens=most))

    def _listed(self, n: int, message: _Message) -> str:
        """Return a message as one line that cannot open a role, a line or a column."""
        line = f"{n}. {message.turn.speaker}: {message.text}"
        return self._model.escape_role_markers(" ".join(line.replace("|", "/").split()))


# ---- from turns to a prompt


def _is_worth_asking(turn: Turn) -> bool:
    if turn.role not in SHOWN_ROLES or turn.id is None:
        return False
    return turn.role == "user" or turn.name is not None or bool(_YOU.search(turn.text))


def _batches(messages: Iterable[_Message], room: int, most: int) -> Iterator[list[_Message]]:
    """Yield the messages in order, as many at a time as the model can read."""
    batch: list[_Message] = []
    characters = 0
    for message in messages:
        characters += len(message.text)
        if batch and (characters > room or len(batch) == most):
            yield batch
            batch, characters = [], len(message.text)
        batch.append(message)
    if batch:
        yield batch


def _cut(turn: Turn, room: int) -> Iterator[_Message]:
    """Yield a turn in pieces that end with a sentence, or anywhere in one that is too long."""
    start = 0
    for first, last in sentences(turn.text[:_MOST_TURN_CHARACTERS]):
        if last - start > room and first > start:
            yield _Message(turn=turn, start=start, end=first)
            start = first
        while last - start > room:
            yield _Message(turn=turn, start=start, end=start + room)
            start += room
    if turn.text[start:_MOST_TURN_CHARACTERS].strip():
        yield _Message(turn=turn, start=start, end=min(len(turn.text), _MOST_TURN_CHARACTERS))


def _prompt(messages: str) -> list[dict[str, str]]:
    prompt = []
    for example, answer in _EXAMPLES:
        prompt.append({"role": "user", "content": _REQUEST.format(messages=example)})
        prompt.append({"role": "assistant", "content": answer})
    return [*prompt, {"role": "user", "content": _REQUEST.replace("{messages}", messages)}]


# ---- from a reply to facts

_LINE_BREAK = re.compile(r"[\r\n\u2028\u2029]+")
# the number of a line: "1. ", "- 1) ", "[1] ", "Message 1: "
_NUMBERING = re.compile(
    r"^\s*(?:[-*•>]+\s+)?(?:\*\*)?(?:(?:message|msg|fact)\s*)?[#(\[]?(?P<n>\d{1,4})[.):\]]*\s*"
    r"(?=[^\d\s.,:])",
    re.IGNORECASE,
)
# a cell that is only a number: "1", "[1]", "Message 1"
_NUMBER_CELL = re.compile(r"\W*(?:(?:message|msg|fact)\W*)?([0-9]{1,4})\W*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*[-*•>]+\s*")
_NO_FACTS = re.compile(r"\W*(?:none|no facts?|nothing|n/a)\W*\Z", re.IGNORECASE)
# the heading of a table: "number | who | relation | what"
_HEADING = re.compile(
    r"(?:message )?(?:number|no|#)?\W*(?:who|head|subject)\W+(?:relation|predicate)", re.IGNORECASE
)
_JSON_OBJECT = re.compile(r"\{[^{}]{1,2000}\}")
_JSON_PAIR = re.compile(r"[\"'](\w+)[\"']\s*:\s*(?:\"([^\"]*)\"|'([^']*)'|(\d+))")  # "head": "Ann"
_JSON_ITEM = re.compile(r"\"([^\"]*)\"|(?<=[\[,\s])(\d+)(?=\s*[,\]])")  # of [1, "Ann", "moved"]
_JSON_KEYS = (  # of each cell, by the names that models give it
    ("message", "number", "id", "n"),
    ("head", "subject", "who", "name"),
    ("relation", "predicate", "verb"),
    ("tail", "object", "what", "value"),
    ("sentence", "text", "fact"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact of a model's reply."""

    message: int | None  # its number, from 1
    text: str
    head: str | None = None
    relation: str | None = None
    tail: str | None = None


def parse_reply(reply: str) -> list[Fact]:
    """Return the facts that a reply lists, as bars, JSON, bullets or sentences."""
    facts = [_parse_object(match) for match in _JSON_OBJECT.findall(reply)]
    for raw in _LINE_BREAK.split(_JSON_OBJECT.sub("", reply)):
        line = raw.strip().strip("`")
        if "|" in line:
            facts.append(_parse_bars(line))
        elif line.startswith("[") and (items := _JSON_ITEM.findall(line)):
            facts.append(_parse_cells([text or number for text, number in items]))
        elif _NUMBERING.match(line) or _BULLET.match(line):
            facts.append(_parse_sentence(line))
    return [fact for fact in facts if fact][:_MOST_FACTS]


def _parse_bars(line: str) -> Fact | None:
    cells = [cell.strip(" \t*`\"'_") for cell in _BULLET.sub("", line).strip("| ").split("|")]
    cells = [cell for cell in cells if cell]
    if _HEADING.match(line.strip("| \t*")) or not re.search(r"\w", line):
        return None
    if cells and (number := _NUMBER_CELL.fullmatch(cells[0])):
        cells[0] = number[1]
    elif cells and (numbering := _NUMBERING.match(cells[0])):
        cells = [numbering["n"], cells[0][numbering.end() :], *cells[1:]]
    return _parse_cells(cells)


def _parse_object(text: str) -> Fact | None:
    pairs = {key.lower(): a or b or c for key, a, b, c in _JSON_PAIR.findall(text)}
    values = [next((pairs[key] for key in keys if key in pairs), "") for keys in _JSON_KEYS]
    if not any(values[1:]):
        return None
    return _parse_cells(values if values[0] else values[1:])


def _parse_sentence(line: str) -> Fact | None:
    numbering = _NUMBERING.match(line)
    text = (line[numbering.end() :] if numbering else _BULLET.sub("", line)).strip(" *\"'")
    if len(text.split()) < 3:
        return None
    return Fact(message=int(numbering["n"]) if numbering else None, text=text)


def _parse_cells(cells: Sequence[str]) -> Fact | None:
    """Return the fact of a row: perhaps a number, then a triple, and perhaps its sentence."""
    number = int(cells[0]) if cells and re.fullmatch("[0-9]{1,4}", cells[0]) else None
    triple = [" ".join(cell.split()) for cell in cells[number is not None :]]
    while triple and not triple[-1]:
        triple.pop()
    has_words = all(re.search(r"\w", cell) for cell in triple[:2])
    if not 2 <= len(triple) <= _MOST_CELLS or not has_words:
        return None
    head, relation, tail = triple[0], triple[1], " ".join(triple[2:3])
    text = " ".join(triple)
    if len(triple) > 3 and head.casefold() in triple[3].casefold():
        text = " ".join(triple[3:])  # its sentence, and not more cells than were asked for
    elif len(triple) > 3:
        tail = " ".join(triple[2:])
    return Fact(message=number, text=text, head=head, relation=relation, tail=tail or None)


def _read_facts(reply: str, messages: Sequence[_Message]) -> list[Fact]:
    """Return the facts of a reply; sentences without cells only if a message supports them."""
    return [
        fact
        for fact in parse_reply(reply)
        if fact.head or any(_supported_claim(fact, message) for message in messages)
    ]


# ---- from facts to claims


def _claim(fact: Fact, messages: Sequence[_Message]) -> Claim:
    """Return a claim with the sentence that supports it, of the named message or another."""
    named = messages[fact.message - 1 : fact.message] if fact.message else []
    order = [*named, *(message for message in reversed(messages) if message not in named)]
    for message in order:
        if claim := _supported_claim(fact, message):
            return claim
    nearest = (
        order[0] if named else max(order, key=lambda message: overlap(fact.text, message.text))
    )
    return _make_claim(fact, nearest.turn, nearest.start, nearest.end)


def _supported_claim(fact: Fact, message: _Message) -> Claim | None:
    """Return the claim with the piece of a message that supports it best, or None."""
    for start, end in _pieces(message.text, fact.text):
        claim = _make_claim(fact, message.turn, message.start + start, message.start + end)
        if supported(claim, message.turn):
            return claim
    return None


def _pieces(text: str, claim: str) -> list[tuple[int, int]]:
    """Return the best sentences for a claim; one with a "she" also with the one before it."""
    spans = sentences(text)
    joined = [
        (first[0], second[1])
        for first, second in pairwise(spans)
        if _THIRD_PERSON.search(text, *second)
    ]
    shares = {piece: overlap(claim, text[slice(*piece)]) for piece in [*spans, *joined]}
    best = sorted(shares, key=lambda piece: (-shares[piece], piece[1] - piece[0]))
    return [piece for piece in best if shares[piece]][:_MOST_PIECES]


def _make_claim(fact: Fact, turn: Turn, start: int, end: int) -> Claim:
    speaker = turn.name or f"the {turn.role}"
    text = fact.text.strip()
    if _FIRST_PERSON.match(text):
        sentence = re.sub(r"^(?:speaker|me|i)\b", "I", text, flags=re.IGNORECASE)
        text = to_third_person(sentence, Participants(speaker=speaker)) or text
    head = fact.head
    if head is not None and _FIRST_PERSON.match(head):
        _, _, noun = head.partition(" ")
        head = f"{speaker}'s {noun}" if noun else speaker
    text = text[:1].upper() + text[1:]
    return Claim(
        text=text if text.endswith((".", "!", "?", "。")) else text + ".",
        source=Source(turn_id=turn.id or "", start=start, end=end),
        head=head,
        relation=fact.relation,
        tail=fact.tail,
        slot=_slot(head, fact.relation, fact.tail),
        valid_from=since(text, turn.said_at) if turn.said_at else None,
    )


def _slot(head: str | None, relation: str | None, tail: str | None) -> str | None:
    """Return the attribute that a newer claim supersedes, named as the rules name it, or None."""
    if not head or not relation or not tail:
        return None
    owner, _, noun = head.partition("'s ")
    if noun and (possession := find_possession(noun, f"{relation} {tail}")):
        return f"{attribute_key(owner)} | {possession.attribute}"
    read = find_relation(f"{relation} {tail}")
    attribute = read.attribute if read else None
    single_valued = _SINGLE_VALUED.fullmatch(relation.removeprefix("is ").removesuffix(" is"))
    if attribute is None and single_valued:
        attribute = attribute_key(single_valued[0])
    return attribute and f"{attribute_key(head)} | {attribute}"
