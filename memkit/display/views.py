"""What is shown of each thing: a title, facts, words and tables. Plain data, not yet escaped."""

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
_ROWS = 50
_SHARES = 3  # arms named beside a hit in a list
_SECRET = re.compile(r"(?<=://)[^/]*@")  # user and password in a store's URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A share, drawn as a bar with its number."""

    share: float
    label: str

    @property
    def filled(self) -> float:
        """Return how much of the bar is drawn, 0 to 1, whatever the share is."""
        return min(max(self.share, 0.0), 1.0) if isfinite(self.share) else 0.0


Cell = str | Bar
Fact = tuple[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns; `more` says what is left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    unbroken: Sequence[str] = ()  # columns whose words stay on one line
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown of one thing, from top to bottom."""

    title: str
    text: str = ""
    facts: Sequence[Fact] = ()
    table: Table | None = None
    folded: str = ""  # long words that a notebook folds away and a terminal leaves out


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
    """Describe a memory or one of its records.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(item, _MemoryLike):
        return _memory(item)
    raise TypeError(f"cannot display a {type(item).__name__}; it is no memory and no record")


def _memory(memory: _MemoryLike) -> View:
    place = _SECRET.sub("…@", str(getattr(memory.store, "url", "")))
    store = " ".join(filter(None, (type(memory.store).__name__, _name(place))))
    facts: list[Fact] = [("embedder", str(memory.embedder.fingerprint)), ("store", store)]
    try:
        counts = memory.stats()
    except StoreClosed:
        return View(title="Memory, closed", facts=facts)
    shown = [(name.replace("_", " "), f"{count:,}") for name, count in counts.items() if count]
    return View(title="Memory" if counts.get("turns") else "Memory, empty", facts=shown + facts)


@view.register
def _hit(hit: Hit) -> View:
    facts: list[Fact] = [
        ("relevance", _relevance(hit)),
        ("made up of", _shares(hit.explain) or "–"),
        ("session", _name(hit.session_id or "–")),
        ("turns", _names(hit.turn_ids)),
    ]
    said = f"{_name(hit.speaker)}, {day(hit.said_at)}"
    title = f"Concluded from: {said}" if hit.kind == "thought" else said
    return View(title=title, text=cut(hit.text, _TEXT), facts=facts)


@view.register
def _hits(hits: Hits) -> View:
    return View(title=_counted(len(hits), "hit"), table=_hit_table(hits) if hits else None)


@view.register
def _thought(thought: Thought) -> View:
    said = f"{_name(thought.said_by)}, {_counted(thought.support, 'time')}"
    facts: list[Fact] = [
        ("holds", _validity(thought)),
        ("said by", f"{said}, last on {day(thought.repeated_at)}"),
        ("from turns", _names(thought.turn_ids)),
    ]
    about = [_name(part) for part in (thought.head, thought.relation, thought.tail) if part]
    if about:
        facts.append(("about", " · ".join(about)))
    if thought.closed_by:
        facts.append(("closed by", _name(thought.closed_by)))
    if thought.conflicts:
        facts.append(("may contradict", _names(thought.conflicts)))
    return View(title=f"Thought {_name(thought.id)}", text=cut(thought.text, _TEXT), facts=facts)


@view.register
def _thoughts(thoughts: Thoughts) -> View:
    rows = [
        (_line(one.text), _validity(one), _name(one.said_by), str(one.support),
         str(len(one.conflicts) or "–"))
        for one in thoughts[:_ROWS]
    ]  # fmt: skip
    columns = ("thought", "holds", "said by", "times", "conflicts")
    table = Table(columns=columns, rows=rows, unbroken=("holds",), more=_more(len(thoughts)))
    return View(title=_counted(len(thoughts), "thought"), table=table if rows else None)


@view.register
def _summary(summary: Summary) -> View:
    facts: list[Fact] = [
        ("takes in", _counted(summary.through, "turn")),
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
        ("holds", f"{_counted(len(context.hits), 'turn')},"
                  f" {_counted(len(context.thoughts), 'thought')}"),
    ]  # fmt: skip
    facts += [("thought", _line(one.text)) for one in context.thoughts]
    table = _hit_table(context.hits) if context.hits else None
    title = "Context" if context.text else "Context, empty"
    return View(title=title, facts=facts, table=table, folded=cut(context.text, _TEXT))


def _hit_table(hits: Sequence[Hit]) -> Table:
    rows = [
        (_relevance(hit), f"{hit.said_at:%Y-%m-%d}", _name(hit.speaker), _line(hit.text),
         _shares(hit.explain, _SHARES))
        for hit in hits[:_ROWS]
    ]  # fmt: skip
    columns = ("relevance", "date", "speaker", "text", "mostly by")
    return Table(columns=columns, rows=rows, unbroken=("date",), more=_more(len(hits)))


def _relevance(hit: Hit) -> Bar:
    return Bar(share=hit.relevance, label=f"{hit.relevance:.2f}")


def _shares(explain: Mapping[str, float], most: int | None = None) -> str:
    """Return each arm's share of a relevance, the greatest first."""
    shares = sorted(explain.items(), key=lambda share: -share[1])
    named = [f"{_name(arm)} {share:.2f}" for arm, share in shares if share >= 0.005]
    return " + ".join(named[:most])


def _validity(thought: Thought) -> str:
    since = f"since {day(thought.valid_from)}"
    if thought.valid_to is not None:
        since = f"{day(thought.valid_from)} to {day(thought.valid_to)}"
    if thought.retracted_at is not None:
        return f"retracted on {day(thought.retracted_at)}; was {since}"
    return since


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _name(text: str) -> str:
    return cut(one_line(text), _NAME)


def _names(ids: Iterable[str]) -> str:
    return cut(", ".join(map(_name, ids)), _LINE)


def _line(text: str) -> str:
    return cut(one_line(text), _LINE)


def _more(count: int) -> str:
    return f"and {count - _ROWS:,} more" if count > _ROWS else ""
