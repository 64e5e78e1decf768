"""A thinker that asks a language model, in a form that very small models can follow.

After Think-in-Memory (Liu et al. 2023, section 3.3). Each fact is one line, `1 | Ann | lives in |
Oslo`, because models of 135 million parameters break JSON; a model that can follow a JSON schema
writes JSON. Other forms are read too. A message cannot open a role or a line. Each claim names the
sentence that supports it best, and the caller rejects a claim that `memkit.thoughts.grounding` does
not find there. A second request asks what newer thoughts do to older ones.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from memkit.prompt import SHOWN_ROLES
from memkit.protocols import (
    Comparer,
    Messages,
    Model,
    Relation,
    StructuredModel,
    Thinker,
    ThoughtPair,
)
from memkit.records import Claim, ClaimKind, Source, Thought, Turn, day
from memkit.text.relative_dates import since
from memkit.text.role_markers import speaker_label
from memkit.text.words import sentences
from memkit.thoughts.grounding import overlap, supported
from memkit.thoughts.prompts import FACTS, PAIRS, Task

_MOST_CHARACTERS = 1500  # of messages in a request; small models lose the thread beyond
_MOST_TURN_CHARACTERS = 12_000  # longer turns are documents, which stay searchable as they are
_TOKENS_PER_MESSAGE, _MOST_TOKENS = 60, 400  # of a reply in lines; JSON takes about twice as many
_MOST_FACTS = 40  # of a reply; more is a model that repeats itself
_MOST_CELLS = 4  # of a fact: three, and its sentence, which some models add
_MOST_PIECES = 8  # of a message that are checked for support
_MOST_PAIRS, _MOST_PAIR_CHARACTERS = 16, 4000  # of older and newer words in a request
_MOST_THOUGHT_CHARACTERS = 400  # of each side of a pair
_TOKENS_PER_PAIR = 8  # of a reply in lines, such as "12 | replaces"

_T = TypeVar("_T")
# the words for a kind that are read in a line's last cell
_KINDS: Mapping[str, ClaimKind] = {
    "fact": "fact", "plan": "plan", "state": "state", "ended": "denial", "denial": "denial",
}  # fmt: skip
_ANSWERS: Mapping[str, Relation] = {
    "same": "same", "replaces": "closes", "ends": "closes", "both": "keeps", "unsure": "doubts",
}  # fmt: skip
_REPAIR = """Write each fact as one line with three bars and nothing else, such as
1 | Ann | lives in | Oslo"""

_YOU = re.compile(r"\byou", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"(?:i|me|my|we|our|speaker)\b", re.IGNORECASE)
_THIRD_PERSON = re.compile(r"\b(?:he|she|they|it|his|her|their)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """A turn, or a piece of a long one, as the model is shown it."""

    turn: Turn
    start: int  # characters into the turn's text
    end: int

    @property
    def text(self) -> str:
        return self.turn.text[self.start : self.end]

    def __len__(self) -> int:
        return self.end - self.start


class ModelThinker:
    """Asks a language model what turns claim, and what newer thoughts do to older ones.

    A `memkit.protocols.StructuredModel` writes JSON by a schema; any other model writes lines, and
    so does one whose endpoint refuses the schema. Exceptions of the model are not caught.

    Args:
        model: any; it sees turns of users and assistants, and never of systems or tools. From an
            assistant without a name it sees only what says "you", because the rest says little
            about anybody.
        fallback: thinks about turns for which the model wrote no readable line, twice, and compares
            pairs without a readable answer if it is a `memkit.protocols.Comparer`; otherwise both
            thoughts of such a pair hold. Usually `LearnedThinker()`; any thinker will do.
        at_once: how many messages the model is shown together. More tell what an "it" means and
            cost less, but a very small model then writes about the last one only.
    """

    def __init__(self, model: Model, fallback: Thinker, *, at_once: int = 1) -> None:
        self._model, self._fallback, self._at_once = model, fallback, at_once

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return the claims of `turns`, each with the sentence that supports it best.

        Unsupported claims are returned too, for the caller to reject and count. The model does not
        see `before`: a small one would claim it again.
        """
        task, room = FACTS.fit(self._model, _MOST_CHARACTERS, _MOST_TOKENS)
        messages = (
            message for turn in turns if _is_worth_asking(turn) for message in _cut(turn, room)
        )
        history = [*before, *turns]
        batches = _batches(messages, len, room, self._at_once)
        return [claim for batch in batches for claim in self._claims(task, batch, history)]

    def compare(self, pairs: Sequence[ThoughtPair]) -> list[Relation]:
        """Return what each newer thought does to the older one.

        Words of an assistant without a name do not close what the user said, but put it in doubt. A
        very small model says of every pair that both hold.
        """
        reply_tokens = _TOKENS_PER_PAIR * (_MOST_PAIRS + 1)
        task, room = PAIRS.fit(self._model, _MOST_PAIR_CHARACTERS, reply_tokens)
        listed = (f"{self._line(pair, 'older')}\n{self._line(pair, 'newer')}" for pair in pairs)
        answers: list[Relation | None] = []
        for batch in _batches(listed, len, room, _MOST_PAIRS):
            text = "\n".join(f"Pair {n}\n{lines}" for n, lines in enumerate(batch, 1))
            reply = self._ask(task, text, _TOKENS_PER_PAIR * (len(batch) + 1))
            answers += _read_answers(reply, len(batch))
        unread = [pair for pair, answer in zip(pairs, answers, strict=True) if answer is None]
        instead = iter(self._compare_otherwise(unread))
        return [
            _without_authority(pair, next(instead) if answer is None else answer)
            for pair, answer in zip(pairs, answers, strict=True)
        ]

    def _compare_otherwise(self, pairs: Sequence[ThoughtPair]) -> Sequence[Relation]:
        if pairs and isinstance(self._fallback, Comparer):
            return self._fallback.compare(pairs)
        return ["keeps"] * len(pairs)

    def _claims(
        self, task: Task, messages: Sequence[_Message], history: Sequence[Turn]
    ) -> list[Claim]:
        text = "\n".join(self._listed(n, message) for n, message in enumerate(messages, 1))
        most = min(_TOKENS_PER_MESSAGE * (len(messages) + 1), _MOST_TOKENS)
        reply = self._ask(task, text, most)
        facts = parse_reply(reply)
        if not facts and reply.strip() and not _NO_FACTS.match(reply):
            again = [
                {"role": "assistant", "content": self._model.escape_role_markers(reply)},
                {"role": "user", "content": _REPAIR},
            ]
            reply = self._write([*task.prompt(text), *again], most)
            facts = parse_reply(reply)
        if facts or _NO_FACTS.match(reply):
            return list(dict.fromkeys(_claim(fact, messages) for fact in facts))
        turns = list(dict.fromkeys(message.turn for message in messages))
        return self._fallback.think(turns, history[: history.index(turns[0])])

    def _ask(self, task: Task, text: str, max_new_tokens: int) -> str:
        """Return the reply: JSON if the model follows a schema, and lines otherwise."""
        if isinstance(self._model, StructuredModel):
            prompt = task.prompt(text, as_json=True)
            most = 2 * max_new_tokens
            reply = self._model.complete_json(prompt, task.schema, max_new_tokens=most)
            if reply is not None:
                return reply
        return self._write(task.prompt(text), max_new_tokens)

    def _write(self, prompt: Messages, max_new_tokens: int) -> str:
        return "".join(self._model.stream(prompt, max_new_tokens=max_new_tokens))

    def _listed(self, n: int, message: _Message) -> str:
        speaker = speaker_label(message.turn.name, message.turn.role)
        return self._escape(f"{n}. {speaker}: {message.text}")

    def _line(self, pair: ThoughtPair, side: str) -> str:
        thought: Thought = getattr(pair, side)
        text = thought.text[:_MOST_THOUGHT_CHARACTERS]
        return self._escape(f"{side}, {thought.said_by} on {day(thought.said_at)}: {text}")

    def _escape(self, text: str) -> str:
        """Return a text as one line that cannot open a role, a line or a column."""
        return self._model.escape_role_markers(" ".join(text.replace("|", "/").split()))


