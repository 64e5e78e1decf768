"""The people of a chat: who of them is the user, and how the others are named."""

from pathlib import Path

from memkit.errors import InvalidInput

_SHOWN = 12
_MOST_NAMES = 10_000


class People:
    """The names in a chat, in the order in which they speak first.

    A message of the user has no name, as in a chat with a model: it is the user's own. Without
    `me` everybody keeps the name they have in the file.
    """

    def __init__(self, me: str | None) -> None:
        self._me = me
        self._names: dict[str, None] = {}  # an ordered set

    def add(self, name: str) -> None:
        """Note that somebody speaks."""
        if name == self._me or len(self._names) < _MOST_NAMES:
            self._names[name] = None

    def check(self, path: Path) -> str | None:
        """Return a remark if nobody is the user; raise InvalidInput if nobody has the name."""
        if not self._names:
            return None
        shown = ", ".join(list(self._names)[:_SHOWN])
        if len(self._names) > _SHOWN:
            shown += " …"
        if self._me is None:
            return f"people: {shown}; pass --me NAME to say which of them is the user"
        if self._me not in self._names:
            raise InvalidInput(f"nobody in {path} is called {self._me!r}; people: {shown}")
        return None

    def name_of(self, name: str) -> str | None:
        """Return the name of a turn; None for the user."""
        return None if name == self._me else name
