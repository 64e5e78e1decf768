"""Remember the turns of a file in batches; report what was stored, and what was not and why."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from memkit.errors import InvalidInput, MessagesRejected, TurnConflict
from memkit.importers.source import LocatedTurn, TurnSource
from memkit.ingest import to_turn
from memkit.memory import Memory
from memkit.protocols import Window
from memkit.records import Origin, Scope, Turn

BATCH = 256  # turns in one write transaction
_LISTED_PROBLEMS = 1000  # so that a large file of bad lines does not fill the memory
_OPEN_SESSIONS = 1000  # whose turns may alternate in a file
_FIRST_LOCATIONS = 3  # of what was left out for one reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How many messages an import left out for one reason, and the first locations of them."""

    reason: str  # such as "system message"
    count: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """How many turns an import read, how many of them were new, and what was not stored."""

    read: int
    new: int
    empty: int = 0  # messages that say nothing
    problems: tuple[str, ...] = ()  # where, and why: of the first 1,000 turns that failed
    failed: int = 0  # turns that could not be read or stored
    left: tuple[LeftOut, ...] = ()  # messages that the reader leaves out, by reason
    notes: tuple[str, ...] = ()  # remarks for people


@dataclass(slots=True)
class _Tally:
    """What became of the messages until now."""

    read: int = 0
    new: int = 0
    empty: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    left: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add_unread(self, batch: list[LocatedTurn]) -> None:
        """Count the messages without a turn."""
        for located in batch:
            if located.turn is not None:
                continue
            if located.error is not None:
                self.add_problem(f"{located.location}: {located.error}")
            elif located.left is not None:
                count, first = self.left.setdefault(located.left, (0, []))
                self.left[located.left] = (count + 1, first)
                if count < _FIRST_LOCATIONS:
                    first.append(located.location)
            else:
                self.empty += 1

    def add_problem(self, problem: str) -> None:
        """Count a turn that could not be read or stored."""
        self.failed += 1
        if len(self.problems) < _LISTED_PROBLEMS:
            self.problems.append(problem)

    def counts(self, notes: list[str]) -> ImportCounts:
        """Return the counts, the most frequent reason first."""
        by_count = sorted(self.left.items(), key=lambda item: -item[1][0])
        return ImportCounts(
            read=self.read,
            new=self.new,
            empty=self.empty,
            problems=tuple(self.problems),
            failed=self.failed,
            left=tuple(
                LeftOut(reason=reason, count=count, first=tuple(first))
                for reason, (count, first) in by_count
            ),
            notes=tuple(notes),
        )


@dataclass(slots=True)
class _Clock:
    """Gives a turn without a time that of the turn before it in the same session."""

    times: dict[str | None, datetime] = field(default_factory=dict)  # by session, the last one last

    def date(self, turn: Turn) -> Turn:
        """Return the turn with a time, if one is known."""
        before = self.times.pop(turn.session_id, None)
        if time := turn.said_at or before:
            self.times[turn.session_id] = time
        if len(self.times) > _OPEN_SESSIONS:
            del self.times[next(iter(self.times))]
        return turn if turn.said_at else replace(turn, said_at=time)


def import_turns(
    memory: Memory,
    source: TurnSource,
    *,
    user_id: str,
    progress: Callable[[int, int], None],
    new_versions: bool = False,
    origin: Origin | None = None,
    dry_run: bool = False,
) -> ImportCounts:
    """Remember the turns of a file, `BATCH` in a transaction; turns stored before are skipped.

    A message that cannot be read, and a turn whose text differs from the stored one of the same id,
    are among the `problems`; all others are stored. `new_versions` stores the edited text as a new
    turn instead, with the id of the old one in its metadata under "version_of". `origin` is that of
    turns without one. `progress` is called with how much was read and the total: bytes, or turns
    where the source has no `position`. `dry_run` stores nothing and counts what would be new.

    Raises:
        InvalidInput: no message could be read, or the file needs an option.
    """
    tally = _Tally()
    done = 0
    planned: set[str] = set()  # ids that a dry run would have stored
    clock = _Clock()
    located_turns = iter(source.turns)
    while batch := list(islice(located_turns, BATCH)):
        progress(source.position() if source.position else done, source.total)
        done += len(batch)
        tally.add_unread(batch)
        turns = _prepare(memory, batch, origin, tally, clock)
        tally.read += len(turns)
        new = _select_new(memory, turns, user_id, tally, new_versions=new_versions)
        if dry_run:
            ids = {turn.id or "" for _, turn in new} - planned
            planned |= ids
            tally.new += len(ids)
        else:
            tally.new += _remember(memory, new, user_id, tally)
    progress(source.total, source.total)
    if tally.problems and not tally.read:
        raise InvalidInput(f"{tally.problems[0]}; no turn could be read, and nothing was stored")
    return tally.counts(source.notes)


