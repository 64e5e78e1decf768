"""Detectors of other projects: Presidio's patterns, and Google's telephone numbers."""

import sys
import warnings
from collections.abc import Iterator

import pytest

from memkit.errors import InvalidInput, MissingExtra
from memkit.govern.detector import Detector
from memkit.govern.patterns import PatternDetector
from memkit.govern.phone_numbers import PhoneDetector
from memkit.govern.presidio import PresidioDetector
from memkit.govern.privacy import Privacy
from memkit.testing import open_memory

INSTALL = "pip install 'memkit-llm[privacy]'"


def pieces(detector: Detector, text: str) -> list[tuple[str, str]]:
    return sorted((span.kind, text[span.start : span.end]) for span in detector.find(text))


@pytest.fixture(scope="module")
def presidio() -> Iterator[PresidioDetector]:
    pytest.importorskip("presidio_analyzer", reason=INSTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        yield PresidioDetector()


def test_presidio_finds_numbers_of_authorities_and_addresses_of_machines(
    presidio: PresidioDetector,
) -> None:
    text = "My social security number is 536-90-4399, the server is 192.168.10.4."
    assert pieces(presidio, text) == [("ip_address", "192.168.10.4"), ("us_ssn", "536-90-4399")]


@pytest.mark.parametrize(
    "text", ["Order 912803456 has arrived", "I moved to Oslo with Ann Smith on 3 May 2024"]
)
def test_presidio_leaves_other_numbers_names_and_dates_alone(
    presidio: PresidioDetector, text: str
) -> None:
    assert pieces(presidio, text) == []


def test_presidio_asks_nothing_of_the_internet(presidio: PresidioDetector) -> None:
    # a connection fails in the tests, and Presidio's recognizer of e-mail addresses makes one
    text = "ann@example.org, https://example.org"
    assert pieces(presidio, text) == []
    assert pieces(PatternDetector(), text) == [("email_address", "ann@example.org")]


def test_a_kind_of_presidio_has_its_own_action(presidio: PresidioDetector) -> None:
    privacy = Privacy(
        default="flag", actions={"us_ssn": "redact"}, detectors=[PatternDetector(), presidio]
    )
    with open_memory(":memory:", privacy=privacy) as memory:
        memory.remember("my ssn is 536-90-4399, card 4111 1111 1111 1111", user_id="ann")
        (turn,) = memory.turns(user_id="ann")
        assert turn.text == "my ssn is [us ssn removed], card 4111 1111 1111 1111"
        assert turn.flags == ("card_number", "us_ssn")


def test_metadata_with_half_a_surrogate_pair_is_searched(presidio: PresidioDetector) -> None:
    assert pieces(presidio, "\ud800 192.168.10.4") == [("ip_address", "192.168.10.4")]


def test_national_telephone_numbers_are_those_of_the_region() -> None:
    pytest.importorskip("phonenumbers", reason=INSTALL)
    text = "030 901820 or +1 650-253-0000, paid 1234567 on 12.05.2024"
    assert [piece for _, piece in pieces(PhoneDetector("DE"), text)] == [
        "+1 650-253-0000", "030 901820",
    ]  # fmt: skip
    assert ("phone_number", "(650) 253-0000") in pieces(PhoneDetector("US"), "call (650) 253-0000")
    with pytest.raises(InvalidInput, match="'Germany'"):
        PhoneDetector("Germany")


@pytest.mark.parametrize("make", [PresidioDetector, lambda: PhoneDetector("DE")])
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, make: type[PresidioDetector]
) -> None:
    for name in ("spacy", "presidio_analyzer", "phonenumbers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"memkit-llm\[privacy\]"):
        make()