# ---- from turns and pairs to requests


def _is_worth_asking(turn: Turn) -> bool:
    if turn.role not in SHOWN_ROLES or turn.id is None:
        return False
    return turn.role == "user" or turn.name is not None or bool(_YOU.search(turn.text))


def _batches(
    items: Iterable[_T], size: Callable[[_T], int], room: int, most: int
) -> Iterator[list[_T]]:
    """Yield the items in order, as many at a time as the model can read."""
    batch: list[_T] = []
    characters = 0
    for item in items:
        characters += size(item)
        if batch and (characters > room or len(batch) == most):
            yield batch
            batch, characters = [], size(item)
        batch.append(item)
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


# ---- from a reply to facts and answers

_LINE_BREAK = re.compile(r"[\r\n\u2028\u2029]+")
# the start of a line, with the number of a message: "1 | ", "- 1. ", "[1] | ", "| Message 1 | "
_NUMBERED = re.compile(r"\W*(?:(?:(?:message|msg|fact)\W*)?(?P<n>\d{1,4})\b\W*)?", re.IGNORECASE)
# such as "None.", or JSON without rows
_NO_FACTS = re.compile(r"\W*(?:none|no facts?|nothing|n/a|rows)\W*\Z", re.IGNORECASE)
_HEADINGS = frozenset(("who", "head", "subject"))  # of a table, in the first or second cell
# an object without objects inside; a string in it may have braces and escaped quotes
_JSON_OBJECT = re.compile(r"\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*+\"){1,2000}+\}")
_JSON_KEYS = (  # of each cell, by the names that models give it
    ("message", "number", "id", "n"),
    ("who", "head", "subject", "name"),
    ("relation", "predicate", "verb"),
    ("what", "tail", "object", "value"),
    ("kind",),
)
# such as "2 | replaces", "**Pair 2: replaces** (she moved)" and "2. both, because …", but not
# "2 | same or both"
_ANSWER = re.compile(
    rf"\W*(?:pair\W*)?(?:(?P<n>\d{{1,4}})\W+)?(?P<word>{'|'.join(_ANSWERS)})\b(?:\s*[^\w\s].*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact of a model's reply."""

    message: int | None  # its number, from 1
    text: str
    kind: ClaimKind
    head: str
    relation: str
    tail: str | None


def parse_reply(reply: str) -> list[Fact]:
    """Return the facts that a reply lists, as lines with bars or as JSON."""
    facts = [_parse_object(row) for row in _json_rows(reply)]
    for line in _LINE_BREAK.split(_JSON_OBJECT.sub("", reply)):
        if "|" in line and (start := _NUMBERED.match(line)):
            facts.append(_parse_cells(start["n"], line[start.end() :].split("|")))
    return [fact for fact in facts if fact][:_MOST_FACTS]


def _json_rows(reply: str) -> Iterator[dict[str, str]]:
    """Yield the innermost JSON objects of a reply, even if it breaks off or has other text."""
    for match in _JSON_OBJECT.findall(reply):
        try:
            row = json.loads(match)
        except (ValueError, RecursionError):
            continue
        yield {key.lower(): str(value) for key, value in row.items()}


def _parse_object(row: Mapping[str, str]) -> Fact | None:
    number, head, relation, *rest = (
        next((row[key] for key in keys if key in row), "") for keys in _JSON_KEYS
    )
    return _parse_cells(number, [head, relation, *rest]) if head and relation else None


def _parse_cells(number: str | None, cells: Sequence[str]) -> Fact | None:
    """Return the fact of two or three cells, if no more than a sentence and a kind follow."""
    texts = [" ".join(cell.strip(" \t*`\"'_").split()) for cell in cells]
    row = [text for text in texts if re.search(r"\w", text)]
    kind = _KINDS.get(row[-1].casefold()) if len(row) > 2 else None
    row = row[:-1] if kind else row
    triple = row[:3]
    if not 2 <= len(row) <= _MOST_CELLS or _HEADINGS & {text.casefold() for text in row[:2]}:
        return None
    return Fact(
        message=int(number) if number and re.fullmatch("[0-9]{1,4}", number) else None,
        text=" ".join(triple),
        kind=kind or "fact",
        head=triple[0],
        relation=triple[1],
        tail=triple[2] if len(triple) > 2 else None,
    )


def _read_answers(reply: str, count: int) -> list[Relation | None]:
    """Return the answer on each pair, or None if there is none or not only one."""
    rows = [f"{row.get('pair')} {row.get('answer')}" for row in _json_rows(reply)]
    answers: list[set[Relation]] = [set() for _ in range(count)]
    for line in rows or _LINE_BREAK.split(reply):
        if (match := _ANSWER.fullmatch(line.strip())) and (match["n"] or count == 1):
            number = int(match["n"] or 1)
            if 1 <= number <= count:
                answers[number - 1].add(_ANSWERS[match["word"].lower()])
    return [answer.pop() if len(answer) == 1 else None for answer in answers]


def _without_authority(pair: ThoughtPair, relation: Relation) -> Relation:
    """Return "doubts" where words of an assistant without a name would close the user's."""
    is_nameless = pair.newer.role == "assistant" == pair.newer.said_by
    return (
        "doubts" if relation == "closes" and is_nameless and pair.older.role == "user" else relation
    )


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
    head = fact.head
    if _FIRST_PERSON.match(head):
        _, _, noun = head.partition(" ")
        head = f"{speaker}'s {noun}" if noun else speaker
    text = fact.text[:1].upper() + fact.text[1:]
    return Claim(
        text=text if text.endswith((".", "!", "?", "。")) else text + ".",
        source=Source(turn_id=turn.id or "", start=start, end=end),
        head=head,
        relation=fact.relation,
        tail=fact.tail,
        kind=fact.kind,
        valid_from=since(text, turn.said_at) if turn.said_at else None,
    )
