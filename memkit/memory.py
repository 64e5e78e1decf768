"""The public face: open a memory, then remember, recall, context, think, history and forget."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from memkit import ingest, prompt, revision
from memkit._moved import serve_old_names
from memkit.background.maintenance import Maintenance, Settings
from memkit.background.reflection import PostThinking
from memkit.background.summary import ExtractiveSummariser
from memkit.errors import InvalidInput, TurnConflict
from memkit.filters import Where, parse_filter
from memkit.govern import deletion_probes
from memkit.govern import forget as govern
from memkit.govern.forget import Selection
from memkit.govern.gate import Gate
from memkit.govern.listeners import Callback, Happening, Listeners
from memkit.govern.privacy import Action, Privacy, resolve_privacy
from memkit.govern.rollback import find_event
from memkit.govern.trust import check_sources, label
from memkit.opening import check_clock, check_path, utc_now
from memkit.policy import RetentionRule, check_rules
from memkit.protocols import (
    Backend,
    Counter,
    Embedder,
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
    Rollback,
    Scope,
    Summary,
    Thought,
    Thoughts,
    Turn,
    TurnIds,
    check_count,
    check_id,
    id_set,
    shorten,
    zoned,
)
from memkit.retrieval.recall import RecallQuery, RecallResult, recall
from memkit.thoughts.learned import LearnedThinker

if TYPE_CHECKING:
    from memkit.govern.portability import ExportCounts, File, ImportReport
    from memkit.govern.retention import Expiry

DEFAULT_BUDGET = 3500  # tokens, HEMA's cap
_MIN_LINE = 20  # tokens; most lines of a memory block are longer
_MAX_HITS = 400  # candidates for a memory block


class Memory(Displayable):
    """A long-term memory of many users' turns. Safe to share between threads.

    Every method takes the `user_id` whose memory it means; no method ever reads another user's.
    `session_id` and `agent_id` limit it to one conversation and to one agent. Methods raise
    `InvalidInput` for arguments and `StoreError` for files they cannot use. For async code there
    is `memkit.aio`.
    """

    def __init__(
        self, store: Backend, embedder: Embedder, *, summariser: Summariser | None = None,
        thinker: Thinker | None = None, judge: Judge | None = None,
        settings: Settings | None = None, privacy: Privacy | Action | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:  # fmt: skip
        self.privacy = resolve_privacy(privacy)
        self.store, self.embedder = store, embedder
        self.clock = clock = check_clock(clock)
        # replaced by `memkit.govern.rollout`, which tries other ones and counts
        self._search: Callable[[Scope, RecallQuery], RecallResult] = partial(
            recall, store, embedder
        )
        self._on_correction: Callable[[str, Thought], object] = lambda *_: None
        # a store written for 0.6 has no secret: blocks are then recognised in this process only
        self.signer = prompt.BlockSigner(getattr(store, "secret", secrets.token_bytes(16)))
        settings = settings or Settings()
        self.screen = ingest.limit_size(self.privacy.apply, settings.max_turn_characters)
        self._untrusted = check_sources(settings.untrusted)
        gate = Gate(store, embedder, settings.load_policy()) if settings.gate else None
        reflection = PostThinking(
            store=store, embedder=embedder, thinker=thinker or LearnedThinker(), judge=judge,
            clock=clock, seconds=settings.thinker_seconds, gate=gate, untrusted=self._untrusted,
        )  # fmt: skip
        summariser = summariser or ExtractiveSummariser(embedder.count)
        self._listeners = Listeners()
        self._maintenance = Maintenance(
            store, summariser, reflection, settings, clock, listeners=self._listeners, gate=gate
        )
        self._maintenance.wake(self._maintenance.waiting_users())  # that an earlier process left

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- in

    def remember(
        self,
        messages: ingest.Message | Iterable[ingest.Message],
        *,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
    ) -> TurnIds:
        """Store messages in one transaction and return the turns' ids in order.

        A message is a string, a message dict or a `Turn`. A dict may be one of a chat API: content
        of None or of parts, calls of tools. The same id with the same text again is a no-op. Turns
        are searchable when this returns. Cost: one embedding call.

        Empty messages and the memory blocks of `context` are left out; these are recognised by
        their signature, in every process that opens this memory. The indexes of messages that are
        left out as a whole are in `skipped` of the ids returned.

        Raises:
            MessagesRejected: some messages are invalid, have the id of another text, or something
                that the privacy policy blocks; all others are stored. Its `errors` and `ids` say
                which.
            InvalidInput: all messages are invalid.
        """
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        checked = ingest.check_messages(messages, scope, self.clock(), self.signer, self.screen)
        return (self._store(scope, checked) if checked.turns else checked).stored_ids()

    def _store(self, scope: Scope, checked: ingest.CheckedMessages) -> ingest.CheckedMessages:
        """Store the turns; return the messages without those in conflict with stored ones."""
        batch = ingest.build_write_batch((turn for _, turn in checked.turns), self.embedder)
        batch = replace(batch, retrieved=self._maintenance.take_retrievals(scope.user_id))
        while batch.turns:
            try:
                turn_count = self.store.write(scope, batch)
            except TurnConflict as error:
                checked, batch = checked.reject(error), ingest.without_turn(batch, error.turn_id)
            else:
                self._maintenance.set_turn_count(scope.user_id, turn_count)
                self._maintenance.wake([scope.user_id])
                self._listeners.tell(
                    "remembered", scope.user_id, [turn.id or "" for turn in batch.turns]
                )
                break
        return checked

    def update(
        self, turn_id: str, *, user_id: str, text: str | None = None,
        metadata: Mapping[str, Any] | None = None, tags: Iterable[str] | None = None,
    ) -> Turn:  # fmt: skip
        """Replace a turn's text, metadata or tags by what is not None; return the turn.

        The turn keeps its id, its place and when it was said. With another text, `wordings` still
        has the former one, and nothing else: it is not recalled, its thoughts and summaries are
        deleted, the turn is thought about anew, and open chats of this memory show the new text. A
        `rollback` does not undo it, and `forget` removes all wordings. For what has changed in the
        world, remember a new turn, or `correct` a thought.

        Raises:
            InvalidInput: there is no such turn, or nothing to update.
            MessageBlocked: the privacy policy blocks it.
        """
        scope = Scope(user_id=user_id)
        with self.store.branch(scope):  # nobody else changes the turn meanwhile
            *_, old = self.wordings(turn_id, user_id=user_id)
            changed = revision.changed_turn(old, text, metadata, tags)
            changed = self._check_turn(changed, scope, self.clock())
            self.store.write(scope, batch := revision.build_update(old, changed, self.embedder))
        self.store.purge()
        (turn,) = batch.updates
        if turn.text != old.text:
            self._maintenance.drop_probes(user_id)
            self._maintenance.wake([user_id])
            self._listeners.notify_update(user_id, turn)
        self._listeners.tell("updated", user_id, [turn_id])
        return turn

    def wordings(self, turn_id: str, *, user_id: str) -> list[Turn]:
        """Return a turn as it was before each `update` of its text, oldest first, and as it is."""
        wordings = self.store.wordings(Scope(user_id=user_id), turn_id)
        if not wordings:
            raise InvalidInput(f"{user_id!r} has no turn {turn_id!r}; see turns()")
        return wordings

    # ---- out

    def recall(
        self, query: str, *, user_id: str, k: int = 10,
        session_id: str | None = None, agent_id: str | None = None, as_of: datetime | None = None,
        min_relevance: float | Literal["auto"] = 0.0, without: Sequence[str] = (),
        where: Where | None = None, kind: Literal["turn", "thought"] = "turn",
    ) -> list[Hit]:  # fmt: skip
        """Return the turns most relevant to `query`, at most `k`, best first; may be empty.

        A turn that states a current fact precedes the turn that states the fact it replaced.
        "Yesterday" in a question counts from `as_of`, or else from now, in its timezone.
        `as_of` leaves out turns that were said later, `without` turns with these ids, and
        `min_relevance` hits below it, 0 to 1; "auto" leaves out what is probably irrelevant.
        `where` limits the search to turns with such metadata, tags, roles, names, sessions or
        times, and to thoughts of which every source is such a turn (`memkit.filters`).
        `kind="thought"` returns thoughts instead of turns: the valid ones, or those that were
        believed to be valid at `as_of`.
        """
        if kind not in ("turn", "thought"):
            raise InvalidInput(f'kind must be "turn" or "thought", got {shorten(kind)}')
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        recall_query = RecallQuery(
            text=query,
            k=k,
            until=None if as_of is None else zoned(as_of, "as_of"),
            asked_at=self.clock(),
            min_relevance=min_relevance,
            without=id_set(without, "without"),
            where=None if where is None else parse_filter(where),
        )
        if kind == "thought":
            recall_query = replace(recall_query, thoughts=k)
        result = self._recall(scope, recall_query)
        hits = result.hits if kind == "turn" else result.thought_hits(recall_query)
        self._listeners.tell_recalled(user_id, hits)
        return Hits(hits)

    def _recall(self, scope: Scope, query: RecallQuery) -> RecallResult:
        result = label(self._search(scope, query), self._untrusted)
        self._maintenance.record_retrieval(scope, result.chunk_ids)
        return result

    def _recollect(
        self, query: str, *, user_id: str, k: int = 10, without: Sequence[str] = ()
    ) -> RecallResult:
        """Return hits and thoughts for one embedding call; for `Chat` and the integrations."""
        left_out = id_set(without, "without")
        recall_query = RecallQuery(text=query, k=k, asked_at=self.clock(), without=left_out)
        result = self._recall(Scope(user_id=user_id), recall_query)
        self._listeners.tell_recalled(user_id, result.hits)
        return result

    def context(
        self,
        query: str,
        *,
        user_id: str,
        budget_tokens: int = DEFAULT_BUDGET,
        count: Counter | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        as_of: datetime | None = None,
        where: Where | None = None,
    ) -> Context:
        """Return the memory block for a prompt about `query`, in at most `budget_tokens` tokens.

        `count` counts a text's tokens; the default is the embedder's tokenizer. Pass the model's
        own counter where the budget is close to the model's limit. `as_of` leaves out turns that
        were said later, `where` all but certain turns. Summaries are left out with `as_of`, because
        they have no versions by time, and with `session_id`, `agent_id` or `where`, because they
        are of the whole user.
        """
        check_count(budget_tokens, "budget_tokens")
        count = count or self.embedder.count
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        recall_query = RecallQuery(
            text=query,
            k=min(budget_tokens // _MIN_LINE + 1, _MAX_HITS),
            until=None if as_of is None else zoned(as_of, "as_of"),
            asked_at=self.clock(),
            where=None if where is None else parse_filter(where),
        )
        result = label(self._search(scope, recall_query), self._untrusted)
        whole_user = (as_of, session_id, agent_id, where) == (None,) * 4
        summaries = self.summaries(user_id=user_id) if whole_user else []
        block = prompt.build_context(
            [*summaries, *result.thoughts], result.hits, budget_tokens, count, self.signer
        )
        # only chunks that the block shows count as retrieved
        chunk_ids = [chunk_id for chunk_id, hit in result.chunk_hits if hit in block.hits]
        self._maintenance.record_retrieval(scope, chunk_ids)
        self._listeners.tell_recalled(user_id, block.hits)
        return block

    def turns(
        self, *, user_id: str, session_id: str | None = None, agent_id: str | None = None,
        since: datetime | None = None, until: datetime | None = None, last: int | None = None,
        where: Where | None = None,
    ) -> Iterator[Turn]:  # fmt: skip
        """Return the verbatim turns in the order they were said, read lazily.

        `last` is how many of the newest; with `where` (`memkit.filters`), of those that match.
        """
        window = Window(
            since=None if since is None else zoned(since, "since"),
            until=None if until is None else zoned(until, "until"),
            last=last if where is None else None,
        )
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        turns = self.store.turns(scope, window)
        return turns if where is None else parse_filter(where).select(turns, last)

    def users(self) -> list[str]:
        """Return the ids of all users with turns, the one who said something last first."""
        return [user.id for user in self.store.users() if user.id is not None]

    def sessions(self, *, user_id: str, agent_id: str | None = None) -> list[str]:
        """Return the ids of a user's sessions, the one with the latest turn first.

        Turns without a session belong to none of them.
        """
        sessions = self.store.sessions(Scope(user_id=user_id, agent_id=agent_id))
        return [session.id for session in sessions if session.id is not None]

    def summary(self, *, user_id: str, level: Literal[1, 2] = 1) -> Summary | None:
        """Return the Compact Memory (level 1) or the summary of summaries (2), if there is one."""
        return next(self.store.summaries(Scope(user_id=user_id), level), None)

    def summaries(self, *, user_id: str) -> list[Summary]:
        """Return the current summaries for a prompt, the one of the longest time first."""
        summaries = (self.summary(user_id=user_id, level=2), self.summary(user_id=user_id, level=1))
        return [summary for summary in summaries if summary is not None]

    # ---- thoughts

    def thoughts(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        as_of: datetime | None = None,
    ) -> list[Thought]:
        """Return the valid thoughts, or those that were valid at `as_of` by today's knowledge."""
        scope = Scope(user_id=user_id, session_id=session_id, agent_id=agent_id)
        at = None if as_of is None else zoned(as_of, "as_of")
        return Thoughts(self.store.thoughts(scope, at))

    def history(self, thought_id: str, *, user_id: str) -> list[Thought]:
        """Return a thought with all that it replaced and that replaced it, oldest first."""
        thoughts = self.store.history(Scope(user_id=user_id), check_id(thought_id, "thought_id"))
        if not thoughts:
            raise InvalidInput(f"{user_id!r} has no thought {thought_id!r}; see thoughts()")
        return Thoughts(thoughts)

    def correct(self, thought_id: str, text: str, *, user_id: str) -> Thought:
        """Replace a thought by `text`; return the new thought.

        The text is remembered as a turn of the person who said the old one, or of the user. The old
        thought is closed and stays in `history`. Cost: two embedding calls.
        """
        versions = self.history(thought_id, user_id=user_id)
        old = revision.find_open(versions, thought_id)
        now, scope = self.clock(), Scope(user_id=user_id)
        turn = self._check_turn(revision.correcting_turn(old, text, now), scope, now)
        batch = revision.build_correction(old, turn, self.embedder, now)
        self._maintenance.set_turn_count(user_id, self.store.write(scope, batch))
        self._maintenance.wake([user_id])
        self._on_correction(user_id, old)
        self._listeners.tell("remembered", user_id, [turn.id or ""])
        if batch.reflection is not None:
            self._maintenance.announce(scope, batch.reflection)
        by_id = {thought.id: thought for thought in self.history(thought_id, user_id=user_id)}
        return by_id[by_id[thought_id].closed_by or thought_id]

    def _check_turn(self, turn: Turn, scope: Scope, now: datetime) -> Turn:
        """Return a turn as it may be stored; raise what is wrong with it."""
        checked = ingest.check_messages(turn, scope, now, self.signer, self.screen)
        return revision.only_turn(checked)

    def retract(self, thought_id: str, *, user_id: str) -> None:
        """Mark a thought as wrong; a thought that it replaced is valid again.

        The turns it came from stay. Thinking about them again does not restore it.
        """
        versions = self.history(thought_id, user_id=user_id)
        self.store.write(Scope(user_id=user_id), WriteBatch(retract={thought_id: self.clock()}))
        self._maintenance.wake([user_id])
        self._on_correction(user_id, next(old for old in versions if old.id == thought_id))

    # ---- maintenance

    def think(self, *, user_id: str, retry: bool = False) -> None:
        """Bring a user's summaries and thoughts up to date now, and prune what is due.

        Turns that failed before are tried until they are given up; `retry` tries those once more.

        Raises:
            ModelError: the summariser or the thinker returned nothing usable. Errors that these
                raise themselves pass through unchanged. Nothing is lost.
        """
        for error in self._maintenance.think(Scope(user_id=user_id), retry=retry):
            raise error

    def _think_quietly(self, user_id: str) -> None:
        """Think, and leave failures to `doctor`."""
        self._maintenance.think(Scope(user_id=user_id))

    def restore(self, *, user_id: str) -> int:
        """Make all chunks that pruning hid searchable again; return their number."""
        scope = Scope(user_id=user_id)
        hidden = [chunk.id for chunk in self.store.chunks(scope) if chunk.hidden]
        self.store.write(scope, WriteBatch(show=hidden))
        return len(hidden)

    def checkpoint(self) -> str:
        """Return the hash of the newest event: `rollback` can restore the state of now by it."""
        return self.store.last_event().hash

    def rollback(
        self, *, user_id: str, to: int | str | datetime, dry_run: bool = False
    ) -> Rollback:
        """Undo what changed in a user's thoughts, summaries and pruning after an event.

        `to` is an event's number or hash (`checkpoint`, `memkit audit log`), or a time. Turns stay:
        those remembered since are queued to be thought about again. What came from forgotten turns
        does not return. A rollback is an event too, so another one can undo it.

        Cost: grows with the rows that changed since; reads the whole ledger once.

        Raises:
            InvalidInput: there is no such event, or it is older than `Settings.undo_days`.
        """
        event = find_event(self.store.events(), to)
        with self._maintenance.summary_lock:
            return self.store.rollback(Scope(user_id=user_id), event.seq, dry_run=dry_run)

    def flush(self) -> None:
        """Do all background work of all users now; `doctor` shows failures."""
        for user_id in self._maintenance.waiting_users():
            self._think_quietly(user_id)

    def forget(
        self, *, user_id: str, turn_ids: Iterable[str] | None = None, thought_id: str | None = None,
        session_id: str | None = None, agent_id: str | None = None, since: datetime | None = None,
        until: datetime | None = None, query: str | None = None, where: Where | None = None,
        everything: bool = False, dry_run: bool = False, scan: bool = True, probe: bool = False,
    ) -> Receipt:  # fmt: skip
        """Delete turns with all that is derived from them, and their bytes from all files.

        Name them by `turn_ids`, by `thought_id` (the turns it was drawn from), by `everything`, or
        by other conditions, which must all be met: `since` and `until` are times said, both
        included; `query` means at most 50 turns that it recalls with a relevance of .5 or more;
        `where` is a filter (`memkit.filters`).

        Chunks, vectors, summaries and thoughts go too; other turns of a deleted thought are queued
        again. Open chats of this memory drop the words too. `dry_run` only reports what would go.

        `scan` then searches the files for pieces of what was deleted; if there are any, the files
        are written again. `receipt.purged` says whether nothing is left. It is False while another
        process reads an older state or blocks writing; the bytes leave the files after that.
        `probe` asks for deleted and kept turns before and after (`receipt.probes`, 40 recalls).

        Cost: the deletion grows with the deleted words; the scan takes 2 ms or more per megabyte.
        """
        selection = Selection(
            turn_ids=None if turn_ids is None else id_set(turn_ids, "turn_ids"),
            thought_id=thought_id, everything=everything, session_id=session_id,
            agent_id=agent_id, query=query, where=where, since=since, until=until,
        )  # fmt: skip
        selected, scope = govern.select_turns(self, user_id, selection), Scope(user_id=user_id)
        delete = partial(
            govern.forget, self.store, scope, selected, now=self.clock(), dry_run=dry_run, scan=scan
        )
        if probe and not dry_run:
            delete = partial(
                deletion_probes.measure, self.store, self.embedder, scope, selected, delete
            )
        with self._maintenance.summary_lock:
            receipt = delete()
        if not dry_run:
            self._maintenance.drop_probes(user_id)
            if receipt.turn_ids:
                self._maintenance.wake([user_id])
            self._listeners.notify(user_id, everything=everything)
            self._listeners.tell("forgotten", user_id, receipt.turn_ids, receipt.thought_ids)
        return receipt

    def on(self, happening: Happening, callback: Callback) -> Callable[[], None]:
        """Call `callback` with a `Notice` whenever this has happened; return what ends that.

        "remembered", "updated", "recalled", "believed", "doubted" and "forgotten" are told after
        the commit, in the thread that did it: in the background one for most thoughts. A callback
        that fails is logged and counted in `stats`. Other processes, and `import_`, tell nothing.

        Raises:
            InvalidInput: there is no such happening.
        """
        return self._listeners.on(happening, callback)

    def set_retention(
        self, rules: Iterable[RetentionRule], *, dry_run: bool = False
    ) -> "list[Expiry]":
        """Store how long turns and thoughts are kept, and delete what is older.

        They replace earlier rules. Background work, `think` and `flush` of every process apply
        them. A `dry_run` changes nothing and returns what would be deleted now, by user.
        """
        rules = check_rules(rules)
        if not dry_run:
            self.store.set_retention(rules)
        return self._maintenance.expire_all(rules, dry_run=dry_run)

    def retention(self) -> list[RetentionRule]:
        """Return the rules that say how long turns and thoughts are kept."""
        return list(self.store.retention())

    def apply_retention(self) -> "list[Expiry]":
        """Delete what is too old by the rules now; return what was deleted of each user."""
        return self._maintenance.expire_all(self.store.retention())

    def sign(self, receipt: Receipt) -> str:
        """Return a receipt as JSON with an Ed25519 signature by the key of this memory.

        The key is made at the first call, in `FILE.key`. `memkit verify-receipt` checks receipts.

        Raises:
            MissingExtra: the extra `[govern]` is not installed.
            InvalidInput: nothing was deleted, or the memory is in RAM.
        """
        from memkit.govern import receipts

        return receipts.sign(receipt, self.store)

    def stats(self, *, user_id: str | None = None) -> dict[str, int]:
        """Count turns, chunks, summaries and bytes, of one user or of the whole memory.

        `failed_callbacks` counts callbacks of `on` that failed since the memory was opened.
        """
        if user_id is not None:
            Scope(user_id=user_id)  # checks it
        return self.store.stats(user_id) | {"failed_callbacks": self._listeners.failed}

    def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy of the whole memory, of all users, to the new file `path`.

        The memory stays open, and other threads and processes may write meanwhile. Open the copy as
        any memory; its vector indexes are rebuilt when they are needed. Do not copy the file of an
        open memory by other means: its newest turns are in a second file, `FILE-wal`.

        Raises:
            InvalidInput: there is something at `path`; nothing is ever replaced.
            StoreError: the file cannot be written.
        """
        self.store.backup(check_path(path))

    def export(
        self, target: "File", *, user_id: str | None = None, passphrase: str | None = None
    ) -> "ExportCounts":
        """Write turns, thoughts, history and summaries, of all users or of one, as JSON lines.

        `target` is a path, at which nothing is replaced, or an open binary file. A `passphrase`
        encrypts it in the format of age (extra `[govern]`). Others may write meanwhile.
        """
        from memkit.govern import portability

        return portability.export_to(self.store, target, user_id=user_id, passphrase=passphrase)

    def import_(
        self, source: "File", *, user_id: str | None = None, passphrase: str | None = None
    ) -> "ImportReport":
        """Read an export of all users, or of one, each in one transaction; replace nothing.

        A user whom this memory lacks is restored as a whole; of another one, missing turns are
        added and thought about, without their former wordings. `problems` of the report names lines
        that cannot be used. Raises InvalidInput, and stores nothing, if it is no export or of a
        newer version.
        """
        from memkit.govern import portability

        report = portability.import_from(
            self.store, self.embedder, source, user_id=user_id, passphrase=passphrase
        )
        self._maintenance.wake(report.user_ids)
        return report

    def doctor(self) -> list[str]:
        """Return one sentence per fault, none if all is well. Reads the whole memory once."""
        return self.store.check()

    def close(self) -> None:
        """Write pending data and release the file; a second call does nothing."""
        try:
            self._maintenance.stop()
        finally:
            self.store.close()


serve_old_names(__name__)
