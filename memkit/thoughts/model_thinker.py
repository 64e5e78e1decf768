"""A thinker that asks a language model, in a form that very small ones can follow.

Think-in-Memory (Liu et al. 2023, section 3.3) has a model write a triple and a sentence for what
was said, after two worked examples. Here each is one line, `1 | Ann | lives in | Oslo`: models of
135 million parameters break JSON. What a message says is data: it can open no role, and no line.

Nothing a model says is taken on trust. Each claim names the sentence that supports it best, and
whoever asked rejects what `memkit.thoughts.grounding` does not find in there.
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
from memkit.thoughts.claim_lines import NONE, Line, read
from memkit.thoughts.grounding import overlap, supported
from memkit.thoughts.rules.english import People, retell
from memkit.thoughts.rules.frames import frames, key
from memkit.thoughts.rules.possessions import owned

_MOST_CHARACTERS = 1500  # of messages at a time; small models lose the thread beyond
_MOST_OF_A_TURN = 12_000  # characters; more is a document, and stays searchable as it is
_TOKENS_PER_MESSAGE, _MOST_TOKENS = 60, 400  # of a reply

_ASK = """Write the facts that these messages state about people. One line per fact:
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

_LEAST_CHARACTERS = 200  # of messages, however little a model reads
_YOU = re.compile(r"\byou", re.IGNORECASE)
_I = re.compile(r"(?:i|me|my|we|our|speaker)\b", re.IGNORECASE)
_THEY = re.compile(r"\b(?:he|she|they|it|his|her|their)\b", re.IGNORECASE)
_SINGLE = re.compile(
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
        model: any; it sees what users and assistants said, and never a system's or tool's turn; of
            an assistant without a name, only what says "you": the rest says little of anybody.
        fallback: thinks about turns for which the model wrote no line, twice.
        at_once: how many messages it is shown together. More know what an "it" means and cost
            less, but a very small model then writes about the last one only.
    """

    def __init__(self, model: Model, fallback: Thinker, *, at_once: int = 1) -> None:
        self._model, self._fallback, self._at_once = model, fallback, at_once

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:  # noqa: ARG002
        """Return what these turns claim, each claim with the sentence that supports it best.

        Claims that nothing supports are returned too, for the caller to reject and count. What the
        model raises comes through. `before` is not shown to it: a small model would claim it again.
        """
        room = self._room()
        said = (one for turn in turns if _says_something(turn) for one in _cut(turn, room))
        batches = _batches(said, room, self._at_once)
        return [claim for batch in batches for claim in self._claims(batch)]

    def _room(self) -> int:
        """Return how many characters of messages fit beside the examples, at a token each."""
        if self._model.limit is None:
            return _MOST_CHARACTERS
        room = self._model.limit - self._model.count(_request("")) - _MOST_TOKENS
        return min(max(room, _LEAST_CHARACTERS), _MOST_CHARACTERS)

    def _claims(self, messages: Sequence[_Message]) -> list[Claim]:
        request = _request("\n".join(self._shown(n, one) for n, one in enumerate(messages, 1)))
        reply = self._ask(request, messages)
        lines = self._read(reply, messages)
        if not lines and reply.strip() and not NONE.match(reply):
            again = [
                {"role": "assistant", "content": self._model.escape_role_markers(reply)},
                {"role": "user", "content": _REPAIR},
            ]
            reply = self._ask([*request, *again], messages)
            lines = self._read(reply, messages)
        if lines or NONE.match(reply):
            return list(dict.fromkeys(_claim(line, messages) for line in lines))
        return self._fallback.think(list(dict.fromkeys(one.turn for one in messages)))

    def _read(self, reply: str, messages: Sequence[_Message]) -> list[Line]:
        """Return the facts in a reply; of sentences only what was said, the others are chat."""
        found = read(reply)
        return [one for one in found if one.head or any(_found(one, said) for said in messages)]

    def _ask(self, request: Messages, messages: Sequence[_Message]) -> str:
        most = min(_TOKENS_PER_MESSAGE * (len(messages) + 1), _MOST_TOKENS)
        return "".join(self._model.stream(request, max_new_tokens=most))

    def _shown(self, n: int, message: _Message) -> str:
        """Return a message as a line of its own, unable to open a role, a line or a column."""
        line = f"{n}. {_speaker(message.turn)}: {message.text}"
        return self._model.escape_role_markers(" ".join(line.replace("|", "/").split()))


def _says_something(turn: Turn) -> bool:
    if turn.role not in SHOWN_ROLES or turn.id is None:
        return False
    return turn.role == "user" or turn.name is not None or bool(_YOU.search(turn.text))


def _batches(said: Iterable[_Message], room: int, most: int) -> Iterator[list[_Message]]:
    """Yield what was said in order, as much at a time as the model can read."""
    batch: list[_Message] = []
    characters = 0
    for message in said:
        characters += len(message.text)
        if batch and (characters > room or len(batch) == most):
            yield batch
            batch, characters = [], len(message.text)
        batch.append(message)
    if batch:
        yield batch


def _cut(turn: Turn, room: int) -> Iterator[_Message]:
    """Yield a turn in pieces that end with a sentence, or anywhere if one is too long."""
    start = 0
    for first, last in sentences(turn.text[:_MOST_OF_A_TURN]):
        if last - start > room and first > start:
            yield _Message(turn=turn, start=start, end=first)
            start = first
        while last - start > room:
            yield _Message(turn=turn, start=start, end=start + room)
            start += room
    if turn.text[start:_MOST_OF_A_TURN].strip():
        yield _Message(turn=turn, start=start, end=min(len(turn.text), _MOST_OF_A_TURN))


def _speaker(turn: Turn) -> str:
    return turn.name or turn.role.capitalize()


def _request(shown: str) -> list[dict[str, str]]:
    messages = []
    for example, answer in _EXAMPLES:
        messages.append({"role": "user", "content": _ASK.format(messages=example)})
        messages.append({"role": "assistant", "content": answer})
    return [*messages, {"role": "user", "content": _ASK.replace("{messages}", shown)}]


def _claim(line: Line, messages: Sequence[_Message]) -> Claim:
    """Return a claim with the sentence that supports it: of the named message, or of another."""
    named = messages[line.number - 1 : line.number] if line.number else []
    order = [*named, *(one for one in reversed(messages) if one not in named)]
    for message in order:
        if found := _found(line, message):
            return found
    nearest = order[0] if named else max(order, key=lambda one: overlap(line.text, one.text))
    return _made(line, nearest.turn, (nearest.start, nearest.end))


def _found(line: Line, message: _Message) -> Claim | None:
    """Return the claim with the piece of a message that supports it best, or None."""
    for start, end in _pieces(message.text, line.text):
        claim = _made(line, message.turn, (message.start + start, message.start + end))
        if supported(claim, message.turn):
            return claim
    return None


def _pieces(text: str, claim: str) -> list[tuple[int, int]]:
    """Return the sentences that share most with a claim, and pairs that a "she" holds together."""
    single = sentences(text)
    joined = [
        (first[0], second[1]) for first, second in pairwise(single) if _THEY.search(text, *second)
    ]
    shares = {piece: overlap(claim, text[slice(*piece)]) for piece in [*single, *joined]}
    best = sorted(shares, key=lambda piece: (-shares[piece], piece[1] - piece[0]))
    return [piece for piece in best if shares[piece]][:8]


def _made(line: Line, turn: Turn, piece: tuple[int, int]) -> Claim:
    who = turn.name or f"the {turn.role}"
    text = line.text.strip()
    if _I.match(text):
        text = (
            retell(
                re.sub(r"^(?:speaker|me|i)\b", "I", text, flags=re.IGNORECASE), People(speaker=who)
            )
            or text
        )
    head = line.head
    if head is not None and _I.match(head):
        head = who if len(head.split()) == 1 else f"{who}'s {head.split(maxsplit=1)[1]}"
    text = text[:1].upper() + text[1:]
    return Claim(
        text=text if text.endswith((".", "!", "?", "。")) else text + ".",
        source=Source(turn_id=turn.id or "", start=piece[0], end=piece[1]),
        head=head,
        relation=line.relation,
        tail=line.tail,
        slot=_slot(head, line.relation, line.tail),
        valid_from=since(text, turn.said_at) if turn.said_at else None,
    )


def _slot(head: str | None, relation: str | None, tail: str | None) -> str | None:
    """Return what a newer claim would replace, named as the rules name it, if it is one thing."""
    if not head or not relation or not tail:
        return None
    owner, _, thing = head.partition("'s ")
    if thing and (one := owned(thing, f"{relation} {tail}")):
        return f"{key(owner)} | {one.slot}"
    found = next((one.slot for one in frames(f"{relation} {tail}") if one.slot), None)
    single = _SINGLE.fullmatch(relation.removeprefix("is ").removesuffix(" is"))
    if found is None and single:
        found = key(single[0]).replace("favourite", "favorite")
    return found and f"{key(head)} | {found}"
