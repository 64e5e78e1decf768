"""The way of a turn as code: remember, recall, context, think, history, forget."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from types import TracebackType
from typing import Literal

from memkit import embedders, prompt
from memkit import ingest as write
from memkit.background import summary as compact
from memkit.background.maintenance import Keeper, Settings
from memkit.background.reflection import PostThinking
from memkit.errors import InvalidInput, StoreError
from memkit.protocols import (
    Backend,
    Counter,
    Embedder,
    Fingerprint,
    Judge,
    Summariser,
    Thinker,
    Window,
    WriteBatch,
)
from memkit.records import (
    Context,
    Displayable,
    Hit,
    Hits,
    Receipt,
    Scope,
    Summary,
    Thought,
    Thoughts,
    Turn,
    zoned,
)
from memkit.retrieval import recall as read
from memkit.thoughts.rules.thinker import RuleThinker

DEFAULT_BUDGET = 3500  # tokens, HEMA's cap
_LEAST_LINE = 20  # tokens; few lines of a block are shorter
_MOST_HITS = 400


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
    thinker: Thinker | None = None,
    judge: Judge | None = None,
    settings: Settings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> "Memory":
    """Open a memory, or make a new one. Loads no model.

    Args:
        url: a path, ":memory:", "sqlite:///PATH" or another installed store's URL.
        embedder: a sentence-transformers id or path, or any `Embedder`; the bundled
            all-MiniLM-L6-v2 if left out.
        summariser: writes the Compact Memory; extractive, without a model, if left out.
        thinker: draws thoughts from turns; rules, without a model, if left out.
        judge: decides whether two thoughts contradict each other where rules cannot; if left out,
            both stay, marked.
        settings: see `Settings`.
        clock: says when a turn was said that does not say so itself.

    Raises:
        EmbeddingMismatch: the memory was embedded with another model.
        StoreError: one of its kinds, if the file cannot be used.
    """
    chosen = embedders.pick(embedder)
    store = open_store(url, chosen.fingerprint)
    return Memory(
        store, chosen, summariser=summariser, thinker=thinker, judge=judge, settings=settings,
        clock=clock,
    )  # fmt: skip


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


class Memory(Displayable):
    """A long-term memory of many users' turns. Safe to share between threads.

    Async code calls it through `await asyncio.to_thread(memory.recall, …)`.
    """

    def __init__(
        self,
        store: Backend,
        embedder: Embedder,
        *,
        summariser: Summariser | None = None,
        thinker: Thinker | None = None,
        judge: Judge | None = None,
        settings: Settings | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store, self.embedder, self.clock = store, embedder, clock
        settings = settings or Settings()
        post = PostThinking(
            store=store, embedder=embedder, thinker=thinker or RuleThinker(), judge=judge,
            clock=clock, seconds=settings.thinker_seconds,
        )  # fmt: skip
        summariser = summariser or compact.ExtractiveSummariser(embedder.count)
        self._keeper = Keeper(store, summariser, post, settings, clock)
        self._keeper.wake(store.pending())  # what a process left that ended before

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
        changes = replace(changes, retrieved=self._keeper.take_retrieved(user_id))
        self._keeper.note_count(user_id, self.store.write(scope, changes))
        self._keeper.wake([user_id])
        return [turn.id or "" for turn in turns]

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
        kind: Literal["turn", "thought"] = "turn",
    ) -> list[Hit]:
        """Return what was said that is most relevant to `query`, best first; may be empty.

        What replaced a fact stands before what it replaced.

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
            kind: "thought" returns what was concluded instead of what was said; only what holds,
                or by `as_of` was believed to.
        """
        if kind not in ("turn", "thought"):
            raise InvalidInput(f'kind must be "turn" or "thought", got {kind!r}')
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        question = read.Question(
            text=query,
            k=k,
            until=None if as_of is None else zoned(as_of, "as_of"),
            min_relevance=min_relevance,
            without=_several(without, "without"),
        )
        if kind == "thought":
            question = replace(question, thoughts=k)
        recollection = read.recall(self.store, self.embedder, scope, question)
        self._keeper.note_retrieved(scope, [one.chunk_id for one in recollection.found])
        found = recollection.hits if kind == "turn" else recollection.thought_hits(question)
        return Hits(found)

    def recollect(
        self, query: str, *, user_id: str = "", k: int = 10, without: Sequence[str] = ()
    ) -> read.Recollection:
        """Return what `recall` does and the thoughts beside it, for one embedding call."""
        scope = Scope(user_id=user_id)
        question = read.Question(text=query, k=k, without=_several(without, "without"))
        recollection = read.recall(self.store, self.embedder, scope, question)
        self._keeper.note_retrieved(scope, [one.chunk_id for one in recollection.found])
        return recollection

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
        recollection = read.recall(self.store, self.embedder, scope, question)
        summaries = [] if as_of else self.summaries(user_id=user_id)
        known, kept = prompt.fit(
            [*summaries, *recollection.thoughts], recollection.hits, budget_tokens, count
        )
        shown = [one.chunk_id for one in recollection.found if one.hit in kept]
        self._keeper.note_retrieved(scope, shown)
        text = prompt.block(known, kept)
        return Context(
            text=text,
            tokens=count(text) if text else 0,
            hits=tuple(kept),
            thoughts=tuple(one for one in known if isinstance(one, Thought)),
            messages=({"role": "user", "content": text},) if text else (),
            budget_tokens=budget_tokens,
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

    # ---- what was concluded

    def thoughts(
        self,
        *,
        user_id: str = "",
        session_id: str | None = None,
        agent_id: str | None = None,
        as_of: datetime | None = None,
    ) -> list[Thought]:
        """Return what is believed to hold, in the order it was concluded.

        Args:
            user_id: whose.
            session_id: only what this conversation says.
            agent_id: only what was said to this agent.
            as_of: what held at that time, as far as is known now.
        """
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        at = None if as_of is None else zoned(as_of, "as_of")
        return Thoughts(self.store.thoughts(scope, at))

    def history(self, thought_id: str, *, user_id: str = "") -> list[Thought]:
        """Return a thought with all that it replaced and that replaced it, oldest first.

        Raises:
            InvalidInput: the user has no such thought.
        """
        found = self.store.history(Scope(user_id=user_id), thought_id)
        if not found:
            raise InvalidInput(f"{user_id!r} has no thought {thought_id!r}; see thoughts()")
        return Thoughts(found)

    def retract(self, thought_id: str, *, user_id: str = "") -> None:
        """Stop believing a thought that is wrong; what it had replaced holds again.

        The turns it came from stay. Thinking about them again does not bring it back.

        Raises:
            InvalidInput: the user has no such thought.
        """
        self.history(thought_id, user_id=user_id)
        self.store.write(Scope(user_id=user_id), WriteBatch(retract={thought_id: self.clock()}))

    # ---- upkeep

    def think(self, *, user_id: str = "", retry: bool = False) -> None:
        """Bring a user's summaries and thoughts up to date now, and prune what is due.

        Turns whose last attempt failed are tried until they are given up; `doctor` shows those.

        Args:
            user_id: whose.
            retry: give the turns that were given up another chance.

        Raises:
            ModelError: the summariser or the thinker returned nothing usable; what they raise
                themselves comes through as it is. What was there stays, nothing is lost.
        """
        for error in self._keeper.think(Scope(user_id=user_id), retry=retry):
            raise error

    def think_quietly(self, user_id: str) -> None:
        """Think, and leave a failure to be shown by `doctor`."""
        self._keeper.think(Scope(user_id=user_id))

    def restore(self, *, user_id: str = "") -> int:
        """Make everything that pruning hid searchable again; return how many chunks."""
        scope = Scope(user_id=user_id)
        hidden = [chunk.id for chunk in self.store.chunks(scope) if chunk.hidden]
        self.store.write(scope, WriteBatch(show=hidden))
        return len(hidden)

    def flush(self) -> None:
        """Return when everything remembered is summarised and thought about.

        Failures are left to `doctor`.
        """
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
        """Delete turns and all that was derived from them: chunks, vectors, summaries, thoughts.

        A thought that was also said elsewhere is deleted too, and drawn anew from there.

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
        with self._keeper.summarising:
            going = list(self.store.turns(scope, window))
            receipt = self._receipt(scope, going, dry_run=dry_run)
            if going and not dry_run:
                self.store.write(scope, WriteBatch(forget=receipt.turn_ids))
                self._keeper.wake([user_id])
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
            thoughts=self.store.count_derived(scope, [turn.id or "" for turn in going]),
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
        try:
            self._keeper.stop()
        finally:
            self.store.close()
