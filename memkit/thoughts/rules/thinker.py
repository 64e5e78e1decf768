"""Draw claims from turns by rules of English grammar, without a model. Precise, not complete.

A claim comes from a clause that states something definite about the speaker or their people and
things, or from an instruction for good. Questions, wishes, conditions, moods and an "it" without an
antecedent make none.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from memkit.records import MONTHS, Claim, Source, Turn
from memkit.text.dates import spans
from memkit.text.words import wordset
from memkit.thoughts.rules.clauses import (
    Clause,
    Sentence,
    Statement,
    aside_statement,
    clauses,
    normalise,
    parse_statement,
    split_sentences,
)
from memkit.thoughts.rules.grammar import (
    ADVERBS,
    BASE_BY_THIRD_PERSON,
    BASE_FORMS,
    EMPTY_STATES,
    KIN,
    MENTAL_VERBS,
    PATTERNS,
    TIME_WORDS,
    VAGUE,
    WORDS,
    Participants,
    base_of_gerund,
    is_participle,
    is_past,
)
from memkit.thoughts.rules.relations import (
    TASTE,
    Relation,
    attribute_key,
    find_frequency,
    find_possession,
    find_relation,
)

_MACHINE_NAMES = frozenset(("assistant", "ai", "bot", "chatbot", "chatgpt", "system", "model"))


class RuleThinker:
    """Draws claims from English turns. Has no state, so threads can share it."""

    def think(self, turns: Sequence[Turn], before: Sequence[Turn] = ()) -> list[Claim]:
        """Return the claims of `turns`, each with its place in the text.

        Turns without an id make no claims, since a claim names its turn; nor do turns of a system,
        a tool or an assistant without a name. `before` is read only to know who is talking.
        """
        names = {name for turn in [*before, *turns] if (name := _name(turn))}
        return [claim for turn in turns for claim in _claims(turn, _participants(turn, names))]


def _name(turn: Turn) -> str | None:
    """Return the name of a turn's speaker, unless it is the name of a role."""
    return None if (turn.name or "").casefold() in _MACHINE_NAMES else turn.name


def _participants(turn: Turn, names: set[str]) -> Participants:
    """Return whom "I" and "you" mean; "you" is clear with two people."""
    others = sorted(names - {_name(turn)})
    listener = others[0] if len(others) == 1 else None
    return Participants(speaker=_name(turn) or "the user", listener=listener)


def _claims(turn: Turn, participants: Participants) -> Iterator[Claim]:
    is_person = turn.role == "user" or (turn.role == "assistant" and _name(turn))
    if not is_person or turn.id is None:
        return
    text = normalise(turn.text)
    if turn.role == "user" and not turn.name and PATTERNS["role_play"].search(text):
        return
    for sentence in split_sentences(text):
        if instruction := _instruction(sentence, participants, turn.id):
            yield instruction
            continue
        statements = [
            (clause, parse_statement(clause, participants)) for clause in clauses(sentence)
        ]
        for clause, statement in [*statements, *aside_statement(sentence, participants)]:
            if statement and is_informative(statement):
                yield _claim(statement, clause, turn)


# ---- standing instructions

_ONWARD = r"(?:from now on|going forward|moving forward|from here on)"
_NEVER = r"(?:never|avoid|stop|no longer|don't ever|do not ever)"
_REQUEST = (
    r"(?:^(?:(?:and|also|so|now|please|ok|okay)[,:]? )*|\b(?:want|need|like|expect|ask) you to )"
)
_INSTRUCTIONS = (
    # "Please never use slang", "From now on, call me Captain", "I want you to stop using slang"
    re.compile(
        rf"{_REQUEST}(?P<cue>(?:{_NEVER}|always|{_ONWARD},?)"
        rf"(?: (?:please|always|only|{_NEVER}))*) "
        r"(?P<verb>[a-z]+) (?P<complement>[^,;.!?]{2,120})",
        re.IGNORECASE,
    ),
    # "Please answer in French from now on"
    re.compile(
        rf"{_REQUEST}(?P<cue>(?:{_NEVER} )?)(?P<verb>[a-z]+) "
        rf"(?P<complement>[^,;.!?]{{2,120}}?),? {_ONWARD}",
        re.IGNORECASE,
    ),
)
# ends what an instruction is about: "slang | in letters"
_PREPOSITION = re.compile(r" (?:when|while|if|because|since|to|for|instead|in|as|with|at|on) ")
# words that make an instruction general advice, or unclear without the turns before it
_UNCLEAR = re.compile(r"\b(?:I|you|yourself|we|he|she|they|it|them|this|that|these|those)\b")


