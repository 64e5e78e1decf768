"""HEMA's Compact Memory: one running sentence, and a summary of summaries every 100 turns.

A new version is committed only if it is valid; a summariser that fails or says nothing leaves the
old one in place, and the turns stay to be taken in next time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memkit.errors import ModelError
from memkit.prompt import defuse
from memkit.protocols import Counter, Model, Store, Summariser, Window
from memkit.records import Scope, Summary, Turn

MAX_TOKENS = 60  # HEMA, 3.7
OVERVIEW_EVERY = 100  # turns, HEMA 3.2
_MOST_CHARACTERS = 6000  # of new text at a time, so that any model can read it

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_TELLING = re.compile(r"\d[\w:.,-]*|\b[A-Z][\w'-]+|\b\w{7,}")
_KEEP = 0.97  # what a clause is worth relative to the next younger one


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The next versions of a user's summaries, and how far they reach."""

    summaries: tuple[Summary, ...]
    since: int  # the user's turns, by position, that were taken in before this
    through: int  # and now


def update(
    store: Store,
    scope: Scope,
    summariser: Summariser,
    now: datetime,
    *,
    stop_every: int,
    overviews: bool = True,
) -> Update | None:
    """Return the next summaries, or None if every turn has been taken in.

    Takes in waiting turns, but never across a hundredth turn or a multiple of `stop_every`, so
    that what is due there happens there however many turns were remembered at once.

    Raises:
        ModelError: the summariser said nothing, or too much.
    """
    previous = next(store.summaries(scope, 1), None)
    through = previous.through if previous else 0
    waiting = _waiting(store, scope, through, stop_every)
    if not waiting:
        return None
    reached = waiting[-1].position or 0
    new = [f"{turn.speaker}: {turn.text[:_MOST_CHARACTERS]}" for turn in waiting]
    text = _valid(summariser, previous.text if previous else "", new)
    sources = tuple(turn.id or "" for turn in waiting)
    running = _summary(summariser, 1, text, (reached, now), _grown(sources, previous))
    if not overviews or reached // OVERVIEW_EVERY == through // OVERVIEW_EVERY:
        return Update(summaries=(running,), since=through, through=reached)
    earlier = next(store.summaries(scope, 2), None)
    text = _valid(summariser, earlier.text if earlier else "", _apart(text))
    overview = _summary(summariser, 2, text, (reached, now), _grown((running.id,), earlier))
    return Update(summaries=(running, overview), since=through, through=reached)


