"""Any function from messages to text."""

import time
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from inspect import isasyncgenfunction, iscoroutinefunction

from memkit.errors import InvalidInput, ModelError
from memkit.models import fallback_template as unseen
from memkit.models.last import Last
from memkit.protocols import Counter, Messages
from memkit.records import Usage

Answers = Callable[[list[dict[str, str]]], str | Iterable[str]]


class FunctionModel:
    """A function that answers messages, such as the client of a service.

    It decides for itself how long its reply is. What it raises comes through as it is.

    Args:
        function: from [{"role": …, "content": …}, …] to the reply's text, or to its pieces.
        limit: the model's window, in tokens of prompt and reply together.
        count: counts a text's tokens; estimated if left out, so that a budget holds twice what a
            prompt of English takes.

    Raises:
        InvalidInput: it is asynchronous.
    """

    def __init__(
        self, function: Answers, *, limit: int | None = None, count: Counter | None = None
    ) -> None:
        if any(map(_is_asynchronous, (function, getattr(function, "__call__", None)))):  # noqa: B004 - its code
            raise InvalidInput(
                "the function is asynchronous, and a chat calls it as it is; pass one that returns "
                "the reply, such as lambda messages: asyncio.run(answer(messages))"
            )
        self.function, self.limit = function, limit
        self._last = Last()
        self._length = lru_cache(maxsize=4096)(count or unseen.estimate)

    @property
    def usage(self) -> Usage | None:
        """What the last reply cost that this thread has read."""
        return self._last.usage

    def count(self, messages: Messages) -> int:
        """Return how many tokens the prompt of these messages has, and rather more."""
        return unseen.count(messages, self._length)

    def escape_role_markers(self, text: str) -> str:
        """Return `text` with a space inside the marks that open or close a role in most models."""
        return unseen.escape_role_markers(text)

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:  # noqa: ARG002
        """Yield what the function returns: a text whole, several pieces one by one.

        Raises:
            ModelError: it returned something else than text.
        """
        started = time.perf_counter()
        first_at: float | None = None
        said: list[str] = []
        try:
            for piece in self._pieces(messages):
                first_at = first_at or time.perf_counter()
                said.append(piece)
                yield piece
        finally:
            ended = time.perf_counter()
            self._last.usage = Usage(
                prompt_tokens=self.count(messages),
                reused_tokens=0,
                new_tokens=self._length("".join(said)),
                first_token_s=(first_at or ended) - started,
                total_s=ended - started,
            )

    def _pieces(self, messages: Messages) -> Generator[str]:
        returned: object = self.function([dict(message) for message in messages])
        pieces: Iterable[object] = [returned]
        if isinstance(returned, Iterable) and not isinstance(returned, str):
            pieces = returned
        for piece in pieces:
            if not isinstance(piece, str):
                raise ModelError(
                    f"the function answered with {type(piece).__name__}; it must return the "
                    "reply's text"
                )
            yield piece


def _is_asynchronous(function: object) -> bool:
    return iscoroutinefunction(function) or isasyncgenfunction(function)
