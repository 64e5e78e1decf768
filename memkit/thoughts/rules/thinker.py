"""Claims drawn from turns by rules of English grammar, without a model. Precise, not complete.

A claim is made from a clause that states something about the speaker or what is theirs, told in the
third person. Questions, wishes, conditions, politeness and what hangs on an "it" make no claim.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from memkit.records import Claim, Source, Turn
from memkit.text.dates import spans
from memkit.thoughts.rules.corrections import corrected
from memkit.thoughts.rules.english import People, is_past
from memkit.thoughts.rules.filter import telling
from memkit.thoughts.rules.frames import Found, frames, frequency, key
from memkit.thoughts.rules.instructions import instructions
from memkit.thoughts.rules.lexicon import KIN, NUMBERS, wordset
from memkit.thoughts.rules.parentheses import asides
from memkit.thoughts.rules.possessions import is_favorite, owned, record
from memkit.thoughts.rules.sentences import Clause, Sentence, clauses, plain, sentences
from memkit.thoughts.rules.subjects import Statement, stated, third_person

_ASKED = datetime(2000, 1, 1, tzinfo=UTC)  # to find times where it is unknown when they were said
_MACHINES = frozenset(("assistant", "ai", "bot", "chatbot", "chatgpt", "system", "model"))
_PLAN = re.compile(
    r"(?:is|are) (?:going|planning|about|set|hoping) (?:to|on) |will |plans? (?:to|on) |"
    r"(?:is|are) (?:\w+ing|off) .*|(?:has|have|'ve got) (?:an? |the )?(?:\w+ ){0,3}(?:meeting|"
    r"flight|"
    r"appointment|interview|exam|reservation|booking|deadline|surgery|checkup)\b"
)
# asked of an assistant: whoever "I" is then, it need not be the user
_PLAYS = re.compile(
    r"\b(?:act as|act like|pretend|role-?play\w*|imagine (?:that |you|I|we)|you are now|play the "
    r"(?:role|part)|in character|(?:write|draft|compose|rewrite|translate|proofread|summari[sz]e)"
    r"(?: \w+){0,2} (?:story|poem|letter|essay|e-?mail|song|dialogue|script|paragraph|text|speech|"
    r"post|article|review|bio|message|statement|following)|"
    r"(?:translate|explain|proofread|correct|summari[sz]e) (?:the|this|these|to|into|it)|"
    r"here(?: is|'s) (?:the|my|a|an) (?:text|essay|story|letter|draft|paragraph|e-?mail|song))\b",
    re.IGNORECASE,
)
_SOON = re.compile(
    r"\b(?:tomorrow|tonight|soon|next (?:week|month|year|weekend|spring|summer|fall|autumn|winter|"
    r"\w+day)|coming|upcoming|later|in (?:a|two|three|\d+) (?:days?|weeks?|months?))\b"
)
_LEAD_TIME = re.compile(r"(?:^|[,;.]\s*|\b(?:and|but|so|then|also)\s+)([^,;.]{3,40}?),?\s*\Z")


class RuleThinker:
    """Draws claims from English turns. Holds nothing, so that it can be shared."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return what these turns claim, each claim with the place it comes from.

        Turns without an id make no claims, since a claim names its turn; nor do those of a system
        or a tool. An assistant without a name is believed only in what it says of the user.
        """
        told = [*before, *turns]
        names = {name for turn in told if (name := _person(turn))}
        claims: list[Claim] = []
        rules: dict[tuple[str, str | None], str | None] = {}  # who was the first to set one
        for turn in told:
            for claim in _claims(turn, _people(turn, names), claims):
                _, mark, rule = (claim.slot or "").partition("'s rule | ")
                first = rules.setdefault((rule, claim.tail), claim.slot) if mark else claim.slot
                if first == claim.slot:  # or else it is said again only to agree with it
                    claims.append(claim)
        asked = {turn.id for turn in turns}
        return [claim for claim in claims if claim.source.turn_id in asked]


def _person(turn: Turn) -> str | None:
    """Return the name of a turn's speaker, unless that only says what it is."""
    return None if (turn.name or "").casefold() in _MACHINES else turn.name


def _people(turn: Turn, names: set[str]) -> People:
    """Return whom "I" and "you" mean; "you" is clear where two people talk, or an assistant."""
    others = sorted(names - {_person(turn)})
    other = others[0] if len(others) == 1 else None
    if turn.role == "assistant" and not _person(turn):
        return People(speaker="the assistant", other=other or "the user")
    return People(speaker=_person(turn) or "the user", other=other)


def _claims(turn: Turn, people: People, earlier: Sequence[Claim]) -> Iterator[Claim]:
    if turn.role in {"system", "tool"} or turn.id is None:
        return
    text = plain(turn.text)
    if turn.role == "user" and not turn.name and _PLAYS.search(text):
        return
    serves = turn.role == "assistant" and not _person(turn)
    for sentence in sentences(text):
        rules: list[Claim] = []
        if not serves:
            before = text[max(0, sentence.start - _NEAR) : sentence.start]
            meant = corrected(sentence, earlier, people.speaker, turn.id)
            rules = [meant] if meant else instructions(sentence, before, people, turn.id)
        yield from rules or _stated(sentence, text, turn, people, serves=serves)


_NEAR = 400  # characters before a sentence, in which "them" may have been named


def _stated(
    sentence: Sentence, text: str, turn: Turn, people: People, *, serves: bool
) -> Iterator[Claim]:
    for clause in (_filled(one, text) for one in clauses(sentence)):
        statement = stated(clause, people, serves=serves)
        if statement and (telling(statement) or _favors(statement)):
            yield from _read(statement, clause, turn)
    if not serves:
        for clause, statement in [*third_person(sentence, turn.text), *asides(sentence, people)]:
            if telling(statement):
                yield from _read(statement, clause, turn)


