"""Insert, merge, supersede and forget thoughts: Think-in-Memory's rules and algorithm.

memkit differs from Liu et al. 2023, section 3.3, in one point. The paper drops both of two
contradicting thoughts; here the newer one closes the older one, or puts it in doubt where that is
not certain, and both stay. What contradicts what is decided before, outside the transaction
(`memkit.protocols.Comparer`).
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from memkit.protocols import ReflectionResult, Vectors, Verdict, WriteBatch
from memkit.records import Thought, Turn
from memkit.text.words import STOP_WORDS, numbers, words
from memkit.thoughts.rows import ThoughtRows

SAME = 0.88  # least cosine of two thoughts that say the same; evals/LOG.md has the sweep
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
        verdicts = _by_last_thought(reflection)
        stored: dict[str, str] = {}  # the thought that a new one became, by the new one's id
        for thought, vector in zip(reflection.thoughts, vectors, strict=True):
            # concluded before from the same place, and maybe retracted since
            known = (
                old.id
                for old, old_vector in zip(earlier, earlier_vectors, strict=True)
                if is_same_claim(thought, old, float(old_vector @ vector))
            )
            its_verdicts = _with_ids(verdicts[thought.id], stored)
            stored[thought.id] = next(known, None) or self._add(thought, vector, its_verdicts)
            for verdict in _with_ids(its_verdicts, stored):
                if verdict.relation in ("closes", "doubts"):
                    certain = verdict.relation == "closes"
                    self._apply(verdict.older_id, verdict.newer_id, certain=certain)

    def _add(self, thought: Thought, vector: Vectors, verdicts: Sequence[Verdict]) -> str:
        """Merge a thought into the one that says the same, or insert it; return the id it has."""
        repeated = [_other(verdict, thought) for verdict in verdicts if verdict.relation == "same"]
        same = [old for old in self._find_believed(repeated) if _may_merge(thought, old)]
        if not same:
            neighbours = self._rows.nearest(thought.text, vector, _COMPARED)
            same = [old for old, cosine in neighbours if says_the_same(thought, old, cosine)]
        for old in same:
            if held_at(old, thought.said_at) and not self._has_changed(old, thought, verdicts):
                self._merge(old, thought, vector)
                return old.id
        self._rows.insert(thought, vector)
        for old in same:  # it was said again after a change, so it holds again from then on
            first, second = in_order([old, thought])
            self._apply(first.id, second.id, certain=True)
        return thought.id

    def _has_changed(self, old: Thought, new: Thought, verdicts: Sequence[Verdict]) -> bool:
        """Return whether words said between two thoughts change one or are changed by one."""
        changes = [
            _other(verdict, new) for verdict in verdicts if verdict.relation in ("closes", "doubts")
        ]
        between = self._rows.find(ids=[*old.conflicts, *changes])
        between += self._rows.find(closed_by=[old.id])
        start, end = sorted((old.said_at, new.said_at))
        return any(start <= other.said_at <= end for other in between if other.id != old.id)

    def _apply(self, older_id: str, newer_id: str, *, certain: bool) -> None:
        """Close the older thought, or put it in doubt, unless either has gone meanwhile."""
        older, newer = self._find_believed([older_id]), self._find_believed([newer_id])
        if not older or not newer or older_id == newer_id:
            return
        repetition = self._split(older[0], newer[0])
        if repetition is None:
            self._change(older_id, newer[0], certain=certain)
            return
        self._change(newer_id, repetition, certain=certain)
        self._change(older_id, newer[0], certain=certain)
        self._change(older_id, repetition, certain=True)

    def _change(self, older_id: str, newer: Thought, *, certain: bool) -> None:
        """Close a thought, or put it in doubt, unless it was closed before the newer one."""
        (older,) = self._rows.find(ids=[older_id])
        if not held_at(older, newer.said_at) or not _may_change(older, newer):
            return
        if certain:
            if not self._is_closed_by(newer, older):
                rest = tuple(rival for rival in older.conflicts if rival != newer.id)
                self._rows.update(older, close(replace(older, conflicts=rest), newer))
        elif newer.id not in older.conflicts:
            self._rows.update(older, replace(older, conflicts=(*older.conflicts, newer.id)))

    def _is_closed_by(self, thought: Thought, closer: Thought) -> bool:
        """Return whether a thought is closed by another one, maybe by way of others."""
        while thought.closed_by is not None and thought.closed_by != closer.id:
            closers = self._rows.find(ids=[thought.closed_by])
            if not closers:
                return False
            thought = closers[0]
        return thought.closed_by is not None

    def _split(self, thought: Thought, newer: Thought) -> Thought | None:
        """Separate what was said again after `newer`; return it, or None if nothing was."""
        if thought.repeated_at <= newer.said_at:
            return None
        sources = self._rows.sources([thought.id])[thought.id]
        later = [(source, turn) for source, turn in sources if _said_at(turn) > newer.said_at]
        if not later or len(later) == len(sources):
            return None
        start, end = _said_at(later[0][1]), _said_at(later[-1][1])
        rivals = self._rows.find(ids=thought.conflicts)
        repetition = replace(
            thought,
            id=uuid.uuid4().hex[:16],
            sources=(),
            said_at=start,
            repeated_at=end,
            valid_from=max(thought.valid_from, start),
            conflicts=tuple(rival.id for rival in rivals if rival.said_at >= start),
        )
        self._rows.insert(repetition, self._rows.vectors([thought.id])[0])
        words = normalise(thought.text)
        for verbatim in (True, False):  # a session sees only words that were said in it
            gained = tuple(
                source
                for source, turn in later
                if (normalise(turn.text[source.start : source.end]) == words) is verbatim
            )
            longer = replace(repetition, sources=(*repetition.sources, *gained))
            self._rows.update(repetition, longer, verbatim=verbatim)
            repetition = longer
        rest = sources[: -len(later)]
        self._rows.update(
            replace(thought, sources=tuple(source for source, _ in sources)),
            replace(
                thought,
                sources=tuple(source for source, _ in rest),
                repeated_at=max(_said_at(turn) for _, turn in rest),
            ),
        )
        return repetition

    def _merge(self, old: Thought, new: Thought, vector: Vectors) -> None:
        union = merge(old, new)
        self._rows.update(
            old,
            union,
            vector=None if union.text == old.text else vector,
            verbatim=normalise(union.text) == normalise(new.text),
        )

    def _find_believed(self, ids: Sequence[str]) -> list[Thought]:
        return [thought for thought in self._rows.find(ids=ids) if thought.retracted_at is None]

    def _find_open(self, ids: Sequence[str]) -> list[Thought]:
        return [thought for thought in self._find_believed(ids) if thought.closed_by is None]

    def _find_derived(self, turn_ids: Sequence[str]) -> list[Thought]:
        thoughts = self._rows.find(turn_ids=turn_ids)
        if not thoughts:
            return []
        sources = self._rows.sources([thought.id for thought in thoughts])
        return [
            replace(thought, sources=tuple(source for source, _ in sources[thought.id]))
            for thought in thoughts
        ]

    def _find_carriers(self, turn_ids: Sequence[str]) -> list[Thought]:
        """Return thoughts with words of these turns that no turn has from which they are drawn.

        What is said again after a change keeps the words in which it was said first.
        """
        carriers = self._rows.carriers()
        sources = self._rows.sources([thought.id for thought in carriers])
        forgotten = {
            word for turn in self._rows.turns(turn_ids) for word in _content_words(_words_of(turn))
        }
        found: list[Thought] = []
        for thought in carriers:
            turns = [turn for _, turn in sources[thought.id]]
            if not {turn.id for turn in turns}.isdisjoint(turn_ids):
                continue  # it is drawn from one of them
            own = {word for turn in turns for word in _content_words(_words_of(turn))}
            if (_content_words(thought.text) - own) & forgotten:
                found.append(
                    replace(thought, sources=tuple(source for source, _ in sources[thought.id]))
                )
        return found

    # ---- corrections

    def _resolve_conflict(self, older_id: str, newer_id: str, *, contradict: bool) -> None:
        """Apply a judge's verdict: the newer thought closes the older one, or both hold."""
        older, newer = self._find_open([older_id]), self._find_believed([newer_id])
        if not older or not newer:
            return  # one of them was deleted or retracted in the meantime
        if contradict:
            self._apply(older_id, newer_id, certain=True)
        else:
            remaining = tuple(rival for rival in older[0].conflicts if rival != newer_id)
            self._rows.update(older[0], replace(older[0], conflicts=remaining))

    def _retract(self, thought_id: str, at: datetime) -> None:
        """Stop believing a thought; the thoughts that it closed hold again."""
        for thought in self._find_believed([thought_id]):
            self._rows.update(thought, replace(thought, retracted_at=at, conflicts=()))
            self._reopen([thought])

    def _forget(self, turn_ids: Sequence[str]) -> None:
        """Delete the thoughts with words of these turns, and queue their other turns again."""
        derived = [*self._find_derived(turn_ids), *self._find_carriers(turn_ids)]
        if not derived:
            return
        believed = [thought for thought in derived if thought.retracted_at is None]
        supporting = dict.fromkeys(id for thought in believed for id in thought.turn_ids)
        self._rows.delete([thought.id for thought in derived], requeue=list(supporting))
        self._reopen(derived)

    def _reopen(self, removed: Sequence[Thought]) -> None:
        """Open the thoughts that removed ones closed, or join them to what closed the removed ones.

        So "Leeds", closed by "Oslo", closed by "Rome", does not hold again without "Oslo".
        """
        next_closer = {thought.id: thought.closed_by for thought in removed}
        for thought in self._rows.find(closed_by=list(next_closer)):
            closer_id = thought.closed_by
            while closer_id in next_closer:
                closer_id = next_closer[closer_id]
            closers = self._find_believed([closer_id]) if closer_id else []
            self._rows.update(thought, close(thought, closers[0] if closers else None))
            if not closers:  # compare it with what was said since
                *_, (_, last_turn) = self._rows.sources([thought.id])[thought.id]
                self._rows.delete([], requeue=[last_turn.id or ""])


