"""Leakage: texts that stand on both sides of a line that nothing should cross.

Pairs are proposed by MinHash and confirmed by their exact Jaccard similarity, so a hash never
accuses anybody. Source: Zhang et al. 2025, 4.1.4; Broder 1997; banding: Leskovec, Rajaraman and
Ullman, chapter 3.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.card.records import Audit
from evals.data.haystack import Asked, DataSet, Haystack
from memkit.errors import InvalidInput

if TYPE_CHECKING:
    from datasketch import MinHash

SHINGLE = 5  # words
SIMILAR = 0.8  # Jaccard from which on two texts count as the same; the paper's example
MOST = 0.007  # share of affected texts from which on an audit fails; the paper's example

_PERMUTATIONS, _SEED = 128, 1
# bands and rows: of pairs at the threshold, fewer than one in a million is not proposed
_COARSE, _FINE = (64, 2), (32, 4)
# letters of scripts that write no spaces count as words
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

Texts = Mapping[str, str]  # by id
Shingles = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Two texts that say the same."""

    left: str  # ids
    right: str
    estimated: float  # Jaccard similarity by MinHash
    jaccard: float  # the exact one


def shingles(text: str) -> Shingles:
    """Return every five words in a row; a shorter text is one shingle, an empty one has none.

    >>> sorted(shingles("One two, three four five six!"))
    ['one two three four five', 'two three four five six']
    """
    words = _words(text)
    last = max(len(words) - SHINGLE, 0)
    return frozenset(" ".join(words[n : n + SHINGLE]) for n in range(last + 1) if words)


def overlap(left: Texts, right: Texts, *, threshold: float = SIMILAR) -> list[Overlap]:
    """Return the pairs of one text of each side whose shingles have this Jaccard similarity.

    Args:
        left: texts by id.
        right: texts by id.
        threshold: from 0.5 to 1.

    Raises:
        InvalidInput: the threshold is outside that range.
    """
    found = [
        Overlap(left=one, right=other, estimated=estimated, jaccard=exact)
        for ones, others, estimated, exact in _matches(left, right, threshold)
        for one in ones
        for other in others
    ]
    return sorted(found, key=lambda pair: (pair.left, pair.right))


def between(
    name: str, data: str, left: Texts, right: Texts, *, threshold: float = SIMILAR
) -> Audit:
    """Return the audit of how many texts of `right` stand in `left` as well.

    Args:
        name: which sets these are, such as "train ∩ test".
        data: the data set's name.
        left: texts by id.
        right: those that must not be known beforehand.
        threshold: Jaccard similarity from which on two texts are the same.
    """
    affected = {one for _, others, _, _ in _matches(left, right, threshold) for one in others}
    how = f"MinHash, then exact Jaccard of {SHINGLE}-word shingles ≥ {threshold:g}"
    return _audit(name, data, len(right), len(affected), f"{how}; {len(left)} texts on the left")


def said(data: str, haystacks: Sequence[Haystack]) -> Audit:
    """Return the audit of questions that were said in the dialogue themselves.

    Such a question is found by its own words. It counts if it is a turn, nearly, or if at least
    five words that are all of it stand in a row within one.
    """
    asked = affected = 0
    for haystack in haystacks:
        turns = {str(turn.id): turn.text for turn in haystack.turns}
        questions = {one.id: one.text for one in haystack.questions}
        dialogue = "\n".join(f" {' '.join(_words(text))} " for text in turns.values())
        near = {pair.right for pair in overlap(turns, questions)}
        near |= {one for one, text in questions.items() if _stands_in(text, dialogue)}
        asked, affected = asked + len(questions), affected + len(near)
    return _audit("index ∩ test", data, asked, affected, "questions that were said in the dialogue")


def told(data: str, haystacks: Sequence[Haystack]) -> Audit:
    """Return the audit of questions that hold their own answer; a choice ("or") may."""
    questions = [one for haystack in haystacks for one in haystack.questions]
    judged = [one for one in questions if one.answerable and one.expected.answers]
    giving = [one for one in judged if _gives_away(one)]
    note = "questions that hold their own answer, other than those that offer a choice"
    return _audit("answer in question", data, len(judged), len(giving), note)


def audits(data: str, read: DataSet, train: Texts | None = None) -> list[Audit]:
    """Return every leakage audit that a data set allows.

    Args:
        data: its name in the card.
        read: the data set.
        train: texts that a system or model was made from, where they are known.
    """
    haystacks = list(read.haystacks)
    found = [said(data, haystacks), told(data, haystacks)]
    tuning, report = _solved(read.of("tuning")), _solved(read.of("report"))
    if tuning and report:
        found.append(between("tuning ∩ report", data, tuning, report))
    if train:
        index = {
            f"{haystack.name}/{turn.id}": turn.text
            for haystack in haystacks
            for turn in haystack.turns
            if len(_words(turn.text)) >= SHINGLE  # everybody says "Thanks!"
        }
        found.append(between("train ∩ test", data, train, _solved(haystacks)))
        found.append(between("train ∩ index", data, train, index))
    return found


