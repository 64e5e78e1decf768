"""Chat: a language model with a long-term memory, in one object.

Each turn recalls, composes a prompt, stores the question, generates, and stores the reply.
"""

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from memkit import ingest
from memkit.errors import InvalidInput
from memkit.history import History
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.models.resolve import resolve_model
from memkit.models.running import stream_until_stop
from memkit.prompt import (
    Layout,
    Message,
    Parts,
    Prompt,
    compose,
    remove_echo,
    strip_memory_block,
)
from memkit.protocols import CachingModel, Model, Window
from memkit.records import Receipt, Scope, Turn, Usage

SYSTEM = (
    "You are a helpful assistant with a long-term memory. Quotes from earlier conversations may "
    "be shown to you; use them where they help to answer. Answer briefly."
)
Remember = Literal["both", "user", "none"]
_REPLY_TOKENS = 256  # the default for models without a setting of their own
_RESUMED_TURNS = 200  # newest turns that are read when a session is resumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The prompt and the cost of the last reply."""

    prompt: Prompt
    usage: Usage


class Chat:
    """Gives a language model a memory that outlives the process.

    Args:
        model: a transformers causal LM with its tokenizer; or, without a tokenizer, a
            "text-generation" pipeline, a Hugging Face id or path, a memkit model such as
            `OpenAIModel`, or a function from messages to text. For generation options, tools or
            precision pass a `memkit.models.huggingface.HuggingFaceModel`.
        memory: stores the conversation; required.
        user_id: the user who talks.
        session_id: the conversation; an existing one is resumed.
        budget_tokens: most tokens of a prompt; the model's own limit if that is lower.
        max_new_tokens: most tokens of a reply; by default that of the generation config, or 256.
        k: how many of the best hits a prompt shows. New ones cost time to the first token.
        layout: the position of the memory block. "append": before its question, where it stays in
            the next prompts while there is room and all of it holds; "cache": before the last
            question only; "hema": after the system text, as in the paper.
        remember: which messages are stored: "both" sides, only the "user"'s, or "none". The
            attribute of this name may be changed between replies. The open chat shows the model
            all messages as history, stored or not.

    A message that is deleted by `memory.forget`, also in another process, leaves the history, the
    model's cache and the report. What is deleted during a reply may be in that reply, so such a
    reply is not stored.

    Raises:
        InvalidInput: there is no memory, no such kind of model, or no room for a prompt.
        ModelError: there is no model of that name.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        memory: Memory | None = None,
        *,
        user_id: str,
        session_id: str = "main",
        system: str = SYSTEM,
        budget_tokens: int = DEFAULT_BUDGET,
        max_new_tokens: int | None = None,
        k: int = 10,
        layout: Layout = "append",
        remember: Remember = "both",
    ) -> None:
        if remember not in get_args(Remember):
            raise InvalidInput(f'remember must be "both", "user" or "none", got {remember!r}')
        self.scope = Scope(user_id=user_id, session_id=session_id)
        if memory is None or isinstance(tokenizer, Memory):
            raise InvalidInput(
                "Chat() requires a memory, by keyword if there is no tokenizer: "
                'Chat(model, memory=memkit.open("ann.db"), user_id="ann")'
            )
        self.model: Model = resolve_model(model, tokenizer)
        if max_new_tokens is None:
            max_new_tokens = getattr(self.model, "max_new_tokens", None) or _REPLY_TOKENS
        self.memory, self.system, self.layout = memory, system, layout
        limit = self.model.limit
        room = budget_tokens if limit is None else limit - max_new_tokens
        self.budget_tokens = min(budget_tokens, room)
        if self.budget_tokens < 1:
            raise InvalidInput(
                f"a reply of {max_new_tokens} tokens leaves no room for a prompt: the budget is "
                f"{budget_tokens} tokens, the model's limit {limit}; lower max_new_tokens"
            )
        self.max_new_tokens, self.k = max_new_tokens, k
        self.remember: Remember = remember
        self.report: Report | None = None
        # held while the history changes, because `forget` may be called in another thread
        self._lock = threading.RLock()
        self._forget_count = 0
        resumed = memory.turns(user_id=user_id, session_id=session_id, last=_RESUMED_TURNS)
        self._history = History(resumed)
        memory._listeners.add(self)

    @property
    def history(self) -> list[Message]:
        """The messages of the session, oldest first, without memory blocks."""
        return [entry.message for entry in self._history.entries]

    def reply(self, text: str) -> str:
        """Answer, and remember both the question and the reply."""
        return "".join(self.stream(text))

    def stream(self, text: str, *, stop: Sequence[str] = ()) -> Generator[str]:
        """Answer piece by piece, up to the first of the strings `stop`.

        The question is stored before generation, the reply after it, even if it was cut off.

        Raises:
            BudgetExceeded: system text and question do not fit into the budget; nothing is stored.
            ModelError: the model failed; the question is stored.
        """
        forget_count, usage_before = self._forget_count, self.model.usage
        prompt = self._compose(text)
        self._remember("user", text, prompt)
        shown = f"{self._history.block_text}\n{prompt.memory}"
        reply_pieces: list[str] = []
        pieces = self.model.stream(prompt.messages, max_new_tokens=self.max_new_tokens)
        try:
            for piece in stream_until_stop(pieces, stop):
                reply_pieces.append(piece)
                yield piece
        finally:
            pieces.close()
            reply = strip_memory_block("".join(reply_pieces).strip(), self.memory.signer)
            reply = remove_echo(reply, shown)
            with self._lock:
                if self._forget_count != forget_count:
                    self._history.drop_blocks()
                    self._drop_traces()  # the model has just cached this prompt
                else:
                    if reply:
                        self._remember("assistant", reply)
                    if self.model.usage is not None and self.model.usage is not usage_before:
                        self.report = Report(prompt=prompt, usage=self.model.usage)

    def undo(self) -> Receipt:
        """Delete the last question and its reply, from memory, history and the model's cache.

        Raises:
            InvalidInput: the history has no question.
        """
        with self._lock:
            entries = self._history.entries
            roles = [entry.message["role"] for entry in entries]
            if "user" not in roles:
                raise InvalidInput("there is nothing to undo: this session has no messages")
            first = len(roles) - 1 - roles[::-1].index("user")
            turn_ids = [entry.turn_id for entry in entries[first:] if entry.turn_id is not None]
            self._history.keep(range(first))
        return self.memory.forget(user_id=self.scope.user_id, turn_ids=turn_ids)

    def on_forget(self, user_id: str, *, everything: bool) -> None:
        """Drop what was forgotten; `Memory.forget` calls this. Any thread may."""
        if user_id != self.scope.user_id:
            return
        with self._lock:
            self._forget_count += 1
            if everything:
                self._history.keep([])
            else:
                self._drop_forgotten()
            # the derived lines of a memory block may have had the words, too
            self._history.drop_blocks()
            self._drop_traces()

    def on_update(self, user_id: str, turn: Turn) -> None:
        """Show a turn in its new words; `Memory.update` calls this. Any thread may."""
        if user_id == self.scope.user_id:
            with self._lock:
                self._forget_count += 1  # a reply of now may have the former words
                self._history.reword(turn)
                self._drop_traces()

    def _drop_forgotten(self) -> None:
        """Drop messages that are no longer stored, and all memory blocks if one shows such words.

        A reply that was never stored goes with its question, whose words it may repeat.
        """
        scope, source_ids = Scope(user_id=self.scope.user_id), self._history.source_ids
        stored_turns = self.memory.store.turns(scope, Window(ids=sorted(source_ids)))
        stored_ids = {turn.id for turn in stored_turns}
        if stored_ids >= source_ids:
            return
        kept: list[int] = []
        for n, entry in enumerate(self._history.entries):
            is_reply = entry.message["role"] == "assistant"
            follows_kept = n == 0 or n - 1 in kept[-1:]
            unstored = entry.turn_id is None
            if (follows_kept or not is_reply) if unstored else entry.turn_id in stored_ids:
                kept.append(n)
        self._history.keep(kept)
        self._drop_traces()

    def _drop_traces(self) -> None:
        """Drop the report and what the model caches of earlier prompts."""
        self.report = None
        if isinstance(self.model, CachingModel):
            self.model.drop_cache()

    def _compose(self, text: str) -> Prompt:
        with self._lock:
            self._drop_forgotten()  # another process may have deleted something
            if not self._history.holds(self.memory.store, Scope(user_id=self.scope.user_id)):
                self._history.drop_blocks()
            return self._compose_history(text)

    def _compose_history(self, text: str) -> Prompt:
        memory, user_id, history = self.memory, self.scope.user_id, self._history
        # turns that the history shows are not recalled into the memory block as well
        said_ids = [entry.turn_id for entry in history.shown if entry.turn_id is not None]
        result = memory._recollect(text, user_id=user_id, k=self.k, without=said_ids)
        parts = Parts(
            question=text, system=self.system, summaries=memory.summaries(user_id=user_id),
            thoughts=result.thoughts, hits=result.hits,
        )  # fmt: skip
        parts = history.fill(parts)
        prompt = compose(parts, self.model, budget=self.budget_tokens, layout=self.layout)
        if history.has_blocks and (prompt.left_out or prompt.history < len(parts.history)):
            history.drop_blocks()
        elif prompt.history < len(parts.history):
            history.leap(prompt.history)
        else:
            return prompt
        return self._compose_history(text)

    def _remember(
        self, role: Literal["user", "assistant"], text: str, prompt: Prompt | None = None
    ) -> None:
        """Add a message to the history, and to the memory unless `remember` leaves it out.

        With the layout "append" the memory block of `prompt` stays before it.
        """
        scope, message = self.scope, {"role": role, "content": text}
        signer = self.memory.signer
        with self._lock:
            ids: Sequence[str | None]
            if self.remember in ("both", role):
                ids = self.memory.remember(
                    message, user_id=scope.user_id, session_id=scope.session_id
                )
            else:  # the same checks, and nothing is stored
                checked = ingest.check_messages(message, scope, self.memory.clock(), signer)
                ids = [None for _ in checked.stored_ids()]
            for turn_id in ids:
                shown = {"role": role, "content": strip_memory_block(text, signer)}
                self._history.append(shown, turn_id, prompt if self.layout == "append" else None)


def replies(chats: Sequence[Chat], texts: Sequence[str], *, batch_size: int = 8) -> list[str]:
    """Answer one question in each of many sessions, in batches of the model; for evaluation.

    All prompts are composed before any question is stored. No chat gets a report, because the cost
    of a batch cannot be divided. The chats share one `HuggingFaceModel`.

    Raises:
        InvalidInput: the chats cannot be answered together; nothing is stored.
        BudgetExceeded: a question does not fit its budget; nothing is stored.
        ModelError: the model failed; the questions are stored.
    """
    if len(chats) != len(texts):
        raise InvalidInput(f"{len(texts)} texts for {len(chats)} chats; pass one text per chat")
    if not chats:
        return []
    model = _shared_model(chats)
    prompts = [chat._compose(text) for chat, text in zip(chats, texts, strict=True)]
    for chat, text, prompt in zip(chats, texts, prompts, strict=True):
        chat._remember("user", text, prompt)
    messages = [prompt.messages for prompt in prompts]
    answers: list[str] = model.replies(
        messages, max_new_tokens=chats[0].max_new_tokens, batch_size=batch_size
    )
    for chat, reply in zip(chats, answers, strict=True):
        chat.report = None
        if reply.strip():
            chat._remember("assistant", reply.strip())
    return answers


def _shared_model(chats: Sequence[Chat]) -> Any:
    """Return the model that all chats share, or raise why they cannot be answered together."""
    model = chats[0].model
    if not hasattr(model, "replies"):
        raise InvalidInput(f"a {type(model).__name__} cannot answer in batches; call Chat.reply")
    if any(chat.model is not model for chat in chats):
        raise InvalidInput("these chats have several models; make one HuggingFaceModel for all")
    if len({chat.max_new_tokens for chat in chats}) > 1:
        raise InvalidInput("these chats have several max_new_tokens; make them with the same")
    if len({(id(chat.memory), chat.scope) for chat in chats}) < len(chats):
        raise InvalidInput("two of these chats are one session; call Chat.reply on each")
    return model
