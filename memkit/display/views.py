"""Describe a memory and its records for display: title, facts, text and table.

Views are plain data; `html` and `terminal` escape the text when they render it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import isfinite
from typing import Protocol, runtime_checkable

from memkit.errors import StoreClosed
from memkit.protocols import Embedder
from memkit.records import Context, Hit, Hits, Summary, Thought, Thoughts, day
from memkit.text.sanitise import cut, one_line

_NAME, _LINE, _TEXT = 60, 240, 4000  # most characters of a name, a cell and a text
_ROWS = 50  # most rows of a table
_SIGNALS = 3  # most signals named per hit in a table
_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")  # "ann:secret@" in "postgresql://ann:secret@host/db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A share of a whole, drawn as a bar with a label."""

    share: float
    label: str

    @property
    def filled(self) -> float:
        """The filled part of the bar, 0 to 1, even if the share is outside that range."""
        return min(max(self.share, 0.0), 1.0) if isfinite(self.share) else 0.0


Cell = str | Bar
Fact = tuple[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns; `more` says how many rows are left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    nowrap: Sequence[str] = ()  # columns that are not wrapped
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The display of one object, in the order of its fields."""

    title: str
    text: str = ""
    facts: Sequence[Fact] = ()
    table: Table | None = None
    details: str = ""  # long text: collapsed in a notebook, omitted in a terminal


@runtime_checkable
class _MemoryLike(Protocol):
    """The part of `memkit.Memory` that is displayed; a protocol, so that this imports no memory."""

    @property
    def store(self) -> object: ...

    @property
    def embedder(self) -> Embedder: ...

    def stats(self) -> dict[str, int]: ...


@singledispatch
def view(item: object) -> View:
    """Describe a memory or one of its records."""
    if isinstance(item, _MemoryLike):
        return _memory(item)
    raise TypeError(f"cannot display a {type(item).__name__}; it is no memory and no record")


def _memory(memory: _MemoryLike) -> View:
    url = _CREDENTIALS.sub("…@", str(getattr(memory.store, "url", "")))
    store = " ".join(filter(None, (type(memory.store).__name__, _name(url))))
    facts: list[Fact] = [("embedder", str(memory.embedder.fingerprint)), ("store", store)]
    try:
        counts = memory.stats()
    except StoreClosed:
        return View(title="Memory, closed", facts=facts)
    totals = [(name.replace("_", " "), f"{count:,}") for name, count in counts.items() if count]
    return View(title="Memory" if counts.get("turns") else "Memory, empty", facts=totals + facts)


@view.register
def _hit(hit: Hit) -> View:
    facts: list[Fact] = [
        ("relevance", _relevance(hit)),
        ("made up of", _shares(hit.explain) or "–"),
        ("source", hit.source),
        ("session", _name(hit.session_id or "–")),
        ("turns", _names(hit.turn_ids)),
    ]
    origin = f"{_name(hit.speaker)}, {day(hit.said_at)}"
    title = f"Concluded from: {origin}" if hit.kind == "thought" else origin
    return View(title=title, text=cut(hit.text, _TEXT), facts=facts)


@view.register
def _hits(hits: Hits) -> View:
    return View(title=_plural(len(hits), "hit"), table=_hit_table(hits) if hits else None)


@view.register
def _thought(thought: Thought) -> View:
    origin = f"{_name(thought.said_by)}, {_plural(thought.support, 'time')}"
    facts: list[Fact] = [
        ("holds", _validity(thought)),
        ("said by", f"{origin}, last on {day(thought.repeated_at)}"),
        ("from turns", _names(thought.turn_ids)),
    ]
    about = [_name(part) for part in (thought.head, thought.relation, thought.tail) if part]
    if about:
        facts.append(("about", " · ".join(about)))
    if thought.closed_by:
        facts.append(("closed by", _name(thought.closed_by)))
    for quote in thought.later:
        facts.append(("in doubt since", f"{day(quote.said_at)}: {_line(quote.text)}"))
    return View(title=f"Thought {_name(thought.id)}", text=cut(thought.text, _TEXT), facts=facts)


@view.register
def _thoughts(thoughts: Thoughts) -> View:
    rows = [
        (_line(thought.text), _validity(thought), _name(thought.said_by), str(thought.support),
         day(thought.later[0].said_at) if thought.later else "–")
        for thought in thoughts[:_ROWS]
    ]  # fmt: skip
    columns = ("thought", "holds", "said by", "times", "in doubt since")
    table = Table(columns=columns, rows=rows, nowrap=("holds",), more=_more(len(thoughts)))
    return View(title=_plural(len(thoughts), "thought"), table=table if rows else None)


@view.register
def _summary(summary: Summary) -> View:
    facts: list[Fact] = [
        ("takes in", _plural(summary.through, "turn")),
        ("tokens", f"{summary.tokens:,}"),
        ("written", day(summary.created_at)),
    ]
    title = "Compact Memory" if summary.level == 1 else "Summary of summaries"
    return View(title=title, text=cut(summary.text, _TEXT), facts=facts)


@view.register
def _context(context: Context) -> View:
    budget = context.budget_tokens
    used: Cell = f"{context.tokens:,}"
    if budget:
        used = Bar(share=context.tokens / budget, label=f"{context.tokens:,} of {budget:,}")
    facts: list[Fact] = [
        ("tokens", used),
        ("holds", f"{_plural(len(context.hits), 'turn')},"
                  f" {_plural(len(context.thoughts), 'thought')}"),
    ]  # fmt: skip
    facts += [("thought", _line(thought.text)) for thought in context.thoughts]
    table = _hit_table(context.hits) if context.hits else None
    title = "Context" if context.text else "Context, empty"
    return View(title=title, facts=facts, table=table, details=cut(context.text, _TEXT))


def _hit_table(hits: Sequence[Hit]) -> Table:
    rows = [
        (_relevance(hit), f"{hit.said_at:%Y-%m-%d}", _name(hit.speaker), _line(hit.text),
         _shares(hit.explain, _SIGNALS))
        for hit in hits[:_ROWS]
    ]  # fmt: skip
    columns = ("relevance", "date", "speaker", "text", "mostly by")
    return Table(columns=columns, rows=rows, nowrap=("date",), more=_more(len(hits)))


def _relevance(hit: Hit) -> Bar:
    return Bar(share=hit.relevance, label=f"{hit.relevance:.2f}")


def _shares(explain: Mapping[str, float], most: int | None = None) -> str:
    """Return each signal's share of a relevance, largest first: "lexical 0.30 + dense 0.10"."""
    shares = sorted(explain.items(), key=lambda share: -share[1])
    labels = [f"{_name(signal)} {share:.2f}" for signal, share in shares if share >= 0.005]
    return " + ".join(labels[:most])


def _validity(thought: Thought) -> str:
    first, last, retracted_at = thought.valid_from, thought.valid_to, thought.retracted_at
    since = f"since {day(first)}" if last is None else f"{day(first)} to {day(last)}"
    return since if retracted_at is None else f"retracted on {day(retracted_at)}; was {since}"


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _name(text: str) -> str:
    return cut(one_line(text), _NAME)


def _names(ids: Iterable[str]) -> str:
    return cut(", ".join(map(_name, ids)), _LINE)


def _line(text: str) -> str:
    return cut(one_line(text), _LINE)


def _more(count: int) -> str:
    return f"and {count - _ROWS:,} more" if count > _ROWS else ""
