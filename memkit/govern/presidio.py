"""Find personal data with Microsoft's Presidio. Needs the extra `[privacy]`."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING

from memkit.errors import MissingExtra
from memkit.govern.detector import Span
from memkit.govern.patterns import CARD, IBAN, PHONE

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

# Presidio's names of what memkit's own patterns find too
_KINDS: Mapping[str, str] = {"CREDIT_CARD": CARD, "IBAN_CODE": IBAN, "PHONE_NUMBER": PHONE}
# Most of these are not personal. For an e-mail address or a URL, Presidio's recognizers download a
# list of domains with tldextract; memkit's own pattern finds e-mail addresses.
_WITHOUT = frozenset(
    ("DATE_TIME", "URL", "UUID", "NRP", "LOCATION", "ORGANIZATION", "EMAIL_ADDRESS")
)


class PresidioDetector:
    """Finds what an analyzer of Presidio finds: `Privacy(detectors=[PatternDetector(), …])`.

    The default analyzer has Presidio's patterns and checksums only: social security, tax, passport
    and driving licence numbers, IP addresses, wallets of cryptocurrencies and the like. It has no
    model, finds no names and downloads nothing. For names pass an `AnalyzerEngine` of your own.

    Args:
        analyzer: what finds entities; None is the default one.
        language: of the texts, one that the analyzer supports.
        least_score: the least confidence of an entity, 0 to 1. Many of Presidio's patterns are any
            number of some length, with a confidence below .4 unless a word beside it fits.
        without: entities that are left out: by default e-mail addresses, which `PatternDetector`
            finds without a connection to the internet, and what is not personal.

    Cost: loading takes some seconds; a message about a millisecond, much more with a model.

    Raises:
        MissingExtra: presidio-analyzer is not installed.
    """

    def __init__(
        self, analyzer: "AnalyzerEngine | None" = None, *, language: str = "en",
        least_score: float = 0.4, without: AbstractSet[str] = _WITHOUT,
    ) -> None:  # fmt: skip
        self._analyzer = analyzer or _open_patterns(language)
        self._language, self._least_score = language, least_score
        supported = set(self._analyzer.get_supported_entities(language)) - without
        self._entities = sorted(supported)

    @cached_property
    def kinds(self) -> AbstractSet[str]:
        """Return the kinds of spans that it finds: names of entities in lower case."""
        return {_to_kind(entity) for entity in self._entities}

    def find(self, text: str) -> Iterator[Span]:
        """Yield the spans, which may overlap, in no order."""
        text = text.encode("utf-8", "replace").decode()  # metadata may have halves of surrogates
        found = self._analyzer.analyze(
            text, self._language, entities=self._entities, score_threshold=self._least_score
        )
        for entity in found:
            yield Span(kind=_to_kind(entity.entity_type), start=entity.start, end=entity.end)


def _to_kind(entity: str) -> str:
    return _KINDS.get(entity, entity.lower())


def _open_patterns(language: str) -> "AnalyzerEngine":
    """Return an analyzer without a model. The default one of Presidio downloads a model."""
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"PresidioDetector needs {error.name}: pip install 'memkit-llm[privacy]'"
        ) from error

    engine = SpacyNlpEngine()
    engine.nlp = {language: spacy.blank(language)}
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language])
    registry.remove_recognizer("SpacyRecognizer")
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
