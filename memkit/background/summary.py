"""HEMA's Compact Memory: one running sentence, and a summary of summaries every 100 turns.

Without a model both are made of the thoughts that hold. Where nothing is thought yet, and with a
model, they are made of the previous sentence and the new turns, as in the paper. A new version is
stored only if it is valid. If a summariser fails or returns nothing, the old version stays, and the
turns wait for the next attempt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memkit.background.salience import DECAY, select_salient
from memkit.errors import ModelError
from memkit.protocols import Counter, Model, Store, Summariser, ThoughtSummariser, Window
from memkit.records import Scope, Summary, Thought, Turn
from memkit.text.role_markers import escape_role_markers, speaker_label

MAX_TOKENS = 60  # HEMA, 3.7
OVERVIEW_EVERY = 100  # turns, HEMA 3.2
_MAX_CHARACTERS = 6000  # of new text at a time, so that it fits into any model's context
_MAX_CLAUSES = 200  # that the extractive summariser tries to fit in

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
# numbers, dates and times ("12:30", "3,500"), capitalised words ("Oslo"), words of 7 letters
_INFORMATIVE_WORD = re.compile(r"\d[\w:.,-]*|\b[A-Z][\w'-]+|\b\w{7,}")
_DECAY = 0.97  # weight of a clause relative to the next newer one


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryUpdate:
    """The next versions of a user's summaries, and the turns they add."""

    summaries: tuple[Summary, ...]
    since: int  # number of the user's turns that were summarised before
    through: int  # number of turns that are summarised now


def summarise_thoughts(
    store: Store,
    scope: Scope,
    summariser: ThoughtSummariser,
    now: datetime,
    *,
    through: int,
    overviews: bool = True,
) -> tuple[Summary, ...]:
    """Return summaries of what holds after `through` turns; empty if no thought can be shown.

    From the hundredth turn on there is a summary of summaries: of what the first one leaves out,
    whatever its age. Its thoughts are a summary's sources: when one of them no longer holds, the
    store deletes the summary.
    """
    thoughts = list(store.thoughts(scope))
    summaries: list[Summary] = []
    levels: tuple[Literal[1, 2], ...] = (1, 2) if overviews and through >= OVERVIEW_EVERY else (1,)
    for level in levels:
        text, shown = summariser.summarise_thoughts(
            thoughts, max_tokens=MAX_TOKENS, ageless=level == 2
        )
        if not shown:
            break
        summaries.append(
            Summary(
                id=f"S{level}",  # one version only: older ones may say what no longer holds
                text=text, level=level, through=through, tokens=summariser.count(text),
                sources=tuple(thought.id for thought in shown), created_at=now,
            )
        )  # fmt: skip
        thoughts = [thought for thought in thoughts if thought not in shown]
    return tuple(summaries)


def summarise_next_turns(
    store: Store,
    scope: Scope,
    summariser: Summariser,
    now: datetime,
    *,
    stop_every: int,
    overviews: bool = True,
) -> SummaryUpdate | None:
    """Return the next version of a user's summaries, or None if no turn waits.

    The new turns never reach across a hundredth turn or a multiple of `stop_every`, so that what
    is due there happens there. Raises ModelError if the summariser returned nothing, or too much.
    """
    previous = next(store.summaries(scope, 1), None)
    since = previous.through if previous else 0
    turns = _next_turns(store, scope, since, stop_every)
    if not turns:
        return None
    if previous and _is_of_thoughts(store, scope, previous):
        previous = None  # its thoughts no longer hold, or are in doubt
    through = turns[-1].position or 0
    texts = [
        f"{speaker_label(turn.name, turn.role)}: {turn.text[:_MAX_CHARACTERS]}" for turn in turns
    ]
    running = _next_version(
        summariser, previous, texts, tuple(turn.id or "" for turn in turns),
        level=1, through=through, now=now,
    )  # fmt: skip
    if not overviews or through // OVERVIEW_EVERY == since // OVERVIEW_EVERY:
        return SummaryUpdate(summaries=(running,), since=since, through=through)
    overview = _next_version(
        summariser, next(store.summaries(scope, 2), None), _split_clauses(running.text),
        (running.id,), level=2, through=through, now=now,
    )  # fmt: skip
    return SummaryUpdate(summaries=(running, overview), since=since, through=through)