def apart(sets: Mapping[str, DataSet]) -> list[Audit]:
    """Return the audits of tuning against report where a card has the two parts of a file apart.

    Args:
        sets: the data sets by their names in the card.
    """
    found = []
    for name, read in sets.items():
        report = _solved(read.of("report"))
        tuning = {
            id: text
            for other, one in sets.items()
            if other != name and one.sha256 == read.sha256
            for id, text in _solved(one.of("tuning")).items()
        }
        if tuning and report:
            found.append(between("tuning ∩ report", name, tuning, report))
    return found


def texts(files: Sequence[Path]) -> dict[str, str]:
    """Read what a system or model was made from: a text a line, or JSON lines.

    Of JSON lines, in a file that ends in .jsonl, every string is a text, and so is an object's
    `question` with its `answer` or the first of its `answers`, as the test's are.

    Raises:
        InvalidInput: a file cannot be read, a line is no JSON, or there is no text.
    """
    found: dict[str, str] = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{file} cannot be read: {error}; give text in UTF-8") from error
        here = {
            f"{file}:{n}.{m}": text
            for n, line in enumerate(lines, start=1)
            for m, text in enumerate(_texts(file, n, line))
            if text.strip()
        }
        if not here:
            raise InvalidInput(f"{file} holds no text; leave it out of train")
        found |= here
    return found


def _texts(file: Path, n: int, line: str) -> Iterator[str]:
    if file.suffix != ".jsonl" or not line.strip():
        yield line
        return
    try:
        yield from _strings(json.loads(line))
    except ValueError as error:
        raise InvalidInput(f"{file}, line {n}: not JSON: {error}") from error


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield _together(value)
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _together(value: Mapping[str, Any]) -> str:
    answers = value.get("answer", value.get("answers"))
    answer = answers[0] if isinstance(answers, list) and answers else answers
    return f"{value['question']} {answer}" if "question" in value and answer else ""


def _audit(name: str, data: str, checked: int, violations: int, note: str) -> Audit:
    share = violations / checked if checked else 0.0
    return Audit(
        name=f"leakage: {name}",
        data=data,
        system="",
        checked=checked,
        violations=violations,
        threshold=MOST,
        passed=share < MOST,
        note=f"{note}; {100 * share:.1f} % affected",
    )


def _solved(haystacks: Sequence[Haystack]) -> dict[str, str]:
    """Return questions with their answers: the question alone may be anybody's."""
    return {
        one.id: " ".join((one.text, *one.expected.answers[:1]))
        for haystack in haystacks
        for one in haystack.questions
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _stands_in(text: str, dialogue: str) -> bool:
    words = _words(text)
    return len(words) >= SHINGLE and f" {' '.join(words)} " in dialogue


def _gives_away(question: Asked) -> bool:
    words = _words(question.text)
    answers = [" ".join(_words(answer)) for answer in question.expected.answers]
    held = f" {' '.join(words)} "
    return "or" not in words and any(one and f" {one} " in held for one in answers)


def _matches(
    left: Texts, right: Texts, threshold: float
) -> Iterator[tuple[list[str], list[str], float, float]]:
    """Yield ids of the left and of the right whose texts are similar, and how much."""
    from datasketch import MinHashLSH

    if not 0.5 <= threshold <= 1:
        raise InvalidInput(f"an overlap's threshold is from 0.5 to 1, not {threshold:g}")
    ones, others = _by_shingles(left), _by_shingles(right)
    # the similarity of two sets is at most the ratio of their sizes
    sizes = sorted(len(other) for other in others) or [1]
    ones = {
        one: ids
        for one, ids in ones.items()
        if min(len(one) / sizes[0], sizes[-1] / len(one)) >= threshold
    }
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_FINE if threshold >= SIMILAR else _COARSE)
    sketches = {one: _sketch(one) for one in ones}
    numbered = list(ones)
    for n, one in enumerate(numbered):
        index.insert(n, sketches[one])
    for other, ids in others.items():
        sketch = sketches.get(other) or _sketch(other)
        for one in (numbered[n] for n in sorted(index.query(sketch))):
            exact = len(one & other) / len(one | other)
            if exact >= threshold:
                yield ones[one], ids, float(sketches[one].jaccard(sketch)), exact


def _by_shingles(texts: Texts) -> dict[Shingles, list[str]]:
    """Return the ids of each distinct text; people repeat themselves, and sketches take time."""
    found = defaultdict(list)
    for name, text in texts.items():
        if made := shingles(text):
            found[made].append(name)
    return dict(found)


def _sketch(made: Shingles) -> "MinHash":
    from datasketch import MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    sketch.update_batch([one.encode() for one in sorted(made)])
    return sketch
