"""Find secrets and personal data that have a public format, by patterns and checksums.

The formats of keys and tokens are in `patterns.toml`. Luhn and mod 97 are a few lines each: the
library for such numbers, python-stdnum, has 6 MB of other ones. detect-secrets, the library for
keys, returns no positions and loads an HTTP client.
"""

import base64
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memkit.govern.detector import Span

SECRET, CARD, IBAN, EMAIL, PHONE = "secret", "card_number", "iban", "email_address", "phone_number"

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH = 6  # characters at the end of a token of GitHub and npm

# 13 to 19 digits, in groups of at least four (the last may have fewer): "4111 1111 1111 1111"
_CARD = re.compile(
    r"(?<![\w.,+#/-])(?:[0-9]{13,19}|[0-9]{4}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?"
    r"|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})(?![\w/]|[.,-][0-9])"
)
# issuer's digits and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, Maestro
_ISSUER = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5][0-9]{2}|2[2-7][0-9]{2})[0-9]{12}|3[47][0-9]{13}"
    r"|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12}|35[0-9]{14}|3(?:0|6|8)[0-9]{12}|6[0-9]{15,18}"
)
# "DE89 3704 0044 0532 0130 00"
_IBAN = re.compile(
    r"(?<![\w])[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?!\w)"
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w][\w.+%-]{0,63}@(?:[\w](?:[\w-]{0,61}\w)?\.){1,5}[^\W\d_]{2,24}(?![\w@])"
)
# an international number (E.164) with its plus: "+49 (0)30 901820"
_PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ./()-]{0,3}[0-9]){6,14}(?![0-9])")


_DIGITS = re.compile(r"[0-9]{2}")


class PatternDetector:
    """Finds keys, tokens and passwords, payment cards, IBANs, e-mail addresses, phone numbers.

    A password is found by the words before it ("my password is …"), a phone number if it is
    international ("+49 …"). Cost: linear, some microseconds for a message without any.
    """

    kinds = frozenset((SECRET, CARD, IBAN, EMAIL, PHONE))

    def find(self, text: str) -> Iterator[Span]:
        """Yield the spans, which may overlap, in no order."""
        patterns = _patterns()
        folded = text.casefold()
        if any(trigger in folded for trigger in patterns.triggers):
            yield from _find_secrets(text, patterns)
        if "@" in text:
            yield from _matches(_EMAIL, EMAIL, text)
        if _DIGITS.search(text):
            yield from _matches(_CARD, CARD, text, _is_card)
            yield from _matches(_IBAN, IBAN, text, _is_iban)
        if "+" in text:
            yield from _matches(_PHONE, PHONE, text)


def _matches(
    pattern: "re.Pattern[str]", kind: str, text: str, check: Callable[[str], bool] | None = None
) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if check is None or check(match[0]):
            yield Span(kind=kind, start=match.start(), end=match.end())


# ---- numbers with check digits


def _is_card(text: str) -> bool:
    digits = re.sub("[ -]", "", text)
    return _ISSUER.fullmatch(digits) is not None and has_luhn_digit(digits)


def has_luhn_digit(digits: str) -> bool:
    """Return whether the last digit of a number is its check digit (ISO/IEC 7812-1).

    >>> has_luhn_digit("4111111111111111"), has_luhn_digit("4111111111111112")
    (True, False)
    """
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    total = sum(map(int, digits[::-2])) + sum(number - 9 * (number > 9) for number in doubled)
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    iban = text.replace(" ", "")
    return len(iban) == _patterns().iban_lengths.get(iban[:2]) and has_iban_digits(iban)


def has_iban_digits(iban: str) -> bool:
    """Return whether the two check digits of an IBAN without spaces are right (ISO 13616).

    >>> has_iban_digits("DE89370400440532013000"), has_iban_digits("DE88370400440532013000")
    (True, False)
    """
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


# ---- keys, tokens and passwords


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What `patterns.toml` has, compiled."""

    triggers: tuple[str, ...]
    tokens: "re.Pattern[str]"
    crc32: "re.Pattern[str]"
    jwt: "re.Pattern[str]"
    in_context: tuple["re.Pattern[str]", ...]
    iban_lengths: dict[str, int]  # by country


@cache
def _patterns() -> _Patterns:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return _Patterns(
        triggers=tuple(table["triggers"]),
        tokens=_token("|".join(table["tokens"].values())),
        crc32=_token(table["checked"]["crc32"]),
        jwt=_token(table["checked"]["jwt"]),
        in_context=tuple(map(re.compile, table["in_context"].values())),
        iban_lengths={code[:2]: int(code[2:]) for code in table["iban_lengths"].split()},
    )


def _token(pattern: str) -> "re.Pattern[str]":
    """Return a pattern for a whole token: the part of a longer word is no match."""
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_-])")


def _find_secrets(text: str, patterns: _Patterns) -> Iterator[Span]:
    yield from _matches(patterns.tokens, SECRET, text)
    yield from _matches(patterns.crc32, SECRET, text, has_crc32)
    yield from _matches(patterns.jwt, SECRET, text, _has_json_header)
    for pattern in patterns.in_context:
        for match in pattern.finditer(text):
            yield Span(kind=SECRET, start=match.start("secret"), end=match.end("secret"))


def has_crc32(token: str) -> bool:
    """Return whether a token of GitHub or npm ends in the checksum of its random part.

    That is CRC-32 in base 62. The example is GitHub's own, cut in two for scanners of secrets:
    github.blog/engineering/behind-githubs-new-authentication-token-formats.

    >>> has_crc32("ghp" + "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17")
    True
    """
    _, _, random_part = token.partition("_")
    number = zlib.crc32(random_part[:-_CHECKSUM_LENGTH].encode())
    for digit in reversed(random_part[-_CHECKSUM_LENGTH:]):
        number, expected = divmod(number, 62)
        if _BASE62[expected] != digit:
            return False
    return True


def _has_json_header(token: str) -> bool:
    """Return whether the first part of a JSON Web Token names an algorithm."""
    header = token.partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except ValueError:
        return False
    return isinstance(decoded, dict) and "alg" in decoded