def _instruction(sentence: Sentence, participants: Participants, turn_id: str) -> Claim | None:
    """Return the claim of a sentence that tells somebody what to do from now on, or None."""
    matches = (pattern.search(sentence.text) for pattern in _INSTRUCTIONS)
    match = next(filter(None, matches), None)
    if match is None or sentence.is_question:
        return None
    verb = match["verb"].lower()
    base = verb if verb in BASE_FORMS else base_of_gerund(verb)
    speaker = participants.speaker
    complement = re.sub(r"\byour (?:own )?", "the ", match["complement"].strip())
    complement = re.sub(r"\bme\b", lambda _: speaker, complement)
    complement = re.sub(r"\bmy\b", lambda _: f"{speaker}'s", complement)
    target = speaker if base == "call" else _PREPOSITION.split(f"{complement} ")[0].strip()
    target = attribute_key(target) or complement
    if base is None or base in MENTAL_VERBS or target in VAGUE or _UNCLEAR.search(complement):
        return None
    how = "never" if re.search(_NEVER, match["cue"], re.IGNORECASE) else "always"
    return Claim(
        text=f"{speaker[0].upper()}{speaker[1:]}'s rule: {how} {base} {complement}.",
        source=Source(
            turn_id=turn_id, start=sentence.start, end=sentence.start + len(sentence.text)
        ),
        head=target,
        relation=f"{how} {base}",
        tail=complement,
        slot=f"{attribute_key(speaker)}'s rule | {base} {target}",
    )


# ---- what is worth a claim

_WORD = re.compile(r"[\w'-]+")
_BE = wordset("is are was were be been isn't wasn't aren't weren't")
_HAVE = wordset("has have had hasn't haven't hadn't")
_DO = wordset("does did do don't doesn't didn't")
_CAN = wordset("can can't cannot could won't shall must")
_GET = wordset("got gets getting feels stays stayed became gotten")
_INTENSIFIERS = ADVERBS | {"no", "longer", "quite", "super", "so", "pretty"}
_INDEFINITE = VAGUE | ADVERBS | TIME_WORDS | EMPTY_STATES
_LIFE_EVENTS = wordset("died graduated retired")  # verbs that need no object
# complements of "is" that state more than a mood: "a nurse", "in Oslo", "allergic to nuts"
_STATE = re.compile(
    r"(?:an?|the|about|around|in|at|from|on|near|\d[\w:.-]*|single|separated|widowed|vegan|"
    r"vegetarian|pescatarian|allergic|into|obsessed|named|called|of|lactose|[A-Z][\w.'-]*|fluent|"
    r"addicted|fond|passionate|keen|[^\s']+'s|"
    rf"{'|'.join(sorted(WORDS['passive_events']))})(?=\s|$)"
)
# words that point at something outside the sentence: "this song", "there", but not "this week"
_DEICTIC = re.compile(
    r"\b(?:this|these|those)\b(?! (?:week|weekend|year|month|morning|afternoon|evening|spring|"
    rf"summer|fall|autumn|winter|past|coming|\w+day|{'|'.join(MONTHS)})\b)|"
    r"(?<!')\bhere\b|(?<!out )\bthere\b|\bso\s*$|"
    r"\bthe same\b|\bdo(?:es|ing)? so\b|\bsuch\b|\bthat$"
)
_THAT = re.compile(r"(?P<before>[\w'-]+) that\b(?: (?P<after>[\w'-]+))?")  # "heard that Bob"
_BEFORE_PRONOUN = wordset("of in for with about from to at on like by after before all just off up")
# something that an "it" can mean: "a boat", "Mia's car", "two kites", "Acme"
_ANTECEDENT_THING = re.compile(
    r"(?:^|\s)(?:an?|the|\w+'s|their|some|two|three|many|several|\d+)\s+\w+|(?<!^)\b[A-Z]\w+"
)
# somebody that a "she" can mean: "Mia", "a woman"
_ANTECEDENT_PERSON = re.compile(
    r"(?<!^)\b[A-Z][a-z]+\b(?!')|\b(?:woman|man|girl|boy|lady|guy|person|people)\b"
)
_PRONOUN = re.compile(r"\b(?:it|they|them|its|he|she|him|her|his|hers|one|ones|their)\b")
_PERSONAL_PRONOUNS = wordset("he she him her his hers their")
_IDLE_VERBS = wordset("be try check keep make let look give see never remember do have")
_DAYS = {month.lower() for month in MONTHS} | wordset(
    "tomorrow tonight week weekend month year summer winter spring autumn fall"
)


