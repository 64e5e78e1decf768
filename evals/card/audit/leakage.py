"""Leakage audits: texts that are on both sides of a line that nothing should cross.

MinHash proposes pairs, and their exact Jaccard similarity confirms them, so a hash alone never
fails an audit. Source: Zhang et al. 2025, 4.1.4; Broder 1997; banding: Leskovec, Rajaraman and
Ullman, chapter 3.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

from evals.card.records import Audit
from evals.data.haystack import DataSet, Haystack
from memkit.errors import InvalidInput

SHINGLE = 5  # words
SIMILAR = 0.8  # Jaccard similarity of two texts that count as equal; the paper's example
MOST = 0.007  # share of affected texts that fails an audit; the paper's example

_PERMUTATIONS, _SEED = 128, 1
_BANDS_AND_ROWS = (32, 4)  # fewer than one in a million pairs at SIMILAR is not proposed
# scripts without spaces: each character of Thai, Lao, kana, Han and Hangul is a word
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

Texts = Mapping[str, str]  # by id
Shingles = frozenset[str]


def shingles(text: str) -> Shingles:
    """Return all runs of five words; a shorter text is one shingle, an empty text has none.

    >>> sorted(shingles("One two, three four five six!"))
    ['one two three four five', 'two three four five six']
    """
    words = _words(text)
    last = max(len(words) - SHINGLE, 0)
    return frozenset(" ".join(words[n : n + SHINGLE]) for n in range(last + 1) if words)


def overlap(left: Texts, right: Texts) -> set[str]:
    """Return the ids of right texts with a Jaccard similarity of `SIMILAR` to a left text."""
    lefts = {shingles(text) for text in left.values()}  # of each distinct text: sketches are slow
    rights = {id: shingled for id, text in right.items() if (shingled := shingles(text))}
    # the similarity of two sets is at most the ratio of their sizes
    sizes = sorted(map(len, rights.values())) or [1]
    sketches = {
        a: _sketch(a) for a in lefts if a and min(len(a) / sizes[0], sizes[-1] / len(a)) >= SIMILAR
    }
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_BANDS_AND_ROWS)
    for a, sketch in sketches.items():
        index.insert(a, sketch)
    similar = {
        b
        for b in set(rights.values())
        for a in index.query(sketches.get(b) or _sketch(b))
        if len(a & b) / len(a | b) >= SIMILAR
    }
    return {id for id, shingled in rights.items() if shingled in similar}


def _sketch(shingled: Shingles) -> MinHash:
    sketch = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    sketch.update_batch([shingle.encode() for shingle in sorted(shingled)])
    return sketch


def between(name: str, data: str, left: Texts, right: Texts) -> Audit:
    """Return the audit of how many texts of `right` are in `left`: "train ∩ test" of a data set."""
    note = (
        f"MinHash, then exact Jaccard of {SHINGLE}-word shingles ≥ {SIMILAR:g}; "
        f"{len(left)} texts on the left"
    )
    return _audit(name, data, len(right), len(overlap(left, right)), note)


# ---- audits of a data set


def audits(data: str, data_set: DataSet, train: Texts | None = None) -> list[Audit]:
    """Return every leakage audit that a data set of this name allows.

    `train` has the texts by id that a system or model was trained or tuned on, if they are known.
    """
    haystacks = data_set.haystacks
    results = [questions_in_dialogue(data, haystacks), answers_in_questions(data, haystacks)]
    results += _tuning_and_report(data, data_set, [data_set])
    if train:
        index = {
            f"{haystack.name}/{turn.id}": turn.text
            for haystack in haystacks
            for turn in haystack.turns
            if len(_words(turn.text)) >= SHINGLE  # "Thanks!" is in every text
        }
        results.append(between("train ∩ test", data, train, _questions(haystacks)))
        results.append(between("train ∩ index", data, train, index))
    return results


def apart(sets: Mapping[str, DataSet]) -> list[Audit]:
    """Return the audits of tuning against report parts of one file that are two data sets."""
    results = []
    for name, data_set in sets.items():
        others = [
            candidate
            for title, candidate in sets.items()
            if title != name and candidate.sha256 == data_set.sha256
        ]
        results += _tuning_and_report(name, data_set, others)
    return results


def _tuning_and_report(name: str, data_set: DataSet, sources: Iterable[DataSet]) -> list[Audit]:
    tuning = _questions(haystack for source in sources for haystack in source.in_split("tuning"))
    report = _questions(data_set.in_split("report"))
    return [between("tuning ∩ report", name, tuning, report)] if tuning and report else []


def questions_in_dialogue(data: str, haystacks: Sequence[Haystack]) -> Audit:
    """Return the audit of questions that are in the dialogue themselves.

    Such a question is found by its own words. It counts if it is nearly equal to a turn, or if a
    turn contains all of its words in a row, at least five.
    """
    checked = affected = 0
    for haystack in haystacks:
        turns = {str(turn.id): turn.text for turn in haystack.turns}
        questions = {question.id: question.text for question in haystack.questions}
        dialogue = "\n".join(map(_padded, turns.values()))
        near = overlap(turns, questions) | {
            id
            for id, text in questions.items()
            if len(_words(text)) >= SHINGLE and _padded(text) in dialogue
        }
        checked, affected = checked + len(questions), affected + len(near)
    note = "questions that were said in the dialogue"
    return _audit("index ∩ test", data, checked, affected, note)


def answers_in_questions(data: str, haystacks: Sequence[Haystack]) -> Audit:
    """Return the audit of questions that contain their own answer; a choice ("or") may."""
    contained = [
        "or" not in _words(question.text)
        and any(
            _words(answer) and _padded(answer) in _padded(question.text)
            for answer in question.expected.answers
        )
        for haystack in haystacks
        for question in haystack.questions
        if question.answerable and question.expected.answers
    ]
    note = "questions that hold their own answer, other than those that offer a choice"
    return _audit("answer in question", data, len(contained), sum(contained), note)


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


def _questions(haystacks: Iterable[Haystack]) -> dict[str, str]:
    """Return questions with their answers by id: the question alone may be a common one."""
    return {
        question.id: " ".join((question.text, *question.expected.answers[:1]))
        for haystack in haystacks
        for question in haystack.questions
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _padded(text: str) -> str:
    """Return the words of a text between spaces, so that it contains whole words only."""
    return f" {' '.join(_words(text))} "


# ---- training texts


def texts(files: Sequence[Path]) -> dict[str, str]:
    """Read the texts that a system or model was trained or tuned on, by file, line and number.

    A text per line, or JSON lines in a file that ends in .jsonl: there every string is a text, and
    so is an object's `question` with its `answer` or the first of its `answers`.

    Raises:
        InvalidInput: a file cannot be read, a line is not JSON, or a file has no text.
    """
    by_id: dict[str, str] = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{file} cannot be read: {error}; give text in UTF-8") from error
        in_file = {
            f"{file}:{n}.{m}": text
            for n, line in enumerate(lines, start=1)
            for m, text in enumerate(_texts(file, n, line))
            if text.strip()
        }
        if not in_file:
            raise InvalidInput(f"{file} holds no text; leave it out of train")
        by_id |= in_file
    return by_id


def _texts(file: Path, n: int, line: str) -> Iterator[str]:
    if file.suffix != ".jsonl" or not line.strip():
        yield line
        return
    try:
        yield from _strings(json.loads(line))
    except ValueError as error:
        raise InvalidInput(f"{file}, line {n}: not JSON: {error}") from error


def _strings(value: Any) -> Iterator[str]:
    """Yield every string of a JSON value, and a question together with its first answer."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        answers = value.get("answer", value.get("answers"))
        answer = answers[0] if isinstance(answers, list) and answers else answers
        if "question" in value and answer:
            yield f"{value['question']} {answer}"
        yield from _strings([*value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
