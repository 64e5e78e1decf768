"""Insert, merge, supersede and forget thoughts: Think-in-Memory's rules and algorithm.

memkit differs from Liu et al. 2023, section 3.3, in two points. The paper drops both of two
contradicting thoughts; here the newer one closes the older one. The values of an attribute are
chained again from all its thoughts whenever one changes, so that neither the order in which turns
arrive nor deleted turns matter.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from memkit.protocols import ReflectionResult, ThoughtRows, Vectors, WriteBatch
from memkit.records import Source, Thought, Turn
from memkit.text.words import content, numbers, words

SAME = 0.88  # least cosine of two thoughts that say the same; evals/LOG.md has the sweep
RELATED = 0.75  # least cosine of two thoughts that may contradict each other
_OVERLAP = 0.7  # least share of common words, because cosines alone are too coarse
_COMPARED = 8  # nearest thoughts that a new one is compared with

# "not", "never", "doesn't", "doesn’t": a text with one of these denies something
_NEGATIVE = re.compile(r"\b(?:not|no|never|cannot|stopped|quit|without)\b|n['’]t\b", re.IGNORECASE)
# what tells two similar sentences apart: numbers ("-5", "1.5", "12:30"), quotes ("'Emma'"), words
# after the first one (names are picked out by their capital) and signs ("++", "🎉")
_PARTICULAR = re.compile(
    r"(?<!\w)-?\d+(?:[.,:]\d+)*|'[^']+'|\"[^\"]+\"|(?<=\s)[^\W\d_][\w-]*|[^\w\s.,:;!?…()'\"‘’“”«»-]+"
)
# what may be left out without a change of meaning: articles, hyphens inside words ("e-mail") and
# punctuation; the signs in "C++", "-5" and "🎉" do not match
_OPTIONAL = re.compile(r"\b(?:a|an|the)\b|(?<=\w)[-_](?=\w)|[][.,:;!?…()'\"‘’“”«»]", re.IGNORECASE)


class ThoughtTransaction:
    """Inserts, merges, supersedes and forgets one user's thoughts in one write transaction."""

    def __init__(self, rows: ThoughtRows) -> None:
        self._rows = rows

    def write(self, batch: WriteBatch) -> None:
        """Write what a batch changes in thoughts: reflection, verdicts, retractions, deletions."""
        if batch.reflection is not None and batch.reflection.failure is None:
            self._add_reflection(batch.reflection)
        for older_id, newer_id, contradict in batch.resolved_conflicts:
            self._resolve_conflict(older_id, newer_id, contradict=contradict)
        for thought_id, at in batch.retract.items():
            self._retract(thought_id, at)
        if batch.forget:
            self._forget(batch.forget)

    # ---- reflection

    def _add_reflection(self, reflection: ReflectionResult) -> None:
        """Add the thoughts of turns that are still queued; do nothing if others were first."""
        if not self._rows.take(reflection):
            return
        if not reflection.thoughts or reflection.vectors is None:
            return
        vectors = np.asarray(reflection.vectors, dtype=np.float32)
        earlier = self._find_derived(reflection.turns)
        earlier_vectors = self._rows.vectors([thought.id for thought in earlier])
        for thought, vector in zip(reflection.thoughts, vectors, strict=True):
            if any(
                is_same_claim(thought, old, float(old_vector @ vector))
                for old, old_vector in zip(earlier, earlier_vectors, strict=True)
            ):
                continue  # concluded before from the same place, and maybe retracted since
            if thought.slot is None:
                self._add_statement(thought, vector)
            else:
                self._add_value(thought.slot, thought, vector)

    def _add_statement(self, thought: Thought, vector: Vectors) -> None:
        """Merge a thought into one that says the same, or insert it with its rivals."""
        neighbours = self._rows.nearest(thought.text, vector, _COMPARED)
        for neighbour, cosine in neighbours:
            if says_the_same(thought, neighbour, cosine):
                self._merge(neighbour, thought, vector)
                return
        rivals = [old.id for old, cosine in neighbours if may_contradict(thought, old, cosine)]
        self._rows.insert(replace(thought, conflicts=tuple(rivals)), vector)

    def _add_value(self, attribute: str, thought: Thought, vector: Vectors) -> None:
        """Merge or insert a value of a single-valued attribute, and close what it replaces."""
        values = {old.id: old for old in self._find_believed(attribute=attribute)}
        additions = [(thought, vector)]
        for interrupted in find_interrupted(thought, list(values.values())):
            values[interrupted.id], repetitions = self._split(interrupted, thought.said_at)
            additions += repetitions
        for addition, its_vector in additions:
            duplicate = find_duplicate(addition, list(values.values()))
            if duplicate is None:
                self._rows.insert(addition, its_vector)
                values[addition.id] = addition
            else:
                values[duplicate.id] = self._merge(duplicate, addition, its_vector)
        self._rechain(list(values.values()))

    def _merge(self, old: Thought, new: Thought, vector: Vectors) -> Thought:
        union = merge(old, new)
        self._rows.update(
            old,
            union,
            vector=None if union.text == old.text else vector,
            verbatim=normalise(union.text) == normalise(new.text),
        )
        return union

    def _split(
        self, thought: Thought, at: datetime
    ) -> tuple[Thought, list[tuple[Thought, Vectors]]]:
        """Remove the sources said after `at`; return the thought, and those sources as thoughts."""
        sources = self._rows.sources([thought.id])[thought.id]
        earlier = [(source, turn) for source, turn in sources if _said_at(turn) <= at]
        first = replace(
            thought,
            sources=tuple(source for source, _ in earlier),
            repeated_at=max(_said_at(turn) for _, turn in earlier),
        )
        self._rows.update(replace(thought, sources=tuple(source for source, _ in sources)), first)
        vector = self._rows.vectors([thought.id])[0]
        return first, [
            (_repetition(thought, source, turn), vector) for source, turn in sources[len(earlier) :]
        ]

    def _find_believed(
        self, *, ids: Sequence[str] = (), attribute: str | None = None
    ) -> list[Thought]:
        thoughts = self._rows.find(ids=ids, attribute=attribute)
        return [thought for thought in thoughts if thought.retracted_at is None]

    def _find_derived(self, turn_ids: Sequence[str]) -> list[Thought]:
        thoughts = self._rows.find(turn_ids=turn_ids)
        if not thoughts:
            return []
        sources = self._rows.sources([thought.id for thought in thoughts])
        return [
            replace(thought, sources=tuple(source for source, _ in sources[thought.id]))
            for thought in thoughts
        ]

    def _rechain(self, thoughts: Sequence[Thought]) -> None:
        """Write which thought closes which, of thoughts that cannot hold at the same time."""
        before = {thought.id: thought for thought in thoughts}
        for thought in chain(thoughts):
            if thought != before[thought.id]:
                self._rows.update(before[thought.id], thought)

    # ---- corrections

    def _resolve_conflict(self, older_id: str, newer_id: str, *, contradict: bool) -> None:
        """Apply a judge's verdict: the newer thought closes the older one, or both hold."""
        pair = self._find_believed(ids=[older_id, newer_id])
        if len(pair) < 2:
            return  # one of them was deleted or retracted in the meantime
        pair.sort(key=lambda thought: thought.id != older_id)  # the older first
        remaining = tuple(rival for rival in pair[0].conflicts if rival != newer_id)
        self._rows.update(pair[0], replace(pair[0], conflicts=remaining))
        if contradict and all(thought.closed_by is None for thought in pair):
            self._rechain(pair)

    def _retract(self, thought_id: str, at: datetime) -> None:
        """Stop believing a thought; the thoughts that it closed hold again."""
        for thought in self._find_believed(ids=[thought_id]):
            self._rows.update(thought, replace(thought, retracted_at=at, conflicts=()))
            self._reopen([thought])

    def _forget(self, turn_ids: Sequence[str]) -> None:
        """Delete the thoughts drawn from these turns, and queue their other turns again."""
        derived = self._find_derived(turn_ids)
        if not derived:
            return
        believed = [thought for thought in derived if thought.retracted_at is None]
        supporting = dict.fromkeys(id for thought in believed for id in thought.turn_ids)
        self._rows.delete([thought.id for thought in derived], requeue=list(supporting))
        self._reopen(derived)

    def _reopen(self, removed: Sequence[Thought]) -> None:
        """Open the thoughts that removed ones closed, and chain their attributes again."""
        for thought in self._rows.find(closed_by=[thought.id for thought in removed]):
            self._rows.update(thought, close(thought, None))
        for attribute in dict.fromkeys(thought.slot for thought in removed):
            if attribute is not None:
                self._rechain(self._find_believed(attribute=attribute))