def _prepare(
    memory: Memory, batch: list[LocatedTurn], origin: Origin | None, tally: _Tally, clock: _Clock
) -> list[LocatedTurn]:
    """Return the turns as they may be stored."""
    prepared: list[LocatedTurn] = []
    for located in batch:
        if located.turn is None:
            continue
        turn = to_turn(clock.date(located.turn), memory.signer)
        if turn is None:
            tally.empty += 1
            continue
        try:
            turn = memory.screen(replace(turn, origin=turn.origin or origin))
        except InvalidInput as error:  # too long, or blocked by the privacy policy
            tally.add_problem(f"{located.location}: {error}")
        else:
            prepared.append(replace(located, turn=turn))
    return prepared


def _select_new(
    memory: Memory, batch: list[LocatedTurn], user_id: str, tally: _Tally, *, new_versions: bool
) -> list[tuple[str, Turn]]:
    """Return the turns that are not stored, with their locations."""
    ids = [id for located in batch for id in _possible_ids(located)]
    stored = memory.store.turns(Scope(user_id=user_id), Window(ids=ids))
    # stored turns are not embedded again, so an interrupted import resumes quickly
    texts = {turn.id: turn.text for turn in stored}
    new: list[tuple[str, Turn]] = []
    for located in batch:
        turn = located.turn
        assert turn is not None
        if turn.text in (texts.get(turn.id), texts.get(located.former_id)):
            continue
        if turn.id in texts and _was_said(memory, user_id, turn):
            continue
        if turn.id in texts:
            if not new_versions:
                tally.add_problem(f"{located.location}: {TurnConflict(turn.id or '')}")
                continue
            turn = _new_version(turn)
            if turn.id in texts:
                continue
        texts[turn.id] = turn.text
        new.append((located.location, turn))
    return new


def _remember(memory: Memory, new: list[tuple[str, Turn]], user_id: str, tally: _Tally) -> int:
    """Remember turns; return how many were stored."""
    turns = [turn for _, turn in new]
    try:
        return len(memory.remember(turns, user_id=user_id))
    except MessagesRejected as error:  # another process was first
        for n, reason in error.errors.items():
            tally.add_problem(f"{new[n][0]}: {reason}")
        return len(error.ids)
    except InvalidInput as error:  # all of them
        for location, _ in new:
            tally.add_problem(f"{location}: {error}")
        return 0


def _was_said(memory: Memory, user_id: str, turn: Turn) -> bool:
    """Return whether the stored turn of this id had these words before `Memory.update`."""
    wordings = memory.store.wordings(Scope(user_id=user_id), turn.id or "")
    return any(former.text == turn.text for former in wordings)


def _possible_ids(located: LocatedTurn) -> list[str]:
    """Return the ids under which a turn may be stored already."""
    turn = located.turn
    assert turn is not None
    ids = (turn.id, _new_version(turn).id, located.former_id)
    return [id for id in ids if id is not None]


def _new_version(turn: Turn) -> Turn:
    """Return an edited turn with an id of its own, the same whenever it is imported."""
    digest = hashlib.sha256(turn.text.encode()).hexdigest()[:12]
    metadata = dict(turn.metadata) | {"version_of": turn.id}
    return replace(turn, id=f"{turn.id}@{digest}", metadata=metadata)
