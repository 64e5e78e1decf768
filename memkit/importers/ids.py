"""Ids of imported turns, the same whenever a file is imported."""

import hashlib
import json
from collections import Counter

_MOST_CHARACTERS = 200


def digest(*values: object) -> str:
    """Return 24 hexadecimal digits that stand for JSON values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]


def make_id(program: str, *parts: object) -> str:
    """Return an id from those of another program: "telegram:42:7"; a digest if it is too long."""
    id = ":".join([program, *map(str, parts)])
    is_plain = len(id) <= _MOST_CHARACTERS and id.isprintable()
    return id if is_plain else f"{program}:{digest(*map(str, parts))}"


class Repeats:
    """Numbers equal digests in the order they come: "3f9a…:1", "3f9a…:2"."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def number(self, digest: str) -> str:
        """Return the digest with how often it has come."""
        self._counts[digest] += 1
        return f"{digest}:{self._counts[digest]}"
