"""Chat: a language model that remembers, in one object.

The way of a turn: recall, compose, store the question, generate, store the reply.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from memkit.errors import InvalidInput
from memkit.memory import DEFAULT_BUDGET, Memory
from memkit.models.resolve import pick
from memkit.models.running import until_stop
from memkit.prompt import (
    SHOWN_ROLES,
    Layout,
    Message,
    Parts,
    Prompt,
    compose,
    history_messages,
    strip,
)
from memkit.protocols import Model
from memkit.records import Scope, Usage

SYSTEM = (
    "You are a helpful assistant with a long-term memory. Quotes from earlier conversations may "
    "be shown to you; use them where they help to answer. Answer briefly."
)
_MOST_TOKENS = 256  # of a reply, where nobody says
_RESUMED = 200  # turns of a session that are read when it is taken up again


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the last reply was made from, and what it cost."""

    prompt: Prompt
    usage: Usage


class Chat:
    """Gives a language model a memory that outlives the process.

    Args:
        model: any transformers causal LM; or without a tokenizer a "text-generation" pipeline, a
            model's Hugging Face id or path, a memkit model such as `OpenAIModel`, or a function
            from messages to text. For options of generation, tools or precision make a
            `memkit.models.huggingface.HuggingFaceModel` and pass that.
        tokenizer: the transformers model's.
        memory: where everything said is kept; never left out.
        user_id: who is talking.
        session_id: the conversation; an existing one is taken up where it was left.
        system: what the model is told first.
        budget_tokens: most tokens of a prompt; the model's own limit if that is lower.
        max_new_tokens: most tokens of a reply; left out, what the model's generation config says,
            or else 256.
        k: most hits in a prompt. The memory block changes every turn, so its tokens cannot be
            reused: more hits cost time to the first token.
        layout: where the memory block stands, see `memkit.prompt.compose`.

    Raises:
        InvalidInput: there is no memory; the model is none of these; or a reply of that length
            leaves no room for a prompt.
        ModelError: there is no model of that name.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        memory: Memory | None = None,
        *,
        user_id: str = "",
        session_id: str = "main",
        system: str = SYSTEM,
        budget_tokens: int = DEFAULT_BUDGET,
        max_new_tokens: int | None = None,
        k: int = 10,
        layout: Layout = "cache",
    ) -> None:
        self.scope = Scope(user_id=user_id, session_id=session_id)
        if memory is None or isinstance(tokenizer, Memory):
            raise InvalidInput(
                "a chat needs a memory, and by name where there is no tokenizer: "
                'Chat(model, memory=memkit.open("ann.db"), user_id="ann")'
            )
        self.model: Model = pick(model, tokenizer)
        if max_new_tokens is None:
            max_new_tokens = getattr(self.model, "max_new_tokens", None) or _MOST_TOKENS
        self.memory, self.system, self.layout = memory, system, layout
        limit = self.model.limit
        most = budget_tokens if limit is None else limit - max_new_tokens
        if min(budget_tokens, most) < 1:
            raise InvalidInput(
                f"{max_new_tokens} new tokens leave no room for a prompt: the budget is "
                f"{budget_tokens} tokens, the model's limit {limit}"
            )
        self.budget_tokens = min(budget_tokens, most)
        self.max_new_tokens, self.k = max_new_tokens, k
        self.report: Report | None = None
        resumed = list(memory.turns(user_id=user_id, session_id=session_id, last=_RESUMED))
        said = [turn for turn in resumed if turn.role in SHOWN_ROLES]
        self._turn_ids = [turn.id or "" for turn in said]
        self.history: list[Message] = history_messages(said)
        self._from = 0  # the oldest message still shown; moves in leaps, so that the prefix stays

    def reply(self, text: str) -> str:
        """Answer, and remember both what was asked and what was answered."""
        return "".join(self.stream(text))

    def stream(self, text: str, *, stop: Sequence[str] = ()) -> Generator[str]:
        """Answer piece by piece. What is said is stored even if generation fails or is stopped.

        Args:
            text: what is asked.
            stop: texts that end the reply and do not belong to it.

        Raises:
            BudgetExceeded: system text and question do not fit into the budget; nothing is stored.
            ModelError: the model failed; the question is stored.
        """
        prompt = self._compose(text)
        self._say("user", text)
        before = self.model.usage
        said: list[str] = []
        pieces = self.model.stream(prompt.messages, max_new_tokens=self.max_new_tokens)
        try:
            for piece in until_stop(pieces, stop):
                said.append(piece)
                yield piece
        finally:
            pieces.close()
            reply = "".join(said).strip()
            if reply:
                self._say("assistant", reply)
            if self.model.usage is not None and self.model.usage is not before:
                self.report = Report(prompt=prompt, usage=self.model.usage)

    def _compose(self, text: str) -> Prompt:
        recollection = self.memory.recollect(
            text, user_id=self.scope.user_id, k=self.k, without=self._shown_turns()
        )
        shown = self.history[self._from :]
        parts = Parts(
            question=text,
            system=self.system,
            history=shown,
            summaries=self.memory.summaries(user_id=self.scope.user_id),
            thoughts=recollection.thoughts,
            hits=recollection.hits,
        )
        prompt = self._pack(parts)
        if prompt.history < len(shown):
            # leave room for the turns to come: moving by one each turn would spoil the prefix
            self._from = len(self.history) - prompt.history // 2
            prompt = self._compose(text)
        return prompt

    def _pack(self, parts: Parts) -> Prompt:
        return compose(parts, self.model, budget=self.budget_tokens, layout=self.layout)

    def _shown_turns(self) -> list[str]:
        return self._turn_ids[self._from :]

    def _say(self, role: str, text: str) -> None:
        ids = self.memory.remember(
            [{"role": role, "content": text}],
            user_id=self.scope.user_id,
            session_id=self.scope.session_id,
        )
        if ids:
            self._turn_ids += ids
            self.history.append({"role": role, "content": strip(text)})


def replies(chats: Sequence[Chat], texts: Sequence[str], *, batch_size: int = 8) -> list[str]:
    """Answer one question in each of many sessions, in batches of the model; for evaluation.

    As `Chat.reply` would, but all prompts are made before anything is said: no session sees what
    is said here in another. There are no reports, since cost is that of all.

    Args:
        chats: of different sessions, all made with one `HuggingFaceModel`.
        texts: a question for each.
        batch_size: most prompts in one pass.

    Raises:
        InvalidInput: the chats cannot be answered together; nothing is stored.
        BudgetExceeded: a question does not fit its budget; nothing is stored.
        ModelError: the model failed; the questions are stored.
    """
    if len(chats) != len(texts):
        raise InvalidInput(f"{len(texts)} texts for {len(chats)} chats; give each chat one")
    if not chats:
        return []
    model = _shared_model(chats)
    prompts = [chat._compose(text).messages for chat, text in zip(chats, texts, strict=True)]
    for chat, text in zip(chats, texts, strict=True):
        chat._say("user", text)
    made: list[str] = model.replies(
        prompts, max_new_tokens=chats[0].max_new_tokens, batch_size=batch_size
    )
    for chat, reply in zip(chats, made, strict=True):
        chat.report = None
        if reply.strip():
            chat._say("assistant", reply.strip())
    return made


def _shared_model(chats: Sequence[Chat]) -> Any:
    """Return the model that all chats have, or say why they cannot be answered together."""
    model = chats[0].model
    if not hasattr(model, "replies"):
        raise InvalidInput(f"a {type(model).__name__} answers one prompt at a time: use Chat.reply")
    if any(chat.model is not model for chat in chats):
        raise InvalidInput("these chats have several models; make one HuggingFaceModel for all")
    if len({chat.max_new_tokens for chat in chats}) > 1:
        raise InvalidInput("these chats have several max_new_tokens; give all of them one")
    if len({(id(chat.memory), chat.scope) for chat in chats}) < len(chats):
        raise InvalidInput("two of these chats are one session; ask them one after the other")
    return model