def _said_at(turn: Turn) -> datetime:
    assert turn.said_at is not None  # set for every stored turn
    return turn.said_at


def _repetition(thought: Thought, source: Source, turn: Turn) -> Thought:
    """Return a thought as a new one that was said in one of its turns alone."""
    said_at = _said_at(turn)
    return replace(
        thought,
        id=uuid.uuid4().hex,
        sources=(source,),
        said_by=turn.name or turn.role,
        role=turn.role,
        said_at=said_at,
        repeated_at=said_at,
        valid_from=max(thought.valid_from, said_at),
        conflicts=(),
    )


# ---- which thoughts say the same


def is_same_claim(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether both thoughts were drawn from the same place in a turn and say the same."""
    places = {(source.turn_id, source.start) for source in old.sources}
    if not places.issuperset((source.turn_id, source.start) for source in new.sources):
        return False
    if normalise(new.text) == normalise(old.text):
        return True
    if new.slot is None and old.slot is None:
        return says_the_same(new, old, cosine)
    return new.slot == old.slot and value_of(new) == value_of(old)


def says_the_same(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts without attribute say the same in other words.

    Vectors hardly distinguish "a red lamp" from "a blue lamp". So names, numbers, quotes and
    negation have to agree, and most of the words too.
    """
    if normalise(new.text) == normalise(old.text):
        return True
    if cosine < SAME or new.head != old.head or _differ(new, old):
        return False
    new_words, old_words = set(words(new.text)), set(words(old.text))
    return len(new_words & old_words) >= _OVERLAP * min(len(new_words), len(old_words))


def may_contradict(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts about one head differ only in a negation, number or name.

    Rules cannot tell whether both hold ("ran 5 km", "ran 10 km"): both stay, marked as a conflict.
    """
    if cosine < RELATED or new.head != old.head or not _differ(new, old):
        return False
    new_words, old_words = content(new.text), content(old.text)
    return len(new_words & old_words) >= _OVERLAP * len(new_words | old_words)


def _differ(new: Thought, old: Thought) -> bool:
    """Return whether exactly one is negated, or their particulars are not the same."""
    differ_in_negation = is_negated(new.text) != is_negated(old.text)
    return differ_in_negation or _particulars(new.text) != _particulars(old.text)


def _particulars(text: str) -> set[str]:
    """Return the numbers, quotes, names and signs of a text; its first word is not a name."""
    matches = _PARTICULAR.findall(text)
    return numbers(text) | {
        match for match in matches if match[0].isupper() or not match[0].isalpha()
    }


def is_negated(text: str) -> bool:
    """Return whether a text denies something."""
    return _NEGATIVE.search(text) is not None


def normalise(text: str) -> str:
    """Return a text without differences of case, articles, hyphens and punctuation."""
    return " ".join(_OPTIONAL.sub(" ", text.casefold()).split())


# ---- the values of one single-valued attribute


def value_of(thought: Thought) -> tuple[bool, str]:
    """Return the value of a thought's attribute: whether it is negated, and its words.

    Two thoughts about one attribute agree if these are equal.
    """
    text = thought.tail if thought.tail is not None else thought.text
    return is_negated(thought.relation or thought.text), normalise(text)


def find_duplicate(new: Thought, values: Sequence[Thought]) -> Thought | None:
    """Return the thought that `new` repeats: a neighbour in time with the same value.

    A repetition after another value is no duplicate: who moves away and comes back lives there
    twice. An assistant's claim does not separate two claims of the user; and a user's claim is not
    merged into an assistant's earlier one, because it is believed only since the user said it.
    """
    peers = [old for old in in_order(values) if _rank(old) >= _rank(new)]
    before = [old for old in peers if old.said_at <= new.said_at]
    after = [old for old in peers if old.said_at > new.said_at]
    neighbours = [*before[-1:], *(old for old in after[:1] if _rank(old) == _rank(new))]
    return next((old for old in neighbours if value_of(old) == value_of(new)), None)


def find_interrupted(new: Thought, values: Sequence[Thought]) -> list[Thought]:
    """Return the thoughts with another value that were said both before and after `new`."""
    return [
        old
        for old in values
        if old.said_at <= new.said_at < old.repeated_at
        and _rank(old) <= _rank(new)
        and value_of(old) != value_of(new)
    ]


def merge(old: Thought, new: Thought) -> Thought:
    """Return one thought with the sources of both, in the words that were said first."""
    first, second = in_order([old, new])
    speaker = second if _rank(second) > _rank(first) else first
    return replace(
        first,
        id=old.id,
        sources=tuple(dict.fromkeys([*old.sources, *new.sources])),
        repeated_at=max(old.repeated_at, new.repeated_at),
        valid_from=min(old.valid_from, new.valid_from),
        role=speaker.role,
        said_by=speaker.said_by,
        conflicts=old.conflicts,
        recorded_at=old.recorded_at,
    )


def in_order(thoughts: Iterable[Thought]) -> list[Thought]:
    """Return thoughts in the order they were first said; ties keep the given order."""
    return sorted(thoughts, key=lambda thought: thought.said_at)


def chain(values: Sequence[Thought]) -> list[Thought]:
    """Return an attribute's thoughts in time, each closed by the next that may close it.

    A user's claim is closed only by a later claim of a user. An assistant's is closed by any later
    claim, and by the last claim that a user made before it.
    """
    ordered = in_order(values)
    return [close(thought, _closer(n, ordered)) for n, thought in enumerate(ordered)]


def _closer(n: int, ordered: Sequence[Thought]) -> Thought | None:
    """Return the thought that closes the n-th one, if any."""
    thought = ordered[n]
    overruling = [earlier for earlier in ordered[:n] if _rank(earlier) > _rank(thought)]
    if overruling:
        return overruling[-1]
    return next((later for later in ordered[n + 1 :] if _rank(later) >= _rank(thought)), None)


def close(thought: Thought, closer: Thought | None) -> Thought:
    """Return a thought as closed by another one, or as open if `closer` is None."""
    if closer is None:
        return replace(thought, valid_to=None, closed_at=None, closed_by=None)
    return replace(
        thought,
        valid_to=max(closer.valid_from, thought.valid_from),  # both never hold at the same time
        closed_at=max(closer.said_at, thought.said_at),
        closed_by=closer.id,
    )


def _rank(thought: Thought) -> int:
    """Return the authority of a claim: the user's words outrank the assistant's."""
    return 1 if thought.role == "user" else 0
