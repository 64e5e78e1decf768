"""Find telephone numbers as people of a country write them. Needs the package phonenumbers."""

from collections.abc import Iterator

from memkit.errors import InvalidInput, MissingExtra
from memkit.govern.detector import Span
from memkit.govern.patterns import PHONE


class PhoneDetector:
    """Finds national numbers of a region, and international ones of all, that can exist.

    `region` is a country by its two letters (ISO 3166-1), such as "DE": a number without "+49" is
    read as a German one. The numbering plans are those of Google's libphonenumber.

    Raises:
        MissingExtra: phonenumbers is not installed.
        InvalidInput: there is no such region.
    """

    kinds = frozenset((PHONE,))

    def __init__(self, region: str) -> None:
        try:
            import phonenumbers
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "PhoneDetector needs phonenumbers: pip install 'memkit-llm[privacy]'"
            ) from error
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidInput(f'region must be a country such as "DE", got {region!r}')
        self._matcher, self._region = phonenumbers.PhoneNumberMatcher, region

    def find(self, text: str) -> Iterator[Span]:
        """Yield the spans of numbers, in order."""
        for match in self._matcher(text, self._region):
            yield Span(kind=PHONE, start=match.start, end=match.end)