def is_informative(statement: Statement) -> bool:
    """Return whether a statement is definite, and clear without the turns before it."""
    predicate, core = statement.predicate, statement.core
    words = _WORD.findall(predicate)
    if len(words) < 2 or PATTERNS["empty_phrase"].search(predicate) or _DEICTIC.search(predicate):
        return False
    is_taste = TASTE.match(core) is not None
    # a perfect such as "have moved to Oslo"
    is_perfect = words[0] in _HAVE and words[1] not in MENTAL_VERBS and is_participle(words[1])
    if statement.group_speaker and not (is_past(words[0].lower()) or is_perfect):
        relation = find_relation(core)
        return relation is not None and relation.attribute is not None and not is_taste
    if statement.subject == "the user" and words[0] in {"wants", "hopes"}:
        return False  # a request to the assistant, of this moment
    if is_taste and find_relation(core) is None:
        return False
    return (
        _is_definite_predicate(_without_adverbs(words))
        and _pronouns_are_clear(statement)
        and all(_is_conjunction(match) for match in _THAT.finditer(predicate))
    )


def _without_adverbs(words: list[str]) -> list[str]:
    """Return the words from the verb on, without adverbs right before and after it."""
    while words and words[0].lower() in _INTENSIFIERS:
        words = words[1:]
    complement = words[1:]
    while complement and complement[0].lower() in _INTENSIFIERS - {"only"}:
        complement = complement[1:]
    return [words[0].lower(), *complement] if words else []


def _is_definite_predicate(words: list[str]) -> bool:
    """Return whether a verb and its complement state more than a mood: not "is glad"."""
    if len(words) < 2 or words[0] in _CAN:
        return words[:2] in (["can't", "stand"], ["cannot", "stand"]) and len(words) > 2
    verb, complement = words[0], words[1:]
    if verb in _LIFE_EVENTS:
        return True
    for verbs, check in _COMPLEMENT_CHECKS:
        if verb in verbs:
            return check(complement)
    if BASE_BY_THIRD_PERSON.get(verb, verb) in MENTAL_VERBS:
        return BASE_BY_THIRD_PERSON.get(verb) == "need" and complement[0][0].isdigit()
    first = complement[0].lower()
    if verb in _GET:
        is_event = first in WORDS["passive_events"] or not is_past(first)
        return _is_definite(complement) and first not in EMPTY_STATES and is_event
    return first not in WORDS["empty_objects"] and _is_definite(complement)


