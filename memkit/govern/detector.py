"""What finds secrets and personal data in a text."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A secret or a piece of personal data in a text."""

    kind: str  # such as "card_number"; a marker shows it as "[card number removed]"
    start: int  # characters into the text
    end: int


class Detector(Protocol):
    """Finds secrets or personal data. Any object with these members is one."""

    @property
    def kinds(self) -> AbstractSet[str]:
        """Return the kinds of spans that it finds."""

    def find(self, text: str) -> Iterable[Span]:
        """Return the spans, which may overlap, in any order."""
