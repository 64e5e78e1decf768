"""A model made from any function from messages to text."""

import time
from collections.abc import Callable, Generator, Iterable
from inspect import isasyncgenfunction, iscoroutinefunction

from memkit._moved import serve_old_names
from memkit.errors import InvalidInput, ModelError
from memkit.models.fallback_template import EstimatingModel
from memkit.protocols import Counter, Messages
from memkit.records import Usage

ReplyFunction = Callable[[list[dict[str, str]]], str | Iterable[str]]


class FunctionModel(EstimatingModel):
    """A model made from a function, such as a service's client.

    The function decides how long its reply is. Its exceptions are not wrapped.

    Args:
        function: takes [{"role": …, "content": …}, …]; returns the reply or its pieces.
        limit: the model's context window: most tokens of prompt and reply together.
        count: counts a text's tokens. If omitted, tokens are estimated, and an English prompt
            takes about half of what the estimate says.

    Raises:
        InvalidInput: the function is asynchronous.
    """

    def __init__(
        self, function: ReplyFunction, *, limit: int | None = None, count: Counter | None = None
    ) -> None:
        methods = (function, getattr(function, "__call__", None))  # noqa: B004 - an object's code
        if any(iscoroutinefunction(method) or isasyncgenfunction(method) for method in methods):
            raise InvalidInput(
                "FunctionModel takes a synchronous function, got an asynchronous one; wrap it: "
                "lambda messages: asyncio.run(answer(messages))"
            )
        super().__init__(limit, count)
        self.function = function

    def stream(self, messages: Messages, *, max_new_tokens: int) -> Generator[str]:  # noqa: ARG002
        """Yield the function's reply: a string whole, an iterable piece by piece.

        Raises:
            ModelError: the function returned something other than text.
        """
        started = time.perf_counter()
        first_at: float | None = None
        reply: list[str] = []
        try:
            for piece in self._pieces(messages):
                first_at = first_at or time.perf_counter()
                reply.append(piece)
                yield piece
        finally:
            ended = time.perf_counter()
            self._last.usage = Usage(
                prompt_tokens=self.count(messages),
                reused_tokens=0,
                new_tokens=self._count_text("".join(reply)),
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
                    f"the function returned {type(piece).__name__}; it must return the reply's "
                    "text, or an iterable of its pieces"
                )
            yield piece


serve_old_names(__name__)