def _check_be(complement: list[str]) -> bool:
    first = complement[0].lower()
    if first in {"going", "planning", "about"} and complement[1:2] in (["to"], ["on"]):
        return (
            len(complement) > 2
            and complement[2] not in _IDLE_VERBS
            and _is_definite(complement[2:])
        )
    if first in EMPTY_STATES or first in MENTAL_VERBS:
        return False
    base = base_of_gerund(first) or (first.removesuffix("ing") if first.endswith("ing") else None)
    if base:
        return base not in MENTAL_VERBS and _is_definite_predicate([base, *complement[1:]])
    is_state = bool(_STATE.match(" ".join(complement)))
    return is_state and (
        len(complement) == 1 or first in WORDS["passive_events"] or _is_definite(complement)
    )


def _check_have(complement: list[str]) -> bool:
    first = complement[0].lower()
    if first == "been":
        return len(complement) > 1 and (
            _check_be(_without_adverbs(["been", *complement[1:]])[1:] or complement[1:])
            or complement[1] == "to"
        )
    if is_participle(first):
        return first not in MENTAL_VERBS and _is_definite_predicate(_without_adverbs(complement))
    return first not in WORDS["empty_objects"] and _is_definite(complement)


def _check_do(complement: list[str]) -> bool:
    if complement[0] in BASE_FORMS:
        return _is_definite_predicate(complement)
    return _is_definite(complement) and complement[0] not in WORDS["empty_objects"]


def _check_will(complement: list[str]) -> bool:
    """Return whether an intention names a day or a number."""
    return complement[0] not in _IDLE_VERBS and any(
        word[0].isdigit() or word.lower() in _DAYS or word.lower().endswith("day")
        for word in complement
    )


def _check_used_to(complement: list[str]) -> bool:
    if complement[0] != "to" or len(complement) < 3:
        return False
    if complement[1] == "be":
        return _check_be(complement[2:])
    return complement[1] != "feel" and _is_definite_predicate(complement[1:])


def _check_plan(complement: list[str]) -> bool:
    if complement[0] not in {"to", "on"}:
        return _is_definite(complement)
    return len(complement) > 2 and complement[1] not in _IDLE_VERBS and _is_definite(complement[2:])


_COMPLEMENT_CHECKS: tuple[tuple[frozenset[str], Callable[[list[str]], bool]], ...] = (
    (_BE, _check_be),
    (_HAVE, _check_have),
    (_DO, _check_do),
    (frozenset(("will",)), _check_will),
    (frozenset(("used",)), _check_used_to),
    (frozenset(("plans", "plan", "wants", "hopes")), _check_plan),
)


def _is_definite(complement: list[str]) -> bool:
    """Return whether what follows the verb names something: not "a great time"."""
    return any(
        low not in _INDEFINITE and (len(low) > 2 or word[0].isupper() or word[0].isdigit())
        for word in complement
        if (low := word.lower())
    )


def _is_conjunction(match: re.Match[str]) -> bool:
    """Return whether a "that" joins clauses: "heard that Bob left", not "heard of that"."""
    before, after = match["before"].lower(), match["after"] or ""
    return before not in _BEFORE_PRONOUN and (
        after in WORDS["after_conjunction"]
        or after in BASE_BY_THIRD_PERSON
        or is_past(after)
        or after[:1].isupper()
    )


def _pronouns_are_clear(statement: Statement) -> bool:
    """Return whether every "it" and "she" has a possible antecedent in the statement."""
    predicate = statement.predicate
    has_person = bool(
        statement.possession or statement.group_speaker or KIN & set(statement.subject.split())
    )
    for match in _PRONOUN.finditer(predicate):
        before, pronoun = predicate[: match.start()], match[0]
        is_last = not predicate[match.end() :].strip()
        if pronoun == "ones" or (pronoun in {"it", "them", "one"} and is_last):
            return False
        if pronoun in _PERSONAL_PRONOUNS:
            if not (has_person or _ANTECEDENT_PERSON.search(before) or KIN & set(before.split())):
                return False
        elif not _ANTECEDENT_THING.search(before) and not (
            pronoun in {"they", "them"} and has_person
        ):
            return False
    return True


