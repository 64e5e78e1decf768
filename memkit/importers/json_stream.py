"""Read the values of a large JSON file one after another, in bounded memory.

The reader finds where a value ends by counting brackets, and leaves what is in it to `json`. So a
value that is not JSON costs that value and nothing after it, and nesting costs no memory: ijson
keeps the path of every open bracket, and 100 kB of "[" take it more than 20 GB.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from memkit.errors import InvalidInput
from memkit.importers.files import BOM, parse_json

MOST_VALUE = 32 * 2**20  # bytes of a value that is read as a whole, such as a conversation
_CHUNK = 2**16  # bytes read at once; more if a value needs it
_SPACE = re.compile(rb"[ \t\r\n]*+")
_IN_STRING = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'  # up to the quote that closes a string
_STRING = re.compile(rb'"' + _IN_STRING + rb'"', re.DOTALL)
_TO_QUOTE = re.compile(_IN_STRING, re.DOTALL)
# up to the next bracket that is in no string, or to a string that has no end in the buffer
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"' + _IN_STRING + rb'")*+', re.DOTALL)
_OPENING, _CLOSING = re.compile(rb"[{\[]++"), re.compile(rb"[}\]]++")
_SCALAR = re.compile(rb"[^\s,:\[\]{}\"]++(?=[\s,\]}])")  # a number, true, false or null


class JsonStream:
    """A pull parser: the caller asks for the elements of lists and the keys of objects it knows.

    Everything else it reads as a value, or skips. All methods raise InvalidInput where the file is
    no JSON between values, and where it ends too early.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = file.read(_CHUNK).removeprefix(BOM)
        self._at = 0  # in the buffer
        self._before = 0  # bytes before the buffer

    def peek(self) -> str:
        """Return the next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer):
                return chr(self._buffer[self._at])
            if not self._extend():
                return ""

    def elements(self) -> Iterator[int]:
        """Yield the number of each element of a list, from 1; the caller reads or skips it."""
        self._take("[")
        n = 0
        while self.peek() != "]":
            if n:
                self._take(",")
            n += 1
            yield n
        self._take("]")

    def members(self) -> Iterator[str]:
        """Yield each key of an object; the caller reads or skips its value."""
        self._take("{")
        first = True
        while self.peek() != "}":
            if not first:
                self._take(",")
            first = False
            self.peek()
            key = parse_json(self._read(_STRING))
            self._take(":")
            yield key
        self._take("}")

    def value(self) -> Any:
        """Return the next value; raise `InvalidValue` if it alone cannot be read."""
        data = self._next_value(keep=True)
        try:
            return parse_json(data)
        except InvalidInput as error:
            raise InvalidValue(str(error)) from error

    def skip(self) -> None:
        """Skip the next value."""
        self._next_value(keep=False)

    def _next_value(self, *, keep: bool) -> bytes:
        start = self.peek()
        if start == '"':
            return self._read(_STRING)
        if start not in ("{", "["):
            return self._read(_SCALAR)
        return self._read_container(keep=keep)

    def _read_container(self, *, keep: bool) -> bytes:
        """Return the bytes from a bracket to the one that closes it; a part if not kept."""
        at, depth = self._at, 0
        in_string = too_long = False
        while True:
            match = (_TO_QUOTE if in_string else _TO_BRACKET).match(self._buffer, at)
            assert match is not None
            at = match.end()
            if run := _OPENING.match(self._buffer, at):
                depth += run.end() - at
                at = run.end()
            elif run := _CLOSING.match(self._buffer, at):
                at += min(depth, run.end() - at)
                depth -= at - run.start()
                if not depth:
                    return self._take_value(at, too_long=too_long)
            elif self._buffer.startswith(b'"', at):
                in_string = not in_string
                at += 1
            else:  # the end of the buffer, or the backslash that is its last character
                too_long = too_long or (keep and at - self._at > MOST_VALUE)
                at = self._read_more(at, drop=too_long or not keep)

    def _take_value(self, end: int, *, too_long: bool) -> bytes:
        value = self._buffer[self._at : end]
        self._at = end
        if too_long:
            raise InvalidValue(f"longer than {MOST_VALUE // 2**20} MiB")
        return value

    def _read(self, pattern: re.Pattern[bytes]) -> bytes:
        """Return what a pattern matches here, however much of the file that needs."""
        while (match := pattern.match(self._buffer, self._at)) is None:
            if len(self._buffer) - self._at > MOST_VALUE:
                raise self._error("a text is too long")
            if not self._extend():
                raise self._error("this is no JSON")
        self._at = match.end()
        return match[0]

    def _take(self, character: str) -> None:
        if (current := self.peek()) != character:
            raise self._error(f"{current or 'the end of the file'!r} in place of {character!r}")
        self._at += 1

    def _read_more(self, at: int, *, drop: bool) -> int:
        """Read on in the middle of a value, without what is before `at` if that is dropped.

        Returns the new index of `at` in the buffer.
        """
        if drop:
            self._at = at
        offset = at - self._at
        if not self._extend():
            raise self._error("the file ends in the middle of a value")
        return offset

    def _extend(self) -> bool:
        """Drop what was read from the buffer, and double what was not; return False at the end."""
        unread = self._buffer[self._at :]
        data = self._file.read(max(_CHUNK, len(unread)))
        self._before += self._at
        self._buffer, self._at = unread + data, 0
        return bool(data)

    def _error(self, problem: str) -> InvalidInput:
        return InvalidInput(f"not JSON at byte {self._before + self._at + 1}: {problem}")


class InvalidValue(InvalidInput):
    """A value inside of a JSON file that cannot be read; the values after it can."""
