"""The way of a turn as code: remember, recall, context, think, forget."""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from types import TracebackType
from typing import Literal

from memkit import compact, embedders, prompt, prune, read, write
from memkit.errors import InvalidInput, StoreError
from memkit.protocols import (
    Backend,
    Changes,
    Counter,
    Embedder,
    Fingerprint,
    Summariser,
    Window,
)
from memkit.records import Context, Hit, Receipt, Scope, Summary, Turn, zoned
from memkit.worker import Worker

DEFAULT_BUDGET = 3500  # tokens, HEMA's cap
_LEAST_LINE = 20  # tokens; few lines of a block are shorter
_MOST_HITS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What of a memory's behaviour can be chosen.

    Nothing is pruned by default: `evals/LOG.md` has what HEMA's forgetting costs and saves.
    """

    forgetting: prune.Forgetting | None = None
    overviews: bool = True  # the summary of summaries, every 100 turns
    background: bool = True  # False: summaries wait for think() or flush()


def utc_now() -> datetime:
    """Return the time, with its timezone."""
    return datetime.now(UTC)


def open_store(url: str, fingerprint: Fingerprint | None) -> Backend:
    """Open the store that `url` names by its scheme; a plain path is SQLite."""
    if not isinstance(url, str) or not url:
        raise InvalidInput(f'give a path, ":memory:" or a store URL, got {url!r}')
    scheme = url.split("://", 1)[0] if "://" in url else "sqlite"
    installed = entry_points(group="memkit.stores")
    if scheme not in installed.names:
        raise StoreError(
            f"no store for {scheme}://; installed are {', '.join(sorted(installed.names))}"
        )
    store: Backend = installed[scheme].load()(url, fingerprint)
    return store


def open(
    url: str,
    *,
    embedder: str | Embedder | None = None,
    summariser: Summariser | None = None,
    settings: Settings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> "Memory":
    """Open a memory, or make a new one. Loads no model.

    Args:
        url: a path, ":memory:", "sqlite:///PATH" or another installed store's URL.
        embedder: a sentence-transformers id or path, or any `Embedder`; the bundled
            all-MiniLM-L6-v2 if left out.
        summariser: writes the Compact Memory; extractive, without a model, if left out.
        settings: see `Settings`.
        clock: says when a turn was said that does not say so itself.

    Raises:
        EmbeddingMismatch: the memory was embedded with another model.
        StoreError: one of its kinds, if the file cannot be used.
    """
    chosen = embedders.pick(embedder)
    store = open_store(url, chosen.fingerprint)
    return Memory(store, chosen, summariser=summariser, settings=settings, clock=clock)


def reembed(
    url: str, embedder: str | Embedder, progress: Callable[[int, int], None] = lambda _, __: None
) -> int:
    """Move the memory at `url` to another embedder; return how many chunks were embedded.

    Old vectors serve until the end; an interrupted run goes on where it stopped.
    """
    store = open_store(url, None)
    try:
        return store.reembed(embedders.pick(embedder), progress)
    finally:
        store.close()


def _several(ids: Iterable[str], what: str) -> frozenset[str]:
    """Return ids, unless they are one string, whose letters would be taken for them."""
    if isinstance(ids, str):
        raise InvalidInput(f"{what} must be a list of ids, got the string {ids!r}")
    return frozenset(ids)


class Memory:
    """A long-term memory of many users' turns. Safe to share between threads.

    Async code calls it through `await asyncio.to_thread(memory.recall, …)`.
    """

    def __init__(
        self,
        store: Backend,
        embedder: Embedder,
        *,
        summariser: Summariser | None = None,
        settings: Settings | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store, self.embedder, self.clock = store, embedder, clock
        self.settings = settings or Settings()
        self._summariser = summariser or compact.ExtractiveSummariser(embedder.count)
        self._thinking = threading.RLock()
        self._counting = threading.Lock()
        self._turn_counts: dict[str, int] = {}
        self._retrieved: dict[str, dict[str, int]] = {}  # chunks recalled, not yet written down
        self._worker = Worker(self._keep_up, self._note_failure)
        self._finish = weakref.finalize(self, Worker.stop, self._worker)

    def __enter__(self) -> "Memory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- in

    def remember(
        self,
        what: write.Message | Iterable[write.Message],
        *,
        user_id: str = "",
        session_id: str | None = None,
        agent_id: str | None = None,
    ) -> list[str]:
        """Store what was said, whole or not at all, and return the turns' ids in order.

        Args:
            what: a string, a message dict, a `Turn`, or many of them.
            user_id: whose memory; there is no memory without one.
            session_id: the conversation it belongs to.
            agent_id: the agent it was said to.

        The same id with the same text again is a no-op. Text that memkit itself put into a prompt
        is left out. Searchable when this returns. Cost: one embedding call.

        Raises:
            InvalidInput: one of its kinds; nothing was stored.
            StoreError: one of its kinds; nothing was stored.
        """
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        turns = write.read(what, scope, self.clock())
        if not turns:
            return []
        changes = write.changes(turns, self.embedder)
        changes = replace(changes, retrieved=self._take_retrieved(user_id))
        self._turn_counts[user_id] = self.store.write(scope, changes)
        self._wake(user_id)
        return [turn.id or "" for turn in turns]

    def _wake(self, user_id: str) -> None:
        if self.settings.background:
            self._worker.wake(user_id)

    # ---- out

    def recall(
        self,
        query: str,
        *,
        user_id: str = "",
        k: int = 10,
        session_id: str | None = None,
        agent_id: str | None = None,
        as_of: datetime | None = None,
        min_relevance: float | Literal["auto"] = 0.0,
        without: Sequence[str] = (),
    ) -> list[Hit]:
        """Return what was said that is most relevant to `query`, best first; may be empty.

        Args:
            query: a question or any text.
            user_id: whose memory; nothing of anybody else's is ever looked at.
            k: most hits to return.
            session_id: only this conversation.
            agent_id: only what was said to this agent.
            as_of: only what had been said by then.
            min_relevance: leave out hits below it, 0 to 1; "auto" leaves out what is probably
                beside the point.
            without: ids of turns to leave out.
        """
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        question = read.Question(
            text=query,
            k=k,
            until=None if as_of is None else zoned(as_of, "as_of"),
            min_relevance=min_relevance,
            without=_several(without, "without"),
        )
        found = read.recall(self.store, self.embedder, scope, question)
        self._note_retrieved(user_id, found)
        return [one.hit for one in found]

    def context(
        self,
        query: str,
        *,
        user_id: str = "",
        budget_tokens: int = DEFAULT_BUDGET,
        count: Counter | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        as_of: datetime | None = None,
    ) -> Context:
        """Return what memory has to say to `query`, in at most `budget_tokens` tokens.

        Args:
            query: a question or any text.
            user_id: whose memory.
            budget_tokens: most tokens of the block.
            count: counts a text's tokens; the embedder's tokenizer if left out. Give the model's
                own where its limit is close.
            session_id: only this conversation.
            agent_id: only what was said to this agent.
            as_of: only what had been said by then, and so no summaries.
        """
        if budget_tokens < 1:
            raise InvalidInput(f"budget_tokens must be at least 1, got {budget_tokens}")
        count = count or self.embedder.count
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        question = read.Question(
            text=query,
            k=min(budget_tokens // _LEAST_LINE + 1, _MOST_HITS),
            until=None if as_of is None else zoned(as_of, "as_of"),
        )
        found = read.recall(self.store, self.embedder, scope, question)
        summaries = [] if as_of else self.summaries(user_id=user_id)
        hits = [one.hit for one in found]
        kept_summaries, kept = prompt.fit(summaries, hits, budget_tokens, count)
        self._note_retrieved(user_id, [one for one in found if one.hit in kept])
        text = prompt.block(kept_summaries, kept)
        return Context(
            text=text,
            tokens=count(text) if text else 0,
            hits=tuple(kept),
            messages=({"role": "user", "content": text},) if text else (),
        )

    def turns(
        self,
        *,
        user_id: str = "",
        session_id: str | None = None,
        agent_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        last: int | None = None,
    ) -> Iterator[Turn]:
        """Return the verbatim turns in the order they were said, read lazily."""
        window = Window(
            since=None if since is None else zoned(since, "since"),
            until=None if until is None else zoned(until, "until"),
            last=last,
        )
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        return self.store.turns(scope, window)

    def summary(self, *, user_id: str = "", level: Literal[1, 2] = 1) -> Summary | None:
        """Return the Compact Memory (level 1) or the summary of summaries (2), if there is one."""
        return next(self.store.summaries(Scope(user_id=user_id), level), None)

    def summaries(self, *, user_id: str = "") -> list[Summary]:
        """Return the summaries that belong into a prompt, the one reaching back furthest first."""
        found = (self.summary(user_id=user_id, level=2), self.summary(user_id=user_id, level=1))
        return [summary for summary in found if summary is not None]

    # ---- upkeep

    def think(self, *, user_id: str = "") -> None:
        """Bring a user's summaries up to date and prune what is due.

        Raises:
            ModelError: the summariser returned nothing usable; what it raises itself comes through
                as it is. The old summary stays, and `doctor` shows the failure.
        """
        error = self._worker.attempt(Scope(user_id=user_id).user_id)
        if error is not None:
            raise error

    def think_quietly(self, user_id: str) -> None:
        """Think, and leave a failure to be shown by `doctor`."""
        self._worker.attempt(user_id)

    def _keep_up(self, user_id: str) -> None:
        with self._thinking:
            while self._step(Scope(user_id=user_id)) and not self._worker.stopped:
                pass

    def _note_failure(self, user_id: str, error: Exception) -> None:
        """Write down why a user's upkeep stopped, for `doctor` in any process."""
        with suppress(StoreError):  # a store that cannot be written says so to every `remember`
            failure = f"{type(error).__name__}: {error}"
            self.store.write(Scope(user_id=user_id), Changes(failure=failure))

    def _step(self, scope: Scope) -> bool:
        forgetting = self.settings.forgetting
        interval = forgetting.interval if forgetting else compact.OVERVIEW_EVERY
        update = compact.update(
            self.store, scope, self._summariser, self.clock(),
            stop_every=interval, overviews=self.settings.overviews,
        )  # fmt: skip
        if update is None:
            return False
        if retrieved := self._take_retrieved(scope.user_id):
            self.store.write(scope, Changes(retrieved=retrieved))
        due = forgetting is not None and update.through // interval > update.since // interval
        hide = (
            prune.choose(self.store.chunks(scope), update.through, forgetting)
            if forgetting is not None and due
            else []
        )
        self.store.write(scope, Changes(summaries=update.summaries, hide=hide))
        return True

    def restore(self, *, user_id: str = "") -> int:
        """Make everything that pruning hid searchable again; return how many chunks."""
        scope = Scope(user_id=user_id)
        hidden = [chunk.id for chunk in self.store.chunks(scope) if chunk.hidden]
        self.store.write(scope, Changes(show=hidden))
        return len(hidden)

    def flush(self) -> None:
        """Return when everything remembered is summarised; failures are left to `doctor`."""
        for user_id in self.store.pending():
            self.think_quietly(user_id)

    def forget(
        self,
        *,
        user_id: str = "",
        turn_ids: Iterable[str] | None = None,
        everything: bool = False,
        dry_run: bool = False,
    ) -> Receipt:
        """Delete turns and all that was derived from them: chunks, vectors, summaries.

        Args:
            user_id: whose; nobody else's turns can be named.
            turn_ids: which turns, or
            everything: all of this user's.
            dry_run: only say what would go.
        """
        scope = Scope(user_id=user_id)
        if turn_ids is not None:
            turn_ids = _several(turn_ids, "turn_ids")
        if (turn_ids is None) == (not everything):
            raise InvalidInput("name turn_ids, or everything=True, and not both")
        window = Window(ids=None if turn_ids is None else list(turn_ids))
        with self._thinking:
            going = list(self.store.turns(scope, window))
            receipt = self._receipt(scope, going, dry_run=dry_run)
            if going and not dry_run:
                self.store.write(scope, Changes(forget=receipt.turn_ids))
                self._wake(user_id)
        return receipt

    def _receipt(self, scope: Scope, going: Sequence[Turn], *, dry_run: bool) -> Receipt:
        """Say what hangs on these turns: their chunks, and all summaries from the first on."""
        positions = {turn.position or 0 for turn in going}
        first = min(positions, default=0)
        chunks = sum(chunk.position in positions for chunk in self.store.chunks(scope))
        summaries = sum(
            summary.through >= first > 0
            for level in (1, 2)
            for summary in self.store.summaries(scope, level)
        )
        return Receipt(
            user_id=scope.user_id,
            turn_ids=tuple(turn.id or "" for turn in going),
            chunks=chunks,
            summaries=summaries,
            dry_run=dry_run,
        )

    def stats(self, *, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, summaries and bytes, of one user or of the whole memory."""
        if user_id is not None:
            Scope(user_id=user_id)
        return self.store.stats(user_id)

    def doctor(self) -> list[str]:
        """Return one sentence per fault found, none if all is well. Reads everything once."""
        return self.store.check()

    def close(self) -> None:
        """Write down what is pending and release the file; closing twice is fine."""
        if self._finish.detach() is None:
            return
        self._worker.stop()
        try:
            for user_id in list(self._retrieved):
                self.store.write(
                    Scope(user_id=user_id), Changes(retrieved=self._take_retrieved(user_id))
                )
        finally:
            self.store.close()

    # ---- what pruning needs to know: which chunks were recalled lately

    def _note_retrieved(self, user_id: str, found: Sequence[read.Found]) -> None:
        if self.settings.forgetting is None or not found:
            return
        now = self._turn_counts.get(user_id)
        if now is None:
            ages = self.store.chunks(Scope(user_id=user_id))
            now = self._turn_counts[user_id] = max((age.position for age in ages), default=0)
        with self._counting:
            self._retrieved.setdefault(user_id, {}).update(
                dict.fromkeys([one.chunk_id for one in found], now)
            )

    def _take_retrieved(self, user_id: str) -> dict[str, int]:
        with self._counting:
            return self._retrieved.pop(user_id, {})
