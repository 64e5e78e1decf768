"""Conventions for code that someone sets: how things are named, and what code is to have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: what is ruled, how, and to which value."""

    head: str  # "attribute names"
    relation: str  # "end with"
    tail: str  # "'_j'"
    text: str  # "always end attribute names with '_j'"
    slot: str  # "attribute names | end with"


_QUOTED = re.compile(
    r"(?<![\w'\"`])(['\"`])(?P<value>@?[^\s'\"`]{1,30}?)[.,]?(?:\1(?!\w)|\Z)|(?P<bare>@\w{2,30})"
)
_KINDS = (
    r"(?:function |method )?(?:arguments?|parameters?)|functions?|methods?|(?:class |instance )?"
    r"attributes?|variables?|class(?:es)?|constants?|modules?|files?|tables?|columns?|packages?|"
    r"branch(?:es)?|property|properties|fields?|folders?"
)
_EACH = r"(?:(?:all|any|the|your|our|new|each|every|an?|of|to|for) )*"
_THINGS = rf"(?:{_KINDS})(?: names)?(?:,? (?:and|or) {_EACH}(?:{_KINDS}))?"
_THING = re.compile(
    r"\b(?:nam(?:e|es|ing)|declar(?:e|es|ing)|defin(?:e|es|ing)|creat(?:e|es|ing)|writ(?:e|es|"
    r"ing))"
    rf"(?: \w+)? {_EACH}(?P<named>{_THINGS})\b(?! nam)|"
    rf"\b(?P<thing>{_THINGS})(?:'s)? nam(?P<many>es|ing|e)\b|"
    rf"\b(?P<fixed>(?:{_KINDS})) (?=prefix|suffix)|"
    rf"\b(?:all|every|each|any|your|our|to|for|in|of|with) {_EACH}(?P<plain>{_THINGS})\b(?! nam)",
    re.IGNORECASE,
)
_KIND = re.compile(rf"\b(?:{_KINDS})\b", re.IGNORECASE)
_FRAMES = {  # of several, the last before the value counts
    "start with": r"start\w*|begin\w*|prefix\w*|precede\w*",
    "end with": r"end(?:s|ed|ing|ings)?|suffix\w*|append\w*|finish\w*|conclud\w*|postfix\w*",
    "include": r"includ\w*|contain\w*|incorporat\w*|insert\w*",
}
_VERBS = (  # as a rule's text says them, where they were said
    "begin", "prefix", "precede", "suffix", "append", "finish", "conclude", "contain",
    "incorporate", "insert",
)  # fmt: skip
_FRAME = re.compile(
    "|".join(rf"(?P<f{n}>\b(?:{words})\b)" for n, words in enumerate(_FRAMES.values())),
    re.IGNORECASE,
)
_STYLE = re.compile(
    r"\b(?P<style>(?:upper |lower )?camel ?case|pascal ?case|(?:screaming |upper )?"
    r"(?:snake|kebab)[_ -]?case|all[- ]?(?:uppercase|caps)|uppercase|lowercase|title ?case)\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(
    r"\b(?P<digit>(?:at least |exactly )?(?:a|one) (?:single )?(?:digit|number))\b", re.IGNORECASE
)
# before a value: it is only an example, or what no longer counts
_ASIDE = re.compile(
    r"\b(?:as in|(?<!'d )(?<!would )(?<!also )like|such as|e\.g\.|for example|for instance|"
    r"name(?:d)? it|call it|would be|"
    r"becomes?|instead of|rather than|no longer|previously|used to|earlier|previous|not)\W{0,3}"
    r"(?:\w+\W+){0,4}\Z",
    re.IGNORECASE,
)
_MOST_VALUES = 6  # of one sentence
_LIBRARY = re.compile(r"['\"`]? (?:module|library|package|decorator)\b")
_CONSTRUCT = re.compile(
    r"\b(?P<what>(?:type )?annotations?|type hints?|docstrings?|(?:inline )?comments?|"
    r"try(?:[- /](?:except|catch|finally))*(?: (?:statements?|blocks?))|"
    r"assert(?:ion)?(?: statements?|s)|unit tests?|default values?|list comprehensions?|f-strings?|"
    r"return statements?)\b",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"\b(?P<where>functions?|methods?|class(?:es)?|code(?:base)?|modules|files|scripts|tests)\b",
    re.IGNORECASE,
)
_SET = re.compile(
    r"\b(?:always|never|from now on|(?:going|moving) forward|from here on|should|must|"
    r"needs? to|have "
    r"to|make sure|ensure|be sure|remember to|don't forget|please|you to|require[sd]?|expect|"
    r"we (?:all "
    r"|also )?(?:start|end|use|include|add|begin|prefix|name|want|need|prefer|follow)|convention|"
    r"standard|rule|polic(?:y|ies)|practices?|insist|mandatory|essential|crucial|important|"
    r"emphasize|importance of|focus on|prefer|you'll|let's|instead|use of|(?<!by )using)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"(?:(?:and|also|now|so|then|please|just|first|second|third|last|final|finally|additional|next|"
    r"likewise|similarly|remember|\w+ly|for \w+(?: \w+){0,3}|when\w* \w+(?: \w+){0,4}),? )*"
    r"(?:start|begin|end|use|add|include|import|prefix|suffix|append|name|write|put|incorporate)\b",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:never|avoid|refrain|don't use|do not|stop|no need)\b", re.IGNORECASE)


def sets(text: str) -> bool:
    """Return whether a sentence sets something for good, rather than tells of it."""
    return bool(_SET.search(text) or _ORDER.match(text))


def _for_good(text: str) -> bool:
    """Return whether a construct is set for all code, rather than asked for in this place."""
    if re.search(r"\b(?:this|that|these|those|following|above|below)\b", text):
        return bool(_CUE.search(text))
    return bool(_SET.search(text) or (_ORDER.match(text) and _ALL.search(text)))


_CUE = re.compile(
    r"\b(?:always|never|from now on|(?:going|moving) forward|every|all)\b", re.IGNORECASE
)
_ALL = re.compile(r"\b(?:your|all|every|each|any)\b", re.IGNORECASE)


def naming(text: str, before: str) -> Iterator[Rule]:
    """Yield how things are to be named: with a prefix, a suffix, a part, or in a style.

    `before`: what was said before in the same turn, for "start them with 'x_'".
    """
    values = [
        match
        for pattern in (_QUOTED, _STYLE, _DIGIT)
        for match in pattern.finditer(text)
        if not _ASIDE.search(text[: match.start()]) and not _LIBRARY.match(text, match.end() - 1)
    ]
    values = sorted(values, key=lambda match: match.start())[:_MOST_VALUES]
    frame, verb, done = "", "", 0
    for n, match in enumerate(values):
        until = values[n + 1].start() if n + 1 < len(values) else len(text)
        found = _framed(text, done, match, until)
        frame, verb = found or (frame, verb)
        things = _things(text, done, match.start(), until) or _things(before[-300:], 0, 300, 300)
        done = match.end()
        kind, value = next((k, v) for k, v in match.groupdict().items() if v)
        how = {"style": "use", "digit": "include", "bare": ""}.get(kind, frame)
        if how and not value.startswith("@"):
            for thing in things:
                whole = f"'{value}'" if kind == "value" else value
                yield _named(thing, how, whole, kind, verb if how == frame else how.split()[0])


def _named(thing: str, how: str, value: str, kind: str, verb: str) -> Rule:
    """Return a rule whose text has the verb that was said, such as "prefix" for "start with"."""
    said = {
        "use": f"always use {value} for {thing}",
        "include": f"always {verb} {value} in {thing}",
    }.get(how, f"always {verb} {thing} with {value}")
    if verb == "append":
        said = f"always append {value} to {thing}"
    part = "include a digit" if kind == "digit" else how
    return Rule(head=thing, relation=how, tail=value, text=said, slot=f"{thing} | {part}")


def _framed(text: str, done: int, match: re.Match[str], until: int) -> tuple[str, str] | None:
    """Return what is done with a value, and in which verb: the last before it, or else behind."""
    ahead = list(_FRAME.finditer(text, done, match.start()))
    found = ahead[-1] if ahead else _FRAME.search(text, match.end(), max(until, match.end()))
    if not found:
        return None
    frame = list(_FRAMES)[int((found.lastgroup or "f0")[1:])]
    low, canon = found[0].lower(), frame.split()[0]
    if re.search(rf"\b{canon}", text, re.IGNORECASE):
        return frame, canon
    return frame, next((verb for verb in _VERBS if low.startswith(verb[:6])), canon)


def _things(text: str, done: int, start: int, until: int) -> list[str]:
    """Return what is named: the last before a value, or else the first behind it, or the last."""
    text = text[:until]
    ahead = [match for match in _THING.finditer(text) if done <= match.start() < start]
    behind = [match for match in _THING.finditer(text) if match.start() >= start]
    earlier = [match for match in _THING.finditer(text) if match.start() < done]
    found = _nearest(ahead) or (behind[0] if behind else None) or _nearest(earlier)
    if found is None:
        return []
    said = found["named"] or found["thing"] or found["fixed"] or found["plain"]
    return [f"{_kind(one)} names" for one in _KIND.findall(said)]


def _nearest(found: list[re.Match[str]]) -> re.Match[str] | None:
    """Return the last, but "naming arguments" rather than "the variable name" that follows it."""
    if not found:
        return None
    named = [match for match in found if match["named"]]
    if named and (found[-1]["many"] == "e" or found[-1]["plain"]):
        return named[-1]
    return found[-1]


def _kind(said: str) -> str:
    """Return a kind of thing in the singular: "function argument", "class"."""
    low = said.lower()
    if "argument" in low or "parameter" in low:
        return "function argument"
    if low.endswith("ies"):
        return low[:-3] + "y"
    return re.sub(r"(?<=(?:s|h))es$|(?<!s)s$", "", low)


def constructs(text: str, before: str) -> Iterator[Rule]:
    """Yield what code is always, or never, to have: a decorator, an import, docstrings."""
    how = "never" if _NOT.search(text) else "always"
    module = _MODULE.search(text)
    marks = _marks(text) or (_marks(before[-400:])[-1:] if _THIS.search(text) else [])
    if marks or module:
        if not sets(text):
            return
        for mark in marks:
            for place in _places(text, 0, before):
                if place == "code":
                    continue
                what = f"the '{mark}' decorator"
                yield _used(what, f"{how} add", f"to {place}", f"{mark} | {place}")
    if module and not marks:
        name = f"'{module['name'] or module['other']}'"
        yield _used(name, f"{how} import", "", f"import {name}")
    if not marks and not module and _for_good(text):
        for match in _CONSTRUCT.finditer(text):
            what = _many(match["what"].lower())
            done = _DONE.findall(text[max(0, match.start() - 60) : match.start()])
            for place in _places(text, match.start(), before):
                rule = _used(what, f"{how} use", f"in {place}", f"{what} | {place}")
                said = f"{how} {done[-1]} {what} in {place}" if done else rule.text
                yield replace(rule, text=said)


_DONE = re.compile(r"\b(add|include|incorporate|write|provide)\b")
_MODULE = re.compile(
    r"\bimport(?:s|ed|ing)?\b[^.;'\"`]{0,60}['\"`](?P<name>[\w.]+)['\"`]|"
    r"['\"`](?P<other>[\w.]+)['\"`] module\b[^.;]{0,80}\bimport"
)
_THIS = re.compile(r"\b(?:this|the|that) decorator\b|\b(?:add|use|apply|include) (?:it|them)\b")


def _marks(text: str) -> list[str]:
    """Return the decorators that a text names."""
    found = (match["value"] or match["bare"] for match in _QUOTED.finditer(text))
    return [mark for mark in dict.fromkeys(found) if mark and mark.startswith("@")]


def _places(text: str, start: int, before: str) -> list[str]:
    """Return where code is to have it: those named behind it, or around it, or before."""
    around = _WHERE.findall(text[start:]) or _WHERE.findall(text) or _WHERE.findall(before[-200:])
    places = dict.fromkeys(_place(one) for one in around)
    telling = [place for place in places if place != "code"]
    return telling[:2] if telling else ["code"]


def _place(said: str) -> str:
    low = said.lower()
    return (
        {"class": "classes", "codebase": "code"}.get(
            low, low if low == "code" else low.rstrip("s") + "s"
        )
        if low != "classes"
        else low
    )


def _many(what: str) -> str:
    what = re.sub(r"^(?:type |inline )", "", what)
    kind = re.split(r"[- /]", what)[0]
    if kind.startswith(("try", "assert")):
        return f"{'try' if kind == 'try' else 'assert'} statements"
    return what if what.endswith("s") else what + "s"


def _used(what: str, how: str, where: str, slot: str) -> Rule:
    said = f"{how} {what} {where}".strip()
    return Rule(head=what, relation=how, tail=where or what, text=said, slot=slot)
