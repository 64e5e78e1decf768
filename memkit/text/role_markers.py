"""Escape what opens a role in a chat template, in text that a model will read.

The markers of all known templates are in `role_markers.toml`.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from memkit.text.sanitise import one_line, sanitise

# Shapes of special tokens, so that those of a template nobody has listed are found too.
_SHAPES = (
    r"<\|[^\s<>|]{1,64}\|?>",  # "<|im_start|>", "<|turn>"
    r"<[^\s<>|]{1,64}\|>",  # "<turn|>"
    r"\[\|[^\s|]{1,64}\|\]",  # "[|user|]"
)
_NAME_LENGTH = 60  # characters of a speaker's name in a prompt
_NOT_IN_NAME = re.compile(r'[:<>\[\]{}|#"*`\\]')  # a name with any of them is shown in quotes
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e]*")  # text that folding leaves as it is
# characters that are invisible and that a tokenizer may remove: controls, joiners, accents
_DROPPED = {"Cc", "Cf", "Mn"}
_IGNORABLE = {"\ufffd", "\u034f", "\u115f", "\u1160", "\u3164", "\uffa0"}
_WHITE_SPACE = {"\n", "\r", "\t"}


@cache
def table() -> dict[str, dict[str, list[str]]]:
    """Return the sections of role_markers.toml: family -> markers, labels or names."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@cache
def known_markers(*, labels: bool = True) -> "re.Pattern[str]":
    """Return the pattern of the markers of all known templates, for `escape_role_markers`.

    `labels=False` leaves out those that need a line's start, such as "User:", for text that will
    be quoted or is part of a line.
    """
    any_case, exact_case = map(_alternatives, (_section("any_case"), _section("exact_case")))
    label = "|".join(re.escape(fold(label)) for label in _section("labels"))
    at_line_start = rf"|(?:(?<=[\n\r\u2028\u2029])|\A)[ \t]*(?i:{label}):"
    # the cheapest check of each part comes first: most characters of a text begin no marker
    return re.compile(
        rf"(?=[<>\[\]#])(?:(?i:{any_case.symbols})|{exact_case.symbols}|{'|'.join(_SHAPES)})"
        rf"|{exact_case.words}|\b(?i:{any_case.words})" + (at_line_start if labels else "")
    )


@cache
def _role_names() -> frozenset[str]:
    """Return the names of roles, as `_fold_name` writes them."""
    return frozenset(map(_fold_name, _section("roles")))


def _section(name: str) -> list[str]:
    return [item for family in table()[name].values() for item in family]


class _Alternatives(NamedTuple):
    """Patterns of markers, joined: those that begin with a symbol, those with a letter."""

    symbols: str
    words: str


def _alternatives(markers: Iterable[str]) -> _Alternatives:
    folded = sorted(map(fold, markers))
    words = [re.escape(marker) for marker in folded if marker[0].isalpha()]
    symbols = [_symbol_pattern(marker) for marker in folded if not marker[0].isalpha()]
    return _Alternatives("|".join(symbols), "|".join(words))


def _symbol_pattern(marker: str) -> str:
    """Return the pattern of a marker; white space may surround the word in "<|im_start|>"."""
    if marker.startswith("<|") and marker.endswith("|>"):
        return rf"<\|\s*{re.escape(marker[2:-2])}\s*\|>"
    return re.escape(marker)


def escape_role_markers(text: str, markers: "re.Pattern[str] | None" = None) -> str:
    """Return `text` with a space inside every match of `markers`, until nothing matches.

    "<|im_start|>" becomes "< |im_start|>" and "USER:" becomes "USER :". `markers` are matched
    against the folded text (`fold`); the default are the markers of all known chat templates.
    """
    markers = markers or known_markers()
    while True:
        folded, positions = _fold(text)
        cuts = [cut for match in markers.finditer(folded) if (cut := _cut(match, positions))]
        if not cuts:
            return text
        text = " ".join(
            text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)
        )


def _cut(match: "re.Match[str]", positions: Sequence[int]) -> int | None:
    """Return where to cut a marker: before its colon, or else after its first character.

    None if one character is the whole marker, such as "…" for "...", which cannot be cut.
    """
    first, last = positions[match.start()], positions[match.end() - 1]
    if first == last:
        return None
    return last if match[0].endswith(":") else first + 1


def speaker_label(name: str | None, role: str) -> str:
    """Return a speaker as a prompt shows it: the role, or a name that cannot pose as one.

    A role's name, and a name that could be part of a memory block or of a chat template, is put in
    quotation marks: "System" and "[1 May 2024] Ann" with them, Ann without. A label is one line
    without a colon.
    """
    shown = sanitise(one_line(name or ""))[:_NAME_LENGTH].strip()
    folded = _fold_name(shown)
    if not shown or folded == role:
        return role.capitalize()
    if folded and folded not in _role_names() and not _NOT_IN_NAME.search(fold(shown)):
        return shown
    # a full-width colon is one after folding
    inside = "".join(" " if {":", '"'} & set(fold(letter)) else letter for letter in shown)
    return f'"{one_line(escape_role_markers(inside))}"'


def fold(text: str) -> str:
    """Return `text` as a tokenizer may read it: full-width as ASCII, no accents, no controls.

    Letter case is kept. "＜|ım_stárt|＞" with a zero-width space is still "<|im_start|>".
    """
    return _fold(text)[0]


def _fold_name(name: str) -> str:
    """Return the letters and digits of a name, folded and in lower case, to compare it."""
    return "".join(character for character in fold(name).casefold() if character.isalnum())


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """Return the folded text, and for each of its characters the position in `text`."""
    if _PLAIN.fullmatch(text):
        return text, range(len(text))
    pieces = [_fold_character(character) for character in text]
    positions = [position for position, piece in enumerate(pieces) for _ in piece]
    return "".join(pieces), positions


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    return "".join(
        part
        for part in unicodedata.normalize("NFKD", character)
        if part in _WHITE_SPACE
        or (unicodedata.category(part) not in _DROPPED and part not in _IGNORABLE)
    )
