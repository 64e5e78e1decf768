"""What is said in passing of someone's people and things: "my friend Mia, who moved to Oslo"."""

import re
from collections.abc import Iterator

from memkit.thoughts.rules.english import People, possessive, retell
from memkit.thoughts.rules.lexicon import KIN
from memkit.thoughts.rules.sentences import Clause, Sentence, cut, unsure
from memkit.thoughts.rules.subjects import Statement

_WHO = re.compile(
    rf"\b[Mm]y (?P<thing>(?:[a-z-]+ ){{0,2}}(?:{'|'.join(sorted(KIN))})(?: [A-Z][a-z]+)?),? "
    r"who(?P<short>'s)? (?P<said>.+)"
)
_FAVORITE = re.compile(
    r"\b[Mm]y (?P<thing>(?:current |new |all-time )?favou?rite(?: (?!is\b|are\b|was\b|were\b|"
    r"has\b)[\w-]+){1,3}),? "
    r"(?P<said>(?-i:[A-Z])[\w'&.-]*(?: (?:[A-Z][\w'&.-]*|of|the|and))*)(?=,|\Z|\s(?:to|for|"
    r"with|at|in|on)\b)"
)
_BEST = re.compile(
    r"\b(?:[Mm]y|an?) (?P<thing>(?:new |current )?personal (?:best|"
    r"record)(?: [\w-]+){0,3}?) (?:of|at) "
    r"(?P<said>\d[\w:.]*(?: (?:minutes?|seconds?|and|\d+)\b)*)"
)


_UNREAL = re.compile(r"\b(?:[Ii]magine|pretend|role-?play|wish|if my|hypothetical\w*)\b")


def asides(sentence: Sentence, people: People) -> Iterator[tuple[Clause, Statement]]:
    """Yield what a sentence says by the way, even if it asks for something else."""
    for pattern in (_WHO, _FAVORITE, _BEST):
        match = pattern.search(sentence.text)
        if match is None or _UNREAL.search(sentence.text) or unsure(match[0], ""):
            continue
        said = cut(match["said"])
        begin, end = match.start(), match.start("said") + len(said)
        verb = "is " if pattern is not _WHO or match["short"] else ""
        predicate = retell(f"{verb}{said}", people)
        if predicate and not (pattern is _WHO and sentence.asks and end == len(sentence.text) - 1):
            yield (
                Clause(text=match[0], start=sentence.start + begin, end=sentence.start + end),
                Statement(
                    head=f"{possessive(people.speaker)} {match['thing']}",
                    predicate=predicate,
                    thing=(people.speaker, match["thing"]),
                ),
            )