def _favors(statement: Statement) -> bool:
    """Return whether a statement names a favourite, whatever it is."""
    return statement.thing is not None and is_favorite(statement.thing[1], statement.bare)


def _filled(clause: Clause, text: str) -> Clause:
    """Return a clause with the things that "four ones" or "four so far" leaves out, if it does."""
    spoken = list(_SPOKEN_OF.finditer(text, max(0, clause.start - 300), clause.start))
    if not spoken or not _LEFT_OUT.search(clause.text):
        return clause
    return replace(clause, text=_LEFT_OUT.sub(rf"\1 {spoken[-1]['things']} ", clause.text).strip())


_LEFT_OUT = re.compile(
    rf"\b(\d+|{'|'.join(NUMBERS)}) (?:(?:new|more|different) )?(?:ones(?: |\Z)|(?=(?:so far|"
    r"since)\b))"
)
_SPOKEN_OF = re.compile(
    r"\b(?:my|of|our|\w{3,}ing) (?P<things>(?!this|my |our |the |of |"
    r"a )(?:[a-z]+ )?[a-z]{3,}(?<!s)s)\b"
)


def _read(statement: Statement, clause: Clause, turn: Turn) -> Iterator[Claim]:
    """Yield the claims that one statement makes: one of each slot, or one without."""
    lead = _when(clause.lead, turn)
    found = [] if _planned(statement, lead) else list(_found(statement, turn))
    if not found:
        found = [(statement.head, _loose(statement))]
    text = f"{lead}, {statement.text}" if lead else statement.text
    if text.count('"') % 2:
        text += '"'
    said = Source(turn_id=turn.id or "", start=clause.start, end=clause.end)
    since = _since(statement, text, turn)
    past = _is_past(text, since, turn)
    for whose, one in found[:1]:  # of one sentence that fills two slots, the first alone can close
        slot = one.slot and not past and f"{key(whose)} | {one.slot}"
        yield Claim(
            text=text[0].upper() + text[1:] + ".",
            source=said,
            head=whose,
            relation=one.relation,
            tail=one.tail or None,
            slot=slot or None,
            valid_from=since if one.slot else None,
        )


def _found(statement: Statement, turn: Turn) -> Iterator[tuple[str, Found]]:
    """Yield whose slot is filled, and with what."""
    who = statement.together or statement.head
    person, thing = statement.thing or (who, "")
    best = record(statement.text, turn.text)
    often = frequency(statement.bare)
    if best:
        yield person, best
    elif often:
        yield who, often
    elif not thing or KIN & set(thing.lower().split()):
        yield from ((who, found) for found in frames(statement.bare))
    else:
        one = owned(thing, statement.bare)
        if one:
            yield person, one


def _planned(statement: Statement, lead: str) -> bool:
    if statement.predicate.startswith(("will ", "plans ", "plan ")):
        return True
    match = _PLAN.match(statement.predicate)
    if not match:
        return False
    going = match[0].endswith(("to ", "on ")) or match[0].startswith(("has", "have"))
    return going or bool(_SOON.search(f"{lead} {statement.predicate}"))


def _loose(statement: Statement) -> Found:
    """Return an event, a plan or a past state: what no later claim replaces."""
    match = _PLAN.match(statement.predicate)
    if not match:
        verb, _, rest = statement.bare.partition(" ")
        return Found(relation=verb, tail=rest, slot=None)
    led = match[0].endswith(("to ", "on ", "will "))
    tail = statement.predicate[match.end() if led else 0 :]
    soon = led or _SOON.search(tail) or match[0].startswith(("has", "have"))
    verb, _, rest = tail.partition(" ")
    if led:
        return Found(relation="plans to", tail=tail, slot=None)
    return Found(relation="plans to" if soon else verb, tail=rest, slot=None)


def _when(lead: str, turn: Turn) -> str:
    """Return the time that stands before a clause: "Last week"."""
    match = _LEAD_TIME.search(lead)
    if not match:
        return ""
    words = re.sub(r"^(?:and|but|so|then|also) ", "", match[1].strip(), flags=re.IGNORECASE)
    times = spans(words, turn.said_at or _ASKED)
    if times and times[0].start <= 6 and times[-1].end == len(words):
        return words
    return ""


def _is_past(text: str, since: datetime | None, turn: Turn) -> bool:
    """Return whether a sentence tells of a time long gone, after which much may have changed."""
    if _ONCE.search(text):
        return True
    if since is None or turn.said_at is None or re.search(r"\bsince\b", text, re.IGNORECASE):
        return False
    return bool(turn.said_at - since > _LONG_AGO)


_LONG_AGO = timedelta(days=400)
_ONCE = re.compile(
    r"\b(?:when \w+(?: \w+)? was|back then|back in|as a (?:child|kid|boy|girl|teenager)|"
    r"years ago|in (?:college|childhood|high school))\b",
    re.IGNORECASE,
)


def _since(statement: Statement, text: str, turn: Turn) -> datetime | None:
    """Return since when it holds, if the sentence says so and that is not yet to come."""
    if turn.said_at is None:
        return None
    times = spans(text, turn.said_at)
    if len(times) != 1 or times[0].since is None or times[0].since > turn.said_at:
        return None
    verb = statement.bare.split()[0]
    began = is_past(verb) and verb not in _LASTING
    return times[0].since if began or times[0].text.lower().startswith("since") else None


_LASTING = wordset("was were had did")