# ---- from a statement to a claim

_UNKNOWN_DAY = datetime(2000, 1, 1, tzinfo=UTC)  # to find times in turns without a date
# "is going to ", "plans to ", "will "
_PLAN = re.compile(
    r"(?:(?:is|are) (?:going|planning|about|set|hoping) (?:to|on)|will|plans? (?:to|on)) "
)
# the words between the last mark or conjunction and a clause: "Last week" of "Last week, I ..."
_LEAD_TIME = re.compile(r"(?:^|[,;.]\s*|\b(?:and|but|so|then|also)\s+)([^,;.]{3,40}?),?\s*\Z")
_LONG_AGO = timedelta(days=400)  # a state that began earlier may have ended since


def _claim(statement: Statement, clause: Clause, turn: Turn) -> Claim:
    """Return the claim of a statement; its slot if it gives an attribute its present value."""
    lead = _lead_time(clause.lead, turn)
    subject, relation = _attribute(statement)
    if relation is None:
        subject, relation = statement.subject, _event(statement)
    text = f"{lead}, {statement.text}" if lead else statement.text
    if text.count('"') % 2:
        text += '"'
    since = _since(statement, text, turn)
    slot = None
    if relation.attribute and not _is_former(text, since, turn):
        slot = f"{attribute_key(subject)} | {relation.attribute}"
    return Claim(
        text=text[0].upper() + text[1:] + ".",
        source=Source(turn_id=turn.id or "", start=clause.start, end=clause.end),
        head=subject,
        relation=relation.name,
        tail=relation.object or None,
        slot=slot,
        valid_from=since if relation.attribute else None,
    )


def _attribute(statement: Statement) -> tuple[str, Relation | None]:
    """Return the owner of an attribute, and the relation that gives it a value, if any."""
    subject = statement.group_speaker or statement.subject
    owner, noun = statement.possession or (subject, "")
    frequency = find_frequency(statement.core)
    if frequency:
        return subject, frequency
    if not noun or KIN & set(noun.lower().split()):
        return subject, find_relation(statement.core)
    return owner, find_possession(noun, statement.core)


def _event(statement: Statement) -> Relation:
    """Return an event, a plan or a former state, which no later claim supersedes."""
    if plan := _PLAN.match(statement.predicate):
        return Relation(name="plans to", object=statement.predicate[plan.end() :], attribute=None)
    verb, _, complement = statement.core.partition(" ")
    return Relation(name=verb, object=complement, attribute=None)


def _lead_time(lead: str, turn: Turn) -> str:
    """Return the time that precedes a clause, such as "Last week", or an empty string."""
    match = _LEAD_TIME.search(lead)
    if not match:
        return ""
    words = re.sub(r"^(?:and|but|so|then|also) ", "", match[1].strip(), flags=re.IGNORECASE)
    times = spans(words, turn.said_at or _UNKNOWN_DAY)
    is_time = times and times[0].start <= 6 and times[-1].end == len(words)
    return words if is_time else ""


def _is_former(text: str, since: datetime | None, turn: Turn) -> bool:
    """Return whether a sentence tells of a time long ago, after which much may have changed."""
    if PATTERNS["formerly"].search(text):
        return True
    if since is None or turn.said_at is None or re.search(r"\bsince\b", text, re.IGNORECASE):
        return False
    return turn.said_at - since > _LONG_AGO


def _since(statement: Statement, text: str, turn: Turn) -> datetime | None:
    """Return when a state began, if the sentence says so and that is not in the future."""
    times = spans(text, turn.said_at) if turn.said_at else []
    if len(times) != 1 or not turn.said_at or not times[0].since or times[0].since > turn.said_at:
        return None
    verb = statement.core.split()[0]
    begins = is_past(verb) and verb not in {"was", "were", "had", "did"}
    return times[0].since if begins or times[0].text.lower().startswith("since") else None