def _content_words(text: str) -> set[str]:
    return set(words(text)) - STOP_WORDS


def _words_of(turn: Turn) -> str:
    """Return what a thought may repeat of a turn: its text and who said it."""
    return f"{turn.speaker} {turn.text}"


def _said_at(turn: Turn) -> datetime:
    assert turn.said_at is not None  # set for every stored turn
    return turn.said_at


def _may_change(older: Thought, newer: Thought) -> bool:
    """Return whether a thought was said later, and by somebody of the same authority or more."""
    return _rank(newer) >= _rank(older) and newer.said_at >= older.said_at


def _other(verdict: Verdict, thought: Thought) -> str:
    """Return the id of the other thought of a verdict."""
    return verdict.older_id if verdict.newer_id == thought.id else verdict.newer_id


def _by_last_thought(reflection: ReflectionResult) -> dict[str, list[Verdict]]:
    """Return the verdicts by the thought of each pair that is added last."""
    order = {thought.id: n for n, thought in enumerate(reflection.thoughts)}
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in reflection.verdicts:
        ids = (verdict.newer_id, verdict.older_id)
        groups[max(ids, key=lambda id: order.get(id, -1))].append(verdict)
    return groups


def _with_ids(verdicts: Iterable[Verdict], stored: Mapping[str, str]) -> list[Verdict]:
    """Return verdicts with the ids that new thoughts have in the store."""
    return [
        replace(
            verdict,
            older_id=stored.get(verdict.older_id, verdict.older_id),
            newer_id=stored.get(verdict.newer_id, verdict.newer_id),
        )
        for verdict in verdicts
    ]


