"""Insert, merge and forget, as rules over a few thoughts. Pure: a store says which few.

Think-in-Memory (Liu et al. 2023, section 3.3) has a language model merge and forget inside a group
of the hash. Two things are decided otherwise here. The paper drops both of two contradicting
thoughts; for a personal memory that loses every update, so the newer one closes the older. And
what became of a slot is worked out from all its thoughts each time, so that it does not depend on
the order in which turns arrive, nor on what was forgotten in between.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from memkit.records import Source, Thought
from memkit.text.words import content, numbers, words

SAME = 0.88  # cosine from which two thoughts may say the same; evals/LOG.md has the sweep
RELATED = 0.75  # cosine from which they may contradict each other
_OVERLAP = 0.7  # of their words, where cosines are not to be trusted

_NEGATIVE = re.compile(r"\b(?:not|no|never|cannot|stopped|quit|without)\b|n['’]t\b", re.IGNORECASE)
_PARTICULAR = re.compile(
    r"(?<!\w)-?\d+(?:[.,:]\d+)*|'[^']+'|\"[^\"]+\"|(?<=\s)[^\W\d_][\w-]*|[^\w\s.,:;!?…()'\"‘’“”«»-]+"
)
# what people may write or leave out; the marks of "C++", "-5" and "🎉" are not among it
_ARTICLE = re.compile(r"\b(?:a|an|the)\b|(?<=\w)[-_](?=\w)|[][.,:;!?…()'\"‘’“”«»]", re.IGNORECASE)


def value(thought: Thought) -> tuple[bool, str]:
    """Return what a thought says of its slot: whether it denies it, and the words.

    Two thoughts of one slot agree if their values are equal.
    """
    said = thought.tail if thought.tail is not None else thought.text
    return denies(thought.relation or thought.text), plain(said)


def denies(text: str) -> bool:
    """Return whether a text says that something is not so."""
    return _NEGATIVE.search(text) is not None


def plain(text: str) -> str:
    """Return a text without what two people may write differently: case, articles, marks."""
    return " ".join(_ARTICLE.sub(" ", text.casefold()).split())


def twin(new: Thought, slot: Sequence[Thought]) -> Thought | None:
    """Return the thought of its slot that `new` only repeats: a neighbour in time of equal value.

    One further away is another matter: who moves away and comes back lives there twice. What an
    assistant says comes between nothing that the user says; and a user's claim does not join an
    assistant's before it, because it is believed only since the user said it.
    """
    peers = [one for one in ordered(slot) if _rank(one) >= _rank(new)]
    before = [one for one in peers if one.said_at <= new.said_at]
    after = [one for one in peers if one.said_at > new.said_at]
    beside = [*before[-1:], *(one for one in after[:1] if _rank(one) == _rank(new))]
    return next((one for one in beside if value(one) == value(new)), None)


def interrupted(new: Thought, slot: Sequence[Thought]) -> list[Thought]:
    """Return the thoughts of its slot that were said before and after `new`, and say otherwise."""
    return [
        one
        for one in slot
        if one.said_at <= new.said_at < one.repeated_at
        and _rank(one) <= _rank(new)
        and value(one) != value(new)
    ]


def repeats(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts from one place are the same one, drawn twice."""
    if plain(new.text) == plain(old.text):
        return True
    if new.slot is None and old.slot is None:
        return same(new, old, cosine)
    return new.slot == old.slot and value(new) == value(old)


def same(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts without a slot say the same in other words.

    Vectors hardly tell "a red lamp" from "a blue lamp", so names, numbers, quotes and denial have
    to agree, and most words where the vectors are not all but equal.
    """
    if plain(new.text) == plain(old.text):
        return True
    if cosine < SAME or new.head != old.head or _differ(new, old):
        return False
    mine, theirs = set(words(new.text)), set(words(old.text))
    return len(mine & theirs) >= _OVERLAP * min(len(mine), len(theirs))


def may_contradict(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts of one head are alike but for a denial or a number.

    Rules cannot tell whether both hold ("ran 5 km", "ran 10 km"): both stay, marked.
    """
    if cosine < RELATED or new.head != old.head or not _differ(new, old):
        return False
    mine, theirs = content(new.text), content(old.text)
    return len(mine & theirs) >= _OVERLAP * len(mine | theirs)


def _differ(one: Thought, other: Thought) -> bool:
    """Return whether one denies what the other does not, or they name particulars not shared."""
    if denies(one.text) != denies(other.text):
        return True
    return _particulars(one.text) != _particulars(other.text)


def _particulars(text: str) -> set[str]:
    """Return the numbers, quotes, names and signs of a text; its first word is no name."""
    found = _PARTICULAR.findall(text)
    return numbers(text) | {one for one in found if one[0].isupper() or not one[0].isalpha()}


def merged(old: Thought, new: Thought) -> Thought:
    """Return one thought with the sources of both; it reads as it was said first."""
    first, then = ordered([old, new])
    outranks = _rank(then) > _rank(first)
    return replace(
        first,
        id=old.id,
        sources=_union(old.sources, new.sources),
        repeated_at=max(old.repeated_at, new.repeated_at),
        valid_from=min(old.valid_from, new.valid_from),
        role=then.role if outranks else first.role,
        said_by=then.said_by if outranks else first.said_by,
        recorded_at=old.recorded_at,
    )


def _union(mine: Sequence[Source], theirs: Sequence[Source]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys([*mine, *theirs]))


def ordered(slot: Sequence[Thought]) -> list[Thought]:
    """Return thoughts in the order they were first said; as given, if at the same time."""
    return sorted(slot, key=lambda one: one.said_at)


def chain(slot: Sequence[Thought]) -> list[Thought]:
    """Return a slot's thoughts in time, each closed by the next one that may close it.

    A user's claim is closed by users' claims alone; an assistant's also by one made before it.
    """
    told = ordered(slot)
    return [closed(one, _closer(n, told)) for n, one in enumerate(told)]


def _closer(n: int, told: Sequence[Thought]) -> Thought | None:
    one = told[n]
    earlier = [other for other in told[:n] if _rank(other) > _rank(one)]
    if earlier:
        return earlier[-1]
    return next((other for other in told[n + 1 :] if _rank(other) >= _rank(one)), None)


def closed(thought: Thought, closer: Thought | None) -> Thought:
    """Return a thought as one that another closed; None: as one that holds."""
    if closer is None:
        return replace(thought, valid_to=None, closed_at=None, closed_by=None)
    said, begun = max(closer.said_at, thought.said_at), closer.valid_from
    return replace(
        thought,
        valid_to=max(begun, thought.valid_from),  # at no time do both hold
        closed_at=said,
        closed_by=closer.id,
    )


def _rank(thought: Thought) -> int:
    return 1 if thought.role == "user" else 0
