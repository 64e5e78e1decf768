"""The facts that a language model's reply lists, however it writes them.

What was asked for is `1 | Ann | lives in | Oslo`. Also read: bullets, numbering, tables, code
fences, JSON, a fifth cell with the sentence, missing cells, and listed sentences without cells.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LINES = 40  # of one reply; more is a model that repeats itself
_MOST_CELLS = 8  # of one line; likewise
_LINE = re.compile(r"[\r\n\u2028\u2029]+")
_MARK = re.compile(
    r"^\s*(?:[-*•>]+\s+)?(?:\*\*)?(?:(?:message|msg|fact)\s*)?[#(\[]?(?P<n>\d{1,4})[.):\]]*\s*"
    r"(?=[^\d\s.,:])",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\W*(?:(?:message|msg|fact)\W*)?([0-9]{1,4})\W*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*[-*•>]+\s*")
NONE = re.compile(r"\W*(?:none|no facts?|nothing|n/a)\W*\Z", re.IGNORECASE)
_HEADING = re.compile(
    r"(?:message )?(?:number|no|#)?\W*(?:who|head|subject)\W+(?:relation|predicate)", re.IGNORECASE
)
_OBJECT = re.compile(r"\{[^{}]{1,2000}\}")
_PAIR = re.compile(r"[\"'](\w+)[\"']\s*:\s*(?:\"([^\"]*)\"|'([^']*)'|(\d+))")
_STRING = re.compile(r"\"([^\"]*)\"|(?<=[\[,\s])(\d+)(?=\s*[,\]])")
_KEYS = (
    ("message", "number", "id", "n"),
    ("head", "subject", "who", "name"),
    ("relation", "predicate", "verb"),
    ("tail", "object", "what", "value"),
    ("sentence", "text", "fact"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one line of a reply says."""

    number: int | None  # of the message it comes from
    text: str
    head: str | None = None
    relation: str | None = None
    tail: str | None = None


def read(reply: str) -> list[Line]:
    """Return the facts that a reply lists, however it does: bars, JSON, bullets, sentences."""
    rows = [_of_object(one) for one in _OBJECT.findall(reply)]
    for raw in _LINE.split(_OBJECT.sub("", reply)):
        line = raw.strip().strip("`")
        if "|" in line:
            rows.append(_of_bars(line))
        elif line.startswith("[") and (strings := _STRING.findall(line)):
            rows.append(_cells([a or b for a, b in strings]))
        elif _MARK.match(line) or _BULLET.match(line):
            rows.append(_of_sentence(line))
    return [row for row in rows if row][:_MOST_LINES]


def _of_bars(line: str) -> Line | None:
    cells = [cell.strip(" \t*`\"'_") for cell in _BULLET.sub("", line).strip("| ").split("|")]
    cells = [cell for cell in cells if cell]
    if _HEADING.match(line.strip("| \t*")) or not re.search(r"\w", line):
        return None
    if cells and (alone := _NUMBER.fullmatch(cells[0])):
        cells[0] = alone[1]
    elif cells and (mark := _MARK.match(cells[0])):
        cells = [mark["n"], cells[0][mark.end() :], *cells[1:]]
    return _cells(cells)


def _of_object(text: str) -> Line | None:
    found = {name.lower(): a or b or c for name, a, b, c in _PAIR.findall(text)}
    values = [next((found[one] for one in names if one in found), "") for names in _KEYS]
    if not any(values[1:]):
        return None
    return _cells(values if values[0] else values[1:])


def _of_sentence(line: str) -> Line | None:
    mark = _MARK.match(line)
    text = (line[mark.end() :] if mark else _BULLET.sub("", line)).strip(" *\"'")
    if len(text.split()) < 3:
        return None
    return Line(number=int(mark["n"]) if mark else None, text=text)


def _cells(cells: Sequence[str]) -> Line | None:
    """Return what a row's cells say: a number, if any, then a triple, and perhaps its sentence."""
    number = int(cells[0]) if cells and re.fullmatch("[0-9]{1,4}", cells[0]) else None
    rest = [" ".join(cell.split()) for cell in cells[number is not None :]]
    while rest and not rest[-1]:
        rest.pop()
    if not 2 <= len(rest) <= _MOST_CELLS or not all(re.search(r"\w", cell) for cell in rest[:2]):
        return None
    head, relation, tail = rest[0], rest[1], " ".join(rest[2:3])
    text = " ".join(rest)
    if len(rest) > 3 and head.casefold() in rest[3].casefold():
        text = " ".join(rest[3:])  # its sentence, and not more cells than were asked for
    elif len(rest) > 3:
        tail = " ".join(rest[2:])
    return Line(number=number, text=text, head=head, relation=relation, tail=tail or None)