# ---- which thoughts say the same


def is_same_claim(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether both thoughts were drawn from the same place in a turn and say the same."""
    places = {(source.turn_id, source.start) for source in old.sources}
    if not places.issuperset((source.turn_id, source.start) for source in new.sources):
        return False
    return normalise(new.text) == normalise(old.text) or says_the_same(new, old, cosine)


def says_the_same(new: Thought, old: Thought, cosine: float) -> bool:
    """Return whether two thoughts say the same in nearly the same words.

    Vectors hardly distinguish "a red lamp" from "a blue lamp". So names, numbers, quotes and
    negation have to agree, and most of the words too.
    """
    if not _may_merge(new, old):
        return False
    if normalise(new.text) == normalise(old.text):
        return True
    if cosine < SAME or _differ(new, old):
        return False
    new_words, old_words = set(words(new.text)), set(words(old.text))
    return len(new_words & old_words) >= _OVERLAP * min(len(new_words), len(old_words))


def _may_merge(new: Thought, old: Thought) -> bool:
    """Return whether both are of one speaker, and both believed or both denials.

    "I live in Ghent" is another fact from another speaker. A user's claim is not merged into an
    assistant's, because it is believed only since the user said it.
    """
    of_one_speaker = (new.said_by, new.role) == (old.said_by, old.role)
    return of_one_speaker and (new.kind == "denial") == (old.kind == "denial")


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


def merge(old: Thought, new: Thought) -> Thought:
    """Return one thought with the sources of both, in the words that were said first."""
    first, _ = in_order([old, new])
    return replace(
        first,
        id=old.id,
        sources=tuple(dict.fromkeys([*old.sources, *new.sources])),
        repeated_at=max(old.repeated_at, new.repeated_at),
        valid_from=min(old.valid_from, new.valid_from),
        conflicts=old.conflicts,
        recorded_at=old.recorded_at,
    )


def in_order(thoughts: Iterable[Thought]) -> list[Thought]:
    """Return thoughts in the order they were first said; ties keep the given order."""
    return sorted(thoughts, key=lambda thought: thought.said_at)


def held_at(thought: Thought, at: datetime) -> bool:
    """Return whether a thought was not closed yet at a time."""
    return thought.closed_at is None or thought.closed_at > at


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