def _waiting(store: Store, scope: Scope, through: int, stop_every: int) -> list[Turn]:
    boundary = min((through // n + 1) * n for n in (OVERVIEW_EVERY, stop_every))
    waiting: list[Turn] = []
    characters = 0
    for turn in store.turns(scope, Window(after=through)):
        characters += len(turn.text)
        if waiting and ((turn.position or 0) > boundary or characters > _MOST_CHARACTERS):
            break
        waiting.append(turn)
    return waiting


def _grown(sources: tuple[str, ...], previous: Summary | None) -> tuple[str, ...]:
    return sources if previous is None else (previous.id, *sources)


def _valid(summariser: Summariser, previous: str, new: Sequence[str]) -> str:
    text = " ".join(summariser.summarise(previous, new, max_tokens=MAX_TOKENS).split())
    if not text:
        raise ModelError("the summariser returned nothing; the previous summary stays")
    if (tokens := summariser.count(text)) > MAX_TOKENS:
        raise ModelError(
            f"the summariser returned {tokens} tokens, {MAX_TOKENS} are allowed; the previous "
            "summary stays"
        )
    return text


def _summary(
    summariser: Summariser,
    level: Literal[1, 2],
    text: str,
    reach: tuple[int, datetime],
    sources: tuple[str, ...],
) -> Summary:
    through, now = reach
    return Summary(
        id=f"S{level}/{through}",  # the same in every process: the first to commit wins
        text=text,
        level=level,
        through=through,
        tokens=summariser.count(text),
        sources=sources,
        created_at=now,
    )


class ExtractiveSummariser:
    """Keeps the most telling clauses of the old sentence and the new turns. No model.

    A clause is worth its names, numbers and long words, less with every younger clause; questions
    are worth nothing.
    """

    def __init__(self, count: Counter) -> None:
        self.count = count

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return clauses of `previous` and `new` in their order, joined into one sentence."""
        told = [clause for text in new for clause in _clauses(text)]
        clauses = list(dict.fromkeys([*_apart(previous), *told]))
        newest = len(clauses) - 1
        worth = {
            clause: _telling(clause) * _KEEP ** (newest - n) for n, clause in enumerate(clauses)
        }
        chosen: set[str] = set()
        spent = 1  # the full stop
        for clause in sorted(clauses, key=lambda clause: -worth[clause])[:200]:
            cost = self.count(clause) + 1  # and its semicolon
            if spent + cost <= max_tokens and (worth[clause] > 0 or not chosen):
                chosen.add(clause)
                spent += cost
        kept = [clause for clause in clauses if clause in chosen]
        if not kept:  # a single clause longer than all there is room for
            kept = [self._cut(clauses[-1], max_tokens - 1)] if clauses else [previous]
        return self._cut(_together(kept).rstrip(".!;, "), max_tokens - 1) + "."

    def _cut(self, text: str, max_tokens: int) -> str:
        words = text.split()
        while len(words) > 1 and self.count(" ".join(words)) > max_tokens:
            words = words[: max(1, len(words) * 9 // 10)]
        text = " ".join(words)
        while self.count(text) > max_tokens:  # one word, such as a long link
            text = text[: len(text) * 9 // 10]
        return text


def _together(clauses: Sequence[str]) -> str:
    """Join clauses into one sentence, naming a speaker only where it changes."""
    speakers = [None, *(clause.partition(": ")[0] for clause in clauses)]
    return "; ".join(
        clause.removeprefix(f"{before}: ")
        for before, clause in zip(speakers, clauses, strict=False)
    )


def _apart(sentence: str) -> list[str]:
    """Return the clauses that `_together` joined, each with its speaker again."""
    clauses: list[str] = []
    for part in filter(None, sentence.rstrip(".").split("; ")):
        speaker = clauses[-1].partition(": ")[0] if clauses else ""
        clauses.append(part if ": " in part or not speaker else f"{speaker}: {part}")
    return clauses


def _telling(clause: str) -> float:
    """Return how many names, numbers and long words a clause has; a reply's count half.

    A question has none: it tells nothing.
    """
    speaker, _, said = clause.partition(": ")
    if said.endswith("?"):
        return 0.0
    words = set(_TELLING.findall(said[:1].lower() + said[1:])) - {"I", speaker}
    return len(words) * (0.5 if speaker == "Assistant" else 1.0)


def _clauses(text: str) -> list[str]:
    """Return a turn's statements, each with its speaker in front, none of them a question."""
    speaker, _, said = text.partition(": ")
    statements = [
        f"{speaker}: {sentence.strip(' .!;')}"
        for sentence in _SENTENCE.split(said.replace("; ", ", ").replace(": ", ", "))
        if sentence.strip(" .!?;") and not sentence.rstrip().endswith("?")
    ]
    return statements or [f"{speaker}: {said.strip()}"]


_ASK = """Write one sentence of at most 40 words that keeps the most important facts, names and \
numbers of both parts. Write the sentence only.

Summary so far: {previous}

New messages:
{new}"""
_NOT_A_SENTENCE = re.compile(r"<\|?|\|?>|\[/?INST\]")


class ModelSummariser:
    """Asks a language model for the next running sentence."""

    def __init__(self, model: Model, count: Counter) -> None:
        self._model = model
        self.count = count

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return the model's first sentence, cut to `max_tokens` at a word; "" if it said none."""
        said = "\n".join(self._model.escape_role_markers(text) for text in new)
        request = _ASK.format(
            previous=self._model.escape_role_markers(previous) or "none", new=said
        )
        pieces = self._model.stream(
            [{"role": "user", "content": request}], max_new_tokens=2 * max_tokens
        )
        answer = defuse("".join(pieces).strip(), _NOT_A_SENTENCE)
        sentence = _SENTENCE.split(answer)[0].split() if answer else []
        while sentence and self.count(" ".join(sentence)) > max_tokens:
            sentence.pop()
        return " ".join(sentence)