def _is_of_thoughts(store: Store, scope: Scope, summary: Summary) -> bool:
    return bool(store.history(scope, summary.sources[0]))


def _next_turns(store: Store, scope: Scope, since: int, stop_every: int) -> list[Turn]:
    """Return the next unsummarised turns up to a boundary or the most characters, at least one."""
    boundary = min((since // n + 1) * n for n in (OVERVIEW_EVERY, stop_every))
    turns: list[Turn] = []
    characters = 0
    for turn in store.turns(scope, Window(after=since)):
        characters += len(turn.text)
        if turns and ((turn.position or 0) > boundary or characters > _MAX_CHARACTERS):
            break
        turns.append(turn)
    return turns


def _next_version(
    summariser: Summariser,
    previous: Summary | None,
    texts: Sequence[str],
    sources: tuple[str, ...],
    *,
    level: Literal[1, 2],
    through: int,
    now: datetime,
) -> Summary:
    """Return the summary of `previous` and `texts`, checked for length."""
    summary = summariser.summarise(previous.text if previous else "", texts, max_tokens=MAX_TOKENS)
    text = " ".join(summary.split())
    if not text:
        raise ModelError("the summariser returned nothing; the previous summary stays")
    if (tokens := summariser.count(text)) > MAX_TOKENS:
        raise ModelError(
            f"the summariser returned {tokens} tokens, {MAX_TOKENS} are allowed; the previous "
            "summary stays"
        )
    return Summary(
        id=f"S{level}/{through}",  # the same in every process: the first to commit wins
        text=text,
        level=level,
        through=through,
        tokens=tokens,
        sources=sources if previous is None else (previous.id, *sources),
        created_at=now,
    )


class ExtractiveSummariser:
    """Joins the thoughts that matter most, or clauses where there are none. Needs no model.

    `memkit.background.salience` chooses the thoughts. The weight of a clause is its number of
    names, numbers and long words; it decays with every newer clause. Questions weigh nothing.
    """

    def __init__(self, count: Counter) -> None:
        self.count = count

    def summarise_thoughts(
        self, thoughts: Sequence[Thought], *, max_tokens: int, ageless: bool = False
    ) -> tuple[str, Sequence[Thought]]:
        """Return a sentence of thoughts, in the order they were said, and these thoughts."""
        decay = 1.0 if ageless else DECAY
        selected = select_salient(thoughts, self.count, max_tokens, decay)
        while selected:
            in_order = sorted(
                selected, key=lambda thought: (thought.said_at, thoughts.index(thought))
            )
            text = _join_clauses([_clause(thought) for thought in in_order]) + "."
            if self.count(text) <= max_tokens:
                return text, in_order
            selected.pop()  # the speakers' names cost tokens too
        return "", ()

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return clauses of `previous` and `new` in their order, joined into one sentence."""
        new_clauses = [clause for text in new for clause in _statements(text)]
        clauses = list(dict.fromkeys([*_split_clauses(previous), *new_clauses]))
        newest = len(clauses) - 1
        weights = {
            clause: _informativeness(clause) * _DECAY ** (newest - n)
            for n, clause in enumerate(clauses)
        }
        chosen: set[str] = set()
        spent = 1  # the full stop
        for clause in sorted(clauses, key=lambda clause: -weights[clause])[:_MAX_CLAUSES]:
            cost = self.count(clause) + 1  # and its semicolon
            if spent + cost <= max_tokens and (weights[clause] > 0 or not chosen):
                chosen.add(clause)
                spent += cost
        selected = [clause for clause in clauses if clause in chosen]
        if not selected:  # even the shortest clause is longer than the limit
            selected = [self._truncate(clauses[-1], max_tokens - 1)] if clauses else [previous]
        sentence = _join_clauses(selected).rstrip(".!;, ")
        return self._truncate(sentence, max_tokens - 1) + "."

    def _truncate(self, text: str, max_tokens: int) -> str:
        words = text.split()
        while len(words) > 1 and self.count(" ".join(words)) > max_tokens:
            words = words[: max(1, len(words) * 9 // 10)]
        text = " ".join(words)
        while self.count(text) > max_tokens:  # a single word, such as a long link
            text = text[: len(text) * 9 // 10]
        return text


def _clause(thought: Thought) -> str:
    """Return a thought as "Ann: I live in Oslo"."""
    name = None if thought.said_by == thought.role else thought.said_by
    words = " ".join(thought.text.split()).rstrip(".!;,:… ")
    return f"{speaker_label(name, thought.role)}: {words}"


def _join_clauses(clauses: Sequence[str]) -> str:
    """Join ["Ann: a", "Ann: b", "Bob: c"] to "Ann: a; b; Bob: c"."""
    speakers = [None, *(clause.partition(": ")[0] for clause in clauses)]
    return "; ".join(
        clause.removeprefix(f"{previous}: ")
        for previous, clause in zip(speakers, clauses, strict=False)
    )


def _split_clauses(sentence: str) -> list[str]:
    """Undo `_join_clauses`: return the clauses, each with its speaker."""
    clauses: list[str] = []
    for part in filter(None, sentence.rstrip(".").split("; ")):
        speaker = clauses[-1].partition(": ")[0] if clauses else ""
        clauses.append(part if ": " in part or not speaker else f"{speaker}: {part}")
    return clauses


def _informativeness(clause: str) -> float:
    """Return the number of names, numbers and long words: half for a reply, 0 for a question."""
    speaker, _, text = clause.partition(": ")
    if text.endswith("?"):
        return 0.0
    words = set(_INFORMATIVE_WORD.findall(text[:1].lower() + text[1:])) - {"I", speaker}
    return len(words) * (0.5 if speaker == "Assistant" else 1.0)


def _statements(text: str) -> list[str]:
    """Return the sentences of "speaker: text", without questions unless all are questions."""
    speaker, _, body = text.partition(": ")
    statements = [
        f"{speaker}: {sentence.strip(' .!;')}"
        # "; " and ": " separate clauses and speakers in the summary
        for sentence in _SENTENCE_END.split(body.replace("; ", ", ").replace(": ", ", "))
        if sentence.strip(" .!?;") and not sentence.rstrip().endswith("?")
    ]
    return statements or [f"{speaker}: {body.strip()}"]


_REQUEST = """Write one sentence of at most 40 words that keeps the most important facts, names \
and numbers of both parts. Write the sentence only.

Summary so far: {previous}

New messages:
{new}"""
_ROLE_MARKER = re.compile(r"<\|?|\|?>|\[/?INST\]")  # "<|im_end|>", "[/INST]"


class ModelSummariser:
    """Asks a language model for the next running sentence."""

    def __init__(self, model: Model, count: Counter) -> None:
        self._model = model
        self.count = count

    def summarise(self, previous: str, new: Sequence[str], *, max_tokens: int) -> str:
        """Return the model's first sentence, cut to `max_tokens` at a word; "" if it wrote none."""
        request = _REQUEST.format(
            previous=self._model.escape_role_markers(previous) or "none",
            new="\n".join(self._model.escape_role_markers(text) for text in new),
        )
        pieces = self._model.stream(
            [{"role": "user", "content": request}], max_new_tokens=2 * max_tokens
        )
        answer = escape_role_markers("".join(pieces).strip(), _ROLE_MARKER)
        words = _SENTENCE_END.split(answer)[0].split() if answer else []
        while words and self.count(" ".join(words)) > max_tokens:
            words.pop()
        return " ".join(words)
