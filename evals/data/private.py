"""Sentences with made-up secrets and personal data, and with numbers and words that only look so.

Nothing here is anybody's: every value is drawn at random, with the check digits of its format. The
formats are those that the detectors were written for, so the figures say whether the patterns do
what they should, and not how many secrets of real talk they find.
"""

import base64
import json
import random
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass

_CARRIERS = (
    "{}", "here it is: {}", "my number is {}, ok?", "please use {} from now on", "({})", "{}.",
    "I wrote it down: {} and put it away", 'she said "{}" on Monday', "Karte/Konto: {}",
)  # fmt: skip
_LETTERS, _ALNUM = string.ascii_letters, string.ascii_letters + string.digits
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_WORDS = [
    "blue",
    "otter",
    "canyon",
    "maple",
    "rapid",
    "violet",
    "orbit",
    "tundra",
    "saffron",
    "lantern",
]
_COUNTRIES = (("DE", 18), ("NL", 0), ("FR", 23), ("ES", 20), ("AT", 16), ("CH", 17), ("BE", 12))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sentence, and the secret or the personal data in it."""

    text: str
    kind: str | None  # None: there is none
    value: str  # what has to be found, or only looks like it
    form: str  # which generator made it


def make_samples(n: int, seed: int) -> list[Sample]:
    """Return `n` sentences of every form."""
    rng = random.Random(seed)
    samples: list[Sample] = []
    for kind, makers in _MAKERS.items():
        for make in makers:
            for _ in range(n):
                phrase = make(rng)
                value = phrase.split("\t")[1] if "\t" in phrase else phrase
                text = rng.choice(_CARRIERS).format(phrase.replace("\t", ""))
                form = make.__name__.strip("_").replace("_", " ")
                samples.append(Sample(text=text, kind=kind or None, value=value, form=form))
    return samples


def _draw(rng: random.Random, alphabet: str, n: int) -> str:
    return "".join(rng.choices(alphabet, k=n))


# ---- payment cards, accounts


def _luhn(digits: str) -> str:
    """Return a number with its check digit."""
    total = 0
    for n, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if n % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _card(rng: random.Random) -> str:
    start, length = rng.choice((("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("6011", 16)))
    digits = _luhn(start + _draw(rng, string.digits, length - len(start) - 1))
    separator = rng.choice(("", " ", "-"))
    return separator.join(digits[at : at + 4] for at in range(0, 16, 4))


def _amex(rng: random.Random) -> str:
    digits = _luhn("37" + _draw(rng, string.digits, 12))
    return rng.choice((digits, f"{digits[:4]} {digits[4:10]} {digits[10:]}"))


def _iban(rng: random.Random) -> str:
    country, digits = rng.choice(_COUNTRIES)
    letters = _draw(rng, string.ascii_uppercase, 4) if country == "NL" else ""
    account = letters + _draw(rng, string.digits, digits or 10)
    number = "".join(str(int(letter, 36)) for letter in f"{account}{country}00")
    iban = f"{country}{98 - int(number) % 97:02}{account}"
    groups = [iban[at : at + 4] for at in range(0, len(iban), 4)]
    return rng.choice((iban, " ".join(groups)))


# ---- addresses and telephones


def _email(rng: random.Random) -> str:
    name = rng.choice(("{}.{}", "{}_{}", "{}+{}", "{}{}")).format(*rng.sample(_WORDS, 2))
    domain = rng.choice(("example.org", "mail.example.co.uk", "uni-example.de", "x.example"))
    return f"{name}@{domain}"


def _phone(rng: random.Random) -> str:
    a, b, c = (_draw(rng, "23456789", n) for n in (3, 3, 4))
    shape = rng.choice(("+1 {} {} {}", "+1-{}-{}-{}", "+44 {} {} {}", "+49{}{}{}", "+1 ({}) {}-{}"))
    return shape.format(a, b, c)


# ---- keys and tokens; written in pieces, because scanners would take them for real ones


def _github(rng: random.Random) -> str:
    body = _draw(rng, _ALNUM, 30)
    number, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        checksum = _BASE62[digit] + checksum
    return f"{rng.choice(('ghp', 'gho', 'ghs'))}_{body}{checksum}"


def _aws(rng: random.Random) -> str:
    return "AK" + "IA" + _draw(rng, string.ascii_uppercase + "234567", 16)


def _openai(rng: random.Random) -> str:
    return "sk" + "-proj-" + _draw(rng, _ALNUM + "_-", 90) + "A"


def _slack(rng: random.Random) -> str:
    parts = [_draw(rng, string.digits, 12), _draw(rng, string.digits, 12), _draw(rng, _ALNUM, 24)]
    return "xo" + "xb-" + "-".join(parts)


def _stripe(rng: random.Random) -> str:
    return "sk" + "_live_" + _draw(rng, _ALNUM, 24)


def _hugging_face(rng: random.Random) -> str:
    return "h" + "f_" + _draw(rng, _LETTERS, 34)


def _jwt(rng: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": _draw(rng, string.digits, 10), "x": True})
    encoded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    ]
    return ".".join([*encoded, _draw(rng, _ALNUM + "_-", 42) + "A"])


def _private_key(rng: random.Random) -> str:
    kind = rng.choice(("RSA ", "EC ", "OPENSSH ", ""))
    lines = [_draw(rng, _ALNUM + "+/", 64) for _ in range(rng.randint(3, 20))]
    name = f"{kind}PRIVATE KEY-----"
    return "\n".join([f"-----BEGIN {name}", *lines, f"-----END {name}"])


def _url_password(rng: random.Random) -> str:
    return f"postgresql://ann:\t{_draw(rng, _ALNUM, 12)}\t@db.example.org/shop"


def _assigned_key(rng: random.Random) -> str:
    name = rng.choice(("API_KEY=", "api key: ", "secret_key = ", "my access token is "))
    return f"{name}\t{_draw(rng, _ALNUM, 31)}7"


def _password(rng: random.Random) -> str:
    before = rng.choice(("password is ", "Password: ", "Passwort ist ", "passphrase = "))
    return f"my {before}\t{rng.choice(_WORDS)}{_draw(rng, string.digits, 3)}"


# ---- hard ones: without a public format


def _national_phone(rng: random.Random) -> str:
    return rng.choice(("0{} {}{}", "({}) {}-{}")).format(
        *(_draw(rng, "23456789", n) for n in (3, 3, 4))
    )


def _spelt_email(rng: random.Random) -> str:
    return f"{rng.choice(_WORDS)} at example dot org"


def _passphrase(rng: random.Random) -> str:
    return f"my passphrase is \t{'-'.join(rng.sample(_WORDS, 4))}"


# ---- none: what only looks like one


def _order_number(rng: random.Random) -> str:
    return rng.choice(("order #{}", "order {}", "tracking {}")).format(
        _draw(rng, string.digits, rng.choice((8, 10, 12, 16, 18)))
    )


def _grouped_number(rng: random.Random) -> str:
    return f"{rng.randint(1, 999)},{_draw(rng, string.digits, 3)},{_draw(rng, string.digits, 3)}"


def _wrong_card(rng: random.Random) -> str:
    digits = _card(rng)
    return digits[:-1] + str((int(digits[-1]) + rng.randint(1, 9)) % 10)


def _date(rng: random.Random) -> str:
    day = f"20{rng.randint(10, 30)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return rng.choice((day, f"{day}T12:30:05+02:00", f"{day} 12:30 +0200", day.replace("-", ".")))


def _isbn(rng: random.Random) -> str:
    return (
        f"978-{rng.randint(0, 9)}-{_draw(rng, string.digits, 4)}-{_draw(rng, string.digits, 4)}-7"
    )


def _uuid(rng: random.Random) -> str:
    digits = _draw(rng, "0123456789abcdef", 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _commit(rng: random.Random) -> str:
    return f"commit {_draw(rng, '0123456789abcdef', 40)}"


def _version(rng: random.Random) -> str:
    release = ".".join(str(rng.randint(0, 30)) for _ in range(3))
    return f"torch=={release}+cu{rng.randint(100, 130)}"


def _handle(rng: random.Random) -> str:
    return f"@{rng.choice(_WORDS)}{rng.randint(1, 99)} on Monday"


def _talk_of_passwords(rng: random.Random) -> str:
    return rng.choice(
        ("my password is really bad", "the password is on a sticky note", "is the API key free?",
         "the key is under the mat", "password: see the manager", "her token is a small brass coin",
         "the secret is to fry the onions first")
    )  # fmt: skip


def _placeholder(rng: random.Random) -> str:
    return rng.choice(
        ("sk-...", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "password=<your password>",
         "API_KEY=your-key-here", "ann@localhost", "AKIA...")
    )  # fmt: skip


_Maker = Callable[[random.Random], str]  # a tab before and after a value that has words around it
_MAKERS: dict[str, tuple[_Maker, ...]] = {
    "card_number": (_card, _amex),
    "iban": (_iban,),
    "email_address": (_email, _spelt_email),
    "phone_number": (_phone, _national_phone),
    "secret": (
        _github, _aws, _openai, _slack, _stripe, _hugging_face, _jwt, _private_key, _url_password,
        _assigned_key, _password, _passphrase,
    ),
    "": (
        _order_number, _grouped_number, _wrong_card, _date, _isbn, _uuid, _commit, _version,
        _handle, _talk_of_passwords, _placeholder,
    ),
}  # fmt: skip
HARD = frozenset(("national phone", "spelt email", "passphrase"))  # forms without a public format
