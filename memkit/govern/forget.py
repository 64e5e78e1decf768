"""Forget turns, remove their bytes from the files, and look whether anything is left."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from memkit.errors import DamagedRow, InvalidInput
from memkit.filters import Where, parse_filter
from memkit.govern.residue import find, read_files, text_pieces, vector_pieces
from memkit.protocols import Backend, Deletion, Window
from memkit.records import Hit, Receipt, Scope, Thought, Turn, check_id, zoned

_ALL = 2**62
_MOST_FORGOTTEN, _FORGOTTEN = 50, 0.5  # turns that a question names, and their relevance


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """What a search for deleted words and vectors has found."""

    searched: int  # pieces
    in_files: int  # pieces in the files that are in nothing that is stored
    # pieces in thoughts and summaries that are in no turn; None: a row of these is damaged
    recalled: int | None


def forget(
    store: Backend,
    scope: Scope,
    turn_ids: list[str],
    *,
    now: datetime,
    dry_run: bool = False,
    scan: bool = True,
    source: str = "caller",
) -> Receipt:
    """Delete turns and all that is derived from them, and return the receipt.

    `scan` searches the files afterwards, about 2 ms per megabyte, and writes them again without
    unused bytes if it finds a piece.
    """
    deletion = store.forget(scope, turn_ids, source=source, dry_run=dry_run)
    receipt = _make_receipt(scope, deletion, now, dry_run=dry_run)
    if dry_run or not deletion.turns:
        return receipt
    receipt = replace(receipt, purged=store.purge())
    if not scan or not store.files():
        return receipt
    residue = search(store, scope, deletion)
    if residue.in_files and receipt.purged:
        receipt = replace(receipt, purged=store.vacuum())
        residue = search(store, scope, deletion)
    return replace(
        receipt,
        searched=residue.searched,
        residue=residue.in_files,
        recalled=residue.recalled,
        purged=receipt.purged and not residue.in_files,
    )


def _make_receipt(scope: Scope, deletion: Deletion, now: datetime, *, dry_run: bool) -> Receipt:
    salt = secrets.token_hex(16)
    return Receipt(
        user_id=scope.user_id,
        turn_ids=tuple(turn.id or "" for turn in deletion.turns),
        chunks=deletion.chunks,
        summaries=len(deletion.summaries),
        thoughts=len(deletion.thoughts),
        thought_ids=tuple(thought.id for thought in deletion.thoughts),
        dry_run=dry_run,
        at=now,
        event=None if dry_run else deletion.event,
        salt=salt,
        digests=tuple(digest_turn(salt, scope.user_id, turn) for turn in deletion.turns),
    )


def digest_turn(salt: str, user_id: str, turn: Turn) -> str:
    """Return a salted digest of a turn: who has the words can check it, nobody can read it."""
    content = "\0".join((salt, user_id, turn.id or "", turn.text))
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def search(store: Backend, scope: Scope, deletion: Deletion) -> Residue:
    """Search the files and what is derived for deleted words and vectors.

    Pieces of 12 characters that are also in what is stored do not count.
    """
    said = text_pieces([*(turn.text for turn in deletion.turns), *deletion.wordings])
    derived = [thought.text for thought in deletion.thoughts]
    derived += [summary.text for summary in deletion.summaries]
    pieces = said | text_pieces(derived) | vector_pieces(deletion.vectors)
    present = find(read_files(store.files()), pieces)
    if present:
        present -= store.retained(present)
    return Residue(
        searched=len(pieces), in_files=len(present), recalled=_count_recalled(store, scope, said)
    )


def _count_recalled(store: Backend, scope: Scope, said: set[bytes]) -> int | None:
    """Return how many deleted pieces are in what is derived; None if a row cannot be read."""
    try:
        return len(_recalled(store, scope, said))
    except DamagedRow:
        return None


def _recalled(store: Backend, scope: Scope, said: set[bytes]) -> set[bytes]:
    """Return deleted pieces in the user's thoughts and summaries that no turn has."""
    scope = Scope(user_id=scope.user_id)
    texts = [thought.text for thought in store.thoughts(scope)]
    texts += [summary.text for level in (1, 2) for summary in store.summaries(scope, level)]
    present = {piece for text in texts for piece in text_pieces([text]) & said}
    for turn in store.turns(scope, Window()) if present else ():
        present -= text_pieces([turn.text])
    return present


# ---- naming what to forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which turns: by ids, by a thought, everything, or all that meet the other conditions."""

    turn_ids: frozenset[str] | None = None
    thought_id: str | None = None
    everything: bool = False
    session_id: str | None = None
    agent_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    query: str | None = None
    where: Where | None = None

    def __post_init__(self) -> None:
        ways = (self.turn_ids is not None, self.thought_id is not None, self.everything,
                self._has_conditions())  # fmt: skip
        if ways.count(True) != 1:
            raise InvalidInput(
                "say what to forget in one way: turn_ids, thought_id, everything=True, or any of "
                "session_id, agent_id, since, until, query and where"
            )
        if self.where is not None:
            parse_filter(self.where)
        if self.thought_id is not None:
            check_id(self.thought_id, "thought_id")
        for name in ("since", "until"):
            if getattr(self, name) is not None:
                zoned(getattr(self, name), name)

    def _has_conditions(self) -> bool:
        conditions = (
            self.session_id, self.agent_id, self.since, self.until, self.query, self.where,
        )  # fmt: skip
        return any(condition is not None for condition in conditions)

    def window(self) -> Window:
        """Return the ends of the time in which the turns were said."""
        return Window(since=self.since, until=self.until)


class Recaller(Protocol):
    """What naming turns by a question or a thought needs of a memory."""

    store: Backend

    def recall(
        self,
        query: str,
        *,
        user_id: str,
        k: int,
        session_id: str | None,
        agent_id: str | None,
        min_relevance: float,
    ) -> Sequence[Hit]:
        """Return the most relevant turns."""

    def history(self, thought_id: str, *, user_id: str) -> Sequence[Thought]:
        """Return a thought with all that it replaced and that replaced it."""


def select_turns(memory: Recaller, user_id: str, selection: Selection) -> list[str]:
    """Return the ids of the turns that a selection names."""
    scope = Scope(user_id=user_id, session_id=selection.session_id, agent_id=selection.agent_id)
    if selection.turn_ids is not None:
        return sorted(selection.turn_ids)
    if selection.everything:  # no row is read, so that a damaged one can go too
        return memory.store.match_ids(scope, "turn", "", _ALL)
    if selection.thought_id is not None:
        versions = memory.history(selection.thought_id, user_id=user_id)
        thought = next(item for item in versions if item.id == selection.thought_id)
        return list(thought.turn_ids)
    window, where = selection.window(), selection.where
    if selection.query is not None:
        hits = memory.recall(
            selection.query, user_id=user_id, session_id=selection.session_id,
            agent_id=selection.agent_id, k=_MOST_FORGOTTEN, min_relevance=_FORGOTTEN,
        )  # fmt: skip
        window = replace(window, ids=[turn_id for hit in hits for turn_id in hit.turn_ids])
    turns = memory.store.turns(scope, window)
    matching = turns if where is None else parse_filter(where).select(turns)
    return [turn.id or "" for turn in matching]
